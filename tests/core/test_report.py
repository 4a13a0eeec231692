"""Reports: what is in scope, where the dots stand, what the Navigator layer holds."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dnswatch.config.catalogue import load_catalogue
from dnswatch.config.triage import triage_of
from dnswatch.core.detect.changes import SightingRow
from dnswatch.core.model import Client
from dnswatch.core.report import Incident, Scope, incident, layer
from dnswatch.core.report.incident import MOST_LOOKUPS
from dnswatch.core.report.timeline import LEFT, TICKS, WIDTH
from tests.core.test_alerts import ALERT, PLAIN

AT = 1_795_375_200.0
HOUR = int(AT) // 3600 * 3600
TRIAGE = triage_of(load_catalogue())


def row(client: str = "10.0.10.7", hour: int = HOUR, expected: bool = False, count: int = 3) -> SightingRow:
    return SightingRow(hour, client, "webhook.site", "A", "webhook-site", expected, hour + 5.0, hour + 60.0, count)


def report(scope: Scope, rows: list[SightingRow]) -> Incident:
    return incident(scope, [(ALERT, [replace(ALERT, rev=1), ALERT]), (PLAIN, [PLAIN])], rows, TRIAGE)


def test_lookups_of_others_and_other_times_stay_out() -> None:
    """Only clients of the report's alerts, and only its stretch of time."""
    scope = Scope("10.0.10.7", AT - 86_400, AT + 3600)
    found = report(scope, [row(), row("10.9.9.9"), row(hour=HOUR - 7 * 86_400), row(expected=True)])
    assert [(one.client, one.expected) for one in found.lookups] == [("10.0.10.7", False), ("10.0.10.7", True)]


def test_a_group_brings_the_lookups_of_its_clients() -> None:
    """The rows know addresses only: those of the alerts that the group's name found."""
    found = report(Scope("servers", AT - 86_400, AT + 3600), [row(), row("10.9.9.9")])
    assert [one.client for one in found.lookups] == ["10.0.10.7"]


def test_totals_and_advice() -> None:
    """Worst severity, all attempts, techniques once, advice with every alert."""
    found = report(Scope("", AT - 86_400, AT + 3600), [])
    assert (found.worst, found.attempts, found.techniques) == ("high", 13, ("T1102", "T1567.004"))
    assert all(told.advice is not None for told in found.alerts)
    assert [told.alert.id for told in found.gravest] == [ALERT.id, PLAIN.id]
    assert [client.address for client in found.clients] == ["10.0.10.7", "fd00:10::7"]


def test_every_holder_of_an_address_is_named() -> None:
    """DHCP gave an address to two hosts, and both looked something up: two clients, not the last one alone."""
    other = replace(PLAIN, client=Client("10.0.10.7", "servers", "", "phone-2", "66:20:30:40:50:60"))
    found = incident(Scope("", AT - 86_400, AT + 3600), [(ALERT, [ALERT]), (other, [other])], [], TRIAGE)
    assert sorted(client.name for client in found.clients) == ["db-2.corp.example", "phone-2"]


def test_a_busy_month_is_cut_and_counted() -> None:
    """A report stays a report."""
    rows = [row(hour=HOUR - 3600 * n % (86_400 * 20), count=1) for n in range(MOST_LOOKUPS + 7)]
    found = report(Scope("", AT - 30 * 86_400, AT + 3600), rows)
    assert (len(found.lookups), found.left_out) == (MOST_LOOKUPS, 7)


@pytest.mark.parametrize("days", [0.01, 1, 30, 400])
def test_everything_is_drawn_inside(days: float) -> None:
    """Dots, bars and marks stand between the labels and the edge, for an hour as for a year; marks are few."""
    rows = [row(hour=int(HOUR - n * days * 3600)) for n in range(24)]
    drawn = report(Scope("", AT - days * 86_400, AT + 3600), rows).timeline
    assert all(LEFT <= dot.x <= WIDTH and dot.radius <= 11 for dot in drawn.dots)
    assert all(LEFT <= bar.x <= WIDTH for bar in drawn.bars)
    assert 1 <= len(drawn.ticks) <= max(TICKS + 1, days / 30 + 2)
    assert [service for _, service in drawn.lanes][:2] == ["webhook-site", "ntfy"]


def test_nothing_at_all_is_a_report_too() -> None:
    """No alert, no lookup: no lane, no division by nothing."""
    found = incident(Scope("10.0.0.1", AT - 60, AT), [], [], TRIAGE)
    assert (found.worst, found.timeline.lanes, found.timeline.dots) == ("", (), ())


def test_the_layer_names_each_technique_once() -> None:
    """With its worst score and whom it concerns."""
    made = layer(report(Scope("", AT - 86_400, AT + 3600), []), "Incident")
    assert made["domain"] == "enterprise-attack"
    assert [(one["techniqueID"], one["score"]) for one in made["techniques"]] == [("T1102", 88), ("T1567.004", 88)]
    assert made["techniques"][1]["comment"] == "high webhook-site: 10.0.10.7"
