"""What a report says: who, when, which alerts, every watched lookup by hour, what to do.

Never: judges; every sentence is an alert's own. Read next: ``timeline.py``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from dnswatch.core.alerts.triage import Advice, Triage
from dnswatch.core.detect.changes import SightingRow
from dnswatch.core.model import SEVERITIES, Alert, Client
from dnswatch.core.report.timeline import Timeline, timeline

MOST_NAMED = 15
"""Alerts in the summary."""
MOST_ADVISED = 5
"""With more alerts than this, only those for Tier 2 say what to do: the texts would bury the facts."""
MOST_LOOKUPS = 2_000
"""Hourly rows that a report prints; the rest is counted."""


@dataclass(frozen=True, slots=True)
class Scope:
    """What the report is about."""

    client: str  # address, name or group; "" = everybody
    since: float
    until: float


@dataclass(frozen=True, slots=True)
class Told:
    """One alert with its revisions and what to do about it."""

    alert: Alert  # as it stands
    revisions: tuple[Alert, ...]
    advice: Advice | None  # None where there is nothing (left) to do, or too many others


@dataclass(frozen=True, slots=True)
class Incident:
    """A whole report."""

    scope: Scope
    clients: tuple[Client, ...]  # as the alerts knew them, last state; sorted by address
    alerts: tuple[Told, ...]  # in order of time
    lookups: tuple[SightingRow, ...]  # oldest first, at most `MOST_LOOKUPS`
    left_out: int
    techniques: tuple[str, ...]
    timeline: Timeline

    @property
    def worst(self) -> str:
        """The highest severity of its alerts; ``""`` without any."""
        return max((told.alert.severity for told in self.alerts), key=SEVERITIES.index, default="")

    @property
    def gravest(self) -> tuple[Told, ...]:
        """The alerts that come first in a summary: by severity and score, at most `MOST_NAMED`."""
        order = sorted(self.alerts, key=lambda told: (-SEVERITIES.index(told.alert.severity), -told.alert.score))
        return tuple(order[:MOST_NAMED])

    @property
    def attempts(self) -> int:
        """Unexpected watched lookups."""
        return sum(told.alert.count for told in self.alerts)


def incident(
    scope: Scope, alerts: Iterable[tuple[Alert, Sequence[Alert]]], rows: Iterable[SightingRow], triage: Triage
) -> Incident:
    """Put a report together from alerts with their revisions and hourly rows, of which those in scope are taken."""
    found = sorted(alerts, key=lambda pair: (pair[0].first_at, pair[0].id))
    many = len(found) > MOST_ADVISED
    told = tuple(Told(alert, tuple(revisions), _advice(alert, triage, many)) for alert, revisions in found)
    met = (one.alert.client for one in told if one.alert.client.address)
    clients = {(client.address, client.mac or client.name): client for client in met}  # an address has several holders
    addresses = {address for address, _ in clients} | {scope.client}
    wanted = [
        row for row in rows
        if row.last_at >= scope.since and row.first_at <= scope.until and (not scope.client or row.client in addresses)
    ]  # fmt: skip
    wanted.sort(key=lambda row: (row.hour, row.client, row.qname, row.qtype))
    return Incident(
        scope,
        tuple(client for _, client in sorted(clients.items())),
        told,
        tuple(wanted[:MOST_LOOKUPS]),
        max(len(wanted) - MOST_LOOKUPS, 0),
        tuple(sorted({id_ for one in told for id_ in one.alert.mitre})),
        timeline(scope.since, scope.until, [one.alert for one in told], wanted),
    )


def _advice(alert: Alert, triage: Triage, many: bool) -> Advice | None:
    advice = triage.of(alert)
    return None if advice is None or alert.state == "closed" or (many and not advice.tier2) else advice
