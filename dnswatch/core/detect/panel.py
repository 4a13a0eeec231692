"""The signals of the registry, asked together: what each says, what each keeps.

Never: weighs what they say (``score.py`` does). Read next: ``signal.py``.
"""

from __future__ import annotations

from dnswatch.core.detect.changes import Row
from dnswatch.core.detect.signal import Past, Signal
from dnswatch.core.detect.signals import SIGNALS
from dnswatch.core.model import Finding, Indicator, Sighting
from dnswatch.core.policy import Detection


class Panel:
    """One of every registered signal, in order of their names."""

    def __init__(self, detection: Detection) -> None:
        self.signals: list[Signal] = [kind(detection) for _, kind in sorted(SIGNALS.items())]
        self._observers = [one for one in self.signals if type(one).observe is not Signal.observe]
        self._note_readers = [one for one in self.signals if type(one).note is not Signal.note]

    def configure(self, detection: Detection) -> None:
        """Take other settings."""
        for signal in self.signals:
            signal.configure(detection)

    def observe(self, sighting: Sighting, past: Past) -> None:
        """Let the signals remember an attempt."""
        for signal in self._observers:
            signal.observe(sighting, past)

    def note(self, client: str, indicator: Indicator, at: float) -> None:
        """Let the signals remember a lookup of a name that is no sighting."""
        for signal in self._note_readers:
            signal.note(client, indicator, at)

    def reviews(self, sighting: Sighting) -> list[float]:
        """Give the times at which the signals want to look again at an episode that begins with this attempt."""
        asked = {after for one in self.signals if (after := one.review_after(sighting)) is not None}
        return [sighting.at + after for after in sorted(asked)]

    def review(self, sighting: Sighting, now: float, past: Past) -> list[Finding]:
        """Ask again about an episode, some time after its first attempt."""
        found = (signal.review(sighting, now, past) for signal in self.signals)
        return [finding for finding in found if finding is not None]

    # ── State ─────────────────────────────────────────────────────────────────────────────────────────────────

    def take_changes(self, into: dict[tuple[str, str], Row | None]) -> None:
        """Write what changed in the signals' memories since the last call into ``into``."""
        for signal in self.signals:
            for key, row in signal.take_changes():
                into[f"signal:{signal.name}", key] = row

    def restore(self, kinds: dict[str, list[tuple[str, Row]]]) -> None:
        """Take the signals' rows out of ``kinds``."""
        for signal in self.signals:
            signal.restore(kinds.pop(f"signal:{signal.name}", []))

    def sizes(self) -> dict[str, int]:
        """Give the number of rows by signal."""
        return {f"signal:{signal.name}": signal.size() for signal in self.signals}

    def evicted(self) -> dict[str, int]:
        """Give how many rows had to go for others, by signal."""
        return {f"signal:{signal.name}": signal.evicted() for signal in self.signals}
