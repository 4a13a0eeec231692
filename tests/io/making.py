"""Alerts and engine rows for tests of the store and of delivery."""

from typing import Any

from dnswatch.core.detect.changes import SightingRow
from dnswatch.core.model import Alert, Client, Evidence, Position, Reason
from dnswatch.io.store import SourceState

AT = 1_790_000_000.0


def alert(number: int = 1, rev: int = 1, **fields: Any) -> Alert:
    """Make revision ``rev`` of the alert with this number; distinct numbers are distinct alerts."""
    made: dict[str, Any] = {
        "id": f"{number:026d}", "rev": rev, "at": AT + number + rev, "state": "open", "severity": "high", "score": 60,
        "client": Client("10.0.10.7", "servers", "server", "db-1", "10:20:30:40:50:59"), "service": "telegram-bot",
        "category": "bot-api", "rule_id": "DNSW-bot-api", "mitre": ("T1102.002",), "qname": "api.telegram.org",
        "qtype": "A", "domain": "telegram.org", "qnames": ("api.telegram.org",), "first_at": AT + number,
        "last_at": AT + number + rev, "count": rev, "outcome": "observed", "answers": (),
        "because": (Reason("base", "Telegram Bot API is watched", 40), Reason("unexpected", "nobody expects it")),
        "evidence": (Evidence("/var/log/named/query.log", 512, "client 10.0.10.7 query: api.telegram.org"),),
        "cause": "opened" if rev == 1 else "count",
    }  # fmt: skip
    return Alert(**{**made, **fields})


def sighting(hour: int = 1_790_002_800, client: str = "10.0.10.7", count: int = 1, **fields: Any) -> SightingRow:
    """Make an increment of one hourly bucket."""
    made: dict[str, Any] = {
        "hour": hour, "client": client, "qname": "api.telegram.org", "qtype": "A", "service": "telegram-bot",
        "expected": False, "first_at": hour + 10.0, "last_at": hour + 20.0, "count": count,
    }  # fmt: skip
    return SightingRow(**{**made, **fields})


def state(source: str = "bind", offset: int = 0, **digest: Any) -> SourceState:
    """Make the state of a source that has been read up to ``offset``."""
    return SourceState(Position(source, "/var/log/named/query.log", offset, 1, 2, "ab", 2, "cd", 2), digest)
