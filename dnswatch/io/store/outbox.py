"""The outbox: revisions in decision order, and one cursor per sink into them.

A sink has been handed everything up to its cursor, in order; nothing is dropped because a sink is down. Never:
delivers. Read next: ``io/deliver.py``.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable

from sqlalchemy import bindparam, delete, func, select, update
from sqlalchemy.dialects.sqlite import insert

from dnswatch.core.alerts.plain import from_plain
from dnswatch.core.model import Alert
from dnswatch.io.store import schema
from dnswatch.io.store.database import Database
from dnswatch.io.uncancelled import uncancelled


class Outbox(Database):
    """Reading the outbox and moving cursors."""

    @uncancelled
    async def cursors(self, sinks: Iterable[str]) -> dict[str, int]:
        """Give the cursor of each of these sinks; one that has none yet starts at now, and that is stored."""
        names = sorted(set(sinks))
        if not names:
            return {}
        async with self.write() as connection:
            # sqlite_sequence remembers the highest seq ever given out, also when the outbox has been pruned.
            last = await connection.scalar(select(func.max(schema.outbox.c.seq)))
            if last is None:
                query = "SELECT seq FROM sqlite_sequence WHERE name = 'outbox'"
                last = (await connection.exec_driver_sql(query)).scalar()
            statement = insert(schema.outbox_cursor).on_conflict_do_nothing()
            await connection.execute(
                statement, [{"sink": name, "seq": last or 0, "at_wall": time.time()} for name in names]
            )
            table = schema.outbox_cursor
            rows = await connection.execute(select(table.c.sink, table.c.seq).where(table.c.sink.in_(names)))
            return {row.sink: row.seq for row in rows}

    @uncancelled
    async def waiting(self, after: int, most: int) -> list[tuple[int, Alert]]:
        """Give the next revisions behind a cursor with their seq, in order."""
        box, table = schema.outbox, schema.alert_rev
        statement = (
            select(box.c.seq, table.c.data)
            .join(table, (box.c.alert_id == table.c.id) & (box.c.rev == table.c.rev))
            .where(box.c.seq > after)
            .order_by(box.c.seq)
            .limit(most)
        )
        async with self.read() as connection:
            return [(row.seq, from_plain(json.loads(row.data))) for row in await connection.execute(statement)]

    @uncancelled
    async def move_cursor(self, sink: str, seq: int) -> None:
        """Note that the sink has been handed everything up to ``seq``."""
        table = schema.outbox_cursor
        async with self.write() as connection:
            statement = update(table).where(table.c.sink == bindparam("name"), table.c.seq < bindparam("to"))
            await connection.execute(
                statement.values(seq=bindparam("to"), at_wall=bindparam("now")),
                {"name": sink, "to": seq, "now": time.time()},
            )

    @uncancelled
    async def backlog(self) -> dict[str, tuple[int, float | None]]:
        """Give how many revisions each cursor has not handed over yet, and since when (wall) the oldest waits."""
        box, table = schema.outbox, schema.outbox_cursor
        statement = (
            select(table.c.sink, func.count(box.c.seq), func.min(box.c.at_wall))
            .join_from(table, box, box.c.seq > table.c.seq, isouter=True)
            .group_by(table.c.sink)
        )
        async with self.read() as connection:
            return {sink: (count, oldest) for sink, count, oldest in await connection.execute(statement)}

    @uncancelled
    async def forget_cursors(self, keep: Iterable[str], before: float) -> None:
        """Drop cursors of sinks that are configured no more and have not moved since ``before`` (wall)."""
        table = schema.outbox_cursor
        async with self.write() as connection:
            await connection.execute(delete(table).where(table.c.sink.not_in(sorted(keep)), table.c.at_wall < before))
