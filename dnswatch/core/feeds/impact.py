"""What publishing does to the clients: zones replayed over what was seen.

Never: decides; `feed promote` and `feed impact` show this, and the guard refuses by it. Read next: ``zones.py``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

from dnswatch.core.clients.expectations import describe
from dnswatch.core.clients.identity import Identity
from dnswatch.core.detect.changes import SightingRow
from dnswatch.core.feeds.claims import Lookup
from dnswatch.core.feeds.guard import Fault
from dnswatch.core.feeds.triggers import network_of
from dnswatch.core.feeds.verdicts import Spoken, manual_blocks
from dnswatch.core.feeds.zones import ANY, BY_CLIENT, EXEMPT, QUARANTINE, compile_zones, with_mode
from dnswatch.core.model import Client, Name, Zone
from dnswatch.core.policy import Policy

DAYS = 7
"""How far the guard looks back: a week has every kind of day."""


@dataclass(frozen=True, slots=True)
class Hit:
    """Attempts of one client to reach one service that the zones would have blocked."""

    client: Client
    service: str
    names: tuple[Name, ...]
    count: int
    last_at: float
    expected: bool  # the client is expected to use the service: a block would break something that works
    audience: str = ""  # whose zone blocks: a group, "any", "quarantine"
    ordered: bool = False  # an operator said so of this very client or name, although it is expected


@dataclass(frozen=True, slots=True)
class Effect:
    """What an audience's zone does to the lookups of one service."""

    audience: str
    service: str
    expected: int  # clients that are expected to use it
    others: int
    count: int
    last_at: float


def replay(
    policy: Policy, identity: Identity, at: float, rows: Iterable[SightingRow], made: Iterable[Zone] = ()
) -> tuple[Hit, ...]:
    """Say what enforcing the policy of ``at`` would have blocked among past attempts, most attempts first.

    ``made``: the zones of that policy, where somebody has compiled them already.
    """
    compiled = tuple(made) or compile_zones(with_mode(policy, "enforce"), identity, at)
    zones = {zone.audience: zone for zone in compiled}
    lookups: dict[str, Lookup] = {}  # of the audiences that asked for anything
    spoken = {audience: Spoken(manual_blocks(policy, audience, at)) for audience in zones if audience not in BY_CLIENT}
    exempt, cut_off = _networks(zones[EXEMPT]), _networks(zones[QUARANTINE])
    found: dict[tuple[str, str], Hit] = {}
    for row in rows:
        group = policy.groups.of(row.client)
        audience = group.name if group else ANY
        isolated = _within(row.client, cut_off)
        if not isolated:
            if audience not in lookups:
                lookups[audience] = Lookup(zones[audience].rules)
            rule = lookups[audience].rule(row.qname)
            if rule is None or rule.action == "passthru" or _within(row.client, exempt):
                continue
        name, mac = identity.of(row.client, row.last_at)
        client = Client(row.client, group.name if group else "", group.role if group else "", name, mac)
        by_hand = isolated or spoken[audience].overrides(row.qname, "expected")
        hit = Hit(client, row.service, (row.qname,), row.count, row.last_at, _expected(policy, client, row, at),
                  QUARANTINE if isolated else audience, by_hand)  # fmt: skip
        known = found.get((row.client, row.service))
        found[row.client, row.service] = _joined(known, hit) if known else hit
    return tuple(sorted(found.values(), key=lambda hit: (not hit.expected, -hit.count, hit.client.address)))


def effects(hits: Iterable[Hit]) -> tuple[Effect, ...]:
    """Sum hits up by audience and service, those first that hit expected clients."""
    found: dict[tuple[str, str], Effect] = {}
    for hit in hits:
        known = found.get((hit.audience, hit.service)) or Effect(hit.audience, hit.service, 0, 0, 0, 0.0)
        found[hit.audience, hit.service] = Effect(
            hit.audience, hit.service, known.expected + hit.expected, known.others + (not hit.expected),
            known.count + hit.count, max(known.last_at, hit.last_at),
        )  # fmt: skip
    return tuple(sorted(found.values(), key=lambda one: (-one.expected, -one.count, one.audience, one.service)))


def impact_faults(policy: Policy, hits: Iterable[Hit], at: float) -> Iterator[Fault]:
    """Yield a fault for each client that would be hit and is expected to use the service, as it is known now."""
    for hit in hits:
        if hit.expected and not hit.ordered and policy.expectations.judge(hit.client, hit.service, at)[0]:
            text = (f"{describe(hit.client)} is expected to use {hit.service}, did so {hit.count} times lately "
                    f"({', '.join(hit.names[:3])}), and would be blocked: see `dnswatch feed impact`")  # fmt: skip
            yield Fault("impact", text)


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
        audience=new.audience,
        ordered=known.ordered and new.ordered,
    )
