"""`dnswatch feed`: what operators type and read."""

from __future__ import annotations

import asyncio
import json
import os
import time
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from dnswatch.cli import root
from dnswatch.config.build import load_policy
from dnswatch.core.detect.changes import Changes, SightingRow
from dnswatch.core.detect.engine import Engine
from dnswatch.core.model import Lease
from dnswatch.errors import ConfigError, FeedRefused
from dnswatch.io.lock import StateLock
from dnswatch.io.store import FILE, Store

CONFIG = """\
state_dir: {state}
clients: {{groups: {{build: {{networks: [10.0.20.0/24], role: ci}}}}}}
expect:
  - {{who: [group:build], services: [slack-webhook], because: deploys}}
  - {{who: ["name:printer-3"], services: [telegram-bot], because: toner}}
feeds: {{directory: {feeds}}}
"""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A configuration in a directory of its own."""
    text = CONFIG.format(state=tmp_path / "state", feeds=tmp_path / "feeds")
    (tmp_path / "dnswatch.yaml").write_text(text)
    return tmp_path


def feed(place: Path, *arguments: str) -> Result:
    found = CliRunner().invoke(root, ["--config", str(place / "dnswatch.yaml"), "feed", *arguments])
    if found.exception is not None and not isinstance(found.exception, SystemExit | FeedRefused | ConfigError):
        raise found.exception
    return found


def listing(place: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (place / "feeds").iterdir()}


def saw(place: Path, *rows: tuple[str, str, str, bool]) -> None:
    """Store attempts of (client, qname, service, expected)."""
    at = time.time() - 60

    async def work() -> None:
        async with await Store.open(place / "state" / FILE) as store:
            sightings = [SightingRow(int(at) // 3600 * 3600, client, qname, "A", service, expected, at, at, 3)
                         for client, qname, service, expected in rows]  # fmt: skip
            await store.checkpoint([], Changes({}, sightings))

    (place / "state").mkdir(exist_ok=True)
    asyncio.run(work())


def test_build_writes_every_file_once(place: Path) -> None:
    """A second build changes nothing: same serials, same bytes."""
    first = feed(place, "build")
    assert first.exit_code == 0
    assert "11 of 11 files written" in first.stderr
    before = listing(place)
    zones = [f"{name}.rpz.dnswatch.internal.zone" for name in ("any", "build", "exempt", "quarantine")]
    assert sorted(before) == sorted([*zones, "adblock.txt", "adguard.txt", "dnsmasq.servers", "domains.txt",
                                     "feeds.json", "hosts.txt", "unbound.local-zones"])  # fmt: skip
    again = feed(place, "build")
    assert "0 of 11 files written, 11 were up to date" in again.stderr
    assert listing(place) == before
    assert b"rpz-passthru." in before["any.rpz.dnswatch.internal.zone"]


def test_show_says_what_each_format_cannot_say(place: Path) -> None:
    """Counted per format in the table, named with why for the list itself; JSON has both; overviews can be printed."""
    text = (place / "dnswatch.yaml").read_text()
    (place / "dnswatch.yaml").write_text(text.replace("feeds: {", "feeds: {mode: enforce, "))
    shown = feed(place, "show").output
    assert "FORMAT" in shown
    (plain,) = json.loads(feed(place, "show", "everyone", "--json").output)
    cannot = {entry["format"]: entry["triggers"] for entry in plain["formats"]}
    assert cannot["adblock"] == cannot["hosts"] == cannot["domains"]
    assert cannot["dnsmasq"] == {}
    assert all(trigger.startswith("*.") for trigger in cannot["unbound"])
    assert {trigger: f"would block {trigger[2:]}, too" for trigger in cannot["unbound"]} == cannot["unbound"]
    assert (
        f"  adblock leaves out {next(iter(cannot['adblock']))}: would block" in feed(place, "show", "everyone").output
    )
    names = json.loads(feed(place, "show", "--format", "json").output)["names"]
    slack = [entry for entry in names if entry["name"] == "hooks.slack.com" and entry["action"] == "nxdomain"]
    assert [entry["audience"] for entry in slack] == [["any"]]
    assert slack[0]["service"] == "slack-webhook"
    assert "|hooks.slack.com^$client=~10.0.20.0/24" in feed(place, "show", "--format", "adguard").output
    assert feed(place, "show", "any", "--format", "adguard").exit_code == 2


def test_build_asks_a_running_daemon_instead(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The daemon owns directory and serials."""
    asked: list[Path] = []
    monkeypatch.setattr("dnswatch.cli.feed.request_reload", asked.append)
    with StateLock(place / "state"):
        said = feed(place, "build")
    assert said.exit_code == 0
    assert "was asked to rebuild" in said.output
    assert asked == [place / "state"]
    assert not (place / "feeds").exists()


def test_build_into_another_directory_records_nothing(place: Path) -> None:
    """A copy to look at: no serials, no hooks, the store stays as it is."""
    assert feed(place, "build", "--output", str(place / "copy")).exit_code == 0
    assert (place / "copy" / "any.rpz.dnswatch.internal.zone").exists()
    assert not (place / "state").exists()


def test_build_from_the_catalogue_needs_no_configuration(tmp_path: Path) -> None:
    """Like a public list: everything safe to block, for everybody, enforced."""
    said = CliRunner().invoke(root, ["--config", "/nonexistent", "feed", "build", "--catalogue", "--output",
                                     str(tmp_path / "out")])  # fmt: skip
    assert said.exit_code == 0, said.output
    zone = (tmp_path / "out" / "any.rpz.dnswatch.internal.zone").read_text()
    assert "\nhooks.slack.com.any.rpz.dnswatch.internal. 60 IN CNAME .\n" in zone
    assert "server=/webhook.site/" in (tmp_path / "out" / "dnsmasq.servers").read_text()


def test_show_lists_zones_and_what_they_leave_out(place: Path) -> None:
    """Audience, mode, serial, counts; then each omission with its reason."""
    said = feed(place, "show")
    assert said.exit_code == 0
    lines = said.output.splitlines()
    assert lines[0].split() == ["AUDIENCE", "ZONE", "MODE", "SERIAL", "PUBLISHED", "RULES", "LEFT", "OUT"]
    assert [line.split()[0] for line in lines[1:6]] == ["quarantine", "build", "any", "exempt", "everyone"]
    assert any("slack-webhook" in line and "group build is expected to use" in line for line in lines)
    assert any("discord" in line and "would also break people" in line for line in lines)
    assert "not yet" in lines[1]
    feed(place, "build")
    assert "not yet" not in feed(place, "show").output


def test_show_one_zone_as_rules_json_or_file(place: Path) -> None:
    """By audience or name; in a format, exactly the bytes of the published file."""
    feed(place, "build")
    rules = feed(place, "show", "build").output
    assert "  api.telegram.org passthru" in rules
    assert "left out: slack-webhook" in rules
    plain = json.loads(feed(place, "show", "any.rpz.dnswatch.internal", "--json").output)
    assert plain[0]["audience"] == "any"
    rule = {"trigger": "api.telegram.org", "action": "passthru", "addresses": [], "because": None}
    assert rule in plain[0]["triggers"]
    text = feed(place, "show", "build", "--format", "rpz").output
    assert text.encode() == listing(place)["build.rpz.dnswatch.internal.zone"]


def test_show_says_what_would_be_right(place: Path) -> None:
    """An unknown zone and a format that does not carry it are usage errors with the alternatives."""
    unknown = feed(place, "show", "biuld")
    assert unknown.exit_code == 2
    assert "there are quarantine, build, any, exempt, everyone" in unknown.output
    wrong = feed(place, "show", "everyone", "--format", "rpz")
    assert wrong.exit_code == 2
    assert "written in adblock, dnsmasq" in wrong.output


def test_diff_shows_what_publishing_would_change(place: Path) -> None:
    """Nothing after a build; after a new expectation its zone, rule by rule; between serials too."""
    assert "+ api.telegram.org passthru" in feed(place, "diff").output
    feed(place, "build")
    assert feed(place, "diff").output == "Nothing would change.\n"
    config = place / "dnswatch.yaml"
    config.write_text(config.read_text().replace("[slack-webhook]", "[slack-webhook, webhook-site]"))
    said = feed(place, "diff").output
    assert said.startswith("build.rpz.dnswatch.internal: serial ")
    assert "- webhook.site passthru" in said
    assert "any.rpz" not in said
    old = json.loads(feed(place, "diff", "--json").output)[0]["from_serial"]
    feed(place, "build")
    new = json.loads(feed(place, "show", "build", "--json").output)[0]["serial"]
    for serials in ([old], [old, new]):
        between = json.loads(feed(place, "diff", *map(str, serials), "--json").output)
        assert [(delta["from_serial"], delta["to_serial"]) for delta in between] == [(old, new)]
        assert "webhook.site passthru" in between[0]["removed"]
    assert feed(place, "diff", "7").exit_code == 2


def test_promote_shows_the_measure_and_publishes(place: Path) -> None:
    """Who would have been blocked; then the mode stands in conf.d and the files block."""
    zone = "any.rpz.dnswatch.internal"
    saw(place, ("10.9.0.1", "api.telegram.org", "telegram-bot", False), ("10.0.20.5", "hooks.slack.com",
        "slack-webhook", True))  # fmt: skip
    dry = feed(place, "promote", "--dry-run")
    assert dry.exit_code == 0
    assert not (place / "conf.d").exists()
    said = feed(place, "promote")
    assert said.exit_code == 0, said.output
    assert "6 attempts seen; enforcing would have blocked 3 attempts of 1 client" in said.output
    assert "unexpected  10.9.0.1 (in no group)  telegram-bot  3 attempts" in said.output
    assert "shadow -> enforce" in said.output
    assert "mode: enforce" in (place / "conf.d" / "90-feeds-mode.yaml").read_text()
    assert (
        b"api.telegram.org.any.rpz.dnswatch.internal. 60 IN CNAME .\n"
        in listing(place)["any.rpz.dnswatch.internal.zone"]
    )
    assert "enforce already" in feed(place, "promote").output
    assert feed(place, "promote", "--to", "shadow").exit_code == 0
    assert b"CNAME .\n" not in listing(place)[f"{zone}.zone"]


def test_promote_refuses_when_an_expected_client_would_be_hit(place: Path) -> None:
    """printer-3 is expected by name, and nobody knows its address: nothing changes without a reason."""
    saw(place, ("10.1.0.33", "api.telegram.org", "telegram-bot", True))
    refused = feed(place, "promote")
    assert isinstance(refused.exception, FeedRefused)
    assert "1 expected client would be blocked" in str(refused.exception)
    assert "EXPECTED    10.1.0.33" in refused.output
    assert not (place / "conf.d").exists()
    assert feed(place, "promote", "--force").exit_code == 2
    forced = feed(place, "promote", "--force", "--because", "printer is\nscrapped")
    assert forced.exit_code == 0
    kept = (place / "conf.d" / "90-feeds-mode.yaml").read_text()
    assert kept.endswith("shadow -> enforce: printer is scrapped\n")


def test_promote_reports_the_effect_as_json(place: Path) -> None:
    """For a change board: every client, nothing else on stdout."""
    saw(place, ("10.9.0.1", "api.telegram.org", "telegram-bot", False))
    said = feed(place, "promote", "--dry-run", "--json")
    plain = json.loads(said.stdout)
    assert plain["attempts"] == 3
    assert plain["would_block"][0]["client_ip"] == "10.9.0.1"
    assert plain["would_block"][0]["expected"] is False


def test_promote_without_any_history_says_so(place: Path) -> None:
    """Nothing measured is not the same as nothing hit."""
    assert "Nothing was measured" in feed(place, "promote", "--dry-run").output


def test_a_failing_hook_is_told_and_fails_the_promotion(place: Path) -> None:
    """The files are right, but the resolver may still serve the old ones."""
    config = place / "dnswatch.yaml"
    config.write_text(config.read_text().replace("feeds: {", "feeds: {on_change: [{run: [/nonexistent/rndc]}], "))
    assert "warning: cannot run `/nonexistent/rndc`" in feed(place, "build").output
    said = feed(place, "promote")
    assert said.exit_code == 1
    assert "cannot run `/nonexistent/rndc`" in said.output


def test_mode_off_publishes_nothing_and_says_so(place: Path) -> None:
    """Neither files nor silence."""
    config = place / "dnswatch.yaml"
    config.write_text(config.read_text().replace("feeds: {", "feeds: {mode: 'off', "))
    assert "feeds.mode is off: nothing is published" in feed(place, "build").output
    assert listing(place) == {}
    assert "feeds.mode is off" in feed(place, "show").output


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make files for somebody else")
def test_what_root_builds_belongs_to_the_daemons_user(place: Path) -> None:
    """`sudo dnswatch feed build` must not leave a store and zones that the daemon cannot write."""
    for directory in ("state", "feeds"):
        (place / directory).mkdir()
        os.chown(place / directory, 65534, 65534)
    assert feed(place, "build").exit_code == 0
    made = [*(place / "state").iterdir(), *(place / "feeds").iterdir()]
    assert len(made) >= 6
    assert {path.stat().st_uid for path in made} == {65534}


def test_clients_known_by_name_are_exempt_at_the_address_the_daemon_learned(place: Path) -> None:
    """Without the daemon, a build still knows who held which address: from its stored rows."""
    at = time.time() - 60
    engine = Engine(load_policy(place / "dnswatch.yaml").policy)
    engine.identity.learn(Lease(at, "10.1.0.33", "printer-3", "", None))

    async def work() -> None:
        async with await Store.open(place / "state" / FILE) as store:
            await store.checkpoint([], engine.changes())

    (place / "state").mkdir()
    asyncio.run(work())
    assert "32.33.0.1.10.rpz-client-ip passthru" in feed(place, "show", "exempt").output


def test_promote_says_where_nothing_was_measured(place: Path) -> None:
    """dnsmasq cannot log it, PowerDNS only with a hook, and of other resolvers nothing is read."""
    config = place / "dnswatch.yaml"
    config.write_text(config.read_text() + "dns:\n  listen: 127.0.0.1:5399\n  consumers: [{name: ns2, address: "
                      "127.0.0.9, type: powerdns, networks: [127.0.0.9/32]}, {name: odd, address: 127.0.0.8, "
                      "type: other, networks: [127.0.0.8/32]}]\n")  # fmt: skip
    part = place / "conf.d" / "50-readers.yaml"
    part.parent.mkdir(exist_ok=True)
    part.write_text("feeds: {resolvers: [{name: k1, address: 127.0.0.7, type: knot}]}\n")
    said = feed(place, "promote", "--dry-run").output
    assert "dnsmasq, where it is used" in said
    assert "PowerDNS logs no policy hit by itself" in said
    assert "odd, k1: no log tells what such a resolver (Knot, dnsdist) would have blocked" in said
    assert len(json.loads(feed(place, "promote", "--dry-run", "--json").stdout)["unmeasured"]) == 3


def test_who_is_known_by_a_lease_file_alone_is_exempt_at_once(place: Path) -> None:
    """No daemon has learned it: `feed build` reads the file and publishes what `feed show` shows."""
    (place / "leases").write_text(f"{int(time.time()) + 900} 10:20:30:40:50:59 10.1.0.33 printer-3 *\n")
    config = place / "dnswatch.yaml"
    text = config.read_text()
    config.write_text(text.replace("clients: {", f"clients: {{leases: [{place / 'leases'}], "))
    assert config.read_text() != text
    assert feed(place, "promote").exit_code == 0
    assert b"32.33.0.1.10.rpz-client-ip" in listing(place)["exempt.rpz.dnswatch.internal.zone"]
    assert feed(place, "diff").output == "Nothing would change.\n"


def test_promote_does_not_refuse_what_was_ordered_in_so_many_words(place: Path) -> None:
    """A quarantine, and a block that is stronger than expected: shown as ordered; the guard sees it alike."""
    saw(place, ("10.0.20.5", "hooks.slack.com", "slack-webhook", True))
    feed(place, "block", "add", "hooks.slack.com", "--because", "freeze", "--override", "expected")
    said = feed(place, "promote")
    assert said.exit_code == 0, said.output
    assert "as ordered  10.0.20.5 (group build)  slack-webhook" in said.output
    assert "hooks.slack.com nxdomain" in feed(place, "show", "build").output
