"""When one side is gone, restored, cut off or has lost its keys: what a real resolver then does, written down.

A resolver that fails open does so as the expected value here, so that a new version that behaves otherwise is seen; and
each time dnswatch says so in an alert as soon as it can ask.
"""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.live.servers import wait_for
from tests.live.subscribed import BIN, BLOCKED, PASSED, TELEGRAM, World, resolver, world
from tests.running import Running, until

KINDS = ["bind", "unbound"]
REFRESH, RETRY, EXPIRE = 1, 1, 8
SHORT = {"min-refresh-time 60; min-retry-time 30;": "min-refresh-time 1; min-retry-time 1;"}
AFTER_EXPIRY = {"bind": PASSED, "unbound": BLOCKED}
"""BIND unloads an expired policy zone and lets everything pass, Unbound goes on blocking (rpz.md §2.3)."""


class ShortTimers(Running):
    """A dnswatch whose zones are to be refreshed after a second and expire after eight."""

    def launch(self) -> int:
        timers = f"m.REFRESH, m.RETRY, m.EXPIRE = {REFRESH}, {RETRY}, {EXPIRE}"
        code = (f"import dnswatch.core.feeds.formats.rpz as m; {timers}; import dnswatch.cli; "
                f"dnswatch.cli.main(['--config', {str(self.config)!r}, 'run'])")  # fmt: skip
        with self.stderr.open("ab") as errors:
            begun = errors.tell()
            self.process = subprocess.Popen(
                [sys.executable, "-c", code], stderr=errors, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL
            )
        return begun


@contextmanager
def loaded(kind: str, **settings: Any) -> Iterator[World]:
    """Give a world whose resolver has had the zones once; it is stopped."""
    with world(kind, grace_s=2, **settings) as made:
        with resolver(made):
            assert wait_for(made.loaded, 20)
        yield made


def blocks(made: World) -> bool:
    """Say whether the unexpected is blocked and the expected passes."""
    return made.ask("127.0.0.1", BIN) == BLOCKED and made.ask("127.2.0.9", TELEGRAM) == PASSED


def settled(made: World) -> int:
    """Wait until every zone is live and no alert is open; give how many revisions of alerts there were by then."""
    assert wait_for(made.whole, 30), made.status()
    assert wait_for(lambda: [one["state"] for one in made.blind_spots()][-1:] != ["open"], 20), made.blind_spots()
    return len(made.blind_spots())


def told(made: World, state: str, since: int = 0) -> dict[str, Any]:
    """Wait for the newest revision of the alert, after so many, to be in this state; give it."""
    states = lambda: [one["state"] for one in made.blind_spots()[since:]]  # noqa: E731
    assert wait_for(lambda: states()[-1:] == [state], 30), made.blind_spots()
    return made.blind_spots()[-1]


def said(alert: dict[str, Any]) -> str:
    """Give all that an alert says."""
    return " ".join([alert["reason"], *alert["because"]])


@pytest.mark.parametrize("kind", KINDS)
def test_each_side_may_restart_while_the_other_is_down(kind: str) -> None:
    """A resolver goes on from its disk without dnswatch; dnswatch tells of one that is down, until it is back."""
    with loaded(kind) as made:
        assert made.running.stop() == 0
        with resolver(made):
            assert wait_for(made.loaded, 15)
            assert blocks(made)
            made.configure(exclude="webhook-site")
            made.running.start()
            assert wait_for(lambda: made.ask("127.0.0.1", BIN) == PASSED, 15)
            since = settled(made)
        assert "it does not answer" in said(told(made, "open", since))
        with resolver(made):
            settled(made)


@pytest.mark.parametrize("kind", ["bind", pytest.param("unbound", marks=pytest.mark.torture)])
def test_a_resolver_that_is_cut_off_is_told_of_before_its_zones_expire(kind: str) -> None:
    """It asks at the old port: first it is behind, then expired, and BIND then lets everything pass."""
    with loaded(kind, replaced=SHORT if kind == "bind" else {}, program=ShortTimers) as made, resolver(made):
        assert wait_for(made.loaded, 15)
        since = settled(made)
        made.dns += 1  # nobody told the resolver
        serial = made.reload(exclude="slack-webhook")
        cut_off_at = time.monotonic()
        assert f"instead of serial {serial}" in said(told(made, "open", since))
        assert wait_for(lambda: time.monotonic() > cut_off_at + EXPIRE + 3, 20)
        assert wait_for(lambda: made.ask("127.0.0.1", BIN) == AFTER_EXPIRY[kind], 15)
        assert [one["state"] for one in made.blind_spots()[since:]] == ["open"]
        assert made.status()["missing"] > 0
        made.dns -= 1
        made.configure(exclude="slack-webhook")
        made.running.send(signal.SIGHUP)
        settled(made)
        assert wait_for(lambda: blocks(made))


@pytest.mark.torture
@pytest.mark.parametrize("kind", KINDS)
def test_without_its_files_a_resolver_passes_everything_until_it_can_ask(kind: str) -> None:
    """The one case that nobody can tell of, for both sides are gone: it ends as soon as dnswatch is back."""
    with loaded(kind) as made:
        assert made.running.stop() == 0
        for path in [*made.path("/var/cache/bind").glob("dnswatch-*"), *made.path("/var/lib/unbound").glob("*.zone")]:
            path.unlink()
        with resolver(made):
            assert made.ask("127.0.0.1", BIN) == PASSED
            made.running.start()
            assert wait_for(lambda: blocks(made), 20)
            assert wait_for(made.whole, 30), made.status()


@pytest.mark.torture
def test_a_lost_journal_costs_bind_nothing() -> None:
    """It begins from its last full file, and fetches what it lacks."""
    with loaded("bind") as made:
        with resolver(made):
            serial = made.reload(exclude="slack-webhook")
            assert wait_for(lambda: made.is_live(serial), 10)
        journals = list(made.path("/var/cache/bind").glob("*.jnl"))
        assert journals
        for path in journals:
            path.unlink()
        with resolver(made):
            assert wait_for(lambda: made.is_live(serial), 10)
            assert wait_for(made.loaded, 15)
            assert blocks(made)
            newer = made.reload(exclude="")
            assert wait_for(lambda: made.is_live(newer), 10)


@pytest.mark.parametrize(
    ("kind", "zone"),
    [("bind", "any"), ("unbound", "exempt"),
     *(pytest.param(*one, marks=pytest.mark.torture) for one in (("bind", "exempt"), ("unbound", "any")))],
)  # fmt: skip
def test_a_restored_store_does_not_leave_resolvers_behind_a_lower_serial(kind: str, zone: str) -> None:
    """They would ignore it for ever: dnswatch sees that they are ahead, and publishes under a newer serial.

    Also when only the zone of exempt clients is ahead, whose SOA Unbound does not tell.
    """
    with world(kind, grace_s=2) as made, resolver(made):
        settled(made)
        state = made.running.folder / "state"
        assert made.running.stop() == 0
        shutil.copytree(state, made.root / "backup")
        made.running.start()
        newest = made.reload(zone=zone, **({"exclude": "webhook-site"} if zone == "any" else {"also": "127.1.0.8"}))
        assert wait_for(lambda: made.is_live(newest, zone), 20)
        assert made.running.stop() == 0
        shutil.rmtree(state)
        (made.root / "backup").rename(state)
        made.configure()  # as it was when the backup was made: the store has that version, under its old serial
        made.running.start()
        until(lambda: "restored from an older copy" in made.running.said(), 20)
        assert wait_for(lambda: blocks(made), 20)
        serials = lambda: [one["serial"] for one in made.status()["copies"] if one["zone"].startswith(zone)]  # noqa: E731
        assert wait_for(lambda: made.whole() and min(serials()) > newest, 30), made.status()


def test_changed_keys_are_told_of_before_bind_fails_open() -> None:
    """BIND refuses our NOTIFY and we its transfers; its zones expire, and everything passes: an alert is open then."""
    with loaded("bind", replaced=SHORT, program=ShortTimers) as made:
        with resolver(made):
            assert wait_for(made.loaded, 15)
            since = settled(made)
            made.reload(exclude="slack-webhook", secrets="t")
            assert "view of key k-" in said(told(made, "open", since))
            assert wait_for(lambda: made.ask("127.0.0.1", BIN) == PASSED, EXPIRE + 20)
            assert wait_for(lambda: "NOTAUTH" in made.status()["error"], 10), made.status()
        made.install()
        with resolver(made):
            settled(made)
            assert wait_for(lambda: blocks(made))
