"""How many clients that nobody knows may get an alert of their own: a flood of forged senders must not fill the store.

UDP senders can be forged: 5 000 made-up addresses a second that each look up a watched name would be as many alerts.
Clients that are known (seen at other lookups, by a lease, or with this service before) are never held back; of the
others a great many at once may come, then a few a second of log time. What is held back is counted, told as a blind
spot, and leaves no trace in what is remembered of real clients. Never: judges a lookup. Read next: ``engine.py``.
"""

from __future__ import annotations

from dnswatch.core.detect.changes import Row

AT_ONCE = 20_000
"""Unknown clients that may come at once: a network of that many on its first morning, or in a scan without history."""
PER_S = 5.0
"""And after that: 430 000 a day, some 60 kB of store a second."""


class Openings:
    """Allowances for unknown clients, one for lookups that are expected and one for those that are not."""

    def __init__(self) -> None:
        self._left: dict[bool, float] = {False: float(AT_ONCE), True: float(AT_ONCE)}
        self._at = 0.0
        self._changed = False

    def admit(self, expected: bool, at: float) -> bool:
        """Say whether one more unknown client may come at this log time, and count it."""
        if at > self._at:
            if self._at:
                for each, left in self._left.items():
                    self._left[each] = min(left + (at - self._at) * PER_S, AT_ONCE)
            self._at = at
        self._changed = True
        if self._left[expected] < 1.0:
            return False
        self._left[expected] -= 1.0
        return True

    def take_changes(self, into: dict[tuple[str, str], Row | None]) -> None:
        """Write the row if it changed since the last call."""
        if self._changed:
            into["openings", ""] = {"at": self._at, "left": [self._left[False], self._left[True]]}
            self._changed = False

    def restore(self, rows: list[tuple[str, Row]]) -> None:
        """Take the stored row."""
        for _, row in rows:
            self._at = row["at"]
            self._left = {False: row["left"][0], True: row["left"][1]}
