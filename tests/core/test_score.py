"""Points, severities, and the lid that a lone lookup stays under."""

from __future__ import annotations

import pytest

from dnswatch.core.detect.score import BASE, POINTS, base_reason, of_points, weigh
from dnswatch.core.model import SEVERITIES, Finding, Reason, Severity
from tests.core.detection import SERVICES, service


def finding(points: int, fact: bool = True, floor: Severity | None = None) -> Finding:
    return Finding("x", points, (Reason("x", f"worth {points}", points),), fact, floor)


@pytest.mark.parametrize(
    ("points", "severity"),
    [(0, "info"), (20, "info"), (21, "low"), (46, "low"), (47, "medium"), (72, "medium"), (73, "high"), (89, "high"),
     (90, "critical"), (100, "critical")],
)  # fmt: skip
def test_points_map_to_severities(points: int, severity: str) -> None:
    """The bounds are the base points of each severity."""
    assert of_points(points) == severity


@pytest.mark.parametrize("base", SEVERITIES)
def test_lone_lookup_stays_at_most_low(base: Severity) -> None:
    """Without a fact an alert is low, info where the base is info, and says that it is held."""
    reason = base_reason(service("s", "bot-api", base, "s.test"))
    score = weigh(reason, (), [finding(10, fact=False)])
    assert score.severity == ("info" if base == "info" else "low")
    assert score.points == min(100, BASE[base] + 10)
    assert (score.because[-1].term == "cap") == (base != "info" and base != "low")


def test_one_fact_lifts_the_lid() -> None:
    """With one further fact the points decide."""
    reason = base_reason(SERVICES[0])
    assert weigh(reason, (), [finding(0)]).severity == "medium"
    assert weigh(reason, (), [finding(15), finding(15)]).severity == "high"
    assert weigh(reason, (), [finding(100)]).points == 100
    assert weigh(reason, (), [finding(-90)]).points == 0


def test_floor_guarantees_a_severity() -> None:
    """A finding's floor holds whatever the points say."""
    assert weigh(Reason("base", "", 5), (), [finding(0, floor="high")]).severity == "high"


def test_terms_stand_in_order_base_first() -> None:
    """base, what expectations say, findings: every number that was added is printed."""
    score = weigh(base_reason(SERVICES[3]), (Reason("unexpected", "nobody"),), [finding(10), finding(5)])
    assert [term.points for term in score.because] == [73, 0, 10, 5]
    assert sum(term.points for term in score.because) == score.points


def test_points_are_sorted_and_known() -> None:
    """The table is data: sorted, so that a diff is readable."""
    assert list(POINTS) == sorted(POINTS)
