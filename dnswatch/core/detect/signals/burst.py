"""Fact: far more lookups within an hour than this client's own past with the service explains.

Lookups closer than half a minute are one: what is left is counted in slots of five minutes. The count of the last hour
is set against a Poisson rate with a Gamma(½, 1 day) prior learnt from the pair's past, so that a pair that never met
has a rate near zero and not zero. People and jobs come in bursts, which no Poisson process does; where a pair has a
past, its own busiest hours of earlier days must be exceeded too (modified z-score by median and MAD above 3.5).

Never: speaks on the first day of a log. Read next: ``regularity.py``.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

from dnswatch.core.detect.changes import Row, Table
from dnswatch.core.detect.regular import quantile
from dnswatch.core.detect.signal import Past, Signal
from dnswatch.core.model import Finding, Reason, Sighting
from dnswatch.core.policy import DAY_S, Detection

PAIRS = 200_000
"""Pairs remembered; at most some 400 bytes each."""
SLOT_S = 300
SLOTS = 12  # an hour
PEAKS = 21
"""Days whose busiest hour is remembered: research asks for two to three weeks."""
PRIOR_COUNT, PRIOR_DAYS = 0.5, 1.0
"""After one day without a lookup the posterior rate is a quarter of a lookup a day."""
TERMS = 10_000
Z_SCALE = 0.6745  # modified z-score (Iglewicz and Hoaglin)


@dataclass(frozen=True, slots=True)
class Options:
    """Settings."""

    p: float = 1e-4
    """A count less likely than this is no chance."""
    lookups: int = 10
    """A burst has at least so many lookups, half a minute apart."""
    collapse_s: float = 30.0
    z: float = 3.5
    days: int = 1
    """Days of log before anything counts as a burst."""
    expected_days: int = 5
    """Active days of an expected client before a burst of it is a deviation."""


class Pace:
    """How often one client meets one service."""

    __slots__ = ("day", "last_at", "n", "peak", "peaks", "slots", "total")

    def __init__(self, day: int) -> None:
        self.n = 0
        self.day = day
        self.last_at = -math.inf
        self.total = 0
        self.slots: tuple[int, ...] = ()  # slot, lookups in it, and so on: a list of lists took three times as much
        self.peak = 0  # busiest hour of this day
        self.peaks: tuple[int, ...] = ()  # of earlier active days

    def hour(self, slot: int) -> int:
        """Count the lookups of the hour that ends with a slot."""
        slots = self.slots
        if len(slots) == 2:
            return slots[1] if slot - SLOTS < slots[0] <= slot else 0
        return sum(number for one, number in _pairs(slots) if slot - SLOTS < one <= slot)

    def count(self, slot: int) -> None:
        """Count a lookup; the slot it falls into is the last one from now on."""
        slots = self.slots
        if slots and slots[-2] == slot:
            self.slots = (*slots[:-1], slots[-1] + 1)
            return
        kept, here = [], 0
        for one, number in _pairs(slots):
            if one == slot:
                here += number
            elif one > slot - SLOTS:
                kept += [one, number]
        self.slots = (*kept, slot, here + 1)

    def row(self) -> Row:
        """Give the plain form."""
        return {"day": self.day, "last_at": self.last_at, "n": self.n, "peak": self.peak, "peaks": list(self.peaks),
                "slots": [list(one) for one in _pairs(self.slots)], "total": self.total}  # fmt: skip

    @classmethod
    def of_row(cls, row: Row) -> Pace:
        """Take a stored row."""
        pace = cls(row["day"])
        pace.last_at, pace.n, pace.peak, pace.total = row["last_at"], row["n"], row["peak"], row["total"]
        pace.peaks, pace.slots = tuple(row["peaks"]), tuple(number for one in row["slots"] for number in one)
        return pace


class Burst(Signal):
    """An hour like none before."""

    name: ClassVar[str] = "burst"
    options_type = Options
    options: Options
    memory: Table[Pace]
    row_type = Pace

    def __init__(self, detection: Detection) -> None:
        super().__init__(detection)
        self.memory = Table("signal:burst", PAIRS)
        self._day = self._slot = 0  # of the last attempt: its numbers, 32 bytes each, are every pair's of that time

    def judge(self, sighting: Sighting, past: Past) -> Finding | None:
        """Say how unlikely the last hour is, this lookup included."""
        pace = self.memory.rows.get(sighting.pair)
        at, options = sighting.at, self.options
        if pace is None or at < pace.last_at:
            return None
        days = past.learning(at, self.detection.learning_s).day - 1
        if days < options.days:
            return None
        day = int(at // DAY_S)
        peaks = pace.peaks if day <= pace.day else (*pace.peaks, pace.peak)
        if sighting.expected and len(peaks) < options.expected_days:
            return None
        found = pace.hour(int(at // SLOT_S))
        count = found + (at - pace.last_at >= options.collapse_s)
        if count < options.lookups or not _exceeds(count, peaks, options.z):
            return None
        before = pace.total - found
        chance = tail(count, PRIOR_COUNT + before, PRIOR_DAYS + days, 1 / 24)
        if chance >= options.p:
            return None
        chances = "1e-12" if chance < 1e-12 else f"{chance:.0e}"
        what, ever = sighting.service.id, f"{before} in the {days} {'day' if days == 1 else 'days'} before"
        text = f"burst: {count} lookups of {what} in an hour, {ever} (p < {chances})"
        if peaks:
            text += f"; busiest hour of earlier days: {max(peaks)}"
        return self.finding("burst", text)

    def deviate(self, sighting: Sighting, past: Past) -> Finding | None:
        """Say the same of an expected client with some days of habit."""
        found = self.judge(sighting, past)
        return found and Finding(self.name, 0, tuple(Reason(term.term, term.text) for term in found.because))

    def observe(self, sighting: Sighting, past: Past) -> None:
        """Count an attempt."""
        key, at = sighting.pair, sighting.at
        pace = self.memory.rows.get(key)
        if (slot := int(at // SLOT_S)) != self._slot:
            self._slot = slot
        if (day := int(at // DAY_S)) != self._day:
            self._day = day
        day, slot = self._day, self._slot
        if pace is None:  # most clients meet a service once
            pace = Pace(day)
            pace.last_at, pace.slots = at, (slot, 1)
            pace.total = pace.peak = 1
            self.memory.put(key, pace)
            return
        if day > pace.day:
            pace.peaks = (*pace.peaks, pace.peak)[-PEAKS:]
            pace.day, pace.peak = day, 0
            self.memory.put(key, pace)
        if abs(at - pace.last_at) < self.options.collapse_s:
            return
        pace.last_at = max(at, pace.last_at)
        pace.total += 1
        pace.count(slot)
        pace.peak = max(pace.peak, pace.hour(slot))
        self.memory.changed.add(key)


def tail(count: int, shape: float, rate: float, span: float) -> float:
    """Give the chance of ``count`` events or more in a ``span`` when the Poisson rate is Gamma(``shape``, ``rate``).

    The predictive distribution is negative binomial; ``span`` and 1/``rate`` share a unit.
    """
    success = span / (rate + span)
    term = math.exp(shape * math.log1p(-success))
    for i in range(count):
        term *= (shape + i) / (i + 1) * success
    total, i = 0.0, count
    while term > total * 1e-12 and i < count + TERMS:  # from the far side: 1 - (all below) would lose small tails
        total += term
        term *= (shape + i) / (i + 1) * success
        i += 1
    return min(total, 1.0)


def _pairs(flat: Sequence[int]) -> Iterator[tuple[int, int]]:
    return zip(flat[::2], flat[1::2], strict=True)


def _exceeds(count: int, peaks: Sequence[int], limit: float) -> bool:
    """Say whether an hour's count stands out of the busiest hours of earlier days."""
    if not peaks:
        return True
    ordered = sorted(float(peak) for peak in peaks)
    median = quantile(ordered, 0.5)
    deviation = quantile(sorted(abs(peak - median) for peak in ordered), 0.5)
    return Z_SCALE * (count - median) / max(deviation, 1.0, median / 10) > limit
