"""The BIND example as it is shipped: alerts within two seconds, shadow read back, promoted, blocked."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.live.example_alerts import WATCHED, build, outcomes, revisions, seconds_to_alert
from tests.live.servers import ADDRESS, Answer, Daemon, Installed, dig, dnswatch, example, rsyslog, wait_for
from tests.running import quickest

BLOCKED, PASSED = Answer("NXDOMAIN", ()), Answer("NOERROR", (ADDRESS,))
UNEXPECTED, EXPECTED, SINGLE = "127.1.2.3", "127.0.20.9", "127.0.10.7"  # staff; build; a server with a bot


@pytest.fixture(scope="module")
def watched() -> Iterator[Installed]:
    """named and dnswatch of the example, side by side, with a real rsyslog behind /dev/log."""
    with example("bind", build) as installed, rsyslog(installed), Daemon(installed):
        yield installed


@pytest.mark.parametrize(("name", "service"), sorted(WATCHED.items()))
def test_an_unexpected_lookup_is_an_alert_within_two_seconds(watched: Installed, name: str, service: str) -> None:
    """From dig to the JSONL file and to rsyslog; in shadow mode the client gets its answer."""

    def alerted(attempt: int) -> float:
        client = f"127.1.9.{attempt}" if attempt else UNEXPECTED  # the first alert of a client is the one that is meant
        return seconds_to_alert(watched, client, name, service, PASSED)

    quickest(2, alerted)
    alert = revisions(watched, UNEXPECTED, service)[0]
    assert (alert["rev"], alert["qname"], alert["client_group"], alert["state"]) == (1, name, "staff", "open")
    assert alert["because"]


def test_what_would_have_been_blocked_is_read_back_from_the_log(watched: Installed) -> None:
    """BIND logs the shadow zone's rewrite; the alert says would-block."""
    assert dig(watched.port(), "127.1.2.4", "hooks.slack.com") == PASSED
    assert wait_for(
        lambda: any(a["outcome"] == "would-block" for a in revisions(watched, "127.1.2.4", "slack-webhook")), 5
    )


def test_expected_clients_raise_nothing(watched: Installed) -> None:
    """A group's expectation and a single client's: a later alert of somebody else proves that both were read."""
    assert dig(watched.port(), EXPECTED, "hooks.slack.com") == PASSED
    assert dig(watched.port(), SINGLE, "api.telegram.org") == PASSED
    assert dig(watched.port(), "127.1.2.5", "hooks.slack.com") == PASSED
    assert wait_for(lambda: revisions(watched, "127.1.2.5", "slack-webhook"), 5)
    assert not revisions(watched, EXPECTED, "slack-webhook")
    assert not revisions(watched, SINGLE, "telegram-bot")


def test_promotion_blocks_the_unexpected_and_only_them(watched: Installed) -> None:
    """`feed promote` shows the measure and asks the daemon; named answers NXDOMAIN to staff, addresses to build."""
    dig(watched.port(), UNEXPECTED, "hooks.slack.com")
    assert wait_for(lambda: revisions(watched, UNEXPECTED, "slack-webhook"), 5)
    assert wait_for(lambda: "unexpected  127." in dnswatch(watched, "feed", "promote", "--dry-run").stdout)
    done = dnswatch(watched, "feed", "promote")
    assert done.returncode == 0, done.stderr + done.stdout
    assert "unexpected  127." in done.stdout
    assert "EXPECTED" not in done.stdout
    assert "asked to reload" in done.stdout
    assert wait_for(lambda: dig(watched.port(), UNEXPECTED, "hooks.slack.com") == BLOCKED, 10)
    assert wait_for(lambda: dig(watched.port(), EXPECTED, "api.telegram.org") == BLOCKED, 10)  # a zone of its own
    for name in WATCHED:
        assert dig(watched.port(), UNEXPECTED, name) == BLOCKED
        assert dig(watched.port(), SINGLE, name) == PASSED
    assert dig(watched.port(), EXPECTED, "hooks.slack.com") == PASSED
    assert wait_for(lambda: revisions(watched, EXPECTED, "telegram-bot"), 5)
    assert not revisions(watched, EXPECTED, "slack-webhook")


def test_a_block_is_an_outcome(watched: Installed) -> None:
    """The alert of a blocked lookup says so, and `feed show` that the zones are enforced."""
    assert wait_for(lambda: dig(watched.port(), "127.1.2.6", "webhook.site") == BLOCKED, 5)
    assert wait_for(lambda: "blocked" in outcomes(watched, "127.1.2.6", "webhook-site"), 5)
    shown = json.loads(dnswatch(watched, "feed", "show", "--json").stdout)
    assert {zone["audience"]: zone["mode"] for zone in shown}["staff"] == "enforce"
    assert all(zone["published"] for zone in shown)


def test_probing_tells_which_zones_a_client_is_served(watched: Installed) -> None:
    """A client of staff gets its group's zone and exempt, both of the last serial; nobody there is exit 4."""
    resolver = f"127.0.0.1:{watched.port()}"

    def states() -> dict[str, str]:
        done = dnswatch(watched, "feed", "probe", resolver, "--source", UNEXPECTED, "--json")
        return {row["zone"].split(".")[0]: row["state"] for row in json.loads(done.stdout)}

    served = {"quarantine", "exempt", "staff"}
    assert wait_for(lambda: {name for name, state in states().items() if state == "live"} == served, 10)
    assert set(states().values()) == {"live", "none"}
    done = dnswatch(watched, "feed", "probe", resolver, "--source", UNEXPECTED)
    assert (done.returncode, "answers from this serial" in done.stdout) == (0, True)
    assert dnswatch(watched, "feed", "probe", "127.0.0.1:1").returncode == 4
