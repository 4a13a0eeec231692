"""The tables of the embedded store and the version of their layout.

Never: opens anything. Read next: ``database.py`` (connections, errors), then ``checkpoint.py``.

Times are Unix seconds UTC; columns ``*_wall`` are wall time, all others log time. Values that only we read are JSON.
"""

from __future__ import annotations

from sqlalchemy import Column, Float, Index, Integer, LargeBinary, MetaData, Table, Text, UniqueConstraint

VERSION = 4
"""Layout of the tables. A store with a higher one was written by a newer dnswatch and is refused; one with a lower one
is brought up to date by a step in ``steps/`` for each version."""

metadata = MetaData()

meta = Table("meta", metadata, Column("key", Text, primary_key=True), Column("value", Text, nullable=False))
"""version, created, and ``year_anchor:SOURCE``: the wall time at which a source was first read."""

alert = Table(
    "alert", metadata,
    Column("id", Text, primary_key=True),
    Column("rev", Integer, nullable=False),
    Column("at", Float, nullable=False),
    Column("state", Text, nullable=False),
    Column("severity", Integer, nullable=False),  # index in model.SEVERITIES
    Column("client", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("grouping", Text, nullable=False),
    Column("service", Text, nullable=False),
    Column("category", Text, nullable=False),
    Column("first_at", Float, nullable=False),
    Column("last_at", Float, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("data", Text, nullable=False),
    Index("alert_by_last", "last_at"),
    Index("alert_by_client", "client"),
)  # fmt: skip
"""The latest revision of every episode; ``last_at`` and ``attempts`` go on between revisions."""

alert_rev = Table(
    "alert_rev", metadata,
    Column("id", Text, primary_key=True),
    Column("rev", Integer, primary_key=True),
    Column("at", Float, nullable=False),
    Column("at_wall", Float, nullable=False),
    Column("cause", Text, nullable=False),
    Column("data", Text, nullable=False),
    sqlite_with_rowid=False,
)  # fmt: skip

outbox = Table(
    "outbox", metadata,
    Column("seq", Integer, primary_key=True, autoincrement=True),
    Column("alert_id", Text, nullable=False),
    Column("rev", Integer, nullable=False),
    Column("at_wall", Float, nullable=False),
    UniqueConstraint("alert_id", "rev"),
    sqlite_autoincrement=True,  # a pruned seq must never come back: cursors point at it
)  # fmt: skip
"""Revisions in decision order, waiting for the sinks; each sink has one cursor into it."""

outbox_cursor = Table(
    "outbox_cursor", metadata,
    Column("sink", Text, primary_key=True),
    Column("seq", Integer, nullable=False),  # last one handed over
    Column("at_wall", Float, nullable=False),
)  # fmt: skip

sink_stream = Table(
    "sink_stream", metadata,
    Column("sink", Text, primary_key=True),
    Column("stream", Text, nullable=False),  # names this numbering; a new one begins with a new store or sink
    Column("number", Integer, nullable=False),  # of the message at the sink's cursor (RFC 5424 sequenceId)
    Column("dropped", Integer, nullable=False),  # ever, by the sink's bounds
    Column("rewind", Integer),  # `sink requeue`: go back to this seq of the outbox
)  # fmt: skip
"""What a sink's messages are numbered with, without a gap, across restarts."""

dead_letter = Table(
    "dead_letter", metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("sink", Text, nullable=False),
    Column("seq", Integer, nullable=False),  # in the outbox, which may have been pruned since
    Column("alert_id", Text, nullable=False),
    Column("rev", Integer, nullable=False),
    Column("at_wall", Float, nullable=False),
    Column("why", Text, nullable=False),
    Column("requeued_wall", Float),  # `sink requeue` asked for another try
    UniqueConstraint("sink", "alert_id", "rev"),
    sqlite_autoincrement=True,
)  # fmt: skip
"""Revisions that a sink's receiver refuses for good: kept for people to look at, out of the way of the others."""

position = Table(
    "position", metadata,
    Column("source", Text, primary_key=True),
    Column("data", Text, nullable=False),
    Column("digest", Text, nullable=False),
    Column("at_wall", Float, nullable=False),
)  # fmt: skip

sighting = Table(
    "sighting", metadata,
    Column("hour", Integer, primary_key=True),
    Column("client", Text, primary_key=True),
    Column("qname", Text, primary_key=True),
    Column("qtype", Text, primary_key=True),
    Column("expected", Integer, primary_key=True),
    Column("service", Text, nullable=False),
    Column("first_at", Float, nullable=False),
    Column("last_at", Float, nullable=False),
    Column("attempts", Integer, nullable=False),
    sqlite_with_rowid=False,
)  # fmt: skip
"""Attempts per hour, client, name, type and judgement at that time."""

engine_row = Table(
    "engine_row", metadata,
    Column("kind", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("data", Text, nullable=False),
    sqlite_with_rowid=False,
)  # fmt: skip

health_row = Table(
    "health_row", metadata,
    Column("kind", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("data", Text, nullable=False),
    sqlite_with_rowid=False,
)  # fmt: skip
"""Open blind spots, profiles of sources, losses: apart from the engine's rows, which the law is about."""

decision = Table(
    "decision", metadata,
    Column("trigger", Text, primary_key=True),
    Column("scope", Text, primary_key=True),
    Column("action", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("expires_at", Float),
    Column("alert", Text, nullable=False),
    sqlite_with_rowid=False,
)  # fmt: skip

action = Table(
    "action", metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("at_wall", Float, nullable=False),
    Column("by", Text, nullable=False),
    Column("data", Text, nullable=False),
    Column("applied_wall", Float),
    Column("result", Text, nullable=False, server_default=""),
    Index("action_open", "applied_wall"),
    sqlite_autoincrement=True,
)  # fmt: skip
"""What operators ask the engine to do; `run` applies it at its next checkpoint. Also what they ordered by command
(``result`` is `ORDERED`): `feed log` shows it."""
ORDERED = "ordered"

status = Table(
    "status", metadata,
    Column("key", Text, primary_key=True),
    Column("at_wall", Float, nullable=False),
    Column("data", Text, nullable=False),
)  # fmt: skip

feed_snapshot = Table(
    "feed_snapshot", metadata,
    Column("seq", Integer, primary_key=True, autoincrement=True),  # serials wrap (RFC 1982), this does not
    Column("zone", Text, nullable=False),
    Column("serial", Integer, nullable=False),
    Column("audience", Text, nullable=False),
    Column("at", Float, nullable=False),
    Column("rules", LargeBinary, nullable=False),  # zlib JSON
    UniqueConstraint("zone", "serial"),
)  # fmt: skip

surroundings = Table(
    "surroundings", metadata,
    Column("alert_id", Text, primary_key=True),
    Column("at_wall", Float, nullable=False),
    Column("data", Text, nullable=False),
)  # fmt: skip
"""What else the client looked up around an alert, read from the log while it was there (``io/around.py``)."""
