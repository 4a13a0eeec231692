"""Logs that are caught up with take turns by time; a log at its end, or one that stands still, holds up nobody."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from dnswatch.core.logs.digest import Digested
from dnswatch.core.model import Event, Query
from dnswatch.io import weave
from dnswatch.io.weave import Pieces, Strand, Weave
from tests.running import InLoop, bind_line, soon

AT = 1_795_000_000.0


def query(at: float, offset: int) -> Query:
    return Query(at, "10.0.0.1", 53, "a.test", "A", "udp", "", 0, b"", offset)


def test_pieces_are_the_block() -> None:
    """A block cut anywhere gives every event and sample once, in order, up to the limit and never between."""
    events: list[Event] = [query(at, offset) for at, offset in ((1, 10), (3, 20), (3, 20), (2, 30), (9, 40))]
    samples: list[tuple[int, Event | None]] = [(0, query(0.5, 0)), (25, None), (35, query(4, 35)), (50, query(9, 50))]
    pieces, taken = Pieces(Digested(events, samples, 60, 5)), []
    for limit, first, offset in ((0.5, 0.5, 10), (1, 1, 20), (2, 3, 20), (3, 3, 40)):
        assert pieces.first_at() == first
        taken.append(pieces.take(limit))
        assert (pieces.done, pieces.offset) == (False, offset)
    assert pieces.first_at() == 9
    taken.append(pieces.take(9))
    assert pieces.done
    assert [event for piece in taken for event in piece.events] == events
    assert [sample for piece in taken for sample in piece.samples] == samples
    assert [len(piece.events) for piece in taken] == [0, 1, 0, 3, 1]


async def test_turns_are_taken_by_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two logs with a backlog reach the engine in the order of their stamps; the rest of one follows at its end."""
    for name in ("STALLED_S", "PATIENCE_S"):  # nobody waits as long as that
        monkeypatch.setattr(weave, name, 1000.0)
    woven, order = Weave(), []

    async def read(strand: Strand, stamps: list[float], ends: list[Strand]) -> None:
        for at in stamps:
            woven.enter(strand)
            await woven.turn(strand, at)
            order.append(at)
            woven.leave(strand, at)
            await asyncio.sleep(0)
        ends.append(strand)
        woven.leave(strand, 0.0)

    ended: list[Strand] = []
    first = woven.add(lambda: "" if first in ended else "backlog")
    second = woven.add(lambda: "" if second in ended else "backlog")
    await asyncio.gather(read(first, [1, 2, 3, 10, 11], ended), read(second, [1.5, 1.6, 2.5, 4, 5], ended))
    assert order == sorted(order)


async def test_log_that_stands_still_holds_up_nobody_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """A log with more to read, but without progress, is waited for once; one with fresh lines even less."""
    for name, value in (("STALLED_S", 0.06), ("PATIENCE_S", 0.03), ("SLICE_S", 0.01)):
        monkeypatch.setattr(weave, name, value)
    woven = Weave()
    stuck, fresh, ended = woven.add(lambda: "backlog"), woven.add(lambda: "fresh"), woven.add(lambda: "")
    strand = woven.add(lambda: "")
    woven.enter(strand)
    async with asyncio.timeout(60):
        assert await woven.turn(strand, AT) == float("inf")
    assert stuck.silent_s >= 0.06
    assert (fresh.inside, ended.at) == (False, 0.0)
    woven.enter(strand)
    assert await woven.turn(strand, AT + 1) == float("inf")
    woven.enter(stuck)  # it moves again: it counts again
    waiting = asyncio.create_task(woven.turn(strand, AT + 2))
    await asyncio.sleep(0.05)
    assert not waiting.done()
    woven.drop(stuck)
    async with asyncio.timeout(60):
        await waiting


# ── With the daemon: a dnsmasq that forwards to a BIND ────────────────────────────────────────────────────────────────

EXPECT = "expect: [{who: [10.0.10.7], services: [webhook-site], because: hooks of ours, owner: ops}]\n"


class Forwarding(InLoop):
    """Two logs; each lookup at the front stands in the log behind it too."""

    def __init__(self, folder: Path, start: str) -> None:
        self.front, self.back = folder / "front.log", folder / "back.log"
        super().__init__(folder, EXPECT, (
            f"sources:\n- {{type: bind, path: {self.back}, timezone: UTC, forwarders: [127.0.0.1], from: {start}}}\n"
            f"- {{type: dnsmasq, path: {self.front}, timezone: UTC, from: {start}}}\n"
        ))  # fmt: skip
        self.front.touch()
        self.back.touch()

    def ask(self, client: str, *times: float) -> None:
        """Append lookups at these times to both logs."""
        with self.front.open("a") as front, self.back.open("a") as back:
            for at in times:
                stamp = datetime.fromtimestamp(at, UTC).strftime("%b %d %H:%M:%S")
                front.write(f"{stamp} dnsmasq[31]: 1 {client}/4711 query[A] x.webhook.site from {client}\n")
                back.write(bind_line("x.webhook.site", "127.0.0.1", at + 0.2))

    def counts(self) -> dict[str, int]:
        """What the engine counted."""
        counters = self.daemon.engine.counters
        return {name: counters[name] for name in ("expected", "unexpected", "forwarded", "late")}

    def all_read(self) -> bool:
        """Whether both logs are at their end."""
        readers = self.daemon.following.readers.values()
        return all(r.position is not None and r.position.offset == r.path.stat().st_size for r in readers)

    async def settled(self) -> None:
        """Wait until everything was read, and let what is held be judged."""
        await soon(self.all_read)
        self.daemon.ledger.note(self.daemon.engine.advance(self.daemon.engine.log_now + 10, 0.0), 0)


async def test_restart_after_an_outage_blames_no_forwarder(tmp_path: Path) -> None:
    """Lookups that were made while it was down are the client's, not the forwarder's; expected: no alert at all."""
    running = Forwarding(tmp_path, "end")
    begun = time.time() // 1 - 600
    async with running:
        running.ask("10.0.10.7", begun)
        await running.settled()
        assert running.counts() == {"expected": 1, "unexpected": 0, "forwarded": 1, "late": 0}
    running.ask("10.0.10.7", *(begun + 15 * n for n in (1, 2, 3)))
    async with running:
        await running.settled()
        assert running.counts() == {"expected": 3, "unexpected": 0, "forwarded": 3, "late": 0}
        assert running.alerts() == []


@pytest.mark.parametrize("apart_s", [15.0, 6.0, 7200.0])
async def test_backlog_of_two_logs_is_counted_exactly(tmp_path: Path, apart_s: float) -> None:
    """`from: start` over two logs counts each lookup once, for the client that made it, however long the logs are."""
    running = Forwarding(tmp_path, "start")
    begun = time.time() // 1 - 400 * apart_s - 600
    for n in range(400):
        running.ask("10.0.10.8" if n % 4 == 0 else "10.0.10.7", begun + n * apart_s)
    with running.back.open("a") as back:  # this one is the forwarder's own
        back.write(bind_line("api.telegram.org", "127.0.0.1", begun + 400 * apart_s))
    async with running:
        await running.settled()
        assert running.counts() == {"expected": 300, "unexpected": 101, "forwarded": 400, "late": 0}
        await soon(lambda: len({alert["id"] for alert in running.alerts()}) == 2)
        alert = running.daemon.engine.open_alert("10.0.10.8", "webhook-site")
        assert alert is not None
        assert alert.count == 100
    assert {(one["client_ip"], one["service"]) for one in running.alerts()} == {
        ("10.0.10.8", "webhook-site"), ("127.0.0.1", "telegram-bot"),
    }  # fmt: skip


async def test_stopped_between_parts_of_a_block_counts_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stopped again and again in the middle of two woven blocks, it goes on behind the last part: counts stay exact."""
    running = Forwarding(tmp_path, "start")
    begun = time.time() // 1 - 9000
    running.ask("10.0.10.8", *(begun + 15 * n for n in range(400)))
    turn, turns = Weave.turn, 0
    monkeypatch.setattr(Weave, "turn", lambda *about: counted(*about))

    async def counted(woven: Weave, strand: Strand, at: float) -> float:
        nonlocal turns
        turns += 1
        if turns % 130 == 0:
            running.daemon.end()
            await asyncio.sleep(3600)  # until it is cancelled
        return await turn(woven, strand, at)

    stops = 0
    while True:
        await running.start()
        ending = asyncio.create_task(soon(lambda: running.daemon._end.is_set() or running.all_read()))
        await ending
        if not running.daemon._end.is_set():
            break
        await running._task
        stops += 1
    await running.settled()
    alert = running.daemon.engine.open_alert("10.0.10.8", "webhook-site")
    await running.stop()
    assert stops >= 3
    assert alert is not None
    assert alert.count == 400
    assert {one["client_ip"] for one in running.alerts()} == {"10.0.10.8"}


async def test_log_at_its_end_delays_no_alert(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A silent log, and one that does not exist, hold up no alert of another."""
    for name in ("STALLED_S", "PATIENCE_S"):  # nobody waits as long as that
        monkeypatch.setattr(weave, name, 1000.0)
    sources = (
        f"sources:\n- {{type: bind, path: {tmp_path}/query.log, timezone: UTC}}\n"
        f"- {{type: dnsmasq, path: {tmp_path}/silent.log, timezone: UTC}}\n"
        f"- {{type: dnsmasq, path: {tmp_path}/missing.log, timezone: UTC}}\n"
    )
    running = InLoop(tmp_path, sources=sources)
    running.log.touch()
    (tmp_path / "silent.log").touch()
    async with running:
        running.write(bind_line("api.telegram.org"))
        await soon(running.alerts)
