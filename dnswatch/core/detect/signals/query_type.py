"""Booster: this client asks for type HTTPS beside nearly every name, but not beside this one.

Browsers ask for it (98 % of one desktop's names, measured), scripts do not; but other desktops never do, so only a
client's own habit counts, and it counts little. All lookups of the attempt are there within seconds.

Never: says that a lookup without type HTTPS is a script's. Read next: ``core/clients/roles.py``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from dnswatch.core.clients.roles import HTTPS_TYPES
from dnswatch.core.detect.signal import Past, Signal
from dnswatch.core.model import Finding, Sighting

AFTER_S = 6.0
"""Attempts are over after five seconds (DESIGN §3)."""


@dataclass(frozen=True, slots=True)
class Options:
    """Settings."""

    samples: int = 20
    """Fewer sampled lookups on the last whole day than this show no habit."""
    share: float = 0.25
    """A browser sends HTTPS, A and AAAA for a name: a third of its lookups, less where caches answer."""


class QueryType(Signal):
    """The browser's type is missing."""

    name: ClassVar[str] = "query-type"
    options_type = Options
    options: Options

    def judge(self, sighting: Sighting, past: Past) -> Finding | None:
        """Say nothing yet: the attempt's other lookups are still to come."""
        return None

    def review_after(self, sighting: Sighting) -> float | None:
        """Look again when the attempt is over."""
        return AFTER_S

    def review(self, sighting: Sighting, now: float, past: Past) -> Finding | None:
        """Say that the client's browser does not seem to have asked. The sighting names type HTTPS if it was asked."""
        behaviour = past.behaviour(sighting.client.address, sighting.at)
        if sighting.qtype in HTTPS_TYPES or not sighting.qtype or behaviour.crowd:
            return None
        if behaviour.samples < self.options.samples or behaviour.https < self.options.share * behaviour.samples:
            return None
        share = f"{behaviour.https} of {behaviour.samples} sampled lookups the day before"
        text = f"no HTTPS lookup of {sighting.qname}, though {sighting.client.address} sends them ({share})"
        return self.finding("query-type", text, fact=False)
