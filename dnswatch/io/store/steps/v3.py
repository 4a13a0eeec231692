"""Layout 3: each sink's messages are numbered across restarts, and what a receiver refuses has a place of its own.

Never: uses ``schema.py``, which tells the newest layout only.
"""

from __future__ import annotations

from alembic.operations import Operations
from sqlalchemy import Column, Float, Integer, Text, UniqueConstraint


def upgrade(op: Operations) -> None:
    """Add the tables ``sink_stream`` and ``dead_letter``."""
    op.create_table(
        "sink_stream",
        Column("sink", Text, primary_key=True),
        Column("stream", Text, nullable=False),
        Column("number", Integer, nullable=False),
        Column("dropped", Integer, nullable=False),
        Column("rewind", Integer),
    )
    op.create_table(
        "dead_letter",
        Column("id", Integer, primary_key=True, autoincrement=True),
        Column("sink", Text, nullable=False),
        Column("seq", Integer, nullable=False),
        Column("alert_id", Text, nullable=False),
        Column("rev", Integer, nullable=False),
        Column("at_wall", Float, nullable=False),
        Column("why", Text, nullable=False),
        Column("requeued_wall", Float),
        UniqueConstraint("sink", "alert_id", "rev"),
        sqlite_autoincrement=True,
    )
