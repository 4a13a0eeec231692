"""The two zones whose triggers are client addresses: ``quarantine`` cuts clients off, ``exempt`` lets them pass.

A quarantined client is blocked for every name there is, so few may be, and some never: forwarders, resolvers, this
host. In mode ``shadow`` the zone is empty: written with ``rpz-passthru.`` it would free the client from every zone
after it, third-party feeds included. An exemption does free its client from every later zone, so nobody gets one that
changes nothing for them.

Never: names. Read next: ``zones.py``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network

from dnswatch.core.clients.identity import Identity
from dnswatch.core.clients.who import parse_address
from dnswatch.core.feeds.audiences import (
    EXEMPT,
    PROBE,
    QUARANTINE,
    api_names,
    enabled,
    service_of,
    zone_name,
)
from dnswatch.core.feeds.claims import Verdicts
from dnswatch.core.feeds.triggers import client_trigger
from dnswatch.core.feeds.verdicts import LeftOut, live
from dnswatch.core.model import Reason, Rule, Who, Zone
from dnswatch.core.policy import Policy
from dnswatch.errors import FeedRefused

Network = IPv4Network | IPv6Network

CUT_OFF = "quarantine"
"""Action of a `Decision` that cuts a client off; its trigger is the address."""
WIDEST = {4: 24, 6: 48}
"""Shortest prefixes that may be cut off (research rpz.md §5.3.4): a wider network is no client, it is a site."""
LOOPBACK = ip_network("127.0.0.0/8")


@dataclass(frozen=True, slots=True)
class Isolated:
    """A network that is to be cut off, or would be: ``kept`` says why it is not."""

    network: Network
    because: Reason
    until: float | None
    kept: Reason | None = None
    by: str = ""  # the address, name, MAC or network as it was written; "" = decided by dnswatch


# ── Quarantine ────────────────────────────────────────────────────────────────────────────────────────────────


def quarantine_zone(policy: Policy, identity: Identity | None, at: float, block: Rule) -> Zone:
    """Give the zone of clients that are cut off; ``block`` carries what is done to their lookups."""
    networks = [] if policy.feeds.mode == "shadow" else [
        one.network for one in isolated(policy, identity, at) if one.kept is None
    ]  # fmt: skip
    rules = {Rule(client_trigger(str(net)), block.action, block.addresses) for net in outermost(networks)}
    return Zone(zone_name(policy, QUARANTINE), QUARANTINE, tuple(sorted(rules)))


def isolated(policy: Policy, identity: Identity | None, at: float) -> tuple[Isolated, ...]:
    """Give everybody who is to be cut off at ``at``: by hand first, then what was decided, the oldest first."""
    found: dict[Network, Isolated] = {}
    for one in _wanted(policy, identity, at):
        known = found.get(one.network)
        if known is not None:
            continue
        count = sum(other.kept is None for other in found.values())
        kept = never_cut_off(policy, one.network)
        if kept is None and count >= policy.feeds.most_quarantined:
            text = f"{count} clients are cut off already, and feeds.quarantine.most allows for no more"
            kept = Reason("most", text)
        found[one.network] = Isolated(one.network, one.because, one.until, kept, one.by)
    return tuple(found.values())


def never_cut_off(policy: Policy, network: Network) -> Reason | None:
    """Say why nobody may cut this network off; None when it may be."""
    if network.prefixlen < WIDEST[network.version]:
        return Reason("wide", f"{network} is wider than /{WIDEST[network.version]}: a site, not a client")
    for text in policy.feeds.never_quarantine:
        other = ip_network(text)
        if other.version == network.version and network.overlaps(other):
            return Reason("never", f"{other} is never cut off (forwarders, resolvers, this host, "
                                   "feeds.quarantine.never)")  # fmt: skip
    for group in policy.groups.all:
        for text in group.networks if group.role == "forwarder" else ():
            other = ip_network(text)
            if other.version == network.version and network.overlaps(other):
                return Reason("forwarder", f"group {group.name} holds forwarders: its members speak for others")
    if network.version == 4 and network.overlaps(LOOPBACK) and not _is_lab(policy, network):
        return Reason("localhost", f"{network} is this host")
    return None


def _is_lab(policy: Policy, network: Network) -> bool:
    """Say whether the operator made loopback addresses a group of clients."""
    member = policy.groups.of(str(network.network_address))
    nets = [ip_network(text) for text in member.networks] if member else []
    return any(net.version == 4 and net.subnet_of(LOOPBACK) for net in nets)  # type: ignore[arg-type]


def _wanted(policy: Policy, identity: Identity | None, at: float) -> Iterator[Isolated]:
    feeds = policy.feeds
    for entry in feeds.quarantine:
        if entry.until is not None and entry.until <= at:
            continue
        owner = f", owner {entry.owner}" if entry.owner else ""
        why = Reason("manual", f"{entry.because} ({entry.who}{owner}{', ' + entry.origin if entry.origin else ''})")
        for network in networks_of(entry.who, identity, at):
            yield Isolated(ip_network(network), why, entry.until, None, str(entry.who))
    if feeds.automatic is None:
        return
    for decision in live(policy, CUT_OFF, at)[: feeds.automatic.most]:
        address = parse_address(decision.trigger)
        if address is not None:
            yield Isolated(ip_network(str(address)), Reason("automatic", decision.reason), decision.expires_at)


def outermost(networks: Iterable[Network]) -> tuple[Network, ...]:
    """Give the networks that no other one contains."""
    kept: dict[tuple[int, int, int], Network] = {}
    for net in sorted(set(networks), key=lambda one: one.prefixlen):
        number = int(net.network_address)
        inside = any((net.version, length, number >> (net.max_prefixlen - length)) in kept
                     for length in range(net.prefixlen))  # fmt: skip
        if not inside:
            kept[net.version, net.prefixlen, number >> (net.max_prefixlen - net.prefixlen)] = net
    return tuple(kept.values())


def kept_out(policy: Policy, identity: Identity | None, at: float) -> tuple[LeftOut, ...]:
    """Say who is not cut off although somebody said so, and why."""
    found = [LeftOut("", str(one.network), (one.kept,))
             for one in isolated(policy, identity, at) if one.kept is not None]  # fmt: skip
    if policy.feeds.mode == "shadow":
        why = Reason(
            "shadow", "in mode shadow nobody is cut off: a pass in the first zone would free them of all others"
        )
        found += [LeftOut("", str(one.network), (why,))
                  for one in isolated(policy, identity, at) if one.kept is None]  # fmt: skip
    return tuple(found)


# ── Exempted clients ──────────────────────────────────────────────────────────────────────────────────────────


def exempt_zone(policy: Policy, identity: Identity | None, at: float, verdicts: Mapping[str, Verdicts]) -> Zone:
    """Give the zone that lets single expected clients pass, by address.

    Only clients whose own audience blocks something they are expected to use. ``verdicts``: of each audience.
    """
    rules: set[Rule] = set()
    single = tuple(policy.expectations.individual(at, policy.feeds.grace_s))
    blocked = {audience: blocked_services(policy, one) for audience, one in verdicts.items()} if single else {}
    for who, services in single:
        for network in networks_of(who, identity, at):
            if services & _blocked_for(policy, blocked, network, at):
                try:
                    rules.add(Rule(client_trigger(network), "passthru"))
                except ValueError as error:
                    raise FeedRefused(f"expectation for {who}: {error}; make it a group, or exclude the service from "
                                      "watch") from error  # fmt: skip
    return Zone(zone_name(policy, EXEMPT), EXEMPT, tuple(sorted(rules)))


def networks_of(who: Who, identity: Identity | None, at: float) -> tuple[str, ...]:
    """Give the networks of a member that is no group; of a name or MAC those that it holds at ``at``."""
    if who.kind in ("network", "address"):
        return (str(ip_network(who.value)),)
    if identity is None:
        return ()
    return tuple(str(ip_network(address)) for address in identity.addresses(who, at))


def blocked_services(policy: Policy, verdicts: Verdicts) -> frozenset[str]:
    """Give the services of which at least one name is blocked: theirs, or one below by hand or as a tenant."""
    found = {
        service.id for service in enabled(policy.catalog) if any(
            (one.match != "subdomains" and verdicts.blocked(one.name))
            or (one.match != "exact" and verdicts.blocked(f"{PROBE}.{one.name}")) for one in api_names(service)
        )
    }  # fmt: skip
    for name, (own, below) in verdicts.nodes.items():
        if name in verdicts.plain:  # no service's but its own
            continue
        if own:
            found.add(service_of(policy.catalog, name))
        if below:
            found.add(service_of(policy.catalog, f"{PROBE}.{name}"))
    return frozenset(found) - {""}


def _blocked_for(policy: Policy, blocked: dict[str, frozenset[str]], network: str, at: float) -> frozenset[str]:
    """Give the services that some address of the network is not expected to use by its group, and that are blocked."""
    net = ip_network(network)
    if net.num_addresses == 1:
        group = policy.groups.of(str(net.network_address))
        return blocked[group.name if group else "any"]
    return frozenset().union(*blocked.values())
