"""From the outbox to one sink: an ordered cursor, numbered messages, a hold for what a receiver may still lose.

A sink sees only checkpointed revisions, in decision order, each until it is confirmed: delivery is at least once, and
(id, rev), or (stream, number), tells a repeated one. What a receiver refuses for good is put aside; what exceeds the
sink's bounds is dropped, oldest first, after a blind-spot alert said that it would be. Never: retries; a failing `send`
raises through to ``supervise.py``, which comes back here, to the first message that is not confirmed. Read next:
``io/store/outbox.py``, ``io/sinks/``.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter, deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from dnswatch.core.alerts.heartbeat import Heartbeat
from dnswatch.core.model import SEVERITIES, Alert, Severity
from dnswatch.io.bounds import Bounds
from dnswatch.io.deliver import BeatingSink, Delivery, HoldingSink, Refused, RoutedSink, Sink
from dnswatch.io.store import Backlog, Place, Queued, Store, Unreadable
from dnswatch.io.supervise import Supervised, describe

BATCH = 500
"""Revisions handed over at once (delivery.md §1.5): bounds what is sent twice after a broken connection."""
STOP_S = 4.0
"""A sink that is told to stop may finish its batch for this long; half of what SIGTERM allows us."""
CONFIRM_S = 0.25
"""Confirmations are stored at once, but not sooner after the last one: each is a transaction, and what a crash in
between makes come again comes under its number."""
TRIES = 3
"""A revision that is refused this often is a dead letter (delivery.md §1.5)."""
STARTED_AT = time.time()

log = logging.getLogger("dnswatch")


@dataclass(frozen=True, slots=True)
class Item:
    """A revision that waits: from the outbox, or a dead letter that is tried again (``letter``)."""

    seq: int
    alert: Alert | Unreadable
    letter: int = 0

    @property
    def key(self) -> tuple[str, int]:
        return self.alert.id, self.alert.rev


@dataclass(frozen=True, slots=True)
class Held:
    """What a receiver has taken and may still lose."""

    until: float  # monotonic
    place: Place
    count: int
    letters: tuple[int, ...]


class Courier:
    """Carries the outbox to one sink, from where its stored cursor stands."""

    def __init__(
        self,
        store: Store,
        name: str,
        sink: Sink,
        min_severity: Severity = "info",
        bounds: Bounds | None = None,
    ) -> None:
        self.name = name
        self.sent = 0  # confirmed
        self.repeated = 0  # sent again, because the receiver may have lost it
        self.skipped = 0  # below min_severity
        self.dropped = 0  # ever, by the bounds
        self.refused = 0  # put aside as dead letters by this process
        self.beats = 0
        self.last_at = 0.0  # wall time of the last batch handed over
        self.task = Supervised(f"sink {name}", self._run)
        self._store = store
        self._sink = sink
        self._holding = sink if isinstance(sink, HoldingSink) else None  # asked for each alert, and dear to find out
        self._beating = sink if isinstance(sink, BeatingSink) else None
        self._least = SEVERITIES.index(min_severity)
        self._bounds = bounds or Bounds()
        self._wake = asyncio.Event()
        self._queued: Queued | None = None
        self._stopping = False
        self._running: asyncio.Task[None] | None = None
        self._stream = ""
        self._at = self._confirmed = Place(-1, 0)  # handed over · confirmed, which the store knows or will know
        self._highest = 0  # number of the last message ever handed over
        self._held: deque[Held] = deque()
        self._digging: set[int] = set()  # letters that are held
        self._gone: set[int] = set()  # letters that are confirmed, which the store does not know yet
        self._unstored = False  # `_confirmed` and `_gone`: others were stored just now, or the disk was full
        self._store_at = 0.0  # monotonic, not before then
        self._tries: Counter[tuple[str, int]] = Counter()
        self._backlog = Backlog(0, None)
        self._asked = True  # `sink requeue` may have asked while nobody ran
        self._over = False  # more waits than may
        self._beat_at = 0.0  # monotonic

    # ── Life ──────────────────────────────────────────────────────────────────────────────────────────────────

    async def start(self) -> None:
        """Make sure that the sink has a cursor (a new sink starts at now) and begin to deliver."""
        stream = await self._store.stream(self.name)
        self._at = self._confirmed = stream.place
        self._highest, self._stream, self.dropped = stream.place.number, stream.name, stream.dropped
        self._running = asyncio.create_task(self.task.run(), name=self.task.name)

    def wake(self, queued: Queued | None = None) -> None:
        """Say that the outbox has grown, by these."""
        self._queued = queued
        self._wake.set()

    def look(self, backlog: Backlog) -> None:
        """Take notice of what waits for this sink and of what is asked of it."""
        self._backlog = backlog
        self._over = self._bounds.look(self.name, backlog, self.task.error)
        self._asked = self._asked or backlog.asked
        if self._over or backlog.asked:
            self._wake.set()

    async def stop(self, drain: bool = True) -> None:
        """Stop between two batches; with ``drain`` hand over what is there first, as far as `STOP_S` allows.

        What is held is not waited for: it is sent again at the next start.
        """
        if self._running is None:
            return
        self._stopping = True
        self._wake.set()
        if self.task.error or not drain:  # it fails or waits: there is nothing to finish
            self._running.cancel()
        await asyncio.wait([self._running], timeout=STOP_S)
        self._running.cancel()
        await asyncio.gather(self._running, return_exceptions=True)
        self._running = None
        if self._unstored:
            with suppress(OSError):  # it is sent again at the next start
                await self._store_place()
        await self._sink.close()

    def row(self) -> dict[str, Any]:
        """Give what `status`, `sink list` and metrics show."""
        oldest_at = self._backlog.oldest_at
        return {
            "sent": self.sent, "skipped": self.skipped, "repeated": self.repeated, "dropped": self.dropped,
            "dead": self._backlog.dead, "held": sum(one.count for one in self._held), "last_at": self.last_at or None,
            "backlog": self._backlog.rows, "oldest_s": round(time.time() - oldest_at, 1) if oldest_at else 0.0,
            "acknowledgement": self._sink.acknowledgement, "beats": self.beats,
            "route": self._sink.route if isinstance(self._sink, RoutedSink) else "",
            "stream": self._stream, "number": self._at.number, "cursor": self._confirmed.seq,
            "error": self.task.error, "error_since": self.task.since if self.task.error else None,
            "failures": self.task.failures, "failing": int(bool(self.task.error)),
        }  # fmt: skip

    # ── Delivering ────────────────────────────────────────────────────────────────────────────────────────────

    async def _run(self) -> None:
        self._at = self._confirmed  # whatever is held may be lost: again from here
        self._held.clear()
        self._digging.clear()
        try:
            while True:
                self._wake.clear()
                await self._settle()
                if self._asked:
                    await self._obey()
                if self._over:
                    await self._drop()
                await self._beat()
                waiting = self._next() or await self._store.waiting(self._at.seq, BATCH, self.name)
                if waiting:
                    await self._hand_over(waiting[-1][0], [Item(seq, alert) for seq, alert in waiting if alert])
                elif self._stopping:
                    return
                elif self._unstored and time.monotonic() >= self._store_at:
                    await self._store_place()
                if len(waiting) < BATCH:  # that was all: whoever adds something wakes us
                    await self._rest()
        finally:
            await self._sink.close()

    def _next(self) -> list[tuple[int, Alert | Unreadable | None]]:
        """Give what was put into the outbox right behind where we stand, without reading it back."""
        queued, self._queued = self._queued, None
        if queued is None or queued.after != self._at.seq or len(queued.rows) >= BATCH:
            return []
        return list(queued.rows)

    async def _hand_over(self, last: int, batch: list[Item]) -> None:
        """Send what the sink wants of the batch, and leave everything up to ``last`` behind."""
        wanted = [one for one in batch if isinstance(one.alert, Unreadable) or self._wants(one.alert)]
        if wanted:
            await self._give(wanted)
        self.skipped += len(batch) - len(wanted)
        if last > self._at.seq:
            await self._move(Place(last, self._at.number), 0, ())

    async def _give(self, items: list[Item]) -> None:
        """Send; where something is refused, the halves by themselves, until it is found."""
        for item in items:
            if isinstance(item.alert, Unreadable):
                await self._bury(item, item.alert.why)
        items = [one for one in items if not isinstance(one.alert, Unreadable)]
        deliveries = [
            Delivery(item.seq, item.alert, number, self._stream)
            for number, item in enumerate(items, self._at.number + 1)
            if isinstance(item.alert, Alert)  # as all are now
        ]
        if not items:
            return
        try:
            await self._sink.send(deliveries)
        except Refused as refused:
            if len(items) > 1:
                middle = len(items) // 2
                await self._give(items[:middle])
                await self._give(items[middle:])
                return
            self._tries[items[0].key] += 1
            if self._tries[items[0].key] < TRIES:
                raise
            del self._tries[items[0].key]
            await self._bury(items[0], describe(refused))
            return
        self.last_at = time.time()
        await self._sent(items, deliveries[-1].number)

    async def _sent(self, items: Sequence[Item], number: int) -> None:
        """Note that the receiver has taken these."""
        self.repeated += max(0, min(self._highest, number) - self._at.number)
        self._highest = max(self._highest, number)
        letters = tuple(one.letter for one in items if one.letter)
        seq = max(self._at.seq, *(one.seq for one in items if not one.letter), -1)
        await self._move(Place(seq, number), len(items), letters)

    async def _move(self, place: Place, count: int, letters: tuple[int, ...]) -> None:
        """Stand at ``place`` now: confirmed at once, or when the receiver has lived for the hold."""
        self._at = place
        hold_s = self._holding.hold_s if self._holding is not None else 0.0
        if not self._held and (not hold_s or not count):
            await self._confirm(place, count, letters)
            return
        self._digging.update(letters)
        self._held.append(Held(time.monotonic() + hold_s, place, count, letters))

    async def _settle(self) -> None:
        """Confirm what has been held long enough."""
        count, place = 0, None
        letters: list[int] = []
        while self._held and self._held[0].until <= time.monotonic():
            one = self._held.popleft()
            count, place = count + one.count, one.place
            letters += one.letters
        if place is not None:
            await self._confirm(place, count, tuple(letters))

    async def _confirm(self, place: Place, count: int, letters: tuple[int, ...]) -> None:
        # Moved in memory first: when the store is full, the sink must not get the same batch again and again.
        self._confirmed = place
        self._gone.update(letters)
        self.sent += count
        self._unstored = True
        if letters or self.task.error or time.monotonic() >= self._store_at:
            await self._store_place()

    async def _store_place(self) -> None:
        """Store what is confirmed; what a full disk refuses is stored later."""
        gone = frozenset(self._gone)
        await self._store.confirm(self.name, *self._confirmed, self.dropped, gone)
        self._unstored, self._store_at = False, time.monotonic() + CONFIRM_S
        self._gone -= gone
        self._digging -= gone
        self.task.progress()

    def _wants(self, alert: Alert) -> bool:
        return SEVERITIES.index(alert.severity) >= self._least

    async def _bury(self, item: Item, why: str) -> None:
        """Put a revision aside that the receiver will never take."""
        alert = item.alert
        await self._store.bury(self.name, item.seq, alert.id, alert.rev, why)
        self.refused += 1
        log.warning("sink %s: alert %s revision %d put aside as a dead letter: %s", self.name, alert.id, alert.rev, why)

    async def _rest(self) -> None:
        """Wait until there is something to do."""
        now = time.monotonic()
        ends = [self._held[0].until - now] if self._held else []
        if self._every_s():
            ends.append(self._beat_at - now)
        if self._unstored:
            ends.append(self._store_at - now)
        timeout_s = max(0.0, min(ends)) if ends else None
        if not self._held or self._holding is None:
            with suppress(TimeoutError):
                async with asyncio.timeout(timeout_s):
                    await self._wake.wait()
            return
        waits: list[asyncio.Task[Any]] = [
            asyncio.create_task(self._wake.wait()), asyncio.create_task(self._holding.lost()),
        ]  # fmt: skip
        try:
            done, _ = await asyncio.wait(waits, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
            for one in done:
                one.result()  # raises what `lost` raises
        finally:
            for one in waits:
                one.cancel()
            await asyncio.gather(*waits, return_exceptions=True)

    # ── What else there is to do ──────────────────────────────────────────────────────────────────────────────

    async def _obey(self) -> None:
        """Do what `sink requeue` asks: go back in the outbox, or try dead letters again."""
        if self._unstored:  # letters take their numbers behind what the store knows
            await self._store_place()
        if (seq := await self._store.take_rewind(self.name)) is not None and seq < self._at.seq:
            log.info("sink %s: sends again from %d on", self.name, seq + 1)
            # The receiver has had these under other numbers; the numbering goes on, so that it stays without a gap.
            self._at = self._confirmed = Place(min(seq, self._confirmed.seq), self._at.number)
            self._held.clear()
            await self._store.confirm(self.name, self._at.seq, self._at.number)
        found = await self._store.requeued(self.name, BATCH)
        letters = [Item(one.seq, alert, one.id) for one, alert in found if one.id not in self._digging | self._gone]
        if letters:
            await self._give(letters)
        self._asked = len(found) == BATCH  # not before: a failure must come back here

    async def _drop(self) -> None:
        """Give up the oldest of what exceeds the bounds; their numbers are used up, so the receiver sees the gap."""
        last = await self._store.beyond(self.name, self._bounds.rows, time.time() - self._bounds.age_s)
        gone = 0
        while self._at.seq < last:
            waiting = await self._store.waiting(self._at.seq, BATCH, self.name)
            waiting = [one for one in waiting if one[0] <= last]
            if not waiting:
                break
            wanted = sum(1 for _, alert in waiting if isinstance(alert, Unreadable) or (alert and self._wants(alert)))
            gone += wanted
            self.dropped += wanted
            self._highest = max(self._highest, self._at.number + wanted)
            await self._move(Place(waiting[-1][0], self._at.number + wanted), 0, ())
        if gone:
            log.error("sink %s: dropped the %d oldest alerts that waited; they stay in the store", self.name, gone)
        self._over = False

    def _every_s(self) -> float:
        return self._beating.heartbeat_s if self._beating is not None else 0.0

    async def _beat(self) -> None:
        """Tell the receiver that all is well, when it is time."""
        every_s = self._every_s()
        if not every_s or time.monotonic() < self._beat_at or self._beating is None:
            return
        self._backlog = (await self._store.backlog()).get(self.name, self._backlog)  # now, not at the last look
        now = time.time()
        oldest = 0 if self._backlog.oldest_at is None else round(now - self._backlog.oldest_at)
        await self._beating.beat(
            Heartbeat(
                at=now, every=round(every_s), sequence=self._at.number, waiting=self._backlog.rows, oldest=oldest,
                dropped=self.dropped, refused=self._backlog.dead, uptime=round(now - STARTED_AT),
            ),
            self._stream,
        )  # fmt: skip
        self._beat_at = time.monotonic() + every_s
        self.beats += 1
        self.task.progress()
