"""Rendering of alerts: one small file per format, all from the same flat fields.

    render("rfc5424", alert, Context(sensor="ns1", sequence=7)) -> bytes, without framing or final line feed

Never: sends anything, decides anything. Read next: ``flat.py``.
"""

from __future__ import annotations

from collections.abc import Callable

from dnswatch.core.alerts import cef, ecs, json, leef, ocsf, rfc3164, rfc5424, text
from dnswatch.core.alerts.context import Context
from dnswatch.core.alerts.flat import flat
from dnswatch.core.model import Alert

__all__ = ["FORMATS", "Context", "Renderer", "flat", "render"]

Renderer = Callable[[Alert, Context], bytes]

FORMATS: dict[str, Renderer] = {
    "cef": cef.render,
    "ecs": ecs.render,
    "json": json.render,
    "leef": leef.render,
    "ocsf": ocsf.render,
    "ocsf-1.5": ocsf.render_1_5,
    "rfc3164": rfc3164.render,
    "rfc5424": rfc5424.render,
    "text": text.render,
}
"""Name → renderer, sorted by name. A new format is one file and one line here."""


def render(name: str, alert: Alert, context: Context) -> bytes:
    """Render an alert; `KeyError` for an unknown format."""
    return FORMATS[name](alert, context)
