"""What a change of mode would do to the clients: zones replayed over what was seen.

Never: decides; `feed promote` shows this and refuses when an expected client would be hit. Read next: ``zones.py``.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

from dnswatch.core.clients.identity import Identity
from dnswatch.core.detect.changes import SightingRow
from dnswatch.core.feeds.claims import Lookup
from dnswatch.core.feeds.triggers import network_of
from dnswatch.core.feeds.zones import ANY, BY_CLIENT, EXEMPT, compile_zones, with_mode
from dnswatch.core.model import Client, Name, Zone
from dnswatch.core.policy import Policy


@dataclass(frozen=True, slots=True)
class Hit:
    """Attempts of one client to reach one service that the zones would have blocked."""

    client: Client
    service: str
    names: tuple[Name, ...]
    count: int
    last_at: float
    expected: bool  # the client is expected to use the service: a block would break something that works


def replay(policy: Policy, identity: Identity, at: float, rows: Iterable[SightingRow]) -> tuple[Hit, ...]:
    """Say what enforcing the policy of ``at`` would have blocked among past attempts, most attempts first."""
    zones = compile_zones(with_mode(policy, "enforce"), identity, at)
    lookups = {zone.audience: Lookup(zone.rules) for zone in zones if zone.audience not in BY_CLIENT}
    exempt = [net for zone in zones if zone.audience == EXEMPT for net in _networks(zone)]
    found: dict[tuple[str, str], Hit] = {}
    for row in rows:
        group = policy.groups.of(row.client)
        rule = lookups[group.name if group else ANY].rule(row.qname)
        if rule is None or rule.action == "passthru" or _within(row.client, exempt):
            continue
        name, mac = identity.of(row.client, row.last_at)
        client = Client(row.client, group.name if group else "", group.role if group else "", name, mac)
        expected = _expected(policy, client, row, at)
        known = found.get((row.client, row.service))
        hit = Hit(client, row.service, (row.qname,), row.count, row.last_at, expected)
        found[row.client, row.service] = _joined(known, hit) if known else hit
    return tuple(sorted(found.values(), key=lambda hit: (not hit.expected, -hit.count, hit.client.address)))


def _networks(zone: Zone) -> list[IPv4Network | IPv6Network]:
    return [ip_network(text) for rule in zone.rules if (text := network_of(rule.trigger))]


def _within(address: str, networks: list[IPv4Network | IPv6Network]) -> bool:
    value = ip_address(address)
    return any(value.version == net.version and value in net for net in networks)


def _expected(policy: Policy, client: Client, row: SightingRow, at: float) -> bool:
    """Say whether policy still expects this; who held the address by name or MAC may no longer be known."""
    if policy.expectations.judge(client, row.service, at)[0]:
        return True
    by_host = any(
        who.kind in ("name", "mac") and row.service in services
        for who, services in policy.expectations.individual(at, policy.feeds.grace_s)
    )
    return row.expected and by_host


def _joined(known: Hit, new: Hit) -> Hit:
    names = known.names if new.names[0] in known.names else (*known.names, *new.names)[:16]
    return Hit(
        client=known.client,
        service=known.service,
        names=names,
        count=known.count + new.count,
        last_at=max(known.last_at, new.last_at),
        expected=known.expected or new.expected,
    )
