"""Fact: within minutes the same client met a watched service of another kind, unexpectedly too.

A drop and a bot, an upload and a tunnel: one program that fetches and reports. Two names that people use by
themselves do not count, nor does a client that runs the app of one, nor a page full of links that a browser resolves
ahead: several services within seconds.

Never: counts what is expected. Read next: ``sequence.py``.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

from dnswatch.core.detect import visibility
from dnswatch.core.detect.changes import Row, Table
from dnswatch.core.detect.signal import Past, Signal
from dnswatch.core.model import Finding, Service, Sighting
from dnswatch.core.policy import Detection

CLIENTS = 50_000
"""Clients whose last unexpected lookups are remembered; at most some 500 bytes each."""
RECENT = 8


@dataclass(frozen=True, slots=True)
class Options:
    """Settings."""

    within_s: float = 600.0
    """So close together the two lookups are one doing."""
    together_s: float = 3.0
    """Closer together than this they may be two links of one page that a browser resolved ahead."""
    page_s: float = 10.0
    """Browsers resolve the links of a page within seconds."""
    page_services: int = 3
    """So many services within `page_s` are a page of links."""


class Lately:
    """The last unexpected lookups of one client, one per service: time, service, category, shared."""

    __slots__ = ("n", "recent")

    def __init__(self, recent: Iterable[Any] = (), n: int = 0) -> None:
        self.n = n
        self.recent: list[tuple[float, str, str, bool]] = [tuple(one) for one in recent]

    def row(self) -> Row:
        """Give the plain form."""
        return {"n": self.n, "recent": [list(one) for one in self.recent]}

    @classmethod
    def of_row(cls, row: Row) -> Lately:
        """Take a stored row."""
        return cls(row["recent"], row["n"])


class SecondCategory(Signal):
    """Two kinds of service within ten minutes."""

    name: ClassVar[str] = "second-category"
    options_type = Options
    options: Options
    memory: Table[Lately]
    row_type = Lately

    def __init__(self, detection: Detection) -> None:
        super().__init__(detection)
        self.memory = Table("signal:second-category", CLIENTS)

    def judge(self, sighting: Sighting, past: Past) -> Finding | None:
        """Say which other kind was met."""
        lately = self.memory.rows.get(sighting.client.address)
        service, at = sighting.service, sighting.at
        if lately is None or self._harmless(sighting, past):
            return None
        near = {one[1] for one in lately.recent if abs(at - one[0]) <= self.options.page_s} | {service.id}
        if len(near) >= self.options.page_services:
            return None
        for seen, other, category, shared in reversed(lately.recent):
            if (
                category != service.category
                and self.options.together_s <= abs(at - seen) <= self.options.within_s
                and not (shared and service.shared)
            ):
                text = f"{other} ({category}) {abs(at - seen):.0f} s {'before' if seen <= at else 'after'} {service.id}"
                return self.finding("second-category", f"two kinds of service: {text}")
        return None

    def remembers(self, service: Service, expected: bool) -> bool:
        """Remember unexpected attempts."""
        return not expected

    def observe(self, sighting: Sighting, past: Past) -> None:
        """Remember an unexpected lookup."""
        if self._harmless(sighting, past):
            return
        service, key = sighting.service, sighting.client.address
        lately = self.memory.rows.get(key)
        if lately is None:
            lately = Lately([(sighting.at, service.id, service.category, service.shared)])
            self.memory.put(key, lately)
            return
        fresh = not lately.recent or sighting.at - lately.recent[-1][0] > self.options.within_s
        kept = [one for one in lately.recent if one[1] != service.id]
        kept.append((sighting.at, service.id, service.category, service.shared))
        kept.sort()
        lately.recent = kept[-RECENT:]
        if fresh:
            self.memory.put(key, lately)
        else:
            self.memory.changed.add(key)

    def _harmless(self, sighting: Sighting, past: Past) -> bool:
        client, at = sighting.client, sighting.at
        return visibility.app(past, client, sighting.service, at) is not None or bool(
            visibility.mixed(past, client, at)
        )

    def hand_over(self, address: str) -> None:
        """Forget what an address's last holder met."""
        lately = self.memory.rows.get(address)
        if lately is not None:
            lately.recent.clear()
            self.memory.changed.add(address)
