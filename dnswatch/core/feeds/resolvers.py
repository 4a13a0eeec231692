"""What a resolver answers when it reads our zones: the order of zones, and of triggers within a zone, by resolver.

For each name and client the first zone that has a rule decides; within a zone a client address goes before a name, the
longest prefix before shorter ones (research rpz.md §2.1, peers.md §5). They differ in how a wildcard is read, and
dnsmasq has no zones: one list for everybody. Unbound honours a client's PASSTHRU only from an earlier zone than the one
it shall pass, and ours is.

Never: policy. Read next: ``lint.py``, which proves policy by this.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from ipaddress import IPv4Address, IPv6Address, ip_network

from dnswatch.core.clients.who import parse_address
from dnswatch.core.feeds.audiences import EXEMPT, QUARANTINE
from dnswatch.core.feeds.claims import Lookup, Semantics
from dnswatch.core.feeds.triggers import network_of
from dnswatch.core.model import Name, Rule, Zone

CONSUMERS: dict[str, Semantics] = {
    "bind": "closest-encloser",
    "dnsdist": "longest-wildcard",
    "knot": "longest-wildcard",
    "powerdns": "longest-wildcard",
    "unbound": "empty-names-match",
}
"""Resolvers with a zone for each audience, and how they read a zone."""
ORDER = (QUARANTINE, EXEMPT)
"""The zones before the audience's own; third-party feeds stand between the two."""

Address = IPv4Address | IPv6Address


class ByClient:
    """A zone of client addresses: the longest prefix decides."""

    def __init__(self, zone: Zone) -> None:
        self._tables: dict[int, dict[int, dict[int, Rule]]] = {4: {}, 6: {}}
        for rule in zone.rules:
            text = network_of(rule.trigger)
            if text is not None:
                net = ip_network(text)
                shift = net.max_prefixlen - net.prefixlen
                self._tables[net.version].setdefault(shift, {})[int(net.network_address) >> shift] = rule

    def rule(self, address: Address) -> Rule | None:
        """Give the rule for a client, or None."""
        for shift, table in sorted(self._tables[address.version].items()):
            rule = table.get(int(address) >> shift)
            if rule is not None:
                return rule
        return None


class Resolver:
    """One kind of resolver with our zones."""

    def __init__(self, zones: Iterable[Zone], consumer: str) -> None:
        by_audience = {zone.audience: zone for zone in zones}
        self._zones = by_audience
        self._first = [ByClient(by_audience[audience]) for audience in ORDER]
        self._lookups: Mapping[str, Lookup] = {
            audience: Lookup(zone.rules, CONSUMERS[consumer])
            for audience, zone in by_audience.items() if audience not in ORDER
        }  # fmt: skip

    def rules(self, audience: str) -> tuple[Rule, ...]:
        """Give the rules of an audience's zone."""
        return self._zones[audience].rules

    def rule(self, address: str, audience: str, name: Name) -> Rule | None:
        """Give the rule that decides on a client's lookup, or None; ``audience``: whose zone serves the client."""
        parsed = parse_address(address)
        for zone in self._first if parsed else ():
            assert parsed is not None
            found = zone.rule(parsed)
            if found is not None:
                return found
        return self._lookups[audience].rule(name)

    def blocks(self, address: str, audience: str, name: Name) -> bool:
        """Say whether the client gets no answer for the name."""
        rule = self.rule(address, audience, name)
        return rule is not None and rule.action != "passthru"


class Dnsmasq:
    """A dnsmasq with our servers-file: the longest suffix decides, `*.d` is what is below d."""

    def __init__(self, file: bytes) -> None:
        lines = file.decode("ascii").splitlines()
        self._entries = {line[len("server=/"):-1] for line in lines if line.startswith("server=/")}  # fmt: skip

    def blocks(self, name: Name) -> bool:
        """Say whether every client gets NXDOMAIN for the name."""
        suffix = name
        while suffix:
            if suffix in self._entries or (suffix != name and f"*.{suffix}" in self._entries):
                return True
            suffix = suffix.partition(".")[2]
        return False
