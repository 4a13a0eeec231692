"""Follows a log file through rotation, truncation and restarts, and hands its bytes on in blocks.

Never: parses, drops or reorders bytes, or decides what a change of the file means: ``core/logs/follow.py`` does, from
the facts gathered here. Reading waits for the consumer (back-pressure). A missing or unreadable file is a state, told
in `FileTail.waiting`, that ends by itself. Read next: ``core/logs/follow.py``, ``generation.py``, ``left.py``.

How a rotated log is not lost: the open file is read to its end before the next *generation* (the file that follows it
by name) is opened, so several rotations between two looks are several steps. A file left behind stays open for
``drain_s`` (``left.py``), and after a restart the file we were in is found again by its content (``resume.py``).
"""

from __future__ import annotations

import asyncio
import os
import stat
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from dnswatch.config.values import Extent
from dnswatch.core.logs.follow import Facts, decide
from dnswatch.core.model import Position
from dnswatch.io.access import no_access
from dnswatch.io.beat import until_beat
from dnswatch.io.generation import OpenGeneration, generations, unchanged
from dnswatch.io.inotify import DIRECTORY, FILE, PAUSE_S, Inotify
from dnswatch.io.left import Left
from dnswatch.io.resume import GONE, MOMENT, RETRIES, Start, begin, copy_of, find, overlooked, successor
from dnswatch.io.skip import LEFT_OUT, cut_short
from dnswatch.io.way import Block, Consume

BLOCK = 256 << 10
"""Bytes per block: fits the L2 cache; 64 KiB to 1 MiB are equally fast (performance.md §2)."""
POLL_S = 1.0
"""Safety poll where inotify sees nothing (NFS, overlays); without any inotify 0.25 s, as hpcloud/tail does."""
POLL_ALONE_S = 0.25
LOADED, LOADED_PAUSE_S = 64 << 10, 0.01
"""Where so much comes between two looks, the next one waits longer: 100 000 lines/s in 100 looks instead of 200."""
REWATCH_S = 0.5
"""What the path leads to is watched anew so often; the files that are read, at once."""
STOOD_S = 0.5
"""Whole lines that the consumer has left at the end of the log are handed on again when nothing came for so long."""


class FileTail:
    """Follows one path. `run` does the work; the attributes are for the status page."""

    def __init__(
        self, source_id: str, path: Path, *, start: Start = "end", resume: Position | None = None,
        drain_s: float = 150.0, olddir: Path | None = None, stamp_of: Callable[[bytes], float | None] | None = None,
        most: Extent | None = None,
    ) -> None:  # fmt: skip
        """``start``: where to begin without ``resume``.

        ``"start"`` takes rotated and compressed siblings first; so does a Unix time, from the first file changed since;
        with ``stamp_of`` (the time of a line, None where it has none) it begins at the very line.
        ``most``: how far to go back with ``resume``.
        ``drain_s``: how long a file left behind is still read. ``olddir``: where rotated files may be, too.
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
        self._olddir = olddir
        self._stamp_of = stamp_of
        self._most = most
        self.skipped = 0
        """Bytes left out because catching up is bounded."""
        self._file: OpenGeneration | None = None
        self._left = Left(source_id, drain_s, self.losses)
        self._left_known = False
        self._emptied: Position | None = None  # of a file that is truncated at rotations, while nothing of it is read
        self._buffer = bytearray(BLOCK)
        self._inotify: Inotify | None = None
        self._began: tuple[tuple[int, int], int] | None = None  # identity and size of the file when we began
        self._grew_at = 0.0  # monotonic
        self._caught_up = False  # the last look read up to the end
        self._got = 0  # bytes read since the last wait
        self._watched: list[OpenGeneration] = []
        self._watched_at = 0.0  # monotonic

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

    def unread_bytes(self) -> int:
        """Give how many bytes are still to come, in files not begun too; packed ones count as they are."""
        if (file := self._file) is None:
            return 0
        rest = max(file.size() - file.offset, 0) if file.stream is None else 0
        if self.at_end:
            return rest
        later = [each for each in generations(self.path, self._olddir, since=file.id)
                 if (each.device, each.inode) != file.id]  # fmt: skip
        return rest + sum(each.size for each in later if each.changed_ns >= file.changed_ns)

    def rotated(self) -> bool:
        """Say whether there are rotated files of this log."""
        return len(generations(self.path, self._olddir)) > 1

    @property
    def held(self) -> bool:
        """Whether a file is open, whatever the path names."""
        return self._file is not None

    @property
    def late_s(self) -> float:
        """For how long a rotated file was still written to while the new one stayed empty; 0.0: none is."""
        return self._left.late_s if self._left.late and self.waiting else 0.0

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
                # What came after a look to the end has left an event behind: a second look finds nothing.
                if not await self._look(consume) or self._caught_up:
                    await self._wait()
        finally:
            self._left.close()
            if self._file is not None:
                self._file.close()
            self._file = None
            if self._inotify is not None:
                self._inotify.close()
                self._inotify = None

    # ── Looking ───────────────────────────────────────────────────────────────────────────────────────────────

    async def _look(self, consume: Consume) -> bool:
        """Look once and do what there is to do; False when there was nothing."""
        self._caught_up = False
        busy = await self._drain(consume)
        if (file := self._file) is None:
            return await self._open(consume) or busy  # then late lines of the files before it come first
        if file.stream is not None:  # nobody writes a compressed file: read it, then go on
            return await self._read(file, consume) or await self._finish(file, consume) or self._next(file)
        info = self._stat()
        path_id = (info.st_dev, info.st_ino) if info is not None else None
        known, self.size = self.size, file.size()
        step = decide(Facts(path_id, file.id, self.size, file.read, file.same()))
        if step == "restart":
            await self._truncated(file, consume, known)
            return True
        if step == "read":
            if self._go_back(file):
                return True
            if not await self._read(file, consume):
                return busy
            self._caught_up = self.at_end
            return True
        if step == "next":
            return await self._finish(file, consume) or self._next(file) or busy
        if not self.at_end and path_id == file.id:
            self.at_end = True  # the file ended where a block did: say so
            await self._hand(file, file.carry, consume)
        elif self._held(file) and (stood_s := time.monotonic() - self._grew_at) >= STOOD_S:
            busy = await self._hand(file, file.carry, consume, stood_s) > 0
        return busy

    @staticmethod
    def _held(file: OpenGeneration) -> bool:
        """Say whether whole lines were read that the consumer has left, to see first what comes behind them."""
        return b"\n" in file.carry

    async def _finish(self, file: OpenGeneration, consume: Consume) -> bool:
        """Let the consumer take whole lines that it has left: nothing will come behind them. False: there are none."""
        return self._held(file) and await self._hand(file, file.carry, consume, float("inf")) > 0

    def _stat(self) -> os.stat_result | None:
        """Look at the path, and tell why there is nothing."""
        try:
            info = os.stat(self.path)  # noqa: PTH116
        except OSError as error:
            self._tell_absence(no_access(self.path, error, "is the log switched on?"))
            return None
        if not (stat.S_ISREG(info.st_mode) or stat.S_ISFIFO(info.st_mode)):  # a pipe is read another way
            what = "a directory" if stat.S_ISDIR(info.st_mode) else "a socket or device"
            self._tell_absence(f"{what}, not a regular file")
            return None
        self.waiting = ""
        if self._left.late and not info.st_size:
            self.waiting = (
                f"{self.path} is empty while {self._left.late} is still written: its server has not opened it anew"
            )
        return info

    def _tell_absence(self, why: str) -> None:
        """Tell why the path names no log; the file that is open is followed on."""
        self.waiting = why if self._file is None else f"{why}; still reading what was {self._file.path}"

    async def _open(self, consume: Consume) -> bool:
        """Open the file to begin with; False, with `waiting` set, while that is impossible."""
        try:
            self._know_left()
            if self._resume is None:
                self._file = begin(self.path, self._olddir, self._start, self._stamp_of, self._began)
            else:
                self._file, lost = find(self.path, self._olddir, self._resume)
                if lost:
                    self.losses[lost] += 1
                self._cut_short(self._file)
                self.generations["resumed"] += lost != GONE
        except OSError as error:
            if isinstance(error, FileNotFoundError):
                self._began = None  # what appears from now on is new from its first byte
                if self._resume is None and self._start == "end":
                    await self._begin_nowhere(consume)
            if self.path.is_fifo():  # made after we began: another way in reads it (``sources/pipe.py``)
                raise
            self.waiting = no_access(self.path, error, "is the log switched on?")
            self.at_end = False
            return False
        if self._began is None and self._resume is None:
            self.generations["appeared"] += 1
        self.waiting = ""
        return True

    def _cut_short(self, file: OpenGeneration) -> None:
        """Leave out what lies farther back than the operator wants to catch up with; once, after a start."""
        if self._most is None:
            return
        most, self._most = self._most, None
        self._file, skipped = cut_short(self.path, self._olddir, file, most, time.time(), self._stamp_of)
        self.skipped += skipped
        self.losses[LEFT_OUT] += bool(skipped)

    def _know_left(self) -> None:
        """Open the files left behind again, before the log itself is opened."""
        for _ in range(RETRIES):
            if self._left_known:
                return
            with suppress(FileNotFoundError):  # renamed or packed while we looked
                found = generations(self.path, self._olddir)
                if self._resume is not None:
                    self._left.resume(self._resume.left, found)
                    if not self._left.found and not unchanged(found, self.path, self._olddir):
                        continue
                elif self._start == "end":
                    self._left.begin([each for each in found if each.path != str(self.path)])
                self._left_known = True

    async def _begin_nowhere(self, consume: Consume) -> None:
        """Let it be stored that there was no log yet: what appears while nobody runs is new as well."""
        try:
            now_ns = self.path.parent.stat().st_mtime_ns  # by the clock that files are stamped with
        except OSError:
            now_ns = 1
        self._resume = Position(self.source_id, str(self.path), 0, changed_ns=now_ns, left=self._left.positions)
        nowhere = self._resume
        await consume(Block(b"", nowhere, False, lambda _: nowhere))

    def _next(self, file: OpenGeneration) -> bool:
        """Go on to the file that follows the one read to its end."""
        position = file.position(self.source_id, file.offset, file.behind)
        try:
            found = successor(self.path, self._olddir, file, position, self._left.ids())
        except OSError as error:
            self.waiting = no_access(Path(error.filename or self.path), error, "just rotated")
            return False
        if found is None:
            if self.path.is_fifo():
                raise OSError(None, "not a regular file any more")
            return False
        opened = found.file or self._left.take(found.key)
        assert opened is not None
        if found.lost:
            self.losses[found.lost] += 1
        self._left.add(file, found.name)
        self._file, self.size = opened, 0
        self.generations["rotated"] += 1
        self.at_end = False
        if not opened.read:
            self._begins(opened)
        return True

    async def _truncated(self, file: OpenGeneration, consume: Consume, known: int) -> None:
        """Start again in a truncated file, after what a copy of it (copytruncate) still holds.

        ``known``: the size that it had when it was looked at last.
        """
        self.generations["truncated"] += 1
        self.at_end = False
        position = file.position(self.source_id, file.offset, file.behind)
        copy = copy_of(self.path, self._olddir, file, position)
        if copy is None and await self._finish(file, consume):
            position = file.position(self.source_id, file.offset, file.behind)
        unread = known > file.offset
        self.losses[MOMENT if copy is not None or not unread else "truncated before it was read"] += 1
        if copy is not None:
            file.close()
            self._file = copy
            return
        self._left.note(position)
        file.restart()
        self._begins(file)

    def _begins(self, file: OpenGeneration) -> None:
        """Remember from when on a log that is truncated at its rotations has nothing that was read."""
        if self.generations["truncated"] and file.path == self.path:
            self._emptied = replace(file.position(self.source_id, 0, b""), left=self._left.positions)

    def _go_back(self, file: OpenGeneration) -> bool:
        """Before its first line is read: go to what was copied and truncated since, if anything."""
        emptied, self._emptied = self._emptied, None
        if emptied is None or file.read:
            return False
        copy = overlooked(self.path, self._olddir, file, emptied)
        if copy is None:
            return False
        self.generations["truncated"] += 1
        self.losses[MOMENT] += 1
        file.close()
        self._file = copy
        return True

    # ── Reading ───────────────────────────────────────────────────────────────────────────────────────────────

    async def _drain(self, consume: Consume) -> bool:
        """Read what late writers add to files left behind, and close those whose time is over."""
        busy = False
        for file in self._left.grown():
            busy = await self._read(file, consume) or busy
            while file.stream is not None and await self._read(file, consume):
                pass
        return busy

    async def _read(self, file: OpenGeneration, consume: Consume) -> bool:
        """Hand on the next block of ``file``; False when there is nothing more."""
        have = len(file.carry)
        with memoryview(self._buffer) as view:
            view[:have] = file.carry
            count = file.readinto(view[have:])
        if not count:
            return False
        stood_s = float("inf")  # nobody waits for what may come behind late lines
        if file is self._file:
            stood_s, self._grew_at = 0.0, time.monotonic()
        end = have + count
        self._got += count
        if file is self._file:
            self.at_end = file.stream is None and file.path == self.path and file.read + count >= file.size()
        data = self._buffer if end == BLOCK else bytes(self._buffer[:end])
        if not await self._hand(file, data, consume, stood_s) and end == BLOCK:
            raise ValueError("the consumer took nothing of a full block: a line may not be longer than a block")
        return True

    async def _hand(self, file: OpenGeneration, data: bytes | bytearray, consume: Consume, stood_s: float = 0.0) -> int:
        """Give a block to the consumer and move on by what it dealt with."""
        offset, source = file.offset, self.source_id

        def after(consumed: int) -> Position:
            moved = file.position(source, offset + consumed, file.behind_after(data, consumed))
            current = self._file
            if current is file:
                left = self._left.positions
                return replace(moved, left=left) if left else moved
            # A late line of a file left behind: we stand elsewhere.
            stood = self._resume if current is None else current.position(source, current.offset, current.behind)
            return replace(stood or moved, left=self._left.moved(file, moved))

        begins = file.position(source, offset, file.behind)
        consumed = await consume(Block(data, begins, self.at_end, after, stood_s=stood_s))
        file.consumed(data, consumed)
        if not self.at_end:
            await asyncio.sleep(0)  # a backlog must not starve the rest of the program
        return consumed

    async def _wait(self) -> None:
        """Wait for a change of the file or its directory, but not longer than the safety poll."""
        held = self._file is not None and self._held(self._file)
        poll_s = min(POLL_S, STOOD_S) if held else POLL_S
        if self._inotify is None:
            await asyncio.sleep(POLL_ALONE_S)
            return
        got, self._got = self._got, 0
        open_files, now = [*self._left.files, *([self._file] if self._file is not None else [])], time.monotonic()
        if open_files != self._watched or now - self._watched_at >= REWATCH_S:
            self._watched, self._watched_at = open_files, now
            place = Path(os.path.realpath(self.path))  # of a link to itself, too, of which Path.resolve raises
            paths = {str(self.path.parent): DIRECTORY, str(place.parent): DIRECTORY}
            paths |= {f"/proc/self/fd/{file.fd}": FILE for file in open_files}
            if self._inotify.watch(paths):  # look again: what happened before the watch stood woke nobody
                return
        await self._inotify.wait(until_beat(poll_s), LOADED_PAUSE_S if got >= LOADED else PAUSE_S)
