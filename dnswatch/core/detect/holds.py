"""Lookups by our own forwarders, held until the lookup behind them shows up at the front resolver, or not.

A front resolver (dnsmasq) that forwards to another (BIND) makes one lookup appear in two logs. With
``forwarders: [127.0.0.1]`` on the second source, its lookups by that client are held for `HOLD_S` of log time: the
same name asked at another source meanwhile, or just before, explains them. Never: judges. Read next: ``engine.py``.
"""

from __future__ import annotations

from typing import Any

from dnswatch.core.detect.changes import Row, Table
from dnswatch.core.model import Name, Query, Verdict

HOLD_S = 2.0
"""How far apart the two appearances of one lookup may stand (DESIGN §3: verdicts are joined within the same time)."""
LIMIT = 20_000
VERDICTS = 4
LINES = 4


class Hold:
    """One held lookup: its lines, and what the resolver said of it meanwhile."""

    __slots__ = ("at", "n", "path", "queries", "source", "verdicts")

    def __init__(self, source: str, path: str, query: Query) -> None:
        self.n = 0
        self.source = source
        self.path = path
        self.at = query.at
        self.queries = [query]
        self.verdicts: list[Verdict] = []

    @property
    def key(self) -> str:
        """The hold's key in its table."""
        return _key(self.source, self.queries[0].client, self.queries[0].qname)

    @property
    def deadline(self) -> float:
        """When the wait is over."""
        return self.at + HOLD_S

    def row(self) -> Row:
        """Give the plain form."""
        return {
            "n": self.n, "source": self.source, "path": self.path, "at": self.at,
            "queries": [_event_row(query) for query in self.queries],
            "verdicts": [_event_row(verdict) for verdict in self.verdicts],
        }  # fmt: skip

    @classmethod
    def of_row(cls, row: Row) -> Hold:
        """Take a stored hold."""
        queries = [Query(*_event_fields(one)) for one in row["queries"]]
        hold = cls(row["source"], row["path"], queries[0])
        hold.n, hold.at, hold.queries = row["n"], row["at"], queries
        hold.verdicts = [_verdict_of(one) for one in row["verdicts"]]
        return hold


class Holds:
    """Every held lookup. When there is no room, the first one is to be judged at once: nothing is lost."""

    def __init__(self) -> None:
        self.table: Table[Hold] = Table("hold", LIMIT)
        self._by_name: dict[Name, set[str]] = {}

    def __bool__(self) -> bool:
        return bool(self._by_name)

    def find(self, source: str, client: str, qname: Name) -> Hold | None:
        """Give the hold of a client for a name at a source."""
        return self.table.rows.get(_key(source, client, qname))

    def add(self, hold: Hold) -> None:
        """Hold a lookup."""
        self.table.put(hold.key, hold)
        self._by_name.setdefault(hold.queries[0].qname, set()).add(hold.key)

    def first_if_full(self) -> Hold | None:
        """Give the hold that must make room for another one, if there is no room."""
        if len(self.table.rows) < self.table.limit:
            return None
        self.table.evicted += 1
        return next(iter(self.table.rows.values()))

    def add_line(self, hold: Hold, query: Query) -> None:
        """Keep a further line of a held lookup."""
        if len(hold.queries) < LINES:
            hold.queries.append(query)
            self.table.changed.add(hold.key)

    def add_verdict(self, hold: Hold, verdict: Verdict) -> None:
        """Keep what the resolver says of a held lookup."""
        if len(hold.verdicts) < VERDICTS:
            hold.verdicts.append(verdict)
            self.table.changed.add(hold.key)

    def release(self, qname: Name, at: float, source: str) -> list[Hold]:
        """Drop and give the held lookups that a lookup of the same name at another source explains."""
        freed = []
        for key in sorted(self._by_name.get(qname, ())):
            hold = self.table.rows[key]
            if hold.source != source and abs(at - hold.at) <= HOLD_S:
                freed.append(hold)
                self.drop(hold)
        return freed

    def drop(self, hold: Hold) -> None:
        """Stop holding a lookup."""
        qname = hold.queries[0].qname
        self.table.drop(hold.key)
        keys = self._by_name[qname]
        keys.discard(hold.key)
        if not keys:
            del self._by_name[qname]

    def restore(self, rows: list[tuple[str, Row]]) -> None:
        """Take stored holds."""
        self.table.restore([(key, Hold.of_row(row)) for key, row in rows])
        for key, hold in self.table.rows.items():
            self._by_name.setdefault(hold.queries[0].qname, set()).add(key)


def _key(source: str, client: str, qname: Name) -> str:
    return f"{client} {qname} {source}"


def _event_row(event: Query | Verdict) -> list[Any]:
    return [field.decode("latin-1") if isinstance(field, bytes) else field for field in event]


def _event_fields(row: list[Any]) -> list[Any]:
    return [*row[:-2], row[-2].encode("latin-1"), row[-1]]


def _verdict_of(row: list[Any]) -> Verdict:
    verdict = Verdict(*_event_fields(row))
    return verdict._replace(data=tuple(verdict.data))
