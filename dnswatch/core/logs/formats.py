"""Which format is this? Scores a piece of a log against every registered parser's shape.

Never: opens files or guesses from names and paths; the lines decide. Read next: ``core/logs/digest.py``.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import NamedTuple

from dnswatch.core.logs.parsers import PARSERS, Headed, Parser
from dnswatch.core.logs.timestamps import Stamps
from dnswatch.core.model import Query

LINES = 2_000
"""Lines looked at: a shared syslog file shows its DNS server within so many, and each costs a few microseconds."""

SHARE = 0.01
"""Least share of lines that must have the format's shape: shared syslog files are mostly other programs' lines."""

SHOWN = 120
"""Bytes of an offending line shown in a message."""


STAMP_LINES = 200
"""Lines in which a log that has stamps shows one."""


class Misfit(NamedTuple):
    """Why a sample is not of the format that it was said to be."""

    expected: str
    number: int  # of the first offending line, from 1
    line: str  # its beginning, escaped
    looks_like: str | None
    example: str  # a line as it should be

    def __str__(self) -> str:
        other = f"; it looks like {self.looks_like}" if self.looks_like else ""
        said = f"line {self.number} is not a {self.expected} line: {self.line}{other}"
        return f"{said} (a line as expected: {self.example})"


def detect(data: bytes) -> str | None:
    """Name the format whose shape most lines of a sample have; None when no format fits enough of them."""
    scores = score(data)
    name = max(scores, key=lambda name: scores[name])  # the first of equals: the registry is sorted
    return name if scores[name] >= SHARE else None


def score(data: bytes) -> dict[str, float]:
    """Give for each format the share (0…1) of the sample's lines that have its shape."""
    lines = [line for _, line in _lines(data)]
    return {name: sum(_shaped(parser, lines)) / len(lines) if lines else 0.0 for name, parser in PARSERS.items()}


def misfit(name: str, data: bytes) -> Misfit | None:
    """Say why a sample does not fit a format; None when it does, or when there is no complete line to judge.

    ``name`` is a key of `PARSERS`. A sample fits when the format is found in it at all (see `SHARE`), even if another
    program's lines outnumber it.
    """
    parser = PARSERS[name]
    lines = list(_lines(data))
    shaped = _shaped(parser, [line for _, line in lines])
    if not lines or sum(shaped) >= SHARE * len(lines):
        return None
    number, line = lines[shaped.index(False)]
    return Misfit(name, number, shown(line), detect(data), shown(parser.example, len(parser.example)))


def _shaped(parser: type[Parser], lines: list[bytes]) -> list[bool]:
    """Say of each line whether it has a format's shape, or is a lookup by what the head of its file says."""
    if not issubclass(parser, Headed):
        return [parser.probe(line) for line in lines]
    reader = parser(Stamps(None, 0.0))
    return [isinstance(reader.parse(line, 0), Query) or parser.probe(line) for line in lines]


def shows_stamps(name: str, data: bytes) -> bool:
    """Say whether a sample has a stamp: its first line may have lost its own (see `Stamps.stamped`)."""
    parser = PARSERS[name](Stamps(None, 0.0))
    for _, line in itertools.islice(_lines(data), STAMP_LINES):
        parser.parse(line, 0)
        if parser.stamps.stamped:
            return True
    return False


def _lines(data: bytes) -> Iterator[tuple[int, bytes]]:
    """The first complete lines with their numbers, blank ones left out; the only line even if it is not complete."""
    complete = data[: data.rfind(b"\n") + 1] or data
    for number, line in enumerate(complete.split(b"\n", LINES)[:LINES], 1):
        line = line.strip(b"\r\0 \t")
        if line:
            yield number, line


def shown(line: bytes, limit: int = SHOWN) -> str:
    """Give the beginning of a line as printable text in quotes."""
    text = "".join(chr(byte) if 0x20 <= byte < 0x7F else f"\\x{byte:02x}" for byte in line[:limit])
    return f"“{text}…”" if len(line) > limit else f"“{text}”"
