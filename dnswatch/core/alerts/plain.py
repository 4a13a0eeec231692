"""Alerts as plain JSON values and back, losing nothing: what the store keeps and other processes read.

Never: the shape that a SIEM sees (``flat.py``). Read next: ``flat.py``.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from dnswatch.core.model import Alert, Client, Evidence, Reason

_TUPLES = ("mitre", "qnames", "answers")


def to_plain(alert: Alert) -> dict[str, Any]:
    """Give every field of an alert as JSON values."""
    return asdict(alert)


def from_plain(plain: dict[str, Any]) -> Alert:
    """Take an alert back; `TypeError` or `KeyError` when it was not written by `to_plain`."""
    fields = dict(plain)
    fields["client"] = Client(**fields["client"])
    fields["because"] = tuple(Reason(**reason) for reason in fields["because"])
    fields["evidence"] = tuple(Evidence(**line) for line in fields["evidence"])
    for name in _TUPLES:
        fields[name] = tuple(fields[name])
    return Alert(**fields)
