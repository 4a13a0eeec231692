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

from dnswatch.core.detect import visibility
from dnswatch.core.detect.history import Seen
from dnswatch.core.detect.signal import Past, Signal
from dnswatch.core.model import Finding, Reason, Service, Sighting
from dnswatch.core.policy import DAY_S


@dataclass(frozen=True, slots=True)
class Options:
    """Settings, in seconds."""

    memory_s: float = visibility.MEMORY_S
    """So long a companion vouches for its client; a week at least."""
    wait_s: float = visibility.APP_S
    """So long after the first lookup a companion may still come."""
    doh_s: float = visibility.DOH_S
    """So long after a DNS-over-HTTPS name a client's missing lookups mean nothing."""


class Companion(Signal):
    """Is this client somebody's app?"""

    name: ClassVar[str] = "companion"
    options_type = Options
    options: Options

    def concerns(self, service: Service) -> bool:
        """Speak where companions exonerate."""
        return service.companion_effect == "exonerates"

    def judge(self, sighting: Sighting, past: Past) -> Finding | None:
        """Say that the client is a known app, or that a client long seen here never was."""
        if sighting.service.companion_effect != "exonerates":
            return None
        before = past.client(sighting.pair)
        return self._state(sighting, sighting.at, past, before is not None and self._waited(before, sighting.at))

    def _waited(self, before: Seen, at: float) -> bool:
        """Say whether an app behind the lookups before had the time to show itself; some bots never pause so long."""
        pause, wait_s = at - before.last_at, self.options.wait_s
        polls = before.count >= visibility.DOH_LOOKUPS and at - before.first_at >= wait_s
        return pause <= self.options.memory_s and (pause >= wait_s or polls)

    def review_after(self, service: Service) -> float | None:
        """Look again when the companions of an app that just started would be there."""
        return self.options.wait_s if service.companion_effect == "exonerates" else None

    def review(self, sighting: Sighting, now: float, past: Past) -> Finding | None:
        """Say whether a companion came meanwhile."""
        if now < sighting.at + self.options.wait_s or sighting.service.companion_effect != "exonerates":
            return None
        return self._state(sighting, now, past, True)

    def _state(self, sighting: Sighting, at: float, past: Past, waited: bool) -> Finding | None:
        client, service = sighting.client, sighting.service
        seen = visibility.app(past, client, service, at, self.options.memory_s)
        if seen is not None:
            times = "once" if seen.count == 1 else f"{seen.count} times"
            text = (f"{client.address} runs an app of {service.id}: asked for its other names {times}, "
                    f"last {visibility.ago(at - seen.last_at)}")  # fmt: skip
            return self.finding("companion-known", text, fact=False)
        if not waited or past.learning(at, self.detection.learning_s).active:
            return None
        why = visibility.unseen(past, client, service, at, self.options.doh_s)
        if why:
            text = f"no companion of {service.id} seen, which means nothing here: {client.address} {why}"
            return Finding(self.name, 0, (Reason("companion-suspended", text),), fact=False)
        days = self.options.memory_s / DAY_S
        text = f"no app of {service.id} on {client.address}: none of its other names in {days:g} days"
        terms = [Reason("companion-absent", text, self.points("companion-absent"))]
        habit = visibility.person(past, client, at)
        if habit:
            text = f"{client.address} behaves like a person's, and this log shows it browse: {habit}"
            terms.append(Reason("human-like", text, self.points("human-like")))
        return Finding(self.name, sum(term.points for term in terms), tuple(terms))
