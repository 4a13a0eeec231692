"""Connections to the embedded SQLite store, and the meaning of its errors.

One file in WAL mode with synchronous FULL: a commit that returned survives a power cut (delivery.md: 60 kill -9, no
fault). Errors become two kinds: `StateError` where the file itself cannot be used (newer, damaged, not ours) and
``OSError`` where the world fails (disk full, read error, locked), which is worth another try.

Statements run in threads of the store's own, a method's all in one go: a checkpoint has a dozen, and to hand each over
by itself took five times as long as SQLite. Never: retries. Read next: ``checkpoint.py``.
"""

from __future__ import annotations

import asyncio
import errno
import functools
import os
import sqlite3
import time
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event, insert, select, text
from sqlalchemy.exc import DBAPIError

from dnswatch import __version__
from dnswatch.errors import NeverRan, StateError
from dnswatch.io.store import schema
from dnswatch.io.store.fixed import driver
from dnswatch.io.uncancelled import uncancelled

FILE = "dnswatch.db"
BUSY_S = 10.0
"""Wait this long for another process' write lock; commands hold it for milliseconds, `db backup` for seconds."""
CHECKED_SIZE = 64 << 20
"""Files up to this size are checked whole at start (quick_check: about 1 s for this much on a slow disk)."""

DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT}


READERS = 3
"""Threads that read: one may be at the versions of a zone of a million rules while couriers ask what waits."""

S = TypeVar("S", bound="Database")
P = ParamSpec("P")
T = TypeVar("T")


def reading(work: Callable[Concatenate[S, P], T]) -> Callable[Concatenate[S, P], Coroutine[Any, Any, T]]:
    """Make a method that runs in a thread, to its end also when it is cancelled: nobody can stop a thread."""

    @functools.wraps(work)
    @uncancelled
    async def read(self: S, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await _in(self._readers, functools.partial(work, self, *args, **kwargs))

    return read


def writing(work: Callable[Concatenate[S, P], T]) -> Callable[Concatenate[S, P], Coroutine[Any, Any, T]]:
    """Do the same in the one thread that writes: transactions take turns, in the order in which they were asked for."""

    @functools.wraps(work)
    @uncancelled
    async def write(self: S, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await _in(self._writer, functools.partial(work, self, *args, **kwargs))

    return write


async def _in(threads: ThreadPoolExecutor, work: Callable[[], T]) -> T:
    return await asyncio.get_running_loop().run_in_executor(threads, work)


class Database:
    """The store's file, open. Subclasses add the statements, in methods that are `reading` or `writing`."""

    def __init__(self, path: Path, engine: Engine) -> None:
        self.path = path
        self._engine = engine
        self._writer = ThreadPoolExecutor(1, "store")
        self._readers = ThreadPoolExecutor(READERS, "store-read")
        self._older = False

    @classmethod
    async def open(cls, path: Path, create: bool = True, *, readonly: bool = False, older: bool = False) -> Self:
        """Open the store at ``path`` (the database file); create its tables when it is new.

        ``readonly`` needs only read permission and never creates; ``older`` takes one that an older dnswatch wrote, to
        upgrade it. Raises `NeverRan` when there is none to open, `StateError` when a newer or older dnswatch wrote it
        or when it is damaged, `PermissionError` when we may not.
        """
        if not path.exists() and (readonly or not create):
            raise NeverRan(f"there is no store at {path}: dnswatch has not run with this state_dir yet; start it with "
                           "`dnswatch run`")  # fmt: skip
        _refuse_forbidden(path, readonly)
        store = cls(path, _engine(path, "ro" if readonly else "rw"))
        store._older = older
        async with AsyncExitStack() as opened:
            opened.push_async_callback(store.close)
            await store._begin(readonly)
            opened.pop_all()
        return store

    @writing
    def _begin(self, readonly: bool) -> None:
        with self._meaning():
            try:
                self._prepare(readonly)
            except DBAPIError as error:
                # Without write permission for the directory, a WAL file that nobody has open can only be read so.
                if not readonly or _code(error) != sqlite3.SQLITE_CANTOPEN:
                    raise
                self._engine.dispose()
                self._engine = _engine(self.path, "immutable")
                self._prepare(readonly)

    def _prepare(self, readonly: bool) -> None:
        """Check layout and health; create the tables of a new file."""
        with self._engine.connect() as connection:
            known = bool(connection.scalar(text("SELECT count(*) FROM sqlite_master WHERE name = 'meta'")))
            if known:
                self._check_version(
                    connection.scalar(select(schema.meta.c.value).where(schema.meta.c.key == "version"))
                )
            if self.path.stat().st_size <= CHECKED_SIZE:
                found = connection.scalar(text("PRAGMA quick_check(1)"))
                if found != "ok":
                    raise StateError(damage(self.path, str(found)))
        if known:
            return
        if readonly:
            raise StateError(f"{self.path} is not a dnswatch store: it has no table 'meta'")
        with self.write() as connection:
            schema.metadata.create_all(connection)
            rows = {"version": schema.VERSION, "created": time.time(), "created_by": __version__}
            for key, value in rows.items():
                connection.execute(insert(schema.meta).values(key=key, value=str(value)))

    def _check_version(self, found: str | None) -> None:
        if found is None or not found.isdigit():
            raise StateError(damage(self.path, "it does not say its version"))
        if int(found) > schema.VERSION:
            raise StateError(
                f"{self.path} has layout {found}; this dnswatch {__version__} knows layouts up to {schema.VERSION}. "
                "A newer dnswatch wrote it: install that version again, or give this one an empty state_dir"
            )
        if int(found) < schema.VERSION and not self._older:
            raise StateError(
                f"{self.path} has layout {found}, this dnswatch {__version__} uses layout {schema.VERSION}. "
                "Bring it up to date: `dnswatch db upgrade` (a backup is made first); `dnswatch run` does so by itself"
            )

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """One transaction: everything or nothing. Raises `OSError` when the disk does not take it."""
        with self._meaning(), self._engine.connect() as connection:
            connection.execution_options(dnswatch_write=True)
            with connection.begin():
                yield connection

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """One consistent view of the store; a `Fixed` statement that comes first has one of its own."""
        with self._meaning(), self._engine.connect() as connection:
            yield connection

    async def close(self) -> None:
        """Close every connection when its statement is done; the last one folds the WAL into the file."""
        await self._close()
        self._writer.shutdown()

    @writing
    def _close(self) -> None:
        self._readers.shutdown()  # waits: a connection that is still read from would stay open
        self._engine.dispose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self.close()

    @contextmanager
    def _meaning(self) -> Iterator[None]:
        try:
            yield
        except (DBAPIError, sqlite3.Error) as error:
            raise meaning(error, self.path) from error


def _refuse_forbidden(path: Path, readonly: bool) -> None:
    """Raise `PermissionError` before SQLite only says that it is unable; its side files need the directory too."""
    for place in (path,) if readonly else (path, path.parent):
        if place.exists() and not os.access(place, os.R_OK if readonly else os.R_OK | os.W_OK):
            raise PermissionError(errno.EACCES, "permission denied", str(place))


def meaning(error: DBAPIError | sqlite3.Error, path: Path) -> Exception:
    """Turn a database error into the exception that says what it means for us; bugs in statements stay as they are."""
    code, said = _code(error), str(error.orig if isinstance(error, DBAPIError) else error)
    if code in DAMAGED:
        return StateError(damage(path, said))
    if code == sqlite3.SQLITE_FULL:
        return OSError(errno.ENOSPC, "no space left for the store", str(path))
    if code in (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM):
        return OSError(errno.EIO, f"the store cannot be used ({said})", str(path))
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return OSError(errno.EBUSY, f"another process has kept the store locked for {BUSY_S:.0f} s", str(path))
    return error


def damage(path: Path, said: str) -> str:
    """Say that the file is damaged, and the way on."""
    first = said.removeprefix("*** in database main ***").strip().split("\n")[0]  # SQLite tells each page that it finds
    return (
        f"the store {path} is damaged ({first}). Stop dnswatch, keep a copy, and either put a backup in its place or "
        f"move it away: a new one is made, sources are read from where `from` says, and learning starts again"
    )


def _code(error: DBAPIError | sqlite3.Error) -> int:
    """Give the primary SQLite result code (the low byte of the extended one), 0 when there is none."""
    said = error.orig if isinstance(error, DBAPIError) else error
    return int(getattr(said, "sqlite_errorcode", 0) or 0) & 0xFF


def _engine(path: Path, mode: str) -> Engine:
    """Make an engine whose transactions begin when we say so; ``mode``: rw, ro, immutable."""
    quoted = str(path.absolute()).replace("%", "%25").replace("?", "%3f").replace("#", "%23")
    how = {"rw": "mode=rwc", "ro": "mode=ro", "immutable": "mode=ro&immutable=1"}[mode]
    engine = create_engine(
        f"sqlite:///file:{quoted}?{how}&uri=true",
        pool_size=READERS + 1,
        pool_use_lifo=True,  # the connection used last knows the pages and statements
        connect_args={"timeout": BUSY_S},
    )

    def prepare(connection: Any, record: Any) -> None:
        connection.isolation_level = None  # the driver must not begin transactions behind our back
        cursor = connection.cursor()
        if mode == "rw":
            cursor.execute("PRAGMA journal_mode=WAL")
            cursor.execute("PRAGMA synchronous=FULL")
        cursor.execute("PRAGMA temp_store=MEMORY")
        cursor.close()

    def begin(connection: Connection) -> None:
        # A writer that begins as a reader can find its view outdated at the first write; it takes the lock at once.
        write = connection.get_execution_options().get("dnswatch_write")
        driver(connection).execute("BEGIN IMMEDIATE" if write else "BEGIN")

    event.listen(engine, "connect", prepare)
    event.listen(engine, "begin", begin)
    return engine
