"""Intervals for what was counted: Wilson for shares, a bootstrap for rates. Never: more digits than there is data."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

Z95 = 1.959964


def wilson(hits: int, of: int) -> tuple[float, float]:
    """Give the 95 % interval of a share (Wilson score)."""
    if not of:
        return 0.0, 1.0
    share, z2 = hits / of, Z95 * Z95
    middle = (share + z2 / (2 * of)) / (1 + z2 / of)
    half = Z95 / (1 + z2 / of) * math.sqrt(share * (1 - share) / of + z2 / (4 * of * of))
    return max(0.0, middle - half), min(1.0, middle + half)


def poisson(count: int, per: float) -> tuple[float, float]:
    """Give the 95 % interval of a rate from a count (Byar's approximation)."""
    above = count + 1
    low = count * (1 - 1 / (9 * count) - Z95 / (3 * math.sqrt(count))) ** 3 if count else 0.0
    return max(0.0, low) / per, above * (1 - 1 / (9 * above) + Z95 / (3 * math.sqrt(above))) ** 3 / per


def bootstrap(values: Sequence[float], rounds: int = 1000) -> tuple[float, float]:
    """Give the 95 % interval of a mean by drawing whole days (or networks) anew; seeded, so it repeats."""
    if not values:
        return 0.0, 0.0
    rng = random.Random(len(values))
    means = sorted(sum(rng.choices(values, k=len(values))) / len(values) for _ in range(rounds))
    return means[int(0.025 * rounds)], means[int(0.975 * rounds) - 1]


def quantile(values: Sequence[float], share: float) -> float:
    """Give a quantile, by the nearest rank."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else math.nan
