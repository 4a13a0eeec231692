"""The proof that nobody who is expected is blocked.

It is complete, not a sample. Networks nest or lie apart, so the addresses that policy cannot tell apart are finitely
many cells, each with a member that stands for all; names likewise: below a name that no rule and no catalogue entry
mentions everything is read alike. Each cell is read with each resolver's own precedence (``resolvers.py``), and
dnsmasq's list as the bytes that it would load.

Never: repairs. Read next: ``lint.py``, which has more to say; ``guard.py``, which refuses what this calls an error.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

from dnswatch.core.clients.expectations import covers as covers_client
from dnswatch.core.clients.expectations import describe
from dnswatch.core.clients.identity import Identity
from dnswatch.core.feeds import guard
from dnswatch.core.feeds.audiences import (
    ANY,
    BY_CLIENT,
    EVERYONE,
    EXEMPT,
    PROBE,
    QUARANTINE,
    api_names,
    expected_services,
    service_of,
)
from dnswatch.core.feeds.claims import Semantics
from dnswatch.core.feeds.clients import networks_of
from dnswatch.core.feeds.flaws import Flaw
from dnswatch.core.feeds.formats import FORMATS
from dnswatch.core.feeds.resolvers import CONSUMERS, ByClient, Dnsmasq, Resolver
from dnswatch.core.feeds.triggers import network_of
from dnswatch.core.feeds.verdicts import Spoken, manual_blocks
from dnswatch.core.feeds.zones import compile_everyone
from dnswatch.core.model import Client, Name, Rule, Snapshot, Zone
from dnswatch.core.policy import Policy

Network = IPv4Network | IPv6Network


def proof(policy: Policy, identity: Identity, at: float, zones: tuple[Zone, ...]) -> Iterator[Flaw]:
    """Yield an error for each (cell of clients, service) that is expected and blocked in some resolver."""
    alike: dict[Semantics, list[str]] = {}
    for consumer, reading in CONSUMERS.items():
        alike.setdefault(reading, []).append(consumer)
    resolvers = {", ".join(consumers): Resolver(zones, consumers[0]) for consumers in alike.values()}
    by_audience = {zone.audience: zone for zone in zones}
    cut_off, exempt = ByClient(by_audience[QUARANTINE]), ByClient(by_audience[EXEMPT])
    broken: dict[tuple[str, str], list[str]] = {}
    for client in cells(policy, identity, at, zones):
        address = ip_address(client.address)
        expected = expected_of(policy, client, at)
        if cut_off.rule(address) is not None:
            if expected:
                text = f"{describe(client)} is cut off, also from what it is expected to use: {', '.join(expected)}"
                yield Flaw("note", "override", client.address, text)
            continue
        if exempt.rule(address) is not None:
            continue
        audience = client.group or ANY
        for service in expected:
            if (audience, service) not in broken:
                broken[audience, service] = list(_broken(policy, resolvers, client, service, at))
            for text in broken[audience, service]:
                yield Flaw("error", "expected-blocked", f"{audience} {service}", f"{describe(client)}: {text}")


def cells(policy: Policy, identity: Identity, at: float, zones: Iterable[Zone]) -> Iterator[Client]:
    """Yield one client of each set of addresses that policy cannot tell apart, and every known holder of a name."""
    networks: set[Network] = {ip_network(text) for group in policy.groups.all for text in group.networks}
    networks |= {ip_network(text) for who, _ in policy.expectations.individual(at, policy.feeds.grace_s)
                 for text in networks_of(who, identity, at)}  # fmt: skip
    networks |= {ip_network(text) for zone in zones if zone.audience in BY_CLIENT
                 for rule in zone.rules if (text := network_of(rule.trigger))}  # fmt: skip
    networks |= {ip_network("0.0.0.0/0"), ip_network("::/0")}
    for address in filter(None, (own_address(net, networks) for net in sorted(networks, key=str))):
        group = policy.groups.of(address)
        name, mac = identity.of(address, at)
        yield Client(address, group.name if group else "", group.role if group else "", name, mac)


def own_address(net: Network, networks: set[Network]) -> str | None:
    """Give an address of the network that is in no narrower one; None when those cover it."""
    inner = sorted(
        (int(one.network_address), int(one.broadcast_address)) for one in networks
        if one.version == net.version and one.prefixlen > net.prefixlen and one.subnet_of(net)  # type: ignore[arg-type]
    )  # fmt: skip
    free = int(net.network_address)
    for first, last in inner:
        if first > free:
            break
        free = max(free, last + 1)
    if free > int(net.broadcast_address):
        return None
    return str(ip_address(free) if net.version == 4 else type(net.network_address)(free))


def expected_of(policy: Policy, client: Client, at: float) -> tuple[str, ...]:
    """Give the watched services that the client is expected to use, grace included."""
    return tuple(
        service for service in sorted(policy.catalog.enabled)
        if any(covers_client(who, client)
               for one in policy.expectations.allowing(service, at, policy.feeds.grace_s) for who in one.who)
    )  # fmt: skip


def names_of(policy: Policy, service: str, zones: Iterable[Rule]) -> Iterator[Name]:
    """Yield names that stand for every name of a service: its own, those of rules below, and any below each."""
    indicators = tuple(api_names(policy.catalog.services[service]))
    below = guard.Below(one.name for one in indicators).of({rule.trigger.removeprefix("*.") for rule in zones})
    for indicator in indicators:
        around = [indicator.name, *below.get(indicator.name, ())]
        for name in dict.fromkeys(around):
            for asked in (name, f"{PROBE}.{name}", f"{PROBE}.{PROBE}.{name}"):
                if service_of(policy.catalog, asked) == service:
                    yield asked


def _broken(policy: Policy, resolvers: dict[str, Resolver], client: Client, service: str, at: float) -> Iterator[str]:
    audience = client.group or ANY
    blocks = Spoken(manual_blocks(policy, audience, at))
    rules = next(iter(resolvers.values())).rules(audience)
    for name in names_of(policy, service, rules):
        if blocks.overrides(name, "expected"):
            continue
        for consumer, resolver in resolvers.items():
            if resolver.blocks(client.address, audience, name):
                yield f"is expected to use {service}, and {consumer} would block {name}"
                return


def proof_of_dnsmasq(policy: Policy, at: float) -> Iterator[Flaw]:
    """Yield an error for each name in the list for everybody that somebody is expected to use."""
    zone = compile_everyone(policy, at)
    dnsmasq = Dnsmasq(FORMATS["dnsmasq"].render(Snapshot(zone, 1, at)))
    blocks = Spoken(manual_blocks(policy, EVERYONE, at))
    for service in sorted(expected_services(policy, EVERYONE, at)):
        for name in names_of(policy, service, zone.rules):
            if dnsmasq.blocks(name) and not blocks.overrides(name, "expected"):
                text = f"somebody is expected to use {service}, and dnsmasq would block {name} for everybody"
                yield Flaw("error", "expected-blocked", f"{EVERYONE} {service}", text)
                break
