"""`dnswatch expect propose` as a user meets it."""

import asyncio
import json
from pathlib import Path

import click
import pytest
import yaml
from click.testing import CliRunner, Result

from dnswatch.cli.propose import propose
from dnswatch.config.load import load
from dnswatch.core.detect.changes import Changes, SightingRow
from dnswatch.errors import ConfigError, DnswatchError, StateError
from dnswatch.io.store import Store

AT = 1_795_305_600.0
BIND = (
    "2026-11-22T00:00:{second:02d}.000Z queries: info: client @0x7fa4 {client}#5 ({name}): query: {name} IN A + "
    "(10.0.0.53)\n"
)


def row(client: str, service: str, name: str, day: int = 0) -> SightingRow:
    at = AT + day * 86400
    return SightingRow(int(at), client, name, "A", service, False, at, at + 5, 3)


@pytest.fixture
def main(tmp_path: Path) -> Path:
    """A configuration whose daemon has seen a build group use Slack and one client a request bin."""
    path = tmp_path / "dnswatch.yaml"
    path.write_text(f"""\
state_dir: {tmp_path}/state
sources: [{{type: bind, path: {tmp_path}/query.log}}]
clients: {{groups: {{build: {{networks: [10.0.20.0/24], role: ci}}}}}}
""")
    (tmp_path / "state").mkdir()

    async def fill() -> None:
        store = await Store.open(tmp_path / "state" / "dnswatch.db")
        rows = [row(f"10.0.20.{i}", "slack-webhook", "hooks.slack.com", day) for i in (1, 2) for day in (0, 1)]
        rows.append(row("10.0.10.7", "webhook-site", "webhook.site"))
        await store.checkpoint([], Changes(sightings=rows), [])
        await store.close()

    asyncio.run(fill())
    return path


def run(main: Path, *arguments: object) -> Result:
    context = {"obj": str(main)}
    return CliRunner().invoke(propose, [str(a) for a in arguments], **context)


def test_the_store_suggests_lines_that_load(main: Path) -> None:
    """The output is YAML whose entries are expectations; request bins are left out with the reason."""
    result = run(main)
    assert result.exit_code == 0, result.output
    (entry,) = yaml.safe_load(result.stdout)["expect"]
    assert (entry["who"], entry["services"]) == (["group:build"], ["slack-webhook"])
    assert "# left out:" in result.stdout
    assert "#     webhook-site, 3 lookups by 10.0.10.7\n" in result.stdout


def test_apply_writes_what_was_shown_and_nothing_more(main: Path) -> None:
    """conf.d/90-expect.yaml holds the lines; a second run has nothing left to propose."""
    result = run(main, "--apply")
    assert result.exit_code == 0, result.output
    (entry,) = load(main).expect
    assert (entry.who, entry.services) == (["group:build"], ["slack-webhook"])
    assert "90-expect.yaml" in result.stderr
    assert "No daemon runs" in result.stderr
    assert run(main).stdout.startswith("# nothing to propose")


def test_apply_keeps_what_expect_add_wrote(main: Path) -> None:
    """Entries that are there already stay, in front."""
    part = main.parent / "conf.d" / "90-expect.yaml"
    part.parent.mkdir()
    part.write_text('expect: [{who: ["10.9.9.9"], services: [telegram-bot], because: mine}]\n')
    assert run(main, "--apply").exit_code == 0
    assert next(entry.because for entry in load(main).expect) == "mine"
    assert len(load(main).expect) == 2


def test_a_damaged_part_is_not_overwritten(main: Path) -> None:
    """The problem is named with its place, and the file stays."""
    part = main.parent / "conf.d" / "90-expect.yaml"
    part.parent.mkdir()
    part.write_text("expect: [")
    result = run(main, "--apply")
    assert isinstance(result.exception, ConfigError)
    assert part.read_text() == "expect: ["


def test_json_is_json(main: Path) -> None:
    """--json holds proposals and what was left out."""
    plain = json.loads(run(main, "--json").stdout)
    assert plain["expect"][0]["count"] == 12
    assert plain["left_out"][0]["service"] == "webhook-site"


@pytest.mark.parametrize(("since", "days"), [("1h", 1), ("2026-11-23", 1), ("30d", 2)])
def test_since_counts_back_from_the_last_attempt(main: Path, since: str, days: int) -> None:
    """A duration is relative to the history, so that old logs work; a date is a date."""
    assert json.loads(run(main, "--json", "--since", since).stdout)["expect"][0]["days"] == days


def test_since_that_is_nothing(main: Path) -> None:
    """Exit 2 with both forms that work."""
    result = run(main, "--since", "soon")
    assert result.exit_code == 2
    assert "14d" in result.output


def test_no_store_yet(main: Path) -> None:
    """The message says that dnswatch has not run, and what to do instead."""
    (main.parent / "state" / "dnswatch.db").unlink()
    result = run(main)
    assert isinstance(result.exception, StateError)
    assert "dnswatch expect propose /var/log/named/query.log" in str(result.exception)


def test_logs_suggest_the_same(main: Path) -> None:
    """Log files need no store: the policy of the configuration is used on them."""
    log = main.parent / "query.log"
    log.write_text("".join(BIND.format(second=i, client=f"10.0.20.{i}", name="hooks.slack.com") for i in (1, 2, 3)))
    result = run(main, log)
    assert result.exit_code == 0, result.output
    assert yaml.safe_load(result.stdout)["expect"][0]["who"] == ["group:build"]


def test_logs_without_a_configuration(tmp_path: Path) -> None:
    """The core catalogue and nobody expected; said on stderr, so that stdout stays YAML."""
    log = tmp_path / "query.log"
    log.write_text(BIND.format(second=1, client="10.0.20.1", name="hooks.slack.com"))
    result = run(tmp_path / "none.yaml", log)
    assert result.exit_code == 0, result.output
    assert yaml.safe_load(result.stdout)["expect"][0]["who"] == ["10.0.20.1"]
    assert "does not exist" in result.stderr
    applied = run(tmp_path / "none.yaml", log, "--apply")
    assert isinstance(applied.exception, DnswatchError)
    assert "dnswatch init" in str(applied.exception)


def test_a_log_that_is_not_there(main: Path) -> None:
    """A wrong path is told, not taken for an empty history."""
    result = run(main, main.parent / "nowhere.log")
    assert result.exit_code != 0
    assert isinstance(result.exception, (DnswatchError, OSError, click.UsageError, SystemExit))
    assert "nowhere.log" in f"{result.exception} {result.output}"
