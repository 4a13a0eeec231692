"""What sampled lines are to the log that they stand in: counts, and the newest that say nothing to us, to be shown.

A line *tells* something (a lookup, an answer …), or is *bad*: it cannot be read, or it is *other*: the server's own
without concern to us; or *foreign*: another program's in a shared file; or *unknown*: nobody's that we know. Never:
judges whether that is much (``core/health/parsing.py`` does). Read next: ``formats.py``.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Literal, NamedTuple

from dnswatch.core.logs import formats, prefixes
from dnswatch.core.logs.parsers import PARSERS
from dnswatch.core.model import Event, Weird

Kind = Literal["good", "bad", "other", "foreign", "unknown", "blank"]

KEPT, KEPT_BYTES = 20, 400
"""Newest lines that are kept to be shown, and to tell the format that they have instead; their first bytes do."""
LOOKS = 0.5
"""Share of them that must have a format's shape before we say that it is this one."""
RECENT = 100
"""The ratio shown is that of the last 100 to 200 lines: what was well a month ago hides nothing."""
FEW = 40
"""So many lines without one that tells anything are a ratio of nothing; fewer are a server that starts."""
MORE_PER_S, MORE = 20.0, 40
"""Lines of a log followed live that are looked at besides its samples: of a quiet one each, where one in 8 KiB would
take hours to tell. 20 lines a second take 0.02 % of a core."""


class Counts(NamedTuple):
    """Sampled lines by what they are."""

    good: int = 0
    bad: int = 0
    other: int = 0
    foreign: int = 0
    unknown: int = 0

    @property
    def ratio(self) -> float:
        """Give the share of those that tell something among them and the unreadable ones."""
        return self.good / (self.good + self.bad) if self.good + self.bad else 1.0

    def since(self, before: Counts) -> Counts:
        """Give what came since."""
        return Counts(*(now - then for now, then in zip(self, before, strict=True)))

    def plus(self, more: Counts) -> Counts:
        """Give both together."""
        return Counts(*(one + other for one, other in zip(self, more, strict=True)))


class _Line(NamedTuple):
    """A line that tells nothing, and where it stands."""

    path: str
    offset: int
    line: bytes
    why: str  # of an unreadable one


class Telling:
    """Counts the sampled lines of one log and keeps the newest that tell nothing."""

    def __init__(self, type_: str) -> None:
        self.counts = Counts()
        self._type = type_
        self._recent = self._before = Counts()
        self._bad: deque[_Line] = deque(maxlen=KEPT)
        self._other: deque[_Line] = deque(maxlen=KEPT)
        self._more, self._more_at = float(MORE), 0.0

    def more(self, now: float) -> int:
        """Give how many lines may be looked at besides the samples; ``now`` of any clock."""
        self._more = min(self._more + max(now - self._more_at, 0.0) * MORE_PER_S, MORE)
        self._more_at = now
        return int(self._more)

    def looked(self, lines: int) -> None:
        """Say that so many lines besides the samples were."""
        self._more -= lines

    def take(self, samples: Iterable[tuple[int, Event | None]], data: bytes | bytearray, start: int, path: str) -> None:
        """Count the samples of a block, whose bytes begin at offset ``start`` of ``path``."""
        good = bad = other = foreign = unknown = 0
        for offset, event in samples:
            if event is None:
                line = _line(data, offset - start)
                kind = kind_of(self._type, line)
                other += kind == "other"
                foreign += kind == "foreign"
                unknown += kind == "unknown"
                if kind != "blank":
                    self._other.append(_Line(path, offset, line[:KEPT_BYTES], ""))
            elif type(event) is Weird:
                bad += 1
                self._bad.append(_Line(path, offset, event.line[:KEPT_BYTES], event.why))
            else:
                good += 1
        new = Counts(good, bad, other, foreign, unknown)
        self.counts = self.counts.plus(new)
        self._recent = self._recent.plus(new)
        if sum(self._recent) >= RECENT:
            self._before, self._recent = self._recent, Counts()

    @property
    def ratio(self) -> float | None:
        """Give the parse ratio of the newest lines; 0 where many came and none told anything, None where few did."""
        newest = self._recent.plus(self._before)
        if newest.good or newest.bad:
            return round(newest.ratio, 4)
        none = newest.other + newest.unknown >= FEW or (self.counts.good and newest.foreign >= FEW)
        return 0.0 if none else None

    def describe(self, unreadable: bool) -> str:
        """Say which is the newest line, where it stands and what it looks like; nothing where none was kept."""
        kept = self._bad if unreadable else self._other
        if not kept:
            return ""
        newest = kept[-1]
        why = f" ({newest.why})" if newest.why not in ("", "unreadable line") else ""
        said = f"; the newest of them, at byte {newest.offset} of {newest.path}: {formats.shown(newest.line)}{why}"
        scores = formats.score(b"".join(one.line + b"\n" for one in kept))
        looks = max(scores, key=lambda name: scores[name])
        if scores[looks] < LOOKS:
            return said
        return f"{said}. They look like lines of {looks}" + ("" if looks == self._type else f": `type: {looks}`?")


def kind_of(type_: str, line: bytes) -> Kind:
    """Say what a line is of which the parser of its log made nothing."""
    if type_ not in PARSERS:  # dnstap: each frame is the server's
        return "other"
    if not line.strip(b"\0 \t\r"):
        return "blank"
    if PARSERS[type_].probe(line):
        return "other"
    head = prefixes.header(line.lstrip(b"\0"))
    return "unknown" if head is None or not head.tag else "foreign"


def _line(data: bytes | bytearray, begin: int) -> bytes:
    end = data.find(b"\n", begin)
    return bytes(data[begin : end if end != -1 else len(data)])
