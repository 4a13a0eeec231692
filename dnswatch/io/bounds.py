"""How much may wait for a sink, and the word that is given before the oldest is dropped.

Never: drops anything (``courier.py`` does, when `Bounds.look` says so). Read next: ``courier.py``.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Protocol

from dnswatch.io.store import Backlog

KIND = "outbox-full"
"""The blind spot, as ``core/health/kinds.py`` describes it."""
NEAR, RELIEVED = 0.8, 0.5
"""Shares of the bounds at which it is told, and told to be over."""


class Alarm(Protocol):
    """Where blind spots are told (``io/blind_spots.py``)."""

    def report(self, kind: str, subject: str, text: str) -> None:
        """Say that it holds."""

    def clear(self, kind: str, subject: str, text: str = "") -> None:
        """Say that it is over."""


@dataclass(slots=True)
class Bounds:
    """What may wait for one sink; beyond it the oldest goes."""

    rows: int = 100_000
    age_s: float = 7 * 86400.0
    alarm: Alarm | None = None
    _told: bool = field(default=False, init=False)  # at an earlier look

    def look(self, sink: str, backlog: Backlog, error: str) -> bool:
        """Tell the alarm what waits; True: too much does, and an earlier look has told that it would come to this."""
        age_s = 0.0 if backlog.oldest_at is None else time.time() - backlog.oldest_at
        full = max(backlog.rows / self.rows, age_s / self.age_s)
        over = full > 1 and self._told
        self._told = full >= NEAR
        if self.alarm is None:
            return over
        if self._told:
            text = f"{backlog.rows:,} alerts wait, the oldest for {age_s / 3600:.1f} h: {full:.0%} of what it may keep"
            text += f" ({error})" if error else ""
            self.alarm.report(KIND, sink, f"{text}; {'' if full > 1 else 'then '}the oldest are dropped")
        elif full < RELIEVED:
            self.alarm.clear(KIND, sink)
        return over
