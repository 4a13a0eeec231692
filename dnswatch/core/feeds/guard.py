"""The last gate before a zone is published: it proves the zone harmless, or refuses it.

Three proofs: every record is one that all resolvers take (research rpz.md §5.1: one bad record costs the whole zone),
nothing on the never-block list is blocked, and no name that the audience is expected to use is blocked, read as BIND
and Unbound read a zone and as PowerDNS does.

Never: repairs or drops a rule. Refused is refused; the last good serial stays served. Read next: ``history.py``.
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address

from dnswatch.core.catalog import Catalog
from dnswatch.core.feeds.claims import Lookup, Semantics
from dnswatch.core.feeds.triggers import CLIENT_IP, owner_fault
from dnswatch.core.feeds.zones import BY_CLIENT, EXEMPT, api_names, enabled, expected_services
from dnswatch.core.model import Match, Name, Rule, Zone
from dnswatch.core.names import parents, within
from dnswatch.core.policy import Policy
from dnswatch.errors import FeedRefused

SHOWN = 10
"""Faults named in the error: enough to see the pattern, few enough to read."""
_PROBE = "probe-of-dnswatch"
"""A label that no catalogue entry has: stands for any name below a wildcard."""


def inspect(zone: Zone, policy: Policy, at: float) -> None:
    """Pass the zone, or raise `FeedRefused` naming its faults."""
    found = list(faults(zone, policy, at))
    if found:
        rest = f"\n  … and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
        raise FeedRefused(f"zone {zone.name} is not published:\n  " + "\n  ".join(found[:SHOWN]) + rest)


def faults(zone: Zone, policy: Policy, at: float) -> Iterator[str]:
    """Yield everything that speaks against publishing the zone, one sentence each."""
    yield from _records(zone)
    if zone.audience in BY_CLIENT:
        return
    yield from _reach(zone, policy.catalog)
    yield from _expected(zone, policy, at)


def _records(zone: Zone) -> Iterator[str]:
    """Check each record by itself, and that no owner has two."""
    triggers = [rule.trigger for rule in zone.rules]
    if triggers != sorted(set(triggers)):
        yield "its rules are not sorted, or two have the same trigger"
    for rule in zone.rules:
        fault = owner_fault(rule.trigger, zone.name)
        if fault:
            yield f"{rule.trigger!r} {fault}"
        by_client = rule.trigger.endswith("." + CLIENT_IP)
        if by_client != (zone.audience in BY_CLIENT) or (by_client and _blocks(rule) != (zone.audience != EXEMPT)):
            yield f"{rule.trigger!r} has no place in a zone of audience {zone.audience!r}"
        if rule.action == "address" and not rule.addresses:
            yield f"{rule.trigger!r} answers with an address but has none"
        if rule.action != "address" and rule.addresses:
            yield f"{rule.trigger!r} has addresses but does not answer with them"
        if len(set(rule.addresses)) != len(rule.addresses) or not all(map(_is_address, rule.addresses)):
            yield f"{rule.trigger!r} answers with {', '.join(rule.addresses)}: not distinct addresses"


def _is_address(text: str) -> bool:
    try:
        return str(ip_address(text)) == text
    except ValueError:
        return False


def _blocks(rule: Rule) -> bool:
    return rule.action != "passthru"


def _reach(zone: Zone, catalog: Catalog) -> Iterator[str]:
    """No rule blocks what the never-block list protects, nor more than a registrable domain of the catalogue."""
    lookups = _lookups(zone)
    names = {rule.trigger.removeprefix("*.") for rule in zone.rules}
    for entry in catalog.never_block:
        for name in _witnesses(entry.name, entry.match, names):
            rule = _blocking(lookups, name)
            if rule:
                yield f"{rule.trigger} would block {name}, which is on the never-block list: {entry.reason}"
    registrable = {i.domain for service in catalog.services.values() for i in service.indicators}
    for rule in zone.rules:
        if _blocks(rule) and registrable.isdisjoint(parents(rule.trigger.removeprefix("*."))):
            yield f"{rule.trigger} reaches further than any registrable domain of the catalogue"


def _expected(zone: Zone, policy: Policy, at: float) -> Iterator[str]:
    """Nothing that the audience is expected to use, and nothing that is not safe to block, is blocked."""
    allowed = expected_services(policy, zone.audience, at)
    lookups = _lookups(zone)
    names = {rule.trigger.removeprefix("*.") for rule in zone.rules}
    for service in enabled(policy.catalog):
        if service.id not in allowed and service.block_safety == "safe":
            continue
        why = "is expected" if service.id in allowed else "is not safe to block"
        for indicator in api_names(service):
            for name in _witnesses(indicator.name, indicator.match, names):
                met = policy.catalog.match(name)
                # A more specific name may belong to another service, which is judged in its own turn.
                rule = _blocking(lookups, name) if met and met[0].service == service.id else None
                if rule:
                    yield f"{rule.trigger} would block {name}, but {service.id} {why} for {zone.audience}"


def _lookups(zone: Zone) -> tuple[Lookup, ...]:
    """Read the zone in each way that resolvers do."""
    readings: tuple[Semantics, ...] = ("closest-encloser", "longest-wildcard")
    return tuple(Lookup(zone.rules, reading) for reading in readings)


def _blocking(lookups: tuple[Lookup, ...], name: Name) -> Rule | None:
    """Give the rule by which any resolver would block the name."""
    met = (lookup.rule(name) for lookup in lookups)
    return next((rule for rule in met if rule is not None and _blocks(rule)), None)


def _witnesses(name: Name, match: Match, names: set[Name]) -> Iterator[Name]:
    """Yield names that stand for everything the match covers: itself, any below it, each that has a rule."""
    if match != "subdomains":
        yield name
    if match != "exact":
        yield f"{_PROBE}.{name}"
        for other in sorted(names):
            if other != name and within(other, name):
                yield other
                yield f"{_PROBE}.{other}"
