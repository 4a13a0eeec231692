"""Weaving several logs together by time while they are caught up with, as ``replay.py`` does for a scan.

A reader takes its turn before what it read reaches the engine: it waits until no other log that still has something to
be read is behind that time. A lookup that stands in two logs, at a resolver and at the one in front of it, is thus seen
in the same order after an outage as it would have been live. A log that was read to its end holds up nobody, nor does
one that cannot be read. Never: reads, or keeps lines. Read next: ``ingest.py``.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from collections.abc import Callable
from contextlib import suppress
from typing import Literal

from dnswatch.core.logs.digest import Digested

STALLED_S = 1.5
"""A log with more to read is waited for this long without any progress: longer than the tail's safety poll (1 s)."""
PATIENCE_S = 1.0
"""A block of a live log waits this long for what another live log has just got: alerts are due within 2 s."""
SLICE_S = 0.1
"""A wait is counted in slices of at most this long: when the whole program stood still, nobody was slow."""

Behind = Literal["", "fresh", "backlog"]
"""What a log still has to be read: nothing, a few lines since its end was reached, or its end was not reached yet."""


class Strand:
    """One log's place in time: everything before `at` has reached the engine."""

    def __init__(self, behind: Callable[[], Behind]) -> None:
        self.at = 0.0
        self.inside = False  # it has a block in hand
        self.silent_s = 0.0  # others waited this long while nothing came of it
        self.waited_s = 0.0  # its block waited this long
        self.behind = behind


class Weave:
    """The strands of all logs that are followed."""

    def __init__(self) -> None:
        self._strands: list[Strand] = []
        self._moved = asyncio.Event()

    def add(self, behind: Callable[[], Behind]) -> Strand:
        """Take a log into account from now on."""
        strand = Strand(behind)
        self._strands.append(strand)
        return strand

    def drop(self, strand: Strand) -> None:
        """Forget a log that is not followed any more."""
        self._strands.remove(strand)
        self._wake()

    def enter(self, strand: Strand) -> None:
        """Note that a block was read."""
        strand.inside, strand.silent_s, strand.waited_s = True, 0.0, 0.0

    def leave(self, strand: Strand, at: float) -> None:
        """Note that a block was dealt with, up to the stamp ``at``."""
        strand.inside, strand.silent_s = False, 0.0
        strand.at = max(strand.at, at)
        self._wake()

    async def turn(self, strand: Strand, at: float) -> float:
        """Wait until a line stamped ``at`` may reach the engine; give the stamp up to which further ones may."""
        if at > strand.at:
            strand.at = at
            self._wake()
        loop = asyncio.get_running_loop()
        while (limit := self._limit(strand)) < strand.at:
            moved, begun = self._moved, loop.time()
            with suppress(TimeoutError):
                async with asyncio.timeout(SLICE_S):
                    await moved.wait()
            took = min(loop.time() - begun, SLICE_S)
            strand.waited_s += took
            for other in self._strands:
                if other.at < strand.at:
                    other.silent_s += took
        return limit

    def _limit(self, strand: Strand) -> float:
        return min((one.at for one in self._strands if one is not strand and self._counts(one, strand)),
                   default=float("inf"))  # fmt: skip

    @staticmethod
    def _counts(other: Strand, strand: Strand) -> bool:
        """Say whether ``strand`` must not get ahead of the other one."""
        if other.inside:
            return True
        behind = other.behind()
        if not behind or other.silent_s >= STALLED_S:
            return False
        return behind == "backlog" or strand.waited_s < PATIENCE_S

    def _wake(self) -> None:
        self._moved.set()
        self._moved = asyncio.Event()


class Pieces:
    """A block, cut between its events where those of other logs belong."""

    def __init__(self, digested: Digested) -> None:
        self.done = False
        self._digested = digested
        self._event = 0  # the next one
        self._sample = 0

    @property
    def offset(self) -> int:
        """Where the next event stands in the file; only while not `done`."""
        return self._digested.events[self._event].offset

    def first_at(self) -> float:
        """Give the stamp of what comes next; 0.0 where it has none."""
        events, samples = self._digested.events, self._digested.samples
        sample = next((one for one in samples[self._sample : self._sample + 1] if one[1] is not None), None)
        if self._event < len(events) and (sample is None or self.offset <= sample[0]):
            return events[self._event].at
        return sample[1].at if sample is not None and sample[1] is not None else 0.0

    def take(self, limit: float) -> Digested:
        """Give what comes before the first event that is newer than ``limit``."""
        events, samples = self._digested.events, self._digested.samples
        end = begun = self._event
        while end < len(events) and (
            events[end].at <= limit or (end > begun and events[end].offset == events[end - 1].offset)
        ):
            end += 1
        self.done = end == len(events)
        sampled = len(samples)
        if not self.done:
            sampled = bisect_left(samples, events[end].offset, self._sample, key=lambda sample: sample[0])
        piece = self._digested._replace(events=events[begun:end], samples=samples[self._sample : sampled])
        self._event, self._sample = end, sampled
        return piece
