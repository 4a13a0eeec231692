"""The outbox: revisions in decision order, one cursor per sink into them, and the numbering of each sink's messages.

A sink has been handed everything up to its cursor, in order, but for what its bounds dropped and what its receiver
refused. Never: delivers, decides what is dropped. Read next: ``dead_letters.py``, ``io/courier.py``.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import Connection, bindparam, delete, func, select, update
from sqlalchemy.dialects.sqlite import insert

from dnswatch.core.alerts.plain import from_plain
from dnswatch.core.model import Alert
from dnswatch.io.store import schema
from dnswatch.io.store.database import Database, reading, writing
from dnswatch.io.store.fixed import Fixed


class Place(NamedTuple):
    """How far a sink is: the revision handed over last, and the number of its message."""

    seq: int
    number: int


class Stream(NamedTuple):
    """Where a sink goes on."""

    place: Place
    name: str  # of the numbering: (name, number) is one message
    dropped: int  # messages ever dropped by the bounds


class Backlog(NamedTuple):
    """What waits for a sink."""

    rows: int
    oldest_at: float | None  # wall time
    dead: int = 0  # dead letters
    asked: bool = False  # `sink requeue` wants something


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A stored revision that cannot be read back: damaged, or of another version."""

    id: str
    rev: int
    why: str


class Outbox(Database):
    """Reading the outbox and moving cursors."""

    @writing
    def cursors(self, sinks: Iterable[str]) -> dict[str, int]:
        """Give the cursor of each of these sinks; one that has none yet starts at now, and that is stored."""
        names = sorted(set(sinks))
        if not names:
            return {}
        with self.write() as connection:
            # sqlite_sequence remembers the highest seq ever given out, also when the outbox has been pruned.
            last = connection.scalar(select(func.max(schema.outbox.c.seq)))
            if last is None:
                query = "SELECT seq FROM sqlite_sequence WHERE name = 'outbox'"
                last = connection.exec_driver_sql(query).scalar()
            statement = insert(schema.outbox_cursor).on_conflict_do_nothing()
            connection.execute(statement, [{"sink": name, "seq": last or 0, "at_wall": time.time()} for name in names])
            numbering = insert(schema.sink_stream).on_conflict_do_nothing()
            connection.execute(numbering, [
                {"sink": name, "stream": secrets.token_hex(4), "number": 0, "dropped": 0} for name in names
            ])  # fmt: skip
            table = schema.outbox_cursor
            rows = connection.execute(select(table.c.sink, table.c.seq).where(table.c.sink.in_(names)))
            return {row.sink: row.seq for row in rows}

    async def stream(self, sink: str) -> Stream:
        """Give where a sink goes on; a new one begins at now, with number 1."""
        seq = (await self.cursors([sink]))[sink]
        return await self._stream_at(sink, seq)

    @reading
    def _stream_at(self, sink: str, seq: int) -> Stream:
        table = schema.sink_stream
        with self.read() as connection:
            row = connection.execute(select(table).where(table.c.sink == sink)).one()
            return Stream(Place(seq, row.number), row.stream, row.dropped)

    @reading
    def numberings(self) -> dict[str, tuple[int, Stream]]:
        """Give the cursor and the numbering of every sink that has ever run."""
        cursor, table = schema.outbox_cursor, schema.sink_stream
        statement = select(cursor.c.seq, table).join_from(cursor, table, cursor.c.sink == table.c.sink, isouter=True)
        with self.read() as connection:
            rows = connection.execute(statement.add_columns(cursor.c.sink.label("name"))).all()
        return {
            row.name: (row.seq, Stream(Place(row.seq, row.number or 0), row.stream or "", row.dropped or 0))
            for row in rows
        }

    @reading
    def waiting(self, after: int, most: int, sink: str = "") -> list[tuple[int, Alert | Unreadable | None]]:
        """Give the next revisions behind a cursor with their seq, in order; None: a dead letter of ``sink``."""
        with self.read() as connection:
            return [
                (seq, None if buried else read_back(alert_id, rev, data))
                for seq, alert_id, rev, data, buried in _WAITING.run(connection, after=after, most=most, sink=sink)
            ]

    @writing
    def confirm(
        self, sink: str, seq: int, number: int | None = None, dropped: int | None = None, dead: Iterable[int] = ()
    ) -> None:
        """Note that the sink has been handed everything up to ``seq``, the last one with ``number``.

        ``dropped``: messages ever given up; ``dead``: letters that have been delivered after all. One transaction.
        """
        letters = schema.dead_letter
        with self.write() as connection:
            _CURSOR.run(connection, name=sink, to=seq, now=time.time())
            _NUMBER.run(connection, name=sink, to=number, gone=dropped)
            if gone := sorted(dead):
                connection.execute(delete(letters).where(letters.c.id.in_(gone)))

    @reading
    def backlog(self) -> dict[str, Backlog]:
        """Give what waits for each sink, since when (wall) the oldest does, and what is asked of it."""
        with self.read() as connection:
            found = {sink: (count, asked) for sink, count, asked in _LETTERS.run(connection)}
            back = {sink for (sink,) in _REWINDS.run(connection)}
            return {
                sink: Backlog(count, oldest, found.get(sink, (0, 0))[0],
                              sink in back or bool(found.get(sink, (0, 0))[1]))
                for sink, count, oldest in _BACKLOG.run(connection)
            }  # fmt: skip

    @reading
    def beyond(self, sink: str, rows: int, before: float) -> int:
        """Give the seq up to which what waits exceeds ``rows`` or is older than ``before`` (wall time); 0: none."""
        box, table = schema.outbox, schema.outbox_cursor
        behind = select(box.c.seq).join(table, (table.c.sink == sink) & (box.c.seq > table.c.seq))
        with self.read() as connection:
            many = connection.scalar(behind.order_by(box.c.seq.desc()).offset(rows).limit(1))
            old = connection.scalar(behind.where(box.c.at_wall < before).order_by(box.c.seq.desc()).limit(1))
            return max(many or 0, old or 0)

    # ── What `sink requeue` asks for ──────────────────────────────────────────────────────────────────────────

    @reading
    def seq_before(self, at: float) -> tuple[int, int]:
        """Give the seq after which everything was stored at or after ``at`` (wall), and how many revisions that is."""
        box = schema.outbox
        with self.read() as connection:
            last = connection.scalar(select(func.max(box.c.seq)).where(box.c.at_wall < at)) or 0
            return last, connection.scalar(select(func.count()).where(box.c.seq > last)) or 0

    @reading
    def count_after(self, seq: int) -> int:
        """Give how many revisions the outbox still has behind ``seq``."""
        with self.read() as connection:
            return connection.scalar(select(func.count()).where(schema.outbox.c.seq > seq)) or 0

    @writing
    def ask_rewind(self, sink: str, seq: int) -> bool:
        """Ask that everything behind ``seq`` is sent again; False: no such sink has ever run."""
        table = schema.sink_stream
        with self.write() as connection:
            return connection.execute(update(table).where(table.c.sink == sink).values(rewind=seq)).rowcount > 0

    @writing
    def take_rewind(self, sink: str) -> int | None:
        """Move the cursor back as asked, and give where it stands now; None: nobody asked."""
        table, cursor = schema.sink_stream, schema.outbox_cursor
        with self.write() as connection:
            seq: int | None = connection.scalar(select(table.c.rewind).where(table.c.sink == sink))
            if seq is None:
                return None
            connection.execute(update(table).where(table.c.sink == sink).values(rewind=None))
            back = update(cursor).where(cursor.c.sink == sink, cursor.c.seq > seq)
            connection.execute(back.values(seq=seq, at_wall=time.time()))
            return connection.scalar(select(cursor.c.seq).where(cursor.c.sink == sink))

    @writing
    def forget_cursors(self, keep: Iterable[str], before: float) -> None:
        """Drop cursors of sinks that are configured no more and have not moved since ``before`` (wall)."""
        table = schema.outbox_cursor
        with self.write() as connection:
            connection.execute(delete(table).where(table.c.sink.not_in(sorted(keep)), table.c.at_wall < before))
            _forget_without_cursor(connection)


def _waiting() -> Fixed:
    box, table, dead = schema.outbox, schema.alert_rev, schema.dead_letter
    buried = select(dead.c.seq).where(dead.c.sink == bindparam("sink"))
    return Fixed(
        select(box.c.seq, table.c.id, table.c.rev, table.c.data, box.c.seq.in_(buried).label("buried"))
        .join(table, (box.c.alert_id == table.c.id) & (box.c.rev == table.c.rev))
        .where(box.c.seq > bindparam("after"))
        .order_by(box.c.seq)
        .limit(bindparam("most"))
    )


def _cursor() -> Fixed:
    table = schema.outbox_cursor
    statement = update(table).where(table.c.sink == bindparam("name"), table.c.seq < bindparam("to"))
    return Fixed(statement.values(seq=bindparam("to"), at_wall=bindparam("now")))


def _number() -> Fixed:
    """Note the last number and what was dropped; what is None stays as it is."""
    table = schema.sink_stream
    changed: dict[str, Any] = {
        "number": func.coalesce(bindparam("to"), table.c.number),
        "dropped": func.coalesce(bindparam("gone"), table.c.dropped),
    }
    return Fixed(update(table).where(table.c.sink == bindparam("name")).values(changed))


def _backlog() -> Fixed:
    box, table = schema.outbox, schema.outbox_cursor
    waits = select(table.c.sink, func.count(box.c.seq), func.min(box.c.at_wall))
    return Fixed(waits.join_from(table, box, box.c.seq > table.c.seq, isouter=True).group_by(table.c.sink))


def _letters() -> Fixed:
    dead = schema.dead_letter
    return Fixed(select(dead.c.sink, func.count(), func.count(dead.c.requeued_wall)).group_by(dead.c.sink))


_WAITING = _waiting()
_CURSOR, _NUMBER = _cursor(), _number()
_BACKLOG, _LETTERS = _backlog(), _letters()
_REWINDS = Fixed(select(schema.sink_stream.c.sink).where(schema.sink_stream.c.rewind.is_not(None)))


def _forget_without_cursor(connection: Connection) -> None:
    known = select(schema.outbox_cursor.c.sink)
    for table in (schema.sink_stream, schema.dead_letter):
        connection.execute(delete(table).where(table.c.sink.not_in(known)))


def read_back(alert_id: str, rev: int, data: str) -> Alert | Unreadable:
    """Make an alert of what is stored, or say why that cannot be done."""
    try:
        return from_plain(json.loads(data))
    except (ValueError, TypeError, KeyError) as error:
        return Unreadable(alert_id, rev, f"cannot be read back: {type(error).__name__}: {error}")
