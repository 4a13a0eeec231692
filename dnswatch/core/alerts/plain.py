"""Alerts as plain JSON values and back, losing nothing: what the store keeps and other processes read.

Never: the shape that a SIEM sees (``flat.py``). Read next: ``flat.py``.
"""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from dnswatch.core.model import Alert, Client, Evidence, Reason, Trace

_TUPLES = ("mitre", "qnames", "answers")
_ALERT = tuple(field.name for field in fields(Alert))


def to_plain(alert: Alert) -> dict[str, Any]:
    """Give every field of an alert as JSON values. `dataclasses.asdict` would copy every value: ten times the time, and
    a flood stores thousands at once."""
    plain = {name: getattr(alert, name) for name in _ALERT}
    plain["client"] = alert.client._asdict()
    plain["because"] = [one._asdict() for one in alert.because]
    plain["evidence"] = [one._asdict() for one in alert.evidence]
    plain["timeline"] = [one._asdict() for one in alert.timeline]
    return plain


def from_plain(plain: dict[str, Any]) -> Alert:
    """Take an alert back; `TypeError` or `KeyError` when it was not written by `to_plain`."""
    values = dict(plain)
    values["client"] = Client(**values["client"])
    values["because"] = tuple(Reason(**reason) for reason in values["because"])
    values["evidence"] = tuple(Evidence(**line) for line in values["evidence"])
    values["timeline"] = tuple(Trace(**trace) for trace in values.get("timeline", ()))  # old rows have none
    for name in _TUPLES:
        values[name] = tuple(values[name])
    return Alert(**values)
