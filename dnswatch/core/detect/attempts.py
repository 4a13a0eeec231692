"""Open attempts: what makes an A, an AAAA, an HTTPS lookup and their retries one.

An attempt is every lookup of one qname by one client within `ATTEMPT_S` of its first line. Never: judges. The table
is by name first, because a verdict without a client (dnsmasq without `log-queries=extra`) is joined by name alone.
Read next: ``engine.py``.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator

from dnswatch.core.detect.changes import Row
from dnswatch.core.detect.episodes import Episode
from dnswatch.core.model import Name, Query, Verdict

ATTEMPT_S = 5.0
"""Lookups this long after the first one belong to it: stubs resend after 5 s, and A, AAAA and HTTPS leave within 2 s
(DESIGN §3)."""
JOIN_S = 2.0
"""A verdict belongs to an attempt whose last line is at most this old (DESIGN §3)."""
KEEP_S = 60.0
"""Attempts are remembered this long, for lines of another source that arrive late."""
LIMIT = 100_000
"""Attempts remembered; some 600 bytes each, so a flood of random names stays below 60 MB."""
SERIALS = 8
"""Lookups of one attempt whose dnsmasq serial is kept: A, AAAA, HTTPS and their retries."""
UNLINKED = -1


class Attempt:
    """One attempt. ``at`` is its first line's stamp; ``older`` the one before it, for late lines."""

    __slots__ = (
        "at", "client", "deadline", "episode", "expected", "last_at", "n", "older", "qname", "qtypes", "serials",
        "service", "settled", "source",
    )  # fmt: skip

    def __init__(self, client: str, qname: Name, at: float, source: str, service: str, expected: bool) -> None:
        self.client = client
        self.qname = qname
        self.at = self.last_at = at
        self.source = source
        self.service = service
        self.expected = expected
        self.episode: Episode | None = None
        self.qtypes: list[str] = []
        self.serials: list[tuple[str, int, int]] = []  # (source, dnsmasq serial, port)
        self.settled = False  # the resolver has rewritten, denied or failed it
        self.deadline = 0.0  # when silence of the resolver means that a block leaked; 0.0: not watched
        self.older: Attempt | None = None
        self.n = 0

    def row(self) -> Row:
        """Give the plain form."""
        row: Row = {
            "n": self.n, "client": self.client, "qname": self.qname, "at": self.at, "last_at": self.last_at,
            "source": self.source, "service": self.service, "expected": self.expected,
            "episode": self.episode.id if self.episode else "", "qtypes": self.qtypes, "serials": self.serials,
            "settled": self.settled, "deadline": self.deadline,
        }  # fmt: skip
        if self.older is not None:
            row["older"] = self.older.row()
        return row


class Attempts:
    """The bounded table of attempts, newest per (qname, client)."""

    def __init__(self) -> None:
        self.by_name: dict[Name, dict[str, Attempt]] = {}
        self._queue: deque[Attempt] = deque()  # in order of opening
        self._by_serial: dict[tuple[str, int, int], Attempt] = {}
        self.changed: set[tuple[str, str]] = set()
        self.evicted = 0
        self._next = 0
        self.size = 0

    def find(self, client: str, qname: Name, at: float) -> Attempt | None:
        """Give the attempt that a lookup at this time belongs to."""
        here = self.by_name.get(qname)
        attempt = here.get(client) if here is not None else None
        while attempt is not None:
            if -ATTEMPT_S <= at - attempt.at <= ATTEMPT_S:
                return attempt
            attempt = attempt.older if at < attempt.at else None
        return None

    def open(self, attempt: Attempt, log_now: float) -> None:
        """Add an attempt; forget those that nothing can join any more."""
        queue = self._queue
        while queue and (queue[0].at + KEEP_S < log_now or self.size >= LIMIT):
            self._forget(queue.popleft(), log_now)
        here = self.by_name.setdefault(attempt.qname, {})
        newest = here.get(attempt.client)
        if newest is not None:
            if newest.older is not None:
                self._unlink(newest.older)
            if attempt.at < newest.at:
                newest.older = attempt  # a late line: the newer attempt stays open
            else:
                newest.older, attempt.older = None, newest
        if newest is None or newest.older is not attempt:
            here[attempt.client] = attempt
        attempt.n = self._next
        self._next += 1
        self.size += 1
        queue.append(attempt)
        self.changed.add((attempt.client, attempt.qname))

    def note(self, attempt: Attempt, source: str, event: Query | Verdict) -> None:
        """Remember a further line's type and serial."""
        if event.at > attempt.last_at:
            attempt.last_at = event.at
        if event.qtype not in attempt.qtypes and len(attempt.qtypes) < SERIALS:
            attempt.qtypes.append(event.qtype)
        if event.serial and isinstance(event, Query):
            key = (source, event.serial, event.port)
            attempt.serials.append(key)
            self._by_serial[key] = attempt
            if len(attempt.serials) > SERIALS:
                self._by_serial.pop(attempt.serials.pop(0), None)
        self.changed.add((attempt.client, attempt.qname))

    def judged(self, source: str, verdict: Verdict) -> Attempt | None:
        """Give the attempt that a verdict is about: by serial, by client and name, or by name alone.

        Without a client only when exactly one attempt for that name is recent enough.
        """
        at = verdict.at
        if verdict.serial:
            attempt = self._by_serial.get((source, verdict.serial, verdict.port))
            if attempt is not None and attempt.client == verdict.client and _joins(attempt, at):
                return attempt
        if verdict.client:
            here = self.by_name.get(verdict.qname)
            attempt = here.get(verdict.client) if here is not None else None
            while attempt is not None and not _joins(attempt, at):
                attempt = attempt.older
            return attempt
        return self.only(verdict.qname, at, here=source)

    def only(self, qname: Name, at: float, *, here: str | None = None, elsewhere: str | None = None) -> Attempt | None:
        """Give the one attempt for a name that is recent at that time, or None when there are none or several."""
        found = list(self.recent(qname, at, here=here, elsewhere=elsewhere))
        return found[0] if len(found) == 1 else None

    def recent(
        self, qname: Name, at: float, *, here: str | None = None, elsewhere: str | None = None
    ) -> Iterator[Attempt]:
        """Yield the attempts for a name around that time: of source ``here`` only, or of all but ``elsewhere``."""
        for attempt in self.by_name.get(qname, {}).values():
            if _joins(attempt, at) and attempt.source != elsewhere and here in (None, attempt.source):
                yield attempt

    def _forget(self, attempt: Attempt, log_now: float) -> None:
        """Drop the attempt that was opened first of all."""
        if attempt.n == UNLINKED:
            return
        if attempt.at + KEEP_S >= log_now:
            self.evicted += 1
        here = self.by_name[attempt.qname]
        newest = here[attempt.client]
        if newest is not attempt:
            newest.older = None
        elif attempt.older is not None:  # only when late lines made it
            here[attempt.client] = attempt.older
        else:
            del here[attempt.client]
            if not here:
                del self.by_name[attempt.qname]
        self._unlink(attempt)

    def _unlink(self, attempt: Attempt) -> None:
        attempt.n = UNLINKED
        attempt.older = None
        self.size -= 1
        for key in attempt.serials:
            if self._by_serial.get(key) is attempt:
                del self._by_serial[key]
        self.changed.add((attempt.client, attempt.qname))

    # ── State ─────────────────────────────────────────────────────────────────────────────────────────────────

    def take_changes(self, into: dict[tuple[str, str], Row | None]) -> None:
        """Write what changed since the last call into ``into``."""
        for client, qname in sorted(self.changed):
            attempt = self.by_name.get(qname, {}).get(client)
            into["attempt", f"{client} {qname}"] = None if attempt is None else attempt.row()
        self.changed.clear()

    def restore(self, rows: Iterable[Row], episodes: dict[str, Episode]) -> None:
        """Take stored attempts; ``episodes`` by alert id."""
        for row in rows:
            attempt = self._of_row(row, episodes)
            if "older" in row:
                attempt.older = self._of_row(row["older"], episodes)
            self.by_name.setdefault(attempt.qname, {})[attempt.client] = attempt
        self._queue.extend(sorted(self.all(), key=lambda attempt: attempt.n))
        self.size = len(self._queue)
        self._next = self._queue[-1].n + 1 if self._queue else 0

    def _of_row(self, row: Row, episodes: dict[str, Episode]) -> Attempt:
        attempt = Attempt(row["client"], row["qname"], row["at"], row["source"], row["service"], row["expected"])
        attempt.n, attempt.last_at, attempt.deadline = row["n"], row["last_at"], row["deadline"]
        attempt.settled, attempt.qtypes = row["settled"], list(row["qtypes"])
        attempt.serials = [(source, serial, port) for source, serial, port in row["serials"]]
        attempt.episode = episodes.get(row["episode"])
        for key in attempt.serials:
            self._by_serial[key] = attempt
        return attempt

    def all(self) -> Iterator[Attempt]:
        """Yield every remembered attempt."""
        for here in self.by_name.values():
            for attempt in here.values():
                yield attempt
                if attempt.older is not None:
                    yield attempt.older


def _joins(attempt: Attempt, at: float) -> bool:
    return attempt.at - JOIN_S <= at <= attempt.last_at + JOIN_S
