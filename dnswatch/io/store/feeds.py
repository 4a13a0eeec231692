"""Snapshots of published zones: what was served under which serial.

A serial is stored before it is published, so a restart serves the same bytes under it. Never: decides a serial. Read
next: ``core/feeds/history.py``.
"""

from __future__ import annotations

import json
import time
import zlib
from collections.abc import Sequence
from typing import Any

from sqlalchemy import delete, func, select
from sqlalchemy.dialects.sqlite import insert

from dnswatch.core.model import Decision, Name, Rule, Snapshot, Zone
from dnswatch.io.store import schema
from dnswatch.io.store.database import Database
from dnswatch.io.uncancelled import uncancelled

ORDER = "feed-order"
"""Key in ``meta`` of what a person ordered of the next publication."""


class Feeds(Database):
    """Keeping and finding snapshots."""

    @uncancelled
    async def latest_snapshots(self) -> dict[Name, Snapshot]:
        """Give the last stored snapshot of every zone."""
        table = schema.feed_snapshot
        statement = select(table).where(table.c.seq.in_(select(func.max(table.c.seq)).group_by(table.c.zone)))
        async with self.read() as connection:
            return {row.zone: _snapshot(row) for row in await connection.execute(statement)}

    @uncancelled
    async def snapshots(self, zone: Name, most: int = 50) -> list[Snapshot]:
        """Give the newest snapshots of one zone, the newest first."""
        table = schema.feed_snapshot
        statement = select(table).where(table.c.zone == zone).order_by(table.c.seq.desc()).limit(most)
        async with self.read() as connection:
            return [_snapshot(row) for row in await connection.execute(statement)]

    @uncancelled
    async def snapshot(self, zone: Name, serial: int) -> Snapshot | None:
        """Give the snapshot of a zone under one serial; None when it is not kept (any more)."""
        table = schema.feed_snapshot
        async with self.read() as connection:
            found = await connection.execute(select(table).where(table.c.zone == zone, table.c.serial == serial))
            row = found.first()
            return None if row is None else _snapshot(row)

    @uncancelled
    async def save_snapshots(self, snapshots: Sequence[Snapshot]) -> None:
        """Store snapshots in one transaction; one that is already there under its serial stays as it is."""
        if not snapshots:
            return
        rows = [
            {
                "zone": one.zone.name, "serial": one.serial, "audience": one.zone.audience, "at": one.at,
                "rules": _pack(one),
            }
            for one in snapshots
        ]  # fmt: skip
        async with self.write() as connection:
            await connection.execute(insert(schema.feed_snapshot).on_conflict_do_nothing(), rows)

    @uncancelled
    async def forget_snapshots(self) -> None:
        """Forget every version ever published: serials begin anew (``feed publish --new-epoch``)."""
        async with self.write() as connection:
            await connection.execute(delete(schema.feed_snapshot))

    @uncancelled
    async def decisions(self, at: float) -> list[Decision]:
        """Give the decisions that have not ended, sorted."""
        table = schema.decision
        wanted = select(table).where((table.c.expires_at.is_(None)) | (table.c.expires_at > at))
        async with self.read() as connection:
            rows = await connection.execute(wanted.order_by(table.c.action, table.c.trigger, table.c.scope))
            return [Decision(r.trigger, r.action, r.scope, r.reason, r.expires_at, r.alert) for r in rows]

    # ── Orders ────────────────────────────────────────────────────────────────────────────────────────────────

    @uncancelled
    async def order(self, data: dict[str, Any]) -> None:
        """Leave an order for the next publication; a later one replaces it."""
        statement = insert(schema.meta).values(key=ORDER, value=json.dumps(data))
        statement = statement.on_conflict_do_update(index_elements=["key"], set_={"value": statement.excluded.value})
        async with self.write() as connection:
            await connection.execute(statement)

    @uncancelled
    async def ordered(self) -> dict[str, Any]:
        """Give the order that waits; empty when there is none."""
        async with self.read() as connection:
            found = await connection.scalar(select(schema.meta.c.value).where(schema.meta.c.key == ORDER))
            return dict(json.loads(found)) if found else {}

    @uncancelled
    async def obeyed(self) -> None:
        """Forget the order: it was carried out, or refused."""
        async with self.write() as connection:
            await connection.execute(delete(schema.meta).where(schema.meta.c.key == ORDER))

    @uncancelled
    async def record(self, data: dict[str, Any], by: str) -> None:
        """Note for ever what a person ordered: an action that needs no engine (``upkeep.py`` keeps it)."""
        now = time.time()
        values = {
            "at_wall": now, "by": by, "data": json.dumps(data), "applied_wall": now, "result": schema.ORDERED,
        }  # fmt: skip
        async with self.write() as connection:
            await connection.execute(insert(schema.action).values(values))

    @uncancelled
    async def prune_snapshots(self, keep: int) -> None:
        """Keep the newest ``keep`` snapshots of every zone."""
        table = schema.feed_snapshot
        place = func.row_number().over(partition_by=table.c.zone, order_by=table.c.seq.desc()).label("place")
        ranked = select(table.c.seq, place).subquery()
        async with self.write() as connection:
            await connection.execute(
                delete(table).where(table.c.seq.in_(select(ranked.c.seq).where(ranked.c.place > keep)))
            )


def _pack(one: Snapshot) -> bytes:
    """Write rules and which of them come from data; a list alone is what earlier versions wrote, and is still read."""
    rules = [[rule.trigger, rule.action, *rule.addresses] for rule in one.zone.rules]
    plain: Any = {"rules": rules, "data": sorted(one.data)} if one.data else rules
    return zlib.compress(json.dumps(plain, separators=(",", ":")).encode())


def _snapshot(row: Any) -> Snapshot:
    plain = json.loads(zlib.decompress(row.rules))
    listed, data = (plain["rules"], plain["data"]) if isinstance(plain, dict) else (plain, ())
    rules = tuple(Rule(trigger, action, tuple(addresses)) for trigger, action, *addresses in listed)
    return Snapshot(Zone(row.zone, row.audience, rules), row.serial, row.at, frozenset(data))
