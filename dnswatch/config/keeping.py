"""Files that save work the next time: whole or not there, ours alone to write, the newest few.

Their names are hashes of what they were made from, so nothing is ever out of date, only unused. Never: knows what is in
them. Read next: ``kept.py``, ``io/automata.py``.
"""

from __future__ import annotations

import hashlib
import os
import stat
from contextlib import suppress
from pathlib import Path

DIGEST_BYTES = 16


def is_ours(found: os.stat_result) -> bool:
    """Say whether nobody else could have written it."""
    return found.st_uid == os.geteuid() and not found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def load(path: Path, max_bytes: int) -> bytes | None:
    """Read what was kept; None if it is not there, not ours, not whole, or larger."""
    with suppress(OSError), os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "rb") as file:
        found = os.fstat(file.fileno())
        if is_ours(found) and stat.S_ISREG(found.st_mode) and found.st_size <= max_bytes:
            data = file.read()
            body = data[DIGEST_BYTES:]
            return body if _digest(body) == data[:DIGEST_BYTES] else None
    return None


def keep(path: Path, body: bytes, kept: int) -> None:
    """Write beside and rename: a reader finds all of it or nothing.

    Of the files whose name begins like this one's (up to the first ``-``) the newest ``kept`` stay. Raises `OSError`.
    """
    beside = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as file:
            file.write(_digest(body) + body)
        beside.rename(path)
    finally:
        beside.unlink(missing_ok=True)
    alike = path.parent.glob(f"{path.name.partition('-')[0]}-*")
    for old in sorted(alike, key=lambda one: one.lstat().st_mtime, reverse=True)[kept:]:
        old.unlink(missing_ok=True)


def _digest(body: bytes) -> bytes:
    return hashlib.blake2b(body, digest_size=DIGEST_BYTES).digest()
