"""What the live tests of both examples share: which names they ask for, and reading the alerts file."""

from __future__ import annotations

import json
from typing import Any

from tests.live.servers import Installed, dnswatch

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
