"""Alert format ``rfc5424``: syslog header, structured data with the flat fields, one line of text.

Never: a byte-order mark (rsyslog keeps it inside the message), framing (the sink's), control characters. Read next:
``rfc3164.py``.
"""

from __future__ import annotations

import re

from dnswatch.core.alerts.context import Context
from dnswatch.core.alerts.flat import flat, rfc3339
from dnswatch.core.alerts.text import printable, summary
from dnswatch.core.model import Alert

MAX_SEQUENCE = 2_147_483_647  # RFC 5424 §7.3.1
VALUE_CHARS = 1024
"""Longest parameter value: a list of 16 hostile names may be 4 kB, and receivers cut whole messages at 8 KiB."""
_NOT_PRINTUSASCII = re.compile(r"[^\x21-\x7e]")
_ESCAPE = str.maketrans({"\\": "\\\\", '"': '\\"', "]": "\\]"})  # RFC 5424 §6.3.3


def render(alert: Alert, context: Context) -> bytes:
    """Write one message without framing and without a line feed: ASCII header, printable UTF-8 after it."""
    header = " ".join((
        f"<{context.priority(alert.severity)}>1",
        rfc3339(alert.at),
        header_field(context.sensor, 255),
        header_field(context.app_name, 48),
        header_field(context.process_id, 128),
        header_field(alert.rule_id, 32),
    ))  # fmt: skip
    sequence = (context.sequence - 1) % MAX_SEQUENCE + 1
    fields = flat(alert, context.sensor)
    params = " ".join(f'{name}="{_value(name, value)}"' for name, value in fields.items() if value not in ("", []))
    data = f'[dnswatch@{context.enterprise_id} {params}][meta sequenceId="{sequence}"]'
    return f"{header} {data} {printable(summary(alert))}".encode()


def header_field(text: str, limit: int) -> str:
    """Give text that may stand in a header: PRINTUSASCII, cut, ``-`` when nothing is left (RFC 5424 §6)."""
    return _NOT_PRINTUSASCII.sub("_", text)[:limit] or "-"


def _value(name: str, value: object) -> str:
    between = " | " if name == "because" else ","  # its terms are prose, with commas of their own
    text = between.join(str(one) for one in value) if isinstance(value, list) else str(value)
    text = printable(text)
    return (text if len(text) <= VALUE_CHARS else text[: VALUE_CHARS - 3] + "...").translate(_ESCAPE)
