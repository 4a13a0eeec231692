"""Fact: the client stands where nobody types: a server or a device of the internet of things.

Groups of the configuration say so. Where a client's group has no role, its whole days before do: few domains, round
the clock, no browser's type and no app's name. That weighs less.

Never: overrules a configured role. Read next: ``core/clients/habits.py``, ``../score.py``.
"""

from __future__ import annotations

from typing import ClassVar

from dnswatch.core.detect import visibility
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
            habit = visibility.machine(past, client, sighting.at)
            return self.finding("server-like", f"{client.address} behaves like a server: {habit}") if habit else None
        term, text = "segment", f"{client.address} is {what} (group {client.group})"
        if client.role == "server" and category in TUNNELS:
            term, text = "server-tunnel", f"{category} from {what} (group {client.group})"
        return self.finding(term, text)
