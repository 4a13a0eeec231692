"""Layout 2: blind spots and what else is known of the health of sources have rows of their own.

Never: uses ``schema.py``, which tells the newest layout only.
"""

from __future__ import annotations

from alembic.operations import Operations
from sqlalchemy import Column, Text


def upgrade(op: Operations) -> None:
    """Add the table ``health_row``."""
    op.create_table(
        "health_row",
        Column("kind", Text, primary_key=True),
        Column("key", Text, primary_key=True),
        Column("data", Text, nullable=False),
        sqlite_with_rowid=False,
    )
