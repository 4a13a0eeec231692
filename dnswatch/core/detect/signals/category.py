"""Fact: the service is of a kind that nobody looks up by accident, so its base severity holds at once.

Never: adds points (the base has them). Read next: ``role.py``.
"""

from __future__ import annotations

from typing import ClassVar

from dnswatch.core.detect.signal import Past, Signal
from dnswatch.core.model import Finding, Reason, Service, Sighting

DELIBERATE: dict[str, str] = {
    "oob-interaction": "a callback server for exploit testing",
    "request-bin": "a public inspector for whatever is posted to it",
    "tunnel-agent": "a name that only the hosting side of a tunnel looks up",
}
"""Categories without an everyday use. Public rules for them are the only stateless ones rated high."""


class Category(Signal):
    """Request bins, OAST callbacks and tunnel agents."""

    name: ClassVar[str] = "category"

    def concerns(self, service: Service) -> bool:
        """Speak of those categories."""
        return service.category in DELIBERATE

    def judge(self, sighting: Sighting, past: Past) -> Finding | None:
        """Say that the category speaks for itself."""
        what = DELIBERATE.get(sighting.service.category)
        if what is None:
            return None
        text = f"{sighting.service.category} is {what}: nobody looks it up by accident"
        return Finding(self.name, 0, (Reason("category", text),), floor=sighting.service.base_severity)
