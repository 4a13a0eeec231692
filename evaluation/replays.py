"""Documented attacks, played into a simulated office: found or not, how gravely, when, and for which reasons.

Their recall is never mixed with that of simulated attacks: each is one story with a source. Never: third-party data;
``replays.yaml`` holds names and seconds, written down from reports. Read next: ``replays.yaml``.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from evaluation import product
from evaluation.attacks import Incident
from evaluation.habits import HOUR, Ask, hours
from evaluation.judge import AFTER_S
from evaluation.simulator import Simulator
from evaluation.world import Client, World, build

SEED, CLIENTS, DAYS, LEARNING = 1000, 300, 18, 14
STORIES: dict[str, dict[str, Any]] = yaml.safe_load(Path(__file__).with_name("replays.yaml").read_text())


@dataclass(frozen=True, slots=True)
class Replayed:
    """What became of one story in one log format."""

    story: str
    title: str
    source: str
    log: str
    severity: str  # "" = no alert
    after_s: float
    terms: tuple[str, ...]
    weak: str


def run() -> list[Replayed]:
    """Play every story in both formats."""
    world = build(SEED, CLIENTS, DAYS, LEARNING)
    simulator = Simulator(world, 0, 0.4)
    played: list[tuple[str, Incident]] = []
    free = {kind: _victims(world, kind) for kind in ("pc", "server", "ci", "discord-user")}
    for story, told in STORIES.items():
        for log in ("bind", "dnsmasq"):
            victim = next(one for one in free[told["kind"]] if log in (one.resolver, "any"))
            free[told["kind"]].remove(victim)
            day = next(day for day in range(DAYS - 2, 0, -1) if world.works(day))
            incident = Incident(story, victim, told["services"], hours(world, victim, day)[0] + HOUR)
            simulator.add(incident, list(_asks(told, incident)))
            played.append((log, incident))
    with tempfile.TemporaryDirectory(prefix="dnswatch-replay-") as name:
        simulator.write(Path(name))
        found = product.revisions(Path(name) / "logs", Path(name) / "policy.yaml")
    return [_judged(log, incident, found) for log, incident in played]


def _victims(world: World, kind: str) -> list[Client]:
    taken = {one for group in world.special.values() for one in group}
    if kind == "discord-user":
        pool = [one for one in world.of("pc", "dev") if "discord" in one.apps and not one.doh]
        for n, one in enumerate(pool[:4]):
            one.resolver = ("bind", "dnsmasq")[n % 2]
    else:
        pool = [one for one in world.of(kind) if "discord" not in one.apps and not one.doh]
        for n, one in enumerate(one for one in pool if kind != "pc"):
            one.resolver = ("bind", "dnsmasq")[n % 2]
    return [one for one in pool if one not in taken and one.path != "proxy" and one.front is None]


def _asks(told: dict[str, Any], incident: Incident) -> Iterator[Ask]:
    rotation = told.get("rotate", ())
    for after, name, times, apart in told["steps"]:
        for n in range(times):
            asked = rotation[n % len(rotation)] if name == "*" else name
            watched = name != "*" and not any(asked.endswith(x) for x in ("example.com", "gstatic.com", "groq.com"))
            yield Ask(
                incident.planned_at + after + n * apart, incident.client, asked, incident=incident if watched else None
            )


def _judged(log: str, incident: Incident, found: list[product.Revision]) -> Replayed:
    told, begin = STORIES[incident.scenario], incident.planned_at
    end = max(incident.at, default=begin) + AFTER_S
    mine = [
        one
        for one in found
        if one.client == incident.client.address and one.service in incident.services and begin - 1 <= one.at <= end
    ]
    gravest = max(mine, key=lambda one: (one.grade, -one.at), default=None)
    severity = product.GRADES[gravest.grade] if gravest else ""
    terms = (
        tuple(term for term in gravest.terms if term not in ("base", "expectation", "unexpected")) if gravest else ()
    )
    return Replayed(
        incident.scenario,
        told["title"],
        told["source"],
        log,
        severity,
        gravest.at - begin if gravest else 0.0,
        terms,
        told.get("weak", ""),
    )
