"""The page of one alert: who, what, why, the lines, what else the client asked for, what to do next.

Never: reads a store or a log; `alerts show` brings everything. Read next: ``alerts.py``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from dnswatch.cli.tables import counted, time_text
from dnswatch.core.alerts.flat import BLIND_SPOT, deviates, flat, met, reason, timeline, who
from dnswatch.core.alerts.triage import Advice
from dnswatch.core.catalog import Catalog
from dnswatch.core.model import Alert, Client
from dnswatch.core.propose import NEVER
from dnswatch.io.around import SPAN_S, Around

SHORT_ID = 10
"""Characters of an id in the table: 50 bits, any command takes it as a prefix."""
OUTCOMES = {
    "observed": "the lookup was seen; what the resolver answered was not",
    "would-block": "our zones met it, but in mode shadow they only log: nothing was blocked",
    "blocked": "the resolver gave our zone's answer instead",
    "leaked": "it should have been blocked and was answered",
}


@dataclass(frozen=True, slots=True)
class Page:
    """Everything that is told of one alert."""

    last: Alert
    revisions: list[Alert]
    others: list[Alert]  # of the same client
    advice: Advice | None
    around: Around | None
    catalog: Catalog

    def plain(self) -> dict[str, Any]:
        """Give it for programs."""
        last = self.last
        return {
            **plain(last, self.advice),
            "cause": last.cause,
            "timeline": [{"time": time_text(one.at), "until": time_text(one.last_at), "name": one.name,
                          "role": one.role, "service": one.service, "path": one.path, "offset": one.offset}
                         for one in last.timeline],
            "timeline_left_out": last.left_out,
            "evidence": [{"path": line.path, "offset": line.offset, "line": line.line} for line in last.evidence],
            "around": None if self.around is None else _plain_around(self.around, self.catalog),
            "revisions": [{"rev": one.rev, "time": time_text(one.at), "cause": one.cause, "severity": one.severity,
                           "state": one.state, "outcome": one.outcome, "count": one.count} for one in self.revisions],
        }  # fmt: skip

    def lines(self, call: str) -> list[str]:
        """Give it for people. ``call``: how dnswatch is called here, for commands to be copied."""
        last, blind = self.last, self.last.category == BLIND_SPOT
        lines = [f"{last.severity.upper()} {last.score}  {reason(last)}", "", *_facts(last)]
        lines += ["", "Why", *(f"  {term}" for term in last.because)]
        if last.timeline:
            lines += ["", "Timeline", *(f"  {text}" for _, text in timeline(last))]
        if last.evidence:
            lines += ["", "Lines", *(f"  {one.path}:{one.offset}  {one.line}" for one in last.evidence)]
        if self.around is not None:
            lines += ["", f"Lookups of {last.client.address} within {SPAN_S / 60:.0f} minutes",
                      *_surroundings(self.around, self.catalog)]  # fmt: skip
        lines += ["", "History", *(_revision(one, blind) for one in self.revisions)]
        if self.others:
            lines += ["", "Other blind spots" if blind else f"Other alerts of {last.client.address}"]
            lines += [f"  {one.id[:SHORT_ID]}  {time_text(one.last_at)}  {one.severity} {one.score}, {one.state}: "
                      f"{one.service}, {what(one)}{_by_another(last, one)}" for one in self.others]  # fmt: skip
        if self.advice is not None and last.state != "closed":
            lines += _advice(self.advice)
        return [*lines, "", "Next", *_next(last, call)]


def plain(one: Alert, advice: Advice | None = None) -> dict[str, Any]:
    """The flat fields that sinks write, but for the sensor, which is theirs."""
    return {name: value for name, value in flat(one, "", advice).items() if name != "sensor"}


def _facts(last: Alert) -> list[str]:
    client = last.client
    known = [("group", client.group), ("role", client.role), ("name", client.name), ("MAC", client.mac),
             ("owner", client.owner)]  # fmt: skip
    blind = last.category == BLIND_SPOT
    facts = [
        ("Alert", f"{last.id}, revision {last.rev}, {last.state}"),
        ("About", who(last) if blind else ""),
        ("Client", ", ".join(filter(None, [client.address, *(f"{what} {value}" for what, value in known if value)]))),
        ("Lease", lease_text(client)),
        ("Service", f"{last.service} ({last.category})"),
        ("Names", ", ".join(last.qnames)),
        ("Seen", _seen(last)),
        ("Outcome", "" if blind else f"{last.outcome}: {OUTCOMES[last.outcome]}"),
        ("Answers", ", ".join(last.answers)),
        ("Rule", f"{last.rule_id}  ATT&CK {' '.join(last.mitre)}" if last.mitre else last.rule_id),
    ]
    return [f"{name + ':':9} {text}" for name, text in facts if text]


def _by_another(last: Alert, one: Alert) -> str:
    """Say who had the address then, where that was another host."""
    another = bool(one.client.mac and last.client.mac) and one.client.mac != last.client.mac
    return f", when it was {one.client.name or one.client.mac}" if another else ""


def lease_text(client: Client) -> str:
    """Say since when and until when a client has its address; "" where no lease tells."""
    if client.leased_at is None:
        return ""
    until = f" until {time_text(client.leased_until)}" if client.leased_until is not None else ", end not told"
    return f"since {time_text(client.leased_at)}{until}"


def _revision(one: Alert, blind: bool) -> str:
    told = _times(one) if blind else f"{one.outcome}, {_times(one)}"
    return f"  {one.rev:3}  {time_text(one.at)}  {one.cause}: {one.severity} {one.score}, {one.state}, {told}"


def _advice(advice: Advice) -> list[str]:
    """Say what to ask, look at and contain."""
    lines = ["", "Triage", f"  {advice.escalation}"]
    for question, answer in advice.questions:
        lines += [f"  ? {question}", *([f"    {answer}"] if answer else [])]
    parts = [("L1", advice.l1), ("T2", advice.t2), ("Containment", (*advice.containment, advice.block)),
             ("Mitigation", advice.mitigations)]  # fmt: skip
    for heading, steps in parts:
        lines += ["", heading, *(f"  - {step}" for step in steps)]
    return [*lines, "", "Look next in", f"  {', '.join(advice.look_next)}"]


def _next(last: Alert, call: str) -> list[str]:
    """Say what to do, in commands that can be copied."""
    client, short = last.client, last.id[:SHORT_ID]
    if last.category == BLIND_SPOT:
        if last.state == "closed":
            return ["  It is over; if it comes back, there is a new alert."]
        act = last.because[3].text
        return [
            f"  {act[:1].upper()}{act[1:]}. The alert closes by itself when it is over.",
            *([f"    {call} alerts ack {short}      somebody is on it"] if last.state == "open" else []),
            f"    {call} alerts close {short}    it is meant to be so: not raised again for a day while it lasts",
            f"    {call} status                what the daemon sees",
        ]
    if last.state == "closed":
        return ["  It is over; a further unexpected lookup opens a new alert."]
    known = "Is this a known integration of whoever answers for"
    # An address from DHCP will be somebody else's. A group gets no request bin or tunnel by habit (`NEVER`).
    who = f"mac:{client.mac}" if client.mac else client.address
    group = client.group and last.category not in NEVER
    accept = [
        f"  {known} {client.name or client.address}? Then say so, and close it:",
        f"    {call} expect add {who} --service {last.service} --because TEXT --until DATE",
        *([f"    (for its whole group: {call} expect add group:{client.group} …)"] if group else []),
    ]
    return [
        *([f"    {call} alerts ack {short}      somebody is on it"] if last.state == "open" else []),
        f"    {call} alerts close {short}    it is dealt with",
        f"    {call} explain {short}         how it was judged",
        *([] if deviates(last) else accept),
    ]


def _plain_around(around: Around, catalog: Catalog) -> dict[str, Any]:
    return {
        "path": around.path, "problem": around.problem, "left_out": around.left_out,
        "lookups": [{"time": time_text(one.at), "qname": one.qname, "qtype": one.qtype,
                     "watched": _mark(one.qname, catalog)} for one in around.lookups],
    }  # fmt: skip


def _surroundings(around: Around, catalog: Catalog) -> list[str]:
    """Print lookups, one line for repeats of a name, and mark those that dnswatch knows."""
    lines: list[str] = []
    before = ""
    for one in around.lookups:
        if one.qname == before:
            continue
        before = one.qname
        mark = _mark(one.qname, catalog)
        lines.append(f"  {time_text(one.at)}  {one.qname}{f'  <- {mark}' if mark else ''}")
    if around.left_out:
        lines.append(f"  and {counted(around.left_out, 'lookup')} farther away")
    if around.problem:
        lines.append(f"  {around.problem}")
    return lines or ["  none in the log"]


def _mark(qname: str, catalog: Catalog) -> str:
    """Say what dnswatch knows of a name: the service it belongs to, or what it is a sign of."""
    found = catalog.match(qname)
    if not found:
        return ""
    first = next((one for one in found if one.role == "api"), found[0])
    return met(first.role, first.service)


def _seen(last: Alert) -> str:
    first, until = time_text(last.first_at), time_text(last.last_at)
    return f"{first if first == until else f'{first} to {until}'}, {_times(last)}"


def who_in_short(one: Alert) -> str:
    name = one.client.name
    return f"{one.client.address} ({name})" if name else one.client.address or "-"


def what(one: Alert) -> str:
    return who(one) if one.category == BLIND_SPOT else one.qname


def _times(one: Alert) -> str:
    return counted(one.count, "time" if one.category == BLIND_SPOT else "attempt")
