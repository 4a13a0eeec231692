"""Booster: nobody is at work at this hour.

Off unless ``detect.signals.off-hours`` names a ``timezone``: without one there is no telling when people work. Only
for clients that people sit at; servers, builds and devices, and what behaves like them, know no
hours.

Never: a fact by itself. Read next: ``role.py``.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from dnswatch.core.detect import visibility
from dnswatch.core.detect.signal import Past, Signal
from dnswatch.core.model import Finding, Service, Sighting

UNATTENDED = frozenset({"server", "ci", "iot", "forwarder", "scanner"})
SATURDAY = 5
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


@dataclass(frozen=True, slots=True)
class Options:
    """Settings."""

    timezone: str = ""
    """Where the people are, as in ``Europe/Berlin``; empty: the signal is off."""
    begin: int = 7
    """Working hours, from this hour …"""
    end: int = 20
    """… to this one, Monday to Friday."""


class OffHours(Signal):
    """Nights and weekends."""

    name: ClassVar[str] = "off-hours"
    options_type = Options
    options: Options

    def concerns(self, service: Service) -> bool:
        """Speak where the operator says where people are."""
        return self.detection.zone is not None

    def judge(self, sighting: Sighting, past: Past) -> Finding | None:
        """Say what time it is there."""
        zone = self.detection.zone
        if zone is None or sighting.client.role in UNATTENDED:
            return None
        local = datetime.fromtimestamp(sighting.at, zone)
        if local.weekday() < SATURDAY and self.options.begin <= local.hour < self.options.end:
            return None
        if visibility.machine(past, sighting.client, sighting.at):
            return None
        text = f"outside working hours: {DAYS[local.weekday()]} {local:%H:%M} in {self.options.timezone}"
        return self.finding("off-hours", text, fact=False)
