"""The alert that `dnswatch sink test` sends: marked as a test in every format, and of nobody.

Never: stored, counted or numbered among the alerts of a sink. Read next: ``flat.py``.
"""

from __future__ import annotations

from dnswatch.core.alerts.flat import BLIND_SPOT
from dnswatch.core.detect.episodes import alert_id
from dnswatch.core.model import Alert, Client, Reason

SERVICE, RULE, STREAM = "sink-test", "DNSW-test", "test"


def trial(sink: str, at: float) -> Alert:
    """Make one for a sink; its id differs each time."""
    because = (
        Reason(BLIND_SPOT, f"test of sink {sink}"),
        Reason("seen", "sent by `dnswatch sink test`, nothing happened"),
        Reason("means", "alerts arrive here"),
        Reason("act", "nothing"),
    )
    return Alert(
        id=alert_id("", SERVICE, at, sink), rev=1, at=at, state="closed", severity="info", score=0, client=Client(""),
        service=SERVICE, category=BLIND_SPOT, rule_id=RULE, mitre=(), qname="", qtype="", domain="", qnames=(),
        first_at=at, last_at=at, count=1, outcome="observed", answers=(), because=because, evidence=(), cause="test",
    )  # fmt: skip
