"""Fact: the client asked for its own public address, and for the service right after that.

So do stealers that tell whose data they bring: IP check, then bot or webhook, one after the other within seconds. The
order matters: the same two names the other way round, or hours apart, are a person who is curious. A name that the
client asks for on many hours of its days (dynamic DNS updaters, monitoring) is a habit and does not count.

Never: required; about half of the reported stealers make no IP check. Read next: ``companion.py``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from dnswatch.core.clients.roles import HTTPS_TYPES
from dnswatch.core.detect import visibility
from dnswatch.core.detect.changes import Row, Table
from dnswatch.core.detect.signal import Past, Signal
from dnswatch.core.model import SEVERITIES, Finding, Indicator, Name, Reason, Service, Severity, Sighting
from dnswatch.core.policy import DAY_S, Detection

CLIENTS = 20_000
"""Clients whose IP checks are remembered; at most some 900 bytes each. One host in 40 ever makes one (measured)."""
RECENT = 8
NAMES = 6
HOURS = 6
COLLAPSE_S = 5.0
"""A, AAAA and resends of one check (DESIGN §3)."""
STEPS = 2
"""IP check, then service, is two steps graver where nothing speaks for the client."""


@dataclass(frozen=True, slots=True)
class Options:
    """Settings, in seconds and counts."""

    before_s: float = 300.0
    """So long before the service's lookup the IP check counts."""
    after_s: float = 5.0
    """So long after it: a program with threads does not keep the order within one start. More would count a person who
    wonders about the address later: of the benign logs read, one had an IP check 222 s on the wrong side."""
    close_s: float = 60.0
    """So close before a client's first lookup ever, with no app in sight, the two are one program's doing."""
    seldom: int = 3
    """A client that met the service at most so often has no habit with it: an invitation was opened once."""
    repeats: int = 3
    """So many checks in that time are a program's, not a person's."""
    habit_hours: int = 4
    """A name asked for on so many different hours before, within `habit_s`, is a habit."""
    habit_s: float = 7 * DAY_S


class Checks:
    """The IP checks of one client: the last ones, and the hours in which each name was asked for."""

    __slots__ = ("hours", "n", "recent")

    def __init__(
        self, recent: list[tuple[float, Name]] | None = None, hours: dict[Name, list[int]] | None = None
    ) -> None:
        self.n = 0
        self.recent = recent if recent is not None else []
        self.hours = hours if hours is not None else {}

    def row(self) -> Row:
        """Give the plain form."""
        hours = {name: list(hours) for name, hours in self.hours.items()}
        return {"n": self.n, "recent": [[at, name] for at, name in self.recent], "hours": hours}

    @classmethod
    def of_row(cls, row: Row) -> Checks:
        """Take a stored row."""
        checks = cls([(at, name) for at, name in row["recent"]], {k: list(v) for k, v in row["hours"].items()})
        checks.n = row["n"]
        return checks


class Sequence(Signal):
    """IP check → service."""

    name: ClassVar[str] = "sequence"
    options_type = Options
    options: Options
    memory: Table[Checks]
    row_type = Checks
    note_roles = frozenset(("recon",))

    def __init__(self, detection: Detection) -> None:
        super().__init__(detection)
        self.memory = Table("signal:sequence", CLIENTS)

    def note(self, client: str, indicator: Indicator, at: float) -> None:
        """Remember an IP check."""
        checks = self.memory.rows.get(client)
        if checks is None:
            checks = Checks()
            self.memory.put(client, checks)
        for seen, name in reversed(checks.recent):  # in order of time
            if seen <= at - COLLAPSE_S:
                break
            if name == indicator.name and seen < at + COLLAPSE_S:
                return
        hour = int(at // 3600)
        hours = checks.hours.get(indicator.name)
        if hours is None and len(checks.hours) < NAMES:
            hours = checks.hours[indicator.name] = []
        if hours is not None and hour not in hours:
            if not checks.recent or at - checks.recent[-1][0] > 3600.0:
                self.memory.put(client, checks)  # fresh again
            hours.append(hour)
            del hours[:-HOURS]
        checks.recent.append((at, indicator.name))
        checks.recent.sort()
        del checks.recent[:-RECENT]
        self.memory.changed.add(client)

    def judge(self, sighting: Sighting, past: Past) -> Finding | None:
        """Say what was checked before."""
        if sighting.client.address not in self.memory.rows:
            return None  # nearly nobody makes any
        seen = past.client(sighting.pair)
        opens = seen is None or sighting.at - seen.last_at >= self.detection.episode_gap_s
        if opens and sighting.service.companion_effect == "exonerates":
            return None  # an app may still show itself; severity never falls, so `review` speaks
        new = "the first" if seen is None else "one of few" if seen.count <= self.options.seldom else ""
        return self._state(sighting, past, 0.0, new)

    def review_after(self, service: Service) -> float | None:
        """Look again when a check that came late, or an app that just started, would be there."""
        exonerates = service.companion_effect == "exonerates"
        return max(self.options.after_s, visibility.APP_S if exonerates else 0.0)

    def review(self, sighting: Sighting, now: float, past: Past) -> Finding | None:
        """Say what was checked around the first lookup, and whether an app showed itself."""
        if sighting.client.address not in self.memory.rows:
            return None  # nearly nobody makes any
        if now < sighting.at + (self.review_after(sighting.service) or 0.0):
            return None
        seen = past.client(sighting.pair)
        first = seen is None or seen.first_at >= sighting.at
        few = seen is not None and seen.count <= 2 * self.options.seldom  # those of the half minute are in it
        return self._state(sighting, past, self.options.after_s, "the first" if first else "one of few" if few else "")

    def _state(self, sighting: Sighting, past: Past, after_s: float, new: str) -> Finding | None:
        checks = self.memory.rows.get(sighting.client.address)
        if checks is None or (sighting.service.shared and sighting.qtype in HTTPS_TYPES):
            return None  # a browser asked for a page: somebody looks around
        at, before_s = sighting.at, self.options.before_s
        found = [
            (seen, name) for seen, name in checks.recent
            if -before_s <= seen - at <= after_s and not self._habit(checks, name, seen)
        ]  # fmt: skip
        if not found:
            return None
        seen, name = found[-1]
        gap = at - seen
        when = f"{gap:.0f} s before" if gap >= 0 else f"{-gap:.0f} s after"
        service = sighting.service
        terms = [Reason("sequence", f"{name}, which tells a client its public address, {when} {service.id}",
                        self.points("sequence"))]  # fmt: skip
        if len(found) >= self.options.repeats:
            text = f"{len(found)} such checks within {before_s + after_s:.0f} s"
            terms.append(Reason("sequence-repeated", text, self.points("sequence-repeated")))
        floor = None
        if new and -after_s <= gap <= self.options.close_s and self._alone(sighting, past):
            floor = _steps(service.base_severity)
            text = f"{new} {service.id} lookup{'' if new == 'the first' else 's'} ever from {sighting.client.address}"
            terms.append(Reason("sequence-close", f"{text}, so close to the check: at least {floor}"))
        return Finding(self.name, sum(term.points for term in terms), tuple(terms), floor=floor)

    def _habit(self, checks: Checks, name: Name, at: float) -> bool:
        """Say whether the client has long been asking for this name, hour after hour."""
        now = int(at // 3600)
        since = now - int(self.options.habit_s // 3600)
        return sum(since <= hour < now for hour in checks.hours.get(name, ())) >= self.options.habit_hours

    def _alone(self, sighting: Sighting, past: Past) -> bool:
        """Say whether the two lookups are the same program's: no app of the service here, no crowd."""
        client, service, at = sighting.client, sighting.service, sighting.at
        return visibility.app(past, client, service, at) is None and not visibility.mixed(past, client, at)

    def hand_over(self, address: str) -> None:
        """Forget the IP checks of an address's last holder."""
        checks = self.memory.rows.get(address)
        if checks is not None:
            checks.recent.clear()
            checks.hours.clear()
            self.memory.changed.add(address)


def _steps(base: Severity) -> Severity:
    """Go two steps up from a base severity, at most to high: critical is for points to reach."""
    return SEVERITIES[min(SEVERITIES.index(base) + STEPS, SEVERITIES.index("high"))]
