"""Everything there is to say of the feeds' policy: the proof, what would be refused, what says less than it seems to.

Never: changes policy. Read next: ``proof.py``, ``by_hand.py``; ``guard.py``, which refuses what this calls an error.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from ipaddress import ip_network

from dnswatch.core.clients.identity import Identity
from dnswatch.core.feeds import guard
from dnswatch.core.feeds.audiences import BY_CLIENT, expected_services
from dnswatch.core.feeds.by_hand import ended, entries
from dnswatch.core.feeds.caps import caps
from dnswatch.core.feeds.clients import isolated
from dnswatch.core.feeds.flaws import Flaw, Level
from dnswatch.core.feeds.proof import own_address, proof, proof_of_dnsmasq
from dnswatch.core.feeds.zones import compile_everyone, compile_zones, with_mode
from dnswatch.core.model import Snapshot, Zone
from dnswatch.core.policy import Policy

FAR_FUTURE_S = 86400.0
"""A serial this far ahead of the clock came from a wrong clock: until then every change is one more than the last."""


def lint(
    policy: Policy, identity: Identity, at: float, latest: Iterable[Snapshot] = (), zones: Iterable[Zone] | None = None
) -> tuple[Flaw, ...]:
    """Give everything there is to say, errors first. ``zones``: instead of those that policy gives, enforced."""
    enforced = with_mode(policy, "enforce")
    made = tuple(compile_zones(enforced, identity, at) if zones is None else zones)
    found = [
        *_refused(enforced, made, at),
        *proof(enforced, identity, at, made),
        *proof_of_dnsmasq(enforced, at),
        *ended(policy, at),
        *entries(enforced, at),
        *_shadowed_exemptions(enforced, at),
        *_quarantine(enforced, identity, at),
        *_capped(policy, identity, at),
        *_empty(enforced, made),
        *_serials(latest, at),
    ]
    rank = {"error": 0, "warning": 1, "note": 2}
    return tuple(sorted(dict.fromkeys(found), key=lambda one: (rank[one.level], one.kind, one.subject, one.text)))


def _refused(policy: Policy, zones: tuple[Zone, ...], at: float) -> Iterator[Flaw]:
    gate = guard.Gate(policy, at)
    for zone in (*zones, compile_everyone(policy, at)):
        for fault in gate.faults(zone):
            yield Flaw("error", "refused", zone.name, fault.text)


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


def _capped(policy: Policy, identity: Identity, at: float) -> Iterator[Flaw]:
    for setting, text in caps(policy, identity, at):
        yield Flaw("warning", "capped", setting, text)


def _empty(policy: Policy, zones: Iterable[Zone]) -> Iterator[Flaw]:
    networks = {ip_network(text) for group in policy.groups.all for text in group.networks}
    for group in policy.groups.all:
        if not any(own_address(ip_network(text), networks) for text in group.networks):
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
