"""The feeds of a running daemon: refusals are told, hooks are tried again, orders are obeyed once."""

from __future__ import annotations

import sys
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from dnswatch.config.build import Loaded, load_policy
from dnswatch.core.clients.identity import Identity
from dnswatch.core.feeds.clients import CUT_OFF
from dnswatch.core.model import Decision, Lease
from dnswatch.errors import FeedRefused
from dnswatch.io import publishing
from dnswatch.io.primary import Primary
from dnswatch.io.publishing import Publishing
from dnswatch.io.store import FILE, Store
from dnswatch.io.web.feeds import PublishedFeeds

CONFIG = """\
state_dir: {place}/state
clients: {{groups: {{staff: {{networks: [10.1.0.0/16]}}}}}}
expect: [{{who: ["name:printer"], services: [telegram-bot], because: toner}}]
feeds:
  mode: enforce
  directory: {place}/feeds
  limits: {{share: 0, rules: 2}}
  quarantine: {{automatic: {{min_severity: high}}}}
  on_change: [{{run: [{python}, -c, "import pathlib, sys; sys.exit(not pathlib.Path('{place}/up').exists())"]}}]
"""


class Told:
    """Blind spots as they are told."""

    def __init__(self) -> None:
        self.open: dict[tuple[str, str], str] = {}

    def report(self, kind: str, subject: str, text: str, at: float | None = None) -> None:
        self.open[kind, subject] = text

    def clear(self, kind: str, subject: str, text: str = "") -> None:
        self.open.pop((kind, subject), None)


class Running:
    """Publishing with a store of its own."""

    def __init__(self, place: Path, store: Store) -> None:
        path = place / "dnswatch.yaml"
        path.write_text(CONFIG.format(place=place, python=sys.executable))
        self.loaded: Loaded = load_policy(path)
        self.store, self.told, self.identity = store, Told(), Identity()
        primary = Primary(store, self.told)
        self.publishing = Publishing(lambda: self.loaded, self.identity, store, PublishedFeeds(), primary, self.told)

    async def serial(self, audience: str) -> int:
        return (await self.store.latest_snapshots())[f"{audience}.rpz.dnswatch.internal"].serial

    def printers(self, count: int, since: float = 0.0) -> None:
        for i in range(count):
            at = time.time() - 60 + since
            self.identity.learn(Lease(at, f"10.1.0.{i}", f"printer.x{i}.test", "", at + 900))


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[Running]:
    """A daemon's publishing whose hook works."""
    (tmp_path / "state").mkdir()
    (tmp_path / "up").touch()
    async with await Store.open(tmp_path / "state" / FILE) as store:
        yield Running(tmp_path, store)


async def test_leases_that_change_too_much_are_refused_told_and_published_by_order(running: Running) -> None:
    """The last good serial stays; an order with a reason lets it pass, once."""
    await running.publishing.publish()
    before = await running.serial("exempt")
    running.printers(3)
    with pytest.raises(FeedRefused, match="would change 3 rules at once"):
        await running.publishing.publish()
    assert await running.serial("exempt") == before
    assert "3 rules" in running.told.open["feed-refused", "rpz.dnswatch.internal"]
    await running.store.order({"force": True, "by": "ann", "because": "new floor"})
    await running.publishing.publish()
    assert await running.serial("exempt") > before
    assert not running.told.open
    assert await running.store.ordered() == {}


async def test_a_refusal_is_over_when_what_is_wanted_is_what_is_published(running: Running) -> None:
    """The leases that were too many are gone: nothing is to be published, and nothing is refused any more."""
    await running.publishing.publish()
    running.printers(3)
    with pytest.raises(FeedRefused):
        await running.publishing.publish()
    assert running.told.open
    running.publishing._identity = Identity()
    await running.publishing.publish()
    assert running.publishing.skipped == 1
    assert not running.told.open


async def test_what_an_operator_orders_is_not_limited(running: Running, tmp_path: Path) -> None:
    """A change of the configuration passes however large, and so does a small one of the leases."""
    await running.publishing.publish()
    running.printers(2)
    path = tmp_path / "dnswatch.yaml"
    names = ", ".join(f"n{i}.example.com" for i in range(300))
    path.write_text(path.read_text().replace("feeds:\n", f"feeds:\n  block: [{{names: [{names}], because: list}}]\n"))
    running.loaded = load_policy(path)
    await running.publishing.publish()
    latest = await running.store.latest_snapshots()
    assert len(latest["exempt.rpz.dnswatch.internal"].zone.rules) == 2
    assert latest["exempt.rpz.dnswatch.internal"].data == {f"32.{i}.0.1.10.rpz-client-ip" for i in range(2)}
    assert sum(".example.com" in rule.trigger for rule in latest["staff.rpz.dnswatch.internal"].zone.rules) == 600


async def test_decisions_reach_the_zones_and_end(running: Running) -> None:
    """A client that the engine cut off stands in quarantine until the decision ends."""
    made = Decision("10.1.0.77", CUT_OFF, "", "test", time.time() + 60)
    await running.store.checkpoint([], decisions=[made])
    await running.publishing.publish()
    zone = (await running.store.latest_snapshots())["quarantine.rpz.dnswatch.internal"].zone
    assert [rule.trigger for rule in zone.rules] == ["32.77.0.1.10.rpz-client-ip"]
    await running.store.checkpoint([], decisions=[Decision("10.1.0.77", CUT_OFF, "", "lifted", time.time() - 1)])
    await running.publishing.publish()
    assert not (await running.store.latest_snapshots())["quarantine.rpz.dnswatch.internal"].zone.rules


async def test_a_hook_that_fails_is_told_and_tried_until_it_works(
    running: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Shown in status, told as a blind spot, tried ever more rarely; gone from both when it works."""
    monkeypatch.setattr(publishing, "FIRST_RETRY_S", 0.0)
    (tmp_path / "up").unlink()
    await running.publishing.publish()
    assert running.publishing.rows["hooks"]["tries"] == 1
    await running.publishing.retry()
    assert running.publishing.rows["hooks"]["tries"] == 2
    assert [kind for kind, _ in running.told.open] == ["hook-failed"]
    (tmp_path / "up").touch()
    await running.publishing.retry()
    assert "hooks" not in running.publishing.rows
    assert not running.told.open
    assert not (tmp_path / "feeds" / ".owed").exists()


async def test_hooks_wait_longer_after_each_failure(running: Running, tmp_path: Path) -> None:
    """2, 4, 8 … s: a publication in between does not run them early."""
    (tmp_path / "up").unlink()
    await running.publishing.publish()
    first = running.publishing.rows["hooks"]
    await running.publishing.retry()
    await running.publishing.publish()
    assert running.publishing.rows["hooks"] == first
    assert 0 < first["retry_at"] - time.time() <= publishing.FIRST_RETRY_S


async def test_a_bound_on_quarantine_that_is_reached_is_told_and_over_when_there_is_room(running: Running) -> None:
    """By whoever reaches it: here by what the engine decided, twenty clients at most."""
    until = time.time() + 600
    made = [Decision(f"10.1.9.{i}", CUT_OFF, "", "attempts over TCP", until) for i in range(20)]
    await running.store.order({"force": True, "by": "ann", "because": "outbreak"})
    await running.store.checkpoint([], decisions=made)
    await running.publishing.publish()
    said = running.told.open["feed-capped", "feeds.quarantine.automatic.most"]
    assert said.startswith("dnswatch has cut 20 clients off, as many as feeds.quarantine.automatic.most allows")
    lifted = replace(made[0], expires_at=time.time() - 1)
    await running.store.checkpoint([], decisions=[lifted])
    await running.publishing.publish()
    assert not running.told.open
