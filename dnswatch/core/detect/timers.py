"""Deadlines in log time: what is due fires in time order, ties in order of kind and key.

A timer that nobody needs any more is not searched for; whoever set it sees at its deadline that it is void. Never:
calls anybody. Read next: ``engine.py``.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable

SLACK = 10_000
"""Void timers tolerated before `overgrown` asks for a rebuild."""


Timer = tuple[float, str, str]
"""When, what for (``episode``, ``leak``, ``hold``, ``review``, ``snooze``, ``strangers``), and the row it is about."""


class Timers:
    """A heap of timers."""

    __slots__ = ("_heap", "next_at")

    def __init__(self, timers: Iterable[Timer] = ()) -> None:
        self._heap = list(timers)
        heapq.heapify(self._heap)
        self.next_at = self._heap[0][0] if self._heap else math.inf  # of the first; asked for with every line

    def __len__(self) -> int:
        return len(self._heap)

    def push(self, deadline: float, kind: str, key: str) -> None:
        """Set a timer."""
        heapq.heappush(self._heap, (deadline, kind, key))
        if deadline < self.next_at:
            self.next_at = deadline

    def pop(self) -> Timer:
        """Take out the first timer: it is due as soon as the time is past ``next_at``."""
        heap = self._heap
        first = heapq.heappop(heap)
        self.next_at = heap[0][0] if heap else math.inf
        return first

    def overgrown(self, needed: int) -> bool:
        """Say whether void timers outnumber the needed ones by far: a flood of short-lived rows leaves them behind."""
        return len(self._heap) > 2 * needed + SLACK
