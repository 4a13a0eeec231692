"""The checkpoint: one transaction of positions, changed engine rows, sightings, revisions and outbox.

That transaction is what makes a crash harmless: after it, the lines behind the stored position are never read again
and everything they led to is stored; before it, nothing of them is. Never: decides when. Read next: ``database.py``.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any, NamedTuple

from sqlalchemy import Connection, Table, bindparam, func, select, update
from sqlalchemy.dialects.sqlite import insert

from dnswatch.core.alerts.plain import to_plain
from dnswatch.core.detect.changes import Changes, SightingRow
from dnswatch.core.model import SEVERITIES, Alert, Decision, Position
from dnswatch.io.store import schema
from dnswatch.io.store.database import Database, reading, writing
from dnswatch.io.store.fixed import Fixed, driver

EPISODE = "episode"
"""Kind of the engine's rows that hold an open alert's ``id``, ``last_at`` and ``count``."""


@dataclass(frozen=True, slots=True)
class SourceState:
    """How far a source is read and what its digest must remember across a restart."""

    position: Position
    digest: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Saved:
    """What `run` starts from: the engine's rows and the sources' states by source id."""

    rows: list[tuple[str, str, dict[str, Any]]]
    positions: dict[str, SourceState]
    health: list[tuple[str, str, dict[str, Any]]] = field(default_factory=list)


class Queued(NamedTuple):
    """The revisions that one checkpoint put into the outbox, as they stand there."""

    after: int  # seq of the last one before them
    rows: list[tuple[int, Alert]]  # with their seq, in order


class Checkpoints(Database):
    """Writing and reading the state of the engine and the sources."""

    @writing
    def checkpoint(
        self,
        positions: Sequence[SourceState],
        changes: Changes | None = None,
        revisions: Sequence[Alert] = (),
        decisions: Sequence[Decision] = (),
        applied: Mapping[int, str] | None = None,
        health: Mapping[tuple[str, str], dict[str, Any] | None] | None = None,
    ) -> Queued:
        """Store everything in one transaction; ``applied``: action id → what became of it. Give what is new to sinks.

        A revision that is already stored is not stored or delivered again. Raises `OSError` and stores nothing when
        the disk does not take it; the caller keeps the values and tries again.
        """
        now = time.time()
        with self.write() as connection:
            _save_positions(connection, positions, now)
            if changes is not None:
                _save_rows(connection, schema.engine_row, changes.rows)
                _add_sightings(connection, changes.sightings)
            _save_rows(connection, schema.health_row, health or {})
            queued = _save_revisions(connection, revisions, now)
            if changes is not None:
                _count_attempts(connection, changes.rows)
            _save_decisions(connection, decisions)
            for number, result in sorted((applied or {}).items()):
                done = update(schema.action).where(schema.action.c.id == number)
                connection.execute(done.values(applied_wall=now, result=result))
        return queued

    @reading
    def load(self) -> Saved:
        """Read what the last checkpoint left."""
        with self.read() as connection:
            rows = connection.execute(
                select(schema.engine_row).order_by(schema.engine_row.c.kind, schema.engine_row.c.key)
            )
            places = connection.execute(select(schema.position))
            health = connection.execute(select(schema.health_row))
            return Saved(
                [(row.kind, row.key, json.loads(row.data)) for row in rows],
                {row.source: SourceState(_position(json.loads(row.data)), json.loads(row.digest)) for row in places},
                [(row.kind, row.key, json.loads(row.data)) for row in health],
            )

    @writing
    def year_anchor(self, source: str, now: float) -> float:
        """Give the wall time at which the source was first read; ``now`` when that is now (and keep it)."""
        key = f"year_anchor:{source}"
        with self.write() as connection:
            statement = insert(schema.meta).values(key=key, value=repr(now)).on_conflict_do_nothing()
            connection.execute(statement)
            return float(connection.scalar(select(schema.meta.c.value).where(schema.meta.c.key == key)) or now)

    @reading
    def sightings(self, since: float = 0.0) -> list[SightingRow]:
        """Give the hourly attempts whose last one is not before ``since``, oldest hour first."""
        table = schema.sighting
        with self.read() as connection:
            rows = connection.execute(
                select(table).where(table.c.hour >= int(since) // 3600 * 3600, table.c.last_at >= since)
                .order_by(table.c.hour, table.c.client, table.c.qname, table.c.qtype, table.c.expected)
            )  # fmt: skip
            return [
                SightingRow(
                    hour=row.hour, client=row.client, qname=row.qname, qtype=row.qtype, service=row.service,
                    expected=bool(row.expected), first_at=row.first_at, last_at=row.last_at, count=row.attempts,
                )
                for row in rows
            ]  # fmt: skip


_encoder = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False)


def encode(value: Any) -> str:
    """Write a plain value as compact JSON."""
    return _encoder.encode(value)


def _replaced(table: Table, keys: Sequence[str], *names: str, newer: str = "") -> Fixed:
    """Write rows in place of those with the same ``keys``: these columns of them, or all but the keys.

    ``newer``: only over rows that do not have more of this.
    """
    statement = insert(table)
    new = statement.excluded
    changing = names or [name for name in table.c.keys() if name not in keys]  # noqa: SIM118 (columns, not a dict)
    where = new[newer] >= table.c[newer] if newer else None
    return Fixed(
        statement.on_conflict_do_update(index_elements=keys, set_={name: new[name] for name in changing}, where=where)
    )


def _sighting() -> Fixed:
    """Add to the attempts of an hour."""
    table, statement = schema.sighting, insert(schema.sighting)
    new = statement.excluded
    return Fixed(statement.on_conflict_do_update(
        index_elements=["hour", "client", "qname", "qtype", "expected"],
        set_={
            "service": new.service,
            "first_at": func.min(table.c.first_at, new.first_at),
            "last_at": func.max(table.c.last_at, new.last_at),
            "attempts": table.c.attempts + new.attempts,
        },
    ))  # fmt: skip


def _outbox() -> Fixed:
    """Put a revision into the outbox that is not stored yet."""
    table = schema.alert_rev
    known = select(table.c.id).where(table.c.id == bindparam("alert_id"), table.c.rev == bindparam("rev"))
    fresh: Any = select(*[bindparam(name) for name in ("alert_id", "rev", "at_wall")]).where(~known.exists())
    return Fixed(insert(schema.outbox).from_select(["alert_id", "rev", "at_wall"], fresh).on_conflict_do_nothing())


def _attempts() -> Fixed:
    table = schema.alert
    statement = update(table).where(table.c.id == bindparam("b_id"))
    return Fixed(statement.values(last_at=bindparam("b_last"), attempts=bindparam("b_count")))


_POSITION = _replaced(schema.position, ["source"])
_SIGHTING = _sighting()
_OUTBOX = _outbox()
_LAST = Fixed(select(func.max(schema.outbox.c.seq)))
_NEW = Fixed(
    select(schema.outbox.c.seq, schema.outbox.c.alert_id, schema.outbox.c.rev)
    .where(schema.outbox.c.seq > bindparam("after"))
    .order_by(schema.outbox.c.seq)
)
_REVISION = Fixed(insert(schema.alert_rev).on_conflict_do_nothing())
_ALERT = _replaced(schema.alert, ["id"], newer="rev")
_ATTEMPTS = _attempts()
_NAMES = tuple(one.name for one in fields(Position))
_DECISION = _replaced(schema.decision, ["trigger", "scope"], "action", "reason", "expires_at", "alert")


def _position(data: dict[str, Any]) -> Position:
    left = tuple(_position(each) for each in data.pop("left", ()))
    return Position(**data, left=left)


def _plain(position: Position) -> dict[str, Any]:
    """Give a position as plain data. `asdict` copies whatever it meets: 0.2 ms of each alert's way."""
    return {name: getattr(position, name) for name in _NAMES} | {"left": [_plain(each) for each in position.left]}


def _save_positions(connection: Connection, positions: Sequence[SourceState], now: float) -> None:
    _POSITION.each(connection, [
        {
            "source": state.position.source, "data": encode(_plain(state.position)),
            "digest": encode(state.digest), "at_wall": now,
        }
        for state in positions
    ])  # fmt: skip


def _save_rows(connection: Connection, table: Table, changed: Mapping[tuple[str, str], dict[str, Any] | None]) -> None:
    """Replace and delete rows, straight through the driver: to bind each by itself took as long as SQLite does."""
    kept = [(kind, key, encode(data)) for (kind, key), data in sorted(changed.items(), key=_key) if data is not None]
    gone = [key for key, data in changed.items() if data is None]
    if kept:
        driver(connection).executemany(
            f"INSERT INTO {table.name} (kind, key, data) VALUES (?, ?, ?) "
            "ON CONFLICT (kind, key) DO UPDATE SET data = excluded.data", kept,
        )  # fmt: skip
    if gone:
        driver(connection).executemany(f"DELETE FROM {table.name} WHERE kind = ? AND key = ?", sorted(gone))


def _key(item: tuple[tuple[str, str], Any]) -> tuple[str, str]:
    return item[0]


def _add_sightings(connection: Connection, rows: Iterable[SightingRow]) -> None:
    """Add increments to the hourly buckets, summed and sorted first (delivery.md: 2× faster, no lock cycles)."""
    sums: dict[tuple[int, str, str, str, bool], dict[str, Any]] = {}
    for row in rows:
        key = (row.hour, row.client, row.qname, row.qtype, row.expected)
        found = sums.get(key)
        if found is None:
            sums[key] = {
                "hour": row.hour, "client": row.client, "qname": row.qname, "qtype": row.qtype,
                "service": row.service, "expected": int(row.expected),
                "first_at": row.first_at, "last_at": row.last_at, "attempts": row.count,
            }  # fmt: skip
            continue
        found["first_at"] = min(found["first_at"], row.first_at)
        found["last_at"] = max(found["last_at"], row.last_at)
        found["attempts"] += row.count
        found["service"] = row.service
    _SIGHTING.each(connection, [sums[key] for key in sorted(sums)])


def _save_revisions(connection: Connection, revisions: Sequence[Alert], now: float) -> Queued:
    if not revisions:
        return Queued(0, [])
    after = _LAST.run(connection)[0][0] or 0
    rows = [
        {
            "id": one.id, "alert_id": one.id, "rev": one.rev, "at": one.at, "at_wall": now, "cause": one.cause,
            "data": encode(to_plain(one)), "state": one.state, "severity": SEVERITIES.index(one.severity),
            "client": one.client.address, "name": one.client.name, "grouping": one.client.group,
            "service": one.service, "category": one.category, "first_at": one.first_at, "last_at": one.last_at,
            "attempts": one.count,
        }
        for one in revisions
    ]  # fmt: skip
    _OUTBOX.each(connection, rows)  # goes first: it takes only what alert_rev does not know yet
    _REVISION.each(connection, rows)
    _ALERT.each(connection, rows)
    known = {(one.id, one.rev): one for one in revisions}
    return Queued(after, [(seq, known[id_, rev]) for seq, id_, rev in _NEW.run(connection, after=after)])


def _count_attempts(connection: Connection, changed: Mapping[tuple[str, str], dict[str, Any] | None]) -> None:
    """Keep the list of alerts current between revisions, which come at 10, 100, 1000 … attempts only."""
    _ATTEMPTS.each(connection, [
        {"b_id": row["id"], "b_last": row["last_at"], "b_count": row["count"]}
        for (kind, _), row in sorted(changed.items(), key=_key)
        if kind == EPISODE and row
    ])  # fmt: skip


def _save_decisions(connection: Connection, decisions: Sequence[Decision]) -> None:
    _DECISION.each(connection, [asdict(one) for one in decisions])
