"""What a rendering needs beside the alert: who sends it, and how a sink wants its syslog header.

Never: read by the engine; the same alert renders differently for each sink. Read next: ``rfc5424.py``.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, tzinfo

from dnswatch.core.alerts.triage import Advice, Triage
from dnswatch.core.model import Alert

FACILITIES: dict[str, int] = {
    "kern": 0, "user": 1, "mail": 2, "daemon": 3, "auth": 4, "syslog": 5, "lpr": 6, "news": 7, "uucp": 8, "cron": 9,
    "authpriv": 10, "ftp": 11, **{f"local{n}": 16 + n for n in range(8)},
}  # fmt: skip
"""Syslog facilities by name (RFC 5424 §6.2.1; 12-15 are not for programs)."""
DOCUMENTATION_PEN = 32473
"""Enterprise number reserved for examples (RFC 5612): the default until the operator sets their own."""
PRI_SEVERITY = {"critical": 2, "high": 3, "medium": 4, "low": 5, "info": 6}
"""Severity → syslog severity (delivery research §2.2)."""


@dataclass(frozen=True, slots=True)
class Context:
    """Settings of one sink, and of one message (``sequence``)."""

    sensor: str = "-"  # name of this sensor; also the syslog HOSTNAME
    facility: int = FACILITIES["local0"]
    app_name: str = "dnswatch"
    process_id: str = "-"
    host: str = ""  # RFC 3164 over the network names the host; a local socket must not
    enterprise_id: int = DOCUMENTATION_PEN
    version: str = "0"  # of dnswatch, where a format names it
    sequence: int = 1  # meta sequenceId, counts messages of one sink
    stream: str = ""  # names that count: (stream, sequence) is one message, across restarts
    boot: str = ""  # names this run of the process
    most_bytes: int = 0  # a message must not be longer, else it leaves fields out; 0: no matter
    zone: tzinfo = UTC  # RFC 3164 stamps are local time without saying of which zone
    triage: Triage | None = None  # None: alerts carry no advice

    def advice(self, alert: Alert) -> Advice | None:
        """Give what an analyst should do with an alert, where this sink's alerts carry that."""
        return self.triage.of(alert) if self.triage is not None else None

    def priority(self, severity: str) -> int:
        """Give the syslog PRI value for a severity of ours."""
        return self.facility * 8 + PRI_SEVERITY[severity]
