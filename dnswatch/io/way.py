"""A way in: how the bytes of a log reach the digest. One small protocol; ``ingest.py`` drives it.

`FileTail` (``tail.py``) is the way in of files; the others are in ``sources/``, one file each. A way hands on blocks
and waits until each was dealt with: that is the back-pressure. Never: parses. Read next: ``ingest.py``, ``sources/``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from dnswatch.core.model import Position

UNREAD = "received, but not read when we stopped listening"


@dataclass(frozen=True, slots=True)
class Block:
    """Some bytes of the log, from the start of a line on. Valid until ``consume`` returns: the buffer is reused."""

    data: bytes | bytearray  # empty only to tell that the end was reached
    position: Position  # of the first byte
    at_end: bool  # nothing more to read at this moment
    _after: Callable[[int], Position]
    sender: str = ""  # who sent it, where several do: the engine takes each for a source of its own
    stood_s: float = float("inf")
    """So long nothing has come behind these bytes; infinite where nothing more will: the end of a rotated file."""

    def after(self, consumed: int) -> Position:
        """Give the position to store once ``consumed`` bytes of this block are dealt with."""
        return self._after(consumed)


Consume = Callable[[Block], Awaitable[int]]
"""Takes a block and gives how many of its bytes were dealt with: up to the end of a line (or frame)."""


class Way(Protocol):
    """What a way in must offer. The attributes are for status, health and metrics."""

    waiting: str
    """Why nothing can be read at the moment, for a person; empty when all is well."""
    at_end: bool
    """Whether everything that is there was handed on."""
    generations: Counter[str]
    """What happened to it: rotated, truncated, resumed, connected …"""
    losses: Counter[str]
    """What is known to be lost, by reason: how often."""

    @property
    def unread(self) -> bool:
        """Whether something came since the end was reached."""
        ...

    @property
    def lag(self) -> int:
        """Bytes that are there and were not handed on yet."""
        ...

    async def run(self, consume: Consume) -> None:
        """Hand on what comes until cancelled, or until nothing can come any more. Raises `OSError`."""
        ...


class Stream(ABC):
    """The way in of what comes once and cannot be sought: keeps the offset, and what was not consumed yet.

    Offsets go on over restarts, so that a position never means two things. What was handed on, but stood behind the
    last checkpoint when the process was killed, is lost, unless the way itself can ask for it again (the journal).
    """

    def __init__(self, source_id: str, resume: Position | None) -> None:
        self.source_id = source_id
        self.waiting = ""
        self.at_end = False
        self.ended = False
        """Nothing will come any more."""
        self.generations: Counter[str] = Counter()
        self.losses: Counter[str] = Counter()
        self.offset = resume.offset if resume is not None else 0
        self.cursor = resume.cursor if resume is not None else ""
        self._lost_lines = 0

    @property
    def unread(self) -> bool:
        """See `Way`."""
        return self.lag > 0

    @property
    def lag(self) -> int:
        """See `Way`."""
        return 0

    @property
    def heard(self) -> Mapping[str, float]:
        """Give how many messages came from each sender, where several may send."""
        return {}

    @abstractmethod
    async def run(self, consume: Consume) -> None:
        """See `Way`."""

    def lose(self, why: str, lines: int = 0) -> None:
        """Count a loss: its reason once, and how many lines, where that is known."""
        self.losses[why] += 1
        self._lost_lines += lines

    def take_lost_lines(self) -> int:
        """Give how many lines were lost since the last call."""
        count, self._lost_lines = self._lost_lines, 0
        return count

    def row(self) -> dict[str, Any]:
        """Give what the status page shows besides."""
        return {"ended": int(self.ended)}

    async def hand(
        self, consume: Consume, data: bytes, *, at_end: bool, sender: str = "",
        cursor_after: Callable[[int], str] | None = None,
    ) -> bytes:  # fmt: skip
        """Hand on ``data``; give what was not consumed. ``cursor_after``: the mark behind so many bytes of it."""
        offset, cursor = self.offset, self.cursor

        def after(consumed: int) -> Position:
            mark = (cursor_after(consumed) if consumed and cursor_after is not None else "") or cursor
            return Position(self.source_id, sender or self.source_id, offset + consumed, cursor=mark)

        self.at_end = at_end
        consumed = await consume(Block(data, after(0), at_end, after, sender))
        stands = after(consumed)
        self.offset, self.cursor = stands.offset, stands.cursor
        return data[consumed:]
