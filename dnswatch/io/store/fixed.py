"""Statements that are the same each time: written for the driver once.

SQLAlchemy needs longer to put such a statement together and to look it up (0.1 to 0.6 ms) than SQLite to carry it out,
and an alert on its way waits for a dozen. Never: for statements that depend on what is asked. Read next:
``checkpoint.py``, ``outbox.py``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import ClauseElement, Connection, CursorResult
from sqlalchemy.sql.compiler import SQLCompiler


class Fixed:
    """One statement with named parameters, of types that need no conversion (text, numbers)."""

    def __init__(self, statement: ClauseElement) -> None:
        self._statement = statement
        self._written: tuple[str, tuple[str, ...]] | None = None
        self._constants: dict[str, Any] = {}  # that SQLAlchemy binds by itself: an offset of 0

    def run(self, connection: Connection, **values: Any) -> CursorResult[*tuple[Any, ...]]:
        """Carry it out with these values."""
        sql, names = self._write(connection)
        known = self._constants | values
        return connection.exec_driver_sql(sql, tuple([known[name] for name in names]))

    def each(self, connection: Connection, rows: Iterable[Mapping[str, Any]]) -> None:
        """Carry it out for each of these rows; for none nothing is done."""
        sql, names = self._write(connection)
        if found := [tuple([row[name] for name in names]) for row in rows]:
            connection.exec_driver_sql(sql, found)

    def _write(self, connection: Connection) -> tuple[str, tuple[str, ...]]:
        if self._written is None:
            compiled = self._statement.compile(dialect=connection.dialect)
            assert isinstance(compiled, SQLCompiler)
            self._constants = {name: value for name, value in compiled.params.items() if value is not None}
            self._written = str(compiled), tuple(compiled.positiontup or ())
        return self._written
