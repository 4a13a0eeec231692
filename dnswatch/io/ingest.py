"""Following the logs: one reader per file, from its bytes through the digest into the engine.

A block is digested, received and noted without letting anything else run, so that position and engine always agree;
then the reader waits while too much is uncommitted. While several logs are caught up with, a block may reach the engine
in parts, in turns with the others (``weave.py``), and `state` is that of the parts. Never: decides what a line means.
Read next: ``ledger.py``, ``core/logs/digest.py``.
"""

from __future__ import annotations

import asyncio
import logging
import math
import os
import time
import zoneinfo
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal, NamedTuple

from dnswatch.config.model import Source
from dnswatch.core.detect.engine import Engine
from dnswatch.core.logs.digest import Digest, Digested
from dnswatch.core.logs.formats import LINES, misfit, shows_stamps
from dnswatch.core.logs.parsers import PARSERS, read_head
from dnswatch.core.logs.telling import Telling
from dnswatch.core.logs.timestamps import Stamps
from dnswatch.core.model import Notice, Position, Query, Weird
from dnswatch.core.reading import DNSTAP, Scan, build_digest, rescan
from dnswatch.io.access import no_access
from dnswatch.io.archive import first_bytes
from dnswatch.io.ledger import Ledger
from dnswatch.io.sources import open_way
from dnswatch.io.store import SourceState
from dnswatch.io.supervise import Supervised
from dnswatch.io.tail import STOOD_S, FileTail
from dnswatch.io.way import Block, Stream, Way
from dnswatch.io.weave import Behind, Pieces, Weave

JUDGED_AFTER = 20
"""Samples after which a log of which none parsed is said to be of another format."""
NONE_OF = LINES
"""… where they are other programs' lines, or the server's own without a lookup: a shared file shows one by then."""
RATE_S = 10.0  # lines/s is the mean of about this long
AGREES_S = 60.0
"""A line alone far ahead of the one before is believed while nothing follows it if it is at most this far ahead of our
clock, or of where the log was ahead of it already (a wrong time zone): the first lookup of a night."""
AHEAD_S = 86_400.0
"""A line stamped later than this after it was read is not believed; a time zone that is wrong makes 14 h at most."""
BEHIND_LAST_S = 2.0
"""At the end of a file log time follows the clock this far behind (DESIGN §4): a line may still be on its way."""

HEAD_BYTES = 16 << 10  # Zeek's head has under 1 KiB

log = logging.getLogger("dnswatch")


class Part(NamedTuple):
    """A block of which the engine has a part only."""

    block: Block
    size: int  # bytes that the engine has
    before: dict[str, Any]  # state of the digest before the block


class Reader:
    """Follows one log. ``id`` names it in positions, status and metrics: the path of the file, or `Source.id`."""

    def __init__(
        self,
        settings: Source,
        name: str,
        engine: Engine,
        ledger: Ledger,
        prescan: Scan,
        resume: SourceState | None,
        anchor: float,
        start: Literal["start", "end"] | float | None,
        weave: Weave,
    ) -> None:
        self.settings = settings
        self.id = name
        self.path = Path(name)
        self.position: Position | None = resume.position if resume else None
        self.last_at = 0.0  # stamp of the last line that was parsed
        self.read_at = time.time()  # when that was
        self.at_end = False
        self.counts: Counter[str] = Counter()
        self.lines = 0.0
        self._estimated = 0  # bytes of them
        self.weird: Counter[str] = Counter()
        self.losses: Counter[str] = Counter()
        self.lost_before: Mapping[str, int] = {}  # what earlier processes lost
        self.telling = Telling(settings.type)
        self.wrong_format = ""
        self._judge_at = JUDGED_AFTER
        self.logging: tuple[float, bool] | None = None  # when the server said that its query log is on or off
        self.started = 0.0  # stamp of its last word that it has started
        self.asked = 0.0  # stamp of the newest query that was parsed
        self.ahead_s: float | None = None  # stamp of the newest line less the time it was read, at the end of the log
        self.reads = 0  # reads at the end of the log
        self._sampled = [0, 0]  # sampled lines and their bytes
        self.senders: set[str] = set()
        """What the engine knows the senders as, where several send to one place."""
        self.on_sender: Callable[[], None] = lambda: None
        self._engine = engine
        self._ledger = ledger
        self._zone = zoneinfo.ZoneInfo(settings.timezone) if settings.timezone else None
        self._anchor = anchor
        self._stamps = Stamps(self._zone, anchor)
        self._digest = build_digest(settings.type, self._stamps, prescan, settings.sample)
        if resume is not None:
            self._resume_digest(resume.digest)
        self._rate = 0.0
        self._rate_lines, self._rate_at = 0.0, time.monotonic()
        self._zone_said = False
        self._start = settings.start if start is None else start
        self.task = Supervised(f"source {self.id}", self._run, most_s=10.0, survives_bugs=False)
        self.tail: Way | None = None
        self._part: Part | None = None
        self._weave = weave
        self._strand = weave.add(self.behind)

    # ── Reading ───────────────────────────────────────────────────────────────────────────────────────────────

    async def _run(self) -> None:
        if not isinstance(self.tail, Stream):  # a stream goes on with what it has counted
            self.tail = open_way(self.settings, self.position) or self._open_file()
        try:
            await self.tail.run(self._consume)
        except OSError as error:
            if not isinstance(self.tail, FileTail):
                raise
            said = no_access(self.path, error, f"is {self.settings.type}'s query log on?")
            raise OSError(error.errno, said) from error

    def _open_file(self) -> FileTail:
        olddir = self.path.parent / self.settings.olddir if self.settings.olddir else None
        if self.settings.type == DNSTAP:  # frames are found from the start of the file only
            return FileTail(self.id, self.path, start="start", resume=self.position, olddir=olddir)
        seek = PARSERS[self.settings.type](Stamps(self._zone, self._anchor))
        seek.stamps.stamped = True  # a line without a stamp says nothing of where to begin

        def stamp_of(line: bytes) -> float | None:
            event = seek.parse(line, 0)
            return event.at if event is not None and event.at else None

        return FileTail(
            self.id, self.path, start=self._start, resume=self.position, drain_s=self.settings.drain, olddir=olddir,
            stamp_of=stamp_of, most=self.settings.catch_up.most,
        )  # fmt: skip

    async def begun(self, most_s: float) -> bool:
        """Wait until the log is open where reading begins, or is known not to be readable yet."""
        with suppress(TimeoutError):
            async with asyncio.timeout(most_s):
                while self.position is None and not self.waiting():  # noqa: ASYNC110 (the tail has no event for it)
                    await asyncio.sleep(0.002)
                return True
        return False

    async def _consume(self, block: Block) -> int:
        self._stamps.arrival = now = time.time()
        self._stamps.limit = now + AHEAD_S
        self._stamps.alone = self._alone(block, now)
        if self.counts["blocks"] == 0 and not self._stamps.stamped and self.settings.type != DNSTAP:
            self._stamps.stamped = shows_stamps(self.settings.type, bytes(block.data[: 64 << 10]))
        if self.counts["blocks"] == 0 and block.position.offset:
            self._learn_head(block.position.path)
        self._part = Part(block, 0, self._digest_state())
        if self.position is None:
            self.position = block.after(0)
        if block.sender and block.sender not in self.senders:
            self.senders.add(block.sender)
            self.on_sender()
        digested = self._digest.block(block.data, block.position.offset)
        self._weave.enter(self._strand)
        try:
            await self._receive(block, digested)
            self._count(digested, block)
            await self._ledger.room()
        finally:
            if self._part is not None:  # cancelled half-way
                self.position, digest = self._partly(self._part)
                self._resume_digest(digest)
                self._part = None
            self._weave.leave(self._strand, self.last_at)
        if not (block.at_end and isinstance(self.tail, FileTail)):  # which waits now
            await asyncio.sleep(0)  # a backlog must not starve sinks and signals
        return digested.consumed

    def _alone(self, block: Block, now: float) -> float:
        """Give the stamp up to which a line is believed that is far ahead of its time and the last one so far."""
        if math.isinf(block.stood_s):
            return math.inf
        if not block.at_end or block.stood_s < STOOD_S:
            return -math.inf
        return now + max(self.ahead_s or 0.0, 0.0) + AGREES_S

    def _learn_head(self, path: str) -> None:
        """Read what the start of a file says of its lines (names of columns), where reading begins behind it."""
        if isinstance(self.tail, FileTail) and isinstance(self._digest, Digest):
            with suppress(OSError):  # it has just been rotated: the parser says so of each line that it cannot read
                read_head(self._digest.parser, first_bytes(Path(path), HEAD_BYTES))

    async def _receive(self, block: Block, digested: Digested) -> None:
        """Let the engine have the block, in parts where another log's lines belong in between."""
        pieces = Pieces(digested)
        while not pieces.done:
            piece = pieces.take(await self._weave.turn(self._strand, pieces.first_at()))
            self._ledger.note(self._engine.receive(block.sender or self.id, piece, block.position), 0)
            if not pieces.done:
                assert self._part is not None
                size = pieces.offset - block.position.offset
                if self.settings.type != DNSTAP:  # there may be NULs before the line
                    size = block.data.rfind(b"\n", 0, size) + 1
                self._part = self._part._replace(size=size)
        self._part = None
        self.position = block.after(digested.consumed)
        self._ledger.note((), digested.consumed)

    def state(self) -> SourceState | None:
        """Give what a checkpoint stores; None before anything was read."""
        if self._part is not None:
            return SourceState(*self._partly(self._part))
        if self.position is None:
            return None
        return SourceState(self.position, self._digest_state())

    def _partly(self, part: Part) -> tuple[Position, dict[str, Any]]:
        """Give position and digest as if the block had ended where the engine's part of it does."""
        now = self._digest_state()
        self._resume_digest(part.before)
        if part.size:
            data, offset = part.block.data, part.block.position.offset
            if isinstance(self._digest, Digest):
                self._digest.block(data, offset, part.size)
            else:
                self._digest.block(bytes(data[: part.size]), offset)
        then = self._digest_state()
        self._resume_digest(now)
        return part.block.after(part.size), then

    def _digest_state(self) -> dict[str, Any]:
        return {"digest": self._digest.state(), "stamps": self._stamps.state(), "ahead_s": self.ahead_s}

    def _resume_digest(self, state: dict[str, Any]) -> None:
        self._stamps.restore(state.get("stamps", {}))
        self._digest.restore(state.get("digest", {}))
        self.ahead_s = state.get("ahead_s")

    def behind(self) -> Behind:
        """Say what there is to be read before the log stands where its server does."""
        if self.waiting():
            return ""
        if not self.at_end:
            return "backlog"
        return "fresh" if self.tail is not None and self.tail.unread else ""

    def leave(self) -> None:
        """Hold up no other log any more."""
        self._weave.drop(self._strand)

    def rescan_with(self, prescan: Scan) -> None:
        """Look for other names from the next block on."""
        rescan(self._digest, prescan)

    def log_now(self, now: float) -> float | None:
        """Give the log time at wall time ``now`` if the log has been read to its end; None while it has not."""
        if not self.at_end or not self.last_at or self._part is not None:
            return None
        return self.last_at + (now - self.read_at) - BEHIND_LAST_S

    # ── Counting ──────────────────────────────────────────────────────────────────────────────────────────────

    def _count(self, digested: Digested, block: Block) -> None:
        self.at_end = block.at_end
        if isinstance(self.tail, Stream):
            self.losses["overflow"] += self.tail.take_lost_lines()
        self.counts["blocks"] += 1
        self.counts["read_bytes"] += digested.consumed
        self.counts["candidates"] += digested.candidates
        self.counts["samples"] += len(digested.samples)
        self._estimate(digested)
        newest = max((event.at for event in digested.events), default=0.0)
        for event in digested.events:
            if isinstance(event, Weird):
                self.weird[event.why] += 1
            elif isinstance(event, Notice):
                self._heed(event)
            elif isinstance(event, Query) and event.at > self.asked:
                self.asked = event.at
            if event.at > self.last_at:
                self.last_at, self.read_at = event.at, self._stamps.arrival or time.time()
        self._take_samples(digested, block)
        for _, sample in digested.samples:
            if isinstance(sample, Query) and sample.at > self.asked:
                self.asked = sample.at
            if sample is not None and sample.at > self.last_at:
                self.last_at, self.read_at = sample.at, self._stamps.arrival or time.time()
            if sample is not None:
                newest = max(newest, sample.at)
        if self.at_end and newest and self._stamps.arrival:
            self.ahead_s, self.reads = newest - self._stamps.arrival, self.reads + 1
        self._judge_format(block.data)
        if self._stamps.zoneless and self.settings.timezone is None and not self._zone_said:
            self._zone_said = True
            said = "its stamps carry no zone and are read as UTC; set timezone: (for example Europe/Berlin)"
            log.warning("source %s: %s", self.id, said)
        self.task.progress()

    def _take_samples(self, digested: Digested, block: Block) -> None:
        """Count what the samples are, and some more lines where the log is followed live: all, of a quiet one."""
        samples, at = digested.samples, block.position.offset
        live = self.at_end and self.settings.sample != "all"
        if live and isinstance(self._digest, Digest) and (most := self.telling.more(time.monotonic())):
            more = self._digest.glance(digested, block.data, at, most)
            self.telling.looked(len(more))
            samples = [*samples, *more]
        self.telling.take(samples, block.data, at, block.position.path)

    def _estimate(self, digested: Digested) -> None:
        """Estimate the lines read from the mean length of all sampled ones: most blocks of a live log have none.

        What was estimated stays, whatever comes later: the lines of a log never become fewer.
        """
        self._sampled[0] += len(digested.samples)
        self._sampled[1] += digested.sampled_bytes
        if self._sampled[0]:
            self.lines += (self.counts["read_bytes"] - self._estimated) * self._sampled[0] / self._sampled[1]
            self._estimated = self.counts["read_bytes"]

    def _heed(self, notice: Notice) -> None:
        """Take what the server says of itself."""
        self.losses[notice.kind] += notice.count if notice.kind == "overflow" else 1
        if notice.kind == "querylog":
            self.logging = notice.at, bool(notice.count)
        elif notice.kind == "start":
            self.started = notice.at
            self.logging = None

    def _judge_format(self, data: bytes | bytearray) -> None:
        """Say once that a log is of another format than it was said to be; a shared file may begin with others' lines.

        What it becomes later is the monitor's to see (``core/health/parsing.py``).
        """
        counts = self.telling.counts
        if self.wrong_format and counts.good >= JUDGED_AFTER:
            self.wrong_format = ""
        own = counts.bad + counts.other + counts.unknown
        if counts.good or self.wrong_format or self.settings.type == DNSTAP:
            return
        if max(own, self.counts["samples"]) < self._judge_at:
            return
        self._judge_at *= 2
        wrong = misfit(self.settings.type, bytes(data[: 64 << 10]))
        if wrong is not None and (wrong.looks_like or counts.bad >= JUDGED_AFTER):
            self.wrong_format = str(wrong)
        elif counts.bad >= JUDGED_AFTER or self.counts["samples"] >= NONE_OF:
            self.wrong_format = f"none of {sum(counts)} sampled lines tells a lookup as {self.settings.type} does"
            self.wrong_format += self.telling.describe(counts.bad > 0)
        if self.wrong_format:
            log.warning("source %s: %s. Nothing is found in it: set type: to what it is", self.id, self.wrong_format)

    def row(self) -> dict[str, Any]:
        """Give the status row."""
        size = self._size()
        lag_bytes = self._unread()
        now = time.monotonic()
        if now - self._rate_at >= RATE_S / 2:
            weight = min((now - self._rate_at) / RATE_S, 1.0)
            self._rate += ((self.lines - self._rate_lines) / (now - self._rate_at) - self._rate) * weight
            self._rate_lines, self._rate_at = self.lines, now
        waiting, lost = self.waiting(), self.lost()
        return {
            "type": self.settings.type, "path": self.id, "file": self.position.path if self.position else self.id,
            "offset": self.position.offset if self.position else 0, "size": size, "lag_bytes": lag_bytes,
            "lag_s": max(time.time() - self.last_at, 0.0) if lag_bytes and self.last_at else 0.0,
            "last_at": self.last_at or None, "read_bytes": self.counts["read_bytes"], "lines": round(self.lines),
            "lines_per_s": round(self._rate, 1), "candidates": self.counts["candidates"],
            "samples": sum(self.telling.counts), "samples_bad": self.telling.counts.bad,
            "samples_other": self.telling.counts.other, "samples_foreign": self.telling.counts.foreign,
            "samples_unknown": self.telling.counts.unknown,
            "parse_ratio": self.telling.ratio,
            "weird": dict(sorted(self.weird.items())), "notices": dict(sorted(self.losses.items())),
            "rotations": dict(self.tail.generations) if self.tail else {}, "lost": lost,
            "lost_lines": lost.pop("overflow", 0), "failures": self.task.failures, "waiting": waiting,
            "waiting_flag": int(bool(waiting)), "wrong_format": self.wrong_format,
            **(self.tail.row() if isinstance(self.tail, Stream) else {}),
        }  # fmt: skip

    def lost(self) -> dict[str, int]:
        """Give what could not be read any more when we came to it, by reason, ever; lines of the server's overflow."""
        now = Counter(self.lost_before)
        now.update(self.lost_now())
        now["overflow"] += self.losses["overflow"]
        return {why: n for why, n in sorted(now.items()) if n}

    def lost_now(self) -> dict[str, int]:
        """Give what this process could not read any more, by reason."""
        return {why: n for why, n in sorted(self.tail.losses.items()) if n} if self.tail is not None else {}

    def _unread(self) -> int:
        if isinstance(self.tail, FileTail):
            with suppress(OSError):
                return self.tail.unread_bytes()
        return self.tail.lag if isinstance(self.tail, Stream) else 0

    def _size(self) -> int | None:
        if isinstance(self.tail, Stream):
            return None
        try:
            return os.stat(self.path).st_size  # noqa: PTH116
        except OSError:
            return None

    def waiting(self) -> str:
        """Say why nothing can be read at this moment; "" when it can."""
        return self.task.error or (self.tail.waiting if self.tail is not None else "")
