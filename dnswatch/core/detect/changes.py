"""What goes in and out of the engine beside lines: operator actions in, changed rows for the store out.

Never: stores anything. Every row is a small dict of JSON values under (kind, key); a row that is None is gone.
Read next: ``engine.py``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, Protocol, TypeVar

from dnswatch.core.model import Name

Row = dict[str, Any]
ActionKind = Literal["ack", "close", "snooze", "reopen", "comment", "lift"]


@dataclass(frozen=True, slots=True)
class Action:
    """What an operator (or another program) asks of one alert."""

    kind: ActionKind
    alert: str  # id of the alert; lift: action and trigger of a decision
    at: float  # when it was asked, wall time
    by: str = ""
    note: str = ""
    until: float | None = None  # snooze only: log time at which the alert is open again


@dataclass(frozen=True, slots=True)
class SightingRow:
    """Attempts of one client for one name within one hour: an increment, to be added to what is stored."""

    hour: int  # Unix seconds, a multiple of 3600
    client: str
    qname: Name
    qtype: str
    service: str
    expected: bool
    first_at: float
    last_at: float
    count: int


@dataclass(frozen=True, slots=True)
class Changes:
    """Everything that changed since the last call: rows to replace or delete, attempts to add."""

    rows: dict[tuple[str, str], Row | None] = field(default_factory=dict)
    sightings: list[SightingRow] = field(default_factory=list)


class Numbered(Protocol):
    """A value that knows when it was put into its table: eviction order survives a restart by this number."""

    n: int

    def row(self) -> Row:
        """Give the value as plain data of its own: the store writes it in a thread while the value goes on changing."""
        ...


V = TypeVar("V", bound=Numbered)


GAPS, GAPS_SHARE = 1000, 32
"""A full table is copied when so many of its first rows, and such a share, are gone: else each eviction looks through
all of their places for the first that is left (42 µs with 200 k rows on a busy machine; 8 µs so, copies included). An
`OrderedDict` does not, but takes 53 bytes more a row."""


class Table(Generic[V]):
    """A bounded dict that knows what changed since the last checkpoint and evicts what was put in first.

    ``on_evict`` is told of each value that had to go.
    """

    __slots__ = ("_gone", "_next", "changed", "evicted", "kind", "limit", "on_evict", "rows")

    def __init__(self, kind: str, limit: int, on_evict: Callable[[str, V], None] | None = None) -> None:
        self.kind = kind
        self.limit = limit
        self.rows: dict[str, V] = {}
        self.changed: set[str] = set()
        self.evicted = 0
        self.on_evict = on_evict
        self._next = 0
        self._gone = 0  # rows taken out since ``rows`` was made: a dict keeps their places, and looks through them

    def put(self, key: str, value: V) -> None:
        """Put a value last in line, evicting the first one when the table is full."""
        rows = self.rows
        if key in rows:
            del rows[key]
            self._gone += 1
        elif len(rows) >= self.limit:
            self._gone += 1
            if self._gone > GAPS + self.limit // GAPS_SHARE:
                rows = self.rows = dict(rows)
                self._gone = 0
            first = next(iter(rows))
            gone = rows.pop(first)
            self.changed.add(first)
            self.evicted += 1
            if self.on_evict is not None:
                self.on_evict(first, gone)
        value.n = self._next
        self._next += 1
        rows[key] = value
        self.changed.add(key)

    def drop(self, key: str) -> None:
        """Forget a value."""
        if self.rows.pop(key, None) is not None:
            self._gone += 1
            self.changed.add(key)

    def take_changes(self, into: dict[tuple[str, str], Row | None]) -> None:
        """Write what changed since the last call into ``into``, in no order (the store sorts what it writes)."""
        kind = self.kind
        for key, row in self.rows_changed():
            into[kind, key] = row

    def rows_changed(self) -> list[tuple[str, Row | None]]:
        """Give (key, row) for what changed since the last call, in no order; None = gone."""
        rows = self.rows
        changed = [(key, None if (value := rows.get(key)) is None else value.row()) for key in self.changed]
        self.changed.clear()
        return changed

    def restore(self, values: list[tuple[str, V]]) -> None:
        """Take stored values, in any order, as if they had been put in then."""
        self.rows = dict(sorted(values, key=lambda item: item[1].n))
        self._next = max((value.n for value in self.rows.values()), default=-1) + 1
        self.changed.clear()
