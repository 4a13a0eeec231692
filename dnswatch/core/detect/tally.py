"""Attempts per hour, client, name and type since the last checkpoint: what reports and impact replays count.

Bounded for each hour: a client that makes up names below a watched one has its further names counted as one
(``*.webhook.site``), and what would be a row too many is dropped and counted; alerts do not depend on it. Never:
decides. Read next: ``engine.py``.
"""

from __future__ import annotations

from dnswatch.core.detect.changes import SightingRow
from dnswatch.core.model import Sighting

HOUR_S = 3600
NAMES = 200
"""Rows of one client and service in an hour that tell names apart: a developer has a handful of tunnels."""
ROWS = 100_000
"""Rows of an hour, some 20 MB of store."""

_Key = tuple[int, str, str, str, str, bool]


class Tally:
    """Increments that the store has not taken yet."""

    __slots__ = ("_counts", "_hour", "_names", "_rows", "dropped")

    def __init__(self) -> None:
        self._counts: dict[_Key, tuple[float, float, int]] = {}
        self.dropped = 0  # attempts
        self._hour = 0  # the newest one
        self._rows: set[_Key] = set()  # of that hour
        self._names: dict[str, int] = {}  # rows of that hour by client and service

    def __len__(self) -> int:
        return len(self._counts)

    def add(self, sighting: Sighting) -> None:
        """Count an attempt."""
        at, client = sighting.at, sighting.client.address
        hour = int(at) // HOUR_S * HOUR_S
        service = sighting.service.id
        key = (hour, client, sighting.qname, sighting.qtype, service, sighting.expected)
        if hour > self._hour:
            self._hour = hour
            self._rows.clear()
            self._names.clear()
        if key not in self._rows:
            names = self._names.get(sighting.pair, 0)
            if names >= NAMES:
                key = (hour, client, f"*.{sighting.indicator.name}", "", service, sighting.expected)
            if key not in self._rows:
                if len(self._rows) >= ROWS:
                    self.dropped += 1
                    return
                self._rows.add(key)
                self._names[sighting.pair] = names + 1
        known = self._counts.get(key)
        self._counts[key] = (at, at, 1) if known is None else (min(known[0], at), max(known[1], at), known[2] + 1)

    def take(self) -> list[SightingRow]:
        """Give the increments and start anew."""
        rows = [SightingRow(*key, *seen) for key, seen in self._counts.items()]
        self._counts.clear()
        return rows
