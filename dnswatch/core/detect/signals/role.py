"""Fact: the client stands in a segment where nobody types: a server or a device of the internet of things.

Never: guesses roles; groups of the configuration carry them. Read next: ``../score.py``.
"""

from __future__ import annotations

from typing import ClassVar

from dnswatch.core.detect.signal import Past, Signal
from dnswatch.core.model import Finding, Sighting

UNATTENDED = {"server": "a server", "iot": "an IoT device"}
TUNNELS = frozenset({"oob-interaction", "tunnel-agent"})


class Role(Signal):
    """Server and IoT segments; a callback or tunnel from a server weighs more."""

    name: ClassVar[str] = "role"

    def judge(self, sighting: Sighting, past: Past) -> Finding | None:
        """Say that the client's segment makes the lookup graver."""
        client, category = sighting.client, sighting.service.category
        what = UNATTENDED.get(client.role)
        if what is None:
            return None
        term, text = "segment", f"{client.address} is {what} (group {client.group})"
        if client.role == "server" and category in TUNNELS:
            term, text = "server-tunnel", f"{category} from {what} (group {client.group})"
        return self.finding(term, text)
