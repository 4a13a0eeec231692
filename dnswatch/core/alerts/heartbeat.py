"""Heartbeats: what a sink's receiver is told every few minutes, so that it can prove that nothing is missing.

``sequence`` is the number of the last message before this one: whoever has all numbers up to it, of this ``stream``,
has everything. Silence for longer than ``every`` means that dnswatch or the way from it is down. Never: numbered
itself. Read next: ``rfc5424.py``.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from dnswatch.core.alerts.context import Context
from dnswatch.core.alerts.flat import rfc3339
from dnswatch.core.alerts.rfc3164 import local_header
from dnswatch.core.alerts.rfc5424 import header, stream_data

MESSAGE_ID = "DNSW-HB"


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """How delivery to one sink stands."""

    at: float  # wall time
    every: int  # seconds until the next one
    sequence: int  # number of the last message handed over
    waiting: int  # revisions not handed over yet
    oldest: int  # seconds that the oldest of them has waited
    dropped: int  # messages ever given up by the sink's bounds; each has a number that never arrives
    refused: int  # dead letters: revisions that this receiver refused
    uptime: int  # seconds since dnswatch started

    def counters(self) -> dict[str, int]:
        """Give everything but the time."""
        return {name: value for name, value in asdict(self).items() if name != "at"}


def render(beat: Heartbeat, context: Context) -> bytes:
    """Write it as an RFC 5424 message: counters as structured data and as text."""
    params = " ".join(f'{name}="{value}"' for name, value in beat.counters().items())
    data = f"[dnswatch.heartbeat@{context.enterprise_id} {params}]{stream_data(context, numbered=False)}"
    text = f"dnswatch is alive: {beat.sequence} messages so far, {beat.waiting} waiting, {beat.dropped} dropped"
    return f"{header(beat.at, 'info', MESSAGE_ID, context)} {data} {text}".encode("ascii")


def render_local(beat: Heartbeat, context: Context) -> bytes:
    """Write it as RFC 3164, with one JSON object as its text."""
    fields = {"heartbeat": rfc3339(beat.at), **beat.counters(), "stream": context.stream, "boot": context.boot,
              "sensor": context.sensor}  # fmt: skip
    return local_header(beat.at, "info", context) + json.dumps(fields, separators=(",", ":")).encode("ascii")
