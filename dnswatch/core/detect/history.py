"""What has been seen before: which client, group and network met which service, and the other names of each client.

Never: judges (signals do, they read this through `Past`), grows without bound. Read next: ``signal.py``.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple

from dnswatch.core.clients.roles import Behaviour, Roles
from dnswatch.core.detect.changes import Changes, Row, Table
from dnswatch.core.model import IndicatorRole, Sighting

PAIRS = 200_000
"""Remembered (client, service) pairs; about 250 bytes each. 50 k clients with four services each fit."""
NOTES = 200_000
"""Remembered (client, role, service) notes: companions, recon and DoH names."""
WEIRD_CLIENTS = 20_000
GROUP_PAIRS = 50_000
REFRESH_S = 3600.0
"""A row that is met again moves to the end of its eviction queue at most this often: an hour's precision is plenty
where entries live for weeks, and the common case stays a plain attribute write."""


BROWSED: frozenset[IndicatorRole] = frozenset({"companion", "doh"})
"""Names that an app or a browser leaves; bots ask for `ambiguous` ones, and scripts for an IP check."""


class Seen:
    """When something was seen first and last (log time), and how often."""

    __slots__ = ("count", "first_at", "key", "last_at", "n")

    def __init__(self, first_at: float, last_at: float, count: int = 1, n: int = 0, key: str = "") -> None:
        self.key = key  # the very string of its table
        self.first_at = first_at
        self.last_at = last_at
        self.count = count
        self.n = n

    def row(self) -> Row:
        """Give the plain form."""
        return {"n": self.n, "first_at": self.first_at, "last_at": self.last_at, "count": self.count}


class Learning(NamedTuple):
    """How far the learning period is: while it is active, some facts do not count yet."""

    active: bool
    day: int  # 1-based
    days: float


class History:
    """The engine's memory of who met what. Signals read it before the attempt at hand is recorded."""

    def __init__(self) -> None:
        self.began_at: float | None = None  # stamp of the first line ever seen
        self._learning = (0.0, 0.0, 0.0, Learning(True, 1, 0.0))  # from and until when, of which period, how far
        self._pairs: Table[Seen] = Table("pair", PAIRS)
        self._groups: Table[Seen] = Table("group-service", GROUP_PAIRS)
        self._network: Table[Seen] = Table("network-service", GROUP_PAIRS)
        self.notes: Table[Seen] = Table("note", NOTES)
        self._weird: Table[Seen] = Table("weird", WEIRD_CLIENTS)
        self.roles = Roles()

    # ── Reading (what signals may do) ─────────────────────────────────────────────────────────────────────────

    def pair(self, address: str, service: str) -> str:
        """Give the key of a client and a service: the string that is kept, so that every table holds the same one."""
        key = f"{address} {service}"
        seen = self._pairs.rows.get(key)
        return key if seen is None else seen.key

    def client(self, pair: str) -> Seen | None:
        """Say when this client met the service before (`Sighting.pair`)."""
        return self._pairs.rows.get(pair)

    def group(self, group: str, service: str) -> Seen | None:
        """Say when anybody of this group met the service before."""
        return self._groups.rows.get(f"{group} {service}")

    def network(self, service: str) -> Seen | None:
        """Say when anybody met the service before."""
        return self._network.rows.get(service)

    def note(self, address: str, role: IndicatorRole, service: str) -> Seen | None:
        """Say when this client asked for a companion, ambiguous, recon or DoH name of the service."""
        return self.notes.rows.get(f"{address} {role} {service}")

    def weird(self, address: str) -> Seen | None:
        """Say how many unparsable or untrustworthy lines this client caused."""
        return self._weird.rows.get(address)

    def learning(self, at: float, learning_s: float) -> Learning:
        """Say how far the learning period is at this log time."""
        passed = at - self.began_at if self.began_at is not None else 0.0
        since, until, of, learning = self._learning
        if since <= passed < until and of == learning_s:
            return learning  # of each attempt several signals ask, and it changes once a day
        day, active = int(passed // 86400) if passed > 0.0 else 0, passed < learning_s
        learning = Learning(active, day + 1, learning_s / 86400)
        since = max(day * 86400.0, 0.0 if active else learning_s)
        until = min((day + 1) * 86400.0, learning_s if active else math.inf)
        self._learning = (since, until, learning_s, learning)
        return learning

    def behaviour(self, address: str, at: float) -> Behaviour:
        """Say what the client seems to be, from its days before."""
        return self.roles.behaviour(address, at)

    def active(self, at: float) -> int:
        """Say how many clients a day has."""
        return self.roles.active(at)

    # ── Writing (what the engine does) ────────────────────────────────────────────────────────────────────────

    def record(self, sighting: Sighting) -> None:
        """Remember an attempt, expected or not."""
        service, at, client = sighting.service.id, sighting.at, sighting.client
        see(self._pairs, sighting.pair, at)
        see(self._network, service, at)
        if client.group:
            see(self._groups, f"{client.group} {service}", at)
        self.roles.met(client.address, at, service)

    def remember_note(self, address: str, role: IndicatorRole, service: str, at: float) -> Seen:
        """Remember that a client asked for a name that is no sighting by itself."""
        if role in BROWSED:
            self.roles.browsed(address, at)
        else:
            self.roles.saw(address, at)
        return see(self.notes, f"{address} {role} {service}", at)

    def remember_host_note(self, mac: str, role: IndicatorRole, service: str, at: float) -> Seen:
        """Remember the same of a host that a lease names, whatever address it has next."""
        return see(self.notes, f"mac:{mac} {role} {service}", at)

    def remember_weird(self, address: str, at: float) -> None:
        """Remember that a client caused a line that cannot be trusted."""
        see(self._weird, address, at)

    # ── State ─────────────────────────────────────────────────────────────────────────────────────────────────

    def take_changes(self, changes: Changes) -> None:
        """Hand over the rows that changed since the last call."""
        for table in self._tables():
            table.take_changes(changes.rows)
        self.roles.clients.take_changes(changes.rows)
        self.roles.days.take_changes(changes.rows)

    def forget_changes(self) -> None:
        """Drop what `take_changes` would hand over."""
        for changed in (*(table.changed for table in self._tables()), self.roles.clients.changed,
                        self.roles.days.changed):  # fmt: skip
            changed.clear()

    def restore(self, kind: str, rows: Iterable[tuple[str, Row]]) -> bool:
        """Take stored rows of one kind; False when the kind is not one of ours."""
        for table in self._tables():
            if table.kind == kind:
                table.restore([(key, Seen(r["first_at"], r["last_at"], r["count"], r["n"], key)) for key, r in rows])
                return True
        return self.roles.restore(kind, rows)

    def sizes(self) -> dict[str, int]:
        """Give the number of rows by kind."""
        return {**{table.kind: len(table.rows) for table in self._tables()}, "activity": len(self.roles.clients.rows)}

    def evicted(self) -> dict[str, int]:
        """Give the number of evicted rows by kind."""
        return {**{table.kind: table.evicted for table in self._tables()}, "activity": self.roles.clients.evicted}

    def _tables(self) -> tuple[Table[Seen], ...]:
        return (self._pairs, self._groups, self._network, self.notes, self._weird)


def see(table: Table[Seen], key: str, at: float) -> Seen:
    """Note that something is seen, and give what is known of it."""
    seen = table.rows.get(key)
    if seen is None:
        seen = Seen(at, at, key=key)
        table.put(key, seen)
        return seen
    seen.count += 1
    table.changed.add(key)
    if at > seen.last_at:
        stale = at - seen.last_at > REFRESH_S
        seen.last_at = at
        if stale:
            table.put(key, seen)
    elif at < seen.first_at:
        seen.first_at = at
    return seen
