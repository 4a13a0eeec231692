"""The bytes of a log, a block at a time: what was not consumed comes again, with more behind it.

Never: looks into them. Read next: ``replay.py``.
"""

from __future__ import annotations

from dnswatch.io.archive import LogStream, fill

BLOCK = 1 << 19
"""Twice that of ``tail.py``: each scan of a block drives the interpreter out of the processor's caches, so fewer and
longer scans are better, as long as a block stays in the second-level cache between being read and being scanned: at
1 MiB reading takes twice as long (0.09 s instead of 0.2 s a GB)."""


class Blocks:
    """A log's bytes from `offset` on."""

    def __init__(self, stream: LogStream) -> None:
        self.offset = 0
        self.have = 0
        """Bytes at hand behind it."""
        self.ended = False
        """The last `read` found nothing more."""
        self.problem = ""
        """Why the bytes ended before the file did."""
        self._stream: LogStream | None = stream
        self._buffer = bytearray(BLOCK)
        self._peeked = False
        self._behind = 0  # bytes before the buffer's first one that were not read, but are to be passed over
        self._shown = 0  # bytes of the file, as it lies on disk, that progress was told of

    def peek(self) -> bytes:
        """Give the first block; the next `read` gives it again."""
        data = bytes(self.read())
        self._peeked = True
        return data

    def read(self) -> bytes | bytearray:
        """Give what is at hand, as much as fits into a block; it is valid until `move`."""
        if not self._peeked:
            self._fill()
        self._peeked = False
        return self._buffer if self.have == BLOCK else bytes(self._buffer[: self.have])

    def _fill(self) -> None:
        before = self.have
        if self._stream is not None:
            if self._behind:
                self._stream.skip(self._behind)
                self._behind = 0
            self.have = fill(self._stream, self._buffer, before)
            self.problem = self._stream.problem
        self.ended = self.have == before < BLOCK

    def move(self, count: int) -> None:
        """Go on ``count`` bytes, read or not."""
        self._peeked = False
        self.offset += count
        passed = min(count, self.have)
        self._buffer[: self.have - passed] = self._buffer[passed : self.have]
        self.have -= passed
        self._behind += count - passed

    def end_with(self, data: bytes, problem: str) -> None:
        """Take ``data``, less than a block, for all that is left."""
        self._stream, self._peeked = None, False
        self._buffer[: len(data)] = data
        self.have, self.problem = len(data), problem

    def progress(self, raw_bytes: int | None = None) -> int:
        """Give the bytes of the file taken since the last call; ``raw_bytes``: somebody else has come so far."""
        if raw_bytes is None:
            raw_bytes = self._stream.raw_bytes if self._stream is not None else 0
        before, self._shown = self._shown, max(self._shown, raw_bytes)
        return self._shown - before
