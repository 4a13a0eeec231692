"""Policy becomes zones: one per group, one for everybody else (``any``), one of exempted clients (``exempt``), one of
those that are cut off (``quarantine``).

An RPZ rule has one trigger, so "this client may, that one may not" is expressed by which zone a client is served with;
`compile_zones` writes what each audience must not look up. A name is blocked for an audience exactly when an alert on
it would be unexpected there and its service may be blocked, so the zones and the engine cannot disagree.

Never: keeps state, knows a clock (``at`` is given). Mode is content: ``shadow`` writes the same triggers with
``rpz-passthru.``. Read next: ``verdicts.py`` and ``clients.py`` for what is in them, ``guard.py``, ``history.py``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import chain
from operator import attrgetter

from dnswatch.core.catalog import Catalog
from dnswatch.core.clients.identity import Identity
from dnswatch.core.clients.who import RESERVED_GROUPS
from dnswatch.core.feeds.audiences import (
    ANY,
    BY_CLIENT,
    EVERYONE,
    EXEMPT,
    QUARANTINE,
    api_names,
    audiences,
    enabled,
    expected_services,
    zone_name,
)
from dnswatch.core.feeds.claims import Verdicts, rules_of
from dnswatch.core.feeds.clients import exempt_zone, quarantine_zone
from dnswatch.core.feeds.plain import Plain
from dnswatch.core.feeds.verdicts import LeftOut, left_out, verdicts_of
from dnswatch.core.model import Decision, Mode, Rule, Zone
from dnswatch.core.names import parents
from dnswatch.core.policy import Policy
from dnswatch.errors import FeedRefused

__all__ = [
    "ANY", "BY_CLIENT", "EVERYONE", "EXEMPT", "QUARANTINE", "LeftOut", "api_names", "audiences", "compile_by_client",
    "compile_everyone", "compile_zones", "enabled", "expected_services", "left_out", "verdicts_of", "with_decisions",
    "with_mode", "zone_name",
]  # fmt: skip


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
    plain, block = Plain(policy), _block(policy)
    verdicts = {audience: verdicts_of(policy, audience, at, plain) for audience in audiences(policy)}
    named = [Zone(zone_name(policy, audience), audience, _rules(one, block, plain))
             for audience, one in verdicts.items()]  # fmt: skip
    cut_off = quarantine_zone(policy, identity, at, block)
    return (cut_off, *named, exempt_zone(policy, identity, at, verdicts))


def compile_by_client(policy: Policy, identity: Identity | None, at: float) -> tuple[Zone, ...]:
    """Give the zones alone whose triggers are clients; all that leases change."""
    if policy.feeds.mode == "off":
        return ()
    plain = Plain(policy)
    verdicts = {audience: verdicts_of(policy, audience, at, plain) for audience in audiences(policy)}
    return (quarantine_zone(policy, identity, at, _block(policy)), exempt_zone(policy, identity, at, verdicts))


def compile_everyone(policy: Policy, at: float) -> Zone:
    """Give the zone for outputs that cannot tell clients apart: only names that no expectation allows to anybody.

    What passes is written too, as ``passthru`` rules: an output that blocks ``d`` and everything below in one line must
    know what below it may not be touched. Empty in mode ``shadow``: such outputs cannot pass and log at once.
    """
    if policy.feeds.mode != "enforce":
        return Zone(zone_name(policy, EVERYONE), EVERYONE, ())
    plain = Plain(policy)
    verdicts = verdicts_of(policy, EVERYONE, at, plain)
    rules = {rule.trigger: rule for rule in _passing(verdicts, policy.catalog)}
    rules.update((rule.trigger, rule) for rule in _rules(verdicts, _block(policy), plain))
    return Zone(zone_name(policy, EVERYONE), EVERYONE, tuple(rules[trigger] for trigger in sorted(rules)))


def with_mode(policy: Policy, mode: Mode) -> Policy:
    """Give the policy as it would be in another mode."""
    return replace(policy, feeds=replace(policy.feeds, mode=mode))


def with_decisions(policy: Policy, decisions: Iterable[Decision]) -> Policy:
    """Give the policy with what the engine has decided."""
    return replace(policy, feeds=replace(policy.feeds, decisions=tuple(decisions)))


def _rules(verdicts: Verdicts, block: Rule, plain: Plain) -> tuple[Rule, ...]:
    """Give all rules of a zone, sorted: those of plain names are the same objects in every zone."""
    parts = [rules_of(verdicts, block), *(plain.rules(service, block) for service in verdicts.blocked_services)]
    return tuple(sorted(chain.from_iterable(parts), key=attrgetter("trigger")))


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
