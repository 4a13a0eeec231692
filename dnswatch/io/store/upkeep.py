"""Status rows and retention: what keeps the store readable from outside and bounded in size.

Never: deletes what a sink has not been handed, or an alert that is not over. Read next: ``io/jobs.py``.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any

from sqlalchemy import ColumnElement, Table, delete, func, select, tuple_
from sqlalchemy.dialects.sqlite import insert

from dnswatch.io.store import schema
from dnswatch.io.store.checkpoint import encode
from dnswatch.io.store.database import Database, reading, writing
from dnswatch.io.store.fixed import Fixed

CHUNK = 5000
"""Rows deleted in one transaction: a few milliseconds, so that a checkpoint never waits long."""
DELIVERED_S = 7 * 86400.0
"""Handed-over outbox rows stay this long, for `sink requeue` and for looking."""


_FORGET_STATUS, _STATUS = Fixed(delete(schema.status)), Fixed(insert(schema.status))


class Upkeep(Database):
    """Status rows and pruning."""

    @writing
    def save_status(self, rows: Mapping[str, Mapping[str, Any]]) -> None:
        """Replace all status rows."""
        now = time.time()
        with self.write() as connection:
            _FORGET_STATUS.run(connection)
            _STATUS.each(
                connection, [{"key": key, "at_wall": now, "data": encode(data)} for key, data in sorted(rows.items())]
            )

    @reading
    def status(self) -> dict[str, tuple[float, dict[str, Any]]]:
        """Give the status rows with the wall time of their writing."""
        with self.read() as connection:
            rows = connection.execute(select(schema.status).order_by(schema.status.c.key))
            return {row.key: (row.at_wall, json.loads(row.data)) for row in rows}

    async def prune(self, alerts_before: float, sightings_before: float) -> dict[str, int]:
        """Delete closed alerts last seen, and attempts made, before these times (log time); give what went by table."""
        rev, alert, box = schema.alert_rev, schema.alert, schema.outbox
        least = await self._slowest_sink()
        handed = box.c.at_wall < time.time() - DELIVERED_S
        gone = {"outbox": await self._prune(box, handed if least is None else handed & (box.c.seq <= least))}
        waiting = select(box.c.alert_id).union(select(schema.dead_letter.c.alert_id))
        old = (alert.c.state == "closed") & (alert.c.last_at < alerts_before) & alert.c.id.not_in(waiting)
        gone["alert"] = await self._prune(alert, old)
        orphan = rev.c.id.not_in(select(alert.c.id)) & rev.c.id.not_in(waiting)
        gone["alert_rev"] = await self._prune(rev, orphan)
        surroundings = schema.surroundings
        gone["surroundings"] = await self._prune(surroundings, surroundings.c.alert_id.not_in(select(alert.c.id)))
        gone["sighting"] = await self._prune(schema.sighting, schema.sighting.c.hour < int(sightings_before) - 3600)
        done = schema.action.c.applied_wall < time.time() - DELIVERED_S * 10
        done &= schema.action.c.result != schema.ORDERED  # who ordered what of the feeds is kept
        gone["action"] = await self._prune(schema.action, done)
        return gone

    @reading
    def _slowest_sink(self) -> int | None:
        with self.read() as connection:
            least: int | None = connection.scalar(select(func.min(schema.outbox_cursor.c.seq)))
            return least

    async def _prune(self, table: Table, which: ColumnElement[bool]) -> int:
        """Delete in chunks, other writers (and the end of the program) in between."""
        total = 0
        while (count := await self._prune_chunk(table, which)) == CHUNK:
            total += count
        return total + count

    @writing
    def _prune_chunk(self, table: Table, which: ColumnElement[bool]) -> int:
        keys = list(table.primary_key.columns)
        with self.write() as connection:
            chosen = select(*keys).where(which).limit(CHUNK)
            return connection.execute(delete(table).where(tuple_(*keys).in_(chosen))).rowcount
