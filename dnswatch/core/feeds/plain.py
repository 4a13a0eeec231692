"""Names that have nothing to do with any other name that policy mentions: what is said of them, once for all zones.

Nearly all names of a large catalogue are such: no entry of the catalogue, of the never-block list, of the operator or
of the engine is above, below or the same. Then the service alone decides, so nodes and rules of all plain names of a
service are made once, and zones that block it refer to them. What is entangled goes the long way (``verdicts.py``).

Never: says anything that the long way would not (a property test compares them). Read next: ``verdicts.py``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

from dnswatch.core.feeds.audiences import api_names, enabled
from dnswatch.core.model import Indicator, Name, Rule
from dnswatch.core.names import parents
from dnswatch.core.policy import Policy

Node = tuple[bool | None, bool | None]
"""What is said of a name itself, and of what is below it; None: nothing."""


class Plain:
    """The plain names of one policy, by service."""

    def __init__(self, policy: Policy | None = None) -> None:
        """None: no name is plain."""
        self._names: dict[str, tuple[Indicator, ...]] = {}
        self._nodes: dict[tuple[str, bool], dict[Name, Node]] = {}
        self._rules: dict[tuple[str, Rule], tuple[Rule, ...]] = {}
        self.all: frozenset[Name] = frozenset()
        if policy is None:
            return
        entangled = _entangled(policy)
        for service in enabled(policy.catalog):
            self._names[service.id] = tuple(one for one in api_names(service) if one.name not in entangled)
        self.all = frozenset(one.name for names in self._names.values() for one in names)

    def nodes(self, service: str, blocked: bool) -> Mapping[Name, Node]:
        """Give what is said of each plain name of a service."""
        key = (service, blocked)
        if key not in self._nodes:
            nodes = {"exact": (blocked, None), "subdomains": (None, blocked), "domain": (blocked, blocked)}
            self._nodes[key] = {one.name: nodes[one.match] for one in self._names.get(service, ())}
        return self._nodes[key]

    def rules(self, service: str, block: Rule) -> tuple[Rule, ...]:
        """Give the rules that block them, sorted; the action is that of ``block``."""
        key = (service, block)
        if key not in self._rules:
            triggers = (
                trigger for one in self._names.get(service, ())
                for trigger in {"exact": (one.name,), "subdomains": (f"*.{one.name}",),
                                "domain": (one.name, f"*.{one.name}")}[one.match]
            )  # fmt: skip
            self._rules[key] = tuple(Rule(trigger, block.action, block.addresses) for trigger in sorted(triggers))
        return self._rules[key]


def _entangled(policy: Policy) -> set[Name]:
    """Give the names that are mentioned twice, or with another one above or below them."""
    mentioned = Counter(_mentioned(policy))
    found = {name for name, times in mentioned.items() if times > 1}
    found.update(one.name for one in policy.catalog.never_block)
    found.update(one.name for one in (*policy.feeds.block, *policy.feeds.allow))
    for name in mentioned:
        above = parents(name)
        next(above)
        for parent in above:
            if parent in mentioned:
                found.update((name, parent))
    return found


def _mentioned(policy: Policy) -> Iterator[Name]:
    for service in enabled(policy.catalog):
        yield from (one.name for one in api_names(service))
    yield from (one.name for one in policy.catalog.never_block)
    yield from (one.name for one in (*policy.feeds.block, *policy.feeds.allow))
    yield from (one.trigger for one in policy.feeds.decisions)
