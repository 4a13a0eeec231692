"""Does what comes still parse? Each log's lines are judged against what is usual for that log.

What a sampled line can be is said in ``core/logs/telling.py``. How many are *other* (dnsmasq's ``forwarded``, BIND's
resolver category) or *foreign* differs from log to log and from hour to hour, so their share says nothing; that none
tells anything any more, while many come, does. Never: reads a line or a clock. Read next: ``monitor.py``.

Told are: a share of unreadable lines that is far above the usual; lines of nobody whom we know, where such were rare,
and none that tells anything; many lines of whichever kind of which none does, although many usually do; a log that
never had a sensible share.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from dnswatch.core.health.profile import Profile
from dnswatch.core.logs.telling import Counts

Describe = Callable[[bool], str]
"""Gives what to say of the newest lines: of the unreadable ones, or of the others."""
SAMPLES = 40
"""Lines that are judged together: one bad among them is 2.5 %."""
DROPPED, RECOVERED = 0.7, 0.9
"""Parse ratio, relative to the usual one, at which it has dropped, and at which it is well again."""
SENSIBLE = 0.5
"""Before anything is usual: a log of whose lines fewer parse was never read rightly."""
RISE, FALL = 0.3, 0.01
"""How fast the usual ratio follows: what got better counts soon, what gets worse bit by bit does not become usual."""
LASTS_S = 30.0
"""A drop is told when it has lasted so long: a stack trace, a scanner's damaged names, a server's start are shorter."""
WELL = 10
"""Readable lines in a row after which it is over."""
BARREN = 10.0
"""So many of the lines should have told something, and none did: by chance that is one in 20 000 (Poisson) …"""
BARREN_OTHER = 300.0
"""… and this many, where the lines are the server's own or another program's: of those there may be many at times (a
start, zone maintenance, a scanner at the door), and some through a night in which nobody asks."""
GAPS, OTHER_GAPS = 15.0, 100.0
"""… and for at least so many of the usual gaps between lines that do. Looks are two seconds apart, so no gap is less:
half a minute, and three minutes."""
DEDICATED, KEPT = 0.005, 0.99
"""A log with a smaller share of foreign, or of unknown, lines has none to speak of. One in a judged window marks it for
the next 160 windows."""


class Parsing:
    """What is known of the lines of one log; judges each look."""

    def __init__(self, profile: Profile, now: float) -> None:
        self._profile = profile
        self._seen = Counts()
        self._window = Counts()  # what is judged next
        self._well = False  # that it is well was said
        self._dropped: tuple[float, float] | None = None  # since when too many are unreadable, and the ratio
        self._told_at = now  # when the last line came that told something
        self._barren = Counts()  # what came since
        self._barren_at = now  # when that began
        self._gap_s = 0.0  # usual time between looks that found lines that tell
        self._came = False

    def look(self, seen: Counts, describe: Describe, stopped: bool, now: float) -> Iterator[tuple[bool, str]]:
        """Judge: (does it hold, text). ``stopped``: the server has started anew and logged no lookup since."""
        new, self._seen = seen.since(self._seen), seen
        if new.good:
            if self._came:
                self._gap_s += (now - self._told_at - self._gap_s) * 0.1
            self._told_at, self._came, self._barren = now, True, Counts()
        elif any(new):
            self._barren_at = self._barren_at if any(self._barren) else now
            self._barren = self._barren.plus(new)
        self._window = self._window.plus(new)
        if why := self._nothing(stopped, now):
            self._well, self._window, self._dropped = False, Counts(), None
            yield True, why + describe(self._barren.bad > 0)
            return
        window = self._window
        least, well = self._limits()
        if window.good + window.bad >= SAMPLES:
            self._window = Counts()
            if window.ratio < least:
                self._dropped = now if self._dropped is None else self._dropped[0], window.ratio
                self._well, window = False, Counts()
            else:
                self._dropped = None
                self._learn(window)
        mends = window.good >= WELL and window.ratio >= least
        if self._dropped is not None and now - self._dropped[0] >= LASTS_S and not mends:
            yield True, self._too_many(self._dropped[1]) + describe(True)
        elif not self._well and window.good >= WELL and window.ratio >= well:
            self._well, self._dropped = True, None
            yield False, "its lines parse again"

    def _nothing(self, stopped: bool, now: float) -> str:
        """Say of how many lines none told anything, if that is strange; else nothing."""
        usual, tells, barren, quiet_s = self._profile.parsed, self._profile.tells, self._barren, now - self._told_at
        if usual is None or tells is None or now - self._barren_at < LASTS_S:
            return ""
        strange = barren.bad + (barren.unknown if self._profile.unknown < DEDICATED else 0)
        if strange * usual >= BARREN and quiet_s >= GAPS * self._gap_s:
            return f"none of the last {strange} sampled lines parses, {usual:.0%} are usual"
        many = barren.bad + barren.unknown + barren.other
        many += barren.foreign if self._profile.foreign < DEDICATED else 0
        if many * tells < BARREN_OTHER or stopped or quiet_s < OTHER_GAPS * self._gap_s:
            return ""
        return f"none of the last {many} sampled lines tells a lookup or an answer, {tells:.0%} usually do"

    def _too_many(self, ratio: float) -> str:
        if (usual := self._profile.parsed) is None:
            return f"{ratio:.0%} of the sampled lines parse, more were never seen"
        return f"{ratio:.0%} of the sampled lines parse, {usual:.0%} are usual"

    def _limits(self) -> tuple[float, float]:
        """Give the ratio below which too many are unreadable, and the one from which on all is well."""
        usual = self._profile.parsed
        return (SENSIBLE, SENSIBLE) if usual is None else (usual * DROPPED, usual * RECOVERED)

    def _learn(self, window: Counts) -> None:
        """Let what was seen become usual."""
        profile = self._profile
        profile.changed |= profile.parsed is None or profile.tells is None
        profile.parsed = _towards(profile.parsed, window.ratio)
        profile.tells = _towards(profile.tells, window.good / (sum(window) - window.foreign))
        profile.foreign = round(max(window.foreign / sum(window), profile.foreign * KEPT), 4)
        profile.unknown = round(max(window.unknown / sum(window), profile.unknown * KEPT), 4)


def _towards(usual: float | None, seen: float) -> float:
    return round(seen if usual is None else usual + (seen - usual) * (RISE if seen > usual else FALL), 4)
