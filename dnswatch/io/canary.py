"""Asks every consumer whether it answers from the versions published last, and says so when it does not.

Soon after a publication, and from time to time. A copy that is not live within the grace becomes a blind spot of its
consumer: what is published is not what is in force, and nobody else would notice. Never: judges
(``core/feeds/liveness.py``), changes anything. Read next: ``publish/probe.py``.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from typing import Any, Protocol

from dnswatch.config.model import Consumer
from dnswatch.core.clients.groups import Groups
from dnswatch.core.feeds.history import newer
from dnswatch.core.feeds.liveness import Copy, Seen, Standing, State, is_ahead, state_of, statement
from dnswatch.core.feeds.subscription import SHARED
from dnswatch.core.feeds.triggers import CANARY_ADDRESS, canaries, network_of
from dnswatch.core.feeds.tsig import Key
from dnswatch.core.feeds.zones import ANY
from dnswatch.core.model import Name, Snapshot
from dnswatch.io.consumers import Consumers
from dnswatch.io.publish.probe import ask, ask_serial

TICK_S = 1.0
"""How often copies that are not live are asked: an update is live within two seconds of NOTIFY."""
PROMPT_S, LATE_S = 10.0, 5.0
"""A version that is not live so long after its publication is asked for only so often."""
KIND = "feed-not-live"


class BlindSpots(Protocol):
    """Where blind spots are told (``io/blind_spots.py``)."""

    def report(self, kind: str, subject: str, text: str, at: float | None = None) -> None:
        """Say that a condition holds."""
        ...

    def clear(self, kind: str, subject: str, text: str = "") -> None:
        """Say that it does not."""
        ...

    def open(self) -> list[tuple[str, str]]:
        """Give (kind, subject) of what holds."""
        ...


@dataclass(frozen=True, slots=True)
class World:
    """What is published, and to whom."""

    consumers: Consumers
    snapshots: Mapping[Name, Snapshot]
    groups: Groups
    fetched: Callable[[str, Name], int | None]  # (consumer, zone) → serial that it took last
    source: Callable[[str], str]  # address of a consumer → ours to ask from


class Canary:
    """How every copy of every zone stands, by consumer."""

    def __init__(self, blind_spots: BlindSpots, clock: Callable[[], float] = time.time) -> None:
        self.standings: dict[str, dict[Copy, Standing]] = {}
        self.asked = 0  # rounds of questions to one consumer
        self.ahead: dict[Name, int] = {}  # zones of which a consumer has a newer serial than ours, as asked last
        self.behind: list[tuple[str, Copy]] = []  # consumers that answered, asked last, without the version
        self._blind_spots = blind_spots
        self._clock = clock
        self._started_at = clock()

    async def look(self, world: World) -> None:
        """Ask for every copy that is due, all consumers at once, and tell what is not live."""
        consumers = [one for one in world.consumers.settings.consumers if one.is_asked]
        self.ahead, self.behind = {}, []
        self.forget(keep=[one.name for one in consumers])
        await asyncio.gather(*(self._look_at(world, one) for one in consumers))

    def forget(self, keep: Iterable[str] = ()) -> None:
        """Forget all consumers but ``keep``: what is not configured any more is not missing either."""
        known = set(keep)
        for name in self.standings.keys() - known:
            del self.standings[name]
        for kind, name in self._blind_spots.open():
            if kind == KIND and name not in known:
                self._blind_spots.clear(KIND, name, "it is not configured any more")

    async def _look_at(self, world: World, consumer: Consumer) -> None:
        settings = world.consumers.settings.canary
        known = self.standings.setdefault(consumer.name, {})
        copies = dict(self._copies(world, consumer))
        for copy in known.keys() - copies.keys():
            del known[copy]
        now = self._clock()
        due = []
        for copy, (snapshot, _) in copies.items():
            one = known.get(copy)
            if one is None or one.serial != snapshot.serial:
                was_live = one is None or one.state in (None, "live")
                since = max(snapshot.at, self._started_at) if one is None or was_live else one.since
                known[copy] = one = Standing(snapshot.serial, min(since, now))
            if now >= one.at + self._pace(one, now, settings.every):
                due.append(copy)
        if due:
            await self._ask_for(world, consumer, {copy: copies[copy] for copy in due}, known)
        self._tell(consumer, known, settings.grace)

    @staticmethod
    def _pace(one: Standing, now: float, every_s: float) -> float:
        """Give how long to wait between questions: a new version is expected at once, a late one is waited for."""
        if one.state == "live":
            return every_s
        return 0.0 if now < one.since + PROMPT_S else min(LATE_S, every_s)

    def _copies(self, world: World, consumer: Consumer) -> Iterable[tuple[Copy, tuple[Snapshot, Key | None]]]:
        """Yield every copy that the consumer should have, its version, and the key that opens its view.

        The zone of a group that is gone is served empty for whoever still has it; nobody needs to have it.
        """
        wanted = {*SHARED, ANY, *(group.name for group in world.groups.all)}
        for name, snapshot in world.snapshots.items():
            if snapshot.zone.audience not in wanted:
                continue
            for key in world.consumers.copies(consumer, name):
                opens = key if consumer.type == "bind" else None  # others pick nothing by key
                yield Copy(name, opens.name if opens else ""), (snapshot, opens)

    async def _ask_for(
        self, world: World, consumer: Consumer, due: Mapping[Copy, tuple[Snapshot, Key | None]],
        known: Mapping[Copy, Standing],
    ) -> None:  # fmt: skip
        """Ask one after the other; who does not answer once is not asked for the rest."""
        self.asked += 1
        silent = False
        for copy, (snapshot, key) in due.items():
            seen = Seen() if silent else await self._see(world, consumer, snapshot, key)
            silent = seen.rcode is None
            one, now = known[copy], self._clock()
            one.state, one.at = state_of(seen, snapshot.serial), now
            one.has = seen.serial if seen.serial is not None else seen.fetched
            if one.state == "live":
                one.since, one.has = now, snapshot.serial
            if one.state in ("old", "none"):
                self.behind.append((consumer.name, copy))
            if seen.serial is not None and is_ahead(seen.serial, snapshot.serial):
                known_ahead = self.ahead.get(copy.zone)
                if known_ahead is None or newer(seen.serial, known_ahead):
                    self.ahead[copy.zone] = seen.serial

    async def _see(self, world: World, consumer: Consumer, snapshot: Snapshot, key: Key | None) -> Seen:
        source = world.source(consumer.address)
        where = consumer.address, consumer.port
        zone = snapshot.zone
        exact, stable = (rule.trigger for rule in canaries(zone.audience, snapshot.serial))
        try:  # the SOA first: whoever has it answers at once, while an old version lets the canary go upstream
            rcode, serial = await ask_serial(*where, zone.name, source, key=key)
        except OSError:
            return Seen()
        canary = stale = False
        with suppress(OSError):
            if serial in (None, snapshot.serial):
                canary = CANARY_ADDRESS in await ask(*where, exact, source, key=key)
            if serial is None and not canary:
                stale = CANARY_ADDRESS in await ask(*where, stable, source, key=key)
        fetched = world.fetched(consumer.name, zone.name)
        return Seen(canary, stale, serial, rcode, fetched, self._visible(world, source, snapshot, key))

    def _visible(self, world: World, source: str, snapshot: Snapshot, key: Key | None) -> bool:
        """Say whether the canary would show to us: not where a rule for our own address comes first."""
        if not source:
            return key is not None
        ours = ip_address(source)
        for other in world.snapshots.values():
            if other.zone.audience in SHARED:
                networks = (network_of(rule.trigger) for rule in other.zone.rules)
                if any(network and ours in ip_network(network) for network in networks):
                    return False
        group = world.groups.of(source)
        audience = group.name if group else ANY
        return key is not None or snapshot.zone.audience in (*SHARED, audience)

    def _tell(self, consumer: Consumer, known: Mapping[Copy, Standing], grace_s: float) -> None:
        now = self._clock()
        late = [copy for copy, one in known.items()
                if one.state not in (None, "live") and now > one.since + grace_s]  # fmt: skip
        if late:
            where = f"{consumer.address} port {consumer.port}"
            self._blind_spots.report(KIND, consumer.name, f"{consumer.type} at {where}: {statement(known, late, now)}")
        elif all(one.state == "live" for one in known.values()):
            self._blind_spots.clear(KIND, consumer.name, "it answers from every version published last")

    def row(self, consumer: str) -> dict[str, Any]:
        """Give what `status` shows of a consumer: the state of every copy."""
        known = self.standings.get(consumer, {})
        states: list[State | None] = [one.state for one in known.values()]
        return {
            "live": states.count("live"), "missing": len(states) - states.count("live"),
            "asked_at": max((one.at for one in known.values()), default=0.0) or None,
            "copies": [
                {"zone": copy.zone, "view": copy.view, "serial": one.serial, "has": one.has, "state": one.state or "",
                 "since": one.since, "asked_at": one.at or None}
                for copy, one in sorted(known.items(), key=lambda item: (item[0].zone, item[0].view))
            ],
        }  # fmt: skip
