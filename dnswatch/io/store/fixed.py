"""Statements that are the same each time: written for the driver once, and carried out by it.

SQLAlchemy needs longer to put such a statement together and to look it up (0.1 to 0.6 ms), and even to pass it on as it
is (0.1 ms), than SQLite to carry it out, and an alert on its way waits for a dozen. They belong to the transaction of
the connection that they are given; errors are the driver's. Never: for statements that depend on what is asked. Read
next: ``checkpoint.py``, ``outbox.py``.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import ClauseElement, Connection
from sqlalchemy.sql.compiler import SQLCompiler


def driver(connection: Connection) -> sqlite3.Connection:
    """Give the driver's own connection, in the same transaction."""
    own = connection.connection.driver_connection
    assert isinstance(own, sqlite3.Connection)
    return own


class Fixed:
    """One statement with named parameters, of types that need no conversion (text, numbers)."""

    def __init__(self, statement: ClauseElement) -> None:
        self._statement = statement
        self._written: tuple[str, tuple[str, ...]] | None = None
        self._constants: dict[str, Any] = {}  # that SQLAlchemy binds by itself: an offset of 0

    def run(self, connection: Connection, **values: Any) -> list[tuple[Any, ...]]:
        """Carry it out with these values; give the rows that it found."""
        sql, names = self._write(connection)
        known = self._constants | values
        return driver(connection).execute(sql, [known[name] for name in names]).fetchall()

    def each(self, connection: Connection, rows: Iterable[Mapping[str, Any]]) -> None:
        """Carry it out for each of these rows; for none nothing is done."""
        sql, names = self._write(connection)
        if found := [[row[name] for name in names] for row in rows]:
            driver(connection).executemany(sql, found)

    def _write(self, connection: Connection) -> tuple[str, tuple[str, ...]]:
        if self._written is None:
            compiled = self._statement.compile(dialect=connection.dialect)
            assert isinstance(compiled, SQLCompiler)
            self._constants = {name: value for name, value in compiled.params.items() if value is not None}
            self._written = str(compiled), tuple(compiled.positiontup or ())
        return self._written
