"""What a client is, told from how it behaves: asks for many others, resolves whatever it reads, browses, never sleeps.

Fed with sampled lines and with watched lookups; only whole days that are over speak, so nothing that a client does
today excuses what it does today. Never: keeps names (a bitmap counts them), grows without bound, overrules the roles
that an operator configured. Read next: ``habits.py``.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from dnswatch.core.clients.habits import BITS, NO_HABIT, Habit, distinct, joined
from dnswatch.core.detect.changes import Row, Table

DAY_S = 86400
CLIENTS = 100_000
"""Clients remembered; about 300 bytes each, 600 after some days of samples."""
BUSY_SERVICES = 12
"""So many watched services on one day: nobody who works or steals needs that many (the widest rotation seen in an
infection had 11 names of one kind), a mail gateway or sandbox that resolves every link does."""
BUSY_DAYS = 2
BUSY_FOR_DAYS = 7
SEVERAL, BROAD_DAYS = 3, 3
"""What reads less is known later: so many watched services on so many days of those, `BUSY_SERVICES` different ones in
all. People who follow links meet as many in months."""
CROWD_TIMES = 8
"""A client that is sampled so many times as often as the average other one speaks for a crowd (NAT, forwarder)."""
CROWD_SAMPLES = 40
CROWD_DOMAINS = 60
HTTPS_TYPES = frozenset({"HTTPS", "TYPE65", "type=65"})
STRETCH_DAYS = 7
"""Active days that make one stretch of habits; the last whole stretch and the one that grows speak together."""
FORGET_DAYS = 14
"""After so long a silence an address may be somebody else's."""
TOLD = 10_000
"""Clients whose behaviour is kept as it was worked out, some 200 bytes each; emptied when full."""
NO_DAY = (0, 0, 0)


@dataclass(frozen=True, slots=True)
class Behaviour:
    """What the days before say of a client."""

    crowd: bool = False  # NAT or forwarder: many people behind one address
    scanner: bool = False  # resolves every name it meets: mail gateway, sandbox, enrichment
    samples: int = 0  # sampled lookups of its last whole day
    https: int = 0  # how many of those asked for type HTTPS
    habit: Habit = NO_HABIT  # of one to two weeks

    @property
    def like(self) -> str:
        """Say what it behaves like: ``server``, ``human``, or "" where too little shows or many are behind it."""
        return "" if self.crowd or self.scanner else self.habit.like


UNKNOWN = Behaviour()


class Activity:
    """One client: the day at hand, the last whole day on which it was active, and its habits before today."""

    __slots__ = ("apps", "before", "bits", "broad", "busy", "day", "grows", "hours", "https", "lately", "n", "samples",
                 "services", "since", "stretch")  # fmt: skip

    def __init__(self, day: int, since: float = 0.0) -> None:
        self.n = 0
        self.day = day
        self.since = since  # when it was seen first, as far as is remembered
        self.samples = self.https = self.bits = self.hours = self.apps = 0
        self.services: tuple[str, ...] = ()  # tuples: what is empty costs nothing
        self.before = NO_DAY  # samples, HTTPS among them, distinct domains
        self.busy: tuple[int, ...] = ()  # last days with many services
        self.broad: tuple[int, ...] = ()  # last days with several
        self.lately: tuple[tuple[str, int], ...] = ()  # the services of those, and the last such day of each
        self.stretch = self.grows = NO_HABIT  # the last whole stretch, and the days since

    def roll(self, day: int) -> None:
        """Begin another day."""
        self.before, (self.busy, self.broad, self.lately) = self.whole(day), self.services_before(day)
        if day - self.day > FORGET_DAYS:
            self.stretch = self.grows = NO_HABIT
        elif self.samples:
            self.grows = joined(self.grows, self._today())
            if self.grows.days >= STRETCH_DAYS:
                self.stretch, self.grows = self.grows, NO_HABIT
        self.day = day
        self.samples = self.https = self.bits = self.hours = self.apps = 0
        self.services = ()

    def whole(self, day: int) -> tuple[int, int, int]:
        """Give what the last whole day before ``day`` says."""
        if day <= self.day:
            return self.before
        return (self.samples, self.https, distinct(self.bits)) if self.samples else NO_DAY

    def services_before(self, day: int) -> tuple[tuple[int, ...], tuple[int, ...], tuple[tuple[str, int], ...]]:
        """Give the days with many services before ``day``, those with several, and what was met on them."""
        if day <= self.day or len(self.services) < SEVERAL:
            return self.busy, self.broad, self.lately
        busy = (*self.busy, self.day)[-BUSY_DAYS:] if len(self.services) >= BUSY_SERVICES else self.busy
        others = [one for one in self.lately if one[0] not in self.services]
        lately = [*others, *((service, self.day) for service in self.services)][-BUSY_SERVICES:]
        return busy, (*self.broad, self.day)[-BROAD_DAYS:], tuple(lately)

    def scans(self, day: int) -> bool:
        """Say whether it resolves whatever it reads: many services on two days of a week, or several on three."""
        if not (self.busy or self.broad) and (day <= self.day or len(self.services) < SEVERAL):
            return False  # nearly everybody
        busy, broad, lately = self.services_before(day)
        since = day - BUSY_FOR_DAYS
        if len(busy) == BUSY_DAYS and busy[0] >= since:
            return True
        many = len(lately) == BUSY_SERVICES and min(one[1] for one in lately) >= since
        return many and len(broad) == BROAD_DAYS and broad[0] >= since

    def habit(self, day: int) -> Habit:
        """Give the habits of the whole days before ``day``."""
        if day - self.day > FORGET_DAYS:
            return NO_HABIT
        found = joined(self.stretch, self.grows)
        return joined(found, self._today()) if day > self.day and self.samples else found

    def _today(self) -> Habit:
        return Habit(1, self.samples, self.https, self.hours, self.bits, self.apps)

    def row(self) -> Row:
        """Give the plain form."""
        return {
            "n": self.n, "day": self.day, "samples": self.samples, "https": self.https, "bits": f"{self.bits:x}",
            "services": list(self.services), "before": list(self.before), "busy": list(self.busy),
            "broad": list(self.broad), "lately": [list(one) for one in self.lately],
            "hours": self.hours, "apps": self.apps, "stretch": self.stretch.row(), "grows": self.grows.row(),
            "since": self.since,
        }  # fmt: skip

    @classmethod
    def of_row(cls, row: Row) -> Activity:
        """Take a stored row; one of before habits were kept has none."""
        activity = cls(row["day"], row.get("since", 0.0))
        activity.n, activity.samples, activity.https = row["n"], row["samples"], row["https"]
        activity.bits, activity.services = int(row["bits"], 16), tuple(row["services"])
        activity.hours, activity.apps = row.get("hours", 0), row.get("apps", 0)
        samples, https, domains = row["before"]
        activity.before, activity.busy = (samples, https, domains), tuple(row["busy"])
        activity.broad = tuple(row.get("broad", ()))
        activity.lately = tuple((service, day) for service, day in row.get("lately", ()))
        activity.stretch, activity.grows = Habit.of_row(row.get("stretch")), Habit.of_row(row.get("grows"))
        return activity


class Day:
    """All clients together: how many were active, today and on the day before."""

    __slots__ = ("before", "clients", "day", "n", "samples")

    def __init__(self, day: int, clients: int = 0, samples: int = 0, before: tuple[int, int] = (0, 0)) -> None:
        self.n = 0
        self.day = day
        self.clients = clients
        self.samples = samples
        self.before = before  # clients and samples of the last whole day

    def row(self) -> Row:
        """Give the plain form."""
        return {"n": self.n, "day": self.day, "clients": self.clients, "samples": self.samples,
                "before": list(self.before)}  # fmt: skip


@lru_cache(maxsize=4_096)
def _bit(qname: str) -> int:
    """Give the bit of a name's last two labels. Names repeat: half of the lookups of a network are for some hundred."""
    domain = qname[qname.rfind(".", 0, max(qname.rfind("."), 0)) + 1 :]
    return zlib.crc32(domain.encode("ascii", "backslashreplace")) % BITS


class Roles:
    """Every client's activity, by address."""

    def __init__(self) -> None:
        self.clients: Table[Activity] = Table("activity", CLIENTS, self._forget)
        self.days: Table[Day] = Table("activity-day", 1)
        # By address: day and what the days before it say. Signals ask several times about one lookup, and of most
        # clients it is the same all day.
        self._told: dict[str, tuple[int, Behaviour]] = {}

    # ── Writing ───────────────────────────────────────────────────────────────────────────────────────────────

    def saw(self, address: str, at: float) -> Activity:
        """Note that a client is active."""
        day = int(at // DAY_S)
        activity = self.clients.rows.get(address)
        if activity is not None and day <= activity.day:
            return activity
        told = self._told.get(address)
        if told is not None and (told[0] != day or told[1] is not UNKNOWN):
            del self._told[address]  # a day that ends says more; where nothing is known it says nothing more
        if activity is None:
            activity = Activity(day, at)
        else:
            activity.roll(day)
        self.clients.put(address, activity)
        self._network(day).clients += 1
        return activity

    def sampled(self, address: str, at: float, qname: str, qtype: str) -> None:
        """Count a sampled lookup."""
        activity = self.saw(address, at)
        self._told.pop(address, None)
        activity.samples += 1
        activity.https += qtype in HTTPS_TYPES
        activity.hours |= 1 << int(at % DAY_S // 3600)
        activity.bits |= 1 << _bit(qname)
        self._network(activity.day).samples += 1
        self.clients.changed.add(address)

    def met(self, address: str, at: float, service: str) -> None:
        """Note that a client met a watched service."""
        activity = self.saw(address, at)
        if service not in activity.services and len(activity.services) < BUSY_SERVICES:
            activity.services += (service,)
            told = self._told.get(address)
            if told is not None and told[0] > activity.day:
                del self._told[address]
            self.clients.changed.add(address)

    def browsed(self, address: str, at: float) -> None:
        """Note that a client asked for a name that only people's programs ask for: an app's, a browser's."""
        activity = self.saw(address, at)
        if not activity.apps:
            activity.apps = 1
            self._told.pop(address, None)
            self.clients.changed.add(address)

    def _network(self, day: int) -> Day:
        today = self.days.rows.get("")
        if today is None:
            today = Day(day)
            self.days.put("", today)
        elif day > today.day:
            today.before = (today.clients, today.samples)
            today.day, today.clients, today.samples = day, 0, 0
            self._told.clear()
        self.days.changed.add("")
        return today

    # ── Reading ───────────────────────────────────────────────────────────────────────────────────────────────

    def active(self, at: float) -> int:
        """Give how many clients a day has: those seen today, or on the last whole day if that is more."""
        today = self.days.rows.get("")
        if today is None:
            return 0
        return max(today.clients, today.before[0]) if int(at // DAY_S) <= today.day else today.clients

    def behaviour(self, address: str, at: float) -> Behaviour:
        """Give what a client's whole days before ``at`` say of it."""
        day = int(at // DAY_S)
        told = self._told.get(address)
        if told is not None and told[0] == day:
            return told[1]
        activity, today = self.clients.rows.get(address), self.days.rows.get("")
        if activity is None or today is None:
            return UNKNOWN
        behaviour = self._behaviour(activity, today, day)
        if day <= today.day:  # else each sample of anybody changes what the day before it was like
            if len(self._told) >= TOLD:
                self._told.clear()
            self._told[address] = (day, behaviour)
        return behaviour

    def _behaviour(self, activity: Activity, today: Day, day: int) -> Behaviour:
        samples, https, domains = activity.whole(day)
        clients, total = today.before if day <= today.day else (today.clients, today.samples)
        others = max(total - samples, 0) / max(clients - 1, 1)
        crowd = samples >= CROWD_SAMPLES and domains >= CROWD_DOMAINS and samples >= CROWD_TIMES * others
        scanner, habit = activity.scans(day), activity.habit(day)
        if not (samples or scanner or habit.days):
            return UNKNOWN
        return Behaviour(crowd, scanner, samples, https, habit)

    def _forget(self, address: str, activity: Activity) -> None:
        """Say no more of a client that had to go."""
        self._told.pop(address, None)

    # ── State ─────────────────────────────────────────────────────────────────────────────────────────────────

    def restore(self, kind: str, rows: Iterable[tuple[str, Row]]) -> bool:
        """Take stored rows of one kind; False when the kind is not one of ours."""
        self._told.clear()
        if kind == self.clients.kind:
            self.clients.restore([(key, Activity.of_row(row)) for key, row in rows])
        elif kind == self.days.kind:
            self.days.restore([(key, Day(r["day"], r["clients"], r["samples"], tuple(r["before"]))) for key, r in rows])
        else:
            return False
        return True
