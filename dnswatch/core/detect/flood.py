"""How many clients that nobody knows may get an alert of their own: a flood of forged senders must not bury the rest.

UDP senders can be forged: 5 000 made-up addresses a second that each look up a watched name would be as many alerts,
and a real one would wait behind them. Clients that are known (``engine.py``) are never held back. The others go by
lanes, so that those of one kind cannot use up what another has: so many may come at once, then some a minute. While
a lane refuses, it is not filled up again: in a flood one more among thousands is a forged one. Whoever is held back
is told of in one alert (``strangers.py``) and leaves no trace in what is remembered of real clients. Depends on log
time and on what was asked before alone. Never: judges a lookup. Read next: ``strangers.py``.
"""

from __future__ import annotations

from collections.abc import Mapping

from dnswatch.core.detect.changes import Row
from dnswatch.core.policy import Lane

MILD = "mild"
SEVERE = "severe"
"""Of services whose base severity is high: mild lookups cannot use this lane up."""
TCP = "tcp"
"""Over TCP an address is no forgery, but one host may have 2^64 of them."""
EXPECTED = "expected"
NEWCOMER = "newcomer"
"""Of addresses that are remembered at all."""
SILENT: Mapping[str, Lane] = {
    EXPECTED: Lane(10_000, 1.0),  # makes no alert, only memories of 600 bytes
    NEWCOMER: Lane(10_000, 1.0),  # a tenth of the table (core/clients/roles.py)
}
CALM_S = 60.0
"""A lane is filled up again when it has refused nobody for so long."""


class Openings:
    """The lanes, each with what it has left."""

    def __init__(self, alerts: Lane) -> None:
        self.configure(alerts)
        self._left = {name: float(lane.at_once) for name, lane in self._lanes.items()}
        self._at = dict.fromkeys(self._lanes, 0.0)  # up to when it was filled
        self._changed = False

    def configure(self, alerts: Lane) -> None:
        """Take what each lane may do whose strangers have alerts."""
        self._lanes = {MILD: alerts, SEVERE: alerts, TCP: alerts, **SILENT}

    def admit(self, name: str, at: float) -> bool:
        """Say whether one more stranger may come at this log time, and count it."""
        self._changed = True
        lane, filled_at = self._lanes[name], self._at[name]
        if at > filled_at:
            if filled_at:
                self._left[name] = min(self._left[name] + (at - filled_at) * lane.per_s, lane.at_once)
            self._at[name] = at
        if self._left[name] < 1.0:
            self._at[name] = max(self._at[name], at + CALM_S)
            return False
        self._left[name] -= 1.0
        return True

    def take_changes(self, into: dict[tuple[str, str], Row | None]) -> None:
        """Write the row if it changed since the last call."""
        if self._changed:
            into["openings", ""] = {"lanes": {name: [self._left[name], self._at[name]] for name in self._lanes}}
            self._changed = False

    def restore(self, rows: list[tuple[str, Row]]) -> None:
        """Take the stored row; one of before there were lanes has none."""
        for _, row in rows:
            for name, (left, at) in row.get("lanes", {}).items():
                if name in self._lanes:
                    self._left[name], self._at[name] = left, at
