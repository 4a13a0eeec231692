"""Looking after the database file as a whole: is it sound, and a copy of it while the daemon goes on writing.

Never: repairs. Read next: ``upkeep.py`` (retention).
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from dnswatch.errors import StateError


def faults(path: Path) -> list[str]:
    """Give what SQLite's own full check finds wrong; empty when the file is sound. Raises `OSError` if unreadable."""
    try:
        with closing(_open(path)) as connection:
            found = [str(row[0]) for row in connection.execute("PRAGMA integrity_check(20)")]
            broken = [
                f"row {row[1]} of {row[0]} refers to nothing" for row in connection.execute("PRAGMA foreign_key_check")
            ]
    except sqlite3.DatabaseError as error:
        return [str(error)]
    return [text for text in found if text != "ok"] + broken


def layout(path: Path) -> int | None:
    """Give the layout of the store as it says itself; None when there is no store or it does not say."""
    if not path.exists():
        return None
    try:
        with closing(_open(path)) as connection:
            row = connection.execute("SELECT value FROM meta WHERE key = 'version'").fetchone()
    except sqlite3.Error:
        return None
    return int(row[0]) if row is not None and str(row[0]).isdigit() else None


def copy(path: Path, to: Path) -> int:
    """Write a compact, consistent copy, while a daemon may be writing; give its size in bytes.

    Raises `StateError` when the copy exists already or the store cannot be read.
    """
    if to.exists():
        raise StateError(f"{to} exists already: a backup never overwrites")
    try:
        with closing(_open(path)) as connection:
            connection.execute("VACUUM INTO ?", (str(to),))
    except sqlite3.Error as error:
        to.unlink(missing_ok=True)
        raise StateError(f"{path} cannot be copied to {to}: {error}") from None
    to.chmod(0o640)
    return to.stat().st_size


def _open(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=10)
