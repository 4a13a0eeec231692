"""How regular gaps are: beacons, cached beacons, people."""

from __future__ import annotations

import itertools
import random

import pytest

from dnswatch.core.detect.regular import regularity


def beacon(period: float, jitter: float, cached_s: float, count: int, seed: int) -> list[float]:
    """Gaps between the lookups of a beacon behind a cache."""
    dice, at, seen, stamps = random.Random(seed), 0.0, -1e9, []
    while len(stamps) <= count:
        at += period * (1 + dice.uniform(-jitter, jitter))
        if at - seen >= cached_s:
            stamps.append(at)
            seen = at
    return [b - a for a, b in itertools.pairwise(stamps)]


def people(count: int, seed: int) -> list[float]:
    """Gaps of somebody who comes back now and then and does several things."""
    dice, gaps = random.Random(seed), []
    while len(gaps) < count:
        gaps.append(dice.expovariate(1 / 3600))
        gaps += [dice.lognormvariate(4, 1) + 5 for _ in range(dice.randint(1, 9))]
    return gaps[:count]


@pytest.mark.parametrize(
    ("period", "jitter", "cached_s"),
    [(900, 0.0, 0), (900, 0.2, 0), (3600, 0.5, 0), (300, 0.2, 300), (60, 0.5, 300), (5, 0.3, 60), (600, 0.1, 0)],
)
def test_beacons_are_regular(period: float, jitter: float, cached_s: float) -> None:
    """Two dozen lookups are enough in nearly every case, also where the period is about the cache time (S5)."""
    scores = [regularity(beacon(period, jitter, cached_s, 23, seed))[0] for seed in range(60)]
    assert sum(score >= 0.85 for score in scores) >= 0.8 * 60


def test_people_are_not() -> None:
    """Bursts now and then score below the line."""
    scores = [regularity(people(23, seed))[0] for seed in range(60)]
    assert sum(score >= 0.85 for score in scores) <= 3


def test_a_perfect_clock() -> None:
    """RITA's example: ten minutes sharp, 1.0; one gap of two periods changes nothing."""
    assert regularity([600.0] * 9) == (1.0, 600.0)
    assert regularity([600.0] * 8 + [1200.0]) == (1.0, 600.0)
    assert regularity([]) == (0.0, 0.0)
