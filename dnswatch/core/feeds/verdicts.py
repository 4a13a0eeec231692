"""What policy says of every name for one audience: the table that zones are written from.

From the strongest word to the weakest:

    never-block list            passes   (a manual block may say ``override: never-block``)
    feeds.allow                 passes
    expectation, grace included passes   (a manual block may say ``override: expected``)
    feeds.block                 blocked
    tenant that was decided on  blocked
    service, safe to block      blocked  (also a collateral one that ``feeds.collateral`` names)
    anything else               passes

Between manual entries the longer name decides, and between equals passing does. Never: knows single clients
(``clients.py`` does), writes rules (``claims.py`` does). Read next: ``zones.py``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence, Set
from dataclasses import dataclass

from dnswatch.core.catalog import NeverBlock
from dnswatch.core.clients.expectations import until_text
from dnswatch.core.feeds.audiences import (
    ANY,
    BY_CLIENT,
    EVERYONE,
    PROBE,
    api_names,
    blockable,
    enabled,
    expected_services,
    service_of,
)
from dnswatch.core.feeds.claims import Claim, Verdicts, weigh
from dnswatch.core.feeds.plain import Plain
from dnswatch.core.feeds.triggers import name_fault
from dnswatch.core.model import Decision, Match, Name, Reason, Service, Who
from dnswatch.core.names import parents, within
from dnswatch.core.policy import Entry, Override, Policy

TENANT = "block-tenant"
"""Action of a `Decision` on a tenant name; its trigger is that name."""


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A watched service, name or client that a zone does not block, and why."""

    service: str
    name: Name  # "" = every name of the service
    because: tuple[Reason, ...]


def verdicts_of(policy: Policy, audience: str, at: float, plain: Plain | None = None) -> Verdicts:
    """Give what an audience may look up. ``plain``: what needs no weighing, made for this policy before."""
    plain = plain or Plain()
    allowed = expected_services(policy, audience, at)
    entries = manual_blocks(policy, audience, at)
    spoken, words = Spoken(entries), Spoken(one for one in entries if "never-block" in one.override)
    shields = [
        *(_Shield(one.name, half, words) for one in policy.catalog.never_block for half in _halves(one.match)
          if not any(words.of(one.name, half))),
        *(_Shield(one.name, half, spoken) for one in manual_allows(policy, audience, at)
          for half in _halves(one.match)),
    ]  # fmt: skip
    claims = [*_services(policy, allowed, entries, plain.all), *_tenants(policy, allowed, audience, at)]
    weighed = weigh([*_protect(claims, shields), *_blocked_by_hand(policy, allowed, entries)])
    if not plain.all:
        return weighed
    nodes, blocked = dict(weighed.nodes), []
    for service in enabled(policy.catalog):
        blocks = blockable(policy, service) and service.id not in allowed
        nodes.update(plain.nodes(service.id, blocks))
        blocked += [service.id] * blocks
    return Verdicts(nodes, plain.all, tuple(blocked))


def manual_blocks(policy: Policy, audience: str, at: float) -> tuple[Entry, ...]:
    """Give the manual blocks that hold for an audience; for `EVERYONE` those that hold for all."""
    if audience == EVERYONE:
        return tuple(one for one in policy.feeds.block if one.holds(at) and not one.audiences)
    return tuple(one for one in policy.feeds.block if one.holds(at) and one.is_for(audience))


def manual_allows(policy: Policy, audience: str, at: float) -> tuple[Entry, ...]:
    """Give the manual allowances that hold for an audience; for `EVERYONE` those that hold for anybody."""
    everyone = audience == EVERYONE
    return tuple(one for one in policy.feeds.allow if one.holds(at) and (everyone or one.is_for(audience)))


class Spoken:
    """Manual entries by name: which of them speak of a name is found among its parents, however many there are."""

    def __init__(self, entries: Iterable[Entry]) -> None:
        self._by_name: dict[Name, list[Entry]] = {}
        for entry in entries:
            self._by_name.setdefault(entry.name, []).append(entry)

    def of(self, name: Name, half: Match) -> Iterator[Entry]:
        """Yield the entries that speak of one half of a name: itself (``exact``), or what is below."""
        if self._by_name:
            for parent in parents(name):
                for entry in self._by_name.get(parent, ()):
                    if _speaks_of(entry, name, half):
                        yield entry

    def overrides(self, name: Name, word: Override) -> bool:
        """Say whether an entry covers the name and is stronger than ``word``."""
        return any(word in one.override for one in self.of(name, "exact"))


@dataclass(frozen=True, slots=True)
class _Shield:
    """One half of a name that passes whatever services say, and the manual blocks that may say otherwise below it."""

    name: Name
    half: Match
    stronger: Spoken

    def covers(self, name: Name, half: Match) -> bool:
        """Say whether the shield is above a claim, and no stronger block between the two."""
        if self.half == "exact" or name == self.name or not within(name, self.name):
            return False
        return not any(len(one.name) > len(self.name) for one in self.stronger.of(name, half))


def covers(name: Name, match: Match, other: Name) -> bool:
    """Say whether a name with its match speaks of ``other`` itself."""
    if other == name:
        return match != "subdomains"
    return match != "exact" and within(other, name)


def tenants(policy: Policy, at: float) -> tuple[Decision, ...]:
    """Give the decisions on tenant names that still hold, the oldest first, as many as the setting allows."""
    settings = policy.feeds.tenants
    if settings is None:
        return ()
    return live(policy, TENANT, at)[: settings.most]


def live(policy: Policy, action: str, at: float) -> tuple[Decision, ...]:
    """Give the decisions of one kind that have not ended, those that end first (the oldest) first."""
    found = [one for one in policy.feeds.decisions
             if one.action == action and (one.expires_at is None or at < one.expires_at)]  # fmt: skip
    return tuple(sorted(found, key=lambda one: (one.expires_at or 0.0, one.trigger)))


def _services(policy: Policy, allowed: frozenset[str], blocks: Sequence[Entry], plain: Set[Name]) -> Iterator[Claim]:
    """Yield what every enabled service claims for its names, where no manual block is stronger than its passing."""
    every, words = Spoken(blocks), Spoken(one for one in blocks if "expected" in one.override)
    none = Spoken(())
    for service in enabled(policy.catalog):
        blocked = blockable(policy, service) and service.id not in allowed
        stronger = none if blocked else words if service.id in allowed else every
        for indicator in api_names(service):
            for half in _halves(indicator.match) if indicator.name not in plain else ():
                if not any(stronger.of(indicator.name, half)):
                    yield Claim(indicator.name, half, blocked)


def _halves(match: Match) -> tuple[Match, ...]:
    """Split what a match means into the name itself and what is below it."""
    return ("exact", "subdomains") if match == "domain" else (match,)


def _speaks_of(entry: Entry, name: Name, half: Match) -> bool:
    return covers(entry.name, entry.match, name) if half == "exact" else (
        entry.match != "exact" and within(name, entry.name))  # fmt: skip


def _tenants(policy: Policy, allowed: frozenset[str], audience: str, at: float) -> Iterator[Claim]:
    """Yield the tenant names that were decided on, in audiences where their service is not expected."""
    for decision in tenants(policy, at):
        service = tenant_of(policy, decision.trigger)
        if service and service not in allowed and decision.scope in ("", audience):
            yield Claim(decision.trigger, "domain", True)


def tenant_of(policy: Policy, name: Name) -> str:
    """Give the multi-tenant service that the name is a tenant of, or "" where it is none that may be blocked."""
    met = policy.catalog.match(name)
    if not met or met[0].role != "api" or met[0].match == "exact" or met[0].name == name or name_fault(name):
        return ""
    return met[0].service if policy.catalog.services[met[0].service].multi_tenant else ""


def _protect(claims: Iterable[Claim], shields: list[_Shield]) -> Iterator[Claim]:
    """Yield the claims with the shields above them: nothing that one covers is blocked."""
    wide: dict[Name, list[_Shield]] = {}
    for one in shields:
        if one.half != "exact":
            wide.setdefault(one.name, []).append(one)
    for claim in claims:
        above = [one for parent in parents(claim.name) for one in wide.get(parent, ())] if claim.blocked else []
        for half in _halves(claim.match):
            under = any(one.covers(claim.name, half) for one in above)
            yield Claim(claim.name, half, claim.blocked and not under)
    for one in shields:
        yield Claim(one.name, one.half, False)


def _blocked_by_hand(policy: Policy, allowed: frozenset[str], blocks: Iterable[Entry]) -> Iterator[Claim]:
    """Yield what is blocked by hand, but for what is expected or protected and not overridden in so many words."""
    protected = {one.name for one in policy.catalog.never_block if one.match != "exact"}
    for entry in blocks:
        if "never-block" not in entry.override and any(
            parent in protected and parent != entry.name for parent in parents(entry.name)
        ):
            continue
        expected_too = "expected" in entry.override
        if entry.match != "subdomains" and (expected_too or service_of(policy.catalog, entry.name) not in allowed):
            yield Claim(entry.name, "exact", True)
        below = service_of(policy.catalog, f"{PROBE}.{entry.name}")
        if entry.match != "exact" and (expected_too or below not in allowed):
            yield Claim(entry.name, "subdomains", True)


# ── What is left out, and why ─────────────────────────────────────────────────────────────────────────────────


def left_out(policy: Policy, audience: str, at: float) -> tuple[LeftOut, ...]:
    """Say which watched services and names the audience's zone does not block, and why."""
    if audience in BY_CLIENT:
        return ()
    allowed = expected_services(policy, audience, at)
    found = []
    for service in enabled(policy.catalog):
        if service.id in allowed:
            found.append(LeftOut(service.id, "", (_why_allowed(policy, audience, service, at),)))
        elif not blockable(policy, service):
            text = f"blocking {service.name} would also break people or common applications"
            found.append(LeftOut(service.id, "", (Reason("collateral", text),)))
    blocked = {service.id for service in enabled(policy.catalog)} - {entry.service for entry in found}
    blocks = Spoken(manual_blocks(policy, audience, at))
    shields = [
        *((one.name, one.match, _why_protected(one)) for one in policy.catalog.never_block),
        *((one.name, one.match, _why_by_hand(one)) for one in manual_allows(policy, audience, at)),
    ]  # fmt: skip
    below = _named_below(policy, sorted(blocked), {name for name, _, _ in shields})
    for name, match, why in shields:
        found.extend(LeftOut(service_id, one, (why,)) for service_id, one in below.get(name, ())
                     if covers(name, match, one) and not blocks.overrides(one, "never-block"))  # fmt: skip
    return (*found, *_without_effect(policy, audience, at))


def _named_below(policy: Policy, services: Iterable[str], names: Set[Name]) -> dict[Name, list[tuple[str, Name]]]:
    """Give the api names of services, each with its service, that are one of ``names`` or below it."""
    found: dict[Name, list[tuple[str, Name]]] = {}
    for service in services:
        for indicator in api_names(policy.catalog.services[service]):
            for parent in parents(indicator.name):
                if parent in names:
                    found.setdefault(parent, []).append((service, indicator.name))
    return found


def added(policy: Policy, audience: str, at: float) -> dict[Name, Reason]:
    """Give the names that a zone blocks by somebody's word and not by the catalogue, each with why."""
    if audience in BY_CLIENT:
        return {}
    found = {one.trigger: Reason("tenant", one.reason) for one in tenants(policy, at)}
    found.update((one.name, _why_by_hand(one)) for one in manual_blocks(policy, audience, at))
    return found


def _without_effect(policy: Policy, audience: str, at: float) -> Iterator[LeftOut]:
    """Yield the manual blocks that do nothing for the audience, and what is stronger."""
    entries = manual_blocks(policy, audience, at)
    if not entries:
        return
    verdicts = verdicts_of(policy, audience, at, Plain(policy))
    allowed = expected_services(policy, audience, at)
    for entry in entries:
        asked = entry.name if entry.match != "subdomains" else f"{PROBE}.{entry.name}"
        if verdicts.blocked(asked):
            continue
        service = service_of(policy.catalog, asked)
        if service in allowed:
            why = Reason("expectation", f"{service} is expected there; override: expected blocks it all the same")
        else:
            stronger = next((one for one in policy.catalog.never_block if covers(one.name, one.match, asked)), None)
            why = _why_protected(stronger) if stronger else Reason("allow", "feeds.allow names it, too")
        yield LeftOut(service, entry.name, (why,))


def _why_protected(entry: NeverBlock) -> Reason:
    return Reason("never-block", f"{entry.name} is on the never-block list: {entry.reason}")


def _why_by_hand(entry: Entry) -> Reason:
    known = [f"owner {entry.owner}"] if entry.owner else []
    known += [f"until {until_text(entry.until)}"] if entry.until is not None else []
    known += [entry.origin] if entry.origin else []
    return Reason("manual", f"{entry.because} ({', '.join(known)})" if known else entry.because)


def _why_allowed(policy: Policy, audience: str, service: Service, at: float) -> Reason:
    """Say that an expectation holds, or that it has ended and the feed's grace has not."""
    who = "somebody" if audience == EVERYONE else f"group {audience}" if audience != ANY else ANY
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
