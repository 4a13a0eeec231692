"""Alert format ``json``: the flat fields as one line of JSON, printable ASCII only.

Never: a different field set than the other formats. Read next: ``rfc5424.py``.
"""

from __future__ import annotations

import json

from dnswatch.core.alerts.context import Context
from dnswatch.core.alerts.flat import flat
from dnswatch.core.model import Alert

_ENCODER = json.JSONEncoder(separators=(",", ":"))  # `json.dumps` would make one for every alert


def render(alert: Alert, context: Context) -> bytes:
    """Write one JSON object without a line feed. ``\\u`` escapes keep any terminal and any receiver safe."""
    text = _ENCODER.encode(flat(alert, context.sensor, context.advice(alert)))
    return text.replace("\x7f", "\\u007f").encode("ascii")
