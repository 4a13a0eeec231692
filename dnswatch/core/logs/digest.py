"""Turns a block of log bytes into events and samples: one pass, and only lines that matter become Python objects.

Never: reads files, remembers lines, or depends on how the bytes were cut into blocks. The same bytes at the same
offsets give the same events and samples, whatever the chunking: a law that ``tests/laws/test_digest.py`` holds, against
a slow reference that looks at every line. Read next: ``prescan.py``, then ``parsers/``.

Two kinds of lines are parsed. *Candidates*: the prescan saw a watched name or a literal of the format; what they say
goes to the engine. *Samples*: the first line that starts at or after each 8 KiB multiple of the file offset, 64 KiB
deep in a large file (or every line, where the operator asks for it); they tell health and client roles. A line that is
both is parsed once. Lines are parsed in file order, because stamps without a year or with an ambiguous hour are read in
the light of the ones before.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from dnswatch.core.logs.parsers import Answering, Headed, Parser
from dnswatch.core.logs.prescan import Prescan, line_starts
from dnswatch.core.logs.sift import CANDIDATE, SAMPLE, Sifted
from dnswatch.core.logs.stretch import (
    HOLE,
    LONG,
    MAX_LINE,
    Buffer,
    Gap,
    Walk,
    after_nuls,
    due_lines,
    each,
    line_end,
    spacing,
)
from dnswatch.core.model import Event, Query, Weird

Sampling = Literal["position", "all"]

KEPT_OF_LONG = 256
"""Bytes of an over-long line that its `Weird` keeps."""

ASTRAY = "stamp out of order"
"""A line far ahead of its time: believed, it would end every open episode."""
ASTRAY_S = 2 * 3600.0
"""A stamp this far ahead of the last one is believed if the next line's agrees. A time zone or a change of daylight
saving shifts all lines after it, a late line is late: neither stands alone and ahead."""
NEIGHBOURS, NEAR = 20, MAX_LINE
"""So many lines behind it, and lines that end within so many bytes, are asked for a stamp; what dnsmasq says between
queries is not read. While they may still come, the line is left for the next call (`Stamps.alone`)."""


class Digested(NamedTuple):
    """What a block says."""

    events: list[Event]  # of candidate lines, in file order
    samples: list[tuple[int, Event | None]]  # offset of the line, what the parser made of it
    consumed: int  # bytes; the caller passes the rest again, with more behind it
    candidates: int  # lines that the prescan named
    sampled_bytes: int = 0  # length of all sampled lines with their newlines: estimates the number of lines

    @property
    def lines(self) -> float:
        """Estimate how many lines were consumed, from the mean length of the sampled ones (exact with ``all``)."""
        return self.consumed * len(self.samples) / self.sampled_bytes if self.sampled_bytes else 0.0


class Digest:
    """Digests one file after the other, block by block. Owns a parser's place in the file, not the file."""

    def __init__(self, parser: Parser, prescan: Prescan, sample: Sampling = "position") -> None:
        self.parser = parser
        self.prescan = prescan
        self.sample = sample
        self.verdict = parser.verdict if isinstance(parser, Answering) else None
        self._headed = parser if isinstance(parser, Headed) else None  # asked for each block: a protocol's is dear
        self._at = 0  # offset that the next block should start at, else it is another file
        self.sample_at = 0  # the next multiple of SAMPLE_EVERY whose sample is still to come
        self._inside = ""  # what the last block ended in the middle of: "line" too long, or "hole" of NUL bytes
        self.clock = 0.0  # stamp of the last line that was parsed and believed

    def block(self, data: bytes | bytearray | memoryview, offset: int, stop: int | None = None) -> Digested:
        """Digest ``data``, which starts at file offset ``offset`` at the start of a line (or where we said to go on).

        Everything after the last newline is left for the next call, unless it is already longer than `MAX_LINE`; so is
        a line far ahead of its time behind which another may still come. ``stop``: digest so many bytes only, but with
        an eye to the lines behind them.
        """
        if isinstance(data, memoryview):
            data = bytes(data)
        before, stamps = self.state(), self.parser.stamps.state()
        digested = self._block(data, offset, stop)
        if isinstance(digested, Digested):
            return digested
        self.restore(before)
        self.parser.stamps.restore(stamps)
        digested = self._block(data, offset, digested)
        assert isinstance(digested, Digested)
        return digested

    def glance(
        self, digested: Digested, data: bytes | bytearray, offset: int, most: int
    ) -> list[tuple[int, Event | None]]:
        """Parse some more lines of the block just digested, spread over it, as samples for whoever judges the format.

        They depend on how the bytes were cut, and change nothing here: none is an event, none goes to the engine.
        """
        sampled, end = {at for at, _ in digested.samples}, digested.consumed
        begins = {data.rfind(b"\n", 0, end * part // most) + 1 for part in range(most)}
        before = self.parser.stamps.state()
        seen: list[tuple[int, Event | None]] = []
        for begin in sorted(begins):
            newline = data.find(b"\n", begin, end)
            if newline == -1 or newline - begin > MAX_LINE or offset + begin in sampled:
                continue
            if data[begin] == 0x23:  # "#": the head of a file
                continue
            line = bytes(data[begin:newline]).lstrip(b"\0").removesuffix(b"\r")
            seen.append((offset + begin, self.parser.parse(line, offset + begin)))
        self.parser.stamps.restore(before)
        return seen

    def sifted(self, sifted: Sifted) -> Digested | None:
        """Digest what a `Sifter` left of a stretch: gives what `block` would give of its bytes.

        None, with nothing changed, where only those bytes can tell: the stretch does not begin where the last one
        ended, or a line is far ahead of its time, so that its neighbours have a say.
        """
        if self._inside or sifted.start != self._at or self.sample == "all" or self.sample_at > sifted.start:
            return None
        before, stamps = self.state(), self.parser.stamps.state()
        events: list[Event] = []
        samples: list[tuple[int, Event | None]] = []
        sampled_bytes = 0
        parse, verdict, clock = self.parser.parse, self.verdict, self.clock
        returns = b"\r\n" in sifted.text
        for line, offset, mark in zip(sifted.text.split(b"\n"), sifted.offsets, sifted.marks, strict=False):
            event = parse(line.removesuffix(b"\r") if returns else line, offset)
            if event is not None and (at := event.at) > 0.0:
                if at > clock + ASTRAY_S:
                    self.restore(before)
                    self.parser.stamps.restore(stamps)
                    return None
                clock = at
            if mark != CANDIDATE:
                samples.append((offset, event))
                sampled_bytes += len(line) + 1
                if mark == SAMPLE:
                    continue
            if event is not None:
                events.append(event)
                if verdict is not None and type(event) is Query and (said := verdict(event)) is not None:
                    events.append(said)
        self._at, self.sample_at, self.clock = sifted.end, sifted.due, clock
        marks = sifted.marks
        candidates = marks.count(CANDIDATE) + marks.count(CANDIDATE | SAMPLE)
        return Digested(events, samples, sifted.end - sifted.start, candidates, sampled_bytes)

    def _block(self, data: bytes | bytearray, offset: int, stop: int | None) -> Digested | int:
        """Digest ``data[:stop]``, or give where the line begins that has to wait, having changed nothing but state."""
        if offset != self._at:
            self._inside = ""
            every = spacing(offset)
            self.sample_at = -(-offset // every) * every
        if self.sample == "all":
            self.sample_at = offset
        walk = Walk(data, len(data) if stop is None else min(stop, len(data)), self._inside)
        self._inside = walk.inside
        self._at = offset + walk.end
        lines = _Lines(self, data, offset, walk)
        digested = lines.read()
        return digested if lines.held is None else lines.held

    def state(self) -> dict[str, object]:
        """Give what a restart must know, as plain data."""
        state: dict[str, object] = {"at": self._at, "sample_at": self.sample_at, "inside": self._inside,
                                    "clock": self.clock}  # fmt: skip
        if self._headed is not None:
            state["head"] = self._headed.state()
        return state

    def restore(self, state: dict[str, object]) -> None:
        """Go on from `state`. Raises nothing: a state that does not fit is the state of another file."""
        at, sample_at, inside = state.get("at"), state.get("sample_at"), state.get("inside")
        if isinstance(at, int) and isinstance(sample_at, int):
            self._at, self.sample_at = at, sample_at
            self._inside = str(inside or "")
            self.clock = float(str(state.get("clock", self.clock)))
        head = state.get("head")
        if isinstance(head, dict) and self._headed is not None:
            self._headed.restore(head)


class _Lines:
    """The lines of one block that get parsed, in order, each once."""

    def __init__(self, digest: Digest, data: Buffer, offset: int, walk: Walk) -> None:
        self.digest = digest
        self.data = data
        self.offset = offset
        self.walk = walk
        self.spacing = each if digest.sample == "all" else spacing
        self.events: list[Event] = []
        self.samples: list[tuple[int, Event | None]] = []
        self.candidates = 0
        self.sampled_bytes = 0
        self.held: int | None = None  # where the line begins that cannot be judged yet

    def read(self) -> Digested:
        """Parse the lines between the gaps, and report the gaps."""
        gaps, end = self.walk.gaps, self.walk.end
        whole = gaps[-1].start if gaps and gaps[-1].end == end else end  # the prescan sees whole lines only
        lines = line_starts(self.data, self.digest.prescan.find(self.data, whole)) if whole else []
        at = 0
        for gap in gaps:
            self._stretch(at, gap.start, lines)
            if gap.why:
                self._report(gap)
            at = gap.end
        self._stretch(at, end, lines)
        return Digested(self.events, self.samples, end, self.candidates, self.sampled_bytes)

    def _report(self, gap: Gap) -> None:
        """Count a gap once, where it begins."""
        at = self.offset + gap.start
        kept = bytes(self.data[gap.start : min(gap.end, gap.start + KEPT_OF_LONG)])
        weird = Weird(0.0, gap.why, "", kept, at)
        self.events.append(weird)
        if gap.why == LONG and self.digest.sample_at <= at:
            self.samples.append((at, weird))
            self.sampled_bytes += MAX_LINE  # its full length may not be known yet
            every = self.spacing(at)
            self.digest.sample_at = at + every - at % every

    def _stretch(self, start: int, end: int, lines: list[int]) -> None:
        """Parse candidates and samples of ``data[start:end]``: whole lines, no gap between them."""
        if start >= end:
            return
        if self.walk.gaps:  # a line that follows a hole starts behind it
            lines = sorted({max(line, start) for line in lines if line_end(self.data, line) > start and line < end})
        samples, self.digest.sample_at = due_lines(
            self.data, start, end, self.offset, self.digest.sample_at, self.spacing
        )
        candidates, sampled = set(lines), set(samples)
        # One loop for both kinds, without a call of its own for each line.
        digest = self.digest
        data, offset, parse, verdict = self.data, self.offset, digest.parser.parse, digest.verdict
        for line in sorted(candidates | sampled) if samples else lines:
            newline = data.find(b"\n", line)
            stop = newline - 1 if newline > line and data[newline - 1] == 0x0D else newline
            begin = line
            if data[line] == 0:
                begin = after_nuls(data, line, len(data))
                self.events.append(Weird(0.0, HOLE, "", b"", offset + line))
            event = parse(bytes(data[begin:stop]), offset + begin)
            if event is not None and (at := event.at) > 0.0:
                if at > digest.clock + ASTRAY_S and (astray := self._astray(event, newline + 1)) is not False:
                    if astray is None:
                        self.held = line
                        return
                    event = Weird(0.0, ASTRAY, getattr(event, "client", ""), bytes(data[begin:stop]), offset + begin)
                else:
                    digest.clock = at
            if line in candidates:
                self.candidates += 1
                if event is not None:
                    self.events.append(event)
                    if verdict is not None and type(event) is Query and (said := verdict(event)) is not None:
                        self.events.append(said)
            if line in sampled:
                self.samples.append((offset + line, event))
                self.sampled_bytes += newline + 1 - line

    def _astray(self, event: Event, begin: int) -> bool | None:
        """Say whether a line is alone far ahead of its time: later than may be, or the lines behind it are back.

        None: nobody can say before more lines come. Where none can come any more it is believed.
        """
        stamps, parse, data = self.digest.parser.stamps, self.digest.parser.parse, self.data
        if stamps.limit is not None and event.at > stamps.limit:
            stamps.back(self.digest.clock)
            return True
        before = stamps.state()
        astray: bool | None = False
        near = begin + NEAR
        for _ in range(NEIGHBOURS):
            newline = data.find(b"\n", begin, near)
            if newline == -1:
                astray = None if len(data) < near and event.at > stamps.alone else False
                break
            if data[begin] == 0x23:  # "#": the head of another file would be taken for this one's
                break
            other = parse(bytes(data[begin:newline]), self.offset + begin)
            begin = newline + 1
            if other is not None and other.at > 0.0:
                astray = other.at < event.at - ASTRAY_S
                break
        stamps.restore(before)
        if astray:
            stamps.back(self.digest.clock)
        return astray
