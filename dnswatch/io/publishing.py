"""The feeds of a running daemon: published when something changed, refused loudly, hooks tried until they work.

Never: decides content (``core/feeds/publication.py``) or who is told (``primary.py``). Read next: ``publish/``.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

from dnswatch.config.build import Loaded
from dnswatch.core.clients.identity import Identity
from dnswatch.core.feeds.caps import SETTINGS, caps
from dnswatch.core.feeds.publication import Rendered
from dnswatch.core.feeds.zones import with_decisions
from dnswatch.core.model import Snapshot
from dnswatch.errors import FeedRefused
from dnswatch.io import publish
from dnswatch.io.primary import Primary
from dnswatch.io.publish import files, hooks
from dnswatch.io.store import Store
from dnswatch.io.web.feeds import FeedFile, PublishedFeeds

FIRST_RETRY_S, LAST_RETRY_S = 2.0, 300.0
"""A resolver that restarts is back within seconds; one that is gone need not be asked more often than this."""
REFUSED, HOOK, CAPPED = "feed-refused", "hook-failed", "feed-capped"

log = logging.getLogger("dnswatch")


class BlindSpots(Protocol):
    """Where a refused publication and a failing hook are told (``io/blind_spots.py``)."""

    def report(self, kind: str, subject: str, text: str, at: float | None = None) -> None:
        """Say that something is not seen, or not in force."""
        ...

    def clear(self, kind: str, subject: str, text: str = "") -> None:
        """Say that it is again."""
        ...


class Publishing:
    """Publishes under whatever configuration ``loaded`` gives at the time."""

    def __init__(
        self, loaded: Callable[[], Loaded], identity: Identity, store: Store, feeds: PublishedFeeds, primary: Primary,
        blind_spots: BlindSpots,
    ) -> None:  # fmt: skip
        self.rows: dict[str, dict[str, Any]] = {}  # status rows: the zones, and the hooks while one fails
        self._loaded = loaded
        self._identity = identity
        self._store = store
        self._feeds = feeds
        self._primary = primary
        self._blind_spots = blind_spots
        self._failed: tuple[hooks.Failed, ...] = ()
        self._tries = 0
        self._retry_at = 0.0

    async def publish(self) -> None:
        """Bring the published zones up to date with policy, leases, decisions and time. Raises `FeedRefused`."""
        loaded, now = self._loaded(), time.time()
        policy = with_decisions(loaded.policy, await self._store.decisions(now))
        self._tell_caps(dict(caps(policy, self._identity, now)))
        order = await self._store.ordered()
        zone = policy.feeds.zone
        try:
            rebuilt = await publish.rebuild(
                policy, self._identity, now, self._store, loaded.config.feeds_directory, on_change(loaded),
                self._primary.publish, forced=bool(order.get("force")), overdue=now >= self._retry_at,
            )  # fmt: skip
        except FeedRefused as error:
            self._blind_spots.report(REFUSED, zone, " ".join(str(error).split()))
            if order:
                await self._store.obeyed()
            raise
        self._blind_spots.clear(REFUSED, zone, "the zones are published again")
        if order:
            log.warning("feeds: published by order of %s, limits and impact aside: %s", order.get("by"),
                        order.get("because"))  # fmt: skip
            await self._store.obeyed()
        for one in rebuilt.publication.changed:
            log.info("feeds: %s has serial %d, %d rules", one.zone.name, one.serial, len(one.zone.rules))
        if rebuilt.failed or rebuilt.written or now >= self._retry_at:
            self._take(rebuilt.failed)
        snapshots = rebuilt.publication.snapshots
        if rebuilt.publication.changed or rebuilt.written or not self.rows:
            self._feeds.replace(await asyncio.to_thread(_files, rebuilt.rendered))
        self.rows = {f"feed:{one.zone.name}": self._row(one, loaded) for one in snapshots}
        self._show_hooks()

    def _tell_caps(self, reached: Mapping[str, str]) -> None:
        """Tell which bound on cutting off and on tenants is reached, and which no longer is."""
        for setting in SETTINGS:
            if setting in reached:
                self._blind_spots.report(CAPPED, setting, reached[setting])
            else:
                self._blind_spots.clear(CAPPED, setting, "there is room again")

    async def retry(self) -> None:
        """Run hooks that failed again, when it is time; ever more rarely."""
        if not self._failed or time.time() < self._retry_at:
            return
        self._take(tuple(await hooks.again(self._failed)))
        if not self._failed:
            files.owe(self._loaded().config.feeds_directory, frozenset())
        self._show_hooks()

    def _take(self, failed: tuple[hooks.Failed, ...]) -> None:
        """Note which hooks fail, tell it, and say when they are tried again."""
        for name in dict.fromkeys(one.name for one in self._failed):
            if name not in {one.name for one in failed}:
                log.info("feeds: `%s` works again", name)
                self._blind_spots.clear(HOOK, name, "it works again")
        said = {one.warning for one in self._failed}
        for one in failed:
            if one.warning not in said:
                log.warning("feeds: %s; trying again", one.warning)
            self._blind_spots.report(HOOK, one.name, one.warning)
        self._failed = failed
        self._tries = self._tries + 1 if failed else 0
        wait_s = min(FIRST_RETRY_S * 2 ** min(self._tries - 1, 10), LAST_RETRY_S) if failed else 0.0
        self._retry_at = time.time() + wait_s if failed else 0.0

    def _show_hooks(self) -> None:
        self.rows.pop("hooks", None)
        if self._failed:
            self.rows["hooks"] = {
                "failing": len(self._failed), "tries": self._tries, "retry_at": self._retry_at,
                "error": self._failed[0].warning,
            }  # fmt: skip

    @staticmethod
    def _row(one: Snapshot, loaded: Loaded) -> dict[str, Any]:
        return {
            "serial": one.serial, "rules": len(one.zone.rules), "audience": one.zone.audience, "at": one.at,
            "mode": loaded.config.feeds.mode,
        }  # fmt: skip


def on_change(loaded: Loaded) -> list[hooks.Hook]:
    """Give what the configuration wants to be done after files changed."""
    return [hooks.Hook(tuple(one.run or ()), one.signal or "", one.pidfile) for one in loaded.config.feeds.on_change]


def _files(rendered: Iterable[Rendered]) -> dict[str, FeedFile]:
    """Give every file as it is served."""
    files = {}
    for one in rendered:
        kind = {"content_type": "application/json"} if one.name.endswith(".json") else {}
        files[one.name] = FeedFile(one.name, one.content, one.serial, one.at, **kind)
    return files
