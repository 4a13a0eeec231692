"""A child process that sifts a file and writes what is left to its standard output (``apart.py`` is the parent).

Never: keeps more than `AHEAD_BYTES` of it while the parent is busy, outlives the parent, minds Ctrl-C (the parent does
and ends it), imports more than it needs. Read next: ``core/logs/sift.py``.
"""

from __future__ import annotations

import os
import pickle
import select
import signal
import sys
from collections import deque
from collections.abc import Iterator

from dnswatch.core.logs.sift import Sifter
from dnswatch.core.logs.stretch import MAX_LINE
from dnswatch.io.apart import LENGTH, Rest, Sifting, Task
from dnswatch.io.archive import fill, open_log

BLOCK = 1 << 19
"""Bytes read and scanned at once: they stay in the second-level cache in between (0.40 s a GB for both; with 1 MiB
0.42, through a mapping of the file 0.46)."""
AHEAD_BYTES = 16 << 20
"""Found and not yet taken."""


def serve() -> None:
    """Read a `Task` from standard input and do it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # the parent has gone, or has no use for us
    task = pickle.load(sys.stdin.buffer)  # noqa: S301  # from our own parent
    assert isinstance(task, Task)
    out = _Out(sys.stdout.fileno())
    for message in unpacked(task) if task.total is None else ranges(task):
        out.put(pickle.dumps(message, pickle.HIGHEST_PROTOCOL))
    out.drain(0)


def ranges(task: Task) -> Iterator[Sifting]:
    """Sift every n-th range of a plain file."""
    assert task.total is not None
    buffer = bytearray(BLOCK)
    with task.path.open("rb", buffering=0) as file, memoryview(buffer) as view:
        for number in range(task.first, task.total, task.step):
            begin = number * task.range_bytes
            until = begin + task.range_bytes
            start = _next_line(os.pread(file.fileno(), MAX_LINE + 1, begin - 1), begin) if begin else 0
            if start is None:
                yield Sifting(until, None, until)
                continue
            sifter = Sifter(task.prescan, begin, start)
            while sifter.plain and sifter.at < until:
                size = os.preadv(file.fileno(), [view], sifter.at)
                sifter.add(buffer, _whole_lines(buffer, size, until - sifter.at))
            yield Sifting(until, sifter.sifted(), until)


def _next_line(before: bytes, begin: int) -> int | None:
    """Give where the first line at or after ``begin`` starts; None where none does for far too long."""
    newline = before.find(b"\n")
    return begin + newline if newline != -1 else None


def _whole_lines(buffer: bytearray, size: int, until: int) -> int:
    """Give the length of the lines in ``buffer[:size]`` that are whole and start before ``until``."""
    last = buffer.find(b"\n", until - 1, size) if until <= size else -1
    return (last if last != -1 else buffer.rfind(b"\n", 0, size)) + 1


def unpacked(task: Task) -> Iterator[Sifting | Rest]:
    """Unpack a file and sift all of it but the end."""
    buffer = bytearray(BLOCK)
    stream = open_log(task.path)
    sifter, until = Sifter(task.prescan, 0, 0), task.range_bytes
    have = 0
    while (size := fill(stream, buffer, have)) == BLOCK and (whole := _whole_lines(buffer, size, until - sifter.at)):
        sifter.add(buffer, whole)
        have = size - whole
        buffer[:have] = buffer[whole:size]
        if sifter.at >= until:
            yield Sifting(until, sifter.sifted(), stream.raw_bytes)
            sifter, until = Sifter(task.prescan, until, sifter.at), until + task.range_bytes
    if size < BLOCK:
        if sifter.at > sifter.start:
            yield Sifting(sifter.at, sifter.sifted(), stream.raw_bytes)
        yield Rest(sifter.at, bytes(buffer[:size]), stream.problem, stream.raw_bytes)


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
