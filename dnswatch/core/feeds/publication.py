"""What would be published now: every zone that policy asks for, guarded, with its serial.

Never: stores, writes, asks a clock. The caller stores ``changed`` first and writes files after. Read next:
``formats/``, ``io/publish/``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from dnswatch.core.clients.identity import Identity
from dnswatch.core.feeds.formats import FORMATS
from dnswatch.core.feeds.guard import inspect
from dnswatch.core.feeds.history import advance, diff
from dnswatch.core.feeds.zones import compile_everyone, compile_zones
from dnswatch.core.model import Delta, Name, Snapshot, Zone
from dnswatch.core.policy import Policy


@dataclass(frozen=True, slots=True)
class Publication:
    """All zones as they should be served, and which of them are new."""

    snapshots: tuple[Snapshot, ...]
    changed: tuple[Snapshot, ...]  # have a new serial: to be stored before anybody sees them
    deltas: tuple[Delta, ...]  # against the version before, for zones that had one
    retired: frozenset[Name]  # zones that policy no longer asks for: published empty, so that nothing stays blocked

    def files(self) -> Iterator[tuple[str, bytes]]:
        """Yield (file name, content) in every format."""
        for _, writer in sorted(FORMATS.items()):
            for snapshot in filter(writer.accepts, self.snapshots):
                yield writer.file_name(snapshot), writer.render(snapshot)


def plan(policy: Policy, identity: Identity | None, at: float, latest: Mapping[Name, Snapshot]) -> Publication:
    """Say what to publish at ``at``, given the ``latest`` version of each zone ever published.

    A zone that has not changed keeps its snapshot. Raises `FeedRefused` when the guard refuses any zone: nothing is
    published then, the zones belong together.
    """
    zones: list[Zone] = list(compile_zones(policy, identity, at))
    if zones:
        zones.append(compile_everyone(policy, at))
    for zone in zones:
        inspect(zone, policy, at)
    wanted = {zone.name for zone in zones}
    # A consumer may still be configured for a zone that we no longer make (mode off, group gone). Left as it is, it
    # would go on blocking by yesterday's policy for ever.
    retired = [replace(latest[name].zone, rules=()) for name in sorted(latest.keys() - wanted)]
    snapshots = tuple(advance(latest.get(zone.name), zone, at) for zone in [*zones, *retired])
    changed = tuple(snapshot for snapshot in snapshots if latest.get(snapshot.zone.name) != snapshot)
    return Publication(
        snapshots=snapshots,
        changed=changed,
        deltas=tuple(diff(latest[s.zone.name], s) for s in changed if s.zone.name in latest),
        retired=frozenset(zone.name for zone in retired),
    )


def actions(zone: Zone) -> Mapping[str, int]:
    """Count the rules of a zone by action."""
    return Counter(rule.action for rule in zone.rules)
