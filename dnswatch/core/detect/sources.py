"""What the engine knows of each log source: whether it logs queries, whether it enforces our zones.

Never: positions, lag or parse ratio; the shell keeps those. Read next: ``engine.py``.
"""

from __future__ import annotations

from dnswatch.core.detect.changes import Row, Table

REWRITE_FRESH_S = 86400.0
"""A source whose log showed a rewrite of ours within this time is known to enforce our zones (DESIGN §6)."""
QUERIES_FRESH_S = 86400.0
"""A source without a query line for this long does not log queries: its verdicts count as attempts (DESIGN §3)."""
LIMIT = 10_000


class Source:
    """The two stamps of one source."""

    __slots__ = ("n", "queries_at", "rewrite_at")

    def __init__(self, queries_at: float | None = None, rewrite_at: float | None = None, n: int = 0) -> None:
        self.n = n
        self.queries_at = queries_at  # last query line
        self.rewrite_at = rewrite_at  # last rewrite by a zone of ours

    def row(self) -> Row:
        """Give the plain form."""
        return {"n": self.n, "queries_at": self.queries_at, "rewrite_at": self.rewrite_at}


class Sources:
    """Every source that sent an event."""

    def __init__(self) -> None:
        self.table: Table[Source] = Table("source", LIMIT)

    def saw_query(self, source: str, at: float) -> None:
        """Note that the source logs queries."""
        state = self.table.rows.get(source)
        if state is None:
            self.table.put(source, Source(queries_at=at))
        elif state.queries_at is None or at > state.queries_at:
            state.queries_at = at
            self.table.changed.add(source)

    def saw_rewrite(self, source: str, at: float) -> None:
        """Note that the source's resolver applies a zone of ours."""
        state = self.table.rows.get(source)
        if state is None:
            self.table.put(source, Source(rewrite_at=at))
        elif state.rewrite_at is None or at > state.rewrite_at:
            state.rewrite_at = at
            self.table.changed.add(source)

    def logs_queries(self, source: str, at: float) -> bool:
        """Say whether a lookup at that time would stand in this source's log."""
        state = self.table.rows.get(source)
        return state is not None and state.queries_at is not None and at - state.queries_at <= QUERIES_FRESH_S

    def enforces(self, source: str, at: float) -> bool:
        """Say whether a rewrite is to be expected from this source at that time."""
        state = self.table.rows.get(source)
        return state is not None and state.rewrite_at is not None and at - state.rewrite_at <= REWRITE_FRESH_S

    def tells_clients_apart(self, source: str) -> bool:
        """Say whether the source ever named a zone of ours in a rewrite: it has views per audience (RPZ)."""
        state = self.table.rows.get(source)
        return state is not None and state.rewrite_at is not None

    def restore(self, rows: list[tuple[str, Row]]) -> None:
        """Take stored sources."""
        self.table.restore([(key, Source(row["queries_at"], row["rewrite_at"], row["n"])) for key, row in rows])
