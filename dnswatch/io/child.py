"""A child process that digests one file and writes what it says to its standard output (``apart.py`` is the parent).

Never: keeps more than `AHEAD_BYTES` of it while the parent is busy, outlives the parent, minds Ctrl-C (the parent does
and ends it). Read next: ``replay.py``.
"""

from __future__ import annotations

import os
import pickle
import select
import signal
import sys
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dnswatch.core.logs.digest import Digested
from dnswatch.core.logs.timestamps import Stamps
from dnswatch.core.reading import AnyDigest, Scan, build_scan
from dnswatch.io.apart import LENGTH, Task, standing
from dnswatch.io.archive import Family, LogStream
from dnswatch.io.replay import Reading, Replay

AHEAD_BYTES = 16 << 20
"""Found and not yet taken: some 3 GB of log of which one line in a thousand is watched."""


def serve() -> None:
    """Read a `Task` from standard input and do it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # the parent has gone, or has no use for us
    task = pickle.load(sys.stdin.buffer)  # noqa: S301  # from our own parent
    assert isinstance(task, Task)
    out = _Out(sys.stdout.fileno())
    for message in _Alone(task).messages():
        out.put(pickle.dumps(message, pickle.HIGHEST_PROTOCOL))
    out.drain(0)


class _Alone(Replay):
    """Reads one file as if there were no other, and notes where that leads to."""

    def __init__(self, task: Task) -> None:
        self._task = task
        self._standing: tuple[Stamps, dict[str, AnyDigest], LogStream] | None = None
        self._end: tuple[str, int] | None = None

        def prescan_of(kind: str) -> Scan:
            return build_scan(kind, task.catalog)

        super().__init__([Family(str(task.path), (task.path,))], Reading(prescan_of, **task.options))

    def messages(self) -> Iterator[tuple[Any, ...]]:
        """Give where the first block leads to, then each further block, then the end."""
        lines, first = 0.0, True
        for piece in self.pieces():
            assert self._standing is not None
            stamps, digests, stream = self._standing
            (digest,) = digests.values()
            if first:
                if self._task.follows and stamps.stamped:  # as the parent's: see `Replay`
                    stamps.arrival = None
                yield standing(stamps, digest)
                first = False
            else:
                newlines = round(self.tally.lines - lines) if self.tally.exact else None
                yield (piece.position.offset, piece.digested, newlines, stream.raw_bytes,
                       (stamps.state(), digest.state()))  # fmt: skip
            lines = self.tally.lines
        if self._end is not None and self._standing is not None:
            problem, have = self._end
            yield problem, have, self._standing[2].raw_bytes

    def _stream(
        self, path: Path, stream: LogStream, stamps: Stamps, digests: dict[str, AnyDigest]
    ) -> Iterator[tuple[Digested, int]]:
        self._standing = stamps, digests, stream
        return super()._stream(path, stream, stamps, digests)

    def _ended(self, path: Path, kind: str | None, problem: str, offset: int, have: int) -> None:
        self._end = problem, have


class _Out:
    """Writes messages, each behind its length, and goes on while the reader is busy."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._waiting: deque[memoryview] = deque()
        self._bytes = 0
        os.set_blocking(fd, False)

    def put(self, body: bytes) -> None:
        """Write a message, now or later."""
        self._waiting.append(memoryview(len(body).to_bytes(LENGTH, "big") + body))
        self._bytes += LENGTH + len(body)
        self.drain(AHEAD_BYTES)

    def drain(self, most: int) -> None:
        """Write what the reader takes now; wait for it while more than ``most`` bytes are left."""
        while self._waiting:
            try:
                done = os.write(self._fd, self._waiting[0])
            except BlockingIOError:
                if self._bytes <= most:
                    return
                select.select([], [self._fd], [])
                continue
            self._bytes -= done
            if done == len(self._waiting[0]):
                self._waiting.popleft()
            else:
                self._waiting[0] = self._waiting[0][done:]
