"""Fact: an app of the service leaves other names beside the interface's; this client never asked for one of them.

Only where the catalogue says that companions exonerate, and only after learning. An app asks for the interface first
and for its companions up to 16 s later (measured), so the absence is stated when some time has passed. A client that
was seen once to be somebody's app stays known for days: a running app asks for the interface alone, hours later. Bots
use some of the app's names too; those are `ambiguous` in the catalogue and prove nothing.

Never: blames a client whose names cannot all be seen (DNS over HTTPS, forwarder, NAT) or that resolves whatever it
reads (scanner). Read next: ``sequence.py``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from dnswatch.core.detect.signal import Past, Signal, known
from dnswatch.core.model import Client, Finding, Reason, Sighting
from dnswatch.core.policy import DAY_S, Detection

MIXED_ROLES = {"forwarder": "many clients", "scanner": "whatever it reads"}


@dataclass(frozen=True, slots=True)
class Options:
    """Settings, in seconds."""

    memory_s: float = 14 * DAY_S
    """So long a companion vouches for its client: at least a week, two cover a holiday."""
    wait_s: float = 30.0
    """So long after the first lookup a companion may still come: twice the measured 16 s."""
    doh_s: float = DAY_S
    """So long after a DNS-over-HTTPS name a client's missing lookups mean nothing."""


class Companion(Signal):
    """Is this client somebody's app?"""

    name: ClassVar[str] = "companion"
    options_type = Options
    options: Options

    def configure(self, detection: Detection) -> None:
        """Take settings."""
        super().configure(detection)
        self.options = Options(**detection.options.get(self.name, {}))

    def judge(self, sighting: Sighting, past: Past) -> Finding | None:
        """Say that the client is a known app, or that a client long seen here never was."""
        if sighting.service.companion_effect != "exonerates":
            return None
        before = past.client(sighting.client.address, sighting.service.id)
        waited = before is not None and self.options.wait_s <= sighting.at - before.last_at <= self.options.memory_s
        return self._state(sighting, sighting.at, past, waited)

    def review_after(self, sighting: Sighting) -> float | None:
        """Look again when the companions of an app that just started would be there."""
        return self.options.wait_s if sighting.service.companion_effect == "exonerates" else None

    def review(self, sighting: Sighting, now: float, past: Past) -> Finding | None:
        """Say whether a companion came meanwhile."""
        return self._state(sighting, now, past, True) if sighting.service.companion_effect == "exonerates" else None

    def _state(self, sighting: Sighting, at: float, past: Past, waited: bool) -> Finding | None:
        client, service = sighting.client, sighting.service
        seen = known(past, client, "companion", service.id)
        if seen is not None and at - seen.last_at <= self.options.memory_s:
            times = "once" if seen.count == 1 else f"{seen.count} times"
            text = (f"{client.address} runs an app of {service.id}: asked for its other names {times}, "
                    f"last {_ago(at - seen.last_at)}")  # fmt: skip
            return self.finding("companion-known", text, fact=False)
        if not waited or past.learning(at, self.detection.learning_s).active:
            return None
        why = self._blind(client, past, at)
        if why:
            text = f"no companion of {service.id} seen, which means nothing here: {client.address} {why}"
            return Finding(self.name, 0, (Reason("companion-suspended", text),), fact=False)
        days = self.options.memory_s / DAY_S
        text = f"no app of {service.id} on {client.address}: none of its other names in {days:g} days"
        return self.finding("companion-absent", text)

    def _blind(self, client: Client, past: Past, at: float) -> str:
        """Say why a name that is missing in the log may have been asked for nonetheless, or ""."""
        mixed = MIXED_ROLES.get(client.role)
        if mixed:
            return f"is a {client.role} and asks for {mixed}"
        doh = known(past, client, "doh", "doh")
        if doh is not None and at - doh.last_at <= self.options.doh_s:
            return f"uses DNS over HTTPS, seen {_ago(at - doh.last_at)}"
        behaviour = past.behaviour(client.address, at)
        if behaviour.crowd:
            return f"behaves like many clients ({behaviour.samples} sampled lookups a day)"
        return "resolves whatever it reads" if behaviour.scanner else ""


def _ago(seconds: float) -> str:
    if seconds < 0:
        return "just now"
    for unit, size in (("d", 86400.0), ("h", 3600.0), ("min", 60.0)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit} ago"
    return f"{seconds:.0f} s ago"
