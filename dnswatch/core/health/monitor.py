"""The monitor of sources: from what a look at each log and disk shows to the blind spots that there are, or are over.

A look is a value (`Seen`), taken every two seconds; the wall time is an argument. What is said is idempotent, and says
nothing where nobody can know: after a restart a silence that was told stays told until a line comes. Never: reads a
clock or a file, remembers which alerts are open (``alarms.py`` does). Read next: ``profile.py``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from dnswatch.core.detect.changes import Row
from dnswatch.core.health.parsing import Describe, Parsing
from dnswatch.core.health.profile import LEAST_S, MISSING, Profile
from dnswatch.core.logs.telling import Counts

ROW = "profile"
"""Kind of the stored rows."""
READABLE_S = 30.0
"""A log may be missing for so long: a rotation takes milliseconds, a restart of a server seconds."""
STUCK_S = {"dnsmasq": 160.0}
"""TCP children of dnsmasq write into a renamed log for up to 150 s (log_formats §0.6)."""
STUCK_ELSE_S = 30.0
QUIET_GAPS, QUIET_S = 30.0, 60.0
"""A log has stopped when nothing came for this many of its usual gaps, and at least this long."""
ANEW_GAPS = 100.0
"""The same for one whose server has started anew: it may have started at the end of a working day."""
SIZE_STEP, SIZE_OVER = 1 << 20, 1024
"""BIND stops after the line that passes its limit (log_formats §4.1): the file is less than a line larger than that.
Limits are written in M or G; by chance one size in a thousand looks like one."""
LAG_S, LAG_STEPS, LAG_BYTES = 60.0, 5, 4 << 20
"""A backlog grows when it was larger at each of five looks a minute apart, by this much in all."""
AHEAD_S = 600.0
"""Stamps this far from our clock mean that a clock or a time zone is wrong: NTP keeps within a second, and the smallest
step of a zone is a quarter of an hour."""
CLOCK_BLOCKS = 10
"""Reads at the end of a log, all of them this wrong, before it is said: one late line is just late."""
STEP_S = 60.0
"""A step of our own clock worth telling."""
FULL_BYTES, FULL_SHARE = 1 << 30, 0.03
SMALL_BYTES, SMALL_SHARE = 64 << 20, 0.10
"""A disk is nearly full below 1 GiB and 3 %, or below 64 MiB and 10 %: hours of a busy log, some room for the store."""
FREED = 1.2  # times that, before it is over
SILENCING = frozenset({"log-stuck", "log-unreadable", "querylog-off", "size-stop"})
"""Kinds that say why a log is silent."""
HOST = "clock of this host"


class Seen(NamedTuple):
    """One look at one log. Counts are those of this process and never fall."""

    source: str
    type: str
    at_end: bool  # everything that its server wrote is read
    lines: float = 0.0  # an estimate
    parsed: Counts = Counts()  # sampled lines
    describe: Describe = lambda unreadable: ""  # the newest of them that tell nothing
    size: int | None = None  # of the file that the path names
    rotated: bool = False  # its server, or somebody, rotates it
    lag_bytes: int = 0
    waiting: str = ""  # why it cannot be read
    held: bool = False  # a file of it is open all the same
    late_s: float = 0.0  # so long after a rotation the rotated file is still written to, while the new one is empty
    overflow: int = 0  # lines that the server says it lost
    lost: Mapping[str, int] = {}  # what was certainly lost, by reason
    skipped: int = 0  # bytes that catching up left out as configured
    logging: tuple[float, bool] | None = None  # when the server said that its query log is on or off
    started: float = 0.0  # stamp of its last word that it has started
    asked: float = 0.0  # stamp of the newest query
    ahead_s: float | None = None  # stamp of the newest line less the time it was read, at the end of the log
    reads: int = 0  # reads at the end of the log
    wrong_format: str = ""
    silent_after: float | Literal["off"] | None = None  # what the operator says of it


class Disk(NamedTuple):
    """One look at the file system of directories of ours."""

    subject: str  # the directories on it
    free: int  # bytes that we may use
    total: int


class Said(NamedTuple):
    """A blind spot that is there, or is not (any more)."""

    kind: str
    subject: str
    holds: bool
    text: str = ""


@dataclass(slots=True)
class _Memory:
    """What is known of a log from the looks before."""

    seen: Seen
    profile: Profile
    parsing: Parsing
    line_at: float  # wall time when the last line came, or when looking began
    gap_s: float = 0.0  # usual time between looks that found lines
    came: bool = False  # a line came since looking began
    told: bool = False  # that it is silent
    waiting_since: float | None = None
    lag: list[int] = field(default_factory=list)
    lag_at: float = 0.0
    wrong: int = 0  # reads in a row whose stamps were far off
    reads: int = 0
    size_at: tuple[int, float] | None = None  # size of the path, and since when


class Monitor:
    """Looks at logs, disks and clocks; says what is blind."""

    def __init__(self) -> None:
        self._sources: dict[str, _Memory] = {}
        self._stored: dict[str, Profile] = {}
        self._offset: float | None = None  # wall less monotonic time
        self._full: set[str] = set()

    # ── Logs ──────────────────────────────────────────────────────────────────────────────────────────────────

    def look(self, seen: Seen, now: float) -> list[Said]:
        """Judge one log by what is seen of it now."""
        known = self._sources.get(seen.source)
        backlog = seen.lines if known is None else 0.0  # read before anybody looked
        if known is None:
            profile = self._stored.pop(seen.source, None) or Profile()
            known = self._sources[seen.source] = _Memory(
                Seen(seen.source, seen.type, False), profile, Parsing(profile, now), now
            )
        lines = max(seen.lines - known.seen.lines, 0.0)
        silence_s = now - known.line_at
        if lines:
            if known.came:
                known.gap_s += (now - known.line_at - known.gap_s) * 0.1
            known.line_at, known.came = now, True
        said = [
            *self._unreadable(known, seen, now), *self._stopped(known, seen, now),
            *self._switched_off(known, seen, now), *self._parsing(known, seen, now), *self._lost(known, seen),
            *self._lagging(known, seen, now), *self._clock(known, seen),
        ]  # fmt: skip
        explained = any(one.holds and one.kind in SILENCING for one in said)
        said += self._silent(known, seen, now, lines, silence_s, explained, backlog)
        known.seen = seen
        return said

    def remembered(self, beginning: str) -> list[str]:
        """Name what is known, from now or from before, and begins like this."""
        return sorted(name for name in {*self._sources, *self._stored} if name.startswith(beginning))

    def forget(self, keep: Iterable[str]) -> list[str]:
        """Forget logs that are not followed any more; give them."""
        gone = sorted(set(self._sources) - set(keep))
        for name in gone:
            self._stored[name] = self._sources.pop(name).profile
        return gone

    def _silent(
        self, known: _Memory, seen: Seen, now: float, lines: float, silence_s: float, explained: bool, backlog: float
    ) -> Iterator[Said]:
        live = seen.at_end and not explained
        why = self._strange(known, seen, silence_s, now) if live and not lines else ""
        if lines or seen.silent_after == "off":
            yield Said("source-silent", seen.source, False, "lines come again")
        elif why:
            yield Said("source-silent", seen.source, True, f"no line for {_span(silence_s)}{why}")
        known.told = known.told or bool(why)
        if live:
            known.profile.live(now, lines - backlog, silence_s, known.told)
        elif explained:
            known.profile.blind()
        else:
            known.profile.pause(now)
        if lines:
            known.told = False

    @staticmethod
    def _strange(known: _Memory, seen: Seen, silent_s: float, now: float) -> str:
        """Say why a silence is strange; "" when it is not."""
        if seen.silent_after == "off":
            return ""
        if seen.silent_after is not None:
            limit_s = seen.silent_after
            return f", at most {_span(limit_s)} are usual (silent_after)" if silent_s >= limit_s else ""
        if silent_s < LEAST_S:
            return ""
        expected = known.profile.expected(known.line_at, now)
        if expected >= MISSING:
            return f"; at this time of the week at least {expected:.0f} were to be expected"
        patience_s = known.profile.patience_s()
        if silent_s >= patience_s and known.came:
            return f"; its longest silence so far was {_span(known.profile.longest_s)}"
        return ""

    @staticmethod
    def _unreadable(known: _Memory, seen: Seen, now: float) -> Iterator[Said]:
        if not seen.waiting:
            known.waiting_since = None
        elif known.waiting_since is None:
            known.waiting_since = now
        since = known.waiting_since
        long = since is not None and now - since >= READABLE_S
        elsewhere = seen.held and since is not None and known.line_at > since  # what has lost its name is written on
        yield Said("log-unreadable", seen.source, long and not elsewhere, seen.waiting)
        late = seen.late_s >= STUCK_S.get(seen.type, STUCK_ELSE_S)
        yield Said("log-stuck", seen.source, late or (long and elsewhere), seen.waiting)

    @staticmethod
    def _stopped(known: _Memory, seen: Seen, now: float) -> Iterator[Said]:
        """Tell BIND's size limit: a file that just passed a round size, is not rotated, and does not grow."""
        if seen.type != "bind" or seen.size is None:
            return
        if known.size_at is None or known.size_at[0] != seen.size:
            known.size_at = seen.size, now
            yield Said("size-stop", seen.source, False)
            return
        still_s = now - known.size_at[1]
        stopped = at_limit(seen.size) and not seen.rotated and seen.at_end
        if stopped and still_s >= max(QUIET_S, QUIET_GAPS * known.gap_s):
            limit = f"{seen.size // SIZE_STEP}m"
            text = f"it has {seen.size} bytes, just over {limit}, and has not grown for {_span(still_s)}: so ends "
            yield Said("size-stop", seen.source, True, f"{text}a channel with `size {limit}` and no `versions`")

    @staticmethod
    def _switched_off(known: _Memory, seen: Seen, now: float) -> Iterator[Said]:
        if seen.logging is not None and not seen.logging[1] and seen.asked <= seen.logging[0]:
            yield Said("querylog-off", seen.source, True, "its server says: query logging is now off")
            return
        if seen.logging is not None or (seen.asked and seen.asked >= seen.started):
            yield Said("querylog-off", seen.source, False, "queries are logged again")
        elif seen.started and known.gap_s and seen.at_end:
            still_s = now - known.line_at
            if still_s >= max(LEAST_S, ANEW_GAPS * known.gap_s):
                yield Said("querylog-off", seen.source, True,
                           f"its server has started anew and logged no query since, for {_span(still_s)}")  # fmt: skip

    @staticmethod
    def _parsing(known: _Memory, seen: Seen, now: float) -> Iterator[Said]:
        stopped = seen.started > 0.0 and seen.asked <= seen.started  # `_switched_off` says so
        said = list(known.parsing.look(seen.parsed, seen.describe, stopped, now))
        if seen.wrong_format:
            said = [(True, seen.wrong_format)]
        elif known.seen.wrong_format:  # what was said meanwhile that it is over was not passed on
            said = said or [(False, "its lines parse")]
        for holds, text in said:
            yield Said("parse-drop", seen.source, holds, text)

    @staticmethod
    def _lost(known: _Memory, seen: Seen) -> Iterator[Said]:
        """Tell losses: events, which are over as soon as they are told."""
        if (count := seen.overflow - known.seen.overflow) > 0:
            yield Said("overflow", seen.source, True, f"it says that it lost {count} lines")
            yield Said("overflow", seen.source, False)
        for why, number in sorted(seen.lost.items()):
            if number > known.seen.lost.get(why, 0):
                yield Said("lines-lost", seen.source, True, f"{why} ({number} times so far)")
                yield Said("lines-lost", seen.source, False)
        if seen.skipped > known.seen.skipped:
            yield Said("lines-skipped", seen.source, True, f"{seen.skipped} bytes were left out")
            yield Said("lines-skipped", seen.source, False)

    @staticmethod
    def _lagging(known: _Memory, seen: Seen, now: float) -> Iterator[Said]:
        if now - known.lag_at < LAG_S:
            return
        known.lag_at = now
        known.lag = [*known.lag, seen.lag_bytes][-LAG_STEPS - 1 :]
        steps = list(zip(known.lag, known.lag[1:], strict=False))
        if len(steps) == LAG_STEPS and all(a < b for a, b in steps) and known.lag[-1] - known.lag[0] >= LAG_BYTES:
            text = f"{known.lag[-1] >> 20} MiB are unread, {known.lag[0] >> 20} MiB were five minutes ago"
            yield Said("lag-growing", seen.source, True, text)
        elif steps and (known.lag[-1] < known.lag[-2] or not known.lag[-1]):
            yield Said("lag-growing", seen.source, False, "it is being caught up with")

    @staticmethod
    def _clock(known: _Memory, seen: Seen) -> Iterator[Said]:
        if seen.ahead_s is None or seen.reads == known.reads:
            return
        far = abs(seen.ahead_s) >= AHEAD_S
        known.wrong = known.wrong + seen.reads - known.reads if far else 0
        known.reads = seen.reads
        if not far:
            yield Said("clock-jump", seen.source, False, "stamps and clock agree again")
        elif known.wrong >= CLOCK_BLOCKS:
            way = "ahead of" if seen.ahead_s > 0 else "behind"
            yield Said("clock-jump", seen.source, True,
                       f"its newest lines are stamped {_span(abs(seen.ahead_s))} {way} our clock")  # fmt: skip

    # ── Host ──────────────────────────────────────────────────────────────────────────────────────────────────

    def look_at_disks(self, disks: Iterable[Disk]) -> Iterator[Said]:
        """Judge file systems by their free space."""
        for disk in disks:
            limit = max(min(FULL_BYTES, disk.total * FULL_SHARE), min(SMALL_BYTES, disk.total * SMALL_SHARE))
            if disk.subject in self._full:
                limit *= FREED
            full = disk.free < limit
            (self._full.add if full else self._full.discard)(disk.subject)
            text = f"{disk.free >> 20} MiB of {disk.total >> 20} MiB are free"
            yield Said("disk-full", disk.subject, full, text)

    def look_at_clock(self, wall: float, monotonic: float) -> Iterator[Said]:
        """Tell a step of our own clock."""
        before, self._offset = self._offset, wall - monotonic
        if before is not None and abs(self._offset - before) >= STEP_S:
            step_s = self._offset - before
            text = f"it went {'on' if step_s > 0 else 'back'} by {_span(abs(step_s))} at once"
            yield Said("clock-jump", HOST, True, f"{text}: it was set, or the host was asleep")
            yield Said("clock-jump", HOST, False)
            for known in self._sources.values():  # no silence: nobody was awake, or time is counted anew
                known.line_at = wall
                known.profile.blind()

    # ── State ─────────────────────────────────────────────────────────────────────────────────────────────────

    def changes(self) -> dict[tuple[str, str], Row | None]:
        """Give the profiles that changed, as rows for the store."""
        changed: dict[tuple[str, str], Row | None] = {}
        for name, known in self._sources.items():
            if known.profile.changed:
                known.profile.changed = False
                changed[ROW, name] = known.profile.row()
        return changed

    def restore(self, rows: Iterable[tuple[str, str, Mapping[str, Any]]]) -> None:
        """Take stored profiles."""
        self._stored = {key: Profile.of_row(row) for kind, key, row in rows if kind == ROW}


def at_limit(size: int) -> bool:
    """Say whether a file of this size looks as if a limit in megabytes had ended it."""
    return size >= SIZE_STEP and size % SIZE_STEP < SIZE_OVER


def _span(seconds: float) -> str:
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"
