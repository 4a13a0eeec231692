"""Expectations that history suggests: which clients use which service already, as lines that an operator may accept.

Never: applies anything; proposes request bins, callback servers or tunnels, whatever history says; proposes a client
that has a serious alert of another category, for what it does may be the incident; nor, for the same reason, a use
that was judged grave and is not yet a habit. One that is a habit is drafted and left to the operator: who was infected
before the log began has habits, too.
Read next: ``render.py``.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, field
from typing import Literal

from dnswatch.core.catalog import Catalog
from dnswatch.core.clients.expectations import Expectations
from dnswatch.core.clients.groups import Groups
from dnswatch.core.detect.changes import SightingRow
from dnswatch.core.model import SEVERITIES, Alert, Client, Name, Who
from dnswatch.core.propose.words import day, minute, plural, some, span

NEVER = ("request-bin", "oob-interaction", "tunnel-agent", "tunnel-visit")
"""Categories that nobody needs by habit (DESIGN §5): an expectation for them is written by hand."""
GROUP_SHARE = (2, 3)
"""A group is proposed when at least two thirds of its active clients, and two of them, use the service."""
SERIOUS = SEVERITIES.index("medium")
GRAVE = SEVERITIES.index("high")
HABIT_DAYS = 3
"""A use with a grave alert is proposed when it was seen on so many days: a job is, what was done once is the alert."""
SURE_DAYS = 5
"""A group's use on so many days is no accident: a working week."""
DAY_S = 86400
Confidence = Literal["high", "medium", "low"]
"""high: a group's habit; low: too new, or somebody must answer for it."""


@dataclass(slots=True)
class Use:
    """What one client did with one service."""

    count: int = 0
    days: set[int] = field(default_factory=set)
    first_at: float = float("inf")
    last_at: float = float("-inf")
    names: set[Name] = field(default_factory=set)

    def add(self, row: SightingRow) -> None:
        self.count += row.count
        self.days |= {int(row.first_at) // DAY_S, int(row.last_at) // DAY_S}
        self.first_at = min(self.first_at, row.first_at)
        self.last_at = max(self.last_at, row.last_at)
        self.names.add(row.qname)

    def join(self, other: Use) -> None:
        self.count += other.count
        self.days |= other.days
        self.first_at = min(self.first_at, other.first_at)
        self.last_at = max(self.last_at, other.last_at)
        self.names |= other.names


@dataclass(frozen=True, slots=True)
class Proposed:
    """One expectation that history suggests, with its evidence."""

    who: tuple[Who, ...]
    service: str
    because: str
    clients: tuple[str, ...]  # addresses that did it
    evidence: tuple[str, ...]  # sentences with their numbers
    count: int
    days: int
    first_at: float
    last_at: float
    confidence: Confidence = "medium"
    doubtful: bool = False  # a grave alert lies on it: `--apply` leaves it out


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A use that is not proposed, and why."""

    client: str
    service: str
    count: int
    why: str
    evidence: str = ""  # what makes it so for this client


@dataclass(frozen=True, slots=True)
class Proposal:
    """Everything that history says of unexpected use."""

    lines: tuple[Proposed, ...] = ()
    left_out: tuple[LeftOut, ...] = ()

    @property
    def clear(self) -> tuple[Proposed, ...]:
        """What may be accepted as it is."""
        return tuple(line for line in self.lines if not line.doubtful)


def propose(
    rows: Iterable[SightingRow],
    *,
    catalog: Catalog,
    groups: Groups,
    expectations: Expectations,
    alerts: Iterable[Alert] = (),
    active: Mapping[str, Set[str]] | None = None,
) -> Proposal:
    """Propose expectations for what is not expected yet.

    ``active`` gives the clients of each group that asked anything at all; without it, those that met a watched name
    stand in, and no group is proposed that has fewer than two of them.
    """
    begun_at = float("inf")
    uses: dict[tuple[str, str], Use] = defaultdict(Use)
    seen: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        begun_at = min(begun_at, row.first_at)
        group = groups.of(row.client)
        if group is not None:
            seen[group.name].add(row.client)
        if not row.expected:
            uses[row.service, row.client].add(row)
    worst, clients, own = _alerts(alerts)
    lines: list[Proposed] = []
    left_out: list[LeftOut] = []
    by_service: dict[str, dict[str, Use]] = defaultdict(dict)
    for (service, address), use in sorted(uses.items()):
        client = _client(address, clients, groups)
        if expectations.judge(client, service, use.last_at)[0]:
            continue
        why, evidence = _why_not(catalog, service, address, worst)
        if not why:
            why, evidence = _no_habit(use, own.get((service, address)))
        if why:
            left_out.append(LeftOut(address, service, use.count, why, evidence))
        else:
            by_service[service][address] = use
    held_back = {(item.service, item.client) for item in left_out}
    for service, found in by_service.items():
        rest = dict(found)
        for name in sorted({group.name for address in found if (group := groups.of(address)) is not None}):
            members = {address: use for address, use in found.items() if _in(groups, address, name)}
            there = set((active or {}).get(name, ())) | seen[name]
            suspect = any(key == service and _in(groups, address, name) for key, address in held_back)
            if not suspect and _most(len(members), len(there)):
                lines.append(_line((Who("group", name),), service, members, own, begun_at, len(there), name))
                rest = {address: use for address, use in rest.items() if address not in members}
        for address, use in rest.items():
            lines.append(_line((_who(_client(address, clients, groups)),), service, {address: use}, own, begun_at))
    return Proposal(tuple(sorted(lines, key=lambda line: (-line.days, -line.count, line.service, line.clients))),
                    tuple(left_out))  # fmt: skip


def _alerts(alerts: Iterable[Alert]) -> tuple[dict[str, list[Alert]], dict[str, Client], dict[tuple[str, str], Alert]]:
    """Sort alerts: the serious ones by client, what is known of each client, the worst one by (service, client)."""
    serious: dict[str, list[Alert]] = defaultdict(list)
    clients: dict[str, Client] = {}
    own: dict[tuple[str, str], Alert] = {}
    for alert in alerts:
        address = alert.client.address
        clients[address] = alert.client
        key = (alert.service, address)
        if key not in own or SEVERITIES.index(alert.severity) > SEVERITIES.index(own[key].severity):
            own[key] = alert
        if SEVERITIES.index(alert.severity) >= SERIOUS:
            serious[address].append(alert)
    return serious, clients, own


def _client(address: str, known: Mapping[str, Client], groups: Groups) -> Client:
    group = groups.of(address)
    client = known.get(address, Client(address))
    return Client(address, group.name if group else "", group.role if group else "", client.name, client.mac)


def _who(client: Client) -> Who:
    """A client that takes part in DHCP is known by its MAC, for its address will move; others by their address."""
    return Who("mac", client.mac) if client.mac else Who("address", client.address)


def _why_not(catalog: Catalog, service: str, address: str, serious: Mapping[str, list[Alert]]) -> tuple[str, str]:
    """Say why a use is not proposed (empty: it is), and what of this client makes it so."""
    entry = catalog.services.get(service)
    if entry is None:
        return "the catalogue no longer has this service", ""
    if entry.category in NEVER:
        return f"{entry.category} is never proposed; write it by hand if it is meant", ""
    for alert in serious.get(address, ()):
        if alert.category != entry.category:
            return "its client has a serious alert of another category", (
                f"{alert.severity} alert for {alert.service}, {alert.id}"
            )
    return "", ""


def _no_habit(use: Use, alert: Alert | None) -> tuple[str, str]:
    """Say why a use that was judged grave is not proposed yet (empty: it is)."""
    if alert is None or SEVERITIES.index(alert.severity) < GRAVE or len(use.days) >= HABIT_DAYS:
        return "", ""
    return f"it has a grave alert and was seen on fewer than {HABIT_DAYS} days; write it by hand if it is meant", (
        f"{alert.severity} alert, {alert.id}"
    )


def _in(groups: Groups, address: str, name: str) -> bool:
    group = groups.of(address)
    return group is not None and group.name == name


def _most(members: int, there: int) -> bool:
    of, share = GROUP_SHARE[1], GROUP_SHARE[0]
    return members >= 2 and members * of >= there * share


def _line(who: tuple[Who, ...], service: str, members: Mapping[str, Use], own: Mapping[tuple[str, str], Alert],
          begun_at: float, there: int = 0, group: str = "") -> Proposed:  # fmt: skip
    total = Use()
    for use in members.values():
        total.join(use)
    days = len(total.days)
    shown = ", ".join(sorted(total.names)[:3]) + (" …" if len(total.names) > 3 else "")
    evidence = [f"{shown}: {total.count} {plural(total.count, 'lookup')} on {days} {plural(days, 'day')}, "
                f"{span(minute(total.first_at), minute(total.last_at))} UTC"]  # fmt: skip
    if group:
        evidence.append(f"{len(members)} of {there} active clients of {group}: {some(sorted(members))}")
    elif str(who[0]) not in members:
        evidence.append(f"seen as {some(sorted(members))}")
    if total.count == 1:
        evidence.append("seen once only: ask before you accept it")
    for address in sorted(members):
        alert = own.get((service, address))
        if alert is not None and SEVERITIES.index(alert.severity) >= SERIOUS:
            evidence.append(f"{address} has a {alert.severity} alert for it: dnswatch explain {alert.id}")
    worst = max((SEVERITIES.index(own[service, one].severity) for one in members if (service, one) in own), default=0)
    if not group and worst >= SERIOUS and total.first_at < begun_at + DAY_S:
        evidence.append("already there when the log begins, as an infection from before it would be")
    since, until = day(total.first_at), day(total.last_at)
    because = f"seen on {since}" if since == until else f"seen on {days} days from {since} to {until}"
    return Proposed(who, service, because, tuple(sorted(members)), tuple(evidence), total.count, days, total.first_at,
                    total.last_at, _confidence(days, worst, bool(group)), worst >= GRAVE)  # fmt: skip


def _confidence(days: int, worst: int, group: bool) -> Confidence:
    """Say how far history alone speaks for a line; ``worst``: the gravest alert on it."""
    if worst >= GRAVE or days < HABIT_DAYS:
        return "low"
    return "high" if group and days >= SURE_DAYS and worst < SERIOUS else "medium"
