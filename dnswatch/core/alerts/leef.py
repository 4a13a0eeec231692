"""Alert format ``leef``: Log Event Extended Format 2.0, QRadar's own.

Never: a tab, line break or control character inside a value: LEEF cannot escape, so ``printable`` writes them out and a
tab is the one separator. Times are milliseconds since 1970, the form that QRadar reads without ``devTimeFormat``.
Read next: ``ecs.py``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from dnswatch.core.alerts.cef import SEVERITY, VALUE_CHARS
from dnswatch.core.alerts.context import Context
from dnswatch.core.alerts.fitting import fitted
from dnswatch.core.alerts.flat import flat, timeline
from dnswatch.core.alerts.text import printable
from dnswatch.core.model import Alert

DELIMITER = "x09"
SPARE = ("timeline", "because", "reason", "escalation", "suppressionKey", "answers", "dst", "leaseStart", "leaseEnd",
         "firstSeen", "domain", "url", "clientOwner", "srcMAC", "identHostName")  # fmt: skip
"""Attributes that are left out of a message that is too long, in the order of ``fitting.SPARE``; ``qname`` stays."""
_HEADER = str.maketrans({"|": "/"})  # a header field cannot hold its separator


def render(alert: Alert, context: Context) -> bytes:
    """Write one event without a syslog header and without a line feed; printable UTF-8."""
    header = "|".join(
        printable(text).translate(_HEADER) for text in ("dnswatch", "dnswatch", context.version, alert.rule_id)
    )
    pairs = {key: _value(value) for key, value in _attributes(alert, context) if value not in ("", None)}

    def write(left_out: Sequence[str]) -> bytes:
        kept = {key: value for key, value in pairs.items() if key not in left_out}
        if left_out:
            kept["leftOut"] = ",".join(left_out)
        attributes = "\t".join(f"{key}={value}" for key, value in kept.items())
        return f"LEEF:2.0|{header}|{DELIMITER}|{attributes}".encode()

    return fitted(write, [key for key in SPARE if key in pairs], context.most_bytes)


def _attributes(alert: Alert, context: Context) -> Iterator[tuple[str, object]]:
    """Give keys and values in a fixed order: QRadar's predefined keys first, then ours."""
    client, answers = alert.client, alert.answers
    fields = flat(alert, context.sensor, context.advice(alert))
    yield "devTime", round(alert.at * 1000)
    yield "cat", alert.category
    yield "sev", SEVERITY[alert.severity]
    yield "src", client.address
    yield "identHostName", client.name
    yield "srcMAC", client.mac
    yield "dst", next(iter(answers), "")
    yield "url", alert.qname
    yield "domain", alert.domain
    yield "policy", alert.rule_id
    yield "alertId", alert.id
    yield "revision", alert.rev
    yield "state", alert.state
    yield "outcome", alert.outcome
    yield "severity", alert.severity
    yield "score", alert.score
    yield "qname", alert.qname
    yield "qtype", alert.qtype
    yield "service", alert.service
    yield "clientGroup", client.group
    yield "mitre", ",".join(alert.mitre)
    yield "firstSeen", round(alert.first_at * 1000)
    yield "lastSeen", round(alert.last_at * 1000)
    yield "eventCount", alert.count
    yield "answers", ",".join(answers)
    yield "escalation", fields["escalation"]
    yield "suppressionKey", fields["suppression_key"]
    yield "because", " | ".join(str(term) for term in alert.because)
    yield "clientOwner", client.owner
    yield "leaseStart", "" if client.leased_at is None else round(client.leased_at * 1000)
    yield "leaseEnd", "" if client.leased_until is None else round(client.leased_until * 1000)
    yield "timeline", " | ".join(text for _, text in timeline(alert))
    yield "sensor", "" if context.sensor == "-" else context.sensor
    yield "reason", fields["reason"]


def _value(value: object) -> str:
    text = printable(str(value))
    return text if len(text) <= VALUE_CHARS else text[: VALUE_CHARS - 3] + "..."
