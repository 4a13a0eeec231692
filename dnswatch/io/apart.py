"""Sifts large log files in child processes while one engine takes what is left of them in order: all cores are used.

A child sends the lines that get parsed and leaves out the others (``core/logs/sift.py``). What it keeps depends on
nothing but the bytes, so several share one plain file, each taking every n-th range of it; of a packed file one child
unpacks ahead. Parsing and judging, which depend on what came before, stay in one process and in order.

A child runs ahead until a bound of what it found waits for us, then it waits. When one breaks, `Replay` goes on by
itself where it was. Never: parses, decides the order of anything, outlives its parent. Read next: ``child.py``,
``replay.py``.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing, suppress
from itertools import cycle
from pathlib import Path
from typing import NamedTuple

from dnswatch.core.logs.prescan import Prescan
from dnswatch.core.logs.sift import Sifted
from dnswatch.core.logs.stretch import MAX_LINE
from dnswatch.io.archive import open_log

RANGE = 4 << 20
"""Bytes of a file that are sifted and handed over at once; a multiple of `stretch.SPARSE_EVERY`. Handing one over costs
0.1 ms, sifting it 2 ms."""
LEAST_BYTES = 96 << 20
LEAST_PACKED = 4 << 20
"""A file smaller than this on disk (the second: a compressed one) is read here: a child costs 0.04 s of CPU before its
first line, which is as much as reading and scanning this takes."""
PACKED = frozenset((".bz2", ".gz", ".xz", ".zst"))
LENGTH = 4
"""Bytes that say how long a message is."""

_BOOT = "import sys; sys.path[:] = sys.argv[1:]; from dnswatch.io.child import serve; serve()"


class Sifting(NamedTuple):
    """One range of a file."""

    until: int  # it ends before the first line that starts here or later
    sifted: Sifted | None  # None: it holds what is no line, and is to be read as it stands
    raw_bytes: int  # of the file taken so far


class Rest(NamedTuple):
    """The end of a packed file, behind its last whole range."""

    start: int
    data: bytes
    problem: str  # why the data ended before the file did
    raw_bytes: int


class Task(NamedTuple):
    """What a child is told: sift the ranges ``first``, ``first + step`` … below ``total`` of a file."""

    path: Path
    prescan: Prescan
    range_bytes: int
    first: int = 0
    step: int = 1
    total: int | None = None  # None: unpack the file, and sift all of it


def is_large(path: Path) -> bool:
    """Say whether a file is worth a child."""
    with suppress(OSError):
        if path.is_file():
            return path.stat().st_size >= (LEAST_PACKED if path.suffix in PACKED else LEAST_BYTES)
    return False


class Children:
    """Children at work, at most one a core."""

    def __init__(self, each: int | None = None, cores: int | None = None) -> None:
        """``each``: children that one file may have; None: all of them."""
        cores = len(os.sched_getaffinity(0)) if cores is None else cores
        self._free = cores if cores > 1 and sys.executable else 0
        self._each = max(1, each or self._free)
        self._running: dict[Path, tuple[str, list[_Child]]] = {}

    def begin(self, path: Path, kind: str, prescan: Prescan) -> bool:
        """Have a log of this format sifted ahead of its turn; False when no core is free for it."""
        if path in self._running:
            return True
        if self._free < 1:
            return False
        try:
            children = [_Child(task) for task in self._tasks(path, prescan)]
        except OSError:  # no memory, no process left: then without
            self._free = 0
            return False
        self._running[path] = kind, children
        self._free -= len(children)
        return True

    def _tasks(self, path: Path, prescan: Prescan) -> list[Task]:
        with closing(open_log(path)) as stream:
            if stream.kind != "plain":  # whatever its name says
                return [Task(path, prescan, RANGE)]
        count = max(path.stat().st_size - MAX_LINE - 1, 0) // RANGE  # the end, which may still grow, is ours
        step = min(self._free, self._each)
        return [Task(path, prescan, RANGE, first, step, count) for first in range(step)]

    def siftings(self, path: Path, kind: str) -> Iterator[Sifting | Rest]:
        """Give what children make of a file, from its first byte on; nothing where it has none.

        It ends where the file does not go on in whole ranges, or early when a child broke.
        """
        known, children = self._running.get(path, (kind, []))
        for child in cycle(children):
            if known != kind or (said := child.said()) is None:
                return
            yield said

    def end(self, path: Path) -> None:
        """Have done with a file."""
        for child in self._running.pop(path, ("", []))[1]:
            child.end()
            self._free += 1

    def close(self) -> None:
        """End every child."""
        for path in list(self._running):
            self.end(path)


class _Child:
    """A child process and what it says."""

    def __init__(self, task: Task) -> None:
        with tempfile.TemporaryFile() as told:  # a pipe could be too small to hold it until the child reads
            pickle.dump(task, told)
            told.seek(0)
            self._process = subprocess.Popen(
                [sys.executable, "-S", "-c", _BOOT, *sys.path], stdin=told, stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )  # fmt: skip

    def said(self) -> Sifting | Rest | None:
        """Give the next thing it says; None at its end, whole or not."""
        pipe = self._process.stdout
        assert pipe is not None
        head = pipe.read(LENGTH)
        size = int.from_bytes(head, "big")
        body = pipe.read(size) if len(head) == LENGTH else b""
        if not body or len(body) != size:
            return None
        said = pickle.loads(body)  # noqa: S301  # from our own child
        assert isinstance(said, Sifting | Rest)
        return said

    def end(self) -> None:
        self._process.kill()
        self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
