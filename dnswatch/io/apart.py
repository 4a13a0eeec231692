"""Digests log files in child processes while one engine takes what they say in order: several files, several cores.

What a file says can depend on the files before it: a stamp without a year or zone is read in the light of the last one.
So a child guesses: it reads its file as if there were no other. When its turn comes, `Replay` digests the first block
itself, knowing what came before, and compares where that has led to with where the child was then. If both stand alike,
everything behind is the same for both, and the child's further blocks are taken; else the child is ended and `Replay`
goes on by itself. It does so, too, from the last block on that came whole, when a child breaks.

A child runs ahead until a bound of what it found waits for us, then it waits. Never: decides the order of anything,
outlives its parent, or is used where there is only one large file or one core. Read next: ``child.py``, ``replay.py``.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from dnswatch.core.catalog import Catalog
from dnswatch.core.dnstap.digest import FrameDigest
from dnswatch.core.logs.digest import Digested
from dnswatch.core.logs.timestamps import Stamps
from dnswatch.core.reading import AnyDigest

LEAST_BYTES = 64 << 20
LEAST_PACKED = 4 << 20
"""A file smaller than this on disk (the second: a compressed one) is read here: a child costs 0.17 s of CPU before its
first line, which is as much as these take."""
PACKED = frozenset((".bz2", ".gz", ".xz", ".zst"))
LENGTH = 4
"""Bytes that say how long a message is."""

_BOOT = "import sys; sys.path[:] = sys.argv[1:]; from dnswatch.io.child import serve; serve()"


class Block(NamedTuple):
    """What a child made of one block of its file."""

    offset: int
    digested: Digested
    newlines: int | None  # None: not counted
    raw_bytes: int  # of the file taken so far
    state: tuple[dict[str, Any], dict[str, Any]]  # of stamps and digest, behind the block


class End(NamedTuple):
    """What there is to say at a file's end."""

    problem: str  # why the data ended before the file did
    have: int  # bytes behind the last whole line
    raw_bytes: int


@dataclass(frozen=True, slots=True)
class Task:
    """What a child is told."""

    path: Path
    catalog: Catalog
    options: dict[str, Any]  # of `Reading`: kind, zone, year, sample
    follows: bool  # another file of the log comes before this one, and has stamps


def is_large(path: Path) -> bool:
    """Say whether a file is worth a child."""
    with suppress(OSError):
        if path.is_file():
            return path.stat().st_size >= (LEAST_PACKED if path.suffix in PACKED else LEAST_BYTES)
    return False


def standing(stamps: Stamps, digest: AnyDigest) -> tuple[Any, ...]:
    """Give everything that what follows depends on beside the bytes."""
    if isinstance(digest, FrameDigest):  # frames carry their own time
        return (stamps.limit, digest.state())
    state = stamps.state()
    state.pop("zoneless")  # says what was met, and changes nothing
    if state["stamped"] and state["last"] is not None:
        state.pop("anchor")  # dates only what has no stamp before it
    return (state, stamps.limit, stamps.arrival, digest.state())


class Children:
    """Children at work, at most one a core."""

    def __init__(self, catalog: Catalog | None, options: dict[str, Any], cores: int | None = None) -> None:
        self._catalog = catalog
        self._options = options
        cores = len(os.sched_getaffinity(0)) if cores is None else cores
        self._free = cores if cores > 1 and catalog is not None and sys.executable else 0
        self._running: dict[Path, _Child] = {}

    def begin(self, path: Path, *, follows: bool) -> bool:
        """Have a file digested ahead of its turn; False when no core is free for it."""
        if path in self._running:
            return True
        if self._free < 1:
            return False
        assert self._catalog is not None
        try:
            child = _Child(Task(path, self._catalog, self._options, follows))
        except OSError:  # no memory, no process left: then without
            self._free = 0
            return False
        self._running[path] = child
        self._free -= 1
        return True

    def rest(self, path: Path, stamps: Stamps, digest: AnyDigest) -> Iterator[Block | End] | None:
        """Give what a child made of a file behind its first block; None when there is none, or it guessed wrong.

        It ends with an `End`, or early when the child broke.
        """
        child = self._running.get(path)
        if child is None:
            return None
        if child.first() != standing(stamps, digest):
            self.end(path)
            return None
        return child.blocks()

    def end(self, path: Path) -> None:
        """Have done with a file."""
        child = self._running.pop(path, None)
        if child is not None:
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
                [sys.executable, "-c", _BOOT, *sys.path], stdin=told, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
            )

    def first(self) -> Any:
        """Give where the child stood behind its first block; None when it never got there."""
        return self._next()

    def blocks(self) -> Iterator[Block | End]:
        while (said := self._next()) is not None:
            if len(said) == len(End._fields):
                yield End(*said)
                return
            yield Block(*said)

    def _next(self) -> Any:
        pipe = self._process.stdout
        assert pipe is not None
        head = pipe.read(LENGTH)
        size = int.from_bytes(head, "big")
        body = pipe.read(size) if len(head) == LENGTH else b""
        return pickle.loads(body) if body and len(body) == size else None  # noqa: S301  # from our own child

    def end(self) -> None:
        self._process.kill()
        self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
