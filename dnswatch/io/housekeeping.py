"""What is done from time to time: lease files, feeds, reminders of ended expectations, retention.

Never: on the way of a line; each job may be late or fail without losing one. Read next: ``jobs.py`` (how they are run),
``publishing.py``.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from dnswatch.config.build import Loaded
from dnswatch.core.clients.expectations import until_text
from dnswatch.core.detect.engine import Engine
from dnswatch.core.feeds.history import lift, newer
from dnswatch.io.around import SPAN_S, read_around
from dnswatch.io.canary import TICK_S
from dnswatch.io.jobs import Jobs
from dnswatch.io.leases import LeaseFiles
from dnswatch.io.primary import Primary
from dnswatch.io.publishing import BlindSpots, Publishing
from dnswatch.io.store import Store
from dnswatch.io.web.feeds import PublishedFeeds

LOOK_S = 3.0  # for new files of a pattern
LEASES_S = 30.0
FEEDS_S = 60.0  # ends of expectations reach the zones within this; reloads and leases at once
RETRY_S = 2.0  # looks whether hooks that failed are due
AROUND_S = 60.0  # looks for grave alerts that are five minutes old
MOST_READ = 20  # of them at a time: each reading takes up to a second
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
        blind_spots: BlindSpots,
    ) -> None:
        self.publishing = Publishing(loaded, engine.identity, store, feeds, primary, blind_spots)
        self._loaded = loaded
        self._engine = engine
        self._store = store
        self._jobs = jobs
        self._primary = primary
        self._leases = LeaseFiles(())

    @property
    def feed_rows(self) -> dict[str, dict[str, Any]]:
        """Give the status rows of the published zones."""
        return self.publishing.rows

    async def stop(self) -> None:
        """Leave off what takes long; it is done anew at the next start."""
        await self.publishing.stop()

    def plan(self, look: Callable[[], Awaitable[None]], sinks: Callable[[], Iterable[str]]) -> None:
        """Schedule every job. ``look`` finds new logs; ``sinks`` names those whose cursors are kept."""

        async def prune() -> None:
            await self.prune(sinks())

        self._jobs.every("leases", LEASES_S, self.refresh_leases)
        self._jobs.every("feeds", FEEDS_S, self.publishing.publish, first_s=0)
        self._jobs.every("hooks", RETRY_S, self.publishing.retry)
        self._jobs.every("new logs", LOOK_S, look)
        self._jobs.every("canary", TICK_S, self.ask_consumers)
        self._jobs.every("surroundings", AROUND_S, self.keep_surroundings)
        self._jobs.daily("expectations", 6, 0, self.tell_expired)
        self._jobs.daily("retention", 3, 17, prune)

    async def refresh_leases(self) -> None:
        """Read the lease files that changed; the feeds follow when that changed who holds what."""
        files = self._loaded().config.clients.leases
        if tuple(files) != self._leases.files:
            self._leases = LeaseFiles(files)
        if await self._leases.refresh(self._engine.identity, time.time()):
            self._jobs.now("feeds")

    async def keep_surroundings(self) -> None:
        """Keep what else the client of a grave alert looked up around it, once: the log will be rotated away."""
        now = time.time()
        waiting = await self._store.without_surroundings("high", now - DAY_S, now - SPAN_S, MOST_READ)
        for alert in waiting:
            await self._store.save_surroundings(alert.id, await asyncio.to_thread(read_around, alert))

    async def ask_consumers(self) -> None:
        """Ask consumers for the newest versions; one that has a newer serial than ours would ignore them for ever."""
        await self._primary.look()
        ahead = self._primary.canary.ahead
        if not ahead:
            return
        for zone, serial in ahead.items():
            log.warning("feeds: a consumer has serial %d of %s, newer than ours: the store was restored from an older "
                        "copy; publishing all zones under newer ones", serial, zone)  # fmt: skip
        latest, now = await self._store.latest_snapshots(), time.time()
        # All of them: of some nobody tells, where a rule for our own address hides the canaries in Unbound.
        lifted = [lift(one, serial, now) for one in latest.values() for serial in [max(ahead.values())]
                  if not newer(one.serial, serial)]  # fmt: skip
        await self._store.save_snapshots(lifted)
        self._jobs.now("feeds")

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
