"""The files that a log has left behind: read to their end, and still open for a while, for late writers.

dnsmasq's TCP children write into the renamed file for up to 150 s, named until it opens its log anew (log_formats §0.6,
§4). Where each was left is stored with the position of the log, so lines that come while nobody runs are read too, and
what has been read is known again by its content. Never: decides when a file is left. Read next: ``tail.py``.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from dnswatch.core.logs.follow import COMPRESSED, Generation
from dnswatch.core.model import Position
from dnswatch.io.generation import OpenGeneration
from dnswatch.io.resume import reopen

MOST = 16
"""Files left behind that are remembered: BIND can rotate every 36 ms (log_formats §4.1)."""


@dataclass(slots=True)
class Mark:
    """Where one file was left; ``file`` is None once it is closed."""

    position: Position
    file: OpenGeneration | None
    deadline: float = 0.0  # monotonic
    left_at: float = field(default_factory=time.monotonic)


class Left:
    """The last files left behind, oldest first."""

    def __init__(self, source: str, drain_s: float, losses: Counter[str]) -> None:
        """``drain_s``: how long after its last line a file is still read. ``losses``: where they are counted."""
        self.late = ""
        """The file that got late lines since the last one was left."""
        self.late_s = 0.0  # how long after it was left
        self._source = source
        self._drain_s = drain_s
        self._losses = losses
        self._marks: list[Mark] = []

    @property
    def positions(self) -> tuple[Position, ...]:
        """Where they were left, for the stored position."""
        return tuple(mark.position for mark in self._marks)

    @property
    def files(self) -> list[OpenGeneration]:
        """Those still open."""
        return [mark.file for mark in self._marks if mark.file is not None]

    @property
    def found(self) -> bool:
        """Say whether every one of them is open: after a start, whether each was found."""
        return all(mark.file is not None for mark in self._marks)

    def ids(self) -> set[tuple[int, int]]:
        """Device and inode of those still open."""
        return {file.id for file in self.files}

    def add(self, file: OpenGeneration, name: str | None) -> None:
        """Leave a file that was read to its end; ``name``: what it is called now."""
        if name is not None:
            file.renamed(name)
        self.late = ""
        mark = Mark(file.position(self._source, file.offset, file.behind), file, time.monotonic() + self._drain_s)
        self._marks.append(mark)
        if file.stream is not None:  # nobody writes into a compressed file
            if file.stream.problem:
                self._losses["damaged archive"] += 1
            self._close(mark)
        self._trim()

    def note(self, position: Position) -> None:
        """Remember content that is gone from the file we go on with (copytruncate)."""
        self._marks.append(Mark(position, None))
        self._trim()

    def take(self, key: tuple[int, int]) -> OpenGeneration | None:
        """Give an open file back: the path names it again (a symbolic link swapped to and fro)."""
        for mark in self._marks:
            if mark.file is not None and mark.file.id == key:
                self._marks.remove(mark)
                return mark.file
        return None

    def resume(self, positions: Iterable[Position], found: Iterable[Generation]) -> None:
        """Open again what the last process left, as far as it is found. Raises `FileNotFoundError`: list again."""
        listed = list(found)
        self.close()
        self._marks = [Mark(position, None) for position in positions]
        for mark in self._marks:
            mark.file = reopen(mark.position, listed)
            mark.deadline = time.monotonic() + self._drain_s

    def begin(self, found: Sequence[Generation]) -> None:
        """Leave rotated files where they end now: a log is begun at its end, which may not be in its newest file."""
        for each in found[-MOST:]:
            if not each.path.endswith(COMPRESSED):
                with suppress(OSError):
                    file = OpenGeneration(Path(each.path))
                    file.seek(file.line_start(file.size()))
                    self.add(file, None)

    def moved(self, file: OpenGeneration, position: Position) -> tuple[Position, ...]:
        """Give `positions` as they are when ``file`` stands at ``position``."""
        return tuple(position if mark.file is file else mark.position for mark in self._marks)

    def grown(self) -> Iterator[OpenGeneration]:
        """Give those that have more to be read, and close those whose time is over."""
        for mark in list(self._marks):
            if (file := mark.file) is None:
                continue
            if file.stream is not None:
                yield file
                self._close(mark)
            elif (size := file.size()) < file.read or not file.same():
                self._close(mark)
            elif size > file.read:
                yield file
                mark.position = file.position(self._source, file.offset, file.behind)
                mark.deadline = time.monotonic() + self._drain_s
                self.late, self.late_s = str(file.path), time.monotonic() - mark.left_at
            elif time.monotonic() > mark.deadline:
                self._close(mark)

    def close(self) -> None:
        """Close all; they stay in `positions`."""
        for mark in self._marks:
            if mark.file is not None:
                mark.file.close()
                mark.file = None

    def _trim(self) -> None:
        while len(self._marks) > MOST:
            self._close(self._marks[0])
            del self._marks[0]

    def _close(self, mark: Mark) -> None:
        if mark.file is None:
            return
        file, mark.file = mark.file, None
        if file.carry:  # told once: it counts as read from now on
            self._losses["unfinished last line"] += 1
            file.consumed(file.carry, len(file.carry))
        mark.position = file.position(self._source, file.offset, file.behind)
        file.close()
