"""AdGuard Home: one list for all groups, for its rules can say whom they are for (``$client``).

Of the resolvers without policy zones it is the one that tells clients apart. A rule names the networks that it leaves
out (``~``), or holds for, as AdGuard Home documents it; an exception (``@@``) is stronger than a block, so a name that
is blocked below one that passes is left out. What the zones `quarantine` and `exempt` hold is here, too. Never: zones
in mode shadow (an exception there would also undo other lists). Read next: ``adblock.py``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from ipaddress import IPv4Network, IPv6Network, collapse_addresses, ip_network

from dnswatch.core.feeds.audiences import ANY, BY_CLIENT, EVERYONE, EXEMPT, QUARANTINE
from dnswatch.core.feeds.suffixes import NOBODY
from dnswatch.core.feeds.triggers import network_of
from dnswatch.core.model import Rule, Snapshot
from dnswatch.core.names import parents
from dnswatch.core.policy import Policy

Network = IPv4Network | IPv6Network
Rules = Mapping[str, Mapping[str, Rule]]  # audience → trigger → rule


class AdGuard:
    """A list for AdGuard Home, in which clients differ."""

    name = "adguard"
    file_name = "adguard.txt"

    def left_out(self, policy: Policy, snapshots: Sequence[Snapshot]) -> Mapping[str, str]:
        """Give the triggers that cannot be blocked beside an exception, each with why."""
        audiences = _by_audience(policy, snapshots)
        return {trigger: why for rules in audiences.values() for trigger in rules
                if (why := _undone(rules, trigger))}  # fmt: skip

    def render(self, policy: Policy, snapshots: Sequence[Snapshot], at: float) -> bytes:
        """Write the rules."""
        lines = [f"! {NOBODY}", f"! Version {max(one.serial for one in snapshots)}. Clients are told apart by $client."]
        audiences = _by_audience(policy, snapshots)
        if audiences:
            exempt = _clients(snapshots, EXEMPT)
            members = {name: _members(policy, name) for name in audiences}
            mixed = {name for name, rules in audiences.items() if any(r.action == "passthru" for r in rules.values())}
            lines += [f"||*^$client={network},important" for network in _clients(snapshots, QUARANTINE)]
            for trigger in sorted({trigger for rules in audiences.values() for trigger in rules}):
                lines.extend(_lines(trigger, audiences, mixed, members, exempt))
        else:
            lines.append("! Empty: feeds.mode is not enforce, and this format cannot pass and log at once.")
        return "".join(line + "\n" for line in lines).encode("ascii")


def _by_audience(policy: Policy, snapshots: Iterable[Snapshot]) -> Rules:
    if policy.feeds.mode != "enforce":
        return {}
    wanted = {*(group.name for group in policy.groups.all), ANY}
    return {
        one.zone.audience: {rule.trigger: rule for rule in one.zone.rules}
        for one in snapshots if one.zone.audience in wanted - {EVERYONE} - BY_CLIENT
    }  # fmt: skip


def _clients(snapshots: Iterable[Snapshot], audience: str) -> list[str]:
    found = (network_of(rule.trigger) for one in snapshots if one.zone.audience == audience for rule in one.zone.rules)
    return [_short(ip_network(text)) for text in found if text]


def _members(policy: Policy, audience: str) -> list[str]:
    """Give the networks of a group without what narrower networks of others take out of them: AdGuard Home knows no
    longest prefix."""
    nets = {ip_network(text): group.name for group in policy.groups.all for text in group.networks}
    kept: list[Network] = []
    for net in (net for net, name in nets.items() if name == audience):
        pieces: list[Network] = [net]
        for other in (other for other, name in nets.items() if name != audience and _inside(other, net)):
            pieces = [part for piece in pieces for part in _without(piece, other)]
        kept += pieces
    return [_short(net) for version in (4, 6)
            for net in collapse_addresses(n for n in kept if n.version == version)]  # type: ignore[type-var]  # fmt: skip


def _inside(inner: Network, outer: Network) -> bool:
    return inner.version == outer.version and inner != outer and inner.subnet_of(outer)  # type: ignore[arg-type]


def _without(net: Network, hole: Network) -> Iterable[Network]:
    if net == hole or _inside(net, hole):
        return ()
    return net.address_exclude(hole) if _inside(hole, net) else (net,)  # type: ignore[arg-type]


def _short(net: Network) -> str:
    return str(net.network_address) if net.prefixlen == net.max_prefixlen else str(net)


def _lines(
    trigger: str, audiences: Rules, mixed: Set[str], members: Mapping[str, Sequence[str]], exempt: Sequence[str]
) -> Iterator[str]:
    """Yield the rule that blocks the trigger, and the exception for those whom it passes below a blocked name.

    ``mixed``: audiences with anything that passes; in the others nothing undoes a block.
    """
    known = {name for name, rules in audiences.items() if trigger in rules}
    passing = {name for name in known & mixed if audiences[name][trigger].action == "passthru"}
    blocked = {name for name in known - passing if name not in mixed or not _undone(audiences[name], trigger)}
    for prefix, names, spared in (("", blocked, exempt), ("@@", passing, ())):
        if not names:
            continue
        if ANY in names:  # all but the groups for which it does not hold
            chosen = [f"~{net}" for name in sorted(audiences.keys() - names - {ANY}) for net in members[name]]
        else:
            chosen = [net for name in sorted(names) for net in members[name]]
            if not chosen:
                continue
        who = "|".join([*chosen, *(f"~{client}" for client in spared)])
        yield prefix + _pattern(trigger) + (f"$client={who}" if who else "")


def _pattern(trigger: str) -> str:
    """Write ``d`` as a whole name, ``*.d`` as whatever ends below it."""
    return f"||{trigger}^" if trigger.startswith("*.") else f"|{trigger}^"


def _undone(rules: Mapping[str, Rule], trigger: str) -> str:
    """Say which exception above a blocked trigger would undo it; "": none."""
    if rules[trigger].action == "passthru":
        return ""
    above = parents(trigger.removeprefix("*."))
    if not trigger.startswith("*."):
        next(above)
    for name in above:
        found = rules.get(f"*.{name}")
        if found is not None and found.action == "passthru":
            return f"*.{name} passes, and an exception is stronger than a block"
    return ""
