"""How busy a log usually is at this hour of this weekday, and from when on its silence is strange.

Learned from lines as they come, by wall time in UTC, in whole hours through which the log was followed live. The least
that was seen at an hour counts, its neighbours' too (habits follow local time, which a change of daylight saving shifts
by an hour): a site that is quiet on Sundays is expected to be quiet on Sundays. Never: learns from a backlog, nor from
a silence that was told. Read next: ``monitor.py``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

HOUR_S = 3600
WEEK = 168
LOOKED_S = 600.0
"""Looks farther apart than this leave an hour unknown; they are two seconds apart, a restart takes seconds."""
STORED_S = 300.0
"""How old the stored part of this hour may be: what it misses makes the habit a little lower, and a row each checkpoint
would keep disks awake."""
REMEMBERED = 4
"""Weeks: what was quiet once in the last month may be quiet again."""
ENOUGH = 2
"""Weeks in which an hour was seen before it counts."""
MISSING = 30.0
"""Lines that should have come at the least ever seen: by chance none comes once in 10^13 (Poisson), bursts apart."""
LEAST_S = 300.0
"""No silence shorter than this is told: a restart of the server, a rotation, a cache that answers for clients."""
TIMES_LONGEST = 8.0
"""Before an hour's habit is known: so many times the longest silence so far. A night of 8 h makes it a weekend."""
EARLY_LEAST_S, EARLY_MOST_S = 3600.0, 3 * 86_400.0
EARLY_AFTER_S = 8 * 86_400.0
"""A log must have been followed through a weekend before its longest silence says anything: till then three days do."""


class Profile:
    """What is usual for one log."""

    def __init__(self) -> None:
        self.slots: list[list[int]] = [[] for _ in range(WEEK)]  # lines per hour, by hour of the week (UTC)
        self.longest_s = 0.0  # the longest silence that was not told
        self.watched_s = 0.0  # followed live for this long, ever
        self.parsed: float | None = None  # share of the sampled lines that parse, usually: `Parsing`
        self.tells: float | None = None  # share of them that tell something, of all but other programs' lines
        self.foreign = 0.0  # share of other programs' lines
        self.unknown = 0.0  # share of lines that are nobody's that we know
        self.changed = False
        self._hour = -1  # the hour that is counted
        self._lines = 0.0
        self._whole = False
        self._last_at = 0.0
        self._stored_at = 0.0
        self._fresh = False  # lines came since

    def live(self, now: float, lines: float, silence_s: float, told: bool) -> None:
        """Learn from a look at a log that is read to its end.

        ``lines`` came since the last look, after ``silence_s``; ``told``: there was an alert for it, or is.
        """
        if self._last_at:
            self.watched_s += min(max(now - self._last_at, 0.0), LOOKED_S)
        self.pause(now)
        hour = int(now) // HOUR_S
        self._fresh = self._fresh or lines > 0
        if self._fresh and now - self._stored_at >= STORED_S:
            self._stored_at, self._fresh, self.changed = now, False, True
        if hour != self._hour:
            if self._whole and hour == self._hour + 1:
                self._observe(self._hour)
            self._whole = 0 <= now - self._last_at <= LOOKED_S  # looked at until the hour began
            self._hour, self._lines = hour, 0.0
            self.changed = True
        self._last_at = now
        self._lines += lines
        if told:
            self._whole = False  # an outage is no habit
        elif lines and silence_s > self.longest_s:
            self.longest_s = silence_s

    def pause(self, now: float) -> None:
        """Note that nobody knows at this moment: a restart, a rotation. The hour tells nothing if it lasts."""
        if not 0 <= now - self._last_at <= LOOKED_S:
            self.blind()

    def blind(self) -> None:
        """Note that the log is not followed live: this hour tells nothing."""
        self._whole, self._last_at = False, 0.0

    def _observe(self, hour: int) -> None:
        slot = self.slots[hour % WEEK]
        slot.append(round(self._lines))
        del slot[:-REMEMBERED]

    def expected(self, since: float, now: float) -> float:
        """Give how many lines should have come at the very least between two times."""
        total, at = 0.0, since
        while at < now:
            end = min((int(at) // HOUR_S + 1) * HOUR_S, now)
            total += self._least(int(at) // HOUR_S) * (end - at) / HOUR_S
            at = end
        return total

    def _least(self, hour: int) -> int:
        if len(self.slots[hour % WEEK]) < ENOUGH:
            return 0
        return min(count for near in (-1, 0, 1) for count in self.slots[(hour + near) % WEEK])

    def patience_s(self) -> float:
        """Give how long a silence may last where no habit is known."""
        if self.watched_s < EARLY_AFTER_S:
            return EARLY_MOST_S
        return min(max(self.longest_s * TIMES_LONGEST, EARLY_LEAST_S), EARLY_MOST_S)

    def row(self) -> dict[str, Any]:
        """Give the plain form."""
        slots = [list(slot) for slot in self.slots]
        return {"slots": slots, "longest_s": round(self.longest_s, 1), "watched_s": round(self.watched_s),
                "parsed": self.parsed, "tells": self.tells, "foreign": self.foreign, "unknown": self.unknown,
                "hour": self._hour, "lines": round(self._lines), "whole": self._whole,
                "last_at": round(self._last_at)}  # fmt: skip

    @classmethod
    def of_row(cls, row: Mapping[str, Any]) -> Profile:
        """Take a stored profile."""
        one = cls()
        one.slots = [list(slot) for slot in row["slots"]]
        one.longest_s, one.watched_s, one.parsed = row["longest_s"], row["watched_s"], row["parsed"]
        one.tells, one.foreign = row.get("tells"), row.get("foreign", 0.0)
        one.unknown = row.get("unknown", 0.0)
        one._hour, one._lines = row.get("hour", -1), float(row.get("lines", 0.0))
        one._whole, one._last_at = row.get("whole", False), float(row.get("last_at", 0.0))
        return one
