"""Blind spots on their way to the sinks: whoever sees one says so here, as often as it likes.

What is said becomes revisions of ordinary alerts, stored with the next checkpoint and delivered like any other. Never:
decides what is a blind spot. Read next: ``core/health/kinds.py``.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from dnswatch.core.detect.changes import Action, Row
from dnswatch.core.health.alarms import ROW, Alarms
from dnswatch.core.model import Alert

Note = Callable[[Iterable[Alert], int], None]


class BlindSpots:
    """The open blind spots of this installation. Safe to call often; everything is idempotent."""

    def __init__(self, note: Note, clock: Callable[[], float] = time.time) -> None:
        """``note``: takes revisions (`Ledger.note`)."""
        self.alarms = Alarms()
        self._note = note
        self._clock = clock

    def report(self, kind: str, subject: str, text: str, at: float | None = None) -> None:
        """Say that a condition of ``kind`` (a key of `KINDS`) holds for ``subject``, in a sentence without full stop.

        ``at``: wall time since when, if not now.
        """
        self._tell(self.alarms.report(kind, subject, text, self._clock() if at is None else at))

    def clear(self, kind: str, subject: str, text: str = "") -> None:
        """Say that it does not hold; nothing happens where none was open."""
        self._tell(self.alarms.clear(kind, subject, text, self._clock()))

    def tick(self) -> None:
        """Close what has been over for long enough."""
        self._tell(self.alarms.due(self._clock()))

    def open(self) -> list[tuple[str, str]]:
        """Give (kind, subject) of what holds."""
        return sorted(self.alarms)

    def act(self, action: Action) -> list[Alert]:
        """Apply what an operator asks of an alert of ours; nothing when it is none."""
        return self.alarms.act(action)

    def changes(self) -> dict[tuple[str, str], Row | None]:
        """Give rows for the store."""
        return self.alarms.take_changes()

    def restore(self, rows: Iterable[tuple[str, str, Mapping[str, Any]]]) -> None:
        """Take the rows back that the last process stored."""
        self.alarms.restore(dict(row) for kind, _, row in rows if kind == ROW)

    def _tell(self, made: list[Alert]) -> None:
        if made:
            self._note(made, 0)
