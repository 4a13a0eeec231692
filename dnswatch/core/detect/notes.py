"""Names that are no sighting by themselves: companions, ambiguous ones, IP checks, DNS over HTTPS. Most come again.

What is remembered of one is spread: when the client asked for such a name (``history.py``), its trail
(``timeline.py``), the habits of its day (``clients/roles.py``), its IP checks (``signals/sequence.py``). A lookup
within the minute of one before changes next to nothing of that, so what it does change is at hand in a `Noted`: 0.3
instead of 1.3 µs. Whatever could have changed meanwhile is asked first, and if it did, the long way is gone: nobody
sees a difference (``tests/laws/test_notes.py``).

Never: judges. Read next: ``history.py``, ``engine.py``.
"""

from __future__ import annotations

from collections.abc import Sequence

from dnswatch.core.clients.identity import Identity
from dnswatch.core.clients.roles import DAY_S, Activity
from dnswatch.core.detect.history import History, Seen, see
from dnswatch.core.detect.panel import Panel
from dnswatch.core.detect.signal import Signal
from dnswatch.core.detect.timeline import FINE_S, ROLES, Trails
from dnswatch.core.model import Indicator, Name, Query, Trace, Verdict

LIMIT = 20_000
"""Names of clients at hand, some 400 bytes each; when there are more, all are let go: the long way is not that long."""


class Noted:
    """One name that one client asked for at least twice within a minute. Nothing of it is stored."""

    __slots__ = (
        "activity",
        "day",
        "generation",
        "host",
        "indicator",
        "key",
        "readers",
        "seen",
        "trace",
        "traces",
        "until",
    )

    def __init__(
        self, indicator: Indicator, seen: Seen, host: str, activity: Activity, traces: dict[tuple[str, str], Trace],
        readers: Sequence[Signal], generation: int, until: float,
    ) -> None:  # fmt: skip
        self.indicator = indicator
        self.seen = seen
        self.host = host  # what the host's own row is called; "": no lease names it
        self.activity = activity
        self.day = activity.day
        self.traces = traces
        self.key = (indicator.name, indicator.service)
        self.trace = traces.get(self.key)  # None: no timeline tells of such names
        self.readers = readers
        self.generation = generation
        self.until = min(until, (activity.day + 1) * float(DAY_S))


class Notes:
    """Remembers such names in the tables of others. Mutable; owned by the engine."""

    def __init__(self, history: History, trails: Trails, identity: Identity, panel: Panel) -> None:
        self._history = history
        self._notes = history.notes
        self._clients = history.roles.clients
        self._trails = trails
        self._identity = identity
        self._readers = panel.note_readers
        self._noted: dict[tuple[str, Name], Noted] = {}

    def forget(self) -> None:
        """Let go of what is at hand: the catalogue or the signals are others."""
        self._noted.clear()

    def again(self, query: Query) -> bool:
        """Remember a lookup that comes again, if that is all there is to it."""
        client, at = query.client, query.at
        noted = self._noted.get((client, query.qname))
        if noted is None:
            return False
        seen, activity = noted.seen, noted.activity
        if not (
            seen.last_at <= at < noted.until
            and noted.traces.get(noted.key) is noted.trace
            and self._clients.rows.get(client) is activity
            and activity.day == noted.day
            and self._notes.rows.get(seen.key) is seen
            and self._identity.generation == noted.generation
        ):
            return False
        seen.count += 1
        seen.last_at = at
        self._notes.changed.add(seen.key)
        if noted.host:
            see(self._notes, noted.host, at)
        for signal in noted.readers:
            signal.note(client, noted.indicator, at)
        return True

    def note(self, path: str, event: Query | Verdict, indicator: Indicator, *, alone: bool) -> None:
        """Remember a name, for the address and for the host that holds it. ``alone``: the lookup meets nothing else."""
        address, at = event.client, event.at
        identity, readers = self._identity, self._readers[indicator.role]
        known = self._trails.note(path, event, indicator)
        seen = self._history.remember_note(address, indicator.role, indicator.service, at)
        host = ""
        if identity.knows(address) and (mac := identity.of(address, at)[1]):
            host = self._history.remember_host_note(mac, indicator.role, indicator.service, at).key
        for signal in readers:
            signal.note(address, indicator, at)
        if alone and (known is not None or (indicator.role not in ROLES and seen.count > 1)):
            since = at if known is None else known.last_at
            noted = Noted(indicator, seen, host, self._clients.rows[address], self._trails.of(address), readers,
                          identity.generation, min(since + FINE_S, identity.until(address, at)))  # fmt: skip
            if len(self._noted) >= LIMIT:
                self._noted.clear()
            self._noted[address, event.qname] = noted
