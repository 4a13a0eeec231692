"""Published files, replaced atomically: a reader sees the old version or the new one, never half of either.

Never: decides content, removes files, touches one whose bytes are right already (its mtime is what consumers watch).
Read next: ``hooks.py``.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path

from dnswatch.io import packed
from dnswatch.io.packed import FeedFile

_MODE = 0o644  # before umask: a resolver of another user reads these; `UMask=0027` and a shared group narrow it
_OWED = ".owed"  # holds the names of files whose hooks are due: neither a full disk nor a crash may forget them

Stamp = tuple[int, int, int, int] | None
"""Inode, size, and when content and inode changed: nobody sets the last one back."""


def write(directory: Path, files: Iterable[tuple[str, bytes]]) -> list[Path]:
    """Make ``directory`` hold these files; give the paths that changed. Blocks for an fsync per changed file."""
    directory.mkdir(parents=True, exist_ok=True)
    changed = []
    for name, content in files:
        path = directory / name
        if _holds(path, content):
            continue
        _replace(path, (content,))
        changed.append(path)
    if changed:
        _sync_directory(directory)
    return changed


def stale(directory: Path, files: Iterable[tuple[str, bytes]]) -> list[Path]:
    """Give the paths that `write` would change, and change nothing."""
    return [directory / name for name, content in files if not _holds(directory / name, content)]


def stamp(path: Path) -> Stamp:
    """Give what changes when anybody writes, replaces or touches a file; None where there is none."""
    try:
        found = path.lstat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def differ(directory: Path, files: Iterable[FeedFile]) -> list[FeedFile]:
    """Give those of the packed files that are not in the directory as they should be."""
    return [one for one in files if not _says(directory / one.name, one)]


def unpack(directory: Path, files: Iterable[FeedFile]) -> list[Path]:
    """Replace the files of these names by what the packed ones say; give their paths."""
    directory.mkdir(parents=True, exist_ok=True)
    changed = []
    for one in files:
        _replace(directory / one.name, packed.content(one))
        changed.append(directory / one.name)
    if changed:
        _sync_directory(directory)
    return changed


def owed(directory: Path) -> frozenset[str]:
    """Give the names of files that were, or were about to be, replaced and whose hooks have not run since."""
    try:
        return frozenset((directory / _OWED).read_text("utf-8").split("\n")) - {""}
    except FileNotFoundError:
        return frozenset()


def owe(directory: Path, names: frozenset[str]) -> None:
    """Note durably that hooks are due for these files; none: they have run."""
    if names:
        directory.mkdir(parents=True, exist_ok=True)
        _replace(directory / _OWED, (f"{name}\n".encode() for name in sorted(names)))
    else:
        (directory / _OWED).unlink(missing_ok=True)


def _holds(path: Path, content: bytes) -> bool:
    try:
        return path.read_bytes() == content
    except FileNotFoundError:
        return False


def _says(path: Path, one: FeedFile) -> bool:
    try:
        with path.open("rb") as file:
            if os.fstat(file.fileno()).st_size != one.size:
                return False
            return hashlib.file_digest(file, "sha256").hexdigest() == one.sha256
    except FileNotFoundError:
        return False


def _replace(path: Path, parts: Iterable[bytes]) -> None:
    """Write beside the file, sync, rename over it. One left over from a crash goes first: it may be another user's."""
    temporary = path.with_name(f".{path.name}.new")
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, _MODE)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.writelines(parts)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise


def _sync_directory(directory: Path) -> None:
    """Make the renames themselves durable."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
