"""Timelines: which watched, companion and recon names a client asked for around an alert, in order of time.

A `Trail` is what one client asked for lately; a revision takes from it what its own holder of the address did (DHCP may
have given it to somebody else since). Repeats within `GAP_S` are one trace, which ends with the last of them, to the
minute: a bot that polls every second costs as little as a single lookup. Never: holds any other name, so an alert that
leaves the house tells no one what its client reads. Read next: ``io/around.py``, for an analyst who wants all names.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from dnswatch.core.alerts.flat import FIRST_TRACES
from dnswatch.core.clients.identity import Identity
from dnswatch.core.clients.who import same_host
from dnswatch.core.detect.changes import Row, Table
from dnswatch.core.detect.episodes import Episode
from dnswatch.core.model import Client, Indicator, IndicatorRole, Query, Trace, Verdict

ROLES: frozenset[IndicatorRole] = frozenset({"ambiguous", "api", "companion", "recon"})
"""What a timeline may hold. DNS-over-HTTPS names are no sign of what was done; `because` speaks of them."""
WINDOW_S = 300.0
"""So long before the first attempt something belongs to it: an IP check does (``signals/sequence.py``)."""
GAP_S = WINDOW_S
"""A name that was not asked for this long begins a new trace: what is older is in no window any more."""
FINE_S = 60.0
"""The end of a trace moves when it is this far behind. Half of a flood of repeats would else be rows to store."""
CLIENTS = 20_000
"""Clients with a trail; some 700 bytes with two traces, at most 3 kB. When there are more, who asked for nothing noted
the longest makes room: ten minutes of 200 k clients, of whom one in ten asks for such a name (measured: one in 40 makes
an IP check). Below that a timeline does not depend on who else came: none is dropped for its age."""
TRACES = 10
"""Names of one client; those asked for last are kept."""
FIRST, MOST = FIRST_TRACES, 20
"""A timeline keeps the first traces, which tell how it began, and the newest ones."""


class Trail:
    """The names that one client asked for lately, by indicator and service."""

    __slots__ = ("n", "traces")

    def __init__(self, traces: dict[tuple[str, str], Trace] | None = None, n: int = 0) -> None:
        self.n = n
        self.traces = traces if traces is not None else {}

    def row(self) -> Row:
        """Give the plain form."""
        return {"n": self.n, "traces": [[pattern, *trace] for (pattern, _), trace in self.traces.items()]}


class Trails:
    """The bounded table of trails. Mutable; owned by the engine."""

    def __init__(self) -> None:
        self.table: Table[Trail] = Table("trail", CLIENTS, lambda _, trail: trail.traces.clear())

    def of(self, address: str) -> dict[tuple[str, str], Trace]:
        """Give the traces of a client as the table holds them; they are gone from it when the client is."""
        trail = self.table.rows.get(address)
        return trail.traces if trail is not None else {}

    def note(self, path: str, event: Query | Verdict, indicator: Indicator) -> Trace | None:
        """Remember that a client asked for a watched, companion or recon name.

        Of a repeat there is nothing to do: its trace is given.
        """
        trail = self.table.rows.get(event.client)
        known = None
        if trail is not None:
            known = trail.traces.get((indicator.name, indicator.service))
            if known is not None and -FINE_S < event.at - known.last_at < FINE_S:
                return known
        if indicator.role in ROLES:
            self._add(path, event, indicator, trail, known)
        return None

    def _add(
        self, path: str, event: Query | Verdict, indicator: Indicator, trail: Trail | None, known: Trace | None
    ) -> None:
        at, last_at, address = event.at, event.at, event.client
        if known is not None and at < known.last_at:  # a late line
            if at >= known.at or known.at - at > GAP_S:
                return
            last_at = known.last_at
        elif known is not None and at - known.last_at <= GAP_S:
            trace = Trace(known.at, at, known.name, known.role, known.service, known.path, known.offset)
            self._keep(address, trail, indicator, trace)
            return
        trace = Trace(at, last_at, event.qname, indicator.role, indicator.service, path, event.offset)
        self._keep(address, trail, indicator, trace)

    def _keep(self, address: str, trail: Trail | None, indicator: Indicator, trace: Trace) -> None:
        if trail is None:
            trail = Trail()
        traces = trail.traces
        traces[indicator.name, indicator.service] = trace
        if len(traces) > TRACES:
            del traces[min([(one.last_at, key) for key, one in traces.items()])[1]]
        self.table.put(address, trail)

    def hand_over(self, address: str) -> None:
        """Forget what was asked from an address before its new holder came."""
        trail = self.table.rows.get(address)
        if trail is not None:  # its place in line stays: numbers must go on after a restart as without one
            trail.traces.clear()
            self.table.changed.add(address)

    def tell(self, episode: Episode, identity: Identity) -> None:
        """Bring an episode's timeline up to date, before it is revised."""
        trail = self.table.rows.get(episode.client.address)
        if trail is None:
            return
        since = episode.first_at - WINDOW_S
        found = [trace for trace in trail.traces.values() if trace.last_at >= since
                 and not is_another(episode.client, *identity.of(episode.client.address, trace.at))]  # fmt: skip
        if found:
            episode.timeline, left_out = merge(episode.timeline, found)
            episode.left_out += left_out

    def restore(self, rows: Iterable[tuple[str, Row]]) -> None:
        """Take stored rows back."""
        trails = []
        for address, row in rows:
            traces = [(one[0], Trace(*one[1:])) for one in row["traces"]]
            trails.append((address, Trail({(pattern, trace.service): trace for pattern, trace in traces}, row["n"])))
        self.table.restore(trails)


def is_another(client: Client, name: str, mac: str) -> bool:
    """Say whether the holder of an address is another host than this client: MACs decide; without them, names."""
    if mac and client.mac:
        return mac != client.mac
    return bool(name and client.name) and not (same_host(name, client.name) or same_host(client.name, name))


def merge(known: tuple[Trace, ...], found: Sequence[Trace]) -> tuple[tuple[Trace, ...], int]:
    """Put new traces among those told before; give the timeline, in order of time, and how many had to go.

    What lies between the first and the newest ones of a full timeline had to go before.
    """
    if not known and len(found) == 1:
        return (found[0],), 0
    lower, upper = (known[FIRST - 1].at, known[FIRST].at) if len(known) >= MOST else (0.0, 0.0)
    by_start = {(trace.at, trace.name, trace.service): trace for trace in known}
    for trace in found:
        key = (trace.at, trace.name, trace.service)
        if key in by_start or not lower < trace.at < upper:
            by_start[key] = trace
    traces = [by_start[key] for key in sorted(by_start)]
    left_out = max(len(traces) - MOST, 0)
    return (*traces[:FIRST], *traces[FIRST + left_out :]), left_out
