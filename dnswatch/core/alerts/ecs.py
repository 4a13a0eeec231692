"""Alert format ``ecs``: Elastic Common Schema 9, one JSON document a line, for Elastic and OpenSearch.

Never: a field that the schema does not have: what ECS has no place for stands under ``labels.dnswatch_*``, whose values
are keywords. Read next: ``ocsf.py``.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from dnswatch.core.alerts.attack import technique
from dnswatch.core.alerts.context import Context
from dnswatch.core.alerts.fitting import fitted, present, without
from dnswatch.core.alerts.flat import BLIND_SPOT, flat, rfc3339, timeline
from dnswatch.core.alerts.text import is_mac, printable, summary
from dnswatch.core.model import Alert

VERSION = "9.4.0"
SEVERITY = {"info": 5, "low": 21, "medium": 47, "high": 73, "critical": 99}
"""``event.severity`` as Elastic's detection engine uses it."""
SPARE = ("labels.dnswatch_timeline", "labels.dnswatch_because", "related", "event.reason",
         "labels.dnswatch_escalation", "labels.dnswatch_suppression_key", "dns.resolved_ip", "threat.indicator",
         "source", "labels.dnswatch_lease_start", "labels.dnswatch_lease_end", "labels.dnswatch_client_owner",
         "message", "threat", "observer", "client.mac", "client.domain")  # fmt: skip
"""Fields that are left out of a document that is too long, the most dispensable first; `client.ip` and `dns` stay."""
_ENCODER = json.JSONEncoder(separators=(",", ":"))


def render(alert: Alert, context: Context) -> bytes:
    """Write one JSON document without a line feed; printable ASCII only."""
    whole = _full(document(alert, context))

    def write(left_out: Sequence[str]) -> bytes:
        kept = without(whole, left_out)
        if left_out:
            kept["labels"] = {**kept["labels"], "dnswatch_left_out": ",".join(left_out)}
        return _ENCODER.encode(kept).replace("\x7f", "\\u007f").encode("ascii")

    return fitted(write, present(whole, SPARE) if context.most_bytes else (), context.most_bytes)


def document(alert: Alert, context: Context) -> dict[str, Any]:
    """Give the document; empty values are still in it."""
    fields = flat(alert, context.sensor, context.advice(alert))
    client, name = alert.client, printable(alert.client.name)
    blind = alert.category == BLIND_SPOT
    host = {"ip": client.address, "address": client.address, "domain": name, "mac": _mac(client.mac)}
    techniques = [technique(id_) for id_ in alert.mitre]
    above = [technique(id_) for id_ in dict.fromkeys(each.parent for each in techniques)]
    below = [each for each in techniques if each.id != each.parent]
    tactics = dict.fromkeys((each.tactic_id, each.tactic) for each in techniques if each.tactic)
    return {
        "@timestamp": rfc3339(alert.at),
        "ecs": {"version": VERSION},
        "message": printable(summary(alert)),
        "event": {
            "id": alert.id, "kind": "alert", "module": "dnswatch", "provider": "dnswatch", "dataset": "dnswatch.alert",
            "category": ["network"] if blind else ["intrusion_detection", "network"],
            "type": ["denied" if alert.outcome == "blocked" else "info"], "action": printable(alert.cause),
            "severity": SEVERITY[alert.severity], "risk_score": alert.score, "start": rfc3339(alert.first_at),
            "end": rfc3339(alert.last_at), "created": rfc3339(alert.at), "reason": printable(fields["reason"]),
        },
        "rule": {
            "id": alert.rule_id, "name": f"{alert.category}: {alert.service}", "category": alert.category,
            "ruleset": "dnswatch",
        },
        "client": host,
        "source": host,
        "related": {"ip": [ip for ip in (client.address, *alert.answers) if ip],
                    "hosts": [text for text in (name, *map(printable, alert.qnames)) if text]},
        "dns": {} if blind else {
            "type": "query", "resolved_ip": list(alert.answers),
            "question": {"name": printable(alert.qname), "type": alert.qtype,
                         "registered_domain": printable(alert.domain)},
        },
        "threat": {} if blind else {
            "framework": "MITRE ATT&CK",
            "tactic": {"id": [id_ for id_, _ in tactics], "name": [tactic for _, tactic in tactics]},
            "technique": {
                "id": [each.id for each in above],
                "name": [each.name for each in above if each.name],
                "subtechnique": {"id": [each.id for each in below],
                                 "name": [each.name for each in below if each.name]},
            },
            "indicator": {
                "type": "domain-name", "name": printable(alert.qname), "provider": "dnswatch",
                "first_seen": rfc3339(alert.first_at), "last_seen": rfc3339(alert.last_at), "sightings": alert.count,
            },
        },
        "observer": {"name": "" if context.sensor == "-" else context.sensor, "type": "sensor", "product": "dnswatch",
                     "vendor": "dnswatch", "version": context.version},
        "labels": {
            "dnswatch_rev": str(alert.rev), "dnswatch_state": alert.state, "dnswatch_severity": alert.severity,
            "dnswatch_outcome": alert.outcome, "dnswatch_service": alert.service, "dnswatch_category": alert.category,
            "dnswatch_client_group": client.group, "dnswatch_escalation": fields["escalation"],
            "dnswatch_suppression_key": printable(fields["suppression_key"]),
            "dnswatch_client_owner": printable(client.owner), "dnswatch_lease_start": fields["lease_start"],
            "dnswatch_lease_end": fields["lease_end"],
            "dnswatch_timeline": " | ".join(printable(text) for _, text in timeline(alert)),
            "dnswatch_because": " | ".join(printable(str(term)) for term in alert.because),
        },
        "tags": ["dnswatch", alert.category],
    }  # fmt: skip


def _mac(mac: str) -> str:
    """Write a MAC as ECS wants it: RFC 7042, upper case, with hyphens. What is no MAC is left out."""
    return mac.upper().replace(":", "-") if is_mac(mac) else ""


def _full(value: Any) -> Any:
    """Drop what is empty: Elasticsearch would store a field without a value."""
    if isinstance(value, dict):
        kept = {key: _full(each) for key, each in value.items()}
        return {key: each for key, each in kept.items() if each not in ("", [], {}, None)}
    return value
