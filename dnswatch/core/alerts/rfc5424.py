"""Alert format ``rfc5424``: syslog header, structured data with the flat fields, one line of text.

``[meta sequenceId]`` counts the messages of one sink without a gap; ``[dnswatch.stream]`` names that count. Never: a
byte-order mark (rsyslog keeps it inside the message), framing (the sink's), control characters. Read next:
``rfc3164.py``, ``heartbeat.py``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from dnswatch.core.alerts.context import Context
from dnswatch.core.alerts.fitting import SPARE, fitted
from dnswatch.core.alerts.flat import flat, rfc3339
from dnswatch.core.alerts.text import printable, summary
from dnswatch.core.model import Alert

MAX_SEQUENCE = 2_147_483_647  # RFC 5424 §7.3.1
VALUE_CHARS = 1024
"""Longest parameter value: a list of 16 hostile names may be 4 kB, and receivers cut whole messages at 8 KiB."""
LEFT_OUT = frozenset({"questions", "steps", "containment"})
"""Prose of some 3 kB: with it a message would not fit a datagram. JSON carries it, and `alerts show` prints it."""
PROSE = frozenset({"because", "timeline"})
"""Lists whose values have commas of their own."""
_NOT_PRINTUSASCII = re.compile(r"[^\x21-\x7e]")
_ESCAPE = str.maketrans({"\\": "\\\\", '"': '\\"', "]": "\\]"})  # RFC 5424 §6.3.3


def render(alert: Alert, context: Context) -> bytes:
    """Write one message without framing and without a line feed: ASCII header, printable UTF-8 after it."""
    values = flat(alert, context.sensor, context.advice(alert))
    fields = {
        name: _value(name, value) for name, value in values.items() if value not in ("", []) and name not in LEFT_OUT
    }
    head = header(alert.at, alert.severity, alert.rule_id, context)
    message = _message(head, fields, printable(summary(alert)), context)
    if context.most_bytes and len(message) > context.most_bytes:
        return _shortened(head, fields, alert, context)
    return message


def _message(head: str, fields: dict[str, str], text: str, context: Context) -> bytes:
    params = " ".join(f'{name}="{value}"' for name, value in fields.items())
    return f"{head} [dnswatch@{context.enterprise_id} {params}]{stream_data(context)} {text}".encode()


def _shortened(head: str, fields: dict[str, str], alert: Alert, context: Context) -> bytes:
    """Leave out whole parameters, and say which; the text goes before them."""
    text = f"{alert.severity} {alert.score} {alert.id} rev {alert.rev} {alert.cause}"

    def write(left_out: Sequence[str]) -> bytes:
        kept = {name: value for name, value in fields.items() if name not in left_out}
        if left_out:
            kept["left_out"] = ",".join(left_out)
        return _message(head, kept, text, context)

    return fitted(write, [name for name in SPARE if name in fields], context.most_bytes)


def header(at: float, severity: str, message_id: str, context: Context) -> str:
    """Give everything before the structured data."""
    return " ".join((
        f"<{context.priority(severity)}>1",
        rfc3339(at),
        header_field(context.sensor, 255),
        header_field(context.app_name, 48),
        header_field(context.process_id, 128),
        header_field(message_id, 32),
    ))  # fmt: skip


def stream_data(context: Context, *, numbered: bool = True) -> str:
    """Give the structured data that lets a receiver see gaps: the message's number, and what it is a number of."""
    sequence = (context.sequence - 1) % MAX_SEQUENCE + 1
    meta = f'[meta sequenceId="{sequence}"]' if numbered else ""
    if not context.stream:
        return meta
    return f'{meta}[dnswatch.stream@{context.enterprise_id} id="{context.stream}" boot="{context.boot}"]'


def header_field(text: str, limit: int) -> str:
    """Give text that may stand in a header: PRINTUSASCII, cut, ``-`` when nothing is left (RFC 5424 §6)."""
    return _NOT_PRINTUSASCII.sub("_", text)[:limit] or "-"


def _value(name: str, value: object) -> str:
    between = " | " if name in PROSE else ","
    text = between.join(str(one) for one in value) if isinstance(value, list) else str(value)
    text = printable(text)
    return (text if len(text) <= VALUE_CHARS else text[: VALUE_CHARS - 3] + "...").translate(_ESCAPE)
