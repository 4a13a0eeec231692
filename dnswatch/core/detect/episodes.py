"""Episodes: everything one client does with one service until it stops for a week. The episode is the suppression.

An `Episode` is the mutable inside; an `Alert` is one frozen revision of it. Never: decides what a line means.
Read next: ``engine.py``.
"""

from __future__ import annotations

import hashlib
from collections import deque
from operator import attrgetter
from typing import Any

from dnswatch.core.detect.changes import Row
from dnswatch.core.detect.score import DEVIATION, RANK, Score, base_reason, deviation_reason, weigh
from dnswatch.core.model import (
    Alert,
    Client,
    Evidence,
    Finding,
    Name,
    Outcome,
    Reason,
    Severity,
    Sighting,
    Trace,
)

EDGE_LINES = 5
"""Evidence: this many first and last lines (DESIGN §4)."""
LINE_BYTES = 2120
"""Evidence lines are cut here: the longest line that BIND was seen to write."""
QNAMES = 16
ANSWERS = 8
REMARKS = 5
RHYTHM = "regularity"
"""What this signal finds comes late and need not lift the severity: it is told at once, not with the next count."""
OUTCOMES: tuple[Outcome, ...] = ("observed", "would-block", "blocked", "leaked")
"""From harmless to grave; an episode keeps the gravest."""

_ESCAPED = {byte: f"\\x{byte:02x}" for byte in range(256) if not 0x20 <= byte < 0x7F}

_DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
_BASE32 = [one + other for one in _DIGITS for other in _DIGITS]
"""Ten bits as two digits: thirteen look-ups make an id, a third of the time of ``base64.b32encode``."""

Line = tuple[str, int, bytes]  # path, offset, the line
UNWEIGHED = Score(0, "info", ())


def alert_id(client: str, service: str, opened_at: float, qname: Name) -> str:
    """Give the identity of an episode: the first 26 characters of base32 (RFC 4648 §6, upper case) of a SHA-256.

    Hashed are, as ASCII with one line feed between them: client address, service id, opening time in whole
    milliseconds UTC (rounded half to even), opening qname. None of the four can contain a line feed.
    """
    text = f"{client}\n{service}\n{round(opened_at * 1000)}\n{qname}"
    first = int.from_bytes(hashlib.sha256(text.encode("ascii", "backslashreplace")).digest()[:17], "big") >> 6
    return "".join([_BASE32[first >> shift & 0x3FF] for shift in range(120, -10, -10)])


def escape(line: bytes) -> str:
    """Render a log line as printable ASCII: every other byte becomes ``\\xNN``."""
    text = line[:LINE_BYTES].decode("latin-1")
    return text if text.isascii() and text.isprintable() else text.translate(_ESCAPED)


class Episode:
    """One client and one service, from the first attempt on."""

    __slots__ = (
        "answers", "attempt_at", "base", "category", "client", "closed", "count", "domain", "findings", "first_at",
        "first_lines", "id", "judged", "key", "last_at", "last_lines", "left_out", "mitre", "n", "next_count",
        "outcome", "qname", "qnames", "qtype", "remarks", "rev", "reviews", "score", "service", "severity",
        "snoozed_until", "state", "tcp", "timeline",
    )  # fmt: skip

    def __init__(self, sighting: Sighting) -> None:
        service = sighting.service
        self.id = alert_id(sighting.client.address, service.id, sighting.at, sighting.qname)
        self.n = 0
        self.rev = 0
        self.state: Any = "open"
        self.closed = False
        self.client: Client = sighting.client
        self.service = service.id
        self.key = sighting.pair  # in the table of episodes
        self.category = service.category
        self.mitre = service.attack
        self.qname = sighting.qname
        self.qtype = sighting.qtype
        self.domain = sighting.indicator.domain
        self.qnames: list[Name] = []
        self.first_at = self.last_at = self.attempt_at = sighting.at
        self.count = 0
        self.tcp = 0  # attempts of which a line came over TCP
        self.next_count = 10
        self.outcome: Outcome = "observed"
        self.answers: list[str] = []
        self.base: Reason = deviation_reason(service) if sighting.expected else base_reason(service)
        self.judged: tuple[Reason, ...] = ()
        self.findings: dict[str, Finding] = {}
        self.remarks: tuple[Reason, ...] = ()
        self.severity: Severity = "info"
        self.score = UNWEIGHED
        self.snoozed_until: float | None = None
        self.reviews: list[float] = []  # when signals look again
        self.first_lines: list[Line] = []
        self.last_lines: deque[Line] | None = None  # 600 bytes, which most episodes never need
        self.timeline: tuple[Trace, ...] = ()
        self.left_out = 0  # traces that had to go from the timeline

    def add_line(self, path: str, offset: int, line: bytes) -> None:
        """Keep a line as evidence when it is among the first or the last ones."""
        if len(self.first_lines) < EDGE_LINES:
            self.first_lines.append((path, offset, line))
            return
        if self.last_lines is None:
            self.last_lines = deque(maxlen=EDGE_LINES)
        self.last_lines.append((path, offset, line))

    def add_attempt(self, sighting: Sighting, findings: list[Finding]) -> str:
        """Count an attempt; give what it changed enough for a revision: opened, severity, count, rhythm, or ""."""
        at = sighting.at
        self.client = sighting.client
        if sighting.qname not in self.qnames and len(self.qnames) < QNAMES:
            self.qnames.append(sighting.qname)
        if at < self.first_at:
            self.first_at = at
        if at > self.attempt_at:
            self.attempt_at = at
            if at > self.last_at:
                self.last_at = at
        self.count += 1
        before, rhythm = self.severity, RHYTHM in self.findings
        news = sighting.because != self.judged
        if self.base.term == DEVIATION and not sighting.expected:  # the expectation has ended meanwhile
            self.base, news = base_reason(sighting.service), True
        self.judged = sighting.because
        news = self._take(findings) or news
        if news:  # most attempts of an episode say nothing new
            self.weigh()
        cause = "rhythm" if RHYTHM in self.findings and not rhythm else ""
        if self.count >= self.next_count:
            self.next_count *= 10
            cause = "count"
        if self.severity != before:
            cause = "severity"
        return "opened" if self.count == 1 else cause

    def add_review(self, findings: list[Finding]) -> str:
        """Take what signals say some time after the first attempt; give the cause of a revision, or ""."""
        before = self.severity
        if self._take(findings):
            self.weigh()
        return "severity" if self.severity != before else ""

    def _take(self, findings: list[Finding]) -> bool:
        """Keep the weightiest finding of each signal; True when one is new."""
        news = False
        for finding in findings:
            known = self.findings.get(finding.signal)
            if known is None or _weight(finding) > _weight(known):
                self.findings[finding.signal] = finding
                news = True
        return news

    def add_remark(self, remark: Reason) -> None:
        """Keep what an operator said; the last ones stand in every later revision."""
        self.remarks = (*self.remarks, remark)[-REMARKS:]

    def weigh(self) -> None:
        """Bring the score up to date. Severity never falls within an episode."""
        self.score = weigh(self.base, self.judged, [self.findings[name] for name in sorted(self.findings)])
        if RANK[self.score.severity] > RANK[self.severity]:
            self.severity = self.score.severity

    def set_outcome(self, outcome: Outcome) -> bool:
        """Take what the resolver did with an attempt; True when that is graver than all before."""
        if OUTCOMES.index(outcome) <= OUTCOMES.index(self.outcome):
            return False
        self.outcome = outcome
        return True

    def add_answers(self, addresses: tuple[str, ...]) -> None:
        """Keep distinct answers."""
        for address in addresses:
            if address not in self.answers and len(self.answers) < ANSWERS:
                self.answers.append(address)

    def revise(self, at: float, cause: str) -> Alert:
        """Make the next revision."""
        self.rev += 1
        return self.snapshot(at, cause)

    def snapshot(self, at: float, cause: str) -> Alert:
        """Give the episode as it stands."""
        return Alert(
            id=self.id, rev=self.rev, at=at, state=self.state, severity=self.severity, score=self.score.points,
            client=self.client, service=self.service, category=self.category, rule_id=f"DNSW-{self.category}",
            mitre=self.mitre, qname=self.qname, qtype=self.qtype, domain=self.domain, qnames=tuple(self.qnames),
            first_at=self.first_at, last_at=self.last_at, count=self.count, outcome=self.outcome,
            answers=tuple(self.answers), because=(*self.score.because, *self.remarks),
            evidence=tuple([Evidence(path, offset, escape(line))
                            for path, offset, line in (*self.first_lines, *(self.last_lines or ()))]),
            cause=cause, timeline=self.timeline, left_out=self.left_out,
        )  # fmt: skip

    # ── State ─────────────────────────────────────────────────────────────────────────────────────────────────

    def row(self) -> Row:
        """Give the plain form."""
        row: Row = dict(zip(_PLAIN, _plain(self), strict=True))
        row["client"], row["tcp"] = _client_row(self.client), self.tcp
        row["qnames"], row["answers"] = list(self.qnames), list(self.answers)
        row["mitre"], row["reviews"] = list(self.mitre), list(self.reviews)
        row["base"] = list(self.base)
        row["judged"] = [list(reason) for reason in self.judged]
        row["remarks"] = [list(reason) for reason in self.remarks]
        row["findings"] = [_finding_row(self.findings[name]) for name in sorted(self.findings)]
        row["first_lines"] = [_line_row(line) for line in self.first_lines]
        row["last_lines"] = [_line_row(line) for line in self.last_lines or ()]
        row["timeline"], row["left_out"] = [list(trace) for trace in self.timeline], self.left_out
        return row

    @classmethod
    def of_row(cls, row: Row) -> Episode:
        """Take a stored episode."""
        episode = cls.__new__(cls)
        for name in _PLAIN:
            setattr(episode, name, row[name])
        episode.closed, episode.tcp = False, row.get("tcp", 0)
        episode.client = Client(*row["client"])
        episode.mitre, episode.reviews = tuple(row["mitre"]), list(row.get("reviews", ()))
        episode.base = Reason(*row["base"])
        episode.judged = tuple(Reason(*reason) for reason in row["judged"])
        episode.remarks = tuple(Reason(*reason) for reason in row["remarks"])
        found = [_finding_of(one) for one in row["findings"]]
        episode.findings = {finding.signal: finding for finding in found}
        episode.first_lines = [_line_of(line) for line in row["first_lines"]]
        last_lines = deque((_line_of(line) for line in row["last_lines"]), maxlen=EDGE_LINES)
        episode.last_lines = last_lines or None
        episode.timeline = tuple(Trace(*trace) for trace in row.get("timeline", ()))
        episode.left_out = row.get("left_out", 0)
        episode.weigh()
        return episode


_PLAIN = (
    "id", "key", "n", "rev", "state", "service", "category", "qname", "qtype", "domain", "qnames", "first_at",
    "last_at", "attempt_at", "count", "next_count", "outcome", "answers", "severity", "snoozed_until",
)  # fmt: skip
_plain = attrgetter(*_PLAIN)


def _weight(finding: Finding) -> tuple[int, bool, int]:
    return (finding.points, finding.fact, -1 if finding.floor is None else RANK[finding.floor])


def _client_row(client: Client) -> list[Any]:
    return list(client) if client.owner or client.leased_at is not None else list(client[:5])


def _finding_row(finding: Finding) -> Row:
    return {
        "signal": finding.signal, "points": finding.points, "fact": finding.fact, "floor": finding.floor,
        "ceiling": finding.ceiling,
        "because": [list(reason) for reason in finding.because],
    }  # fmt: skip


def _finding_of(row: Row) -> Finding:
    because = tuple(Reason(*reason) for reason in row["because"])
    return Finding(row["signal"], row["points"], because, row["fact"], row["floor"], row.get("ceiling"))


def _line_row(line: Line) -> list[Any]:
    return [line[0], line[1], line[2][:LINE_BYTES].decode("latin-1")]


def _line_of(row: list[Any]) -> Line:
    return (row[0], row[1], row[2].encode("latin-1"))
