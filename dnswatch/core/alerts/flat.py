"""An alert as flat fields: the names that SIEM rules, dashboards and scripts rely on (DESIGN §8).

Never: nested objects (Wazuh cannot read arrays of objects), fields in another order. Read next: ``text.py``.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from dnswatch.core.model import Alert, IndicatorRole, Reason, Trace

if TYPE_CHECKING:
    from dnswatch.core.alerts.triage import Advice

FIELDS = (
    "id", "rev", "time", "state", "severity", "score", "client_ip", "client_name", "client_mac", "client_group",
    "qname", "qnames", "domain", "qtype", "service", "category", "mitre", "rule_id", "first_seen", "last_seen",
    "count", "reason", "because", "answers", "outcome", "sensor", "escalation", "questions", "steps", "containment",
    "block_note", "suppression_key", "evidence", "client_owner", "lease_start", "lease_end", "timeline",
)  # fmt: skip
"""Every field, in order. Operators rely on it: only ever add at the end."""

FACTS_TOLD = 2
"""Further terms that the one-sentence reason repeats; all of them stand in ``because``."""
FIRST_TRACES = 6
"""Traces at the beginning of a timeline; what was left out follows them (``core/detect/timeline.py``)."""
_DEVIATION = "deviation"
BLIND_SPOT = "blind-spot"
"""Category of alerts on what dnswatch itself cannot see (``core/health/``); the first term of theirs too."""
_SILENT = frozenset({"base", "expectation", "expired", "unexpected", "category", _DEVIATION})
OUTCOMES = {
    "observed": "",
    "would-block": "; our zones would have blocked it",
    "blocked": "; the resolver blocked it",
    "leaked": "; it should have been blocked and was answered",
}


ADVISED = slice(FIELDS.index("escalation"), FIELDS.index("block_note") + 1)
"""The fields that hold advice."""


def flat(alert: Alert, sensor: str, advice: Advice | None = None) -> dict[str, Any]:
    """Give the flat fields of an alert, in the order of `FIELDS`. Without ``advice`` its fields are empty."""
    client = alert.client
    told = advised(advice) if advice is not None else ("", [], [], [], "")
    values = (
        alert.id, alert.rev, rfc3339(alert.at), alert.state, alert.severity, alert.score, client.address, client.name,
        client.mac, client.group, alert.qname, list(alert.qnames), alert.domain, alert.qtype, alert.service,
        alert.category, list(alert.mitre), alert.rule_id, rfc3339(alert.first_at), rfc3339(alert.last_at),
        alert.count, reason(alert), [str(term) for term in alert.because], list(alert.answers), alert.outcome, sensor,
        *told, suppression_key(alert), [f"{line.path}:{line.offset}" for line in alert.evidence], client.owner,
        _moment(client.leased_at), _moment(client.leased_until), [text for _, text in timeline(alert)],
    )  # fmt: skip
    return dict(zip(FIELDS, values, strict=True))


def advised(advice: Advice) -> tuple[str, list[str], list[str], list[str], str]:
    """Give the fields that tell an analyst what to do: questions with what DNS can answer, steps of both tiers."""
    questions = [f"{question} {answer}".rstrip() for question, answer in advice.questions]
    steps = [*(f"L1: {step}" for step in advice.l1), *(f"T2: {step}" for step in advice.t2)]
    return advice.escalation, questions, steps, [*advice.containment, *advice.mitigations], advice.block


def suppression_key(alert: Alert) -> str:
    """Name what this alert stands for while it is open: further lookups make revisions of it, not alerts."""
    about = alert.because[0].text if alert.category == BLIND_SPOT and alert.because else alert.client.address
    return f"{about}/{alert.service}"


def timeline(alert: Alert) -> list[tuple[Trace | None, str]]:
    """Give what the client asked for around the alert, in order of time: each trace and its text.

    Where traces had to be left out, one text without a trace says how many.
    """
    told: list[tuple[Trace | None, str]] = [(trace, _trace(trace)) for trace in alert.timeline]
    if alert.left_out:
        told.insert(FIRST_TRACES, (None, f"{alert.left_out} more"))
    return told


def _trace(trace: Trace) -> str:
    """Write ``TIME [to TIME] NAME: WHAT (PATH:OFFSET)``."""
    until = f" to {rfc3339(trace.last_at)}" if trace.last_at > trace.at else ""
    what = met(trace.role, trace.service)
    return f"{rfc3339(trace.at)}{until} {trace.name}: {what} ({trace.path}:{trace.offset})"


def met(role: IndicatorRole, service: str) -> str:
    """Say what a name of the catalogue is a sign of."""
    words = {"api": service, "recon": "IP check", "doh": "DNS over HTTPS", "ambiguous": f"{service}, an app or a bot"}
    return words.get(role, f"{service}, its app")


def _moment(at: float | None) -> str:
    return "" if at is None else rfc3339(at)


def reason(alert: Alert) -> str:
    """Say in one sentence what happened and why it matters."""
    if alert.category == BLIND_SPOT:
        seen, means, act = (term.text for term in alert.because[1:4])
        over = " It is over." if alert.state == "closed" else f" This means: {means}. What to do: {act}."
        return f"{alert.because[0].text}: {seen}.{over}"
    asked = f"{who(alert)} looked up {alert.qname}"
    others = len(alert.qnames) - 1
    if others > 0:
        asked += f" and {others} more name{'s' if others > 1 else ''}"
    if alert.count > 1:
        asked += f" {alert.count} times"
    deviates = _DEVIATION in [term.term for term in alert.because]
    facts = "".join([f"; {term.text}" for term in _facts(alert, deviates)[:FACTS_TOLD]])
    unexpectedly = "as it may, but departs from its habits" if deviates else _unexpectedly(alert)
    return f"{asked} ({alert.service}, {alert.category}) {unexpectedly}{facts}{OUTCOMES[alert.outcome]}"


def who(alert: Alert) -> str:
    """Name the client as people know it: ``printer-3 (10.1.2.3, group staff)``; what a blind spot is about."""
    client = alert.client
    if alert.category == BLIND_SPOT:
        return alert.because[0].text
    known = [client.address, f"group {client.group}" if client.group else "in no group"]
    if client.name:
        return f"{client.name} ({', '.join(known)})"
    return f"{known[0]} ({', '.join([*known[1:], client.mac] if client.mac else known[1:])})"


@lru_cache(maxsize=256)
def rfc3339(at: float) -> str:
    """Write a time as RFC 3339 UTC with milliseconds. An alert has the same one two to twenty times."""
    second, thousandths = divmod(round(at * 1000), 1000)
    return f"{_second(second)}.{thousandths:03}Z"


@lru_cache(maxsize=4_096)
def _second(at: int) -> str:
    """Write a whole second: those of alerts that follow each other are close together (1.6 µs, again 0.1 µs)."""
    return datetime.fromtimestamp(at, UTC).isoformat()[:19]


def _facts(alert: Alert, deviates: bool) -> list[Reason]:
    """The terms that moved the score, the weightiest first: a sentence has room for two. A deviation has no others."""
    facts = [term for term in alert.because if (term.points or deviates) and term.term not in _SILENT]
    return sorted(facts, key=lambda term: -abs(term.points)) if len(facts) > 1 else facts


def deviates(alert: Alert) -> bool:
    """Tell whether the client may use the service and only its habits are in question."""
    return any(term.term == _DEVIATION for term in alert.because)


def _unexpectedly(alert: Alert) -> str:
    if "expired" in [term.term for term in alert.because]:
        return "after its permission ended"
    return "and is not expected to"
