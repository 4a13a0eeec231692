"""Bringing an older store up to date: a backup first, then every missing step in one transaction (alembic).

Never: touches a newer or damaged store, goes back. alembic is imported only when there is something to do. Read next:
``steps/``.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, update

from dnswatch.io.store import schema
from dnswatch.io.store.care import copy, layout
from dnswatch.io.store.database import Database


@dataclass(frozen=True, slots=True)
class Upgraded:
    """What was done."""

    before: int
    after: int
    backup: Path


async def upgrade(path: Path) -> Upgraded | None:
    """Bring the store at ``path`` to the layout of this version; None when there is nothing to do.

    The caller holds the lock of ``state_dir``. Raises `StateError` for a damaged store or when no backup can be made,
    `OSError` when the disk does not take the change: the store is then as it was.
    """
    before = layout(path)
    if before is None or before >= schema.VERSION:  # new, or `Store.open` says what is wrong with it
        return None
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    backup = path.with_name(f"{path.name}.layout-{before}.{stamp}")
    copy(path, backup)
    async with await Database.open(path, create=False, older=True) as database:
        with database.write() as connection:
            _steps(connection, before)
    return Upgraded(before, schema.VERSION, backup)


def _steps(connection: Connection, before: int) -> None:
    from alembic.migration import MigrationContext
    from alembic.operations import Operations

    from dnswatch.io.store.steps import STEPS

    operations = Operations(MigrationContext.configure(connection))
    for version in range(before + 1, schema.VERSION + 1):
        STEPS[version](operations)
    connection.execute(update(schema.meta).where(schema.meta.c.key == "version").values(value=str(schema.VERSION)))
