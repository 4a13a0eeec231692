"""Policy becomes zones: one per group, one for everybody else (``any``), one of exempted clients (``exempt``).

An RPZ rule has one trigger, so "this client may, that one may not" is expressed by which zone a client is served with;
`compile_zones` writes what each audience must not look up. A name is blocked for an audience exactly when an alert on
it would be unexpected there and its service is safe to block, so the zones and the engine cannot disagree.

Never: reads decisions of other clients into a zone, keeps state, knows a clock (``at`` is given). Mode is content:
``shadow`` writes the same triggers with ``rpz-passthru.``. Read next: ``guard.py``, ``history.py``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from ipaddress import ip_network

from dnswatch.core.catalog import Catalog, NeverBlock
from dnswatch.core.clients.expectations import until_text
from dnswatch.core.clients.identity import Identity
from dnswatch.core.clients.who import RESERVED_GROUPS
from dnswatch.core.feeds.claims import Claim, Verdicts, rules_of, weigh
from dnswatch.core.feeds.triggers import client_trigger
from dnswatch.core.model import Indicator, Mode, Name, Reason, Rule, Service, Who, Zone
from dnswatch.core.names import parents, within
from dnswatch.core.policy import Policy
from dnswatch.errors import FeedRefused

ANY, EXEMPT, EVERYONE, QUARANTINE = "any", "exempt", "everyone", "quarantine"
"""Audiences that are no group: clients in no group; single exempted clients; outputs that cannot tell clients apart;
clients that are cut off. No group may have these names (``RESERVED_GROUPS``)."""
BY_CLIENT = frozenset({QUARANTINE, EXEMPT})
"""Zones whose triggers are client addresses. Every resolver has both, in this order, before the audience's own zone."""


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A watched service or name that a zone does not block, and why."""

    service: str
    name: Name  # "" = every name of the service
    because: tuple[Reason, ...]


def compile_zones(policy: Policy, identity: Identity | None, at: float) -> tuple[Zone, ...]:
    """Give the zones that policy asks for at ``at``: ``quarantine``, groups in their order, ``any``, ``exempt``.

    Empty in mode ``off``. ``identity`` knows the addresses of ``name:`` and ``mac:`` expectations; without it those
    clients are not exempt. Raises `FeedRefused` for a group that has no zone name of its own, or an exemption of
    every client there is.
    """
    if policy.feeds.mode == "off":
        return ()
    names = [group.name for group in policy.groups.all]
    for name in names:
        if name in RESERVED_GROUPS:
            raise FeedRefused(f"group {name!r} has the name of a zone that is always published; give it another name")
    audiences = [_audience_zone(policy, audience, at) for audience in [*names, ANY]]
    cut_off = Zone(zone_name(policy, QUARANTINE), QUARANTINE, ())
    return (cut_off, *audiences, _exempt_zone(policy, identity, at))


def compile_everyone(policy: Policy, at: float) -> Zone:
    """Give the zone for outputs that cannot tell clients apart: only names that no expectation allows to anybody.

    What passes is written too, as ``passthru`` rules: an output that blocks ``d`` and everything below in one line must
    know what below it may not be touched. Empty in mode ``shadow``: such outputs cannot pass and log at once.
    """
    if policy.feeds.mode != "enforce":
        return Zone(zone_name(policy, EVERYONE), EVERYONE, ())
    verdicts = verdicts_of(policy, EVERYONE, at)
    rules = {rule.trigger: rule for rule in _passing(verdicts, policy.catalog)}
    rules.update((rule.trigger, rule) for rule in rules_of(verdicts, _block(policy)))
    return Zone(zone_name(policy, EVERYONE), EVERYONE, tuple(rules[trigger] for trigger in sorted(rules)))


def with_mode(policy: Policy, mode: Mode) -> Policy:
    """Give the policy as it would be in another mode."""
    return replace(policy, feeds=replace(policy.feeds, mode=mode))


def zone_name(policy: Policy, audience: str) -> Name:
    """Name the zone of an audience."""
    return f"{audience}.{policy.feeds.zone}"


def verdicts_of(policy: Policy, audience: str, at: float) -> Verdicts:
    """Give what an audience may look up: every enabled service claims its names, the never-block list goes last."""
    allowed = expected_services(policy, audience, at)
    claims = [
        Claim(indicator.name, indicator.match, service.block_safety == "safe" and service.id not in allowed)
        for service in enabled(policy.catalog)
        for indicator in api_names(service)
    ]
    return weigh(_protect(claims, policy.catalog))


def enabled(catalog: Catalog) -> Iterator[Service]:
    """Yield the services that are watched, in the order of their ids."""
    return (catalog.services[name] for name in sorted(catalog.enabled))


def api_names(service: Service) -> Iterator[Indicator]:
    """Yield the names whose lookup is a sighting of the service."""
    return (indicator for indicator in service.indicators if indicator.role == "api")


def expected_services(policy: Policy, audience: str, at: float) -> frozenset[str]:
    """Give the services that every member of the audience may use, grace included.

    For `EVERYONE` it is what anybody at all may use: a group, a network, one printer.
    """
    grace_s = policy.feeds.grace_s
    known = policy.catalog.enabled
    if audience == ANY or audience in BY_CLIENT:
        return frozenset()
    if audience == EVERYONE:
        return frozenset(s for s in known if policy.expectations.allowing(s, at, grace_s))
    return frozenset(s for s in known if policy.expectations.of_group(audience, s, at, grace_s))


def left_out(policy: Policy, audience: str, at: float) -> tuple[LeftOut, ...]:
    """Say which watched services and names the audience's zone does not block, and why."""
    if audience in BY_CLIENT:
        return ()
    allowed = expected_services(policy, audience, at)
    who = "somebody" if audience == EVERYONE else f"group {audience}"
    found = []
    for service in enabled(policy.catalog):
        if service.block_safety != "safe":
            why = Reason("collateral", f"blocking {service.name} would also break people or common applications")
            found.append(LeftOut(service.id, "", (why,)))
        elif service.id in allowed:
            found.append(LeftOut(service.id, "", (_why_allowed(policy, audience, who, service, at),)))
    blocked = {service.id for service in enabled(policy.catalog)} - {entry.service for entry in found}
    for entry in policy.catalog.never_block:
        for service_id in sorted(blocked):
            for indicator in api_names(policy.catalog.services[service_id]):
                if _covers(entry, indicator.name):
                    why = Reason("never-block", f"{entry.name} is on the never-block list: {entry.reason}")
                    found.append(LeftOut(service_id, indicator.name, (why,)))
    return tuple(found)


def _why_allowed(policy: Policy, audience: str, who: str, service: Service, at: float) -> Reason:
    """Say that an expectation holds, or that it has ended and the feed's grace has not."""
    grace_s = policy.feeds.grace_s
    known = [e for e in policy.expectations.allowing(service.id, at, grace_s)
             if audience == EVERYONE or Who("group", audience) in e.who]  # fmt: skip
    ends = [e.until for e in known if e.until is not None and e.until <= at]
    if len(ends) < len(known):
        return Reason("expectation", f"{who} is expected to use {service.name}")
    ended = max(ends)
    text = (f"{who} was expected to use {service.name} until {until_text(ended)}: lookups raise alerts again, and the "
            f"feed lets them pass for grace until {until_text(ended + grace_s)} (feeds.grace)")  # fmt: skip
    return Reason("grace", text)


def _audience_zone(policy: Policy, audience: str, at: float) -> Zone:
    return Zone(zone_name(policy, audience), audience, rules_of(verdicts_of(policy, audience, at), _block(policy)))


def _passing(verdicts: Verdicts, catalog: Catalog) -> Iterator[Rule]:
    """Yield a ``passthru`` rule for what passes: names of watched services, and names below one that is blocked."""
    watched = {indicator.name for service in enabled(catalog) for indicator in api_names(service)}
    for name, (own, below) in verdicts.nodes.items():
        above = (verdicts.nodes.get(ancestor, (None, None)) for ancestor in parents(name))
        if name in watched or any(True in node for node in above):
            if own is False:
                yield Rule(name, "passthru")
            if below is False:
                yield Rule("*." + name, "passthru")


def _block(policy: Policy) -> Rule:
    """Give the rule that carries what happens to a blocked name in this mode."""
    feeds = policy.feeds
    if feeds.mode == "shadow":
        return Rule("", "passthru")
    if feeds.action == "nodata":
        return Rule("", "nodata")
    if feeds.action == "address":
        return Rule("", "address", feeds.addresses)
    return Rule("", "nxdomain")


def _protect(claims: Iterable[Claim], catalog: Catalog) -> Iterator[Claim]:
    """Yield the claims with the never-block list above them: nothing that it covers is blocked."""
    for claim in claims:
        covered = any(_covers(entry, claim.name) for entry in catalog.never_block if entry.match != "exact")
        yield Claim(claim.name, claim.match, claim.blocked and not covered)
    for entry in catalog.never_block:
        yield Claim(entry.name, entry.match, False)


def _covers(entry: NeverBlock, name: Name) -> bool:
    """Say whether the never-block entry speaks of ``name`` itself."""
    if name == entry.name:
        return entry.match != "subdomains"
    return entry.match != "exact" and within(name, entry.name)


# ── Exempted clients ──────────────────────────────────────────────────────────────────────────────────────────


def _exempt_zone(policy: Policy, identity: Identity | None, at: float) -> Zone:
    """Give the zone that lets single expected clients pass, by address.

    Only clients whose own audience blocks something they are expected to use: an exemption frees a client from every
    later zone, so nobody gets one that changes nothing for them.
    """
    rules: set[Rule] = set()
    for who, services in policy.expectations.individual(at, policy.feeds.grace_s):
        for network in _networks(who, identity, at):
            if services & _blocked_services(policy, network, at):
                try:
                    rules.add(Rule(client_trigger(network), "passthru"))
                except ValueError as error:
                    raise FeedRefused(f"expectation for {who}: {error}; make it a group, or exclude the service from "
                                      "watch") from error  # fmt: skip
    return Zone(zone_name(policy, EXEMPT), EXEMPT, tuple(sorted(rules)))


def _networks(who: Who, identity: Identity | None, at: float) -> tuple[str, ...]:
    if who.kind in ("network", "address"):
        return (str(ip_network(who.value)),)
    if identity is None:
        return ()
    return tuple(str(ip_network(address)) for address in identity.addresses(who, at))


def _blocked_services(policy: Policy, network: str, at: float) -> frozenset[str]:
    """Give the services that some address of the network is not expected to use by its group, and that are blocked."""
    net = ip_network(network)
    safe = frozenset(service.id for service in enabled(policy.catalog) if service.block_safety == "safe")
    if net.num_addresses == 1:
        group = policy.groups.of(str(net.network_address))
        return safe - expected_services(policy, group.name if group else ANY, at)
    audiences = [ANY, *(group.name for group in policy.groups.all)]
    return safe - frozenset.intersection(*(expected_services(policy, audience, at) for audience in audiences))
