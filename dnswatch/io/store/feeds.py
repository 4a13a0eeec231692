"""Snapshots of published zones: what was served under which serial.

A serial is stored before it is published, so a restart serves the same bytes under it. Never: decides a serial. Read
next: ``core/feeds/history.py``.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from typing import Any

from sqlalchemy import delete, func, select
from sqlalchemy.dialects.sqlite import insert

from dnswatch.core.model import Name, Rule, Snapshot, Zone
from dnswatch.io.store import schema
from dnswatch.io.store.database import Database
from dnswatch.io.uncancelled import uncancelled


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
