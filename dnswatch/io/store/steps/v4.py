"""Layout 4: what else a client looked up around a grave alert is kept, for the log will be gone.

Never: uses ``schema.py``, which tells the newest layout only.
"""

from __future__ import annotations

from alembic.operations import Operations
from sqlalchemy import Column, Float, Text


def upgrade(op: Operations) -> None:
    """Add the table ``surroundings``."""
    op.create_table(
        "surroundings",
        Column("alert_id", Text, primary_key=True),
        Column("at_wall", Float, nullable=False),
        Column("data", Text, nullable=False),
    )
