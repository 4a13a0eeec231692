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
from dnswatch.core.feeds.publication import Publication, plan
from dnswatch.core.feeds.zones import EVERYONE
from dnswatch.core.model import Name, Snapshot
from dnswatch.core.policy import Policy
from dnswatch.io.publish import files, hooks
from dnswatch.io.publish.hooks import Hook

__all__ = ["Hook", "Rebuilt", "rebuild"]


class History(Protocol):
    """The part of the store that keeps what was served under which serial."""

    async def latest_snapshots(self) -> Mapping[Name, Snapshot]:
        """Give the newest version of every zone ever published."""
        ...

    async def save_snapshots(self, snapshots: Sequence[Snapshot]) -> None:
        """Keep versions durably."""
        ...


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """What a rebuild did."""

    publication: Publication
    written: tuple[Path, ...]  # files whose bytes changed
    warnings: tuple[str, ...]  # hooks that failed, ready for the operator


Serve = Callable[[Sequence[Snapshot]], Awaitable[None]]


async def rebuild(
    policy: Policy, identity: Identity | None, at: float, history: History, directory: Path, after: Sequence[Hook],
    serve: Serve | None = None,
) -> Rebuilt:  # fmt: skip
    """Compile policy, store new versions, ``serve`` them, write their files, then run the hooks if any file changed.

    Serials are stored before anybody can see them (research rpz.md §5.4). Whoever transfers zones does not wait for
    files and hooks. Hooks that an earlier call did not come to, because the disk was full or we were killed, run now.
    Raises `FeedRefused` before anything is stored or written, `OSError` when the directory cannot be written.
    """
    publication = plan(policy, identity, at, await history.latest_snapshots())
    await history.save_snapshots(publication.changed)
    if serve is not None:
        await serve(publication.snapshots)
    made = list(publication.files())
    due = await asyncio.to_thread(_due, directory, made) if after else frozenset()
    written = await asyncio.to_thread(files.write, directory, made)
    warnings: list[str] = []
    if due:
        zones = [one.zone.name for one in publication.snapshots if one.zone.audience != EVERYONE]
        warnings = await hooks.run(after, [zone for zone in zones if f"{zone}.zone" in due])
        await asyncio.to_thread(files.owe, directory, frozenset())
    return Rebuilt(publication, tuple(written), tuple(warnings))


def _due(directory: Path, made: Sequence[tuple[str, bytes]]) -> frozenset[str]:
    """Give the files whose hooks must run, and note them before the first one is replaced."""
    names = files.owed(directory) | {path.name for path in files.stale(directory, made)}
    if names:
        files.owe(directory, names)
    return names
