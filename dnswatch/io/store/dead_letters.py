"""Dead letters: revisions that a sink's receiver refuses for good, kept until somebody has looked at them.

Never: tries again by itself; `sink requeue` asks for that, and ``io/courier.py`` does it. Read next: ``outbox.py``.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import NamedTuple

from sqlalchemy import select, update
from sqlalchemy.dialects.sqlite import insert

from dnswatch.core.model import Alert
from dnswatch.io.store import schema
from dnswatch.io.store.database import Database, reading, writing
from dnswatch.io.store.outbox import Unreadable, read_back


class DeadLetter(NamedTuple):
    """One revision that was refused."""

    id: int
    sink: str
    seq: int
    alert_id: str
    rev: int
    at: float  # wall time of the refusal
    why: str
    requeued_at: float | None


class DeadLetters(Database):
    """Burying revisions, and digging them out again."""

    @writing
    def bury(self, sink: str, seq: int, alert_id: str, rev: int, why: str) -> None:
        """Keep a revision apart; the sink goes on without it."""
        statement = insert(schema.dead_letter).values(
            sink=sink, seq=seq, alert_id=alert_id, rev=rev, at_wall=time.time(), why=why
        )
        new = statement.excluded
        with self.write() as connection:
            connection.execute(statement.on_conflict_do_update(
                index_elements=["sink", "alert_id", "rev"],
                set_={"at_wall": new.at_wall, "why": new.why, "requeued_wall": None},
            ))  # fmt: skip

    @reading
    def dead_letters(self, sink: str | None = None) -> list[DeadLetter]:
        """Give the dead letters, of one sink or of all, oldest first."""
        table = schema.dead_letter
        statement = select(table).order_by(table.c.id)
        if sink is not None:
            statement = statement.where(table.c.sink == sink)
        with self.read() as connection:
            return [DeadLetter(*row) for row in connection.execute(statement)]

    @writing
    def ask_again(self, sink: str, ids: Iterable[int] | None = None) -> int:
        """Ask for another try of these dead letters of a sink, or of all; give how many that are."""
        table = schema.dead_letter
        statement = update(table).where(table.c.sink == sink)
        if ids is not None:
            statement = statement.where(table.c.id.in_(sorted(ids)))
        with self.write() as connection:
            return connection.execute(statement.values(requeued_wall=time.time())).rowcount

    @reading
    def requeued(self, sink: str, most: int) -> list[tuple[DeadLetter, Alert | Unreadable]]:
        """Give the dead letters that shall be tried again, oldest first."""
        table, revisions = schema.dead_letter, schema.alert_rev
        statement = (
            select(table, revisions.c.data)
            .join(revisions, (table.c.alert_id == revisions.c.id) & (table.c.rev == revisions.c.rev))
            .where(table.c.sink == sink, table.c.requeued_wall.is_not(None))
            .order_by(table.c.id)
            .limit(most)
        )
        with self.read() as connection:
            return [
                (DeadLetter(*row[:-1]), read_back(row.alert_id, row.rev, row.data))
                for row in connection.execute(statement)
            ]
