"""Booster: a program asks, at regular times.

Per client and service, per client and category, and over all unexpected services together: some malware rotates over
names so that none of them alone is regular. Software is as regular as malware, so this never opens an alert nor lifts
one above low by itself. Names that people's apps share count only where the app would have shown itself and did not, or
where nobody sits: chat apps ask again whenever the answer expires, and that is a metronome. Of other shared names the
rhythm is told and adds nothing.

A stub resolver hides whatever is faster than the answer may be cached, so a period is a lower bound. Never: scores
expected lookups. Read next: ``../regular.py``.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from dnswatch.core.detect import visibility
from dnswatch.core.detect.changes import Row, Table
from dnswatch.core.detect.regular import regularity
from dnswatch.core.detect.signal import Past, Signal
from dnswatch.core.model import Client, Finding, Reason, Service, Sighting
from dnswatch.core.policy import Detection

SERIES = 200_000
"""Series of gaps remembered, up to three for a pair; at most some 400 bytes each."""
GAPS = 48
LONGEST_S = 1 << 30
"""A gap of 34 years is a clock that jumped; it must fit into four bytes."""
NOW_AND_THEN, SELDOM = 6, 24
"""Once a series is long, it is scored again after so many further lookups only."""
REFRESH_S = 3600.0
NO_GAPS = array("I")
"""Of every series of one lookup, and never appended to: most clients meet a service once."""


@dataclass(frozen=True, slots=True)
class Options:
    """Settings."""

    score: float = 0.85
    """Research names 0.9 for RITA's own score; folding and forgiven noise move the same line here."""
    lookups: int = 10
    """Fewer attempts than this prove nothing."""
    long: int = 24
    """So many that chance has no part in it: more points."""


class Series:
    """The last gaps between attempts of one client for one service or kind of service, in whole seconds."""

    __slots__ = ("count", "gaps", "last_at", "n", "put_at")

    def __init__(
        self, last_at: float, count: int = 1, gaps: Sequence[int] = (), put_at: float = 0.0, n: int = 0
    ) -> None:
        self.n = n
        self.last_at = last_at
        self.count = count
        self.gaps = array("I", gaps) if gaps else NO_GAPS  # four bytes each: there are up to three series for a pair
        self.put_at = put_at or last_at

    def row(self) -> Row:
        """Give the plain form."""
        return {
            "n": self.n,
            "last_at": self.last_at,
            "count": self.count,
            "gaps": list(self.gaps),
            "put_at": self.put_at,
        }

    @classmethod
    def of_row(cls, row: Row) -> Series:
        """Take a stored row."""
        return cls(row["last_at"], row["count"], row["gaps"], row["put_at"], row["n"])


class Regularity(Signal):
    """Regular gaps."""

    name: ClassVar[str] = "regularity"
    options_type = Options
    options: Options
    memory: Table[Series]
    row_type = Series

    def __init__(self, detection: Detection) -> None:
        super().__init__(detection)
        self.memory = Table("signal:regularity", SERIES)

    def judge(self, sighting: Sighting, past: Past) -> Finding | None:
        """Say how regular the client's lookups are, this one included."""
        if _alone(sighting) not in self.memory.rows:
            return None
        alone = 0  # lookups of the narrower series: a wider one of as many says the same
        plain = visibility.plain(past, sighting.client, sighting.service, sighting.at)
        for key, what in _keys(sighting, plain):
            series = self.memory.rows.get(key)
            if series is None or sighting.at <= series.last_at:
                return None
            count, narrower = series.count + 1, alone
            alone = count
            if count == narrower or not self._due(count):
                continue
            score, period = regularity([*series.gaps, max(1, round(sighting.at - series.last_at))][-GAPS:])
            if score >= self.options.score:
                if plain or sighting.service.companion_effect != "exonerates":
                    return self._state(count, what, score, period, plain)
                return None
        return None

    def _due(self, count: int) -> bool:
        """Say whether a series of so many lookups is scored: always while it is short, then now and then."""
        if count < 2 * self.options.lookups:
            return count >= self.options.lookups
        return count % (SELDOM if count > GAPS else NOW_AND_THEN) == 0

    def _state(self, count: int, what: str, score: float, period: float, plain: bool) -> Finding:
        pace = f"one every {_span(period)} or faster"
        text = f"a program's rhythm: {count} lookups of {what}, {pace} (regularity {score:.2f})"
        if not plain:
            text += "; people's apps and pages have one, too, so it adds nothing"
            return Finding(self.name, 0, (Reason("regular", text),), fact=False)
        terms = [Reason("regular", text, self.points("regular"))]
        if count >= self.options.long:
            text = f"kept up for {self.options.long} lookups and more"
            terms.append(Reason("regular-long", text, self.points("regular-long")))
        return Finding(self.name, sum(term.points for term in terms), tuple(terms), fact=False)

    def remembers(self, service: Service, expected: bool) -> bool:
        """Remember unexpected attempts."""
        return not expected

    def observe(self, sighting: Sighting, past: Past) -> None:
        """Remember when an unexpected attempt was."""
        client, service, at = sighting.client, sighting.service, sighting.at
        plain = visibility.plain(past, client, service, at)
        if not plain and (visibility.app(past, client, service, at) or visibility.mixed(past, client, at)):
            return
        for key, _ in _keys(sighting, plain):
            series = self.memory.rows.get(key)
            if series is None:
                self.memory.put(key, Series(at))
            elif at > series.last_at:
                if not series.gaps:
                    series.gaps = array("I")
                series.gaps.append(min(max(1, round(at - series.last_at)), LONGEST_S))
                del series.gaps[:-GAPS]
                series.last_at = at
                series.count += 1
                if at - series.put_at > REFRESH_S:
                    series.put_at = at
                    self.memory.put(key, series)
                else:
                    self.memory.changed.add(key)


def _keys(sighting: Sighting, plain: bool) -> tuple[tuple[str, str], ...]:
    """Give the three series of an attempt, and what each is called. ``/`` and ``*`` stand in no service id.

    What an app may have asked for stands in the first one only, where it disturbs no program's rhythm.
    """
    service, alone = sighting.service, (_alone(sighting), sighting.service.id)
    if not plain:
        return (alone,)
    host = _host(sighting.client)
    return (
        alone,
        (f"{host} /{service.category}", f"{service.category} services together"),
        (f"{host} *", "unexpected services together"),
    )


def _alone(sighting: Sighting) -> str:
    return f"{_host(sighting.client)} {sighting.service.id}" if sighting.client.mac else sighting.pair


def _host(client: Client) -> str:
    """Name the holder of an address: the next one has a rhythm of its own."""
    return f"{client.address}/{client.mac}" if client.mac else client.address


def _span(seconds: float) -> str:
    for unit, size in (("d", 86400.0), ("h", 3600.0), ("min", 60.0)):
        if seconds >= 2 * size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds:.0f} s"
