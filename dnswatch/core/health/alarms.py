"""The table of blind spots that are open: raise and clear conditions, get revisions of ordinary alerts.

One condition of (kind, subject) is one episode, however often it is reported. It closes when it has been over for the
kind's ``settle_s``, so one that comes and goes stays one alert with a count. An operator's word counts as for any
alert; one that they close while it lasts is not raised again for a day. Times are wall times, passed in. Never: reads a
clock, knows what a condition means beyond ``kinds.py``. Read next: ``kinds.py``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from dnswatch.core.alerts.flat import BLIND_SPOT as CATEGORY
from dnswatch.core.detect.changes import Action, Row
from dnswatch.core.detect.episodes import REMARKS, alert_id
from dnswatch.core.detect.score import BASE
from dnswatch.core.health.kinds import KINDS, Kind
from dnswatch.core.model import Alert, Client, Reason, Severity

ROW = "blind-spot"
"""Kind of the stored rows."""
MUTED_S = 86_400.0
"""What an operator closed although it lasts is raised again after this long."""
SUBJECTS = 500
"""Open conditions of one kind: a glob over thousands of files must not make as many alerts."""
TEXT = 600  # characters of what the reporter says
REMARK = {"ack": "acknowledged", "close": "closed", "comment": "commented", "reopen": "reopened", "snooze": "snoozed"}
UNKNOWN = Kind("medium", "a blind spot", "", "what it hides is not known to this version", "see the text")
"""A kind that another version stored."""


class _Open:
    """One open condition."""

    __slots__ = ("at", "count", "id", "kind", "last_at", "next_count", "over_at", "remarks", "rev", "snoozed_until",
                 "state", "subject", "text")  # fmt: skip

    def __init__(self, kind: str, subject: str, text: str, at: float) -> None:
        self.kind = kind
        self.subject = subject
        self.text = text
        self.at = self.last_at = at
        self.id = alert_id("", f"{CATEGORY}/{kind}", at, subject)
        self.rev = 0
        self.state: Any = "open"
        self.count = 1
        self.next_count = 10
        self.over_at: float | None = None  # since when it is over; closed when it stays so
        self.snoozed_until: float | None = None
        self.remarks: tuple[Reason, ...] = ()

    def row(self) -> Row:
        row: Row = {name: getattr(self, name) for name in self.__slots__}
        row["remarks"] = [one.text for one in self.remarks]
        return row

    @classmethod
    def of_row(cls, row: Mapping[str, Any]) -> _Open:
        one = cls.__new__(cls)
        for name in cls.__slots__:
            setattr(one, name, row[name])
        one.remarks = tuple(Reason("operator", text) for text in row["remarks"])
        return one


class Alarms:
    """Open blind spots by (kind, subject)."""

    def __init__(self) -> None:
        self._rows: dict[tuple[str, str], _Open] = {}
        self._changed: set[tuple[str, str]] = set()
        self.dropped = 0  # conditions beyond `SUBJECTS`

    def __iter__(self) -> Iterator[tuple[str, str]]:
        """Give (kind, subject) of what holds, those that an operator has closed too."""
        return iter([key for key, one in self._rows.items() if one.over_at is None])

    def __len__(self) -> int:
        return sum(1 for _ in self)

    # ── Raising and clearing ──────────────────────────────────────────────────────────────────────────────────

    def report(self, kind: str, subject: str, text: str, at: float) -> list[Alert]:
        """Say that a condition holds; give the revision that this makes, most often none. ``kind``: of `KINDS`."""
        key = kind, subject
        KINDS[kind]  # an unknown kind is a bug of the caller
        known = self._rows.get(key)
        if known is not None and known.state == "closed":
            known.over_at = None
            if at < known.last_at + MUTED_S:
                return []
            known = None
        if known is None:
            if sum(1 for one, _ in self._rows if one == kind) >= SUBJECTS and key not in self._rows:
                self.dropped += 1
                return []
            known = self._rows[key] = _Open(kind, subject, text[:TEXT], at)
            return [self._revise(known, at, "opened")]
        known.text = text[:TEXT]
        if known.over_at is None:
            return []
        known.over_at, known.last_at = None, max(at, known.last_at)  # it is back
        known.count += 1
        self._changed.add(key)
        if known.count < known.next_count:
            return []
        known.next_count *= 10
        return [self._revise(known, at, "count")]

    def clear(self, kind: str, subject: str, text: str, at: float) -> list[Alert]:
        """Say that a condition does not hold (any more); it closes when it stays so."""
        known = self._rows.get((kind, subject))
        if known is None or known.over_at is not None:
            return []
        if text:
            known.text = text[:TEXT]
        known.over_at = at
        self._changed.add((kind, subject))
        return self._settle(known, at)

    def due(self, at: float) -> list[Alert]:
        """Close what has been over for long enough, and wake what was snoozed."""
        made: list[Alert] = []
        for one in list(self._rows.values()):
            if one.snoozed_until is not None and one.snoozed_until <= at:
                one.state, one.snoozed_until = "open", None
                made.append(self._revise(one, at, "snooze-ended"))
            made += self._settle(one, at)
        return made

    def _settle(self, one: _Open, at: float) -> list[Alert]:
        if one.over_at is None or at < one.over_at + KINDS.get(one.kind, UNKNOWN).settle_s:
            return []
        key = one.kind, one.subject
        del self._rows[key]
        self._changed.add(key)
        if one.state == "closed":  # by an operator, who knows
            return []
        one.state, one.last_at = "closed", max(one.over_at, one.last_at)
        return [self._revise(one, at, "ended")]

    # ── Operators ─────────────────────────────────────────────────────────────────────────────────────────────

    def act(self, action: Action) -> list[Alert]:
        """Apply what an operator asks; nothing when the alert is none of ours or is not open any more."""
        one = next((one for one in self._rows.values() if one.id == action.alert and one.state != "closed"), None)
        if one is None:
            return []
        text = REMARK[action.kind] + (f" by {action.by}" if action.by else "")
        one.remarks = (*one.remarks, Reason("operator", f"{text}: {action.note}" if action.note else text))[-REMARKS:]
        if action.kind != "comment":
            one.state = {"ack": "acknowledged", "close": "closed", "snooze": "snoozed"}.get(action.kind, "open")
            one.snoozed_until = action.until if action.kind == "snooze" else None
        if action.kind == "close":
            one.last_at = max(one.last_at, action.at)
        return [self._revise(one, action.at, REMARK[action.kind])]

    # ── As alerts ─────────────────────────────────────────────────────────────────────────────────────────────

    def _revise(self, one: _Open, at: float, cause: str) -> Alert:
        one.rev += 1
        self._changed.add((one.kind, one.subject))
        kind = KINDS.get(one.kind, UNKNOWN)
        severity: Severity = kind.severity
        qname = one.subject if kind.about == "zone" else ""
        because = (
            Reason(CATEGORY, f"{kind.about} {one.subject}".strip(), BASE[severity]),
            Reason("seen", f"{kind.title}: {one.text}" if one.text else kind.title),
            Reason("means", kind.means),
            Reason("act", kind.act),
        )
        return Alert(
            id=one.id, rev=one.rev, at=at, state=one.state, severity=severity, score=BASE[severity], client=Client(""),
            service=one.kind, category=CATEGORY, rule_id=f"DNSW-{CATEGORY}", mitre=(), qname=qname, qtype="",
            domain="", qnames=(qname,) if qname else (), first_at=one.at, last_at=one.last_at, count=one.count,
            outcome="observed", answers=(), because=(*because, *one.remarks), evidence=(), cause=cause,
        )  # fmt: skip

    # ── State ─────────────────────────────────────────────────────────────────────────────────────────────────

    def take_changes(self) -> dict[tuple[str, str], Row | None]:
        """Give what changed since the last call, as rows for the store; None = gone."""
        changed: dict[tuple[str, str], Row | None] = {}
        for key in sorted(self._changed):
            one = self._rows.get(key)
            changed[ROW, f"{key[0]} {key[1]}"] = None if one is None else one.row()
        self._changed.clear()
        return changed

    def restore(self, rows: Iterable[Row]) -> None:
        """Take stored rows."""
        for row in rows:
            one = _Open.of_row(row)
            self._rows[one.kind, one.subject] = one
