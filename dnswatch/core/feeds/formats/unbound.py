"""Unbound local zones, for an ``include:`` below ``server:``; for every client alike.

``local-zone: d always_nxdomain`` is d and everything below; what must pass below it is a zone of its own, for the most
specific one decides. A name alone is local data in a transparent zone: other types of it are empty then. "Below d, but
not d" cannot be said. Loading it drops Unbound's cache (research rpz.md §4). Never: names that any expectation allows
to anybody. Read next: ``rpz.py``, which says everything and tells clients apart.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from ipaddress import ip_address

from dnswatch.core.feeds.audiences import EVERYONE
from dnswatch.core.feeds.suffixes import NOWHERE, header
from dnswatch.core.model import Name, Rule, Snapshot
from dnswatch.core.names import parents

TTL = 60
"""As in zone files: the time until a promotion or a new expectation reaches stubs."""


class Unbound:
    """A file of ``local-zone`` and ``local-data`` lines."""

    name = "unbound"

    def accepts(self, snapshot: Snapshot) -> bool:
        """Take only the zone that is right for every client at once."""
        return snapshot.zone.audience == EVERYONE

    def file_name(self, snapshot: Snapshot) -> str:
        """Name the file."""
        return "unbound.local-zones"

    def left_out(self, snapshot: Snapshot) -> dict[str, str]:
        """Give the triggers that local zones cannot say, each with why."""
        rules = {rule.trigger: rule for rule in snapshot.zone.rules}
        return {
            trigger: f"would block {trigger[2:]}, too" for trigger, rule in rules.items()
            if trigger.startswith("*.") and rule.action != "passthru" and not _blocks(rules, trigger[2:])
        }  # fmt: skip

    def render(self, snapshot: Snapshot) -> bytes:
        """Write a zone for each name that is blocked, and for what passes below one."""
        rules = {rule.trigger: rule for rule in snapshot.zone.rules}
        names = sorted({trigger.removeprefix("*.") for trigger in rules})
        whole = {name for name in names if _blocks(rules, name) and _blocks(rules, f"*.{name}")}
        lines = [f"# {line}" for line in header(snapshot, sum(_blocks(rules, name) for name in names))]
        for name in names:
            lines.extend(_zone(rules, name, whole))
        return "".join(line + "\n" for line in lines).encode("ascii")


def _blocks(rules: Mapping[str, Rule], trigger: str) -> bool:
    rule = rules.get(trigger)
    return rule is not None and rule.action != "passthru"


def _zone(rules: Mapping[str, Rule], name: Name, whole: set[Name]) -> Iterator[str]:
    """Yield the lines of one name."""
    if name in whole:
        action = rules[name].action
        if action == "address":
            yield f'local-zone: "{name}." redirect'
            yield from _addresses(name, rules[name].addresses)
        else:
            yield f'local-zone: "{name}." always_{"nodata" if action == "nodata" else "nxdomain"}'
    elif _blocks(rules, name):
        yield f'local-zone: "{name}." transparent'
        if rules[name].action == "nodata":  # a name with data of another type
            yield f'local-data: "{name}. {TTL} IN TXT blocked"'
        else:
            yield from _addresses(name, rules[name].addresses or NOWHERE)
    elif any(parent in whole for parent in parents(name)):
        yield f'local-zone: "{name}." always_transparent'


def _addresses(name: Name, addresses: tuple[str, ...]) -> Iterator[str]:
    for address in addresses:
        yield f'local-data: "{name}. {TTL} IN {"A" if ip_address(address).version == 4 else "AAAA"} {address}"'
