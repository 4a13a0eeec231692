"""Alert format ``ocsf``: Detection Finding (class 2004) of the Open Cybersecurity Schema Framework, one JSON a line.

An alert is one finding (``finding_info.uid``) that is created, updated and closed: revision 1, the ones after it, the
last. ``ocsf-1.5`` writes the same for receivers of schema 1.5; events of 1.3 and before are not written (they know no
``is_alert``). Never: a field that the schema does not have, which tests prove by validation. Read next: ``plain.py``.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from dnswatch.core.alerts.attack import Technique, technique
from dnswatch.core.alerts.context import Context
from dnswatch.core.alerts.fitting import fitted, present, without
from dnswatch.core.alerts.flat import BLIND_SPOT, flat
from dnswatch.core.alerts.text import is_mac, printable, summary
from dnswatch.core.model import Alert, Trace

CLASS = 2004
SEVERITY = {
    "info": (1, "Informational"), "low": (2, "Low"), "medium": (3, "Medium"), "high": (4, "High"),
    "critical": (5, "Critical"),
}  # fmt: skip
STATUS = {
    "open": (1, "New"),
    "acknowledged": (2, "In Progress"),
    "snoozed": (3, "Suppressed"),
    "closed": (4, "Resolved"),
}
UNMAPPED = (
    "rev", "state", "outcome", "service", "category", "client_group", "answers", "because", "sensor", "escalation",
    "questions", "steps", "block_note", "suppression_key", "client_owner", "lease_start", "lease_end",
)  # fmt: skip
"""Flat fields that the class has no place for."""
SPARE = ("unmapped.steps", "unmapped.questions", "remediation", "unmapped.block_note", "unmapped.because",
         "evidences.data.timeline", "evidences.data.lines", "finding_info.desc", "unmapped.escalation",
         "unmapped.suppression_key", "evidences.data", "unmapped.answers", "unmapped.lease_start",
         "unmapped.lease_end", "unmapped.client_owner", "finding_info.attacks", "message", "device.owner",
         "device.mac", "device.hostname")  # fmt: skip
"""What is left out of an event that is too long, the most dispensable first; the address and the name asked stay."""
_CREATE, _UPDATE, _CLOSE = 1, 2, 3
_RULE = 1  # analytic.type_id
_UNKNOWN = 0  # device.type_id: the log does not tell
_ATTACK = "17"
_ENCODER = json.JSONEncoder(separators=(",", ":"))


def render(alert: Alert, context: Context) -> bytes:
    """Write one event of schema 1.8.0 without a line feed; printable ASCII only."""
    return _write(alert, context, "1.8.0")


def render_1_5(alert: Alert, context: Context) -> bytes:
    """Write one event of schema 1.5.0 without a line feed; printable ASCII only."""
    return _write(alert, context, "1.5.0")


def _write(alert: Alert, context: Context, version: str) -> bytes:
    whole = event(alert, context, version)

    def write(left_out: Sequence[str]) -> bytes:
        kept = without(whole, left_out)
        if left_out:
            kept["unmapped"] = {**kept["unmapped"], "left_out": list(left_out)}
        return _ENCODER.encode(kept).replace("\x7f", "\\u007f").encode("ascii")

    return fitted(write, present(whole, SPARE) if context.most_bytes else (), context.most_bytes)


def event(alert: Alert, context: Context, version: str) -> dict[str, Any]:
    """Give the event. ``version`` is that of the schema; both that we write have every field used here."""
    activity = _CLOSE if alert.state == "closed" else _CREATE if alert.rev == 1 else _UPDATE
    advice = context.advice(alert)
    fields = flat(alert, context.sensor, advice)
    (severity_id, severity), (status_id, status) = SEVERITY[alert.severity], STATUS[alert.state]
    event: dict[str, Any] = {
        "class_uid": CLASS, "class_name": "Detection Finding", "category_uid": 2, "category_name": "Findings",
        "activity_id": activity, "activity_name": ("Create", "Update", "Close")[activity - 1],
        "type_uid": CLASS * 100 + activity, "time": _ms(alert.at), "start_time": _ms(alert.first_at),
        "end_time": _ms(alert.last_at), "count": alert.count, "is_alert": True,
        "severity_id": severity_id, "severity": severity, "status_id": status_id, "status": status,
        "risk_score": alert.score, "message": printable(summary(alert)),
        "metadata": {
            "version": version, "uid": f"{alert.id}-{alert.rev}", "log_name": "dnswatch",
            "product": {"name": "dnswatch", "vendor_name": "dnswatch", "version": context.version},
        },
        "finding_info": {
            "uid": alert.id, "title": f"{alert.category}: {alert.service}", "desc": printable(fields["reason"]),
            "types": [alert.category], "created_time": _ms(alert.first_at), "modified_time": _ms(alert.at),
            "first_seen_time": _ms(alert.first_at), "last_seen_time": _ms(alert.last_at),
            "analytic": {"uid": alert.rule_id, "name": alert.rule_id, "type_id": _RULE, "type": "Rule"},
        },
        "unmapped": {key: fields[key] for key in UNMAPPED},
    }  # fmt: skip
    if context.sensor != "-":
        event["metadata"]["log_provider"] = context.sensor
    if advice is not None:
        event["remediation"] = {"desc": " ".join(fields["containment"])}
    attacks = [_attack(technique(id_)) for id_ in alert.mitre]
    if attacks:
        event["finding_info"]["attacks"] = attacks
    if alert.category != BLIND_SPOT:
        event["device"] = _device(alert)
        event["evidences"] = [_evidence(alert)]
    return event


def _device(alert: Alert) -> dict[str, Any]:
    client = alert.client
    device: dict[str, Any] = {"type_id": _UNKNOWN, "type": "Unknown", "ip": client.address}
    if client.name:
        device["hostname"] = printable(client.name)
    if is_mac(client.mac):
        device["mac"] = client.mac
    if client.owner:
        device["owner"] = {"name": printable(client.owner)}
    return device


def _evidence(alert: Alert) -> dict[str, Any]:
    query: dict[str, Any] = {"hostname": printable(alert.qname)}
    if alert.qtype:
        query["type"] = alert.qtype
    return {
        "src_endpoint": {"ip": alert.client.address},
        "query": query,
        "data": {
            "qnames": [printable(name) for name in alert.qnames],
            "answers": list(alert.answers),
            "lines": [{"path": printable(one.path), "offset": one.offset, "line": one.line} for one in alert.evidence],
            "timeline": [_traced(trace) for trace in alert.timeline],
            "timeline_left_out": alert.left_out,
        },
    }


def _traced(trace: Trace) -> dict[str, Any]:
    return {
        "time": _ms(trace.at), "end_time": _ms(trace.last_at), "hostname": printable(trace.name), "role": trace.role,
        "service": trace.service, "path": printable(trace.path), "offset": trace.offset,
    }  # fmt: skip


def _attack(found: Technique) -> dict[str, Any]:
    """Give one ATT&CK entry; a sub-technique stands below its technique."""
    above = technique(found.parent)
    attack: dict[str, Any] = {"version": _ATTACK, "technique": _named(above)}
    if found.id != above.id:
        attack["sub_technique"] = _named(found)
    if found.tactic_id or above.tactic_id:
        tactic_id, tactic = (found.tactic_id, found.tactic) if found.tactic_id else (above.tactic_id, above.tactic)
        attack["tactic"] = {"uid": tactic_id, "name": tactic}
    return attack


def _named(found: Technique) -> dict[str, str]:
    return {"uid": found.id, "name": found.name} if found.name else {"uid": found.id}


def _ms(at: float) -> int:
    return round(at * 1000)
