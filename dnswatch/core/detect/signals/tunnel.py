"""Fact: this client hosts a tunnel, visits one, or does both.

An agent opens a tunnel by names that no visitor needs; a visitor asks for the tunnel's public address. Whoever hosts
lets strangers in, whoever visits fetches. Where the base severity of an agent is high it says so already; where it is
lower, because honest people use the tool, hosting counts: the agent's name asked for by a program (no type HTTPS, as
browsers send) on a client that visits no tunnel. A host that asks for a public address tries its own tunnel.

Never: speaks of what a tunnel carries. Read next: ``category.py``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from dnswatch.core.clients.roles import HTTPS_TYPES
from dnswatch.core.detect import visibility
from dnswatch.core.detect.changes import Row, Table
from dnswatch.core.detect.score import BASE
from dnswatch.core.detect.signal import Past, Signal
from dnswatch.core.model import Finding, Reason, Service, Sighting
from dnswatch.core.policy import DAY_S, Detection

CLIENTS = 20_000
"""Clients remembered; at most some 700 bytes each, and few ever meet a tunnel."""
HOST, VISIT = "tunnel-agent", "tunnel-visit"


@dataclass(frozen=True, slots=True)
class Options:
    """Settings."""

    within_s: float = DAY_S
    """So close together hosting and visiting are one doing."""


class Ends:
    """How often one client stood at each end of a tunnel, when last, and with which service."""

    __slots__ = ("n", "sides")

    def __init__(self, sides: dict[str, list[float | str]] | None = None, n: int = 0) -> None:
        self.n = n
        self.sides = sides or {}  # category: attempts, last of them, its service

    def row(self) -> Row:
        """Give the plain form."""
        return {"n": self.n, "sides": dict(self.sides)}

    @classmethod
    def of_row(cls, row: Row) -> Ends:
        """Take a stored row."""
        return cls(row["sides"], row["n"])


class Tunnel(Signal):
    """Who hosts and who visits."""

    name: ClassVar[str] = "tunnel"
    options_type = Options
    options: Options
    memory: Table[Ends]
    row_type = Ends

    def __init__(self, detection: Detection) -> None:
        super().__init__(detection)
        self.memory = Table("signal:tunnel", CLIENTS)

    def concerns(self, service: Service) -> bool:
        """Speak of either end of a tunnel."""
        return service.category in (HOST, VISIT)

    def judge(self, sighting: Sighting, past: Past) -> Finding | None:
        """Say who hosts, and whose tunnel a visitor visits."""
        category, client = sighting.service.category, sighting.client
        if category != VISIT:
            return self._host(sighting, past) if category == HOST else None
        hosted = self._lately(sighting, HOST)
        if hosted:
            text = f"{client.address} hosts a tunnel itself ({hosted}): it may try its own"
            return Finding(self.name, 0, (Reason("tunnel-own", text),), fact=False)
        text = f"{client.address} visits a tunnel and hosts none: no agent's name in {self._span()}"
        return Finding(self.name, 0, (Reason("tunnel-visitor", text),), fact=False)

    def _host(self, sighting: Sighting, past: Past) -> Finding | None:
        client, service = sighting.client, sighting.service
        if sighting.qtype in HTTPS_TYPES or visibility.mixed(past, client, sighting.at):
            return None  # a browser, whose HTTPS comes first; or too many clients behind one address to say who
        visited = self._lately(sighting, VISIT)
        if visited:
            text = f"{client.address} hosts a tunnel and visits one, too ({visited})"
            return Finding(self.name, 0, (Reason("tunnel-both", text),), fact=False)
        points = self.points("tunnel-host") if BASE[service.base_severity] < BASE["high"] else 0
        before = self._lately(sighting, HOST) or "for the first time"
        text = f"{client.address} hosts a tunnel: a program asked for {sighting.qname}, {before}; none visited"
        return Finding(self.name, points, (Reason("tunnel-host", f"{text} in {self._span()}", points),), fact=False)

    def _lately(self, sighting: Sighting, side: str) -> str:
        """Tell the client's last attempts on one side, or ""."""
        ends = self.memory.rows.get(sighting.client.address)
        if ends is None or side not in ends.sides:
            return ""
        count, last_at, service = ends.sides[side]
        ago = sighting.at - float(last_at)
        if abs(ago) > self.options.within_s:
            return ""
        return f"{service} asked for {'once' if count == 1 else f'{count} times'}, last {visibility.ago(ago)}"

    def _span(self) -> str:
        hours = self.options.within_s / 3600
        return f"{hours:g} h"

    def remembers(self, service: Service, expected: bool) -> bool:
        """Remember what is spoken of."""
        return self.concerns(service)

    def observe(self, sighting: Sighting, past: Past) -> None:
        """Remember on which side the client stood, expected or not."""
        side, key = sighting.service.category, sighting.client.address
        ends = self.memory.rows.get(key) or Ends()
        count, last_at, _ = ends.sides.get(side, (0, sighting.at, ""))
        fresh = abs(sighting.at - float(last_at)) <= self.options.within_s
        latest = max(sighting.at, float(last_at))
        ends.sides[side] = [int(count) + 1 if fresh else 1, latest, sighting.service.id]
        self.memory.put(key, ends)
