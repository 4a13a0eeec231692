"""Alert format ``rfc3164``: the local form that ``/dev/log`` understands, with the flat JSON as its message.

``<PRI>Mmm dd hh:mm:ss tag[pid]: {json}``, without a host name: rsyslog's imuxsock reads this form right and RFC 5424
wrongly, and Wazuh finds its program name in it. Over the network ``context.host`` stands before the tag. Never:
structured data. Read next: ``text.py``.
"""

from __future__ import annotations

import re
from datetime import datetime

from dnswatch.core.alerts import json
from dnswatch.core.alerts.context import Context
from dnswatch.core.alerts.rfc5424 import header_field
from dnswatch.core.model import Alert

MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")  # never the locale's
TAG_CHARS = 32  # RFC 3164 §4.1.3
_NOT_TAG = re.compile(r"[^A-Za-z0-9_./-]")


def render(alert: Alert, context: Context) -> bytes:
    """Write one message without framing and without a line feed; printable ASCII only.

    There is no structured data, so what lets a receiver see gaps stands at the end of the JSON.
    """
    head = local_header(alert.at, alert.severity, context)
    more = {"stream": context.stream, "sequence": context.sequence} if context.stream else {}
    return head + json.line(alert, context, max(context.most_bytes - len(head), bool(context.most_bytes)), more)


def local_header(at: float, severity: str, context: Context) -> bytes:
    """Give everything before the text."""
    tag = _NOT_TAG.sub("_", context.app_name)[:TAG_CHARS] or "dnswatch"
    if context.process_id.isdigit():
        tag += f"[{context.process_id}]"
    host = header_field(context.host, 255) + " " if context.host else ""
    return f"<{context.priority(severity)}>{stamp(at, context)} {host}{tag}: ".encode("ascii")


def stamp(at: float, context: Context) -> str:
    """Write ``Nov  2 19:23:16`` in the context's zone: the day is padded with a space (RFC 3164 §4.1.2)."""
    local = datetime.fromtimestamp(at, context.zone)
    return f"{MONTHS[local.month - 1]} {local.day:2d} {local:%H:%M:%S}"
