"""Proves that nobody who is expected is blocked, and finds what in the feeds' policy says less than it seems to.

The proof is complete, not a sample. Networks nest or lie apart, so the addresses that policy cannot tell apart are
finitely many cells, each with a member that stands for all; names likewise: below a name that no rule and no catalogue
entry mentions everything is read alike. Each cell is read with each resolver's own precedence (``resolvers.py``), and
dnsmasq's list as the bytes that it would load.

Never: changes policy. Read next: ``guard.py``, which refuses what this would call an error.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Literal

from dnswatch.core.clients.expectations import covers as covers_client
from dnswatch.core.clients.expectations import describe, until_text
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
    audiences,
    enabled,
    expected_services,
    service_of,
)
from dnswatch.core.feeds.clients import isolated, networks_of
from dnswatch.core.feeds.formats import FORMATS
from dnswatch.core.feeds.resolvers import CONSUMERS, ByClient, Dnsmasq, Resolver
from dnswatch.core.feeds.triggers import network_of
from dnswatch.core.feeds.verdicts import covers, manual_blocks, overridden, tenants, verdicts_of
from dnswatch.core.feeds.zones import compile_everyone, compile_zones, with_mode
from dnswatch.core.model import Client, Name, Rule, Snapshot, Zone
from dnswatch.core.names import within
from dnswatch.core.policy import Entry, FeedPolicy, Policy

Level = Literal["error", "warning", "note"]
"""Error: would not be published, or blocks what is expected. Warning: says less than it seems to. Note: as ordered."""
Network = IPv4Network | IPv6Network
FAR_FUTURE_S = 86400.0
"""A serial this far ahead of the clock came from a wrong clock: until then every change is one more than the last."""


@dataclass(frozen=True, slots=True, order=True)
class Flaw:
    """One thing that lint has to say."""

    level: Level
    kind: str  # expected-blocked, refused, expired, contradiction, shadowed, empty, capped, future-serial, override
    subject: str  # entry, zone, client
    text: str
    where: str = ""  # file:line


def lint(
    policy: Policy, identity: Identity, at: float, latest: Iterable[Snapshot] = (), zones: Iterable[Zone] | None = None
) -> tuple[Flaw, ...]:
    """Give everything there is to say, errors first. ``zones``: instead of those that policy gives, enforced."""
    enforced = with_mode(policy, "enforce")
    made = tuple(compile_zones(enforced, identity, at) if zones is None else zones)
    found = [
        *_refused(enforced, made, at),
        *proof(enforced, identity, at, made),
        *_dnsmasq_proof(enforced, at),
        *_expired(policy, at),
        *_entries(enforced, at),
        *_shadowed_exemptions(enforced, at),
        *_quarantine(enforced, identity, at),
        *_capped(policy, at),
        *_empty(enforced, made),
        *_serials(latest, at),
    ]
    rank = {"error": 0, "warning": 1, "note": 2}
    return tuple(sorted(dict.fromkeys(found), key=lambda one: (rank[one.level], one.kind, one.subject, one.text)))


# ── The proof ─────────────────────────────────────────────────────────────────────────────────────────────────


def proof(policy: Policy, identity: Identity, at: float, zones: tuple[Zone, ...]) -> Iterator[Flaw]:
    """Yield an error for each (cell of clients, service) that is expected and blocked in some resolver."""
    resolvers = {consumer: Resolver(zones, consumer) for consumer in CONSUMERS}
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
    for address in filter(None, (_own_address(net, networks) for net in sorted(networks, key=str))):
        group = policy.groups.of(address)
        name, mac = identity.of(address, at)
        yield Client(address, group.name if group else "", group.role if group else "", name, mac)


def _own_address(net: Network, networks: set[Network]) -> str | None:
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
    triggers = sorted({rule.trigger.removeprefix("*.") for rule in zones})
    for indicator in api_names(policy.catalog.services[service]):
        around = [indicator.name, *(name for name in triggers if within(name, indicator.name))]
        for name in dict.fromkeys(around):
            for asked in (name, f"{PROBE}.{name}", f"{PROBE}.{PROBE}.{name}"):
                if service_of(policy.catalog, asked) == service:
                    yield asked


def _broken(policy: Policy, resolvers: dict[str, Resolver], client: Client, service: str, at: float) -> Iterator[str]:
    audience = client.group or ANY
    blocks = manual_blocks(policy, audience, at)
    rules = resolvers["bind"].rules(audience)
    for name in names_of(policy, service, rules):
        if overridden(blocks, name, "expected"):
            continue
        for consumer, resolver in resolvers.items():
            if resolver.blocks(client.address, audience, name):
                yield f"is expected to use {service}, and {consumer} would block {name}"
                return


def _dnsmasq_proof(policy: Policy, at: float) -> Iterator[Flaw]:
    """Yield an error for each name in the list for everybody that somebody is expected to use."""
    zone = compile_everyone(policy, at)
    dnsmasq = Dnsmasq(FORMATS["dnsmasq"].render(Snapshot(zone, 1, at)))
    blocks = manual_blocks(policy, EVERYONE, at)
    for service in sorted(expected_services(policy, EVERYONE, at)):
        for name in names_of(policy, service, zone.rules):
            if dnsmasq.blocks(name) and not overridden(blocks, name, "expected"):
                text = f"somebody is expected to use {service}, and dnsmasq would block {name} for everybody"
                yield Flaw("error", "expected-blocked", f"{EVERYONE} {service}", text)
                break


def _refused(policy: Policy, zones: tuple[Zone, ...], at: float) -> Iterator[Flaw]:
    for zone in (*zones, compile_everyone(policy, at)):
        for fault in guard.faults(zone, policy, at):
            yield Flaw("error", "refused", zone.name, fault.text)


# ── What says less than it seems to ───────────────────────────────────────────────────────────────────────────


def _expired(policy: Policy, at: float) -> Iterator[Flaw]:
    for one in policy.expectations.expired(at):
        who = ", ".join(map(str, one.who))
        assert one.until is not None
        text = f"the expectation ended {until_text(one.until)}: extend or remove it ({one.because})"
        yield Flaw("warning", "expired", who, text, one.origin)
    for word, entries in (("block", policy.feeds.block), ("allow", policy.feeds.allow)):
        for entry in entries:
            if entry.until is not None and not entry.holds(at):
                text = f"feeds.{word} of it ended {until_text(entry.until)}: extend or remove it ({entry.because})"
                yield Flaw("warning", "expired", entry.name, text, entry.origin)
    for cut in policy.feeds.quarantine:
        if cut.until is not None and cut.until <= at:
            text = f"the quarantine ended {until_text(cut.until)}: extend or remove it ({cut.because})"
            yield Flaw("warning", "expired", str(cut.who), text, cut.origin)


def _entries(policy: Policy, at: float) -> Iterator[Flaw]:
    """Yield manual entries that contradict others, or that nothing would change without."""
    for entry in policy.feeds.block:
        if entry.holds(at):
            yield from _block_flaws(policy, entry, at)
    for entry in policy.feeds.allow:
        if entry.holds(at) and not _changes(policy, entry, at, "allow"):
            text = "feeds.allow of it changes nothing: no zone would block it"
            yield Flaw("warning", "shadowed", entry.name, text, entry.origin)
    for service_id in sorted(policy.feeds.collateral):
        service = policy.catalog.services[service_id]
        if service_id not in policy.catalog.enabled:
            text = "feeds.collateral names it, but it is not watched (watch.profile, watch.include)"
            yield Flaw("warning", "shadowed", service_id, text)
        elif service.block_safety == "safe":
            yield Flaw("warning", "shadowed", service_id, "feeds.collateral names it, but it is safe to block anyway")


def _block_flaws(policy: Policy, entry: Entry, at: float) -> Iterator[Flaw]:
    reached = [audience for audience in audiences(policy) if entry.is_for(audience)]
    for other in policy.feeds.allow:
        both = [audience for audience in reached if other.is_for(audience)]
        if other.holds(at) and both and other.name == entry.name:
            text = f"feeds.block and feeds.allow ({other.origin}) both name it for {', '.join(both)}: it passes"
            yield Flaw("warning", "contradiction", entry.name, text, entry.origin)
    half = entry.name if entry.match != "subdomains" else f"{PROBE}.{entry.name}"
    void = [audience for audience in reached if not verdicts_of(policy, audience, at).blocked(half)]
    if void:
        service = service_of(policy.catalog, half)
        expected = [audience for audience in void if service in expected_services(policy, audience, at)]
        if expected:
            text = (f"blocked by hand, but {service} is expected there, and that wins: {', '.join(expected)} "
                    "(override: expected blocks it all the same)")  # fmt: skip
            yield Flaw("warning", "contradiction", entry.name, text, entry.origin)
        elif any(covers(one.name, one.match, half) for one in policy.catalog.never_block):
            text = "blocked by hand, but on the never-block list (override: never-block blocks it all the same)"
            yield Flaw("warning", "contradiction", entry.name, text, entry.origin)
    elif not _changes(policy, entry, at, "block"):
        text = "feeds.block of it changes nothing: every zone that it is for blocks it anyway"
        yield Flaw("warning", "shadowed", entry.name, text, entry.origin)
    for word in sorted(entry.override):
        yield Flaw("note", "override", entry.name, f"stronger than {word}, as ordered: {entry.because}", entry.origin)


def _changes(policy: Policy, entry: Entry, at: float, key: Literal["block", "allow"]) -> bool:
    """Say whether any audience's verdicts differ without the entry."""
    without = _without(policy, entry, key)
    return any(
        verdicts_of(policy, audience, at).blocked(name) != verdicts_of(without, audience, at).blocked(name)
        for audience in audiences(policy) if entry.is_for(audience)
        for name in _asked(policy, entry)
    )  # fmt: skip


def _asked(policy: Policy, entry: Entry) -> list[Name]:
    names = [one.name for service in enabled(policy.catalog) for one in api_names(service)]
    names += [one.name for one in (*policy.feeds.block, *policy.feeds.allow)]
    names += [one.trigger for one in policy.feeds.decisions]
    near = dict.fromkeys([entry.name, *(name for name in names if within(name, entry.name))])
    return [asked for name in near for asked in (name, f"{PROBE}.{name}")]


def _without(policy: Policy, entry: Entry, key: Literal["block", "allow"]) -> Policy:
    kept = tuple(one for one in getattr(policy.feeds, key) if one is not entry)
    feeds: FeedPolicy = replace(policy.feeds, block=kept) if key == "block" else replace(policy.feeds, allow=kept)
    return replace(policy, feeds=feeds)


def _shadowed_exemptions(policy: Policy, at: float) -> Iterator[Flaw]:
    """Yield single expectations that a group's already grants."""
    for one in policy.expectations.all:
        if one.until is not None and one.until <= at:
            continue
        for who in one.who:
            if who.kind != "address":
                continue
            group = policy.groups.of(who.value)
            services = {service for service in one.services if service in policy.catalog.enabled}
            if group and services and services <= expected_services(policy, group.name, at):
                text = f"group {group.name} may use {', '.join(sorted(services))} anyway: the expectation adds nothing"
                yield Flaw("warning", "shadowed", who.value, text, one.origin)
    for one in policy.expectations.all:
        unwatched = sorted(one.services - policy.catalog.enabled)
        if unwatched and not one.services & policy.catalog.enabled:
            text = f"expected to use {', '.join(unwatched)}, which is not watched: the expectation does nothing"
            yield Flaw("warning", "shadowed", ", ".join(map(str, one.who)), text, one.origin)


def _quarantine(policy: Policy, identity: Identity, at: float) -> Iterator[Flaw]:
    every = isolated(policy, identity, at)
    for one in every:
        if one.kept is not None:
            level: Level = "warning" if one.by else "note"
            yield Flaw(level, "contradiction", one.by or str(one.network), f"is not cut off: {one.kept.text}")
    by_hand = [one for one in every if one.by and one.kept is None]
    for one in by_hand:
        wider = next((other for other in by_hand if other.network != one.network
                      and other.network.version == one.network.version
                      and one.network.subnet_of(other.network)), None)  # type: ignore[arg-type]  # fmt: skip
        if wider is not None:
            text = f"is cut off with {wider.network} already"
            yield Flaw("warning", "shadowed", one.by, text)


def _capped(policy: Policy, at: float) -> Iterator[Flaw]:
    settings = policy.feeds.tenants
    if settings is not None and len(tenants(policy, at)) >= settings.most:
        text = f"{settings.most} tenants are blocked, the most that feeds.tenants.most allows: further ones pass"
        yield Flaw("warning", "capped", "feeds.tenants", text)


def _empty(policy: Policy, zones: Iterable[Zone]) -> Iterator[Flaw]:
    networks = {ip_network(text) for group in policy.groups.all for text in group.networks}
    for group in policy.groups.all:
        if not any(_own_address(ip_network(text), networks) for text in group.networks):
            text = "narrower networks of other groups cover all of it: nobody is served with its zone"
            yield Flaw("warning", "empty", f"group {group.name}", text)
    for zone in zones:
        if zone.audience not in BY_CLIENT and not any(rule.action != "passthru" for rule in zone.rules):
            yield Flaw("warning", "empty", zone.name, f"blocks nothing for {zone.audience}")


def _serials(latest: Iterable[Snapshot], at: float) -> Iterator[Flaw]:
    for one in latest:
        ahead_s = one.serial - at
        if FAR_FUTURE_S < ahead_s < 1 << 31:
            text = (f"its serial {one.serial} is {ahead_s / 86400:.0f} days ahead of the clock: versions go on one at "
                    "a time; `dnswatch feed publish --new-epoch` begins anew")  # fmt: skip
            yield Flaw("warning", "future-serial", one.zone.name, text)
