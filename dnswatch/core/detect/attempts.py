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
"""Attempts are remembered this much log time after they were opened, for lines that arrive late. Not after their own
stamp: a source that is further behind than this must still be able to join its own attempts."""
CHAIN = 16
"""Attempts of one client and name kept at once: what fits into `KEEP_S` when each begins as the one before ends."""
LIMIT = 100_000
"""Attempts remembered; some 600 bytes each, so a flood of random names stays below 60 MB."""
SERIALS = 8
"""Lookups of one attempt whose dnsmasq serial is kept: A, AAAA, HTTPS and their retries."""


class Attempt:
    """One attempt. ``at`` is its first line's stamp; ``older`` the one before it by that stamp, for late lines."""

    __slots__ = (
        "alert", "at", "client", "deadline", "episode", "expected", "gone", "last_at", "n", "older", "opened_at",
        "qname", "qtypes", "serials", "service", "settled", "source", "tcp",
    )  # fmt: skip

    def __init__(self, client: str, qname: Name, at: float, source: str, service: str, expected: bool) -> None:
        self.client = client
        self.qname = qname
        self.at = self.last_at = at
        self.source = source
        self.service = service
        self.expected = expected
        self.episode: Episode | None = None
        self.alert = ""  # id of an episode that was closed before a restart
        self.qtypes: tuple[str, ...] = ()  # tuples: what is empty costs nothing
        self.serials: tuple[tuple[str, int, int], ...] = ()  # (source, dnsmasq serial, port)
        self.tcp = False  # a line of it came over TCP: its source address is no forgery
        self.settled = False  # the resolver has rewritten, denied or failed it
        self.deadline = 0.0  # when silence of the resolver means that a block leaked; 0.0: not watched
        self.older: Attempt | None = None
        self.opened_at = at  # log time when it was opened: later than ``at`` for a late line
        self.gone = False  # not in the table any more
        self.n = 0

    @property
    def key(self) -> str:
        """The attempt's key among the rows."""
        return f"{self.client} {self.qname} {self.n}"

    def row(self) -> Row:
        """Give the plain form."""
        return {
            "n": self.n, "client": self.client, "qname": self.qname, "at": self.at, "last_at": self.last_at,
            "source": self.source, "service": self.service, "expected": self.expected,
            "episode": self.episode.id if self.episode else self.alert, "qtypes": list(self.qtypes),
            "serials": list(self.serials),
            "settled": self.settled, "deadline": self.deadline, "opened_at": self.opened_at, "tcp": self.tcp,
        }  # fmt: skip


class Attempts:
    """The bounded table of attempts: by qname and client the newest one, which leads to the older ones."""

    def __init__(self) -> None:
        self.by_name: dict[Name, dict[str, Attempt]] = {}
        self._queue: deque[Attempt] = deque()  # in order of opening
        self._by_serial: dict[tuple[str, int, int], Attempt] = {}
        self.changed: dict[int, Attempt] = {}
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
        while queue and (queue[0].gone or queue[0].opened_at + KEEP_S < log_now or self.size >= LIMIT):
            first = queue.popleft()
            if not first.gone:
                self.evicted += first.opened_at + KEEP_S >= log_now
                self._unlink(first)
        if len(queue) > 2 * LIMIT:  # one that is kept has gone ones behind it: a source far behind, while time stands
            queue = self._queue = deque(one for one in queue if not one.gone)
        attempt.opened_at = log_now
        n = attempt.n = self._next
        self._next = n + 1
        queue.append(attempt)
        self._link(attempt)
        self.changed[n] = attempt

    def _link(self, attempt: Attempt) -> None:
        """Put an attempt where its stamp belongs: a late line's behind those that are newer."""
        self.size += 1
        here = self.by_name.get(attempt.qname)
        newest = here.get(attempt.client) if here is not None else None
        if here is None:
            self.by_name[attempt.qname] = {attempt.client: attempt}
        elif newest is None:
            here[attempt.client] = attempt
        elif newest.at <= attempt.at:
            attempt.older = newest
            here[attempt.client] = attempt
            self._shorten(attempt)
        else:
            first = newest
            while newest.older is not None and newest.older.at > attempt.at:
                newest = newest.older
            attempt.older, newest.older = newest.older, attempt
            self._shorten(first)

    def _shorten(self, newest: Attempt) -> None:
        """Forget the first opened of one client's attempts for a name when there are too many."""
        chain = list(_chain(newest))
        if len(chain) > CHAIN:
            self._unlink(min(chain, key=lambda one: one.n))

    def note(self, attempt: Attempt, source: str, event: Query | Verdict) -> None:
        """Remember a further line's type and serial."""
        if event.at > attempt.last_at:
            attempt.last_at = event.at
        if event.qtype not in attempt.qtypes and len(attempt.qtypes) < SERIALS:
            attempt.qtypes += (event.qtype,)
        if event.serial and isinstance(event, Query):
            key = (source, event.serial, event.port)
            attempt.serials += (key,)
            self._by_serial[key] = attempt
            if len(attempt.serials) > SERIALS:
                self._by_serial.pop(attempt.serials[0], None)
                attempt.serials = attempt.serials[1:]
        self.changed[attempt.n] = attempt

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
        found = self.recent(qname, at, here=here, elsewhere=elsewhere)
        first = next(found, None)
        return first if next(found, None) is None else None

    def recent(
        self, qname: Name, at: float, *, here: str | None = None, elsewhere: str | None = None
    ) -> Iterator[Attempt]:
        """Yield the attempts for a name around that time: of source ``here`` only, or of all but ``elsewhere``.

        The last clients first: in a flood of forged ones, who wants one or two need not look at a minute's worth.
        """
        for newest in reversed(self.by_name.get(qname, {}).values()):
            for attempt in _chain(newest):
                if attempt.at < at - ATTEMPT_S - JOIN_S:
                    break
                if _joins(attempt, at) and attempt.source != elsewhere and here in (None, attempt.source):
                    yield attempt
                    break  # one of each client

    def _unlink(self, attempt: Attempt) -> None:
        """Forget an attempt."""
        here = self.by_name[attempt.qname]
        newest = here[attempt.client]
        if newest is not attempt:
            while newest.older is not None and newest.older is not attempt:
                newest = newest.older
            newest.older = attempt.older
        elif attempt.older is not None:
            here[attempt.client] = attempt.older
        else:
            del here[attempt.client]
            if not here:
                del self.by_name[attempt.qname]
        attempt.gone, attempt.older = True, None
        self.size -= 1
        for key in attempt.serials:
            if self._by_serial.get(key) is attempt:
                del self._by_serial[key]
        self.changed[attempt.n] = attempt

    # ── State ─────────────────────────────────────────────────────────────────────────────────────────────────

    def take_changes(self, into: dict[tuple[str, str], Row | None]) -> None:
        """Write what changed since the last call into ``into``."""
        for attempt in self.changed.values():
            into["attempt", attempt.key] = None if attempt.gone else attempt.row()
        self.changed.clear()

    def restore(self, rows: Iterable[Row], episodes: dict[str, Episode]) -> None:
        """Take stored attempts; ``episodes`` by alert id."""
        for row in sorted(rows, key=lambda row: int(row["n"])):
            attempt = self._of_row(row, episodes)
            self._queue.append(attempt)
            self._link(attempt)
        self._next = self._queue[-1].n + 1 if self._queue else 0

    def _of_row(self, row: Row, episodes: dict[str, Episode]) -> Attempt:
        attempt = Attempt(row["client"], row["qname"], row["at"], row["source"], row["service"], row["expected"])
        attempt.n, attempt.last_at, attempt.deadline = row["n"], row["last_at"], row["deadline"]
        attempt.settled, attempt.qtypes, attempt.opened_at = row["settled"], tuple(row["qtypes"]), row["opened_at"]
        attempt.serials = tuple((source, serial, port) for source, serial, port in row["serials"])
        attempt.alert, attempt.tcp = row["episode"], row.get("tcp", False)
        attempt.episode = episodes.get(attempt.alert)
        for key in attempt.serials:
            self._by_serial[key] = attempt
        return attempt

    def all(self) -> Iterator[Attempt]:
        """Yield every remembered attempt."""
        for here in self.by_name.values():
            for newest in here.values():
                yield from _chain(newest)


def _chain(attempt: Attempt | None) -> Iterator[Attempt]:
    while attempt is not None:
        yield attempt
        attempt = attempt.older


def _joins(attempt: Attempt, at: float) -> bool:
    return attempt.at - JOIN_S <= at <= attempt.last_at + JOIN_S
