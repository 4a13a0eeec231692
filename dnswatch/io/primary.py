"""The primary server of our zones: sockets, keys, versions and NOTIFY, from the section ``dns`` of the configuration.

A zone is served from the store at once when the server starts: a version that the guard refuses later changes nothing
for consumers. Never: decides content, serves a version that is not stored. Read next: ``consumers.py``,
``publish/dns.py``, ``publish/notify.py``.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from dnswatch.config.build import groups_of
from dnswatch.config.model import Config, Consumer, Dns, Feeds
from dnswatch.config.values import split_listen
from dnswatch.core.clients.groups import Groups
from dnswatch.core.feeds.access import Access
from dnswatch.core.feeds.history import newer
from dnswatch.core.feeds.pages import Pages
from dnswatch.core.feeds.responder import Responder
from dnswatch.core.feeds.xfr import KEPT_VERSIONS, Served, Version
from dnswatch.core.feeds.zones import EVERYONE
from dnswatch.core.model import Name, Snapshot
from dnswatch.errors import StateError
from dnswatch.io.canary import BlindSpots, Canary, World
from dnswatch.io.consumers import Consumers, reachable
from dnswatch.io.publish.dns import DnsServer
from dnswatch.io.publish.notify import Notifier, Target

_READER: Mapping[str, Any] = {
    "behind": [], "behind_count": 0, "zones": {}, "fetched_at": None, "notified_at": None, "error": "", "failing": 0,
}  # fmt: skip
"""What a status row of a resolver that reads files has in place of transfers."""

log = logging.getLogger("dnswatch")


class History(Protocol):
    """The part of the store that keeps versions."""

    async def latest_snapshots(self) -> Mapping[Name, Snapshot]:
        """Give the newest version of every zone ever published."""
        ...

    async def snapshots(self, zone: Name, most: int = ...) -> list[Snapshot]:
        """Give versions of one zone, the newest first."""
        ...


class Primary:
    """Serves zones by DNS while the configuration has a section ``dns``; else it does nothing."""

    def __init__(self, history: History, blind_spots: BlindSpots) -> None:
        self.server: DnsServer | None = None
        self.canary = Canary(blind_spots)
        self._groups = Groups()
        self._feeds = Feeds()
        self._written: Mapping[Name, Snapshot] = {}  # as files
        self._history = history
        self._responder = Responder()
        self._notifier = Notifier()
        self._settings: Dns | None = None
        self._consumers: Consumers | None = None
        self._context: ssl.SSLContext | None = None
        self._serving = asyncio.Lock()

    async def configure(self, config: Config, *, later: bool = False) -> None:
        """Follow the configuration: start, listen elsewhere, take other keys and certificates, stop.

        ``later``: the stored versions are large, and the next publication hands them over (`serve_made`). Raises
        `StateError`, and nothing has changed then.
        """
        settings = config.dns
        if settings is None:
            await self.stop()
            self._feeds, self._groups = config.feeds, groups_of(config)
            return
        context = tls_context(settings)
        if not self._responder.zones and not later:
            await self._serve()
        before, access = self._settings, self._responder.access
        consumers = Consumers(settings, config.feeds.zone)
        self._responder.access = consumers.access
        try:
            if self.server is None or before is None or _sockets(before) != _sockets(settings):
                await self._restart(settings, context, before)
            elif self._context is not None and settings.tls is not None:
                _load(self._context, settings.tls.cert, settings.tls.key)
        except StateError:
            self._responder.access = access
            raise
        self._settings, self._consumers = settings, consumers
        self._feeds, self._groups = config.feeds, groups_of(config)
        targets = {target: served.serial for zone, served in self._responder.zones.items()
                   for target in self._targets(zone)}  # fmt: skip
        await self._notifier.forget(keep=targets)
        for target, serial in targets.items():
            if target not in self._notifier.told:
                self._notifier.tell([target], serial)

    async def publish(self, snapshots: Sequence[Snapshot]) -> None:
        """Serve these versions, which are stored, and tell consumers of those that are new."""
        self._written = {one.zone.name: one for one in snapshots}
        if self._settings is not None:
            await self._serve(snapshots)

    @property
    def wanted(self) -> bool:
        """Say whether anybody fetches zones from here."""
        return self._settings is not None

    @property
    def empty(self) -> bool:
        """Say whether zones are wanted, and there are none yet."""
        return self.wanted and not self._responder.zones

    async def serve_stored(self) -> None:
        """Serve the newest stored versions; for what a child could not be had for."""
        if self.wanted:
            await self._serve()

    async def serve_made(self, versions: Sequence[Version], written: bool) -> None:
        """Serve versions whose pages another process made; they are stored. ``written``: as files, too."""
        if written:
            self._written = {one.snapshot.zone.name: one.snapshot for one in versions}
        if self._settings is not None:
            async with self._serving:
                self._replace(await asyncio.to_thread(self._made, versions))

    def _made(self, versions: Sequence[Version]) -> dict[Name, Served]:
        zones: dict[Name, Served] = {}
        for one in versions:
            name, served = one.snapshot.zone.name, self._responder.zones.get(one.snapshot.zone.name)
            if served is not None and (one.pages is None or not newer(one.snapshot.serial, served.serial)):
                zones[name] = served
            elif one.pages is not None:
                zones[name] = Served.made(one, served)
        return zones

    async def look(self) -> None:
        """Ask consumers whether they answer from what is served; who does not is told of it once more."""
        if self._consumers is None and not self._feeds.resolvers:
            self.canary.forget()
            return
        served = {zone: one.current for zone, one in self._responder.zones.items()}
        await self.canary.look(World(self._consumers, served, self._groups, self._fetched, self._source,
                                     self._feeds.resolvers, self._written, self._feeds.canary))  # fmt: skip
        # Who has fetched what was published while it was asked is not ahead of us.
        now = self._responder.zones
        self.canary.ahead = {zone: serial for zone, serial in self.canary.ahead.items()
                             if zone in now and newer(serial, now[zone].serial)}  # fmt: skip
        for consumer, copy in self.canary.behind:
            targets = [one for one in self._targets(copy.zone) if one.consumer == consumer
                       and copy.view in ("", one.key.name if one.key else "")]  # fmt: skip
            if copy.zone in served:
                self._notifier.tell(targets, served[copy.zone].serial)

    def _fetched(self, consumer: str, zone: Name) -> int | None:
        one = self.server.transfers.get((consumer, zone)) if self.server else None
        return one.serial if one else None

    async def _serve(self, snapshots: Iterable[Snapshot] | None = None) -> None:
        """Serve these versions, or the newest stored ones; one call after the other, and never an older version.

        Reading the store lets others run: without the lock two publications could interleave, and the older one win.
        """
        async with self._serving:
            if snapshots is None:
                snapshots = (await self._history.latest_snapshots()).values()
            self._replace(await self._served([one for one in snapshots if one.zone.audience != EVERYONE]))

    def _replace(self, zones: dict[Name, Served]) -> None:
        """Serve these, and tell consumers of those that are new."""
        before, self._responder.zones = self._responder.zones, zones
        for name, served in zones.items():
            known = before.get(name)
            if known is None or known.serial != served.serial:
                self._notifier.tell(self._targets(name), served.serial)

    async def _served(self, snapshots: Iterable[Snapshot]) -> dict[Name, Served]:
        """Make pages of these versions, beside the loop: a million rules take seconds the first time."""
        now = self._responder.zones
        pages = Pages(page for served in now.values() for page in served.pages)
        zones: dict[Name, Served] = {}
        for one in snapshots:
            served, name = now.get(one.zone.name), one.zone.name
            if served is None:
                past = await self._history.snapshots(name, KEPT_VERSIONS)
                zones[name] = await asyncio.to_thread(Served, one, past, pages)
            elif newer(served.serial, one.serial):
                zones[name] = served
            else:
                zones[name] = await asyncio.to_thread(served.followed_by, one, pages)
        return zones

    async def stop(self) -> None:
        """Stop serving and telling."""
        await self._notifier.forget()
        if self.server is not None:
            await self.server.stop()
            log.info("zones: no longer served over DNS")
        self.server = self._settings = self._consumers = self._context = None
        self._responder.zones = {}
        self._responder.access = Access()

    async def _restart(self, settings: Dns, context: ssl.SSLContext | None, before: Dns | None) -> None:
        """Listen as the settings say; first no longer where we listened before, for it may be the same port."""
        old, old_context = self.server, self._context
        if old is not None:
            await old.stop()
        server = DnsServer(self._responder)
        try:
            await server.start(*_places(settings, context))
        except StateError:
            if old is not None and before is not None:
                try:
                    await old.start(*_places(before, old_context))
                except StateError as error:
                    # Listening nowhere, and known to be: the next reload begins from nothing, instead of finding
                    # the addresses of before unchanged and a server that is deaf.
                    self.server = self._context = None
                    log.error("zones are served nowhere until a reload: %s", error)
            raise
        if old is not None:
            server.transfers = old.transfers
            server.counters = old.counters
        self.server, self._context = server, context
        for address, port, kind in server.addresses:
            where = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
            log.info("zones on %s (%s)", where, "TLS" if kind == "tls" else "UDP and TCP")

    # ── Showing ───────────────────────────────────────────────────────────────────────────────────────────────

    def _targets(self, zone: Name) -> Iterator[Target]:
        """Yield whom to tell of a new version of the zone."""
        if self._consumers is not None:
            yield from self._consumers.targets(zone, self._source)

    def _source(self, address: str) -> str:
        """Give the address of ours that the consumer knows: one that we listen on, of its family."""
        ours = reachable((one for one, _, _ in self.server.addresses), address) if self.server else []
        return ours[0] if ours else ""

    def rows(self) -> dict[str, dict[str, Any]]:
        """Give the status rows: the server, and each consumer with the versions that it has fetched."""
        rows = {f"consumer:{one.name}": {**_READER, "type": one.type, "address": one.address,
                                         **self.canary.row(one.name)} for one in self._feeds.resolvers}  # fmt: skip
        for row in rows.values():
            row["copies"] = [{**copy, "notified_at": None, "notify_error": ""} for copy in row["copies"]]
        if self.server is None or self._settings is None:
            return rows
        server = self.server
        rows |= {
            "dns": {
                "listen": [f"{address}:{port}/{kind}" for address, port, kind in server.addresses],
                "zones": {name: served.serial for name, served in sorted(self._responder.zones.items())},
                "connections": server.connections, "replies": dict(sorted(server.counters.items())),
                "notifies": self._notifier.sent,
            }
        }  # fmt: skip
        for one in self._settings.consumers:
            rows[f"consumer:{one.name}"] = self._consumer_row(one, server)
        return rows

    def _consumer_row(self, consumer: Consumer, server: DnsServer) -> dict[str, Any]:
        had = {zone: one for (name, zone), one in sorted(server.transfers.items()) if name == consumer.name}
        told = {target: one for target, one in self._notifier.told.items() if target.consumer == consumer.name}
        behind = [zone for zone, one in had.items()
                  if zone in self._responder.zones and one.serial != self._responder.zones[zone].serial]  # fmt: skip
        errors = sorted({one.error for one in told.values() if one.error})
        row = {
            "type": consumer.type, "address": consumer.address, "behind": behind, "behind_count": len(behind),
            "zones": {zone: {"serial": one.serial, "kind": one.kind, "at": one.at} for zone, one in had.items()},
            "fetched_at": max((one.at for one in had.values()), default=None),
            "notified_at": max((one.at for one in told.values()), default=0.0) or None,
            "error": errors[0] if errors else "", "failing": int(bool(errors)), **self.canary.row(consumer.name),
        }  # fmt: skip
        for copy in row["copies"]:
            notified = next((one for target, one in told.items() if target.zone == copy["zone"]
                             and copy["view"] in ("", target.key.name if target.key else "")), None)  # fmt: skip
            copy["notified_at"] = notified.at or None if notified else None
            copy["notify_error"] = notified.error if notified else ""
        return row


def _sockets(settings: Dns) -> tuple[tuple[str, ...], str]:
    return tuple(settings.listen), settings.tls.listen if settings.tls else ""


def _places(
    settings: Dns, context: ssl.SSLContext | None
) -> tuple[list[tuple[str, int]], tuple[str, int, ssl.SSLContext] | None]:
    listen = [(one.host, one.port) for one in map(split_listen, settings.listen)]
    if settings.tls is None or context is None:
        return listen, None
    tls = split_listen(settings.tls.listen)
    return listen, (tls.host, tls.port, context)


def tls_context(settings: Dns) -> ssl.SSLContext | None:
    """Make the TLS side: 1.3 only, ALPN ``dot`` for those who ask for it (RFC 9103 §7.1)."""
    if settings.tls is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.set_alpn_protocols(["dot"])
    _load(context, settings.tls.cert, settings.tls.key)
    return context


def _load(context: ssl.SSLContext, cert: Path, key: Path) -> None:
    """Take certificate and key from their files; handshakes from now on use them."""
    try:
        context.load_cert_chain(cert, key, password=lambda: "")
    except ssl.SSLError as error:
        why = error.reason.replace("_", " ").lower() if error.reason else "not PEM files"
        raise StateError(f"cannot use dns.tls: {cert} and {key}: {why}") from error
    except OSError as error:
        unreadable = next((path for path in (cert, key) if not path.is_file()), cert)
        raise StateError(f"cannot use dns.tls: cannot read {unreadable}: {error.strerror}") from error
