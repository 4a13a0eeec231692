"""The law of delivery: whatever fails, dies or restarts, each alert arrives, under one number, and none is missing."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Sequence
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from dnswatch.io.courier import Courier
from dnswatch.io.deliver import Acknowledgement, Delivery, Refused
from dnswatch.io.store import FILE, Store
from tests.io.making import alert


class Shaky:
    """A receiver that takes a part of a batch and fails, loses what it holds when it dies, and refuses some alerts."""

    acknowledgement: Acknowledgement = "hold"

    def __init__(self, hold_s: float, refuses: frozenset[int]) -> None:
        self.hold_s = hold_s
        self.kept: list[tuple[int, int]] = []  # alert, number: what survived
        self.fails: list[int] = []  # for each batch to come: how many it takes before it fails; -1: all of it
        self._unsafe: list[tuple[int, int]] = []
        self._refuses = refuses
        self._died = asyncio.Event()

    async def send(self, batch: Sequence[Delivery]) -> None:
        if any(int(one.alert.id) in self._refuses for one in batch):
            raise Refused("no")
        takes = self.fails.pop(0) if self.fails else -1
        came = [(int(one.alert.id), one.number) for one in batch]
        self._unsafe += came if takes < 0 else came[:takes]
        if not self.hold_s:
            self.survive()
        if takes >= 0:
            raise ConnectionResetError(104, "reset")

    def survive(self) -> None:
        """Store what was taken."""
        self.kept += self._unsafe
        self._unsafe.clear()

    def die(self) -> None:
        """Lose what was taken and not stored; the sender sees the end of the connection."""
        self._unsafe.clear()
        self._died.set()

    async def lost(self) -> None:
        await self._died.wait()
        self._died.clear()
        raise ConnectionResetError(104, "died")

    async def close(self) -> None:
        return


STEPS = st.one_of(
    st.tuples(st.just("alerts"), st.integers(1, 5)),
    st.tuples(st.just("fail"), st.integers(0, 4)),
    st.tuples(st.just("die"), st.just(0)),
    st.tuples(st.just("restart"), st.just(0)),
    st.tuples(st.just("pause"), st.just(0)),
)


@settings(deadline=None, max_examples=20)
@given(
    steps=st.lists(STEPS, min_size=2, max_size=12),
    hold_s=st.sampled_from([0.0, 0.03]),
    refuses=st.frozensets(st.integers(1, 12), max_size=2),
)
def test_each_alert_arrives_under_one_number(
    steps: list[tuple[str, int]], hold_s: float, refuses: frozenset[int]
) -> None:
    """What is not refused arrives, in order of first arrival; numbers are 1 … N, each of one alert."""
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(run(Path(folder) / FILE, steps, hold_s, refuses))


async def run(path: Path, steps: list[tuple[str, int]], hold_s: float, refuses: frozenset[int]) -> None:
    sink = Shaky(hold_s, refuses)
    stored = 0
    async with await Store.open(path) as store:
        courier = await started(store, sink)
        for what, count in steps:
            if what == "alerts":
                await store.checkpoint([], None, [alert(stored + n) for n in range(1, count + 1)])
                stored += count
                courier.wake()
            elif what == "fail":
                sink.fails.append(count)
            elif what == "die":
                sink.die()
            elif what == "restart":
                assert courier._running is not None
                courier._running.cancel()  # as a crash: nothing is finished
                await asyncio.gather(courier._running, return_exceptions=True)
                courier = await started(store, sink)
            else:
                await asyncio.sleep(0.01)
        sink.fails.clear()
        async with asyncio.timeout(120):
            while courier.row()["cursor"] < stored:  # noqa: ASYNC110 (confirmed after the hold)
                await asyncio.sleep(0.005)
        await courier.stop()
    sink.survive()  # it lived through the hold
    wanted = [number for number in range(1, stored + 1) if number not in refuses]
    assert list(dict.fromkeys(one for one, _ in sink.kept)) == wanted
    assert len(set(sink.kept)) == len(wanted)
    assert sorted(number for _, number in set(sink.kept)) == list(range(1, len(wanted) + 1))


async def started(store: Store, sink: Shaky) -> Courier:
    courier = Courier(store, "siem", sink)
    courier.task._first_s = courier.task._pause_s = 0.001
    courier.task._most_s = 0.003
    await courier.start()
    return courier
