"""Alert format ``cef``: ArcSight Common Event Format, CEF:0, which ArcSight, Sentinel, QRadar and MaxPatrol read.

Never: quotes (CEF has none: a backslash before ``|``, ``=`` and itself is all), a bare line break, an IPv6 address
under ``src`` (parsers of CEF:0 take IPv4 there: ``c6a2``). There is no agreed key for a DNS name; ``dhost`` and
``destinationDnsDomain`` are what receivers know. Read next: ``leef.py``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from dnswatch.core.alerts.context import Context
from dnswatch.core.alerts.fitting import fitted
from dnswatch.core.alerts.flat import flat, timeline
from dnswatch.core.alerts.text import printable
from dnswatch.core.model import Alert

SEVERITY = {"info": 1, "low": 3, "medium": 5, "high": 8, "critical": 10}
"""CEF's scale; receivers read 0-3 low, 4-6 medium, 7-8 high, 9-10 very high."""
VALUE_CHARS = 1023
"""Longest value: ``msg`` and ``reason`` hold 1023 characters in CEF's dictionary."""
SPARE = ("dnswatchTimeline", "cs6", "msg", "flexString1", "flexString2", "cs4", "dst", "dnswatchLeaseStart",
         "dnswatchLeaseEnd", "start", "destinationDnsDomain", "dnswatchClientOwner", "smac", "shost")  # fmt: skip
"""Keys left out of a message that is too long, in the order of ``fitting.SPARE``; a label goes with its key."""
_HEADER = str.maketrans({"\\": "\\\\", "|": "\\|"})
_VALUE = str.maketrans({"\\": "\\\\", "=": "\\="})


def render(alert: Alert, context: Context) -> bytes:
    """Write one event without a syslog header and without a line feed; printable UTF-8."""
    fields = flat(alert, context.sensor, context.advice(alert))
    name = f"{fields['service']} ({fields['category']})"
    header = "|".join(
        printable(text).translate(_HEADER)
        for text in ("dnswatch", "dnswatch", context.version, alert.rule_id, name, str(SEVERITY[alert.severity]))
    )
    pairs = {key: _value(value) for key, value in _extension(alert, fields) if value not in ("", None)}

    def write(left_out: Sequence[str]) -> bytes:
        kept = {key: value for key, value in pairs.items() if key.removesuffix("Label") not in left_out}
        if left_out:
            kept["dnswatchLeftOut"] = ",".join(left_out)
        extension = " ".join(f"{key}={value}" for key, value in kept.items())
        return f"CEF:0|{header}|{extension}".encode()

    return fitted(write, [key for key in SPARE if key in pairs], context.most_bytes)


def _extension(alert: Alert, fields: dict[str, object]) -> Iterator[tuple[str, object]]:
    """Give keys and values in a fixed order."""
    client, answers = alert.client, alert.answers
    yield "rt", _milliseconds(alert.at)
    yield "externalId", alert.id
    yield "start", _milliseconds(alert.first_at)
    yield "end", _milliseconds(alert.last_at)
    yield from _labelled("c6a2", "Source IPv6 Address", client.address if ":" in client.address else "")
    yield "src", "" if ":" in client.address else client.address
    yield "shost", client.name
    yield "smac", client.mac
    yield "dhost", alert.qname
    yield "destinationDnsDomain", alert.domain
    yield "dst", next((address for address in answers if ":" not in address), "")
    yield "cat", alert.category
    yield "act", alert.outcome
    yield "cnt", alert.count
    yield from _labelled("cs1", "service", alert.service)
    yield from _labelled("cs2", "queryType", alert.qtype)
    yield from _labelled("cs3", "mitreTechniques", ",".join(alert.mitre))
    yield from _labelled("cs4", "answers", ",".join(answers))
    yield from _labelled("cs5", "clientGroup", client.group)
    yield from _labelled("cs6", "because", " | ".join(str(term) for term in alert.because))
    yield from _labelled("cn1", "score", alert.score)
    yield from _labelled("cn2", "revision", alert.rev)
    yield from _labelled("flexString1", "escalation", fields["escalation"])
    yield from _labelled("flexString2", "suppressionKey", fields["suppression_key"])
    yield "dnswatchClientOwner", client.owner  # the six custom strings are taken; keys of one's own are named so
    yield "dnswatchLeaseStart", fields["lease_start"]
    yield "dnswatchLeaseEnd", fields["lease_end"]
    yield "dnswatchTimeline", " | ".join(text for _, text in timeline(alert))
    yield "outcome", alert.state
    yield "reason", alert.cause
    yield "dvchost", _host(fields)
    yield "msg", fields["reason"]


def _host(fields: dict[str, object]) -> object:
    """Give the sensor's name; a sink without one has ``-``, which is no host."""
    return "" if fields["sensor"] == "-" else fields["sensor"]


def _labelled(key: str, label: str, value: object) -> Iterator[tuple[str, object]]:
    """Give a custom field and its label together, or neither."""
    if value not in ("", None):
        yield key, value
        yield f"{key}Label", label


def _milliseconds(at: float) -> int:
    return round(at * 1000)


def _value(value: object) -> str:
    text = printable(str(value))
    text = text if len(text) <= VALUE_CHARS else text[: VALUE_CHARS - 3] + "..."
    return text.translate(_VALUE)
