"""The dnsmasq example as it is shipped: alerts within two seconds, and after promotion names that nobody may use."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

import pytest

from tests.live.example_alerts import WATCHED, build, outcomes, revisions, seconds_to_alert
from tests.live.servers import (
    ADDRESS,
    Answer,
    Daemon,
    Installed,
    dig,
    dnswatch,
    environment,
    example,
    rsyslog,
    version,
    wait_for,
)
from tests.running import quickest

BLOCKED, PASSED = Answer("NXDOMAIN", ()), Answer("NOERROR", (ADDRESS,))
UNEXPECTED, EXPECTED, SINGLE = "127.1.2.3", "127.0.20.9", "127.0.10.7"


@pytest.fixture(scope="module")
def watched() -> Iterator[Installed]:
    """dnsmasq and dnswatch of the example, side by side, with a real rsyslog behind /dev/log."""
    with example("dnsmasq", build) as installed, rsyslog(installed), Daemon(installed):
        yield installed


def test_the_shipped_configuration_is_whole(watched: Installed) -> None:
    """dnsmasq --test takes it, and this is the dnsmasq that we claim."""
    config = watched.path("/etc/dnsmasq.conf")
    said = subprocess.run(["dnsmasq", "--test", "-C", str(config)], capture_output=True, text=True, timeout=60,
                          env=environment(), check=False)  # fmt: skip
    assert (said.returncode, "syntax check OK" in said.stderr) == (0, True)
    assert version("dnsmasq", "--version").startswith("Dnsmasq version 2.")


@pytest.mark.parametrize(("name", "service"), sorted(WATCHED.items()))
def test_an_unexpected_lookup_is_an_alert_within_two_seconds(watched: Installed, name: str, service: str) -> None:
    """From dig to the JSONL file and to rsyslog."""

    def alerted(attempt: int) -> float:
        client = f"127.1.9.{attempt}" if attempt else UNEXPECTED  # the first alert of a client is the one that is meant
        return seconds_to_alert(watched, client, name, service, PASSED)

    quickest(2, alerted)
    alert = revisions(watched, UNEXPECTED, service)[0]
    assert (alert["rev"], alert["qname"], alert["client_group"]) == (1, name, "staff")


def test_expected_clients_raise_nothing(watched: Installed) -> None:
    """A later alert of somebody else proves that both lookups were read."""
    assert dig(watched.port(), EXPECTED, "hooks.slack.com") == PASSED
    assert dig(watched.port(), SINGLE, "api.telegram.org") == PASSED
    assert dig(watched.port(), "127.1.2.5", "hooks.slack.com") == PASSED
    assert wait_for(lambda: revisions(watched, "127.1.2.5", "slack-webhook"), 5)
    assert not revisions(watched, EXPECTED, "slack-webhook")
    assert not revisions(watched, SINGLE, "telegram-bot")


def test_promotion_blocks_only_what_nobody_is_expected_to_use(watched: Installed) -> None:
    """dnsmasq reads the list on SIGHUP; names that somebody may use pass for everybody."""
    listed = watched.path("/var/cache/dnswatch/dnsmasq.servers")
    lines = [line for line in listed.read_text().splitlines() if "server=" in line]
    assert all(line.endswith(".canary.dnswatch.invalid/") for line in lines)  # shadow: no name that anybody wants
    done = dnswatch(watched, "feed", "promote")
    assert done.returncode == 0, done.stderr + done.stdout
    assert "nothing was measured there" in done.stdout
    assert wait_for(lambda: dig(watched.port(), UNEXPECTED, "webhook.site") == BLOCKED, 10)
    for client in (UNEXPECTED, EXPECTED, SINGLE, "127.0.0.1"):
        for name in ("webhook.site", "c0ffee.webhook.site", "deep.a.ngrok.io", "hooks.zapier.com"):
            assert dig(watched.port(), client, name) == BLOCKED, (client, name)
        for name in ("hooks.slack.com", "api.telegram.org", "discord.com", "ngrok.io", "example.test", "xwebhook.site"):
            assert dig(watched.port(), client, name) == PASSED, (client, name)
        assert dig(watched.port(), client, "webhook.site", "AAAA").status == "NXDOMAIN"


def test_a_block_is_an_outcome_and_shadow_takes_it_back(watched: Installed) -> None:
    """dnsmasq logs NXDOMAIN as its own answer; `promote --to shadow` empties the list again."""
    assert wait_for(lambda: dig(watched.port(), "127.1.2.6", "webhook.site") == BLOCKED, 5)
    assert wait_for(lambda: "blocked" in outcomes(watched, "127.1.2.6", "webhook-site"), 5)
    assert dnswatch(watched, "feed", "promote", "--to", "shadow").returncode == 0
    assert wait_for(lambda: dig(watched.port(), UNEXPECTED, "webhook.site") == PASSED, 10)
