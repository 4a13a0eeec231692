"""Replays log files from first line to last: finds their format, digests them, gives what they say in time order.

Never: judges a line, or stops at a damaged file: what can be read is read, and `Tally` says what could not.
Read next: ``scan.py``, ``archive.py``.
"""

from __future__ import annotations

import heapq
import math
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import BinaryIO, NamedTuple, cast

from dnswatch.core.dnstap.digest import FrameDigest
from dnswatch.core.dnstap.frames import is_tap
from dnswatch.core.dnstap.scan import WireScan
from dnswatch.core.logs.digest import Digest, Digested, Sampling
from dnswatch.core.logs.formats import detect, misfit, shows_stamps
from dnswatch.core.logs.parsers import PARSERS, read_head
from dnswatch.core.logs.timestamps import UNSET_BEFORE, Stamps
from dnswatch.core.model import Lease, Notice, Position, Weird
from dnswatch.core.reading import DNSTAP, AnyDigest, Scan, build_digest, formats
from dnswatch.io.access import no_access
from dnswatch.io.apart import Children, Rest, is_large
from dnswatch.io.archive import Family, LogStream, first_bytes, open_log
from dnswatch.io.blocks import Blocks

FIRST_LINES = 50
"""Lines looked at for a file's first stamp."""
FIRST_BYTES = 16 << 10
"""Bytes that hold them."""
FEW_BYTES = 160 << 10
"""A log up to this size has fewer than 20 samples: it is judged by lines of its own instead."""
JUDGED_LINES = 200
"""So many, evenly spread."""
EXACT_BYTES = 8 << 20
"""Up to so much in all, lines are counted; beyond, counting would cost what sampling saves."""
LATEST_S = 86_400.0
"""A line stamped so long after the last write to its file is not believed; a wrong time zone makes 14 h at most."""
STDIN = "-"


class Piece(NamedTuple):
    """Some of what a log says, and when: logs of several servers are woven together at these times."""

    at: float
    source: str  # name of the family
    digested: Digested
    position: Position


@dataclass(slots=True)
class Tally:
    """What was read, for the summary."""

    files: int = 0
    bytes: int = 0
    lines: float = 0.0
    exact: bool = True  # lines were counted; else the number is an estimate
    samples_good: int = 0
    samples_bad: int = 0
    candidates: int = 0
    first_at: float = 0.0
    last_at: float = 0.0
    formats: Counter[str] = field(default_factory=Counter)
    weird: Counter[str] = field(default_factory=Counter)
    notices: Counter[str] = field(default_factory=Counter)
    skipped: list[tuple[str, str]] = field(default_factory=list)  # path and why
    notes: list[str] = field(default_factory=list)
    failed: int = 0  # files that were asked for and could not be read
    zoneless: bool = False

    def add(self, digested: Digested, newlines: int | None, *, judged: bool) -> None:
        """Count a digested block of so many lines, None when nobody counted; ``judged``: `_judge` saw its file."""
        self.bytes += digested.consumed
        self.lines += digested.lines if newlines is None else newlines
        self.exact = self.exact and newlines is not None
        self.candidates += digested.candidates
        for event in digested.events:
            if type(event) is Weird:
                self.weird[event.why] += 1
            elif type(event) is Notice:
                self.notices[event.kind] += event.count if event.kind == "overflow" else 1  # lost lines
        said = [sample for _, sample in digested.samples if sample is not None]
        good = [sample.at for sample in said if type(sample) is not Weird]
        if not judged:
            self.samples_good += len(good)
            self.samples_bad += len(said) - len(good)
        times = [at for at in (*good, *(event.at for event in digested.events)) if at > 0]
        if times:
            self.first_at = min(self.first_at or times[0], *times)
            self.last_at = max(self.last_at, *times)


@dataclass(frozen=True, slots=True)
class Reading:
    """How to read the files."""

    prescan_of: Callable[[str], Scan]  # format name → prescan
    kind: str | None = None  # format; None: found out for each file
    zone: tzinfo | None = None
    year: int | None = None  # of year-less stamps; None: the file's time of last change says
    sample: Sampling = "position"
    on_progress: Callable[[int], None] = lambda _bytes: None  # bytes of the files, as they lie there
    cores: int | None = None  # child processes that may help; None: one a core


class Replay:
    """Reads families of log files; `tally` grows meanwhile."""

    def __init__(self, families: Sequence[Family], reading: Reading) -> None:
        self.tally = Tally()
        self._families = families
        self._reading = reading
        self._large = {path for family in families for path in family.files if str(path) != STDIN and is_large(path)}
        self._children = Children(len(families), 0 if reading.sample == "all" else reading.cores)

    def pieces(self) -> Iterator[Piece]:
        """Give everything in time order. Several logs are woven together event by event, equal times by name."""
        streams = [self._family(family) for family in self._families]
        try:
            if len(streams) == 1:
                yield from streams[0]
            else:
                yield from heapq.merge(*(_split(stream) for stream in streams), key=lambda piece: piece.at)
        finally:
            self._children.close()

    def _family(self, family: Family) -> Iterator[Piece]:
        files = self._in_time(family.files)
        stamps: Stamps | None = None
        digests: dict[str, AnyDigest] = {}
        source = family.name if family.name == STDIN else str(Path(family.name).absolute())
        at = 0.0
        for number, path in enumerate(files):
            if stamps is None:
                stamps = Stamps(self._reading.zone, self._anchor(path))
            stamps.limit = self._limit(path)
            stamps.arrival = None if stamps.stamped else _written(path)  # lines without stamps: as late as they may be
            for digested, offset in self._file(path, stamps, digests, files[number + 1 :]):
                first = next((event.at for event in digested.events if event.at > 0), 0.0)
                sampled = next((event.at for _, event in digested.samples if event is not None and event.at > 0), 0.0)
                at = max(at, min(filter(None, (first, sampled)), default=0.0))
                yield Piece(at, source, digested, Position(source, str(path), offset))
        self.tally.zoneless |= stamps is not None and stamps.zoneless

    def _file(
        self, path: Path, stamps: Stamps, digests: dict[str, AnyDigest], later: Sequence[Path]
    ) -> Iterator[tuple[Digested, int]]:
        """Digest one file; give each block's digest and its offset. ``later``: the files of this log behind it."""
        tally = self.tally
        try:
            stream = LogStream(_stdin()) if str(path) == STDIN else open_log(path)
        except OSError as error:
            tally.skipped.append((str(path), no_access(path, error, "it was there a moment ago")))
            tally.failed += 1
            self._children.end(path)
            return
        try:
            yield from self._stream(path, Blocks(stream), stamps, digests, later)
        except OSError as error:
            tally.skipped.append((str(path), f"cannot be read to its end: {error.strerror or error}"))
            tally.failed += 1
        finally:
            stream.close()
            self._children.end(path)

    def _stream(
        self, path: Path, blocks: Blocks, stamps: Stamps, digests: dict[str, AnyDigest], later: Sequence[Path]
    ) -> Iterator[tuple[Digested, int]]:
        data = blocks.peek()
        kind = self._kind(path, data) if data else None
        if kind is None:
            if not data:
                self._ended(path, None, blocks)
            return
        digest = self._digest(kind, stamps, digests)
        self.tally.files += 1
        self.tally.formats[kind] += 1
        stamps.stamped = stamps.stamped or (kind != DNSTAP and shows_stamps(kind, data))
        small = len(data) <= FEW_BYTES and kind != DNSTAP
        if small:
            _judge(self.tally, kind, data, stamps.stamped)
        if isinstance(digest, Digest):
            for each in (path, *later):
                if each in self._large and not self._children.begin(each, kind, digest.prescan):
                    break
            yield from self._of_children(path, kind, blocks, digest)
        yield from self._blocks(kind, blocks, digest, judged=small)
        self._ended(path, kind, blocks)

    def _of_children(self, path: Path, kind: str, blocks: Blocks, digest: Digest) -> Iterator[tuple[Digested, int]]:
        """Digest what child processes leave of a file, as far as they come; read here what they cannot tell."""
        for said in self._children.siftings(path, kind):
            self._reading.on_progress(blocks.progress(said.raw_bytes))
            if isinstance(said, Rest):
                if said.start == blocks.offset:
                    blocks.end_with(said.data, said.problem)
                return
            digested = digest.sifted(said.sifted) if said.sifted is not None else None
            if digested is None:
                yield from self._blocks(kind, blocks, digest, said.until)
            else:
                self.tally.add(digested, None, judged=False)
                yield digested, blocks.offset
                blocks.move(digested.consumed)

    def _blocks(
        self, kind: str, blocks: Blocks, digest: AnyDigest, until: int | None = None, *, judged: bool = False
    ) -> Iterator[tuple[Digested, int]]:
        """Digest a file's blocks up to the first line that starts at ``until`` or later; None: up to its end."""
        stamps = digest.parser.stamps if isinstance(digest, Digest) else None
        while until is None or blocks.offset < until:
            data = blocks.read()
            if blocks.ended and (not data or stamps is None):
                return
            if stamps is not None:
                stamps.alone = math.inf if blocks.ended else -math.inf  # only at the end nothing comes behind a line
            self._reading.on_progress(blocks.progress())
            offset = blocks.offset
            if isinstance(digest, Digest):
                digested = digest.block(data, offset, _stop(data, offset, until))
            else:
                digested = digest.block(data, offset)
            tally = self.tally
            count = tally.exact and tally.bytes + digested.consumed <= EXACT_BYTES and stamps is not None
            tally.add(digested, data.count(b"\n", 0, digested.consumed) if count else None, judged=judged)
            yield digested, offset
            blocks.move(digested.consumed)
            if blocks.ended:
                return

    def _ended(self, path: Path, kind: str | None, blocks: Blocks) -> None:
        """Note how a file ended."""
        problem = blocks.problem
        if problem:
            self.tally.notes.append(f"{path}: {problem}; what comes before was analysed ({blocks.offset} bytes)")
        if kind is None:
            self.tally.skipped.append((str(path), problem or "empty"))
        elif blocks.have:
            self.tally.weird["unfinished last frame" if kind == DNSTAP else "unfinished last line"] += 1

    def _digest(self, kind: str, stamps: Stamps, digests: dict[str, AnyDigest]) -> AnyDigest:
        if kind not in digests:
            reading = self._reading
            digests[kind] = build_digest(kind, stamps, reading.prescan_of(kind), reading.sample)
        digests[kind].restore({"at": 0, "sample_at": 0, "inside": ""})  # another file
        return digests[kind]

    def _kind(self, path: Path, data: bytes) -> str | None:
        """Find the format of a file from its first block; None, with a word why, when it is none of ours."""
        if self._reading.kind is not None:
            if self._reading.kind == DNSTAP:
                if not is_tap(data):
                    self.tally.notes.append(f"{path}: not a dnstap file: it does not begin with a START frame")
            elif (wrong := misfit(self._reading.kind, data)) is not None:
                self.tally.notes.append(f"{path}: {wrong}")
            return self._reading.kind
        found = DNSTAP if is_tap(data) else detect(data)
        if found is None:
            start = data[:60].split(b"\n")[0].decode("ascii", "backslashreplace")
            known = ", ".join(formats())
            self.tally.skipped.append((str(path), f"no DNS log that we know ({known}); it begins: {start!r}"))
        return found

    # ── Time ──────────────────────────────────────────────────────────────────────────────────────────────────

    def _anchor(self, path: Path) -> float:
        """Give the time near which a stamp without a year lies."""
        if self._reading.year is not None:
            # The first stamp lies at most a day after the anchor: its last second is in, the next year's first is not.
            return datetime(self._reading.year, 12, 30, 23, 59, 59, tzinfo=self._reading.zone or UTC).timestamp()
        return _written(path)

    def _limit(self, path: Path) -> float | None:
        """Give the time that no line of a file can be later than: a while after its last write.

        None where its first line is: archives and copies give files times of their own, and not one line would count.
        """
        if str(path) == STDIN:
            return None
        limit, first = _written(path) + LATEST_S, self._first_at(path)
        if first is not None and first > limit:
            self.tally.notes.append(f"{path}: begins later than its last write; its lines are believed, not its date")
            return None
        return limit

    def _in_time(self, files: tuple[Path, ...]) -> list[Path]:
        """Order the files of a family. Their names usually say it; the first stamps have the last word."""
        if len(files) < 2:
            return list(files)
        firsts = {path: at for path in files if (at := self._first_at(path))}
        named = [path for path in files if path in firsts]
        stamped = sorted(named, key=lambda path: firsts[path])  # stable: equal stamps stay in the order of names
        if stamped == named:
            return list(files)
        self.tally.notes.append(f"{files[-1]}: read in the order of first stamps, not of names")
        return [path for path in files if path not in firsts] + stamped

    def _first_at(self, path: Path) -> float | None:
        try:
            data = first_bytes(path, FIRST_BYTES)
        except OSError:
            return None
        kind = self._reading.kind or (DNSTAP if is_tap(data) else detect(data))
        if kind is None:
            return None
        if kind == DNSTAP:
            said = FrameDigest(WireScan(()), "all").block(data, 0).samples
            return next((one.at for _, one in said if one is not None and one.at > 0), None)
        parser = PARSERS[kind](Stamps(self._reading.zone, self._anchor(path)))
        parser.stamps.stamped = shows_stamps(kind, data)
        parser.stamps.arrival = None if parser.stamps.stamped else _written(path)
        for line in data.split(b"\n")[:FIRST_LINES]:
            event = parser.parse(line, 0)
            if event is not None and event.at > 0 and not isinstance(event, Lease):
                return event.at
        return None


def _written(path: Path) -> float:
    """Give the time of the last write to a file; now, where there is none to be believed."""
    with suppress(OSError):
        if str(path) != STDIN and (at := path.stat().st_mtime) >= UNSET_BEFORE:
            return at
    return time.time()


def _stop(data: bytes | bytearray, offset: int, until: int | None) -> int | None:
    """Give where in ``data`` the first line starts that does so at file offset ``until`` or later; None: not there."""
    if until is None or until > offset + len(data):
        return None
    return data.find(b"\n", until - 1 - offset) + 1 or None


def _judge(tally: Tally, kind: str, data: bytes, stamped: bool) -> None:
    """Judge a small file by lines of its own: its one or two samples may be start-up messages."""
    parser = PARSERS[kind](Stamps(None, 0.0))
    parser.stamps.stamped = stamped
    read_head(parser, data)
    lines = data.split(b"\n")[:-1]
    for line in lines[:: -(-len(lines) // JUDGED_LINES) or 1]:
        event = parser.parse(line.removesuffix(b"\r"), 0)
        tally.samples_good += event is not None and type(event) is not Weird
        tally.samples_bad += type(event) is Weird


def _split(pieces: Iterator[Piece]) -> Iterator[Piece]:
    """Cut blocks into single events, so that those of another log fit in between."""
    at = 0.0
    for piece in pieces:
        digested = piece.digested
        at = max(at, piece.at)
        yield piece._replace(at=at, digested=digested._replace(events=[]))
        for event in digested.events:
            at = max(at, event.at)
            yield piece._replace(at=at, digested=Digested([event], [], 0, 0))


def size_of(families: Sequence[Family]) -> int:
    """Give the bytes to come, as they lie on disk; what cannot be told counts nothing."""
    total = 0
    for family in families:
        for path in family.files:
            try:
                total += os.stat(path).st_size  # noqa: PTH116
            except OSError:
                continue
    return total


def standard_input() -> Family:
    """Give the family that stands for ``-``."""
    return Family(STDIN, (Path(STDIN),))


def _stdin() -> BinaryIO:
    return cast(BinaryIO, open(0, "rb", buffering=0, closefd=False))
