"""What `consumer-config` prints, in real resolvers: which client may look up what, whatever was asked before.

The operator's groups nest, one client is exempt, the order of questions turns round, clients set DO=1, upstream dies.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import product

import pytest

from tests.live.servers import Answer, PathUnit, dig, seconds_until, version, wait_for
from tests.live.subscribed import (
    BIN,
    BLOCKED,
    OTHER,
    PASSED,
    QUARANTINED,
    READERS,
    SLACK,
    TELEGRAM,
    VIEWS,
    World,
    resolver,
    world,
)
from tests.running import quickest

LIVE_S = 2.0
"""From the publication, NOTIFY included: 0.1 s in Unbound and 1.1 s in BIND (min-update-interval) on a free machine."""
CHANGES = [("webhook-site", PASSED), ("", BLOCKED)] * 3
"""What is excluded, and what becomes of it; six tries at most, so that another program's load fails nothing."""
KINDS = ["bind", "unbound"]  # they heed NOTIFY
LOGGING = [*KINDS, "powerdns"]  # their log tells what they blocked
ALL = [*LOGGING, *READERS]
VERSIONS = {
    "bind": ("named", "-v", "BIND 9.18"),
    "dnsdist": ("dnsdist", "--version", "dnsdist 1.7"),
    "knot": ("kresd", "--version", "version 5.6"),
    "powerdns": ("pdns_recursor", "--version", "PowerDNS Recursor 4.8"),
    "unbound": ("unbound", "-V", "Version 1.17"),
}
MAY = {  # client → what it may look up
    "127.1.2.3": {OTHER},  # staff: nobody expects anything of it
    "127.1.0.7": {OTHER, SLACK, TELEGRAM, BIN},  # one of staff, exempt
    "127.1.10.5": {OTHER, TELEGRAM},  # servers, inside staff
    "127.2.0.9": {OTHER, TELEGRAM},  # servers
    "127.1.10.130": {OTHER, SLACK},  # build, inside servers
    "::1": {OTHER, SLACK},  # build
    "127.0.0.1": {OTHER},  # in no group
    "127.3.0.1": {OTHER},
    QUARANTINED: set(),  # one of build, cut off from everything
}
NAMES = [SLACK, TELEGRAM, BIN, f"below.{BIN}", OTHER]


@pytest.fixture(scope="module", params=ALL)
def made(request: pytest.FixtureRequest) -> Iterator[World]:
    """One dnswatch and its consumer for all who only ask."""
    with world(request.param) as one:
        yield one


def allowed(client: str, name: str) -> bool:
    return name.removeprefix("below.") in MAY[client]


@pytest.mark.parametrize("options", [(), ("+dnssec",)], ids=["plain", "DO=1"])
@pytest.mark.parametrize("order", [1, -1], ids=["forth", "back"])
def test_every_client_gets_its_own_answers(made: World, order: int, options: tuple[str, ...]) -> None:
    """Expected passes, unexpected is blocked; from an empty cache, so that a leak between clients would show."""
    program, option, known = VERSIONS[made.kind]
    assert known in version(program, option)
    with resolver(made):
        assert wait_for(made.loaded, 15)
    with resolver(made):  # an empty cache, zones from the disk
        assert wait_for(made.loaded, 15)
        for client, name in list(product(MAY, NAMES))[::order]:
            wanted = PASSED if allowed(client, name) else BLOCKED
            assert made.ask(client, name, *options) == wanted, (client, name)


def blocked_at_once(made: World, client: str, name: str, attempt: int) -> float:
    begun = time.monotonic()
    assert made.ask(client, name) == BLOCKED, (client, name)
    return time.monotonic() - begun


def test_a_block_needs_no_upstream(made: World) -> None:
    """While upstream is dead, blocked names are refused at once, and nothing else is."""
    with resolver(made):
        assert wait_for(made.loaded, 15)
    port, made.upstream.port = made.upstream.port, 9  # nobody listens there
    made.install()
    try:
        with resolver(made):
            assert wait_for(made.loaded, 15)
            for client, name in product(MAY, NAMES):
                if not allowed(client, name):
                    quickest(2, partial(blocked_at_once, made, client, name))  # the dead one would be waited for longer
            assert made.ask("::1", SLACK, "+tries=1", "+time=1").status in ("SERVFAIL", "")
    finally:
        made.upstream.port = port
        made.install()


def answered_alike(made: World, wanted: Answer) -> bool:
    """Say whether a client of each view is answered so."""
    return all(made.ask(client, BIN) == wanted for client in VIEWS)


@pytest.mark.parametrize(
    "kind", [*KINDS, *(pytest.param(f"{kind} over TLS", marks=pytest.mark.torture) for kind in KINDS)]
)
def test_an_update_is_live_within_two_seconds(kind: str, record_property: Callable[[str, object], None]) -> None:
    """By NOTIFY, in every view, both ways; dnswatch sees that itself, per zone. The times are in the output."""
    took: list[float] = []
    with world(kind.split()[0], has_tls="TLS" in kind) as made, resolver(made):
        assert wait_for(made.loaded, 15)
        for exclude, wanted in CHANGES:
            serial = made.reload(exclude=exclude)
            took.append(seconds_until(partial(answered_alike, made, wanted), 30))
            record_property(f"live in {kind}", f"{took[-1]:.2f} s after publication")
            assert wait_for(partial(made.is_live, serial))
            assert wait_for(made.whole, 30), made.status()
            if len(took) > 1 and min(took) < LIVE_S:  # on a busy machine others may have been late
                break
        assert min(took) < LIVE_S, took
        row = made.status()
        copies = {(one["zone"].split(".")[0], one["view"]): one for one in row["copies"]}
        assert len(copies) == (4 * 3 if made.kind == "bind" else 6)
        assert {one["state"] for one in copies.values()} == {"live"}
        assert row["copies"][0]["serial"] <= serial
        assert {one["kind"] for one in row["zones"].values()} <= {"ixfr", "axfr", "current"}
        assert wait_for(lambda: {one["notify_error"] for one in made.status()["copies"]
                                 if one["zone"].startswith("any.")} == {""}), made.status()  # fmt: skip
        assert not made.blind_spots()


NOBODYS = ["hooks.zapier.com", "below.a.ngrok.io"]  # names that nobody is expected to use


@pytest.mark.parametrize("order", [1, -1], ids=["forth", "back"])
def test_dnsmasq_blocks_what_nobody_is_expected_to_use(order: int) -> None:
    """For everybody alike, from the promotion on, without a restart; what anybody may use passes for all, even for who
    is cut off: dnsmasq cannot tell clients apart."""
    with world("dnsmasq", mode="shadow") as made, resolver(made), PathUnit(made, "dnswatch-dnsmasq"):
        assert "2.9" in version("dnsmasq", "--version")
        assert made.ask("127.1.2.3", NOBODYS[0]) == PASSED  # the list has no name in shadow
        done = made.running.run("feed", "promote")
        assert done.returncode == 0, done.stdout + done.stderr
        assert wait_for(lambda: made.ask("127.1.2.3", NOBODYS[0]) == BLOCKED, 10)
        for client, name in list(product(MAY, [*NAMES, *NOBODYS, "ngrok.io"]))[::order]:
            wanted = BLOCKED if name in NOBODYS else PASSED
            assert made.ask(client, name) == wanted, (client, name)
        assert dig(made.resolver, "127.1.2.3", NOBODYS[0], "AAAA").status == "NXDOMAIN"
        assert made.ask("127.1.2.4", NOBODYS[0]) == BLOCKED  # never answered anything else
        assert wait_for(lambda: made.outcomes("127.1.2.4", "zapier")[-1:] == ["blocked"], 15), made.running.alerts()


PROMPT = {"powerdns": {"refresh=60": "refresh=1", "packetcache-ttl=60": "packetcache-ttl=1"}}
"""The Recursor acknowledges NOTIFY and asks when it is time; shipped, that is within a minute."""


def test_powerdns_learns_of_a_change_by_asking() -> None:
    """Within its refresh, for every group, both ways; nobody's cached answer outlives the packet cache's bound."""
    with world("powerdns", replaced=PROMPT["powerdns"]) as made, resolver(made):
        assert wait_for(made.loaded, 15)
        for exclude, wanted in (("webhook-site", PASSED), ("", BLOCKED)):
            serial = made.reload(exclude=exclude)
            assert wait_for(partial(answered_alike, made, wanted), 30)
            assert wait_for(lambda serial=serial: made.is_live(serial), 5)
            assert wait_for(made.whole, 30), made.status()
        assert {one["state"] for one in made.status()["copies"]} == {"live"}
        assert not made.blind_spots()


@pytest.mark.parametrize("kind", LOGGING)
def test_shadow_is_measured_then_enforced(kind: str) -> None:
    """The resolver's own log tells: would-block while in shadow, blocked after `feed promote`; nobody else is hit."""
    with world(kind, mode="shadow", replaced=PROMPT.get(kind, {})) as made, resolver(made):
        shadowed, enforced = "127.1.2.3", "127.1.2.4"
        assert wait_for(made.whole, 30), made.status()
        assert made.ask(shadowed, BIN) == PASSED
        assert made.ask("127.2.0.9", TELEGRAM) == PASSED  # expected
        assert wait_for(lambda: "would-block" in made.outcomes(shadowed, "webhook-site"), 15), made.running.alerts()
        assert wait_for(lambda: shadowed in made.running.run("feed", "promote", "--dry-run").stdout)
        done = made.running.run("feed", "promote")
        assert done.returncode == 0, done.stdout + done.stderr
        assert shadowed in done.stdout
        assert "EXPECTED" not in done.stdout
        assert wait_for(lambda: made.ask(enforced, BIN) == BLOCKED, 20)
        assert wait_for(lambda: "blocked" in made.outcomes(enforced, "webhook-site"), 15), made.running.alerts()
        assert made.ask("127.2.0.9", TELEGRAM) == PASSED
        assert not made.outcomes("127.2.0.9", "telegram-bot")
        assert "leaked" not in made.outcomes(enforced, "webhook-site")
