"""Which group a client address belongs to: the longest matching prefix wins, so groups may nest.

Never: knows names or MACs (``identity.py``) or what a group may do (``expectations.py``, read next).
"""

from __future__ import annotations

from collections.abc import Iterable

from dnswatch.core.clients.who import parse_address, parse_network
from dnswatch.core.model import Group

CACHE_SIZE = 65_536
"""Addresses remembered with their group; emptied when full. A /16 of clients fits (about 8 MB)."""


class Groups:
    """Every group, and the way from an address to its group. Immutable but for a bounded cache."""

    __slots__ = ("_cache", "_tables", "all")

    def __init__(self, groups: Iterable[Group] = ()) -> None:
        """Index the groups' networks; raise `ValueError` when one prefix or one name is used twice."""
        self.all = tuple(groups)
        if len({group.name for group in self.all}) != len(self.all):
            raise ValueError("two groups have one name")
        # IP version → [(bits to cut off, {cut prefix: group})], longest prefix first
        tables: dict[int, dict[int, dict[int, Group]]] = {4: {}, 6: {}}
        for group in self.all:
            for text in group.networks:
                network = parse_network(text)
                shift = network.max_prefixlen - network.prefixlen
                table = tables[network.version].setdefault(shift, {})
                other = table.setdefault(int(network.network_address) >> shift, group)
                if other is not group:
                    raise ValueError(f"{network} is in group {other.name} and in group {group.name}")
        self._tables = {version: sorted(table.items()) for version, table in tables.items()}
        self._cache: dict[str, Group | None] = {}

    def of(self, address: str) -> Group | None:
        """Give the group of an address, or None when it is in none (or is no address)."""
        if not self.all:
            return None
        cache = self._cache
        try:
            return cache[address]
        except KeyError:
            pass
        if len(cache) >= CACHE_SIZE:
            cache.clear()
        found = cache[address] = self._find(address)
        return found

    def get(self, name: str) -> Group | None:
        """Give the group of that name."""
        return next((group for group in self.all if group.name == name), None)

    def _find(self, text: str) -> Group | None:
        number, version = _ipv4(text), 4
        if number is None:
            address = parse_address(text)
            if address is None:
                return None
            number, version = int(address), address.version
        for shift, table in self._tables[version]:
            group = table.get(number >> shift)
            if group is not None:
                return group
        return None


_OCTETS = {str(number): number for number in range(256)}


def _ipv4(text: str) -> int | None:
    """Read a canonical IPv4 address in 0.4 µs, `parse_address` takes 4: a flood of forged clients misses the cache."""
    try:
        a, b, c, d = text.split(".")
        return _OCTETS[a] << 24 | _OCTETS[b] << 16 | _OCTETS[c] << 8 | _OCTETS[d]
    except (ValueError, KeyError):
        return None
