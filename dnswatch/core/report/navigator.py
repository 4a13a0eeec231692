"""An ATT&CK Navigator layer: the techniques that alerts stand for, coloured by the worst score.

Never: techniques without an alert. Read next: ``incident.py``.
"""

from __future__ import annotations

from typing import Any

from dnswatch.core.model import Alert
from dnswatch.core.report.incident import Incident

VERSIONS = {"attack": "17", "navigator": "5.1.0", "layer": "4.5"}
COLOURS = ["#fff7d6", "#d7301f"]


def layer(report: Incident, name: str) -> dict[str, Any]:
    """Give the layer as plain data (format 4.5)."""
    by_technique: dict[str, list[Alert]] = {}
    for told in report.alerts:
        for id_ in told.alert.mitre:
            by_technique.setdefault(id_, []).append(told.alert)
    return {
        "name": name,
        "versions": VERSIONS,
        "domain": "enterprise-attack",
        "description": f"{len(report.alerts)} alerts of dnswatch",
        "techniques": [
            {
                "techniqueID": id_,
                "score": max(alert.score for alert in alerts),
                "comment": "; ".join(f"{alert.severity} {alert.service}: {alert.client.address}" for alert in alerts),
                "enabled": True,
                "showSubtechniques": "." in id_,
            }
            for id_, alerts in sorted(by_technique.items())
        ],
        "gradient": {"colors": COLOURS, "minValue": 0, "maxValue": 100},
    }
