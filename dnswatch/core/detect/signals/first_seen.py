"""Fact: nobody here has met this service before (the network, the group, or only this client).

Only the widest scope counts. Network and group count after the learning period, for at first everything is new; and
a client's own first time is never a fact by itself: every client has one. Read next: ``role.py``.
"""

from __future__ import annotations

from typing import ClassVar

from dnswatch.core.detect.history import Learning
from dnswatch.core.detect.signal import Past, Signal
from dnswatch.core.model import Finding, Reason, Sighting


class FirstSeen(Signal):
    """First seen on the network, in the group, from the client."""

    name: ClassVar[str] = "first-seen"

    def judge(self, sighting: Sighting, past: Past) -> Finding | None:
        """Say how wide the first time is."""
        client, service = sighting.client, sighting.service.id
        if past.client(sighting.pair) is not None:
            return None
        scope, who = "client", f"{client.address}"
        if past.network(service) is None:
            scope, who = "network", "this network"
        elif client.group and past.group(client.group, service) is None:
            scope, who = "group", f"group {client.group}"
        learning = past.learning(sighting.at, self.detection.learning_s)
        if scope != "client" and learning.active:
            points = self.points("first-seen-client")
            term = Reason("first-seen-client", f"{service} first seen from {client.address}", points)
            text = f"learning: day {learning.day} of {learning.days:g}; first seen on {who} does not count yet"
            return Finding(self.name, points, (term, Reason("learning", text)), fact=False)
        points = self.points(f"first-seen-{scope}")
        known = "" if scope == "client" else _known(learning)
        preposition = {"client": "from", "group": "in", "network": "on"}[scope]
        term = Reason(f"first-seen-{scope}", f"{service} first seen {preposition} {who}{known}", points)
        return Finding(self.name, points, (term,), fact=scope != "client")

    def deviate(self, sighting: Sighting, past: Past) -> Finding | None:
        """Say that an expectation is used for the first time: by this client, and by nobody else of its group."""
        client, service = sighting.client, sighting.service.id
        learning = past.learning(sighting.at, self.detection.learning_s)
        if past.client(sighting.pair) or learning.active or not learning.days:
            return None  # without a learning period there are no habits to depart from
        if past.network(service) is not None and not (client.group and past.group(client.group, service) is None):
            return None
        who = f"group {client.group}" if client.group else client.address
        return Finding(self.name, 0, (Reason("first-use", f"{service} is expected of {who} and was never used by it"),))


def _known(learning: Learning) -> str:
    """Say how much log a first time rests on."""
    if not learning.days:
        return " (learning is off)"
    days = learning.day - 1
    return f", in {days} day{'s' if days != 1 else ''} of log" if days else ", in less than a day of log"
