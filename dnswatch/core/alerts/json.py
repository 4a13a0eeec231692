"""Alert format ``json``: the flat fields as one line of JSON, printable ASCII only.

Never: a different field set than the other formats. Read next: ``rfc5424.py``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from dnswatch.core.alerts.context import Context
from dnswatch.core.alerts.fitting import SPARE, fitted, present
from dnswatch.core.alerts.flat import flat
from dnswatch.core.model import Alert

_ENCODER = json.JSONEncoder(separators=(",", ":"))  # `json.dumps` would make one for every alert


def render(alert: Alert, context: Context) -> bytes:
    """Write one JSON object without a line feed. ``\\u`` escapes keep any terminal and any receiver safe."""
    return line(alert, context, context.most_bytes, {})


def line(alert: Alert, context: Context, most: int, more: Mapping[str, object]) -> bytes:
    """Write the object with ``more`` at its end; beyond ``most`` bytes without what ``left_out`` names."""
    fields = flat(alert, context.sensor, context.advice(alert))

    def write(left_out: Sequence[str]) -> bytes:
        kept = fields
        if left_out:
            kept = {name: value for name, value in fields.items() if name not in left_out}
            kept["left_out"] = list(left_out)
        return _ENCODER.encode({**kept, **more}).replace("\x7f", "\\u007f").encode("ascii")

    return fitted(write, present(fields, SPARE) if most else (), most)
