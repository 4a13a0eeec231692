"""From the outbox to the sinks: in order, at least once, nothing dropped, each sink for itself."""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from dnswatch.core.alerts.heartbeat import Heartbeat
from dnswatch.core.health.kinds import KINDS
from dnswatch.io import courier as module
from dnswatch.io.bounds import Bounds
from dnswatch.io.courier import Courier
from dnswatch.io.deliver import Acknowledgement, Delivery, Refused
from dnswatch.io.store import FILE, Store
from tests.io.making import alert


class Memory:
    """A sink that keeps what it gets, and fails when told to."""

    acknowledgement: Acknowledgement = "received"

    def __init__(self) -> None:
        self.seen: list[int] = []
        self.failing = False
        self.tried = 0
        self.hold: asyncio.Event | None = None

    async def send(self, batch: Sequence[Delivery]) -> None:
        self.tried += 1
        if self.hold is not None:
            await self.hold.wait()
        if self.failing:
            raise ConnectionResetError(104, "Connection reset by peer")
        self.seen += [one.seq for one in batch]

    async def close(self) -> None:
        return


async def until(true: Callable[[], bool]) -> None:
    """Wait for something that is about to happen."""
    async with asyncio.timeout(60):
        while not true():  # noqa: ASYNC110 (no event to wait for)
            await asyncio.sleep(0.002)


def courier(store: Store, sink: Memory, name: str = "siem", **options: object) -> Courier:
    made = Courier(store, name, sink, **options)  # type: ignore[arg-type]
    made.task._first_s = made.task._pause_s = 0.001
    made.task._most_s = 0.005
    return made


async def test_new_sink_starts_at_now_and_goes_on_after_a_restart(tmp_path: Path) -> None:
    """Alerts from before a sink was configured are not sent; those from while it was stopped are."""
    async with await Store.open(tmp_path / FILE) as store:
        await store.checkpoint([], None, [alert(1)])
        sink = Memory()
        first = courier(store, sink)
        await first.start()
        await store.checkpoint([], None, [alert(2)])
        first.wake()
        await until(lambda: sink.seen == [2])
        await first.stop()
        await store.checkpoint([], None, [alert(3), alert(4)])
        second = courier(store, sink)
        await second.start()
        await until(lambda: sink.seen == [2, 3, 4])
        await second.stop()
        assert (second.sent, second.skipped) == (2, 0)


async def test_what_was_just_stored_is_not_read_back(tmp_path: Path) -> None:
    """A sink that has everything before gets it as it was stored; one that has not reads the outbox, in order."""
    async with await Store.open(tmp_path / FILE) as store:
        looks: list[int] = []
        waiting = store.waiting

        async def counted(after: int, most: int, sink: str = "") -> Any:
            looks.append(after)
            return await waiting(after, most, sink)

        sink = Memory()
        one = courier(store, sink)
        await one.start()
        store.waiting = counted  # type: ignore[method-assign]
        await asyncio.sleep(0.05)
        looks.clear()
        one.wake(await store.checkpoint([], None, [alert(1), alert(2)]))
        await until(lambda: one.row()["cursor"] == 2)
        assert (sink.seen, looks) == ([1, 2], [])
        await store.checkpoint([], None, [alert(2), alert(3)])
        one.wake(await store.checkpoint([], None, [alert(4)]))
        await until(lambda: sink.seen == [1, 2, 3, 4])
        assert looks == [2]
        await one.stop()


async def test_failing_sink_loses_nothing_and_holds_up_nobody(tmp_path: Path) -> None:
    """While one sink fails the other goes on; when it works again it gets everything, in order."""
    async with await Store.open(tmp_path / FILE) as store:
        bad, good = Memory(), Memory()
        bad.failing = True
        couriers = [courier(store, bad, "bad"), courier(store, good, "good")]
        for one in couriers:
            await one.start()
        for number in range(1, 6):
            await store.checkpoint([], None, [alert(number)])
            for one in couriers:
                one.wake()
        await until(lambda: good.seen == [1, 2, 3, 4, 5] and bad.tried > 2)
        assert couriers[0].task.error == "Connection reset by peer"
        assert (await store.backlog())["bad"][0] == 5
        bad.failing = False
        await until(lambda: bad.seen == [1, 2, 3, 4, 5])
        await until(lambda: couriers[0].task.error == "")
        for one in couriers:
            await one.stop()


async def test_confirmations_of_a_burst_are_shared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is confirmed right behind another confirmation is stored with the next ones, and when the sink stops."""
    monkeypatch.setattr(module, "CONFIRM_S", 1.0)
    async with await Store.open(tmp_path / FILE) as store:
        confirm, stored = store.confirm, []

        async def counted(*arguments: Any) -> None:
            stored.append(arguments[1])
            await confirm(*arguments)

        store.confirm = counted  # type: ignore[assignment]
        sink = Memory()
        one = courier(store, sink)
        await one.start()
        for number in range(1, 6):
            one.wake(await store.checkpoint([], None, [alert(number)]))
            await until(lambda: len(sink.seen) == number)  # noqa: B023 (used at once)
        await until(lambda: stored[-1:] == [5])
        assert len(stored) < 5
        one.wake(await store.checkpoint([], None, [alert(6)]))
        await until(lambda: len(sink.seen) == 6)
        await one.stop()
        assert await store.cursors(["siem"]) == {"siem": 6}


async def test_min_severity_moves_the_cursor_past_what_it_leaves_out(tmp_path: Path) -> None:
    """Alerts below the sink's severity are skipped for good, not kept for later."""
    async with await Store.open(tmp_path / FILE) as store:
        sink = Memory()
        one = courier(store, sink, min_severity="high")
        await one.start()
        await store.checkpoint([], None, [alert(1, severity="low"), alert(2), alert(3, severity="medium")])
        one.wake()
        await until(lambda: one.skipped == 2)
        await one.stop()
        assert sink.seen == [2]
        assert await store.cursors(["siem"]) == {"siem": 3}


async def test_full_store_does_not_send_twice(tmp_path: Path) -> None:
    """While the cursor cannot be stored, nothing is handed over twice by this process; it is stored once it can be."""
    async with await Store.open(tmp_path / FILE) as store:
        sink = Memory()
        one = courier(store, sink)
        await one.start()
        confirm, failures = store.confirm, 0

        async def full(*arguments: Any) -> None:
            nonlocal failures
            failures += 1
            if failures < 4:
                raise OSError(28, "no space left for the store")
            await confirm(*arguments)

        store.confirm = full  # type: ignore[assignment]
        await store.checkpoint([], None, [alert(1)])
        one.wake()
        await until(lambda: one.task.failures >= 1)
        await store.checkpoint([], None, [alert(2)])
        one.wake()
        await until(lambda: sink.seen == [1, 2])
        await until(lambda: not one._unstored and one.task.error == "")
        assert await store.cursors(["siem"]) == {"siem": 2}
        await one.stop()


async def test_stop_finishes_the_batch(tmp_path: Path) -> None:
    """A sink that is stopped in mid-batch may finish it, and its cursor is stored."""
    async with await Store.open(tmp_path / FILE) as store:
        sink = Memory()
        sink.hold = asyncio.Event()
        one = courier(store, sink)
        await one.start()
        await store.checkpoint([], None, [alert(1)])
        one.wake()
        await until(lambda: sink.tried == 1)
        asyncio.get_running_loop().call_later(0.02, sink.hold.set)
        await one.stop()
        assert sink.seen == [1]
        assert await store.cursors(["siem"]) == {"siem": 1}


# ── Numbers ───────────────────────────────────────────────────────────────────────────────────────────────────


class Numbered(Memory):
    """Keeps numbers too, refuses what it is told to, holds for a while, and beats."""

    heartbeat_s = 0.0

    def __init__(self, hold_s: float = 0.0) -> None:
        super().__init__()
        self.numbers: list[tuple[int, int]] = []  # alert, number
        self.streams: set[str] = set()
        self.refuses: set[int] = set()  # alerts
        self.beats: list[Heartbeat] = []
        self.hold_s = hold_s
        self.broken = asyncio.Event()

    async def send(self, batch: Sequence[Delivery]) -> None:
        await super().send([])
        if any(int(one.alert.id) in self.refuses for one in batch):
            raise Refused("400 Bad Request")
        self.seen += [one.seq for one in batch]
        self.numbers += [(int(one.alert.id), one.number) for one in batch]
        self.streams |= {one.stream for one in batch}

    async def lost(self) -> None:
        await self.broken.wait()
        self.broken.clear()
        raise ConnectionResetError(104, "the receiver died")

    async def beat(self, heartbeat: Heartbeat, stream: str) -> None:
        self.beats.append(heartbeat)


async def test_numbers_go_on_without_a_gap_across_restarts(tmp_path: Path) -> None:
    """Each message of a sink has the next number, whatever was left out in between, and whoever was restarted."""
    for first in (1, 11):
        async with await Store.open(tmp_path / FILE) as store:
            sink = Numbered()
            one = courier(store, sink, min_severity="high")
            await one.start()
            severities = ["high", "low", "high", "low", "critical"]
            await store.checkpoint([], None, [alert(first + n, severity=each) for n, each in enumerate(severities)])
            one.wake()
            await until(lambda: len(sink.numbers) == 3 and one.row()["cursor"] % 5 == 0)  # noqa: B023 (used at once)
            await one.stop()
            begun = 1 if first == 1 else 4
            assert sink.numbers == [(first, begun), (first + 2, begun + 1), (first + 4, begun + 2)]
            assert len(sink.streams) == 1


# ── Hold ──────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_what_is_held_is_sent_again_under_its_number(tmp_path: Path) -> None:
    """The receiver dies within the hold: everything that it may have lost comes again; after the hold nothing does."""
    async with await Store.open(tmp_path / FILE) as store:
        sink = Numbered(hold_s=300)
        one = courier(store, sink)
        await one.start()
        for number in (1, 2):
            await store.checkpoint([], None, [alert(number)])
            one.wake()
            await until(lambda: len(sink.numbers) == number)  # noqa: B023 (used at once)
        await until(lambda: one.row()["held"] == 2)
        assert (one.sent, (await store.cursors(["siem"]))["siem"]) == (0, 0)
        sink.hold_s = 0.05
        sink.broken.set()
        await until(lambda: len(sink.numbers) == 4)
        assert sink.numbers == [(1, 1), (2, 2)] * 2
        await until(lambda: one.repeated == 2)
        await until(lambda: one.sent == 2)
        assert await store.cursors(["siem"]) == {"siem": 2}
        sink.broken.set()
        await store.checkpoint([], None, [alert(3)])
        one.wake()
        await until(lambda: (3, 3) in sink.numbers)
        assert sink.numbers.count((1, 1)) == 2
        await one.stop()


async def test_a_stop_within_the_hold_sends_again_at_the_next_start(tmp_path: Path) -> None:
    """A stop does not wait for the hold: what is held is not confirmed, and comes again under its number."""
    async with await Store.open(tmp_path / FILE) as store:
        for _ in range(2):
            sink = Numbered(hold_s=30)
            one = courier(store, sink)
            await one.start()
            if not await store.count_after(0):
                await store.checkpoint([], None, [alert(1)])
            one.wake()
            await until(lambda: bool(sink.numbers))  # noqa: B023 (used at once)
            await one.stop()
            assert sink.numbers == [(1, 1)]


# ── Dead letters ──────────────────────────────────────────────────────────────────────────────────────────────


async def test_poison_is_put_aside_and_can_be_tried_again(tmp_path: Path) -> None:
    """What a receiver refuses three times is a dead letter; the others go on, without a gap in their numbers."""
    async with await Store.open(tmp_path / FILE) as store:
        sink = Numbered()
        sink.refuses = {3}
        one = courier(store, sink)
        await one.start()
        await store.checkpoint([], None, [alert(number) for number in range(1, 8)])
        one.wake()
        await until(lambda: one.row()["cursor"] == 7)
        assert sink.numbers == [(1, 1), (2, 2), (4, 3), (5, 4), (6, 5), (7, 6)]
        (letter,) = await store.dead_letters()
        assert (letter.sink, letter.alert_id, letter.why) == ("siem", alert(3).id, "400 Bad Request")
        assert (one.task.failures, one.refused, one.task.error) == (2, 1, "")

        assert await store.ask_again("siem") == 1
        one.look((await store.backlog())["siem"])  # still refused: it goes back, and asks nothing more
        await until(lambda: one.refused == 2)
        assert (await store.backlog())["siem"][2:] == (1, False)

        sink.refuses = set()
        assert await store.ask_again("siem", [letter.id + 99]) == 0
        assert await store.ask_again("siem", [(await store.dead_letters())[0].id]) == 1
        one.look((await store.backlog())["siem"])
        await until(lambda: (3, 7) in sink.numbers)
        await until(lambda: one.sent == 7)
        await one.stop()
        assert await store.dead_letters() == []


async def test_a_revision_that_cannot_be_read_back_stops_nobody(tmp_path: Path) -> None:
    """A damaged row is a dead letter at once; the rest is delivered."""
    async with await Store.open(tmp_path / FILE) as store:
        sink = Numbered()
        one = courier(store, sink)
        await store.cursors(["siem"])
        await store.checkpoint([], None, [alert(1), alert(2), alert(3)])
        with store.write() as connection:
            connection.exec_driver_sql("UPDATE alert_rev SET data = '{\"id\": 1}' WHERE id LIKE '%2'")
        await one.start()
        await until(lambda: one.row()["cursor"] == 3)
        assert sink.numbers == [(1, 1), (3, 2)]
        assert "cannot be read back" in (await store.dead_letters())[0].why
        await one.stop()


async def test_going_back_sends_again_under_new_numbers(tmp_path: Path) -> None:
    """`sink requeue --from`: everything behind a number of the outbox comes again, and the numbering has no gap."""
    async with await Store.open(tmp_path / FILE) as store:
        sink = Numbered()
        one = courier(store, sink)
        await one.start()
        await store.checkpoint([], None, [alert(1), alert(2), alert(3)])
        one.wake()
        await until(lambda: one.sent == 3)
        assert await store.seq_before(0.0) == (0, 3)
        assert await store.ask_rewind("siem", 1)
        assert not await store.ask_rewind("nobody", 1)
        one.look((await store.backlog())["siem"])
        await until(lambda: one.sent == 5)
        assert sink.numbers[3:] == [(2, 4), (3, 5)]
        await one.stop()
        assert not (await store.backlog())["siem"].asked


# ── Bounds ────────────────────────────────────────────────────────────────────────────────────────────────────


class Told:
    """Takes blind spots."""

    def __init__(self) -> None:
        self.reported: list[str] = []
        self.cleared = 0

    def report(self, kind: str, subject: str, text: str) -> None:
        assert (kind in KINDS, subject) == (True, "siem")
        self.reported.append(text)

    def clear(self, kind: str, subject: str, text: str = "") -> None:
        self.cleared += 1


async def test_bounds_are_told_before_anything_is_dropped(tmp_path: Path) -> None:
    """Near the bound: an alert. Beyond it: first an alert, then the oldest go, counted, their numbers never come."""
    async with await Store.open(tmp_path / FILE) as store:
        sink, told = Numbered(), Told()
        sink.failing = True
        one = courier(store, sink, bounds=Bounds(rows=10, alarm=told))
        await one.start()

        async def look() -> None:
            one.look((await store.backlog())["siem"])

        await store.checkpoint([], None, [alert(number) for number in range(1, 8)])
        await look()
        assert told.reported == []
        await store.checkpoint([], None, [alert(8)])
        await look()
        assert len(told.reported) == 1
        assert "8 alerts wait" in told.reported[0]
        await store.checkpoint([], None, [alert(number) for number in range(9, 26)])
        await look()  # told at this very look too, but it was near before: now they may go
        await until(lambda: one.dropped == 15)
        assert "the oldest are dropped" in told.reported[-1]
        await look()
        sink.failing = False
        await until(lambda: one.sent == 10)
        assert sink.numbers == [(number, number) for number in range(16, 26)]  # 1 … 15 will never come: a gap
        await one.stop()
        await look()
        assert told.cleared
        assert (await store.stream("siem")).dropped == 15
        assert await store.alerts(), "dropped alerts stay in the store"


async def test_a_bound_jumped_over_is_told_first(tmp_path: Path) -> None:
    """From nothing to beyond the bound at once (a reload with a smaller one): the first look only tells."""
    async with await Store.open(tmp_path / FILE) as store:
        sink, told = Numbered(), Told()
        sink.failing = True
        one = courier(store, sink, bounds=Bounds(rows=10, alarm=told))
        await one.start()
        await store.checkpoint([], None, [alert(number) for number in range(1, 31)])
        one.look((await store.backlog())["siem"])
        tried = sink.tried
        one.wake()
        await until(lambda: sink.tried > tried + 1)
        assert (len(told.reported), one.dropped) == (1, 0)
        one.look((await store.backlog())["siem"])
        await until(lambda: one.dropped == 20)
        await one.stop()


async def test_what_waits_too_long_is_dropped_by_age(tmp_path: Path) -> None:
    """Older than the bound: gone, the younger stay."""
    async with await Store.open(tmp_path / FILE) as store:
        sink = Numbered()
        sink.failing = True
        one = courier(store, sink, bounds=Bounds(age_s=3600.0))
        await one.start()
        await store.checkpoint([], None, [alert(1), alert(2)])
        with store.write() as connection:
            connection.exec_driver_sql("UPDATE outbox SET at_wall = at_wall - 4000 WHERE seq = 1")
        for _ in range(2):
            one.look((await store.backlog())["siem"])
        await until(lambda: one.dropped == 1)
        sink.failing = False
        await until(lambda: sink.numbers == [(2, 2)])
        await one.stop()


# ── Heartbeats ────────────────────────────────────────────────────────────────────────────────────────────────


async def test_heartbeats_follow_what_they_count(tmp_path: Path) -> None:
    """The first at once, then one per interval; each says the number of the last message before it."""
    async with await Store.open(tmp_path / FILE) as store:
        sink = Numbered()
        sink.heartbeat_s = 0.05
        one = courier(store, sink)
        await one.start()
        await until(lambda: bool(sink.beats))
        assert sink.beats[0].sequence == 0
        await store.checkpoint([], None, [alert(1), alert(2)])
        one.wake()
        await until(lambda: sink.beats[-1].sequence == 2)
        await one.stop()
        assert [beat.sequence for beat in sink.beats] == sorted(beat.sequence for beat in sink.beats)
