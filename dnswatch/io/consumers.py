"""The resolvers that fetch zones: what each may have, and whom to tell of which zone, signed with which key.

Never: opens a socket. Read next: ``primary.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from ipaddress import ip_network

from dnswatch.config.model import Consumer, Dns
from dnswatch.core.feeds.access import Access, Grant
from dnswatch.core.feeds.tsig import Key
from dnswatch.core.feeds.zones import BY_CLIENT
from dnswatch.core.model import Name
from dnswatch.io.publish.notify import Target


class Consumers:
    """The consumers of one configuration; ``parent`` is the parent of all zones."""

    def __init__(self, settings: Dns, parent: Name) -> None:
        self._settings = settings
        self._parent = parent
        self._keys = {name: Key(name, key.algorithm, key.octets) for name, key in settings.keys.items()}
        usual = [ip_network(text) for one in settings.consumers for text in (one.address, *one.networks)]
        self.access = Access(self._keys.values(), self._grants(), usual)

    def _grants(self) -> Iterator[Grant]:
        """Yield who may have which zones."""
        for one in self._settings.consumers:
            networks = tuple(ip_network(network) for network in one.networks)
            zones = frozenset(map(self._zone, one.zones)) if one.zones else None
            for audience, key in one.views.items():
                yield Grant(one.name, key, networks, frozenset(map(self._zone, (audience, *BY_CLIENT))))
            if one.key:
                yield Grant(one.name, one.key, networks, zones)
            elif not one.views:
                yield Grant(one.name, "", (ip_network(one.address), *networks), zones)

    def targets(self, zone: Name, source: Callable[[str], str]) -> Iterator[Target]:
        """Yield whom to tell of a new version. ``source`` gives our address for one of a consumer."""
        for one in self._settings.consumers:
            if one.notify and (not one.zones or zone in map(self._zone, one.zones)):
                for key in self._keys_for(one, zone):
                    yield Target(one.name, one.address, one.port, zone, key, source(one.address))

    def _keys_for(self, consumer: Consumer, zone: Name) -> list[Key | None]:
        """Give the keys to sign with: BIND hands a NOTIFY to the view that its key opens, each view has ``exempt``
        and ``quarantine``."""
        if consumer.views:
            names = [key for audience, key in consumer.views.items()
                     if zone in map(self._zone, (audience, *BY_CLIENT))]  # fmt: skip
            return [self._keys[name] for name in dict.fromkeys(names)]
        return [self._keys[consumer.key] if consumer.key else None]

    def _zone(self, audience: str) -> Name:
        return f"{audience}.{self._parent}"
