"""One open file of a log (a *generation*): where we stand in it, and what identifies it by content.

Never: decides which file comes next. Compressed generations read like plain ones. Read next: ``tail.py``.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from dnswatch.core.logs.follow import (
    COMPRESSED,
    HEAD,
    TAIL,
    Generation,
    Order,
    fingerprint,
    fits,
    siblings,
    split_rotation,
)
from dnswatch.core.model import Position
from dnswatch.io.archive import LogStream, fill, open_log

WINDOW = 64 << 10
"""Longest line (``core/logs/digest.py``): looking for a line's start never needs more."""


class OpenGeneration:
    """A file that stays the same file while it is open, whatever its name becomes."""

    def __init__(self, path: Path) -> None:
        """Open ``path`` at its start. Raises `OSError`; what is not a regular file is refused."""
        if path.is_fifo():  # opening it, and closing it again, would cost its writer SIGPIPE
            raise OSError(None, "not a regular file")
        self.fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        self.stream: LogStream | None = None
        try:
            info = os.fstat(self.fd)
            if not stat.S_ISREG(info.st_mode):
                raise OSError(None, "not a regular file")
            if path.name.endswith(COMPRESSED):
                stream = open_log(path)
                self.stream = stream if stream.kind != "plain" else None
        except OSError:
            os.close(self.fd)
            raise
        self.path = path
        # Under this name it is looked for again.
        self.place = os.path.realpath(path) if path.is_symlink() else str(path)
        self.id = (info.st_dev, info.st_ino)
        self.changed_ns = info.st_mtime_ns
        self.offset = 0  # of the first byte not consumed
        self.behind = b""  # the last bytes before it, at most TAIL
        self.carry = b""  # the bytes from it on that were read already: an incomplete line
        self.head = b""  # the first bytes, at most HEAD

    @property
    def read(self) -> int:
        """Offset of the first byte not read."""
        return self.offset + len(self.carry)

    def size(self) -> int:
        """Give the size of the open file (packed, if it is compressed), deleted or not."""
        info = os.fstat(self.fd)
        self.changed_ns = info.st_mtime_ns
        return info.st_size

    def deleted(self) -> bool:
        """Say whether the open file has no name any more."""
        return os.fstat(self.fd).st_nlink == 0

    def same(self) -> bool:
        """Say whether the bytes that were read are still there."""
        if self.stream is not None:
            return True
        last = (self.behind + self.carry)[-TAIL:]
        return (os.pread(self.fd, len(self.head), 0) == self.head
                and os.pread(self.fd, len(last), self.read - len(last)) == last)  # fmt: skip

    def readinto(self, view: memoryview) -> int:
        """Read the next bytes behind the carried ones; 0 at the end, and when the file is not what it was."""
        if self.stream is None:
            count = os.preadv(self.fd, [view], self.read)
            if not self.same():  # truncated and grown again since the caller looked
                return 0
            if len(self.head) < HEAD:
                self.head = os.pread(self.fd, HEAD, 0)
        else:
            count = self.stream.readinto(view)
            if self.read == len(self.head):
                self.head = (self.head + bytes(view[: min(count, HEAD)]))[:HEAD]
        return count

    def consumed(self, data: bytes | bytearray, count: int) -> None:
        """Move on by ``count`` bytes of ``data``, which starts at `offset`; the rest is carried."""
        self.behind = self.behind_after(data, count)
        self.carry = bytes(data[count:])
        self.offset += count

    def behind_after(self, data: bytes | bytearray, count: int) -> bytes:
        """Give the bytes that will be behind us when ``count`` bytes of ``data`` are consumed."""
        return (self.behind + bytes(data[max(0, count - TAIL) : count]))[-TAIL:]

    def position(self, source: str, offset: int, behind: bytes) -> Position:
        """Describe ``offset``, whose preceding bytes are ``behind``."""
        return Position(source, self.place, offset, *self.id, fingerprint(self.head), len(self.head),
                        fingerprint(behind), len(behind), self.changed_ns)  # fmt: skip

    def seek(self, offset: int) -> None:
        """Stand at ``offset``, or at the end if there is less."""
        if self.stream is None:
            self.offset = min(offset, self.size())
            self.head = os.pread(self.fd, HEAD, 0) if self.offset else b""
            self.behind = os.pread(self.fd, min(TAIL, self.offset), max(0, self.offset - TAIL))
            return
        buffer = bytearray(256 << 10)
        with memoryview(buffer) as view:
            while self.offset < offset and (count := self.readinto(view[: min(len(view), offset - self.offset)])):
                self.consumed(buffer[:count], count)

    def renamed(self, path: str) -> None:
        """Note the name that the file has now."""
        self.path, self.place = Path(path), path

    def restart(self) -> None:
        """Stand at the start of what is now another content."""
        self.offset, self.carry, self.behind, self.head = 0, b"", b"", b""

    def line_start(self, offset: int) -> int:
        """Give the start of the line that ``offset`` lies in: the end of a log may be an unfinished line."""
        first = max(0, offset - WINDOW)
        newline = os.pread(self.fd, offset - first, first).rfind(b"\n")
        return first + newline + 1 if newline != -1 or not first else offset

    def first_line_since(self, at: float, stamp_of: Callable[[bytes], float | None]) -> int:
        """Give the offset of the first line stamped ``at`` or later, in a file whose stamps grow."""
        if self.stream is not None:
            return self._packed_since(at, stamp_of)
        low, high = 0, self.size()
        while high - low > 2 * WINDOW:
            middle = (low + high) // 2
            found = self._stamped(middle, middle + WINDOW, stamp_of, None)
            if found is None or found[1] >= at:
                high = middle
            else:
                low = found[0]
        found = self._stamped(low, high + WINDOW, stamp_of, at)
        return found[0] if found is not None else self.line_start(self.size())

    def _stamped(
        self, start: int, end: int, stamp_of: Callable[[bytes], float | None], since: float | None
    ) -> tuple[int, float] | None:
        """Give offset and stamp of the first line between that has a stamp (of ``since`` or later)."""
        data = os.pread(self.fd, end - start, start)
        place = 0 if start == 0 or os.pread(self.fd, 1, start - 1) == b"\n" else data.find(b"\n") + 1
        found = _first_stamped(data, place, stamp_of, since)
        return None if found is None else (start + found[0], found[1])

    def _packed_since(self, at: float, stamp_of: Callable[[bytes], float | None]) -> int:
        """Do the same in a compressed file: one stamp a window says whether the line is in the one before."""
        stream = open_log(self.path)
        try:
            buffer, read, windows = bytearray(WINDOW), 0, b""  # the last two windows
            while count := fill(stream, buffer, 0):
                windows, read = windows[-WINDOW:] + bytes(buffer[:count]), read + count
                place = windows.find(b"\n", max(len(windows) - count - 1, 0)) + 1
                first = _first_stamped(windows, place, stamp_of, None)
                if first is not None and first[1] >= at:
                    break
            start = read - len(windows)
            found = _first_stamped(windows, windows.find(b"\n") + 1 if start else 0, stamp_of, at)
            return read if found is None else start + found[0]
        finally:
            stream.close()

    def close(self) -> None:
        """Close the file."""
        os.close(self.fd)
        if self.stream is not None:
            self.stream.close()


def _first_stamped(
    data: bytes, place: int, stamp_of: Callable[[bytes], float | None], since: float | None
) -> tuple[int, float] | None:
    """Give place and stamp of the first whole line from ``place`` on that has a stamp (of ``since`` or later)."""
    while (newline := data.find(b"\n", place)) != -1:
        stamp = stamp_of(data[place:newline])
        if stamp is not None and stamp > 0 and (since is None or stamp >= since):
            return place, stamp
        place = newline + 1
    return None


def open_at(path: Path, position: Position) -> OpenGeneration | None:
    """Open ``path`` at ``position`` if that was taken in this very content; None if not. Raises `OSError`."""
    file = OpenGeneration(path)
    head = bytearray(position.head_size)
    if file.stream is None:
        head[:] = os.pread(file.fd, position.head_size, 0)
    else:
        with memoryview(head) as view:
            file.stream.readinto(view)
        file.stream.close()
        file.stream = open_log(path)
    if fingerprint(bytes(head)) == position.head_hash:
        file.seek(position.offset)
        if fits(position, file.offset, bytes(head), file.behind[len(file.behind) - position.tail_size :]):
            return file
    file.close()
    return None


def generations(path: Path, olddir: Path | None = None, since: tuple[int, int] | None = None) -> list[Generation]:
    """List the files of the log ``path`` that exist now, oldest first, the path itself last.

    With ``since`` (device, inode) only that file and newer ones, if it is there.

    Rotated files are looked for beside it, in ``olddir`` (logrotate's), and beside what it is a symbolic link to, which
    may have a date in its own name.
    """
    places: dict[Order, str] = {}
    target = Path(os.path.realpath(path))
    bases = dict.fromkeys((path, target.with_name(split_rotation(target.name)[0]) if path.is_symlink() else path))
    for base in bases:
        for directory in (base.parent, olddir):
            if directory is not None:
                with suppress(OSError):
                    for name in siblings(base.name, os.listdir(directory)):  # noqa: PTH208
                        places.setdefault(split_rotation(name)[1], f"{directory}/{name}")
    found: dict[tuple[int, int], Generation] = {}
    # From the newest on: a server that renames them while we look shows one twice then, but hides none except the
    # oldest, which gets a name that was not listed; and one that is packed may be hidden (`unchanged`).
    for each in (str(path), *(places[order] for order in sorted(places, reverse=True))):
        with suppress(OSError):
            info = os.stat(each)  # noqa: PTH116
            if stat.S_ISREG(info.st_mode):
                key = (info.st_dev, info.st_ino)
                found.setdefault(key, Generation(each, *key, info.st_size, info.st_mtime_ns))
                if key == since:
                    break
    return list(reversed(found.values()))


def unchanged(found: Sequence[Generation], path: Path, olddir: Path | None = None) -> bool:
    """Say whether another look shows what was ``found``: only then it is sure that a file is not there.

    One look may miss a file that is renamed or packed meanwhile, and a name may be of another file when it is opened.
    """
    names = [(each.path, each.device, each.inode) for each in found]
    return names == [(each.path, each.device, each.inode) for each in generations(path, olddir)]
