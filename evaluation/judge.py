"""Holds what a detector said against the labels of one run.

The unit is an incident (one client, one service or group of services, one scenario), not a line. A revision counts for
an incident when client and service are its own and its time lies between the first lookup and an hour after the last.
An alert is false at a severity when it first reached it outside every incident of its client and service. Further
alerts of an incident for one service are duplicates. False alerts of the learning period are not counted.
Never: decides what is good enough (``gates.py`` does). Read next: ``gates.py``.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from evaluation.baselines import Alarm
from evaluation.product import GRADES, Revision

AFTER_S = 3600.0
NEUTRAL = frozenset({"unannounced-test"})
"""Labels whose alerts count neither as true nor as false."""
UNSEEN_BY_DESIGN = frozenset({"S9", "S10", "S14", "S18", "S3-keep-alive"})
"""Scenarios that no detector is asked for in F1: nothing to see, or nothing that tells them from honest use."""


@dataclass(slots=True)
class Outcome:
    """What became of one incident."""

    label: dict[str, Any]
    first: list[float | None] = field(default_factory=lambda: [None] * len(GRADES))  # seconds until each severity
    regular: float | None = None  # seconds until ≥ medium and a rhythm stood in the reasons
    alerts: int = 0
    duplicates: int = 0
    blamed: int = 0  # revisions that name another machine

    @property
    def counts(self) -> bool:
        """Say whether it is one that a detector with this catalogue can see at all."""
        label = self.label
        return bool(label["lookups"]) and not label["outside"] and label["scenario"] not in UNSEEN_BY_DESIGN | NEUTRAL

    def row(self) -> dict[str, Any]:
        """Give the plain form."""
        return {
            "label": self.label,
            "first": self.first,
            "regular": self.regular,
            "alerts": self.alerts,
            "duplicates": self.duplicates,
            "blamed": self.blamed,
        }


def labels(path: Path) -> list[dict[str, Any]]:
    """Read the labels of a run."""
    return [json.loads(line) for line in path.read_text().splitlines()]


class Truth:
    """The incidents by client and service."""

    def __init__(self, found: Sequence[dict[str, Any]]) -> None:
        self.outcomes = [Outcome(label) for label in found]
        self._by_pair: dict[tuple[str, str], list[Outcome]] = defaultdict(list)
        for outcome in self.outcomes:
            if outcome.label["lookups"]:
                for service in outcome.label["services"]:
                    self._by_pair[outcome.label["client"], service].append(outcome)

    def at(self, client: str, service: str, at: float) -> Outcome | None:
        """Give the incident that something said at this time is about."""
        for outcome in self._by_pair.get((client, service), ()):
            if outcome.label["begin"] - 1 <= at <= outcome.label["end"] + AFTER_S:
                return outcome
        return None


def judge(found: Iterable[Revision], truth: Truth, begin: float, learnt_at: float, days: int) -> dict[str, Any]:
    """Hold the product's revisions against the labels."""
    reached: dict[str, int] = {}
    known: dict[tuple[int, str], set[str]] = defaultdict(set)
    false: list[dict[str, Any]] = []
    true = [0] * len(GRADES)
    scores: list[tuple[int, bool]] = []
    best: dict[str, tuple[int, bool]] = {}
    for one in found:
        outcome = truth.at(one.client, one.service, one.at)
        before = reached.get(one.id, -1)
        if outcome is not None and outcome.label["scenario"] in NEUTRAL:
            reached[one.id] = max(before, one.grade)
            continue
        if outcome is not None:
            _credit(outcome, one, known)
        for grade in range(before + 1, one.grade + 1):
            if outcome is not None:
                true[grade] += 1
            elif one.at >= learnt_at:
                false.append(
                    {
                        "grade": grade,
                        "day": int((one.at - begin) // 86400),
                        "service": one.service,
                        "client": one.client,
                        "terms": one.terms,
                        "score": one.score,
                    }
                )
        reached[one.id] = max(before, one.grade)
        if one.at >= learnt_at:
            told = best.get(one.id, (0, False))
            best[one.id] = (max(told[0], one.score), told[1] or outcome is not None)
    scores = list(best.values())
    return {
        "incidents": [outcome.row() for outcome in truth.outcomes if outcome.label["scenario"] not in NEUTRAL],
        "true": true,
        "false": false,
        "scores": scores,
        "days": [int((learnt_at - begin) // 86400), days],
    }


def _credit(outcome: Outcome, one: Revision, known: dict[tuple[int, str], set[str]]) -> None:
    """Note what a revision says of an incident."""
    label = outcome.label
    after = one.at - label["begin"]
    for grade in range(one.grade + 1):
        if outcome.first[grade] is None:
            outcome.first[grade] = after
    if outcome.regular is None and one.grade >= GRADES.index("medium") and "regular" in one.terms:
        outcome.regular = after
    ids = known[label["id"], one.service]
    if one.id not in ids:
        outcome.alerts += 1
        outcome.duplicates += bool(ids)
        ids.add(one.id)
    outcome.blamed += bool(one.mac) and one.mac != label["mac"]


def judge_baseline(alarms: Iterable[Alarm], truth: Truth, learnt_at: float) -> dict[str, int]:
    """Count what a baseline found, by the same rules."""
    hit: set[int] = set()
    true = false = 0
    for alarm in alarms:
        outcome = truth.at(alarm.client, alarm.service, alarm.at)
        if outcome is not None:
            if outcome.label["scenario"] not in NEUTRAL:
                true += 1
                hit.add(outcome.label["id"])
        elif alarm.at >= learnt_at:
            false += 1
    asked = [outcome for outcome in truth.outcomes if outcome.counts]
    return {"true": true, "false": false, "hit": sum(o.label["id"] in hit for o in asked), "asked": len(asked)}


def f1(true: int, false: int, hit: int, asked: int) -> float:
    """Give the harmonic mean of precision (over alerts) and recall (over incidents)."""
    precision = true / (true + false) if true + false else 0.0
    recall = hit / asked if asked else 0.0
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0
