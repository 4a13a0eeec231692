"""Where snapshots go: files and the hooks after them. `rebuild` is the one way from policy to what consumers read.

Never: decides content (``core/feeds/publication.py`` does). Read next: ``files.py``, ``hooks.py``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from dnswatch.core.clients.identity import Identity
from dnswatch.core.detect.changes import SightingRow
from dnswatch.core.feeds import impact, zonefile
from dnswatch.core.feeds.formats import FORMATS
from dnswatch.core.feeds.guard import refuse
from dnswatch.core.feeds.publication import Publication, Rendered, plan
from dnswatch.core.feeds.zones import EVERYONE
from dnswatch.core.model import Name, Snapshot
from dnswatch.core.policy import DAY_S, Policy
from dnswatch.io.publish import files, hooks
from dnswatch.io.publish.hooks import Failed, Hook

__all__ = ["Hook", "Rebuilt", "rebuild"]


class History(Protocol):
    """The part of the store that keeps what was served under which serial, and what clients did."""

    async def latest_snapshots(self) -> Mapping[Name, Snapshot]:
        """Give the newest version of every zone ever published."""
        ...

    async def save_snapshots(self, snapshots: Sequence[Snapshot]) -> None:
        """Keep versions durably."""
        ...

    async def sightings(self, since: float = ...) -> Sequence[SightingRow]:
        """Give the attempts seen since."""
        ...


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """What a rebuild did."""

    publication: Publication
    rendered: tuple[Rendered, ...]  # every file as it should be
    written: tuple[Path, ...]  # files whose bytes changed
    failed: tuple[Failed, ...]  # hooks

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the operator should know: the files are right, but a resolver may still serve the old ones."""
        return tuple(one.warning for one in self.failed)


Serve = Callable[[Sequence[Snapshot]], Awaitable[None]]


async def rebuild(
    policy: Policy, identity: Identity | None, at: float, history: History, directory: Path, after: Sequence[Hook],
    serve: Serve | None = None, *, forced: bool = False, overdue: bool = True,
) -> Rebuilt:  # fmt: skip
    """Compile policy, store new versions, ``serve`` them, write their files, then run the hooks if any file changed.

    Serials are stored before anybody can see them (research rpz.md §5.4). Whoever transfers zones does not wait for
    files and hooks. ``overdue``: hooks that failed, or that an earlier call did not come to, because the disk was full
    or we were killed, run now. ``forced``: limits and impact do not count. Raises `FeedRefused` before anything is
    stored or written, `OSError` when the directory cannot be written.
    """
    # Millions of rules take seconds: beside the loop, with what leases say now.
    identity = identity.copy() if identity is not None else None
    while True:
        latest = await history.latest_snapshots()
        publication = await asyncio.to_thread(plan, policy, identity, at, latest, forced=forced)
        if await history.latest_snapshots() == latest:  # nobody gave a zone another serial meanwhile
            break
    if publication.changed and policy.feeds.mode == "enforce" and not forced:
        seen = await history.sightings(at - impact.DAYS * DAY_S)
        await asyncio.to_thread(_refuse_impact, policy, identity or Identity(), at, seen)
    rendered = await asyncio.to_thread(_rendered, publication)
    made = [(one.name, one.content) for one in rendered]
    await history.save_snapshots(publication.changed)
    if serve is not None:
        await serve(publication.snapshots)
    due = await asyncio.to_thread(_due, directory, made, overdue) if after else frozenset()
    written = await asyncio.to_thread(files.write, directory, made)
    failed: list[Failed] = []
    if due:
        zones = [one.zone.name for one in publication.snapshots if one.zone.audience != EVERYONE]
        failed = await hooks.run(after, [zone for zone in zones if f"{zone}.zone" in due])
        if not failed:
            await asyncio.to_thread(files.owe, directory, frozenset())
    return Rebuilt(publication, rendered, tuple(written), tuple(failed))


def _refuse_impact(policy: Policy, identity: Identity, at: float, seen: Sequence[SightingRow]) -> None:
    refuse(policy.feeds.zone, impact.impact_faults(policy, impact.replay(policy, identity, at, seen), at))


def _rendered(publication: Publication) -> tuple[Rendered, ...]:
    """Write every file, and read the new zone files back. Raises `FeedRefused`."""
    made = tuple(publication.rendered())
    by_name = {one.name: one.content for one in made}
    for snapshot in publication.changed:
        zone = snapshot.zone
        if zone.audience != EVERYONE:
            refuse(zone.name, zonefile.faults(by_name[FORMATS["rpz"].file_name(snapshot)], zone.name, snapshot.serial))
    return made


def _due(directory: Path, made: Sequence[tuple[str, bytes]], overdue: bool) -> frozenset[str]:
    """Give the files whose hooks must run, and note them before the first one is replaced."""
    known = files.owed(directory)
    new = frozenset(path.name for path in files.stale(directory, made))
    if new:
        files.owe(directory, known | new)
    return known | new if new or overdue else frozenset()
