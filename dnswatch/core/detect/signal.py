"""What a signal is: one small file that states one fact on (client, service), with points and reasons.

A new signal is one file under ``signals/`` plus one line in its registry. Never: mutates history, decides severity
(``score.py`` does). Read next: ``signals/first_seen.py``, the shortest complete one.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar, Protocol

from dnswatch.core.detect.changes import Row
from dnswatch.core.detect.history import Learning, Seen
from dnswatch.core.model import Finding, IndicatorRole, Sighting
from dnswatch.core.policy import Detection


class Past(Protocol):
    """What a signal may read. The attempt at hand is not in it yet."""

    def client(self, address: str, service: str) -> Seen | None:
        """Say when this client met the service before."""
        ...

    def group(self, group: str, service: str) -> Seen | None:
        """Say when anybody of this group met the service before."""
        ...

    def network(self, service: str) -> Seen | None:
        """Say when anybody met the service before."""
        ...

    def note(self, address: str, role: IndicatorRole, service: str) -> Seen | None:
        """Say when this client asked for a companion, ambiguous, recon or DoH name of the service."""
        ...

    def weird(self, address: str) -> Seen | None:
        """Say how many unparsable or untrustworthy lines this client caused."""
        ...

    def learning(self, at: float, learning_s: float) -> Learning:
        """Say how far the learning period is at this log time."""
        ...


class Signal:
    """One fact. Called once per unexpected attempt, in registry order, before the attempt enters history.

    What it finds stays with the episode: of several findings of one signal the one with most points counts. A signal
    with memory of its own keeps it bounded and hands it over in `take_changes`; all others leave those methods alone.
    """

    name: ClassVar[str]

    def __init__(self, detection: Detection) -> None:
        self.detection = detection

    def judge(self, sighting: Sighting, past: Past) -> Finding | None:
        """State the fact, or None when it does not hold."""
        raise NotImplementedError

    def take_changes(self) -> Iterable[tuple[str, Row | None]]:
        """Hand over (key, row) for what changed in the signal's own memory since the last call; None = gone."""
        return ()

    def restore(self, rows: Iterable[tuple[str, Row]]) -> None:
        """Take stored rows back, in any order."""

    def size(self) -> int:
        """Give the number of rows in memory."""
        return 0
