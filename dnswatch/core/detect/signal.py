"""What a signal is: one small file that states one fact on (client, service), with points and reasons.

A new signal is one file under ``signals/`` plus one line in its registry. What it can be told differently stands in a
frozen dataclass ``Options`` of its file, set by ``detect.signals.<name>`` of the configuration; its points are terms of
``score.py``. Never: mutates history, decides severity (``score.py`` does). Read next: ``signals/role.py``, the shortest
complete one; ``signals/sequence.py`` for one with memory and options.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Protocol

from dnswatch.core.clients.roles import Behaviour
from dnswatch.core.detect.changes import Numbered, Row, Table
from dnswatch.core.detect.history import Learning, Seen
from dnswatch.core.detect.score import POINTS
from dnswatch.core.model import Finding, Indicator, IndicatorRole, Reason, Service, Sighting
from dnswatch.core.policy import Detection


class Past(Protocol):
    """What a signal may read. The attempt at hand is not in it yet."""

    def pair(self, address: str, service: str) -> str:
        """Give the key of a client and a service: the string that is kept, so that every table holds the same one."""
        ...

    def client(self, pair: str) -> Seen | None:
        """Say when this client met the service before (`Sighting.pair`)."""
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

    def behaviour(self, address: str, at: float) -> Behaviour:
        """Say what the client seems to be, from its days before."""
        ...

    def active(self, at: float) -> int:
        """Say how many clients a day has."""
        ...


class Kept(Numbered, Protocol):
    """A row of a signal's memory."""

    @classmethod
    def of_row(cls, row: Row) -> Kept:
        """Take a stored row."""
        ...


Ask = Callable[[Sighting, Past], Finding | None]
"""`Signal.judge` or `Signal.deviate` of one signal."""


class Signal:
    """One fact. `judge` is called once per unexpected attempt, in registry order, before the attempt enters history.

    What it finds stays with the episode: of several findings of one signal the one with most points counts. A signal
    with a memory of its own declares it: a bounded table and the type of its rows; the panel has both stored.
    """

    name: ClassVar[str]
    options_type: ClassVar[type[Any] | None] = None  # frozen dataclass of what can be set, each with its default
    options: Any  # one of that type; a signal that has some declares it
    note_roles: ClassVar[frozenset[IndicatorRole]] = frozenset()  # of the names that `note` is to hear of
    memory: Table[Any] | None = None
    row_type: ClassVar[type[Kept]]  # of the memory's rows

    def __init__(self, detection: Detection) -> None:
        self.configure(detection)

    def configure(self, detection: Detection) -> None:
        """Take settings; a reload calls this again."""
        self.detection = detection
        if self.options_type is not None:
            self.options = self.options_type(**detection.options.get(self.name, {}))

    def points(self, term: str) -> int:
        """Give what a term is worth here."""
        return self.detection.points.get(term, POINTS[term])

    def finding(self, term: str, text: str, *, fact: bool = True) -> Finding:
        """Make the finding of one term."""
        points = self.points(term)
        return Finding(self.name, points, (Reason(term, text, points),), fact)

    def judge(self, sighting: Sighting, past: Past) -> Finding | None:
        """State the fact, or None when it does not hold. Remembers nothing."""
        raise NotImplementedError

    def deviate(self, sighting: Sighting, past: Past) -> Finding | None:
        """State how an expected client departs from its habits; without points, for a deviation is low at most."""
        return None

    def concerns(self, service: Service) -> bool:
        """Say whether `judge` may ever say anything of a service; asked once per service, not once per attempt."""
        return True

    def review_after(self, service: Service) -> float | None:
        """Give how many seconds after an episode's first attempt `review` shall be called, or None."""
        return None

    def review(self, sighting: Sighting, now: float, past: Past) -> Finding | None:
        """State the fact again, some time after an episode's first attempt, which ``sighting`` is.

        Whoever wants to look again at all is asked whenever one of them is due, so ``now`` may be sooner than this one
        asked for.
        """
        return None

    def remembers(self, service: Service, expected: bool) -> bool:
        """Say whether `observe` may ever keep anything of such an attempt; asked once per service, too."""
        return True

    def observe(self, sighting: Sighting, past: Past) -> None:
        """Remember an attempt that `remembers`; called once, after `judge` and before it enters history."""

    def note(self, client: str, indicator: Indicator, at: float) -> None:
        """Remember a lookup of a companion, ambiguous, recon or DoH name of `note_roles`; every line of it comes."""

    def hand_over(self, address: str) -> None:
        """Forget what the last holder of an address did of late. Rows stay in their place, empty: numbers go on."""
