"""Booster: the client also sent lines that cannot be trusted: unprintable names, escapes, forged shapes.

Broken devices do that too, so a few of them on one day add a little and lift nothing by themselves.

Never: shows such a name. Read next: ``role.py``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from dnswatch.core.detect.signal import Past, Signal
from dnswatch.core.detect.visibility import ago
from dnswatch.core.model import Finding, Sighting
from dnswatch.core.policy import DAY_S


@dataclass(frozen=True, slots=True)
class Options:
    """Settings."""

    lines: int = 3
    """Fewer such lines than this are an accident."""
    within_s: float = DAY_S
    """The last one is at most so old."""


class HostileNames(Signal):
    """Lines of this client that do not parse."""

    name: ClassVar[str] = "hostile-names"
    options_type = Options
    options: Options

    def judge(self, sighting: Sighting, past: Past) -> Finding | None:
        """Say how many there were."""
        seen = past.weird(sighting.client.address)
        if seen is None or seen.count < self.options.lines or sighting.at - seen.last_at > self.options.within_s:
            return None
        text = f"{seen.count} untrustworthy lines of {sighting.client.address}, last {ago(sighting.at - seen.last_at)}"
        return self.finding("hostile-names", text, fact=False)
