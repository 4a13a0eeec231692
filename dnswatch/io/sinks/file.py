"""The file sink: one message a line, appended and synced; follows logrotate.

A missing, renamed or replaced file is noticed before and after each batch, so ``create``, rename and removal need no
signal; with ``copytruncate`` what logrotate may have cut off is written again. So a line may come twice, told by id and
rev, but none is lost and none is half. Never: truncates more than it has written itself. Read next: ``io/courier.py``.
"""

from __future__ import annotations

import asyncio
import logging
import os
import stat
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from dnswatch import __version__
from dnswatch.config.model import FileSink as Settings
from dnswatch.core.alerts import Context
from dnswatch.core.alerts.triage import Triage
from dnswatch.io.deliver import Acknowledgement, Delivery, Render, renderer

MODE = 0o640  # names of clients are in it; a log shipper reads by group
RECENT_S = 10.0
"""copytruncate loses what is written between its copy (which it syncs) and its truncation: seconds on a slow disk."""
LOOK_S = 1.0
FRAGMENT = 1 << 20  # longest half line that is looked for

log = logging.getLogger("dnswatch")


def build(settings: Settings, sensor: str, triage: Triage | None = None) -> FileSink:
    """Make the sink that the configuration asks for."""
    return FileSink(
        settings.path, renderer(settings.format, Context(sensor, host=sensor, version=__version__, triage=triage))
    )


class FileSink:
    """Appends to ``path``, creating its directory if needed."""

    acknowledgement: Acknowledgement = "stored"

    def __init__(self, path: Path, render: Render) -> None:
        self._path = path
        self._render = render
        self._file: int | None = None
        self._end = 0  # size of a regular file after our last write: a smaller one was truncated
        self._recent: deque[tuple[float, bytes]] = deque()  # monotonic time, what was written then
        self._busy = asyncio.Lock()  # one thread at the file
        self._guarding: asyncio.Task[None] | None = None

    async def send(self, batch: Sequence[Delivery]) -> None:
        lines = [self._render(one) + b"\n" for one in batch]
        await self._in_thread(lines)
        if self._guarding is None or self._guarding.done():
            self._guarding = asyncio.create_task(self._guard(), name=f"guard {self._path}")

    async def close(self) -> None:
        if self._guarding is not None:
            self._guarding.cancel()
            await asyncio.gather(self._guarding, return_exceptions=True)
            self._guarding = None
        async with self._busy:  # a thread cannot be cancelled
            if self._file is not None:
                os.close(self._file)
                self._file = None

    async def _in_thread(self, lines: list[bytes]) -> None:
        async with self._busy:
            writing = asyncio.ensure_future(asyncio.to_thread(self._append, lines))
            try:
                await asyncio.shield(writing)
            except asyncio.CancelledError:
                await asyncio.wait([writing])
                raise

    async def _guard(self) -> None:
        """Look after what was just written, until nobody's copytruncate can have missed it."""
        while self._recent:
            await asyncio.sleep(LOOK_S)
            with suppress(OSError):  # the next batch will say so
                await self._in_thread([])
            while self._recent and self._recent[0][0] < time.monotonic() - RECENT_S:
                self._recent.popleft()

    # ── In a thread ───────────────────────────────────────────────────────────────────────────────────────────

    def _append(self, lines: list[bytes]) -> None:
        """Write everything or nothing, into the file that the path leads to when it is done."""
        data = b"".join(lines)
        if not data and not self._is_current():
            return
        while True:
            file = self._current(lines)
            before = os.fstat(file)
            regular = stat.S_ISREG(before.st_mode)  # else a FIFO or a terminal: nothing to sync or to take back
            if regular and before.st_size < self._end:
                data = self._again() + data
                self._end = before.st_size
            if not data:
                return
            self._write(file, data, before.st_size if regular else None)
            if not regular:
                return
            if not self._is_current():  # renamed while we wrote: it may be compressed and gone by now
                continue
            self._end = before.st_size + len(data)
            self._recent.append((time.monotonic(), data))
            data = b""
            if os.fstat(file).st_size >= self._end:
                return

    def _again(self) -> bytes:
        """Give what logrotate's copytruncate may have cut off before it was copied."""
        data = b"".join(text for _, text in self._recent)
        self._recent.clear()
        if data:
            log.warning("%s was truncated: writing again what came in the last %.0f s", self._path, RECENT_S)
        return data

    def _write(self, file: int, data: bytes, before: int | None) -> None:
        """Write all of it to disk; what a full disk cut off is taken back (``before``: size of a regular file)."""
        left = memoryview(data)
        try:
            while left:
                left = left[os.write(file, left) :]
            if before is not None:
                os.fdatasync(file)
        except OSError as error:
            if before is not None and os.fstat(file).st_size > before:
                os.ftruncate(file, before)
            error.filename = str(self._path)
            raise

    def _is_current(self) -> bool:
        """Say whether the path still leads to the open file."""
        if self._file is None:
            return False
        try:
            there = self._path.stat()
        except (FileNotFoundError, NotADirectoryError):
            return False
        here = os.fstat(self._file)
        return (there.st_dev, there.st_ino) == (here.st_dev, here.st_ino)

    def _current(self, lines: list[bytes]) -> int:
        """Give the open file, opened again when the path now leads elsewhere."""
        if self._file is not None:
            if self._is_current():
                return self._file
            os.close(self._file)
            self._file = None
        self._path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
        self._file = os.open(self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, MODE)
        self._recent.clear()  # is in the file before this one
        found = os.fstat(self._file)
        self._end = found.st_size
        if stat.S_ISREG(found.st_mode) and found.st_size:
            self._end = self._whole_lines(self._file, found.st_size, lines)
        return self._file

    @staticmethod
    def _whole_lines(file: int, size: int, lines: list[bytes]) -> int:
        """Make the file end with a whole line; give its size. We were killed in mid-line, or somebody else was."""
        begin = max(0, size - FRAGMENT)
        fragment = os.pread(file, size - begin, begin).rpartition(b"\n")[2]
        if not fragment:
            return size
        if any(line.startswith(fragment) for line in lines):  # ours, and about to be written whole
            os.ftruncate(file, size - len(fragment))
            return size - len(fragment)
        os.write(file, b"\n")
        return size + 1
