"""Habits of a client over one to two weeks, and what they are like: a machine nobody sits at, or a person's.

Told from sampled lines, about one in 57, so it takes some days; no time zone is needed, for a person's day has a quiet
stretch wherever it lies. Never: decides on few samples (``""`` is an answer), sees names. Read next: ``roles.py``.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

BITS = 256
"""Size of the bitmap that counts distinct domains (linear counting: within 10 % up to some 800)."""
DAYS = 3
"""Fewer active days than this are no habit."""
SAMPLES = 20
"""Fewer samples than this show no rhythm: of 20 round the clock, fewer than 1 in 100 leave eight hours of it empty."""
QUIET_HOURS = 8
"""Without lookups for so long each day: somebody sleeps. Workdays leave 12 to 15 hours, long evenings about 8."""
SERVER_DOMAINS = 20
"""Programs ask for the same few domains: updates, time, mail and whom they serve."""
HUMAN_DOMAINS = 30
"""Browsing shows more domains than any one program of the networks that were measured asked for."""
HTTPS_SHARE = 0.1
"""Browsers that send type HTTPS send it for a third of their lookups and more; a machine sends none (measured)."""


class Habit(NamedTuple):
    """What some active days show together."""

    days: int = 0
    samples: int = 0
    https: int = 0  # of type HTTPS among them
    hours: int = 0  # bitmap of the hours of the day (UTC)
    bits: int = 0  # bitmap of domains
    apps: int = 0  # days with a name that only apps and browsers ask for

    @property
    def domains(self) -> int:
        """Estimate how many domains were asked for."""
        return distinct(self.bits)

    @property
    def quiet(self) -> int:
        """Give the longest stretch of the day without a lookup, in hours."""
        run = longest = 0
        for hour in range(48):  # twice round, for a night that spans midnight
            run = 0 if self.hours >> hour % 24 & 1 else run + 1
            longest = max(longest, run)
        return min(longest, 24)

    @property
    def like(self) -> str:
        """Say what it is like: ``server``, ``human`` or ""."""
        if self.days < DAYS or self.samples < SAMPLES:
            return ""
        domains, sleeps = self.domains, self.quiet >= QUIET_HOURS
        if not (sleeps or self.https or self.apps) and domains <= min(SERVER_DOMAINS, self.samples // 2):
            return "server"
        browses = self.https >= HTTPS_SHARE * self.samples
        return "human" if domains >= HUMAN_DOMAINS and (sleeps or browses) else ""

    def __str__(self) -> str:
        """Tell the numbers."""
        https = f"{self.https} of type HTTPS" if self.https else "none of type HTTPS"
        rhythm = f"quiet for {self.quiet} h a day" if self.quiet >= QUIET_HOURS else "round the clock"
        apps = f", apps or a browser on {self.apps}" if self.apps else ""
        return f"{self.samples} sampled lookups on {self.days} days{apps}: {self.domains} domains, {https}, {rhythm}"

    def row(self) -> list[Any]:
        """Give the plain form."""
        return [*self[:4], f"{self.bits:x}", self.apps] if self.days else []

    @classmethod
    def of_row(cls, row: list[Any] | None) -> Habit:
        """Take a stored row."""
        if not row:
            return NO_HABIT
        days, samples, https, hours, bits, apps = row
        return cls(days, samples, https, hours, int(bits, 16), apps)


NO_HABIT = Habit()


def joined(one: Habit, other: Habit) -> Habit:
    """Give the habits of the days of both."""
    if not one.days or not other.days:
        return one if one.days else other
    return Habit(
        one.days + other.days, one.samples + other.samples, one.https + other.https, one.hours | other.hours,
        one.bits | other.bits, one.apps + other.apps,
    )  # fmt: skip


def distinct(bits: int) -> int:
    """Estimate how many domains set these bits (linear counting)."""
    free = BITS - bits.bit_count()
    return round(-BITS * math.log(max(free, 1) / BITS))
