"""A timeline as shapes on a plane: a lane for each service, a dot for each hour with lookups, a bar for each alert.

Never: draws (the template does), scales with the number of lookups: dots of one lane and hour are one. Read next:
``incident.py``.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from dnswatch.core.detect.changes import SightingRow
from dnswatch.core.model import Alert

WIDTH, LANE, LEFT, TOP = 960, 34, 190, 14
"""Pixels: of the drawing, of a lane's height, of the labels, of the margin above."""
TICKS = 6
STEPS_S = (3600, 7200, 10_800, 21_600, 43_200, 86_400, 172_800, 604_800, 1_209_600, 2_592_000)
"""Distances between marks that people can count in."""
LARGEST = 11.0


@dataclass(frozen=True, slots=True)
class Dot:
    """Lookups of one service within an hour."""

    x: float
    y: float
    radius: float
    expected: bool
    title: str


@dataclass(frozen=True, slots=True)
class Bar:
    """An alert from its first to its last lookup."""

    x: float
    y: float
    width: float
    severity: str
    title: str


@dataclass(frozen=True, slots=True)
class Timeline:
    """Everything that is drawn."""

    width: int
    height: int
    left: int
    lanes: tuple[tuple[float, str], ...]  # y, service
    ticks: tuple[tuple[float, str], ...]  # x, text
    bars: tuple[Bar, ...]
    dots: tuple[Dot, ...]


def timeline(since: float, until: float, alerts: Sequence[Alert], rows: Iterable[SightingRow]) -> Timeline:
    """Lay out alerts and hourly rows between two times."""
    merged: dict[tuple[str, int, bool], list[SightingRow]] = {}
    for row in rows:
        merged.setdefault((row.service, row.hour, row.expected), []).append(row)
    begun = [*(row.first_at for of in merged.values() for row in of), *(alert.first_at for alert in alerts)]
    ended = [*(row.last_at for of in merged.values() for row in of), *(alert.last_at for alert in alerts)]
    first, last = max(since, min(begun, default=since)), min(until, max(ended, default=until))
    span = max(last - first, 3600.0)
    first, span = first - span * 0.02, span * 1.04  # no dot on the edge
    services = list(dict.fromkeys([*(alert.service for alert in alerts), *sorted({key[0] for key in merged})]))
    lanes = {service: TOP + LANE * (number + 0.5) for number, service in enumerate(services)}

    def place(at: float) -> float:
        return LEFT + (WIDTH - LEFT - 12) * min(max((at - first) / span, 0.0), 1.0)

    bars = tuple(
        Bar(
            round(place(alert.first_at), 1), round(lanes[alert.service] - 5, 1),
            round(max(place(alert.last_at) - place(alert.first_at), 4.0), 1), alert.severity,
            f"{alert.severity}: {alert.service}, {alert.count} lookups by {alert.client.address}",
        )
        for alert in alerts
    )  # fmt: skip
    most = max((sum(row.count for row in of) for of in merged.values()), default=1)
    dots = tuple(
        Dot(
            round(place(min(row.first_at for row in of)), 1), round(lanes[service], 1),
            round(3 + (LARGEST - 3) * math.sqrt(sum(row.count for row in of) / most), 1), expected,
            f"{_stamp(hour)}: {sum(row.count for row in of)} lookups of {', '.join(sorted({row.qname for row in of}))}",
        )
        for (service, hour, expected), of in sorted(merged.items())
    )  # fmt: skip
    height = TOP + LANE * max(len(lanes), 1) + 28
    return Timeline(
        WIDTH, height, LEFT, tuple((round(y, 1), service) for service, y in lanes.items()),
        tuple((round(place(at), 1), _stamp(at)) for at in _marks(first, span)), bars, dots,
    )  # fmt: skip


def _marks(first: float, span: float) -> list[float]:
    """Give whole hours or days, at most `TICKS` of them."""
    step = next((step for step in STEPS_S if span / step <= TICKS), STEPS_S[-1])
    begin = math.ceil(first / step) * step
    return [float(begin + number * step) for number in range(int((first + span - begin) // step) + 1)]


def _stamp(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M")
