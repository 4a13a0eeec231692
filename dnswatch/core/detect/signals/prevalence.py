"""Fact: hardly any client here uses the service (or, on the other hand, every second one does).

Clients of the service per day over all clients that were active that day, as sampled lines and watched lookups show
them. Rare counts after learning and only where there are enough clients to be rare among; common counts from whole
days only, so that an outbreak does not excuse itself on the day it happens.

Never: a statement on small networks; there ``first_seen.py`` speaks. Read next: ``first_seen.py``.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from dnswatch.core.detect.changes import Row, Table
from dnswatch.core.detect.signal import Past, Signal
from dnswatch.core.model import Finding, Sighting
from dnswatch.core.policy import DAY_S, Detection

SERVICES = 5_000


@dataclass(frozen=True, slots=True)
class Options:
    """Settings; the two shares are RITA's."""

    rare: float = 0.02
    common: float = 0.5
    clients: int = 50
    """Fewer active clients a day than this: one of them is no longer rare."""
    users: int = 10
    """Fewer clients of the service than this do not make it common."""


class Users:
    """How many clients met one service, today and on the last day before that it was met."""

    __slots__ = ("before", "before_day", "day", "n", "today")

    def __init__(self, day: int, today: int = 0, before_day: int = 0, before: int = 0, n: int = 0) -> None:
        self.n = n
        self.day = day
        self.today = today
        self.before_day = before_day
        self.before = before

    def on(self, day: int) -> int:
        """Give the clients of a day."""
        return self.today if day == self.day else self.before if day == self.before_day else 0

    def row(self) -> Row:
        """Give the plain form."""
        return {"n": self.n, "day": self.day, "today": self.today, "before_day": self.before_day, "before": self.before}


class Prevalence(Signal):
    """The share of clients that use a service."""

    name: ClassVar[str] = "prevalence"
    options_type = Options
    options: Options

    def __init__(self, detection: Detection) -> None:
        super().__init__(detection)
        self._users: Table[Users] = Table("prevalence", SERVICES)

    def judge(self, sighting: Sighting, past: Past) -> Finding | None:
        """Say how many clients use the service."""
        at, service, options = sighting.at, sighting.service.id, self.options
        active = past.active(at)
        if active < options.clients:
            return None
        day, users = int(at // DAY_S), self._users.rows.get(service)
        today, before = (users.on(day), users.on(day - 1)) if users is not None else (0, 0)
        if before >= options.users and before >= options.common * active:
            text = f"common: {before} of {active} clients met {service} the day before"
            return self.finding("prevalence-high", text, fact=False)
        met = max(today + self._first_today(sighting, past), before)
        if met > options.rare * active or past.learning(at, self.detection.learning_s).active:
            return None
        return self.finding("prevalence-low", f"rare: {met} of {active} active clients met {service} in a day")

    def observe(self, sighting: Sighting, past: Past) -> None:
        """Count a client once a day."""
        if not self._first_today(sighting, past):
            return
        day, service = int(sighting.at // DAY_S), sighting.service.id
        users = self._users.rows.get(service)
        if users is None:
            users = Users(day)
        if day > users.day:
            users = Users(day, 0, users.day, users.today)
        users.today += 1
        self._users.put(service, users)

    def _first_today(self, sighting: Sighting, past: Past) -> bool:
        seen = past.client(sighting.client.address, sighting.service.id)
        return seen is None or int(seen.last_at // DAY_S) < int(sighting.at // DAY_S)

    # ── State ─────────────────────────────────────────────────────────────────────────────────────────────────

    def take_changes(self) -> Iterable[tuple[str, Row | None]]:
        """Hand over the services with something new."""
        return self._users.rows_changed()

    def restore(self, rows: Iterable[tuple[str, Row]]) -> None:
        """Take stored rows back."""
        self._users.restore(
            [(key, Users(r["day"], r["today"], r["before_day"], r["before"], r["n"])) for key, r in rows]
        )

    def size(self) -> int:
        """Give the number of services."""
        return len(self._users.rows)

    def evicted(self) -> int:
        """Give the number of services that had to go."""
        return self._users.evicted
