"""Fact: within a day an expected client meets a service far more often than on any of its days before.

What a client may do hides what somebody does in its name; spread over the day it is no burst. The lookups of the last
24 hours are set against the client's own active days with the service: above three times their median, above their
busiest one, and a modified z-score above 3.5 by median and MAD, where no habit counts as steadier than a Poisson
process is. Days without a lookup do not count, so a weekly job is held against its weeks. The day enters the history
as it was: who does more from now on is told of once.

Never: judges clients that may not use the service (there ``burst`` and ``regularity`` do), compares groups.
Read next: ``burst.py``.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from dnswatch.core.detect.changes import Row, Table
from dnswatch.core.detect.regular import quantile
from dnswatch.core.detect.signal import Past, Signal
from dnswatch.core.model import Finding, Service, Sighting
from dnswatch.core.policy import Detection

PAIRS = 50_000
"""Expected pairs remembered; at most some 400 bytes each. A network expects hundreds, a group's clients included."""
HOUR_S = 3600
HOURS = 24
DAYS = 28
"""Active days remembered: the end of the last month is among them."""
REFRESH_HOURS = 24
Z_SCALE = 0.6745  # modified z-score (Iglewicz and Hoaglin); also the MAD of a normal distribution, in deviations
MOST_NARROW = 255
"""Lookups an hour that fit into a byte: 24 hours take 57 bytes so, and 160 in an array of four bytes each."""
NO_HOURS = bytes(HOURS)
NEVER = 1 << 62


@dataclass(frozen=True, slots=True)
class Options:
    """Settings."""

    times: float = 3.0
    """So many times the lookups of the median day."""
    lookups: int = 10
    """Fewer lookups in 24 hours are no volume."""
    z: float = 3.5
    days: int = 5
    """Active days before anything is too much."""


class Load:
    """How often one client met one service: the last 24 hours one by one, earlier active days as totals."""

    __slots__ = ("days", "hour", "hours", "limit", "n", "today")

    def __init__(self, hour: int) -> None:
        self.n = 0
        self.hour = hour  # the newest one, counted from the epoch
        self.hours: bytes | array[int] = NO_HOURS  # by hour of the day (UTC); an array once one does not fit
        self.today = 0  # since midnight UTC
        self.days: tuple[int, ...] = ()  # a tuple: what is empty costs nothing
        self.limit = 0  # lookups in 24 hours that are too many; 0: to be worked out

    def before(self, hour: int) -> tuple[int, ...]:
        """Give the active days before the day of an hour that is not over yet."""
        if self.today and hour // HOURS > self.hour // HOURS:
            return (*self.days, self.today)[-DAYS:]
        return self.days

    def count(self, hour: int) -> int:
        """Count the lookups of the 24 hours that end with an hour that is not over yet."""
        if hour == self.hour:
            return sum(self.hours)
        return sum([self.hours[one % HOURS] for one in range(hour - HOURS + 1, self.hour + 1)])

    def add(self, hour: int) -> None:
        """Count a lookup of one of the last 24 hours."""
        place, hours = hour % HOURS, self.hours
        if isinstance(hours, bytes):
            if hours[place] < MOST_NARROW:
                counts = bytearray(hours)
                counts[place] += 1
                self.hours = bytes(counts)
                return
            hours = self.hours = array("I", list(hours))
        hours[place] += 1

    def pass_to(self, hour: int) -> None:
        """Forget the hours that are over 24 hours ago by then."""
        over = {one % HOURS for one in range(self.hour + 1, min(hour, self.hour + HOURS) + 1)}
        self.hours = _packed([0 if place in over else count for place, count in enumerate(self.hours)])
        if hour // HOURS > self.hour // HOURS:
            self.days, self.today, self.limit = self.before(hour), 0, 0
        self.hour = hour

    def row(self) -> Row:
        """Give the plain form."""
        return {"n": self.n, "hour": self.hour, "hours": list(self.hours), "today": self.today,
                "days": list(self.days)}  # fmt: skip

    @classmethod
    def of_row(cls, row: Row) -> Load:
        """Take a stored row."""
        load = cls(row["hour"])
        load.n, load.today, load.days = row["n"], row["today"], tuple(row["days"])
        load.hours = _packed(row["hours"])
        return load


class Volume(Signal):
    """A day like none before."""

    name: ClassVar[str] = "volume"
    options_type = Options
    options: Options
    memory: Table[Load]
    row_type = Load

    def __init__(self, detection: Detection) -> None:
        self.memory = Table("signal:volume", PAIRS)  # before `configure`, which goes over it
        self._hour = 0
        super().__init__(detection)

    def configure(self, detection: Detection) -> None:
        """Take settings; every limit is worked out anew."""
        super().configure(detection)
        for load in self.memory.rows.values():
            load.limit = 0

    def concerns(self, service: Service) -> bool:
        """Stay out of unexpected attempts."""
        return False

    def judge(self, sighting: Sighting, past: Past) -> Finding | None:
        """Say nothing: who may not use the service is judged by other facts."""
        return None

    def deviate(self, sighting: Sighting, past: Past) -> Finding | None:
        """Say that the last 24 hours, this lookup included, are too much."""
        load = self.memory.rows.get(sighting.pair)
        hour = int(sighting.at) // HOUR_S
        if load is None or hour < load.hour:
            return None
        days, count = load.before(hour), load.count(hour) + 1
        if count < self.options.lookups or len(days) < self.options.days:
            return None
        if days is not load.days:  # the first lookup of a day
            limit = self._limit(days)
        else:
            limit = load.limit = load.limit or self._limit(days)
        if count < limit:
            return None
        median, busiest = quantile(sorted(map(float, days)), 0.5), max(days)
        text = (f"volume: {count} lookups of {sighting.service.id} in 24 h; the median of {len(days)} earlier days "
                f"is {median:g}, the busiest had {busiest}")  # fmt: skip
        return self.finding("volume", text)

    def _limit(self, days: Sequence[int]) -> int:
        """Give the least number of lookups in 24 hours that is too many after such days."""
        if len(days) < self.options.days or not days:
            return NEVER
        ordered = sorted(map(float, days))
        median = quantile(ordered, 0.5)
        deviation = quantile(sorted(abs(day - median) for day in ordered), 0.5)
        steady = max(1.0, Z_SCALE * math.sqrt(median))  # counts of chance scatter by the root of their mean
        apart = median + self.options.z * max(deviation, steady) / Z_SCALE
        return max(self.options.lookups, math.ceil(self.options.times * median), int(apart) + 1, max(days) + 1)

    def remembers(self, service: Service, expected: bool) -> bool:
        """Count expected attempts."""
        return expected

    def observe(self, sighting: Sighting, past: Past) -> None:
        """Count an expected attempt."""
        key, hour = sighting.pair, int(sighting.at) // HOUR_S
        if hour == self._hour:
            hour = self._hour  # the very number that other pairs of this hour have: 32 bytes each otherwise
        else:
            self._hour = hour
        load = self.memory.rows.get(key)
        if load is None:
            load = Load(hour)
            self.memory.put(key, load)
        elif hour > load.hour:
            stale = hour - load.hour >= REFRESH_HOURS
            load.pass_to(hour)
            if stale:
                self.memory.put(key, load)
        elif hour <= load.hour - HOURS:
            return  # a line that late changes no day any more
        load.add(hour)
        load.today += hour // HOURS == load.hour // HOURS
        self.memory.changed.add(key)


def _packed(hours: Sequence[int]) -> bytes | array[int]:
    return bytes(hours) if max(hours) <= MOST_NARROW else array("I", hours)
