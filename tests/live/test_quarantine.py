"""Quarantine in real resolvers: cut off by hand until an end, by dnswatch after attempts over TCP only, let back.

What `consumer-config` prints, and the operator's own commands. In mode shadow nobody is cut off, as the README says.
"""

from __future__ import annotations

import json
import time

import pytest

from tests.live.servers import wait_for
from tests.live.subscribed import BIN, BLOCKED, OTHER, PASSED, QUARANTINED, World, resolver, world

KINDS = ["bind", "unbound"]
LIVE_S = 10.0
"""From a command to the answer: a process that starts, a publication, a transfer; two seconds on an idle machine."""
ATTEMPTS = 3
EXEMPT = "127.1.0.7"  # one of staff, expected to use webhook.site


def order(made: World, *arguments: str) -> str:
    """Type a `feed` command."""
    done = made.running.run("feed", *arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def listed(made: World) -> dict[str, tuple[str, bool]]:
    """Give network → who cut it off, and whether it is."""
    rows = json.loads(order(made, "quarantine", "list", "--json"))
    return {one["network"]: (one["by"], one["cut_off"]) for one in rows}


def is_cut_off(made: World, client: str) -> bool:
    """Say whether a name that nobody watches is refused, too."""
    return made.ask(client, OTHER) == BLOCKED


def cut_off_for_a_while(made: World, client: str) -> float:
    """Cut a client off for seconds and see that it is; give when they are over. A busy machine needs more of them."""

    def seen() -> bool:
        both = is_cut_off(made, client) and made.ask(client, BIN) == BLOCKED
        return both and listed(made).get(f"{client}/32") == ("hand", True)

    for lasting in (8, 40, 160):
        begun = time.time()
        order(made, "quarantine", "add", client, "--because", "case 4711", "--for", f"{lasting}s")
        over = time.time() + lasting
        while time.time() < begun + lasting - 1:
            if seen():
                return over
    raise AssertionError(made.running.said())


def capped(made: World) -> list[str]:
    """Give the states of the alert that says that a bound is reached."""
    return [one["state"] for one in made.running.alerts() if one["service"] == "feed-capped"]


def attempts(made: World, client: str, *options: str) -> None:
    """Look up names of a request bin, each for the first time: one attempt each."""
    for i in range(ATTEMPTS + 1):
        made.ask(client, f"{client.replace('.', '-')}-{i}.{BIN}", *options)


@pytest.mark.parametrize("kind", KINDS)
def test_cut_off_by_hand_until_the_end_and_in_no_shadow(kind: str) -> None:
    """Even an exempt client; it passes again when the time is over; in mode shadow nobody is cut off."""
    with world(kind) as made, resolver(made):
        assert wait_for(made.loaded, 15)
        assert is_cut_off(made, QUARANTINED)
        assert made.ask(EXEMPT, BIN) == PASSED
        over = cut_off_for_a_while(made, EXEMPT)
        time.sleep(max(0.0, over + 1 - time.time()))
        order(made, "publish")  # by itself within a minute
        assert wait_for(lambda: made.ask(EXEMPT, OTHER) == PASSED, LIVE_S), made.running.said()
        assert made.ask(EXEMPT, BIN) == PASSED
        assert is_cut_off(made, QUARANTINED)
        order(made, "promote", "--to", "shadow")
        assert wait_for(lambda: made.ask(QUARANTINED, OTHER) == PASSED, LIVE_S)
        assert listed(made)[f"{QUARANTINED}/32"] == ("hand", False)
        order(made, "promote")
        assert wait_for(lambda: is_cut_off(made, QUARANTINED), LIVE_S)


def test_dnswatch_cuts_off_after_attempts_over_tcp_only() -> None:
    """Through BIND's log and back: who asked over UDP may be forged and passes; the bound is told; a lift holds."""
    by_udp, by_tcp = "127.1.2.5", "127.1.2.6"
    with world("bind") as made, resolver(made):
        part = made.running.config.parent / "conf.d" / "50-automatic.yaml"
        part.parent.mkdir(exist_ok=True)
        settings = f"{{min_severity: high, attempts: {ATTEMPTS}, most: 1}}"
        part.write_text(f"feeds: {{quarantine: {{automatic: {settings}}}}}\n")
        order(made, "publish")
        assert wait_for(made.loaded, 15)
        attempts(made, by_udp)
        attempts(made, by_tcp, "+tcp")
        assert wait_for(lambda: is_cut_off(made, by_tcp), LIVE_S), made.running.said()
        assert wait_for(lambda: {one["client_ip"] for one in made.running.alerts()} >= {by_udp, by_tcp})
        assert made.ask(by_udp, OTHER) == PASSED
        cut_off = {f"{QUARANTINED}/32": ("hand", True), f"{by_tcp}/32": ("dnswatch", True)}
        assert wait_for(lambda: listed(made) == cut_off), listed(made)
        assert wait_for(lambda: capped(made) == ["open"], LIVE_S)
        order(made, "quarantine", "remove", by_tcp, "--because", "reinstalled")
        assert wait_for(lambda: made.ask(by_tcp, OTHER) == PASSED, LIVE_S), made.running.said()
        attempts(made, by_tcp, "+tcp")
        assert wait_for(lambda: len(json.loads(order(made, "log", "--json"))) == 2, 5)  # the order, and the lift
        assert not is_cut_off(made, by_tcp)
        assert wait_for(lambda: capped(made) == ["open", "closed"], LIVE_S), capped(made)
