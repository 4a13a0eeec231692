"""Damper: the client resolves whatever it reads, so a lookup is not its own wish.

Mail gateways, link scanners, sandboxes and enrichment of a SIEM meet the whole catalogue. They are known by their group
(``role: scanner``) or by their days: many watched services on two days of the last week, or as many in all on three
days of several, not counting today. What they look up is told, and stays low.

Never: applies to a client for what it does on the day itself. Read next: ``core/clients/roles.py``.
"""

from __future__ import annotations

from typing import ClassVar

from dnswatch.core.clients.roles import BUSY_FOR_DAYS, BUSY_SERVICES
from dnswatch.core.detect.signal import Past, Signal
from dnswatch.core.model import Finding, Reason, Sighting


class Scanner(Signal):
    """A role, not an incident."""

    name: ClassVar[str] = "scanner"

    def judge(self, sighting: Sighting, past: Past) -> Finding | None:
        """Say that the client resolves what others wrote."""
        client = sighting.client
        if client.role == "scanner":
            why = f"group {client.group}"
        elif past.behaviour(client.address, sighting.at).scanner:
            why = f"{BUSY_SERVICES} or more watched services within {BUSY_FOR_DAYS} days, several a day"
        else:
            return None
        text = f"{client.address} is a scanner ({why}): it resolves whatever it reads, so this stays low"
        return Finding(self.name, 0, (Reason("scanner", text),), fact=False, ceiling="low")
