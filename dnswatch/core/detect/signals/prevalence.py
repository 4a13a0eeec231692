"""Fact: hardly any client here uses the service unless it is expected to (or every second client does).

Clients of the service per day over all clients that were active that day, as sampled lines and watched lookups show
them. Rare leaves out the expected ones, for what build machines may do says nothing of a desk; it counts after learning
and only where there are enough clients to be rare among. It asks what was usual until three days ago: an outbreak that
hits a tenth of the network does not make itself usual. Common counts whole days only, for the same reason.

Never: a statement on small networks; there ``first_seen.py`` speaks. Read next: ``first_seen.py``.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from dnswatch.core.detect.changes import Row, Table
from dnswatch.core.detect.regular import quantile
from dnswatch.core.detect.signal import Past, Signal
from dnswatch.core.model import Finding, Sighting
from dnswatch.core.policy import DAY_S, Detection

SERVICES = 5_000
DAYS = 14
"""Days of a service's use that are remembered; what is usual is the median of those on which it was used."""
LAG_DAYS = 3
"""The last days do not count as usual yet: so long an outbreak stays news."""
NOT_TOLD = (-1, 0.0)


@dataclass(frozen=True, slots=True)
class Options:
    """Settings; the two shares are RITA's."""

    rare: float = 0.02
    few: int = 5
    """So few unexpected clients a day are rare on any network that is large enough at all."""
    common: float = 0.5
    clients: int = 50
    """Fewer active clients a day than this: one of them is no longer rare."""
    users: int = 10
    """Fewer clients of the service than this do not make it common."""


class Users:
    """How many clients met one service: today, on the last day before that it was met, and unexpected ones by day."""

    __slots__ = ("before", "before_day", "day", "n", "today", "told", "unexpected")

    def __init__(
        self, day: int, today: int = 0, before_day: int = 0, before: int = 0, unexpected: Iterable[list[int]] = (),
        n: int = 0,
    ) -> None:  # fmt: skip
        self.n = n
        self.day = day
        self.today = today
        self.before_day = before_day
        self.before = before
        self.unexpected = [list(one) for one in unexpected]  # day, clients; in order
        self.told = NOT_TOLD  # the day that was asked for last, and what was usual then

    def on(self, day: int) -> int:
        """Give the clients of a day, expected or not."""
        return self.today if day == self.day else self.before if day == self.before_day else 0

    def add(self, day: int, expected: bool) -> None:
        """Count a client that had not met the service on this day."""
        if day > self.day:
            self.before_day, self.before, self.day, self.today = self.day, self.today, day, 0
        self.today += 1
        if expected:
            return
        if not self.unexpected or self.unexpected[-1][0] < day:
            self.unexpected = [one for one in self.unexpected if one[0] >= day - DAYS] + [[day, 0]]
            self.told = NOT_TOLD
        elif self.unexpected[-1][0] < self.told[0] - LAG_DAYS:  # else it is too late a day to be usual yet
            self.told = NOT_TOLD
        self.unexpected[-1][1] += 1

    def usual(self, day: int) -> float:
        """Give how many unexpected clients a day had, of the days until `LAG_DAYS` ago that had any."""
        if day != self.told[0]:
            counts = sorted(float(count) for one, count in self.unexpected if day - DAYS <= one < day - LAG_DAYS)
            self.told = (day, quantile(counts, 0.5) if counts else 0.0)
        return self.told[1]

    def lately(self, day: int) -> int:
        """Give the unexpected clients of the busier of this day and the one before."""
        return max((count for one, count in self.unexpected if one >= day - 1), default=0)

    def row(self) -> Row:
        """Give the plain form."""
        return {"n": self.n, "day": self.day, "today": self.today, "before_day": self.before_day,
                "before": self.before, "unexpected": [list(one) for one in self.unexpected]}  # fmt: skip

    @classmethod
    def of_row(cls, row: Row) -> Users:
        """Take a stored row."""
        unexpected = row.get("unexpected", ())
        return cls(row["day"], row["today"], row["before_day"], row["before"], unexpected, row["n"])


class Prevalence(Signal):
    """The share of clients that use a service."""

    name: ClassVar[str] = "prevalence"
    options_type = Options
    options: Options
    memory: Table[Users]
    row_type = Users

    def __init__(self, detection: Detection) -> None:
        super().__init__(detection)
        self.memory = Table("signal:prevalence", SERVICES)

    def judge(self, sighting: Sighting, past: Past) -> Finding | None:
        """Say how many clients use the service."""
        at, service, options = sighting.at, sighting.service.id, self.options
        active = past.active(at)
        if active < options.clients:
            return None
        day, users = int(at // DAY_S), self.memory.rows.get(service)
        before = users.on(day - 1) if users is not None else 0
        if before >= options.users and before >= options.common * active:
            text = f"common: {before} of {active} clients met {service} the day before"
            return self.finding("prevalence-high", text, fact=False)
        learning = past.learning(at, self.detection.learning_s)
        if learning.active:
            return None
        if learning.day > LAG_DAYS + 1:
            usual, when = users.usual(day) if users is not None else 0.0, "usually"
        else:  # a log so young has no usual days
            usual, when = float(max(users.lately(day) if users is not None else 0, 1)), "so far"
        if usual > max(options.rare * active, options.few):
            return None
        text = f"rare: {when} {usual:.0f} of {active} active clients a day meet {service} without being expected to"
        return self.finding("prevalence-low", text)

    def observe(self, sighting: Sighting, past: Past) -> None:
        """Count a client once a day."""
        if not self._first_today(sighting, past):
            return
        day, service = int(sighting.at // DAY_S), sighting.service.id
        users = self.memory.rows.get(service) or Users(day)
        scans = sighting.client.role == "scanner" or past.behaviour(sighting.client.address, sighting.at).scanner
        fresh = users.day < day or not users.today
        users.add(day, sighting.expected or scans)  # what a mail gateway resolves is nobody's use
        if fresh:
            self.memory.put(service, users)
        else:
            self.memory.changed.add(service)

    def _first_today(self, sighting: Sighting, past: Past) -> bool:
        seen = past.client(sighting.pair)
        return seen is None or int(seen.last_at // DAY_S) < int(sighting.at // DAY_S)
