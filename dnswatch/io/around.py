"""What else a client looked up around an alert: the log is read again at the place where the alert's first line stands.

The stored offset leads there, and the line itself proves that it is the same file: rotated and compressed siblings are
tried as well. Bounded: `MOST_BYTES` of log, `MOST` lookups. Never: keeps names of lookups that nobody asked for; an
analyst asks (`alerts show`), or once a job does for grave alerts, because the log will be gone. Read next:
``core/logs/formats.py``.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC
from pathlib import Path
from typing import NamedTuple

from dnswatch.core.detect.episodes import escape
from dnswatch.core.logs.follow import siblings
from dnswatch.core.logs.formats import detect
from dnswatch.core.logs.parsers import PARSERS, Headed, Parser
from dnswatch.core.logs.timestamps import Stamps
from dnswatch.core.model import Alert, Evidence, Query
from dnswatch.io.archive import LogStream, open_log

SPAN_S = 300.0
"""Five minutes on either side: a stealer's whole evening is shorter (detection research)."""
MOST_BYTES = 64 << 20
MOST = 200
BLOCK = 256 << 10
HEAD = 8 << 10
"""Where the names of columns stand, in formats that have such a head."""
QUARTER_S = 900.0
"""Zones differ by quarters of an hour."""
MOST_SKIPPED = 4 << 30
"""Unpacked bytes of a compressed log that are passed over to reach the line: some ten seconds."""


class Lookup(NamedTuple):
    """One lookup of the client."""

    at: float
    qname: str
    qtype: str


@dataclass(frozen=True, slots=True)
class Around:
    """What was found."""

    lookups: tuple[Lookup, ...] = ()  # in order of time; those nearest to the alert where there are too many
    left_out: int = 0
    path: str = ""  # of the file that was read
    problem: str = ""  # why there is nothing, or not everything


def read_around(alert: Alert) -> Around:
    """Read the log around an alert's first line. It blocks: call it in a thread. `Around.problem` says what failed."""
    if not alert.evidence:
        return Around(problem="the alert has no line that says where it stands in a log")
    first = alert.evidence[0]
    if not first.path.startswith("/"):
        return Around(problem=f"{first.path} is no file: what it brought cannot be read again")
    problems: list[str] = []
    for path in _candidates(Path(first.path)):
        try:
            with _Window(path, first) as window:
                if window.found:
                    return _lookups(window, alert)
        except OSError as error:
            problems.append(f"{path}: {error.strerror or error}")
    why = f" ({problems[0]})" if problems else ""
    return Around(problem=f"the line is no longer at {first.path}:{first.offset} nor in a rotated file beside it{why}")


def _candidates(path: Path) -> Iterator[Path]:
    """Give the log and its rotated files, the newest first."""
    yield path
    try:
        rotated = siblings(path.name, os.listdir(path.parent))  # noqa: PTH208
    except OSError:
        return
    yield from (path.with_name(name) for name in reversed(rotated))


class _Window:
    """The part of one file around a line; ``found`` says whether the line stands there."""

    def __init__(self, path: Path, line: Evidence) -> None:
        self.path = path
        self.found = False
        self.head = b""
        self.line = b""
        self._line = line
        self._stream = open_log(path)

    def __enter__(self) -> _Window:
        offset = self._line.offset
        if self._stream.kind == "plain":
            self._stream.close()
            self._file = self.path.open("rb")
            self.head = self._file.read(HEAD)
            self._file.seek(offset)
            self.found = self._is_it(self._file.readline(BLOCK))
        elif offset <= MOST_SKIPPED:
            self._data = _unpacked(self._stream, offset)
            at = len(self._data.before)
            self.head = self._data.head
            self.found = self._is_it((self._data.before + self._data.after)[at:].split(b"\n", 1)[0])
        return self

    def __exit__(self, *_: object) -> None:
        if self._stream.kind == "plain" and hasattr(self, "_file"):
            self._file.close()
        self._stream.close()

    def _is_it(self, line: bytes) -> bool:
        self.line = line.rstrip(b"\r\n")
        return escape(self.line) == self._line.line

    def backward(self) -> Iterator[tuple[int, bytes]]:
        """Give whole lines before the line, in blocks, the nearest block first, with the offset of each block."""
        if self._stream.kind != "plain":
            yield self._line.offset - len(self._data.before), self._data.before
            return
        end, rest = self._line.offset, b""
        while end > 0 and self._line.offset - end < MOST_BYTES // 2:
            begin = max(end - BLOCK, 0)
            self._file.seek(begin)
            data = self._file.read(end - begin) + rest
            cut = data.find(b"\n") + 1 if begin else 0
            rest = data[:cut]
            yield begin + cut, data[cut:]
            end = begin

    def forward(self) -> Iterator[tuple[int, bytes]]:
        """Give whole lines from the line on, in blocks."""
        if self._stream.kind != "plain":
            yield self._line.offset, self._data.after
            return
        self._file.seek(self._line.offset)
        at, rest = self._line.offset, b""
        while at - self._line.offset < MOST_BYTES // 2 and (data := self._file.read(BLOCK)):
            data = rest + data
            cut = data.rfind(b"\n") + 1
            rest = data[cut:]
            yield at, data[:cut]
            at += cut


@dataclass(frozen=True, slots=True)
class _Unpacked:
    head: bytes
    before: bytes
    after: bytes


def _unpacked(stream: LogStream, offset: int) -> _Unpacked:
    """Unpack the surroundings of an offset: what lies farther away is passed over."""
    head = _take(stream, min(HEAD, offset))
    kept = min(offset - len(head), MOST_BYTES // 4)
    stream.skip(offset - len(head) - kept)
    before = _take(stream, kept)
    before = head + before if len(head) + kept == offset else before[before.find(b"\n") + 1 :]
    after = _take(stream, MOST_BYTES // 4)
    return _Unpacked(head, before, after[: after.rfind(b"\n") + 1])


def _take(stream: LogStream, count: int) -> bytes:
    buffer = bytearray(count)
    have = 0
    with memoryview(buffer) as view:
        while have < count and (got := stream.readinto(view[have:])):
            have += got
    return bytes(buffer[:have])


def _lookups(window: _Window, alert: Alert) -> Around:
    """Collect the client's lookups on both sides, until the stamps are too far away."""
    sides = window.forward(), window.backward()
    offset, data = next(sides[0], (0, b""))
    kind = detect(data)
    if kind is None:
        return Around(path=str(window.path), problem=f"{window.path}: its format is not known any more")
    reader = _Reader(kind, window, alert)
    found: list[Lookup] = []
    if reader.read(offset, data, found):
        for offset, data in sides[0]:
            if not reader.read(offset, data, found):
                break
    for offset, data in sides[1]:
        if not reader.read(offset, data, found):
            break
    found.sort(key=lambda one: one.at)
    nearest = sorted(found, key=lambda one: abs(one.at - alert.first_at))[:MOST]
    return Around(tuple(sorted(nearest)), len(found) - len(nearest), str(window.path))


class _Reader:
    """Reads blocks of one file in the light of the alert's own line, whose time is known."""

    def __init__(self, kind: str, window: _Window, alert: Alert) -> None:
        self._kind = kind
        self._head = window.head
        self._alert = alert
        self._shift = 0.0
        own = self._parser().parse(window.line, 0)
        if own is not None and own.at > 0:  # stamps without a zone were read in the source's; here they are in UTC
            self._shift = round((alert.first_at - own.at) / QUARTER_S) * QUARTER_S

    def _parser(self) -> Parser:
        parser = PARSERS[self._kind](Stamps(UTC, self._alert.first_at))
        if isinstance(parser, Headed):
            for line in self._head.split(b"\n")[:-1]:
                parser.parse(line, 0)
        return parser

    def read(self, offset: int, data: bytes, found: list[Lookup]) -> bool:
        """Add the client's lookups of a block; say whether the one behind it can hold more of them."""
        parser, address, at = self._parser(), self._alert.client.address, self._alert.first_at
        needle = b"" if ":" in address else address.encode("ascii", "replace")  # an IPv6 address has several spellings
        distances: list[float] = []
        lines = data.split(b"\n")[:-1]
        for number, line in enumerate(lines):
            if needle not in line and 0 < number < len(lines) - 1:
                continue  # the first and the last line tell the time of the block
            event = parser.parse(line.rstrip(b"\r"), offset)
            if event is None or event.at <= 0:
                continue
            distances.append(abs(event.at + self._shift - at))
            if type(event) is Query and event.client == address and distances[-1] <= SPAN_S:
                found.append(Lookup(event.at + self._shift, event.qname, event.qtype))
        return not distances or min(distances) <= SPAN_S
