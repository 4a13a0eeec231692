"""From the outbox to the sinks: in order, at least once, nothing dropped, each sink for itself."""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from dnswatch.io.courier import Courier
from dnswatch.io.deliver import Acknowledgement, Delivery
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
    async with asyncio.timeout(5):
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
    """When the cursor cannot be stored, what was handed over is not handed over again by this process."""
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
        await until(lambda: one.task.failures == 1)
        await store.checkpoint([], None, [alert(2)])
        one.wake()
        await until(lambda: sink.seen == [1, 2])
        await until(lambda: failures == 4 or one.task.failures == 2)
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
