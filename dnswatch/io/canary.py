"""Asks every consumer whether it answers from the versions published last, and says so when it does not.

Soon after a publication, and from time to time. A copy that is not live within the grace becomes a blind spot of its
consumer: what is published is not what is in force, and nobody else would notice. Never: judges
(``core/feeds/liveness.py``), changes anything. Read next: ``publish/probe.py``.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from typing import Any, Protocol

from dnswatch.config.model import Canary as Settings
from dnswatch.config.model import Consumer, FileReader
from dnswatch.core.clients.groups import Groups
from dnswatch.core.feeds.history import newer
from dnswatch.core.feeds.liveness import Copy, Seen, Standing, State, is_ahead, state_of, statement
from dnswatch.core.feeds.subscription import SHARED
from dnswatch.core.feeds.triggers import CANARY, CANARY_ADDRESS, canaries, file_canaries, network_of
from dnswatch.core.feeds.tsig import Key
from dnswatch.core.feeds.zones import ANY, EVERYONE
from dnswatch.core.model import Name, Snapshot
from dnswatch.io.consumers import Consumers
from dnswatch.io.publish.probe import ask, ask_serial, ask_version, denies

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
    """What is published, and to whom: to consumers by transfer, to readers as files."""

    consumers: Consumers | None
    snapshots: Mapping[Name, Snapshot]  # as served
    groups: Groups
    fetched: Callable[[str, Name], int | None]  # (consumer, zone) → serial that it took last
    source: Callable[[str], str]  # address of a consumer → ours to ask from
    readers: Sequence[FileReader] = ()
    written: Mapping[Name, Snapshot] = field(default_factory=dict)
    pace: Settings = field(default_factory=Settings)  # for readers

    def asked(self) -> list[Consumer | FileReader]:
        """Give everybody who is asked."""
        consumers = [one for one in self.consumers.settings.consumers if one.is_asked] if self.consumers else []
        return [*consumers, *self.readers]

    def settings(self, one: Consumer | FileReader) -> Settings:
        """Say how one is asked."""
        return self.consumers.settings.canary if isinstance(one, Consumer) and self.consumers else self.pace


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
        consumers = world.asked()
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

    async def _look_at(self, world: World, consumer: Consumer | FileReader) -> None:
        settings = world.settings(consumer)
        known = self.standings.setdefault(consumer.name, {})
        copies = dict(self._copies(world, consumer) if isinstance(consumer, Consumer) else self._files(world, consumer))
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
        assert world.consumers is not None
        wanted = {*SHARED, ANY, *(group.name for group in world.groups.all)}
        for name, snapshot in world.snapshots.items():
            if snapshot.zone.audience not in wanted:
                continue
            for key in world.consumers.copies(consumer, name):
                opens = key if consumer.type == "bind" else None  # others pick nothing by key
                yield Copy(name, opens.name if opens else ""), (snapshot, opens)

    def _files(self, world: World, reader: FileReader) -> Iterable[tuple[Copy, tuple[Snapshot, Key | None]]]:
        """Yield every zone that the reader should show: dnsmasq one list, others by the address that is asked from.

        Zones that our own addresses are not served with cannot be asked for.
        """
        sources = [""] if reader.type == "dnsmasq" else reader.ask_from or [""]
        for source in sources:
            ours = source or own_address(reader.address)
            group = world.groups.of(ours)
            shown = {EVERYONE} if reader.type == "dnsmasq" else {*SHARED, group.name if group else ANY}
            for name, snapshot in world.written.items():
                if snapshot.zone.audience in shown and (
                    reader.type == "dnsmasq" or self._visible(world, world.written, ours, snapshot, None)
                ):
                    yield Copy(name, source), (snapshot, None)

    async def _ask_for(
        self, world: World, consumer: Consumer | FileReader, due: Mapping[Copy, tuple[Snapshot, Key | None]],
        known: Mapping[Copy, Standing],
    ) -> None:  # fmt: skip
        """Ask one after the other; who does not answer once is not asked for the rest."""
        self.asked += 1
        silent = False
        for copy, (snapshot, key) in due.items():
            if silent:
                seen = Seen()
            elif isinstance(consumer, Consumer):
                seen = await self._see(world, consumer, snapshot, key)
            else:
                seen = await self._see_file(consumer, snapshot, copy.view)
            silent = seen.rcode is None
            one, now = known[copy], self._clock()
            one.state, one.at = state_of(seen, snapshot.serial), now
            one.has = seen.serial if seen.serial is not None else seen.fetched
            if one.state == "live":
                one.since, one.has = now, snapshot.serial
            if one.state in ("old", "none") and isinstance(consumer, Consumer):
                self.behind.append((consumer.name, copy))
            # Who reads files takes any serial; who fetches ignores an older one for ever.
            if isinstance(consumer, Consumer) and seen.serial is not None and is_ahead(seen.serial, snapshot.serial):
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
        canary = False
        with suppress(OSError):
            if serial in (None, snapshot.serial):
                canary = CANARY_ADDRESS in await ask(*where, exact, source, key=key)
            if serial is None and not canary:
                serial = await ask_version(*where, stable, source, key=key)
                canary = serial == snapshot.serial  # it came meanwhile
        fetched = world.fetched(consumer.name, zone.name)
        visible = self._visible(world, world.snapshots, source, snapshot, key)
        return Seen(canary, False, serial, rcode, fetched, visible)

    async def _see_file(self, reader: FileReader, snapshot: Snapshot, source: str) -> Seen:
        where = reader.address, reader.port
        audience, serial = snapshot.zone.audience, snapshot.serial
        try:
            if reader.type == "dnsmasq":
                exact, stable = file_canaries(audience, serial)
                if await denies(*where, CANARY, source):  # all of them, so it says nothing of any
                    return Seen(rcode=0)
                live = await denies(*where, exact, source)
                return Seen(live, not live and await denies(*where, stable, source), rcode=0)
            exact, stable = (rule.trigger for rule in canaries(audience, serial))
            if CANARY_ADDRESS in await ask(*where, exact, source):
                return Seen(True, rcode=0)
            has = await ask_version(*where, stable, source)
            return Seen(has == serial, serial=has, rcode=0)
        except OSError:
            return Seen()

    def _visible(
        self, world: World, published: Mapping[Name, Snapshot], source: str, snapshot: Snapshot, key: Key | None
    ) -> bool:
        """Say whether the canary would show to us: not where a rule for our own address comes first."""
        if not source:
            return key is not None
        ours = ip_address(source)
        for other in published.values():
            if other.zone.audience in SHARED:
                networks = (network_of(rule.trigger) for rule in other.zone.rules)
                if any(network and ours in ip_network(network) for network in networks):
                    return False
        group = world.groups.of(source)
        audience = group.name if group else ANY
        return key is not None or snapshot.zone.audience in (*SHARED, audience)

    def _tell(self, consumer: Consumer | FileReader, known: Mapping[Copy, Standing], grace_s: float) -> None:
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


def own_address(theirs: str) -> str:
    """Give the address of this host that the system asks ``theirs`` from; "" when there is no way."""
    with socket.socket(socket.AF_INET6 if ":" in theirs else socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((theirs, 53))  # sends nothing
        except OSError:
            return ""
        return str(probe.getsockname()[0])
