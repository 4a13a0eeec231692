"""The file sink: one message a line, appended and synced; follows logrotate.

A missing or replaced file is noticed before each batch and opened anew, so ``create``, rename and removal need no
signal. Never: truncates or renames. Read next: ``io/deliver.py``.
"""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import Sequence
from pathlib import Path

from dnswatch.config.model import FileSink as Settings
from dnswatch.core.alerts import Context
from dnswatch.io.deliver import Acknowledgement, Delivery, Render, renderer

MODE = 0o640  # names of clients are in it; a log shipper reads by group


def build(settings: Settings, sensor: str) -> FileSink:
    """Make the sink that the configuration asks for."""
    return FileSink(settings.path, renderer(settings.format, Context(sensor, host=sensor)))


class FileSink:
    """Appends to ``path``, creating its directory if needed."""

    acknowledgement: Acknowledgement = "stored"

    def __init__(self, path: Path, render: Render) -> None:
        self._path = path
        self._render = render
        self._file: int | None = None
        self._writing: asyncio.Future[None] | None = None

    async def send(self, batch: Sequence[Delivery]) -> None:
        data = b"".join(self._render(one) + b"\n" for one in batch)
        self._writing = asyncio.ensure_future(asyncio.to_thread(self._append, data))
        await asyncio.shield(self._writing)  # a thread cannot be cancelled: `close` waits for it

    async def close(self) -> None:
        if self._writing is not None:
            await asyncio.wait([self._writing])
            self._writing = None
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _append(self, data: bytes) -> None:
        """Write everything or nothing: what a full disk cut off is taken back."""
        file = self._current()
        before = os.fstat(file)
        regular = stat.S_ISREG(before.st_mode)  # else a FIFO or a terminal: nothing to sync or to take back
        try:
            left = memoryview(data)
            while left:
                left = left[os.write(file, left) :]
            if regular:
                os.fdatasync(file)
        except OSError as error:
            if regular:
                os.ftruncate(file, before.st_size)
            error.filename = str(self._path)
            raise

    def _current(self) -> int:
        """Give the open file, opened again when the path now leads elsewhere."""
        if self._file is not None:
            try:
                there = self._path.stat()
            except (FileNotFoundError, NotADirectoryError):
                there = None
            here = os.fstat(self._file)
            if there is not None and (there.st_dev, there.st_ino) == (here.st_dev, here.st_ino):
                return self._file
            os.close(self._file)
            self._file = None
        self._path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
        self._file = os.open(self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, MODE)
        found = os.fstat(self._file)
        if (
            stat.S_ISREG(found.st_mode) and found.st_size and os.pread(self._file, 1, found.st_size - 1) != b"\n"
        ):  # we were killed in mid-line: begin a new one
            os.write(self._file, b"\n")
        return self._file
