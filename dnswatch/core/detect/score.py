"""From findings to points and severity. The numbers are data; every term is printed.

Never: looks at lines or history. Source of the numbers: Splunk RBA, Elastic 21/47/73/99 and Sigma levels, brought
together in the project's detection research. Read next: ``episodes.py``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import NamedTuple

from dnswatch.core.model import SEVERITIES, Finding, Reason, Service, Severity

BASE: Mapping[Severity, int] = {"info": 5, "low": 21, "medium": 47, "high": 73, "critical": 90}
"""Points of a service's base severity, and the least points of each severity but info."""

POINTS: Mapping[str, int] = {
    "browser-type": -25,  # as for a known app: somebody's page or link
    "burst": 15,
    "companion-absent": 20,
    "companion-known": -25,
    "doh-unattended": 5,
    "first-seen-client": 10,
    "first-seen-group": 12,  # between the client's 10 and the network's 15
    "first-seen-network": 15,
    "hostile-names": 5,
    "human-like": 5,  # the log shows this client's browsing, so an app would have shown, too
    "off-hours": 5,
    "prevalence-high": -20,
    "prevalence-low": 10,
    "query-type": 5,
    "regular": 10,
    "regular-long": 10,
    "second-category": 15,
    "segment": 10,
    "sequence": 25,
    "sequence-repeated": 10,
    "server-like": 5,  # half of what an operator's word for it weighs
    "server-tunnel": 15,
    "tenant-unknown": 10,
    "tunnel-host": 10,  # as for a server: it lets strangers in
    "volume": 10,  # with the 21 of a deviation: low; from 26 on medium
}
"""Points by term. First-seen counts at its widest scope only, for what the network never saw no client of it saw."""

DEVIATION = "deviation"
"""Term that stands in the base's place in alerts on expected clients."""

_RANK_OF = [sum(points >= BASE[severity] for severity in SEVERITIES[1:]) for points in range(101)]

CAP: Severity = "low"
"""Severity that a lookup cannot exceed until one further fact holds (nearly every public DNS rule that is only a
list match is rated low or informational by its own authors)."""


RANK: Mapping[Severity, int] = {severity: i for i, severity in enumerate(SEVERITIES)}


class Score(NamedTuple):
    """Points 0-100, the severity they mean, and every term."""

    points: int
    severity: Severity
    because: tuple[Reason, ...]


def base_reason(service: Service) -> Reason:
    """Give the first term of every score: what kind of service was met."""
    return _base(service.category, service.base_severity, service.severity_reason)


@lru_cache(1024)
def _base(category: str, severity: Severity, why: str) -> Reason:
    """Make the reason once per kind of service: each attempt of an alert begins with it."""
    return Reason("base", f"base {category} {severity}{f': {why}' if why else ''}", BASE[severity])


def deviation_reason(service: Service) -> Reason:
    """Give the first term where a client may use the service and departs from its habits."""
    return Reason(DEVIATION, f"an expected client of {service.id} departs from its habits", BASE["low"])


def weigh(base: Reason, judged: Iterable[Reason], findings: Iterable[Finding]) -> Score:
    """Add up the terms and give the severity; without a further fact it stays at most `CAP`."""
    terms, points, facts = [base, *judged], base.points, False
    floor, ceiling = 0, len(SEVERITIES) - 1
    for finding in findings:
        terms += finding.because
        points += finding.points
        facts = facts or finding.fact
        if finding.floor is not None:
            floor = max(floor, RANK[finding.floor])
        if finding.ceiling is not None:
            ceiling = min(ceiling, RANK[finding.ceiling])
    points = max(0, min(100, points))
    rank = _RANK_OF[points]
    if not facts:
        lid = min(RANK[CAP], _RANK_OF[base.points])
        if rank > lid:
            text = f"held at {SEVERITIES[lid]} until a further fact holds: a lone lookup is no incident"
            terms.append(Reason("cap", text))
            rank = lid
    return Score(points, SEVERITIES[min(max(rank, floor), ceiling)], tuple(terms))


def of_points(points: int) -> Severity:
    """Give the severity of a number of points."""
    return SEVERITIES[_RANK_OF[max(0, min(100, points))]]
