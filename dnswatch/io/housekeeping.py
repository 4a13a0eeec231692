"""What is done from time to time: lease files, feeds, reminders of ended expectations, retention.

Never: on the way of a line; each job may be late or fail without losing one. Read next: ``jobs.py`` (how they are run),
``publish/``.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from dnswatch.config.build import Loaded
from dnswatch.core.clients.expectations import until_text
from dnswatch.core.detect.engine import Engine
from dnswatch.core.feeds.formats import FORMATS
from dnswatch.core.model import Snapshot
from dnswatch.io import publish
from dnswatch.io.canary import TICK_S
from dnswatch.io.jobs import Jobs
from dnswatch.io.leases import LeaseFiles
from dnswatch.io.primary import Primary
from dnswatch.io.store import Store
from dnswatch.io.web.feeds import FeedFile, PublishedFeeds

LOOK_S = 3.0  # for new files of a pattern
LEASES_S = 30.0
FEEDS_S = 60.0  # ends of expectations reach the zones within this; reloads and leases at once
DAY_S = 86400.0
ALERTS_DAYS, SIGHTINGS_DAYS = 400, 100
"""Retention: a year of closed alerts with some slack; attempts as far back as baselines look."""
SNAPSHOTS = 50  # versions kept of each zone, for `feed diff`
UNUSED_CURSOR_S = 30 * DAY_S

log = logging.getLogger("dnswatch")


class Housekeeping:
    """The jobs, under whatever configuration ``loaded`` gives at their time."""

    def __init__(
        self,
        loaded: Callable[[], Loaded],
        engine: Engine,
        store: Store,
        jobs: Jobs,
        feeds: PublishedFeeds,
        primary: Primary,
    ) -> None:
        self.feed_rows: dict[str, dict[str, Any]] = {}  # status rows of the published zones
        self._loaded = loaded
        self._engine = engine
        self._store = store
        self._jobs = jobs
        self._feeds = feeds
        self._primary = primary
        self._leases = LeaseFiles(())

    def plan(self, look: Callable[[], Awaitable[None]], sinks: Callable[[], Iterable[str]]) -> None:
        """Schedule every job. ``look`` finds new logs; ``sinks`` names those whose cursors are kept."""

        async def prune() -> None:
            await self.prune(sinks())

        self._jobs.every("leases", LEASES_S, self.refresh_leases)
        self._jobs.every("feeds", FEEDS_S, self.publish, first_s=0)
        self._jobs.every("new logs", LOOK_S, look)
        self._jobs.every("canary", TICK_S, self._primary.look)
        self._jobs.daily("expectations", 6, 0, self.tell_expired)
        self._jobs.daily("retention", 3, 17, prune)

    async def refresh_leases(self) -> None:
        """Read the lease files that changed; the feeds follow when that changed who holds what."""
        files = self._loaded().config.clients.leases
        if tuple(files) != self._leases.files:
            self._leases = LeaseFiles(files)
        if await self._leases.refresh(self._engine.identity, time.time()):
            self._jobs.now("feeds")

    async def publish(self) -> None:
        """Bring the published zones up to date with policy, leases and time."""
        loaded = self._loaded()
        feeds = loaded.config.feeds
        hooks = [publish.Hook(tuple(one.run or ()), one.signal or "", one.pidfile) for one in feeds.on_change]
        rebuilt = await publish.rebuild(
            loaded.policy, self._engine.identity, time.time(), self._store, loaded.config.feeds_directory, hooks,
            self._primary.publish,
        )  # fmt: skip
        for warning in rebuilt.warnings:
            log.warning("feeds: %s", warning)
        for one in rebuilt.publication.changed:
            log.info("feeds: %s has serial %d, %d rules", one.zone.name, one.serial, len(one.zone.rules))
        snapshots = rebuilt.publication.snapshots
        if rebuilt.publication.changed or not self.feed_rows:
            self._feeds.replace({file.name: file for one in snapshots for file in _files(one)})
        self.feed_rows = {
            f"feed:{one.zone.name}": {
                "serial": one.serial, "rules": len(one.zone.rules), "audience": one.zone.audience, "at": one.at,
                "mode": feeds.mode,
            }
            for one in snapshots
        }  # fmt: skip

    async def tell_expired(self) -> None:
        """Remind of expectations that have ended: their clients raise alerts, and the feed blocks them soon."""
        policy, now = self._loaded().policy, time.time()
        for one in policy.expectations.expired(now):
            assert one.until is not None
            left = (one.until + policy.feeds.grace_s - now) / DAY_S
            feed = f"feeds allow for {left:.0f} days more" if left > 0 else "feeds do not allow for it any more"
            log.warning("%s: expected until %s (%s, owner %s): alerts are raised, %s", one.origin,
                        until_text(one.until), one.because, one.owner or "unknown", feed)  # fmt: skip

    async def prune(self, sinks: Iterable[str]) -> None:
        """Delete what is older than its retention."""
        now = time.time()
        gone = await self._store.prune(now - ALERTS_DAYS * DAY_S, now - SIGHTINGS_DAYS * DAY_S)
        await self._store.forget_cursors(sinks, now - UNUSED_CURSOR_S)
        await self._store.prune_snapshots(SNAPSHOTS)
        if any(gone.values()):
            log.info("retention: removed %s", ", ".join(f"{count} {table}" for table, count in gone.items() if count))


def _files(snapshot: Snapshot) -> Iterable[FeedFile]:
    """Render one version of a zone in every format that takes it."""
    for _, writer in sorted(FORMATS.items()):
        if writer.accepts(snapshot):
            yield FeedFile(writer.file_name(snapshot), writer.render(snapshot), snapshot.serial, snapshot.at)
