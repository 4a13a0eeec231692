"""Attempts per hour, client, name and type since the last checkpoint: what reports and impact replays count.

Never: decides; grows between checkpoints only. Read next: ``engine.py``.
"""

from __future__ import annotations

from dnswatch.core.detect.changes import SightingRow
from dnswatch.core.model import Sighting

HOUR_S = 3600

_Key = tuple[int, str, str, str, str, bool]


class Tally:
    """Increments that the store has not taken yet."""

    __slots__ = ("_counts",)

    def __init__(self) -> None:
        self._counts: dict[_Key, tuple[float, float, int]] = {}

    def __len__(self) -> int:
        return len(self._counts)

    def add(self, sighting: Sighting) -> None:
        """Count an attempt."""
        at, client = sighting.at, sighting.client.address
        hour = int(at) // HOUR_S * HOUR_S
        key = (hour, client, sighting.qname, sighting.qtype, sighting.service.id, sighting.expected)
        known = self._counts.get(key)
        self._counts[key] = (at, at, 1) if known is None else (min(known[0], at), max(known[1], at), known[2] + 1)

    def take(self) -> list[SightingRow]:
        """Give the increments and start anew."""
        rows = [SightingRow(*key, *seen) for key, seen in self._counts.items()]
        self._counts.clear()
        return rows
