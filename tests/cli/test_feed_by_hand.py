"""`dnswatch feed` by hand: block, allow, quarantine, lint, impact, publish, as operators type them."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from dnswatch.cli import root
from dnswatch.core.detect.changes import Changes, SightingRow
from dnswatch.core.feeds.clients import CUT_OFF
from dnswatch.core.model import Decision
from dnswatch.errors import StateError
from dnswatch.io.lock import StateLock
from dnswatch.io.store import FILE, Store

CONFIG = """\
state_dir: {place}/state
clients: {{groups: {{build: {{networks: [10.0.20.0/24]}}, staff: {{networks: [10.1.0.0/16]}}}}}}
expect: [{{who: [group:build], services: [slack-webhook], because: deploys}}]
feeds: {{mode: enforce, directory: {place}/feeds, quarantine: {{automatic: {{}}, never: [10.9.0.1/32]}}}}
"""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A configuration whose zones have been published."""
    (tmp_path / "dnswatch.yaml").write_text(CONFIG.format(place=tmp_path))
    assert feed(tmp_path, "build").exit_code == 0
    return tmp_path


def feed(place: Path, *arguments: str) -> Result:
    return CliRunner().invoke(root, ["--config", str(place / "dnswatch.yaml"), "feed", *arguments])


def triggers(place: Path, audience: str) -> dict[str, str | None]:
    (zone,) = json.loads(feed(place, "show", audience, "--json").stdout)
    return {rule["trigger"]: rule["because"] for rule in zone["triggers"]}


def stored(
    place: Path, decisions: tuple[Decision, ...] = (), seen: tuple[tuple[str, str, str, bool], ...] = ()
) -> None:
    at = time.time() - 60
    rows = [SightingRow(int(at) // 3600 * 3600, client, name, "A", service, expected, at, at, 3)
            for client, name, service, expected in seen]  # fmt: skip

    async def work() -> None:
        async with await Store.open(place / "state" / FILE) as store:
            await store.checkpoint([], Changes({}, rows), decisions=decisions)

    asyncio.run(work())


def test_names_are_blocked_and_allowed_for_whom_it_was_said(place: Path) -> None:
    """In that group's zone only, with its reason; listed, removed, and gone."""
    said = feed(place, "block", "add", "evil.example.com", "--because", "case 1", "--for-group", "staff",
                "--for", "2h", "--owner", "soc")  # fmt: skip
    assert said.exit_code == 0, said.output
    assert "case 1 (owner soc" in (triggers(place, "staff")["*.evil.example.com"] or "")
    assert "evil.example.com" not in triggers(place, "any")
    assert feed(place, "allow", "add", "webhook.site", "--because", "training", "--for-group", "any").exit_code == 0
    assert "webhook.site" not in triggers(place, "any")
    assert "webhook.site" in triggers(place, "staff")
    (row,) = json.loads(feed(place, "block", "list", "--json").stdout)
    assert (row["names"], row["audiences"], row["state"]) == (["evil.example.com"], ["staff"], "valid")
    assert feed(place, "block", "remove", "1").exit_code == 0
    assert "evil.example.com" not in triggers(place, "staff")
    assert feed(place, "block", "remove", "evil.example.com").exit_code == 2


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (("block", "add", "co.uk", "--because", "x"), "public suffix"),
        (("block", "add", "a.example", "--because", "x", "--for-group", "stafff"), "did you mean 'staff'?"),
        (("block", "add", "dnswatch.internal", "--because", "x"), "a name of the feed itself"),
        (("block", "add", "x.staff.rpz.dnswatch.internal", "--because", "x"), "a name of the feed itself"),
        (("block", "add", ".".join(["x" * 60] * 4), "--because", "x"), "longer than 255 octets"),
        (("block", "add", "*.a.example", "--because", "x"), "wildcard"),
        (("block", "add", "a.example.com", "--because", "x", "--until", "2020-01-01"), "has passed"),
        (("block", "add", "a.example.com"), "--because"),
        (("quarantine", "add", "10.9.0.1", "--because", "x"), "never cut off"),
        (("quarantine", "add", "127.0.0.1", "--because", "x"), "never cut off"),
        (("quarantine", "add", "10.0.0.0/8", "--because", "x"), "a site, not a client"),
        (("quarantine", "add", "group:staff", "--because", "x"), "single clients"),
        (("quarantine", "remove", "10.1.2.3"), "cut off by no command"),
        (("publish", "--force"), "needs --because"),
    ],
)
def test_what_is_not_meant_is_a_usage_error(place: Path, arguments: tuple[str, ...], what: str) -> None:
    """Nothing is written, and the message says what would be right."""
    said = feed(place, *arguments)
    assert (said.exit_code, what in said.output) == (2, True), said.output
    assert not (place / "conf.d").exists() or not list((place / "conf.d").iterdir())


def test_a_block_of_something_expected_says_so_and_an_override_blocks_it(place: Path) -> None:
    """The expectation wins; the explicit word is stronger, and lint notes it."""
    said = feed(place, "block", "add", "hooks.slack.com", "--because", "case 2", "--for-group", "build")
    assert "slack-webhook is expected there" in said.stderr
    assert "hooks.slack.com" not in triggers(place, "build")
    assert feed(place, "lint").exit_code == 1
    feed(place, "block", "remove", "1")
    feed(place, "block", "add", "hooks.slack.com", "--because", "case 2", "--for-group", "build",
         "--override", "expected")  # fmt: skip
    assert "hooks.slack.com" in triggers(place, "build")
    found = json.loads(feed(place, "lint", "--json").stdout)
    assert {one["level"] for one in found} == {"note"}


def test_a_client_is_cut_off_and_let_back(place: Path) -> None:
    """In the first zone, with its reason; by hand and by decision; who ordered it is kept."""
    said = feed(place, "quarantine", "add", "10.1.2.3", "--because", "stealer", "--for", "1h")
    assert said.exit_code == 0, said.output
    assert "stealer" in (triggers(place, "quarantine")["32.3.2.1.10.rpz-client-ip"] or "")
    stored(place, (Decision("10.1.2.4", CUT_OFF, "", "3 attempts over TCP", time.time() + 600),))
    rows = json.loads(feed(place, "quarantine", "list", "--json").stdout)
    assert [(row["network"], row["by"], row["cut_off"]) for row in rows] == [
        ("10.1.2.3/32", "hand", True), ("10.1.2.4/32", "dnswatch", True),
    ]  # fmt: skip
    assert feed(place, "quarantine", "remove", "10.1.2.3").exit_code == 0
    assert "lifted when it runs again" in feed(place, "quarantine", "remove", "10.1.2.4").output

    async def asked() -> list[object]:
        async with await Store.open(place / "state" / FILE) as store:
            return [one.data["alert"] for one in await store.asked()]

    assert asyncio.run(asked()) == [f"{CUT_OFF} 10.1.2.4"]


def test_lint_proves_a_clean_policy(place: Path) -> None:
    """Exit 0, and how much was proven."""
    said = feed(place, "lint")
    assert said.exit_code == 0, said.output
    assert said.stderr.startswith("proven for ")
    assert "bind, dnsdist, knot, powerdns, unbound, dnsmasq: 0 errors, 0 warnings" in said.stderr


def test_impact_counts_by_audience_and_names_expected_clients(place: Path) -> None:
    """Exit 1 when an expected client would be hit; what was ordered is told and no finding."""
    stored(place, seen=(("10.1.0.9", "webhook.site", "webhook-site", False),
                        ("10.0.20.5", "hooks.slack.com", "slack-webhook", True)))  # fmt: skip
    said = feed(place, "impact", "--json")
    assert said.exit_code == 0
    found = json.loads(said.stdout)
    assert [(one["audience"], one["service"], one["expected"], one["others"]) for one in found["effects"]] == [
        ("staff", "webhook-site", 0, 1)
    ]
    feed(place, "block", "add", "hooks.slack.com", "--because", "x", "--override", "expected")
    found = json.loads(feed(place, "impact", "--json").stdout)
    assert [(one["client_ip"], one["ordered"]) for one in found["expected"]] == [("10.0.20.5", True)]
    assert feed(place, "impact").exit_code == 0


def test_a_new_epoch_begins_serials_anew_while_nobody_serves_them(place: Path) -> None:
    """Refused beside a running daemon; afterwards the clock counts again."""

    async def ahead() -> None:
        async with await Store.open(place / "state" / FILE) as store:
            from dataclasses import replace

            latest = await store.latest_snapshots()
            await store.save_snapshots([replace(one, serial=one.serial + 10**8) for one in latest.values()])

    asyncio.run(ahead())
    assert "days ahead of the clock" in feed(place, "lint").output
    with StateLock(place / "state"):
        refused = feed(place, "publish", "--new-epoch", "--because", "clock")
    assert isinstance(refused.exception, StateError)
    said = feed(place, "publish", "--new-epoch", "--because", "clock")
    assert said.exit_code == 0, said.output
    assert "rndc retransfer" in said.stderr
    assert abs(json.loads(feed(place, "show", "any", "--json").stdout)[0]["serial"] - time.time()) < 60
