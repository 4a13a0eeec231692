"""From "this name passes, that one is blocked" to RPZ rules that say exactly this in every resolver, and back.

A `Claim` is one statement about a name and what is below it; the most specific claim decides. RPZ has exact and
wildcard owners only, and a rule below a wildcard hides the wildcard from everything around it: BIND and Unbound follow
the closest encloser of RFC 4592, PowerDNS takes the longest wildcard (research rpz.md §2.1). `rules_of` therefore
prunes what a wildcard already says, and writes out every node in between where something differs below it.

Never: knows services or clients. Read next: ``zones.py``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from dnswatch.core.model import Match, Name, Rule
from dnswatch.core.names import parents

Semantics = Literal["closest-encloser", "empty-names-match", "longest-wildcard"]
"""How resolvers read a zone (research rpz.md §2.1, its two rows on wildcards): BIND as RFC 4592 says; Unbound the same,
but a wildcard answers for a name that only exists because of one below it; PowerDNS takes the longest wildcard."""


@dataclass(frozen=True, slots=True)
class Claim:
    """One statement: names that match pass or are blocked."""

    name: Name
    match: Match
    blocked: bool


@dataclass(slots=True)
class _Node:
    """What claims say at one name (``own``) and below it (``below``); None where they say nothing."""

    own: bool | None = None
    below: bool | None = None


@dataclass(frozen=True, slots=True)
class Verdicts:
    """The claims of one audience, ready to be asked about any name."""

    nodes: Mapping[Name, tuple[bool | None, bool | None]] = field(default_factory=dict)
    plain: frozenset[Name] = frozenset()  # names among them that have nothing to do with any other one
    blocked_services: tuple[str, ...] = ()  # whose plain names are blocked

    def blocked(self, name: Name) -> bool:
        """Say whether the most specific claim on ``name`` blocks it; without a claim it passes."""
        own, _ = self.nodes.get(name, (None, None))
        return own if own is not None else self.inherited(name)

    def inherited(self, name: Name) -> bool:
        """Say what claims on the ancestors of ``name`` say of it."""
        ancestors = parents(name)
        next(ancestors)
        for ancestor in ancestors:
            below = self.nodes.get(ancestor, (None, None))[1]
            if below is not None:
                return below
        return False


def weigh(claims: Iterable[Claim]) -> Verdicts:
    """Bring claims together: the longer name decides, and between equals passing does."""
    nodes: dict[Name, _Node] = {}
    for claim in claims:
        node = nodes.setdefault(claim.name, _Node())
        if claim.match != "subdomains":
            node.own = claim.blocked and node.own is not False
        if claim.match != "exact":
            node.below = claim.blocked and node.below is not False
    return Verdicts({name: (node.own, node.below) for name, node in nodes.items()})


def rules_of(verdicts: Verdicts, block: Rule) -> tuple[Rule, ...]:
    """Write verdicts as the fewest RPZ rules that every resolver reads alike, sorted by trigger; plain names aside.

    ``block`` carries the action of a blocked name; its trigger is ignored.
    """
    kept = _significant(verdicts)
    nodes = set(kept)
    covered = {name for name in kept if _under_wildcard(verdicts, name)}
    for name in covered:  # every node between a wildcard and a name below it exists, so it must speak for itself
        for ancestor in parents(name):
            if not _under_wildcard(verdicts, ancestor):
                break
            nodes.add(ancestor)
    rules: dict[str, bool] = {}
    for name in nodes:
        own, below = _effective(verdicts, name)
        if _under_wildcard(verdicts, name):
            rules[name], rules["*." + name] = own, below
        else:
            if own:
                rules[name] = True
            if below:
                rules["*." + name] = True
    return tuple(
        Rule(trigger, block.action, block.addresses) if blocked else Rule(trigger, "passthru")
        for trigger, blocked in sorted(rules.items())
    )


def _effective(verdicts: Verdicts, name: Name) -> tuple[bool, bool]:
    own, below = verdicts.nodes.get(name, (None, None))
    inherited = verdicts.inherited(name)
    return inherited if own is None else own, inherited if below is None else below


def _under_wildcard(verdicts: Verdicts, name: Name) -> bool:
    """Say whether any ancestor blocks what is below it (even where a nearer one lets it pass again)."""
    ancestors = parents(name)
    next(ancestors)
    return any(verdicts.nodes.get(ancestor, (None, None))[1] for ancestor in ancestors)


def _significant(verdicts: Verdicts) -> list[Name]:
    """Give the names whose claims change anything: the others repeat what is said above them."""
    return [
        name for name in verdicts.nodes
        if name not in verdicts.plain and set(_effective(verdicts, name)) != {verdicts.inherited(name)}
    ]  # fmt: skip


class Lookup:
    """Reads rules as a resolver does: which rule, if any, a query name meets."""

    def __init__(
        self, rules: Iterable[Rule], semantics: Semantics = "closest-encloser", like: Lookup | None = None
    ) -> None:
        """``like``: the same rules, read in another way; what both need is made once."""
        self._semantics = semantics
        if like is not None:
            self._rules: dict[str, Rule] = like._rules
            self._nodes: set[Name] = like._nodes
            return
        self._rules = {rule.trigger: rule for rule in rules}
        self._nodes = _with_ancestors({trigger.removeprefix("*.") for trigger in self._rules})

    def rule(self, qname: Name) -> Rule | None:
        """Give the rule that answers ``qname``, or None when the zone says nothing of it."""
        if qname in self._rules:
            return self._rules[qname]
        if self._semantics == "closest-encloser" and qname in self._nodes:
            return None  # an empty non-terminal: it exists, so no wildcard answers for it (RFC 4592 §2.2.2)
        ancestors = parents(qname)
        next(ancestors)
        for ancestor in ancestors:
            found = self._rules.get("*." + ancestor)
            if found or (self._semantics != "longest-wildcard" and ancestor in self._nodes):
                return found
        return None


def _with_ancestors(names: set[Name]) -> set[Name]:
    """Give the names and everything above them, level by level: most share what is above their first label."""
    if any("\\" in name for name in names):
        return {ancestor for name in names for ancestor in parents(name)}
    found, level = set(names), names
    while level:
        level = {name.partition(".")[2] for name in level} - found - {""}
        found |= level
    return found
