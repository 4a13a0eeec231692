"""What the live tests of both examples share: which names they ask for, and reading the alerts file."""

from __future__ import annotations

import json
import time
from typing import Any

from tests.live.servers import Answer, Installed, dig, dnswatch, wait_for

WATCHED = {"api.telegram.org": "telegram-bot", "hooks.slack.com": "slack-webhook", "webhook.site": "webhook-site"}


def build(installed: Installed) -> None:
    """Do what the README says comes before the resolver's start: write the files that its configuration names."""
    done = dnswatch(installed, "feed", "build")
    assert done.returncode == 0, done.stderr


def alerts_of(installed: Installed) -> list[dict[str, Any]]:
    """Give every line of the JSONL file."""
    path = installed.path("/var/log/dnswatch/alerts.jsonl")
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def revisions(installed: Installed, client: str, service: str) -> list[dict[str, Any]]:
    """Give the revisions of one client and service."""
    return [a for a in alerts_of(installed) if (a["client_ip"], a["service"]) == (client, service)]


def outcomes(installed: Installed, client: str, service: str) -> set[str]:
    """Give the outcomes that any revision of one client and service has had."""
    return {a["outcome"] for a in revisions(installed, client, service)}


def seconds_to_alert(installed: Installed, client: str, name: str, service: str, answer: Answer) -> float:
    """Ask for a name; give how long its first alert takes to the JSONL file and to rsyslog. ``answer`` must come."""
    syslog = installed.path("/var/log/syslog")
    began = time.monotonic()
    assert dig(installed.port(), client, name) == answer
    assert wait_for(lambda: revisions(installed, client, service), 5)
    alert = revisions(installed, client, service)[0]
    assert wait_for(lambda: syslog.exists() and alert["id"] in syslog.read_text(), 5)
    return time.monotonic() - began
