"""How regular a series of gaps is, 0 to 1: RITA's ts_score on what caching leaves of a beacon.

RITA v5 (``analysis/beacons.go``): ts_score = (1 - |Bowley skewness| + (median - MAD) / median) / 2. Two departures,
both for short series from DNS. Gaps are folded first: a beacon that asks about as often as its answer may be cached is
seen after one period or after two, so a gap near a small multiple of the base period counts as that many periods. And
the skewness of a dozen values is mostly noise, so as much of it as chance makes is forgiven (a third of all jittered
beacons would be lost to it otherwise).

Simulated, score ≥ 0.85 after 24 lookups: beacons of 60 s … 1 h with jitter up to ±50 %, cached or not, 88 … 100 %;
people in bursts below 1 %, independent lookups 5 %. After 12 lookups: 82 … 100 %, 3 … 9 % and 22 %.

Never: says what is behind it; software is as regular as malware. Read next: ``signals/regularity.py``.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence

MULTIPLES = 3
"""A gap of up to so many periods is folded; longer ones are pauses."""
BASE_SHARE = 0.3
"""At least so many gaps must be a single period: else the multiples explain too much."""
FOLDED_SHARE = 0.9
FOLDING_COSTS = 0.05
"""Subtracted where gaps were folded, for folding makes any series look more regular."""
SKEW_NOISE = 1.2
"""Bowley skewness of n symmetric values spreads about 1.2 / sqrt(n) around 0 (simulated)."""
NARROW_S, NARROW_SHARE = 10.0, 0.1
"""Quartiles closer than this have no skewness. RITA knows the seconds only; a tenth of the median is as narrow: a bot
behind a cache of 300 s asks after 300 to 330 s, all on one side, and is a metronome nonetheless."""


def regularity(gaps: Sequence[float]) -> tuple[float, float]:
    """Give (score 0-1, period in seconds) of some gaps between lookups, all above 0; none give (0, 0)."""
    if not gaps:
        return 0.0, 0.0
    ordered = sorted(gaps)
    median = quantile(ordered, 0.5)
    best = (_score(ordered), median)
    for base in {median, median / 2, quantile(ordered, 0.25), quantile(ordered, 0.75) / 2}:
        best = max(best, _folded(ordered, base))
    return best


def quantile(ordered: Sequence[float], share: float) -> float:
    """Give a quantile of sorted values, interpolated between neighbours."""
    place = (len(ordered) - 1) * share
    i = int(place)
    above = ordered[min(i + 1, len(ordered) - 1)]
    return ordered[i] + (above - ordered[i]) * (place - i)


def _folded(ordered: Sequence[float], base: float) -> tuple[float, float]:
    if base < 1.0:
        return 0.0, 0.0
    singles = bisect_right(ordered, 1.5 * base)
    few = bisect_right(ordered, (MULTIPLES + 0.5) * base)
    if singles == len(ordered) or singles < BASE_SHARE * len(ordered) or few < FOLDED_SHARE * len(ordered):
        return 0.0, 0.0
    periods = [max(1, round(gap / base)) for gap in ordered]
    folded = sorted(gap / number for gap, number in zip(ordered, periods, strict=True))
    return _score(folded) - FOLDING_COSTS, quantile(folded, 0.5)


def _score(ordered: Sequence[float]) -> float:
    low, median, high = (quantile(ordered, share) for share in (0.25, 0.5, 0.75))
    skew = 0.0
    if high - low >= max(NARROW_S, NARROW_SHARE * median) and low < median < high:
        skew = max(0.0, abs(low + high - 2 * median) / (high - low) - SKEW_NOISE / math.sqrt(len(ordered)))
    if median < 1.0:
        return 1.0 - skew / 2
    deviation = quantile(sorted(abs(gap - median) for gap in ordered), 0.5)
    return (1.0 - skew + max(0.0, (median - deviation) / median)) / 2
