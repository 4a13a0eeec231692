"""Hint: the client also asked for a DNS-over-HTTPS server, so this log may show only part of what it does.

On a workstation that is a browser's doing and only context. Servers and devices, or what behaves like them, have no
browser: there it is a little graver, for it is also how a program leaves the sight of the resolver.

Never: a fact by itself. Read next: ``role.py``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from dnswatch.core.detect import visibility
from dnswatch.core.detect.signal import Past, Signal
from dnswatch.core.model import Finding, Reason, Sighting


@dataclass(frozen=True, slots=True)
class Options:
    """Settings."""

    within_s: float = visibility.DOH_S
    """The last such lookup is at most so old."""


MACHINES = frozenset({"server", "iot"})
"""Roles without a browser: a DoH name there is nobody's preference."""


class Doh(Signal):
    """DNS over HTTPS beside the lookup."""

    name: ClassVar[str] = "doh"
    options_type = Options
    options: Options

    def judge(self, sighting: Sighting, past: Past) -> Finding | None:
        """Say that the client has another way to resolve names."""
        client, at = sighting.client, sighting.at
        seen = visibility.known(past, client, "doh", "doh")
        if seen is None or at - seen.last_at > self.options.within_s:
            return None
        text = f"{client.address} asked for a DNS-over-HTTPS server {visibility.ago(at - seen.last_at)}"
        if client.role in MACHINES or visibility.machine(past, client, at):
            return self.finding("doh-unattended", f"{text}, without a browser", fact=False)
        text += ": more may go on than this log shows"
        return Finding(self.name, 0, (Reason("doh-hint", text),), fact=False)
