"""Follows a log file through rotation, truncation and restarts, and hands its bytes on in blocks.

Never: parses, drops or reorders bytes, or decides what a change of the file means: ``core/logs/follow.py`` does, from
the facts gathered here. Reading waits for the consumer (back-pressure). A missing or unreadable file is a state, told
in `FileTail.waiting`, that ends by itself. Read next: ``core/logs/follow.py``, ``generation.py``.

How a rotated log is not lost: the open file is read to its end before the next *generation* (the file that follows it
by name) is opened, so several rotations between two looks are several steps. A file left behind stays open for
``drain_s``: dnsmasq's TCP children write into it for up to 150 s (log_formats §0.6).
"""

from __future__ import annotations

import asyncio
import os
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from dnswatch.core.logs.follow import Facts, decide, newer
from dnswatch.core.model import Position
from dnswatch.io.access import no_access
from dnswatch.io.generation import OpenGeneration, generations, open_at
from dnswatch.io.inotify import DIRECTORY, FILE, Inotify

BLOCK = 256 << 10
"""Bytes per block: fits the L2 cache; 64 KiB to 1 MiB are equally fast (performance.md §2)."""
POLL_S = 1.0
"""Safety poll where inotify sees nothing (NFS, overlays); without any inotify 0.25 s, as hpcloud/tail does."""
POLL_ALONE_S = 0.25
LEFT_OPEN = 16
"""Files left behind that stay open: BIND can rotate every 36 ms (log_formats §4.1)."""
RETRIES = 20
"""Looks at a directory that changes while we look."""

Start = Literal["end", "start"] | float


@dataclass(frozen=True, slots=True)
class Block:
    """Some bytes of the log, from the start of a line on. Valid until ``consume`` returns: the buffer is reused."""

    data: bytes | bytearray  # empty only to tell that the end was reached
    position: Position  # of the first byte
    at_end: bool  # nothing more to read at this moment
    _after: Callable[[int], Position]

    def after(self, consumed: int) -> Position:
        """Give the position to store once ``consumed`` bytes of this block are dealt with."""
        return self._after(consumed)


Consume = Callable[[Block], Awaitable[int]]


class FileTail:
    """Follows one path. `run` does the work; the attributes are for the status page."""

    def __init__(
        self, source_id: str, path: Path, *, start: Start = "end", resume: Position | None = None,
        drain_s: float = 150.0, stamp_of: Callable[[bytes], float | None] | None = None,
    ) -> None:  # fmt: skip
        """``start``: where to begin without ``resume``.

        ``"start"`` takes rotated and compressed siblings first; so does a Unix time, from the first file changed since;
        with ``stamp_of`` (the time of a line, None where it has none) it begins at the very line.
        ``drain_s``: how long a file left behind is still read.
        """
        self.source_id = source_id
        self.path = path
        self.waiting = ""
        """Why nothing can be read at the moment, for a person; empty when all is well."""
        self.at_end = False
        self.size = 0  # of the file being read
        self.generations: Counter[str] = Counter()
        """appeared, resumed, rotated, truncated."""
        self.losses: Counter[str] = Counter()
        """What could not be found again, or what the log itself lost, by reason."""
        self._start = start
        self._resume = resume
        self._drain_s = drain_s
        self._stamp_of = stamp_of
        self._file: OpenGeneration | None = None
        self._left: list[OpenGeneration] = []
        self._buffer = bytearray(BLOCK)
        self._inotify: Inotify | None = None
        self._began: tuple[tuple[int, int], int] | None = None  # identity and size of the file when we began
        self._late = ""  # a file left behind that is still written

    @property
    def offset(self) -> int:
        """Offset of the first byte not consumed."""
        return self._file.offset if self._file is not None else 0

    @property
    def lag(self) -> int:
        """Bytes of the file being read that are still to come."""
        return max(self.size - self.offset, 0)

    @property
    def unread(self) -> bool:
        """Whether the file has grown since it was read."""
        return self._file is not None and self._file.stream is None and self._file.size() > self._file.read

    async def run(self, consume: Consume) -> None:
        """Follow the path until cancelled. ``consume`` gives how many bytes it dealt with: up to a line's end."""
        try:
            self._inotify = Inotify()
        except OSError:
            self._inotify = None
        try:
            if (info := self._stat()) is not None:
                self._began = (info.st_dev, info.st_ino), info.st_size
            while True:
                if not await self._look(consume):
                    await self._wait()
        finally:
            for file in [*self._left, *([self._file] if self._file is not None else [])]:
                file.close()
            self._left.clear()
            self._file = None
            if self._inotify is not None:
                self._inotify.close()
                self._inotify = None

    # ── Looking ───────────────────────────────────────────────────────────────────────────────────────────────

    async def _look(self, consume: Consume) -> bool:
        """Look once and do what there is to do; False when there was nothing."""
        busy = await self._drain(consume)
        if self._file is None and not self._open():
            return busy
        file = self._file
        assert file is not None
        if file.stream is not None:  # nobody writes a compressed file: read it, then go on
            return await self._read(file, consume) or self._next(file)
        info = self._stat()
        path_id = (info.st_dev, info.st_ino) if info is not None else None
        known, self.size = self.size, file.size()
        step = decide(Facts(path_id, file.id, self.size, file.read, file.same()))
        if step == "restart":
            self._truncated(file, unread=known > file.offset)
            return True
        if step == "read":
            return await self._read(file, consume) or busy
        if step == "next":
            return self._next(file) or busy
        if not self.at_end and path_id == file.id:
            self.at_end = True  # the file ended where a block did: say so
            await self._hand(file, b"", consume)
        return busy

    def _stat(self) -> os.stat_result | None:
        """Look at the path, and tell why there is nothing."""
        try:
            info = os.stat(self.path)  # noqa: PTH116
        except OSError as error:
            self.waiting = no_access(self.path, error, "is the log switched on?")
            if self._file is not None:
                self.waiting += f"; still reading what was {self._file.path}"
            return None
        self.waiting = ""
        if self._late and not info.st_size:
            self.waiting = (
                f"{self.path} is empty while {self._late} is still written: its server has not opened it anew"
            )
        return info

    def _open(self) -> bool:
        """Open the file to begin with; False, with `waiting` set, while that is impossible."""
        try:
            self._file = self._begin() if self._resume is None else self._found(self._resume)
        except OSError as error:
            if isinstance(error, FileNotFoundError):
                self._began = None  # what appears from now on is new from its first byte
            self.waiting = no_access(self.path, error, "is the log switched on?")
            self.at_end = False
            return False
        if self._began is None and self._resume is None:
            self.generations["appeared"] += 1
        self.waiting = ""
        return True

    def _begin(self) -> OpenGeneration:
        """Open the log where the operator wants to begin."""
        if self._start == "end":
            file = OpenGeneration(self.path)
            if self._began is not None and self._began[0] == file.id:
                file.seek(file.line_start(min(self._began[1], file.size())))
            return file
        found = generations(self.path)
        since = 0.0 if self._start == "start" else self._start
        older = [each for each in found if each.changed_ns >= since * 1e9 and each.path != str(self.path)]
        file = OpenGeneration(Path(older[0].path) if older else self.path)
        if since and self._stamp_of is not None and file.stream is None:
            file.seek(file.first_line_since(since, self._stamp_of))
        return file

    def _found(self, position: Position) -> OpenGeneration:
        """Open the file that ``position`` was taken in, under whatever name; else the current one, from its start."""
        found = generations(self.path)
        for each in reversed(found):
            if position.head_size:
                file = _try_open_at(Path(each.path), position, must=each.path == str(self.path))
            else:  # it was empty: content cannot tell
                same = (each.device, each.inode) == (position.device, position.inode)
                file = OpenGeneration(Path(each.path)) if same else None
            if file is not None:
                self.generations["resumed"] += 1
                return file
        file = OpenGeneration(self.path)
        if position.head_size:
            self.losses["rotated away while not running"] += 1
        return file

    def _next(self, file: OpenGeneration) -> bool:
        """Go on to the file that follows the one read to its end."""
        for _ in range(RETRIES):
            found = generations(self.path)
            following = newer(found, file.id, file.changed_ns)
            if following is None:
                return False
            try:
                opened = OpenGeneration(Path(following.path))
            except FileNotFoundError:
                continue  # renamed while we looked
            except OSError as error:
                self.waiting = no_access(Path(following.path), error, "just rotated")
                return False
            if opened.id == (following.device, following.inode):
                if file.deleted() and following == found[0] and len(found) > 1:
                    # Ours was the oldest and went; even the oldest left is newer, so others may have gone unseen.
                    self.losses["rotated away before it was read"] += 1
                self._leave(file, {(each.device, each.inode): each.path for each in found}.get(file.id))
                self._file, self.size = opened, 0
                self.generations["rotated"] += 1
                self.at_end = False
                return True
            opened.close()
        return False

    def _leave(self, file: OpenGeneration, name: str | None) -> None:
        """Keep a file that was read to its end open for a while; ``name``: what it is called now."""
        if name is not None:
            file.path = Path(name)
        file.deadline = time.monotonic() + self._drain_s
        self._left.append(file)
        self._late = ""
        if file.stream is not None:
            if file.stream.problem:
                self.losses["damaged archive"] += 1
            self._close(file)
        while len(self._left) > LEFT_OPEN:
            self._close(self._left[0])

    def _close(self, file: OpenGeneration) -> None:
        self._left.remove(file)
        self.losses["unfinished last line"] += bool(file.carry)
        self.losses += Counter()  # drops the zero
        file.close()

    def _truncated(self, file: OpenGeneration, unread: bool) -> None:
        """Start again in a truncated file, after what a copy of it (copytruncate) still holds."""
        self.generations["truncated"] += 1
        self.at_end = False
        position = file.position(self.source_id, file.offset, file.behind)
        for each in reversed(generations(self.path)):
            if (each.device, each.inode) != file.id and position.head_size:
                copy = _try_open_at(Path(each.path), position)
                if copy is not None:
                    file.close()
                    self._file = copy
                    return
        if unread:
            self.losses["truncated before it was read"] += 1
        file.restart()

    # ── Reading ───────────────────────────────────────────────────────────────────────────────────────────────

    async def _drain(self, consume: Consume) -> bool:
        """Read what late writers add to files left behind, and close those whose time is over."""
        busy = False
        for file in list(self._left):
            size = file.size()
            if size < file.read or not file.same() or (size == file.read and time.monotonic() > file.deadline):
                self._close(file)
            elif size > file.read and await self._read(file, consume):
                file.deadline = time.monotonic() + self._drain_s
                self._late = str(file.path)
                busy = True
        return busy

    async def _read(self, file: OpenGeneration, consume: Consume) -> bool:
        """Hand on the next block of ``file``; False when there is nothing more."""
        have = len(file.carry)
        with memoryview(self._buffer) as view:
            view[:have] = file.carry
            count = file.readinto(view[have:])
        if not count:
            return False
        end = have + count
        if file is self._file:
            self.at_end = file.stream is None and file.path == self.path and file.read + count >= file.size()
        data = self._buffer if end == BLOCK else bytes(self._buffer[:end])
        if not await self._hand(file, data, consume) and end == BLOCK:
            raise ValueError("the consumer took nothing of a full block: a line may not be longer than a block")
        return True

    async def _hand(self, file: OpenGeneration, data: bytes | bytearray, consume: Consume) -> int:
        """Give a block to the consumer and move on by what it dealt with."""
        offset, source = file.offset, self.source_id

        def after(consumed: int) -> Position:
            current = self._file
            if current is not None and current is not file:  # a late line of a file left behind: we stand elsewhere
                return current.position(source, current.offset, current.behind)
            return file.position(source, offset + consumed, file.behind_after(data, consumed))

        consumed = await consume(Block(data, file.position(source, offset, file.behind), self.at_end, after))
        file.consumed(data, consumed)
        await asyncio.sleep(0)  # a backlog must not starve the rest of the program
        return consumed

    async def _wait(self) -> None:
        """Wait for a change of the file or its directory, but not longer than the safety poll."""
        if self._inotify is None:
            await asyncio.sleep(POLL_ALONE_S)
            return
        paths = {str(self.path.parent): DIRECTORY, str(self.path.resolve().parent): DIRECTORY}
        open_files = [*self._left, *([self._file] if self._file is not None else [])]
        paths |= {f"/proc/self/fd/{file.fd}": FILE for file in open_files}
        if not self._inotify.watch(paths):  # else look again: what happened before the watch stood woke nobody
            await self._inotify.wait(POLL_S)


def _try_open_at(path: Path, position: Position, must: bool = False) -> OpenGeneration | None:
    """See `open_at`; a rotated file that cannot be opened is not ours, unless we ``must`` be able to."""
    try:
        return open_at(path, position)
    except OSError:
        if must:
            raise
        return None
