"""Opens logs as they lie in archives: plain, gzip, xz, zstd or bzip2, told by their first bytes, not by their names.

Never: holds more than a buffer of a file, or raises for damage inside one: what can be read is read, and `problem`
says why the rest is missing. Read next: ``scan.py``, ``tail.py``.
"""

from __future__ import annotations

import bz2
import glob
import lzma
import os
import stat
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Protocol

CHUNK = 32 << 10
"""Compressed bytes taken at a time; zstd takes fewer, for it cannot be told how much it may give (a bomb's 128 KiB
per 4 bytes)."""

DEPTH = 8
"""Directories below a named one that are searched: logs of many servers lie two or three deep (host/year/month)."""


class _Unpacker(Protocol):
    """What zlib, bz2, lzma and zstandard have in common."""

    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes) -> bytes: ...


def _zstd() -> Any:
    import zstandard  # 15 ms that plain logs need not pay

    return zstandard.ZstdDecompressor().decompressobj()


_MAGIC: tuple[tuple[bytes, str, Callable[[], Any], int], ...] = (
    (b"\x1f\x8b\x08", "gzip", lambda: zlib.decompressobj(wbits=31), CHUNK),
    (b"\xfd7zXZ\0", "xz", lzma.LZMADecompressor, CHUNK),
    (b"\x28\xb5\x2f\xfd", "zstd", _zstd, 1 << 10),
    (b"BZh", "bzip2", bz2.BZ2Decompressor, CHUNK),
)


class LogStream:
    """A log as a stream of plain bytes."""

    def __init__(self, raw: BinaryIO) -> None:
        """Read plain bytes of ``raw``, unpacking if its first bytes say so."""
        self.kind = "plain"
        self.problem = ""
        """Why the stream ended before the file did; empty when it is whole."""
        self.raw_bytes = 0
        """Bytes of the file taken so far: progress, while the unpacked size is unknown."""
        self._raw = raw
        self._new: Callable[[], Any] | None = None
        self._unpacker: _Unpacker | None = None
        self._chunk = CHUNK
        self._damage: tuple[type[Exception], ...] = (zlib.error, lzma.LZMAError, OSError, EOFError)
        self._ready = b""  # unpacked, not yet given
        self._packed = _read_up_to(raw, 6)  # taken, not yet unpacked
        self.raw_bytes = len(self._packed)
        for magic, kind, new, chunk in _MAGIC:
            if self._packed.startswith(magic):
                self.kind, self._new, self._chunk = kind, new, chunk
                self._unpacker = new()
        if self.kind == "zstd":
            import zstandard

            self._damage = (zstandard.ZstdError,)
        if self._new is None:
            self._ready, self._packed = self._packed, b""

    def readinto(self, view: memoryview) -> int:
        """Fill the start of ``view``; 0 only at the end."""
        if not self._ready:
            if self._new is None:
                count = int(self._raw.readinto(view) or 0)  # type: ignore[attr-defined]
                self.raw_bytes += count
                return count
            self._ready = self._unpack()
        count = min(len(view), len(self._ready))
        view[:count] = self._ready[:count]
        self._ready = self._ready[count:]
        return count

    def skip(self, count: int) -> int:
        """Pass over ``count`` bytes; give how many there were, which a plain file may not know."""
        if self._new is None and not self._ready and self._raw.seekable():
            self._raw.seek(count, os.SEEK_CUR)
            self.raw_bytes += count
            return count
        view = memoryview(bytearray(256 << 10))
        passed = 0
        while passed < count and (got := self.readinto(view[: count - passed])):
            passed += got
        return passed

    def close(self) -> None:
        """Close the file beneath."""
        self._raw.close()

    def _unpack(self) -> bytes:
        """Give the next unpacked bytes; empty at the end, whole or not."""
        while not self.problem:
            packed, self._packed = self._packed, b""
            if not packed:
                packed = self._raw.read(self._chunk)
                self.raw_bytes += len(packed)
            if self._unpacker is None:  # between two members: ``cat a.gz b.gz`` is legal
                packed = packed.lstrip(b"\0")  # padding
                if not packed:
                    return b""
                assert self._new is not None
                self._unpacker = self._new()
            elif not packed:
                self.problem = f"the {self.kind} data ends early"
                return b""
            try:
                plain = self._unpacker.decompress(packed)
            except self._damage:
                self.problem = f"the {self.kind} data is damaged near byte {self.raw_bytes}"
                return b""
            if self._unpacker.eof:
                self._packed, self._unpacker = self._unpacker.unused_data, None
            if plain:
                return plain
        return b""


def _read_up_to(raw: BinaryIO, count: int) -> bytes:
    """Read ``count`` bytes, or what there is: a pipe may give them one by one."""
    data = b""
    while len(data) < count and (more := raw.read(count - len(data))):
        data += more
    return data


def open_log(path: Path) -> LogStream:
    """Open a log file. Raises `OSError`."""
    return LogStream(path.open("rb", buffering=0))


def fill(stream: LogStream, buffer: bytearray, have: int) -> int:
    """Fill ``buffer`` behind its first ``have`` bytes; give how many there are then."""
    with memoryview(buffer) as view:
        while have < len(buffer) and (count := stream.readinto(view[have:])):
            have += count
    return have


def first_bytes(path: Path, count: int) -> bytes:
    """Give the first bytes of a log, unpacked. Raises `OSError`."""
    stream = open_log(path)
    try:
        buffer = bytearray(count)
        return bytes(buffer[: fill(stream, buffer, 0)])
    finally:
        stream.close()


# ── Finding logs ──────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Family:
    """The files of one log, oldest first: ``query.log.1.gz``, ``query.log``."""

    name: str  # path of the log's own name, the same for all of them
    files: tuple[Path, ...]


@dataclass(frozen=True, slots=True)
class Found:
    """What a list of paths, directories and patterns stands for."""

    families: tuple[Family, ...]  # by name
    skipped: tuple[tuple[str, str], ...]  # path and why, in a few words
    beside: tuple[str, ...]  # rotated files next to named ones that nobody asked for


def discover(paths: Iterable[str], *, with_siblings: bool = False) -> Found:
    """Find the log files that ``paths`` name: files, patterns, and directories with those below them.

    Hidden files and directories, links to directories and what lies deeper than `DEPTH` are left out; of directories
    ``skipped`` says so. A missing path or a pattern without a match is an entry of ``skipped``, too. ``with_siblings``
    adds the rotated files of each named log; without it they are only mentioned in ``beside``.
    """
    chosen: dict[Path, None] = {}
    skipped: list[tuple[str, str]] = []
    beside: list[str] = []
    for given in paths:
        path = Path(given)
        if path.is_dir():
            chosen.update(dict.fromkeys(_within(path, skipped)))
        elif path.exists():
            chosen[path] = None
            rotated = [path.with_name(name) for name in _siblings(path)]
            if with_siblings:
                chosen.update(dict.fromkeys(rotated))
            else:
                beside += [str(each) for each in rotated]
        elif glob.has_magic(given):
            matches = [Path(match) for match in sorted(glob.glob(given))]  # noqa: PTH207
            for match in matches:
                chosen.update(dict.fromkeys(_within(match, skipped) if _is_directory(match) else (match,)))
            if not matches:
                skipped.append((given, "no file matches"))
        else:
            skipped.append((given, "no such file or directory"))
    from dnswatch.core.logs.follow import split_rotation  # half of what a child of ``apart.py`` would import

    seen: set[tuple[int, int]] = set()
    members: dict[str, list[Path]] = {}
    for path in sorted(chosen, key=_in_time):
        why = _unusable(path, seen)
        if why:
            skipped.append((str(path), why))
        else:
            members.setdefault(str(path.with_name(split_rotation(path.name)[0])), []).append(path)
    families = tuple(Family(name, tuple(files)) for name, files in sorted(members.items()))
    kept = {str(path) for family in families for path in family.files}
    return Found(families, tuple(skipped), tuple(sorted(set(beside) - kept)))


def _in_time(path: Path) -> tuple[str, tuple[int, str, int], str]:
    from dnswatch.core.logs.follow import split_rotation

    stem, order = split_rotation(path.name)
    return str(path.with_name(stem)), order, path.name


def _within(directory: Path, skipped: list[tuple[str, str]], depth: int = DEPTH) -> Iterator[Path]:
    try:
        entries = sorted(directory.iterdir())
    except OSError as error:
        skipped.append((str(directory), error.strerror or str(error)))
        return
    for entry in entries:
        why = ""
        hidden = entry.name.startswith(".")
        if not _is_directory(entry):
            if not hidden:
                yield entry
        elif hidden:
            why = "a hidden directory; name it to have it read"
        elif entry.is_symlink():  # it may lead back up, or out of the logs
            why = "a link to a directory; name it to have it read"
        elif not depth:
            why = f"more than {DEPTH} directories deep; name it to have it read"
        else:
            yield from _within(entry, skipped, depth - 1)
        if why:
            skipped.append((str(entry), why))


def _is_directory(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # a link to itself
        return False


def _siblings(path: Path) -> list[str]:
    from dnswatch.core.logs.follow import siblings

    try:
        return siblings(path.name, os.listdir(path.parent))  # noqa: PTH208
    except OSError:
        return []


def _unusable(path: Path, seen: set[tuple[int, int]]) -> str:
    """Say why a file cannot be a log, without opening it; empty when it can."""
    try:
        info = path.stat()
    except OSError as error:
        return error.strerror or str(error)
    if not (stat.S_ISREG(info.st_mode) or stat.S_ISFIFO(info.st_mode)):
        return "not a regular file"
    key = (info.st_dev, info.st_ino)
    if key in seen:
        return "the same file under another name"
    seen.add(key)
    return ""
