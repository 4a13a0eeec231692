"""Standard input and named pipes (FIFOs): bytes that come once.

Reading waits while the engine is busy, so a writer that is too fast waits, too: nothing is dropped here. A FIFO
outlives its writers; standard input ends, and the source with it. What had been read, but not checkpointed when the
process was killed, is lost: a pipe cannot be asked again. Never: blocks the loop. Read next: ``../way.py``.
"""

from __future__ import annotations

import asyncio
import os
import stat

from dnswatch.core.model import Position
from dnswatch.io.way import Consume, Stream

CHUNK = 256 << 10
"""As much as a block of a file (``tail.py``)."""
CUT = "line cut off by the end of its writer"


def is_fifo(path: str) -> bool:
    """Say whether a path is a named pipe."""
    try:
        return bool(path) and stat.S_ISFIFO(os.stat(path).st_mode)  # noqa: PTH116
    except OSError:
        return False


class Pipe(Stream):
    """Reads standard input (no path) or a FIFO."""

    def __init__(self, source_id: str, resume: Position | None, path: str | None) -> None:
        super().__init__(source_id, resume)
        self._path = path

    async def run(self, consume: Consume) -> None:
        """See `Way`."""
        await self.hand(consume, b"", at_end=True)
        while True:
            fd = 0 if self._path is None else os.open(self._path, os.O_RDONLY | os.O_NONBLOCK)
            try:
                await self._read(fd, consume)
            finally:
                if self._path is not None:
                    os.close(fd)
            if self._path is None:
                self.ended = True
                return
            self.generations["closed"] += 1

    async def _read(self, fd: int, consume: Consume) -> None:
        """Read until the last writer is gone."""
        rest = b""
        while True:
            await _readable(fd)
            try:
                data = os.read(fd, CHUNK - min(len(rest), CHUNK // 2))
            except BlockingIOError:
                continue
            if not data:
                break
            rest = await self.hand(consume, rest + data, at_end=len(data) < CHUNK // 2)
        if rest and self._path is None:  # the last line of a file need not end with a newline
            rest = await self.hand(consume, rest + b"\n", at_end=True)
        if rest:
            self.lose(CUT, 1)
        await self.hand(consume, b"", at_end=True)


async def _readable(fd: int) -> None:
    """Wait until something can be read, or the writers are gone."""
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    try:
        loop.add_reader(fd, ready.set)
    except PermissionError:  # a regular file (``< query.log``): always ready
        await asyncio.sleep(0)
        return
    try:
        await ready.wait()
    finally:
        loop.remove_reader(fd)
