"""Snapshots of published zones: what was served under which serial.

A serial is stored before it is published, so a restart serves the same bytes under it. Never: decides a serial. Read
next: ``core/feeds/history.py``.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, delete, func, select
from sqlalchemy.dialects.sqlite import insert

from dnswatch.core.model import Decision, Name, Snapshot
from dnswatch.io.store import schema
from dnswatch.io.store.database import Database, reading, writing
from dnswatch.io.store.versions import Packed, Rules, pack, unpack

ORDER = "feed-order"
"""Key in ``meta`` of what a person ordered of the next publication."""


MOST_RULES = 500_000
"""Rules of past versions that are read at once, about 100 MB: what is older than that costs a consumer an AXFR."""


class Feeds(Database):
    """Keeping and finding snapshots."""

    def __init__(self, path: Path, engine: Engine) -> None:
        super().__init__(path, engine)
        self._read: dict[Name, tuple[int, Snapshot]] = {}  # the newest version of each zone, and its row

    async def latest_snapshots(self) -> dict[Name, Snapshot]:
        """Give the last stored snapshot of every zone. One that was read or written before is not read again."""
        names, rows = await self._newest()
        if rows:
            read = await asyncio.to_thread(_unpacked, rows, [one for _, one in self._read.values()])
            self._read.update((one.zone.name, (row.seq, one)) for row, one in zip(rows, read, strict=True))
        return {name: self._read[name][1] for name in names if name in self._read}

    @reading
    def _newest(self) -> tuple[list[Name], Sequence[Any]]:
        """Give the zones, and the rows of those whose newest version is not known."""
        table = schema.feed_snapshot
        newest = select(table.c.zone, table.c.serial, table.c.at, func.max(table.c.seq).label("seq"))
        with self.read() as connection:
            found = {row.zone: row for row in connection.execute(newest.group_by(table.c.zone))}
            missing = [row.seq for row in found.values() if self._known(row) is None]
            rows = connection.execute(select(table).where(table.c.seq.in_(missing))).all() if missing else []
        return list(found), rows

    def _known(self, row: Any) -> Snapshot | None:
        seq, one = self._read.get(row.zone, (0, None))
        return one if one is not None and (seq, one.serial, one.at) == (row.seq, row.serial, row.at) else None

    @reading
    def heads(self) -> dict[Name, tuple[int, float]]:
        """Give serial and time of the newest version of every zone, without reading one."""
        table = schema.feed_snapshot
        newest = select(table.c.zone, table.c.serial, table.c.at, func.max(table.c.seq)).group_by(table.c.zone)
        with self.read() as connection:
            return {row.zone: (row.serial, row.at) for row in connection.execute(newest)}

    @reading
    def packed(self, zone: Name, most: int) -> list[Packed]:
        """Give the newest versions of one zone as they are kept, the newest first."""
        table = schema.feed_snapshot
        columns = (table.c.zone, table.c.audience, table.c.serial, table.c.at, table.c.rules)
        statement = select(*columns).where(table.c.zone == zone).order_by(table.c.seq.desc()).limit(most)
        with self.read() as connection:
            return [Packed(*row) for row in connection.execute(statement)]

    @reading
    def snapshots(self, zone: Name, most: int = 50) -> list[Snapshot]:
        """Give the newest snapshots of one zone, the newest first; two, and more while they have room in memory."""
        table = schema.feed_snapshot
        statement = select(table.c.seq).where(table.c.zone == zone).order_by(table.c.seq.desc()).limit(most)
        with self.read() as connection:
            found: list[Snapshot] = []
            for seq in connection.scalars(statement).all():
                if len(found) > 1 and sum(len(one.zone.rules) for one in found) > MOST_RULES:
                    break
                row = connection.execute(select(table).where(table.c.seq == seq)).one()
                found += _unpacked([row], found[-1:])
            return found

    @reading
    def snapshot(self, zone: Name, serial: int) -> Snapshot | None:
        """Give the snapshot of a zone under one serial; None when it is not kept (any more)."""
        table = schema.feed_snapshot
        with self.read() as connection:
            found = connection.execute(select(table).where(table.c.zone == zone, table.c.serial == serial))
            row = found.first()
        return None if row is None else _unpacked([row])[0]

    async def save_snapshots(self, snapshots: Sequence[Snapshot]) -> None:
        """Store snapshots in one transaction; one that is already there under its serial stays as it is."""
        if not snapshots:
            return
        seqs = await self.save_packed(await asyncio.to_thread(_packed, snapshots))  # checkpoints must not wait for that
        for one in snapshots:
            seq = seqs.get((one.zone.name, one.serial, one.at))
            if seq is not None:
                self._read[one.zone.name] = (seq, one)

    @writing
    def save_packed(self, rows: Sequence[Packed]) -> dict[tuple[Name, int, float], int]:
        """Store versions as they were packed elsewhere, in one transaction; give their rows."""
        if not rows:
            return {}
        table = schema.feed_snapshot
        stored = select(table.c.zone, table.c.serial, table.c.at, table.c.seq)
        with self.write() as connection:
            connection.execute(insert(table).on_conflict_do_nothing(), [row._asdict() for row in rows])
            wanted = stored.where(table.c.zone.in_([row.zone for row in rows]))
            return {(row.zone, row.serial, row.at): row.seq for row in connection.execute(wanted)}

    @writing
    def forget_snapshots(self) -> None:
        """Forget every version ever published: serials begin anew (``feed publish --new-epoch``)."""
        with self.write() as connection:
            connection.execute(delete(schema.feed_snapshot))

    @reading
    def decisions(self, at: float) -> list[Decision]:
        """Give the decisions that have not ended, sorted."""
        table = schema.decision
        wanted = select(table).where((table.c.expires_at.is_(None)) | (table.c.expires_at > at))
        with self.read() as connection:
            rows = connection.execute(wanted.order_by(table.c.action, table.c.trigger, table.c.scope))
            return [Decision(r.trigger, r.action, r.scope, r.reason, r.expires_at, r.alert) for r in rows]

    # ── Orders ────────────────────────────────────────────────────────────────────────────────────────────────

    @writing
    def order(self, data: dict[str, Any]) -> None:
        """Leave an order for the next publication; a later one replaces it."""
        statement = insert(schema.meta).values(key=ORDER, value=json.dumps(data))
        statement = statement.on_conflict_do_update(index_elements=["key"], set_={"value": statement.excluded.value})
        with self.write() as connection:
            connection.execute(statement)

    @reading
    def ordered(self) -> dict[str, Any]:
        """Give the order that waits; empty when there is none."""
        with self.read() as connection:
            found = connection.scalar(select(schema.meta.c.value).where(schema.meta.c.key == ORDER))
            return dict(json.loads(found)) if found else {}

    @writing
    def obeyed(self) -> None:
        """Forget the order: it was carried out, or refused."""
        with self.write() as connection:
            connection.execute(delete(schema.meta).where(schema.meta.c.key == ORDER))

    @writing
    def record(self, data: dict[str, Any], by: str) -> None:
        """Note for ever what a person ordered: an action that needs no engine (``upkeep.py`` keeps it)."""
        now = time.time()
        values = {
            "at_wall": now, "by": by, "data": json.dumps(data), "applied_wall": now, "result": schema.ORDERED,
        }  # fmt: skip
        with self.write() as connection:
            connection.execute(insert(schema.action).values(values))

    @writing
    def prune_snapshots(self, keep: int) -> None:
        """Keep the newest ``keep`` snapshots of every zone."""
        table = schema.feed_snapshot
        place = func.row_number().over(partition_by=table.c.zone, order_by=table.c.seq.desc()).label("place")
        ranked = select(table.c.seq, place).subquery()
        with self.write() as connection:
            connection.execute(delete(table).where(table.c.seq.in_(select(ranked.c.seq).where(ranked.c.place > keep))))


def _packed(snapshots: Iterable[Snapshot]) -> list[Packed]:
    texts: dict[int, str] = {}
    return [pack(one, texts) for one in snapshots]


def _unpacked(rows: Iterable[Any], known: Iterable[Snapshot] = ()) -> list[Snapshot]:
    """Read rows; a rule that several versions or zones have is there once."""
    shared = Rules(known)
    return [unpack(Packed(row.zone, row.audience, row.serial, row.at, row.rules), shared) for row in rows]
