"""Who may have which zone: by TSIG key, or by address where the consumer has no key.

Unbound has no TSIG (research rpz.md §0.2), so it is known by its addresses; several, because its TCP does not keep to
the address of its UDP (§2.3). Never: a default that lets anybody in. Read next: ``responder.py``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network

from dnswatch.core.clients.who import parse_address
from dnswatch.core.feeds.tsig import Key
from dnswatch.core.model import Name


@dataclass(frozen=True, slots=True)
class Grant:
    """A consumer may have these zones when it shows this key, or, without one, from these networks."""

    consumer: str
    key: Name = ""  # "" = known by address alone
    networks: tuple[IPv4Network | IPv6Network, ...] = ()  # with a key: empty = from anywhere
    zones: frozenset[Name] | None = None  # None = every zone

    def holds(self, key: Name, address: str) -> bool:
        """Say whether who shows ``key`` ("" for none) from ``address`` is this consumer."""
        if key != self.key:
            return False
        if key and not self.networks:
            return True
        parsed = parse_address(address)
        return parsed is not None and any(parsed in network for network in self.networks)

    def covers(self, zone: Name) -> bool:
        """Say whether the zone is one of those granted."""
        return self.zones is None or zone in self.zones


class Access:
    """Every key and every grant."""

    def __init__(
        self, keys: Iterable[Key] = (), grants: Iterable[Grant] = (), usual: Iterable[IPv4Network | IPv6Network] = ()
    ) -> None:
        """``usual``: where consumers come from as a rule, with a key or without."""
        self.keys: Mapping[Name, Key] = {key.name: key for key in keys}
        self.grants = tuple(grants)
        self._usual = frozenset(usual)

    def is_usual(self, address: str) -> bool:
        """Say whether consumers usually come from this address. It proves nothing; it keeps a seat free for them."""
        parsed = parse_address(address)
        return parsed is not None and any(parsed in network for network in self._usual)

    def of(self, key: Name, address: str, zone: Name) -> Grant | None:
        """Give the grant that lets who shows this key from this address have the zone; None: nobody may."""
        return next((one for one in self.grants if one.holds(key, address) and one.covers(zone)), None)
