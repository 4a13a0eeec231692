"""What type HTTPS says: a browser asked; or this client's browser asks for it all day, but not beside this name.

Browsers ask for it (98 % of one desktop's names, measured), scripts do not: curl, libc and the libraries of bots ask
for A and AAAA. So a name that people look up in normal use as well, and that came with type HTTPS, was a page or a
link: points off, as for a known app. Nothing of the kind for names that no person needs: a phishing page posts to
bots from the browser. That the type is missing counts little, and by a client's own habit only: other desktops never
send it. All lookups of the attempt are there within seconds.

Never: says that a lookup without type HTTPS is a script's. Read next: ``core/clients/roles.py``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from dnswatch.core.clients.roles import HTTPS_TYPES
from dnswatch.core.detect.signal import Past, Signal
from dnswatch.core.model import Finding, Service, Sighting

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
        """Say that a browser asks, where its type comes first; else the attempt's other lookups are still to come."""
        return self._browser(sighting) if sighting.qtype in HTTPS_TYPES else None

    def review_after(self, service: Service) -> float | None:
        """Look again when the attempt is over."""
        return AFTER_S

    def review(self, sighting: Sighting, now: float, past: Past) -> Finding | None:
        """Say that the client's browser does not seem to have asked. The sighting names type HTTPS if it was asked."""
        if sighting.qtype in HTTPS_TYPES:
            return self._browser(sighting)
        behaviour = past.behaviour(sighting.client.address, sighting.at)
        if not sighting.qtype or behaviour.crowd:
            return None
        if behaviour.samples < self.options.samples or behaviour.https < self.options.share * behaviour.samples:
            return None
        share = f"{behaviour.https} of {behaviour.samples} sampled lookups the day before"
        text = f"no HTTPS lookup of {sighting.qname}, though {sighting.client.address} sends them ({share})"
        return self.finding("query-type", text, fact=False)

    def _browser(self, sighting: Sighting) -> Finding | None:
        if not sighting.service.shared:
            return None
        text = (
            f"asked with type HTTPS, as browsers do and scripts do not: {sighting.service.id} is a page to people too"
        )
        return self.finding("browser-type", text, fact=False)
