"""The gates: what the project promises of its detection, on seeds that nothing was tuned on.

Never: moves a gate to fit a number. Read next: ``report.py``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from evaluation.intervals import poisson, wilson
from evaluation.judge import UNSEEN_BY_DESIGN
from evaluation.product import GRADES

LOW, MEDIUM, HIGH = (GRADES.index(grade) for grade in ("low", "medium", "high"))
MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0
POLLS = 10
"""S3 is asked for where a poll shows at all: so many lookups in the first hour."""
MARGIN = 0.10
"""A clear margin: F1 by so much above every baseline. At an honest base rate, for the simulated one flatters whoever
alerts on everything: a third of the simulated clients are attacked within two weeks."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """One gate and what was measured."""

    name: str
    value: float
    bound: float
    at_least: bool
    of: int
    interval: tuple[float, float] | None = None
    small: bool = False  # few were simulated: the 95 % interval must reach the bound, not the value itself

    @property
    def by_interval(self) -> str:
        """Say that the interval is held to the bound, where it is."""
        return f" within {self.interval[0]:.2f} – {self.interval[1]:.2f}" if self.small and self.interval else ""

    @property
    def passed(self) -> bool:
        """Say whether it holds."""
        low, high = self.interval if self.small and self.interval else (self.value, self.value)
        return high >= self.bound if self.at_least else low <= self.bound


RECALL = (
    ("S1", HIGH, MINUTE, 0.95, False),
    ("S8", HIGH, MINUTE, 0.95, False),
    ("S11", HIGH, MINUTE, 0.95, False),
    ("S12", HIGH, MINUTE, 0.95, False),
    ("S2", MEDIUM, HOUR, 0.90, False),
    ("S3", HIGH, HOUR, 0.90, False),
    ("S4", MEDIUM, DAY, 0.80, True),
    ("S5", MEDIUM, DAY, 0.80, True),
    ("S13", MEDIUM, DAY, 0.90, True),
)
"""Scenario, least severity, within, share, and whether a rhythm must stand in the reasons."""


def asked(runs: Sequence[dict[str, Any]], scenario: str) -> list[dict[str, Any]]:
    """Give the incidents of a scenario that a list with these names can see."""
    return [
        one
        for run in runs
        for one in run["product"]["incidents"]
        if one["label"]["scenario"] == scenario
        and one["label"]["lookups"]
        and not one["label"]["outside"]
        and (scenario != "S3" or one["label"]["first_hour"] >= POLLS)
    ]


def met(one: dict[str, Any], grade: int, within: float, regular: bool) -> bool:
    """Say whether an incident was told of, gravely and soon enough."""
    after = one["regular"] if regular else one["first"][grade]
    return after is not None and after <= within


def per_day(runs: Sequence[dict[str, Any]], grade: int) -> list[float]:
    """Give false alerts of at least a severity, per 1000 clients, of every day after learning."""
    values = []
    for run in runs:
        first, last = run["product"]["days"]
        counted = dict.fromkeys(range(first, last), 0)
        for alert in run["product"]["false"]:
            if alert["grade"] == grade and alert["day"] in counted:
                counted[alert["day"]] += 1
        values += [count * 1000 / run["clients"] for count in counted.values()]
    return values


def verdicts(runs: Sequence[dict[str, Any]], small: bool = False) -> list[Verdict]:
    """Judge some runs; ``small``: too few were simulated for the value itself, so its interval is held to the bound."""
    found = []
    for scenario, grade, within, bound, regular in RECALL:
        ones = asked(runs, scenario)
        hits = sum(met(one, grade, within, regular) for one in ones)
        name = f"{scenario} at least {GRADES[grade]} within {_span(within)}{', with its rhythm' if regular else ''}"
        found.append(_share(name, hits, len(ones), bound, small))
    for grade, bound in ((HIGH, 2.0), (MEDIUM, 10.0)):
        days = per_day(runs, grade)
        clients = sum(run["clients"] for run in runs) / len(runs)
        interval = poisson(round(sum(days) * clients / 1000), len(days) * clients / 1000)
        name = f"false alerts at least {GRADES[grade]}, per 1000 clients and day"
        found.append(Verdict(name, sum(days) / len(days), bound, False, len(days), interval, small))
    ones = [one for run in runs for one in run["product"]["incidents"]]
    alerts, further = sum(one["alerts"] for one in ones), sum(one["duplicates"] for one in ones)
    found.append(Verdict("duplicates, share of the alerts on incidents", further / max(alerts, 1), 0.05, False, alerts))
    best = max(honest_f1(runs, baseline_counts(runs, name)) for name in runs[0]["baselines"])
    name = "F1 (≥ medium, one incident per 1000 client-days) above the best baseline"
    margin = 0.0 if small else MARGIN  # a handful of false alerts decides over a small network's F1
    found.append(Verdict(name, honest_f1(runs, product_counts(runs)) - best, margin, True, len(runs)))
    blocked = sum(len(run["blocked"]) for run in runs)
    found.append(Verdict("names that people need, blocked without a word", blocked, 0, False, len(runs)))
    return found


def _share(name: str, hits: int, of: int, bound: float, small: bool) -> Verdict:
    """Give the verdict on a share; nothing simulated is nothing shown, so it does not hold."""
    return Verdict(name, hits / of if of else 0.0, bound, True, of, wilson(hits, of) if of else None, small)


def product_counts(runs: Sequence[dict[str, Any]], grade: int = MEDIUM) -> tuple[int, int, int, int]:
    """Give true and false alerts, incidents found and asked for."""
    true = sum(run["product"]["true"][grade] for run in runs)
    false = sum(alert["grade"] == grade for run in runs for alert in run["product"]["false"])
    ones = [one for run in runs for one in run["product"]["incidents"] if _counts(one["label"])]
    return true, false, sum(one["first"][grade] is not None for one in ones), len(ones)


def baseline_counts(runs: Sequence[dict[str, Any]], name: str) -> tuple[int, int, int, int]:
    """Give the same of a baseline."""
    ones = [run["baselines"][name] for run in runs]
    return (
        sum(o["true"] for o in ones),
        sum(o["false"] for o in ones),
        sum(o["hit"] for o in ones),
        sum(o["asked"] for o in ones),
    )


def honest_f1(runs: Sequence[dict[str, Any]], counts: tuple[int, int, int, int]) -> float:
    """Give F1 as it would be at one incident per 1000 client-days: simulated networks hold many more attacks."""
    _, false, hit, of = counts
    client_days = sum(run["clients"] * (run["product"]["days"][1] - run["product"]["days"][0]) for run in runs)
    recall, rate = hit / max(of, 1), false * 1000 / client_days
    precision = recall / (recall + rate) if recall + rate else 0.0
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def _counts(label: dict[str, Any]) -> bool:
    return bool(label["lookups"]) and not label["outside"] and label["scenario"] not in UNSEEN_BY_DESIGN


def _span(seconds: float) -> str:
    return f"{seconds / 3600:.0f} h" if seconds >= 3600 else f"{seconds:.0f} s"
