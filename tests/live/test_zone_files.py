"""Knot Resolver and dnsdist on what `consumer-config` prints: they look at the zone files, and at nothing else.

What operators order is live without a word to the resolver: lists, exemptions, quarantine, shadow; and it stays in
force while dnswatch is down, or the files are gone. Read next: ``test_readings.py``.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from functools import partial
from ipaddress import ip_network
from pathlib import Path

import pytest

from dnswatch.core.feeds.lua import READER
from dnswatch.core.feeds.triggers import client_trigger
from tests.live.servers import environment, seconds_until, wait_for
from tests.live.subscribed import (
    BIN,
    BLOCKED,
    OTHER,
    PARENT,
    PASSED,
    QUARANTINED,
    READERS,
    SLACK,
    VIEWS,
    World,
    resolver,
    world,
)
from tests.running import quickest

LIVE_S = 2.0
"""It looks every second, and dnswatch's answer to a signal takes a moment."""
STAFF, OTHERS, EXEMPT = "127.1.2.3", "127.1.2.4", "127.1.0.7"  # of one group


def order(made: World, *arguments: str) -> None:
    """Type a `feed` command."""
    done = made.running.run("feed", *arguments)
    assert done.returncode == 0, done.stdout + done.stderr


def answered(made: World, client: str, name: str, wanted: object) -> bool:
    """Say whether a client is answered so."""
    return made.ask(client, name) == wanted


@pytest.mark.parametrize("kind", READERS)
def test_what_is_ordered_is_live_without_a_word_to_the_resolver(
    kind: str, record_property: Callable[[str, object], None]
) -> None:
    """Lists, a single exemption, quarantine of who is exempt, shadow and back; dnswatch sees each version itself, and
    by dnstap who was refused what."""
    with world(kind) as made, resolver(made):
        assert wait_for(made.loaded, 15)
        assert wait_for(made.whole, 30), made.status()
        assert len(made.status()["copies"]) == 4 * 3  # asked from an address of each group

        def change(attempt: int) -> float:
            exclude, wanted = ("webhook-site", PASSED) if attempt % 2 == 0 else ("", BLOCKED)
            made.reload(exclude=exclude)
            return seconds_until(lambda: all(made.ask(client, BIN) == wanted for client in VIEWS), 30)

        record_property(f"live in {kind}", f"{quickest(LIVE_S, change):.2f} s after publication")
        made.reload("exempt", also=STAFF)
        assert wait_for(partial(answered, made, STAFF, SLACK, PASSED))
        assert made.ask(OTHERS, SLACK) == BLOCKED
        assert wait_for(lambda: made.outcomes(OTHERS, "slack-webhook") == ["observed"], 15), made.running.alerts()
        order(made, "quarantine", "add", EXEMPT, "--because", "case 4711")
        assert wait_for(partial(answered, made, EXEMPT, OTHER, BLOCKED))
        order(made, "quarantine", "remove", EXEMPT, "--because", "reinstalled")
        assert wait_for(partial(answered, made, EXEMPT, OTHER, PASSED))
        order(made, "promote", "--to", "shadow")
        assert wait_for(lambda: all(made.ask(one, BIN) == PASSED for one in (OTHERS, QUARANTINED, "::1")))
        assert wait_for(made.whole, 30), made.status()
        order(made, "promote")
        assert wait_for(lambda: all(made.ask(one, BIN) == BLOCKED for one in (OTHERS, QUARANTINED, "::1")))
        assert not made.blind_spots()


@pytest.mark.parametrize("kind", READERS)
def test_it_goes_on_with_what_it_has(kind: str) -> None:
    """While dnswatch is down, after a restart, too, and while the files are gone; without files it starts, and blocks
    nothing until they are there."""
    with world(kind) as made:
        assert made.running.stop() == 0
        files, away = made.root / "feeds", made.root / "away"
        with resolver(made):
            assert wait_for(made.loaded, 15)
            files.rename(away)
            assert made.ask(STAFF, BIN) == BLOCKED
        with resolver(made):
            assert made.ask(STAFF, BIN) == PASSED
            away.rename(files)
            assert wait_for(made.loaded)
            assert made.ask(STAFF, BIN) == BLOCKED
            said = next(made.root.glob(f"{'kresd' if kind == 'knot' else kind}.out")).read_text()
            assert f"dnswatch: any.{PARENT} stays as it was" in said


@pytest.mark.parametrize("kind", ["dnsdist", pytest.param("knot", marks=pytest.mark.torture)])
def test_a_copy_that_is_not_fetched_is_told_of(kind: str) -> None:
    """Its files are a copy, as on a host of its own: an alert says which version it lacks, until it has it."""
    with world(kind, grace_s=2) as made:
        copy = made.root / "copy"
        config = next(made.root.rglob("dnswatch.lua"))
        config.write_text(config.read_text().replace(f"'{made.root}/feeds'", f"'{copy}'"))
        shutil.copytree(made.root / "feeds", copy)
        with resolver(made):
            assert wait_for(made.whole, 30), made.status()
            assert wait_for(lambda: [one["state"] for one in made.blind_spots()][-1:] != ["open"], 30)
            told = len(made.blind_spots())
            serial = made.reload(exclude="webhook-site")
            assert wait_for(lambda: [one["state"] for one in made.blind_spots()[told:]] == ["open"], 30)
            assert f"instead of serial {serial}" in made.blind_spots()[-1]["reason"]
            for path in (made.root / "feeds").iterdir():  # each is replaced whole, as a client of HTTP should
                shutil.copy(path, copy / ".new")
                (copy / ".new").replace(copy / path.name)
            assert wait_for(lambda: made.blind_spots()[-1]["state"] == "closed", 30), made.blind_spots()
            assert wait_for(partial(answered, made, STAFF, BIN, PASSED))


NETWORKS = ["10.0.10.7/32", "10.1.10.0/24", "0.0.0.0/1", "::1/128", "2001:db8::/32", "2001:db8::1/128", "fe80::/10",
            "2001:db8:0:1:0:2:0:3/128", "fd00:1:2:3:4:5:6:7/128", "2001:0:0:1::/64", "1:2:3::/48"]  # fmt: skip


def test_lua_reads_every_client_trigger(tmp_path: Path) -> None:
    """As it was written, IPv4 and IPv6, wherever the zeros are."""
    checks = "".join(
        f"check(network_of('{client_trigger(one)}'), '{ip_network(one).with_prefixlen}')\n" for one in NETWORKS
    )
    equal = "local function check(a, b) assert(newNMG():addMask(a) == nil and a == b, a .. ' is not ' .. b) end\n"
    config = tmp_path / "dnsdist.conf"
    config.write_text(f"local directory = '/'\n{READER}{equal}{checks}assert(network_of('a.example') == nil)\n")
    command = ["dnsdist", "--check-config", "--config", str(config)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment(), check=False)
    assert done.returncode == 0, done.stdout + done.stderr
