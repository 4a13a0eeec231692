"""The lock on ``state_dir``: one `run` per directory, and the way to find and signal it.

The lock is a flock on ``run.lock``, so it vanishes with its process however that ends; the pid inside is only text for
people and for signals. Never: deletes the file (a waiting process would lock an unlinked inode). Read next:
``daemon.py``.
"""

from __future__ import annotations

import fcntl
import os
import signal
import time
from pathlib import Path
from types import TracebackType

from dnswatch.errors import StateError
from dnswatch.io.access import refused, user_name

LOCK = "run.lock"
# `running_pid` holds the lock shared for some microseconds while it looks: a start at that moment tries again.
TRIES, PAUSE_S = 5, 0.05


class StateLock:
    """Hold ``state_dir`` for this process, as a context manager. Raises `StateError` naming the pid that holds it."""

    def __init__(self, state_dir: Path) -> None:
        self._path = state_dir / LOCK
        self._file: int | None = None

    def acquire(self) -> None:
        """Take the lock and write our pid; create ``state_dir`` if needed."""
        try:
            self._path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
            file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            where, user = self._path.parent, user_name(os.geteuid())
            why = error.strerror
            if isinstance(error, PermissionError):
                why = refused(Path(error.filename))
            raise StateError(f"cannot use state_dir {where}: {why}. It must be a directory that user {user} may write "
                             f"to: install -d -o {user} -m 0750 {where}") from error  # fmt: skip
        for attempt in range(TRIES):
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                pid = _pid(file)
                if attempt == TRIES - 1:
                    os.close(file)
                    raise StateError(
                        f"{self._path.parent} is in use by another dnswatch run (pid {pid or 'unknown'}). "
                        "Stop that one, or give this one its own state_dir"
                    ) from None
                time.sleep(PAUSE_S)
        os.ftruncate(file, 0)
        os.pwrite(file, f"{os.getpid()}\n".encode(), 0)
        self._file = file

    def release(self) -> None:
        """Give the lock back; a second call does nothing."""
        if self._file is not None:
            os.ftruncate(self._file, 0)
            os.close(self._file)
            self._file = None

    def __enter__(self) -> StateLock:
        self.acquire()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.release()


def running_pid(state_dir: Path) -> int | None:
    """Give the pid of the `run` that holds ``state_dir``; None when there is none."""
    try:
        file = os.open(state_dir / LOCK, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _pid(file)
    finally:
        os.close(file)
    return None


def request_reload(state_dir: Path) -> bool:
    """Ask the running daemon to read its configuration again (SIGHUP); False when none runs.

    Raises `StateError` when it belongs to another user.
    """
    pid = running_pid(state_dir)
    if pid is None:
        return False
    try:
        os.kill(pid, signal.SIGHUP)
    except ProcessLookupError:
        return False
    except PermissionError:
        raise StateError(
            f"may not signal the running daemon: reload it as its own user or root: kill -HUP {pid}"
        ) from None
    return True


def _pid(file: int) -> int | None:
    """Read the pid from the lock file; None while its holder has not written it yet."""
    text = os.pread(file, 32, 0).split(b"\n")[0]
    return int(text) if text.isdigit() and int(text) > 0 else None
