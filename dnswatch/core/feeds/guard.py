"""The last gate before a zone is published: it proves the zone harmless, or refuses it.

Every record is one that all resolvers take (research rpz.md §5.1: one bad record costs the whole zone), nothing on the
never-block list is blocked, no name that the audience is expected to use is blocked, read as each resolver reads a
zone, and nobody is cut off who never may be. `change_faults` bounds what leases and decisions change at once.

Never: repairs or drops a rule. Refused is refused; the last good serial stays served. Read next: ``history.py``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from operator import lt
from typing import Literal, get_args

from dnswatch.core.feeds.audiences import BY_CLIENT, EXEMPT, PROBE, api_names, blockable, enabled, expected_services
from dnswatch.core.feeds.claims import Lookup, Semantics
from dnswatch.core.feeds.clients import never_cut_off
from dnswatch.core.feeds.triggers import CANARY, CLIENT_IP, longest_trigger, network_of, owner_fault
from dnswatch.core.feeds.verdicts import Spoken, manual_blocks, tenants
from dnswatch.core.model import Match, Name, Rule, Snapshot, Zone
from dnswatch.core.names import parents
from dnswatch.core.policy import Policy
from dnswatch.errors import FeedRefused

SHOWN = 10
"""Faults named in the error: enough to see the pattern, few enough to read."""
ACTIONS = frozenset({"nxdomain", "nodata", "passthru", "address"})
"""What every resolver does alike (research rpz.md §2.1): DROP, tcp-only and CNAMEs to elsewhere are not among it."""
READINGS: tuple[Semantics, ...] = get_args(Semantics)

Inner = Mapping[Name, Sequence[Name]]
"""Names of a zone strictly below each of those that must pass."""
Kind = Literal["record", "protected", "expected", "quarantine", "change", "impact"]
FORCED: frozenset[Kind] = frozenset({"change", "impact"})
"""What an operator may publish in spite of, with a reason. Nobody may publish a record that breaks a resolver, and what
is expected or protected is overridden where the policy says it, not when it is published."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that speaks against a publication, in a sentence."""

    kind: Kind
    text: str

    def __str__(self) -> str:
        return self.text


def inspect(zone: Zone, policy: Policy, at: float) -> None:
    """Pass the zone, or raise `FeedRefused` naming its faults."""
    refuse(zone.name, faults(zone, policy, at))


def refuse(zone: Name, found: Iterable[Fault]) -> None:
    """Raise `FeedRefused` when there is any fault."""
    every = list(found)
    if every:
        rest = f"\n  … and {len(every) - SHOWN} more" if len(every) > SHOWN else ""
        texts = "\n  ".join(one.text for one in every[:SHOWN])
        raise FeedRefused(f"zone {zone} is not published:\n  {texts}{rest}")


def faults(zone: Zone, policy: Policy, at: float) -> Iterator[Fault]:
    """Yield everything that speaks against publishing the zone, one sentence each."""
    return Gate(policy, at).faults(zone)


class Gate:
    """What every zone of one policy is held against."""

    def __init__(self, policy: Policy, at: float) -> None:
        self._policy, self._at = policy, at
        self._registrable = {i.domain for service in policy.catalog.services.values() for i in service.indicators}
        self._narrow: set[Name] = set()  # names that were found to be below a registrable domain, in another zone
        self._sound: dict[str, Rule] = {}  # rules that were found to be sound in a zone of another audience
        self._below = Below((*(one.name for one in policy.catalog.never_block),
                             *(i.name for service in enabled(policy.catalog) for i in api_names(service))))  # fmt: skip

    def faults(self, zone: Zone) -> Iterator[Fault]:
        """Yield everything that speaks against publishing the zone, one sentence each."""
        yield from (Fault("record", text) for text in self._records(zone))
        if zone.audience == EXEMPT:
            return
        if zone.audience in BY_CLIENT:
            yield from (Fault("quarantine", text) for text in _cut_off(zone, self._policy))
            return
        lookups = _lookups(zone)
        names = frozenset(rule.trigger.removeprefix("*.") for rule in zone.rules)
        inner = self._below.of(names)
        yield from (Fault("protected", text) for text in _reach(zone, inner, lookups, self._policy, self._at))
        yield from (Fault("protected", text) for text in self._wide(zone))
        yield from (Fault("expected", text) for text in _expected(zone, inner, lookups, self._policy, self._at))

    def _records(self, zone: Zone) -> Iterator[str]:
        """Check each record by itself, and that no owner has two."""
        triggers = [rule.trigger for rule in zone.rules]
        if not all(map(lt, triggers, triggers[1:])):
            yield "its rules are not sorted, or two have the same trigger"
        by_name, longest = zone.audience not in BY_CLIENT, longest_trigger(zone.name)
        for rule in zone.rules:
            trigger = rule.trigger
            if by_name and self._sound.get(trigger) is rule and len(trigger) <= longest:
                continue
            found = list(_record(rule, zone))
            yield from found
            # What is sound for one audience is for all, but for a name of the feed itself.
            if by_name and not found and not trigger.endswith(self._policy.feeds.zone):
                self._sound[trigger] = rule

    def _wide(self, zone: Zone) -> Iterator[str]:
        """No rule blocks more than a registrable domain of the catalogue, or what an operator wrote down."""
        by_hand = {one.name for one in manual_blocks(self._policy, zone.audience, self._at)}
        for rule in zone.rules:
            name = rule.trigger.removeprefix("*.")
            if name in self._narrow or not _blocks(rule):
                continue
            if not self._registrable.isdisjoint(parents(name)):
                self._narrow.add(name)
            elif by_hand.isdisjoint(parents(name)):
                yield f"{rule.trigger} reaches further than any registrable domain of the catalogue"


def change_faults(before: Snapshot, zone: Zone, data: frozenset[str], policy: Policy) -> Iterator[Fault]:
    """Yield a fault when leases and decisions change more of a zone at once than a limit allows.

    ``data``: the triggers of ``zone`` that no configuration file has written out.
    """
    limits = policy.feeds.limits
    most = max(limits.rules, int(limits.share * len(before.zone.rules)))
    changed = before.data ^ data
    if len(changed) > most:
        gone = len(before.data - data)
        text = (f"leases and decisions would change {len(changed)} rules at once ({gone} removed, "
                f"{len(changed) - gone} added), and feeds.limits allows for {most}: see `dnswatch feed diff`; if it is "
                "right, `dnswatch feed publish --force --because TEXT`")  # fmt: skip
        yield Fault("change", text)


def _record(rule: Rule, zone: Zone) -> Iterator[str]:
    fault = owner_fault(rule.trigger, zone.name)
    if fault:
        yield f"{rule.trigger!r} {fault}"
    if rule.action not in ACTIONS:
        yield f"{rule.trigger!r} has the action {rule.action!r}, which not every resolver knows"
    if rule.trigger == CANARY or rule.trigger.endswith("." + CANARY):
        yield f"{rule.trigger!r} has the name of a canary, which belongs to a version and not to policy"
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


def _cut_off(zone: Zone, policy: Policy) -> Iterator[str]:
    """Nobody is cut off who never may be, and not too many are."""
    if len(zone.rules) > policy.feeds.most_quarantined:
        yield f"{len(zone.rules)} networks are cut off, and feeds.quarantine.most is {policy.feeds.most_quarantined}"
    for rule in zone.rules:
        network = network_of(rule.trigger)
        why = never_cut_off(policy, ip_network(network)) if network else None
        if why:
            yield f"{rule.trigger} would cut {network} off: {why.text}"


def _reach(zone: Zone, inner: Inner, lookups: tuple[Lookup, ...], policy: Policy, at: float) -> Iterator[str]:
    """No rule blocks what the never-block list protects, unless it is overridden."""
    catalog, blocks = policy.catalog, Spoken(manual_blocks(policy, zone.audience, at))
    for entry in catalog.never_block:
        for name in _witnesses(entry.name, entry.match, inner):
            rule = _blocking(lookups, name)
            if rule and not blocks.overrides(name, "never-block"):
                yield f"{rule.trigger} would block {name}, which is on the never-block list: {entry.reason}"


def _expected(zone: Zone, inner: Inner, lookups: tuple[Lookup, ...], policy: Policy, at: float) -> Iterator[str]:
    """Nothing that the audience is expected to use, and nothing that is not safe to block, is blocked.

    Of what is not safe to block, single names may be: those that were written down by hand, and tenants.
    """
    allowed = expected_services(policy, zone.audience, at)
    blocks = Spoken(manual_blocks(policy, zone.audience, at))
    single = {one.trigger for one in tenants(policy, at)}
    passing = [one for one in enabled(policy.catalog) if one.id in allowed or not blockable(policy, one)]
    for service in passing:
        why = "is expected" if service.id in allowed else "is not safe to block"
        for indicator in api_names(service):
            for name in _witnesses(indicator.name, indicator.match, inner):
                met = policy.catalog.match(name)
                # A more specific name may belong to another service, which is judged in its own turn.
                rule = _blocking(lookups, name) if met and met[0].service == service.id else None
                if rule and service.id in allowed and blocks.overrides(name, "expected"):
                    continue
                if rule and service.id not in allowed and _single(single, blocks, name):
                    continue
                if rule:
                    yield f"{rule.trigger} would block {name}, but {service.id} {why} for {zone.audience}"


def _single(known: set[Name], blocks: Spoken, name: Name) -> bool:
    """Say whether a name of a service that is not blocked as a whole is blocked by itself."""
    return any(blocks.of(name, "exact")) or not known.isdisjoint(parents(name))


def _lookups(zone: Zone) -> tuple[Lookup, ...]:
    """Read the zone in each way that resolvers do."""
    first = Lookup(zone.rules, READINGS[0])
    return (first, *(Lookup((), reading, first) for reading in READINGS[1:]))


def _blocking(lookups: tuple[Lookup, ...], name: Name) -> Rule | None:
    """Give the rule by which any resolver would block the name."""
    met = (lookup.rule(name) for lookup in lookups)
    return next((rule for rule in met if rule is not None and _blocks(rule)), None)


class Below:
    """Which names are strictly below given ones; of a name that was in another zone it is not looked for again."""

    def __init__(self, above: Iterable[Name]) -> None:
        self._above = frozenset(above)
        self._read: set[Name] = set()
        self._under: dict[Name, tuple[Name, ...]] = {}  # those among ``above`` that a name is below

    def of(self, names: Set[Name]) -> Inner:
        """Give the names below each, sorted."""
        for name in names - self._read:
            ancestors = parents(name)
            next(ancestors)
            under = tuple(one for one in ancestors if one in self._above)
            if under:
                self._under[name] = under
        self._read |= names
        found: dict[Name, list[Name]] = {}
        for name in sorted(self._under.keys() & names):
            for ancestor in self._under[name]:
                found.setdefault(ancestor, []).append(name)
        return found


def _witnesses(name: Name, match: Match, names: Inner) -> Iterator[Name]:
    """Yield names that stand for everything the match covers: itself, any below it, each that has a rule."""
    if match != "subdomains":
        yield name
    if match != "exact":
        yield f"{PROBE}.{name}"
        for other in names.get(name, ()):
            yield other
            yield f"{PROBE}.{other}"
