"""The feeds of a running daemon: published when something changed, refused loudly, hooks tried until they work.

Never: decides content (``core/feeds/publication.py``) or who is told (``primary.py``). Read next: ``publish/``.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from dnswatch.config.build import Loaded
from dnswatch.core.clients.identity import Identity
from dnswatch.core.feeds import inputs
from dnswatch.core.feeds.caps import SETTINGS, caps
from dnswatch.core.feeds.history import outline
from dnswatch.core.feeds.publication import Rendered
from dnswatch.core.feeds.zones import EVERYONE, with_decisions
from dnswatch.core.model import Name, Snapshot
from dnswatch.core.policy import Policy
from dnswatch.errors import FeedRefused
from dnswatch.io import packed, publish
from dnswatch.io.packed import FeedFile
from dnswatch.io.press import Press, Task, is_large
from dnswatch.io.primary import Primary
from dnswatch.io.publish import files, hooks
from dnswatch.io.store import Store
from dnswatch.io.web.feeds import PublishedFeeds

FIRST_RETRY_S, LAST_RETRY_S = 2.0, 300.0
"""A resolver that restarts is back within seconds; one that is gone need not be asked more often than this."""
REFUSED_AGAIN_S = 900.0
"""A large publication that was refused is made again after so long where nothing else has changed: what clients looked
up counts, too, and making it to be refused again takes 20 s of CPU (a million rules)."""
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


@dataclass(frozen=True, slots=True)
class Inputs:
    """What a publication was made from, and what it left: while all of it holds, another one changes nothing."""

    loaded: Loaded
    policy: inputs.Inputs
    heads: Mapping[Name, tuple[int, float]]
    files: Mapping[Path, files.Stamp]


@dataclass(frozen=True, slots=True)
class Refusal:
    """What the guard has said of what would be made from this."""

    loaded: Loaded
    policy: inputs.Inputs
    heads: Mapping[Name, tuple[int, float]]
    why: str
    until: float  # monotonic; then it is asked again


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a publication did, wherever it was made."""

    zones: tuple[tuple[Snapshot, int], ...]  # outlines, and how many rules each has
    changed: frozenset[Name]
    written: bool  # any file
    failed: tuple[hooks.Failed, ...]
    files: tuple[FeedFile, ...]


class Publishing:
    """Publishes under whatever configuration ``loaded`` gives at the time."""

    def __init__(
        self, loaded: Callable[[], Loaded], identity: Identity, store: Store, feeds: PublishedFeeds, primary: Primary,
        blind_spots: BlindSpots,
    ) -> None:  # fmt: skip
        self.rows: dict[str, dict[str, Any]] = {}  # status rows: the zones, and the hooks while one fails
        self.skipped = 0  # publications that would have changed nothing
        self._loaded = loaded
        self._identity = identity
        self._store = store
        self._feeds = feeds
        self._primary = primary
        self._blind_spots = blind_spots
        self._press = Press()
        self._failed: tuple[hooks.Failed, ...] = ()
        self._tries = 0
        self._retry_at = 0.0
        self._last: Inputs | None = None
        self._refused: Refusal | None = None
        self._made: dict[str, FeedFile] = {}  # by this process: the same serial, the same bytes
        self._whole: frozenset[str] = frozenset()  # sums of packed files that are there
        self._stamped: Mapping[Path, files.Stamp] = {}  # as the last publication left them

    async def begin(self) -> None:
        """Serve over HTTP what was served last, until the first publication."""
        kept = await asyncio.to_thread(packed.load, self._served)
        await self._sweep(kept)
        self._whole = frozenset(one.sha256 for one in kept)
        self._feeds.replace(kept)

    async def stop(self) -> None:
        """Let go of a publication that is made in a child: the next start makes it anew."""
        await self._press.stop()

    @property
    def _served(self) -> Path:
        return self._store.path.parent / packed.FOLDER

    async def publish(self) -> None:
        """Bring the published zones up to date with policy, leases, decisions and time. Raises `FeedRefused`."""
        loaded, now = self._loaded(), time.time()
        policy = with_decisions(loaded.policy, await self._store.decisions(now))
        order = await self._store.ordered()
        # With what leases say now: they change while this is read in a thread.
        known = self._identity.copy() if any(inputs.by_lease(policy)) else None
        depends = await asyncio.to_thread(inputs.inputs, policy, known, now)
        self._tell_caps(dict(caps(policy, self._identity, now)))
        zone = policy.feeds.zone
        if not order and await self._is_same(loaded, depends):
            self.skipped += 1
            self._blind_spots.clear(REFUSED, zone, "what is published is what is wanted again")
            return
        if not order and (why := await self._refusal(loaded, depends)):
            self._blind_spots.report(REFUSED, zone, " ".join(why.split()))
            raise FeedRefused(why)
        await asyncio.to_thread(self._distrust)
        try:
            identity = known or self._identity.copy()
            outcome = await self._make(loaded, policy, identity, now, forced=bool(order.get("force")))
        except FeedRefused as error:
            self._blind_spots.report(REFUSED, zone, " ".join(str(error).split()))
            await self._sweep(self._feeds.files)
            if order:
                await self._store.obeyed()
            if is_large(policy):
                again_at = time.monotonic() + REFUSED_AGAIN_S
                self._refused = Refusal(loaded, depends, await self._store.heads(), str(error), again_at)
            raise
        except OSError:
            await self._sweep(self._feeds.files)
            raise
        self._refused = None
        self._blind_spots.clear(REFUSED, zone, "the zones are published again")
        if order:
            log.warning("feeds: published by order of %s, limits and impact aside: %s", order.get("by"),
                        order.get("because"))  # fmt: skip
            await self._store.obeyed()
        for one, count in outcome.zones:
            if one.zone.name in outcome.changed:
                log.info("feeds: %s has serial %d, %d rules", one.zone.name, one.serial, count)
        if outcome.failed or outcome.written or now >= self._retry_at:
            self._take(outcome.failed)
        self._feeds.replace(outcome.files)
        await asyncio.to_thread(packed.keep, self._served, outcome.files)
        self._made = {one.name: one for one in outcome.files}
        self._whole = frozenset(one.sha256 for one in outcome.files)
        self.rows = {f"feed:{one.zone.name}": self._row(one, count, loaded) for one, count in outcome.zones}
        self._show_hooks()
        heads = {one.zone.name: (one.serial, one.at) for one, _ in outcome.zones}
        stamps = await asyncio.to_thread(self._stamps, loaded)
        # Read after that: what somebody touched before the stamps were taken must not count as left by us.
        touched = await asyncio.to_thread(files.differ, loaded.config.feeds_directory, outcome.files)
        self._stamped = stamps
        self._last = None if touched else Inputs(loaded, depends, heads, stamps)

    async def _is_same(self, loaded: Loaded, depends: inputs.Inputs) -> bool:
        """Say whether publishing would change nothing: not a zone, not a file, nor repair one."""
        last = self._last
        if last is None or last.loaded is not loaded or last.policy != depends or self._primary.empty:
            return False
        return last.heads == await self._store.heads() and last.files == await asyncio.to_thread(self._stamps, loaded)

    async def _refusal(self, loaded: Loaded, depends: inputs.Inputs) -> str:
        """Say why publishing would only be refused once more; empty: it may not be."""
        last = self._refused
        if last is None or last.loaded is not loaded or last.policy != depends or self._primary.empty:
            return ""
        return last.why if time.monotonic() < last.until and last.heads == await self._store.heads() else ""

    def _distrust(self) -> None:
        """Make those packed files anew that somebody has touched since the last publication."""
        touched = {path for path, stamp in self._stamped.items() if files.stamp(path) != stamp}
        self._whole -= {one.sha256 for one in self._made.values() if one.path in touched}

    async def _sweep(self, served: Iterable[FeedFile]) -> None:
        """Remove what attempts that failed have left: each has made other files."""
        with suppress(OSError):
            await asyncio.to_thread(packed.sweep, self._served, served)

    def _stamps(self, loaded: Loaded) -> dict[Path, files.Stamp]:
        """Give what tells of each file, as published and as served, that somebody has touched it."""
        directory = loaded.config.feeds_directory
        paths = [path for one in self._made.values() for path in (directory / one.name, one.path)]
        return {path: files.stamp(path) for path in paths}

    async def _make(self, loaded: Loaded, policy: Policy, identity: Identity, now: float, *, forced: bool) -> Outcome:
        """Publish here, or in a child where that takes long."""
        after, overdue = on_change(loaded), now >= self._retry_at
        if is_large(policy):
            return await self._make_apart(loaded, policy, identity, now, after, forced=forced)
        rebuilt = await publish.rebuild(
            policy, identity, now, self._store, loaded.config.feeds_directory, after, self._primary.publish,
            forced=forced, overdue=overdue,
        )  # fmt: skip
        served = await asyncio.to_thread(self._pack, rebuilt.rendered)
        zones = tuple((outline(one), len(one.zone.rules)) for one in rebuilt.publication.snapshots)
        changed = frozenset(one.zone.name for one in rebuilt.publication.changed)
        return Outcome(zones, changed, bool(rebuilt.written), rebuilt.failed, served)

    def _pack(self, rendered: Iterable[Rendered]) -> tuple[FeedFile, ...]:
        return tuple(packed.pack(self._served, one, self._whole) for one in rendered)

    async def _make_apart(
        self, loaded: Loaded, policy: Policy, identity: Identity, now: float, after: Sequence[hooks.Hook], *,
        forced: bool,
    ) -> Outcome:  # fmt: skip
        primary, config = self._primary, loaded.config
        task = Task(
            policy, identity, now, self._store.path, config.feeds_directory, self._served, forced, bool(after),
            now >= self._retry_at, frozenset() if primary.wanted else None, primary.empty, self._made, self._whole,
        )  # fmt: skip
        try:
            planned, written = await self._press.publish(task, self._store, primary.serve_made)
        except OSError:
            if primary.empty:  # then here, however long it takes: consumers go on with the last good version
                await primary.serve_stored()
            raise
        zones = tuple((one.snapshot, one.rules) for one in planned.zones)
        failed: list[hooks.Failed] = []
        if written.due:
            names = [one.zone.name for one, _ in zones if one.zone.audience != EVERYONE]
            failed = await hooks.run(after, [name for name in names if f"{name}.zone" in written.due])
            if not failed:
                await asyncio.to_thread(files.owe, config.feeds_directory, frozenset())
        changed = frozenset(one.zone for one in planned.changed)
        return Outcome(zones, changed, bool(written.names), tuple(failed), written.files)

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
    def _row(one: Snapshot, rules: int, loaded: Loaded) -> dict[str, Any]:
        return {
            "serial": one.serial, "rules": rules, "audience": one.zone.audience, "at": one.at,
            "mode": loaded.config.feeds.mode,
        }  # fmt: skip


def on_change(loaded: Loaded) -> list[hooks.Hook]:
    """Give what the configuration wants to be done after files changed."""
    return [hooks.Hook(tuple(one.run or ()), one.signal or "", one.pidfile) for one in loaded.config.feeds.on_change]
