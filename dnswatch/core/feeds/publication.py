"""What would be published now: every zone that policy asks for, guarded, with its serial.

Never: stores, writes, asks a clock. The caller stores ``changed`` first and writes files after. Read next:
``formats/``, ``io/publish/``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial

from dnswatch.core.clients.identity import Identity
from dnswatch.core.feeds.formats import FORMATS, OVERVIEWS
from dnswatch.core.feeds.guard import FORCED, Fault, Gate, change_faults, refuse
from dnswatch.core.feeds.history import advance
from dnswatch.core.feeds.zones import compile_by_client, compile_everyone, compile_zones, with_decisions
from dnswatch.core.model import Name, Snapshot, Zone
from dnswatch.core.policy import Policy


@dataclass(frozen=True, slots=True)
class Rendered:
    """One published file. The serial of one over all zones is that of the newest."""

    name: str
    content: bytes
    serial: int
    at: float


@dataclass(frozen=True, slots=True)
class Writing:
    """One file that is to be published, and how it is written."""

    name: str
    serial: int
    at: float
    zone: Name  # "" = it is over all zones
    render: Callable[[], bytes]

    def rendered(self) -> Rendered:
        """Write it."""
        return Rendered(self.name, self.render(), self.serial, self.at)


@dataclass(frozen=True, slots=True)
class Publication:
    """All zones as they should be served, and which of them are new."""

    snapshots: tuple[Snapshot, ...]
    changed: tuple[Snapshot, ...]  # have a new serial: to be stored before anybody sees them
    retired: frozenset[Name]  # zones that policy no longer asks for: published empty, so that nothing stays blocked
    policy: Policy
    at: float

    def files(self) -> Iterator[tuple[str, bytes]]:
        """Yield (file name, content) in every format."""
        return ((one.name, one.content) for one in self.rendered())

    def rendered(self) -> Iterator[Rendered]:
        """Yield every file in every format."""
        return (one.rendered() for one in self.writings())

    def writings(self) -> Iterator[Writing]:
        """Yield every file in every format, none written yet."""
        for _, writer in sorted(FORMATS.items()):
            for one in filter(writer.accepts, self.snapshots):
                yield Writing(writer.file_name(one), one.serial, one.at, one.zone.name, partial(writer.render, one))
        if self.snapshots:
            serial, at = max(one.serial for one in self.snapshots), max(one.at for one in self.snapshots)
            for _, overview in sorted(OVERVIEWS.items()):
                render = partial(overview.render, self.policy, self.snapshots, self.at)
                yield Writing(overview.file_name, serial, at, "", render)


def plan(
    policy: Policy, identity: Identity | None, at: float, latest: Mapping[Name, Snapshot], *, forced: bool = False
) -> Publication:
    """Say what to publish at ``at``, given the ``latest`` version of each zone ever published.

    A zone that has not changed keeps its snapshot. Raises `FeedRefused` when the guard refuses any zone: nothing is
    published then, the zones belong together. ``forced``: limits on change do not count, an operator has looked.
    """
    zones, data = _zones(policy, identity, at)
    refused = {name: found for name, found in inspected(policy, zones, data, at, latest, forced) if found}
    for name, found in refused.items():
        others = sorted(refused.keys() - {name})
        refuse(name, [*found, *(Fault("record", f"and zone {other}: {refused[other][0]}") for other in others)])
    wanted = {zone.name for zone in zones}
    # A consumer may still be configured for a zone that we no longer make (mode off, group gone). Left as it is, it
    # would go on blocking by yesterday's policy for ever.
    retired = [replace(latest[name].zone, rules=()) for name in sorted(latest.keys() - wanted)]
    snapshots = tuple(
        advance(latest.get(zone.name), zone, at, data.get(zone.name, frozenset())) for zone in [*zones, *retired]
    )
    changed = tuple(snapshot for snapshot in snapshots if latest.get(snapshot.zone.name) is not snapshot)
    return Publication(
        snapshots=snapshots,
        changed=changed,
        retired=frozenset(zone.name for zone in retired),
        policy=policy,
        at=at,
    )


def inspected(
    policy: Policy, zones: Iterable[Zone], data: Mapping[Name, frozenset[str]], at: float,
    latest: Mapping[Name, Snapshot], forced: bool = False,
) -> Iterator[tuple[Name, list[Fault]]]:  # fmt: skip
    """Yield each zone's name and what the guard says against it."""
    gate = Gate(policy, at)
    for zone in zones:
        found = list(gate.faults(zone))
        if zone.name in latest:
            found += change_faults(latest[zone.name], zone, data.get(zone.name, frozenset()), policy)
        yield zone.name, [one for one in found if not (forced and one.kind in FORCED)]


def _zones(
    policy: Policy, identity: Identity | None, at: float
) -> tuple[tuple[Zone, ...], Mapping[Name, frozenset[str]]]:
    """Give every zone, and which of its triggers leases and decisions put there."""
    zones = _compiled(policy, identity, at)
    if identity is None and not policy.feeds.decisions:
        return zones, {}
    bare = with_decisions(policy, ())
    found = _compiled(bare, None, at) if policy.feeds.decisions else compile_by_client(bare, None, at)
    written = {zone.name: zone for zone in found}
    return zones, {zone.name: _data(zone, written[zone.name]) for zone in zones if zone.name in written}


def _data(zone: Zone, written: Zone) -> frozenset[str]:
    if zone.rules == written.rules:
        return frozenset()
    return frozenset(rule.trigger for rule in zone.rules) - {rule.trigger for rule in written.rules}


def _compiled(policy: Policy, identity: Identity | None, at: float) -> tuple[Zone, ...]:
    zones = compile_zones(policy, identity, at)
    return (*zones, compile_everyone(policy, at)) if zones else ()


def actions(zone: Zone) -> Mapping[str, int]:
    """Count the rules of a zone by action."""
    return Counter(rule.action for rule in zone.rules)
