"""The signals of the registry, asked together: what each says, what each keeps.

Never: weighs what they say (``score.py`` does). Read next: ``signal.py``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import get_args

from dnswatch.core.detect.changes import Row
from dnswatch.core.detect.signal import Ask, Past, Signal
from dnswatch.core.detect.signals import SIGNALS
from dnswatch.core.model import Finding, IndicatorRole, Service, Sighting
from dnswatch.core.policy import Detection

Observe = Callable[[Sighting, Past], None]
NOTED = tuple(role for role in get_args(IndicatorRole) if role != "api")


class Panel:
    """One of every registered signal, in order of their names."""

    def __init__(self, detection: Detection) -> None:
        self.signals: list[Signal] = [kind(detection) for _, kind in sorted(SIGNALS.items())]
        self._memories = {one.memory.kind: one.memory for one in self.signals if one.memory is not None}
        self._observers = [one for one in self.signals if type(one).observe is not Signal.observe]
        self._pupils: dict[tuple[str, bool], list[Observe]] = {}  # by service and expected: those that remember it
        self.note_readers = {role: [one for one in self.signals if role in one.note_roles] for role in NOTED}
        """Those that are to hear of lookups of names that are no sighting (`Signal.note`), by role."""
        self._impatient = [one for one in self.signals if type(one).review_after is not Signal.review_after]
        self._deviators: list[Ask] = [one.deviate for one in self.signals if type(one).deviate is not Signal.deviate]
        self._forgetful = [one for one in self.signals if type(one).hand_over is not Signal.hand_over]
        # Signals that leave a method as it is are not asked: most do, and asking all 15 was an eighth of an attempt.
        self._judges: dict[str, list[Ask]] = {}  # by service: those that it concerns, two thirds of all
        self._waits: dict[str, list[tuple[float, Signal]]] = {}  # by service: who wants to look again after how long

    def configure(self, detection: Detection) -> None:
        """Take other settings."""
        for signal in self.signals:
            signal.configure(detection)
        self._judges.clear()
        self._waits.clear()
        self._pupils.clear()

    def observe(self, sighting: Sighting, past: Past) -> None:
        """Let the signals remember an attempt."""
        service, expected = sighting.service, sighting.expected
        pupils = self._pupils.get((service.id, expected))
        if pupils is None:
            pupils = [one.observe for one in self._observers if one.remembers(service, expected)]
            self._pupils[service.id, expected] = pupils
        for observe in pupils:
            observe(sighting, past)

    def hand_over(self, address: str) -> None:
        """Let the signals forget what the last holder of an address did of late: DHCP gave it to somebody else."""
        for signal in self._forgetful:
            signal.hand_over(address)

    def reviews(self, sighting: Sighting) -> list[float]:
        """Give the times at which the signals want to look again at an episode that begins with this attempt."""
        return sorted({sighting.at + after for after, _ in self._waiting(sighting.service)})

    def review(self, sighting: Sighting, now: float, past: Past) -> list[Finding]:
        """Ask again about an episode, some time after its first attempt."""
        found = []
        for _, signal in self._waiting(sighting.service):
            finding = signal.review(sighting, now, past)
            if finding is not None:
                found.append(finding)
        return found

    def _waiting(self, service: Service) -> list[tuple[float, Signal]]:
        waits = self._waits.get(service.id)
        if waits is None:
            asked = [(one.review_after(service), one) for one in self._impatient]
            waits = self._waits[service.id] = [(after, one) for after, one in asked if after is not None]
        return waits

    def asked(self, sighting: Sighting) -> list[Ask]:
        """Give what to ask of the signals that have a say in an attempt."""
        if sighting.expected:
            return self._deviators
        service = sighting.service
        judges = self._judges.get(service.id)
        if judges is None:
            judges = self._judges[service.id] = [one.judge for one in self.signals if one.concerns(service)]
        return judges

    # ── State ─────────────────────────────────────────────────────────────────────────────────────────────────

    def take_changes(self, into: dict[tuple[str, str], Row | None]) -> None:
        """Write what changed in the signals' memories since the last call into ``into``."""
        for table in self._memories.values():
            table.take_changes(into)

    def forget_changes(self) -> None:
        """Drop what `take_changes` would write."""
        for table in self._memories.values():
            table.changed.clear()

    def restore(self, kinds: dict[str, list[tuple[str, Row]]]) -> None:
        """Take the signals' rows out of ``kinds``."""
        for signal in self.signals:
            if signal.memory is not None:
                rows = kinds.pop(signal.memory.kind, [])
                signal.memory.restore([(key, signal.row_type.of_row(row)) for key, row in rows])

    def sizes(self) -> dict[str, int]:
        """Give the number of rows by signal."""
        return {kind: len(table.rows) for kind, table in self._memories.items()}

    def evicted(self) -> dict[str, int]:
        """Give how many rows had to go for others, by signal."""
        return {kind: table.evicted for kind, table in self._memories.items()}
