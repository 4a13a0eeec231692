"""`dnswatch explain`, without and with a configuration and a store."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from dnswatch import cli
from dnswatch.config.build import load_policy
from dnswatch.core.detect.engine import Engine
from dnswatch.core.logs.parsers import PARSERS
from dnswatch.core.model import Query
from dnswatch.errors import ConfigError, DnswatchError, StateError
from dnswatch.io.store import FILE, Store
from tests.core.detection import feed

BIND = "client @0x7f 10.1.2.3#4711 (api.telegram.org): query: api.telegram.org IN A + (10.0.0.53)"
CONFIG = """\
state_dir: state
sources: [{type: bind, path: query.log}]
clients: {groups: {staff: {networks: [10.1.0.0/16], role: workstation}}, leases: [leases]}
expect:
  - {who: [group:staff], services: [telegram-bot], because: status bot, owner: ops}
"""


@pytest.fixture(autouse=True)
def no_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test sees this machine's own configuration."""
    monkeypatch.delenv("DNSWATCH_CONFIG", raising=False)
    monkeypatch.setattr("dnswatch.cli.explain.DEFAULT_CONFIG", str(tmp_path / "absent.yaml"))


def explain(*arguments: str, config: Path | None = None, **more: str) -> Result:
    chosen = ["--config", str(config)] if config else []
    return CliRunner().invoke(cli.root, [*chosen, "explain", *arguments], catch_exceptions=False, **more)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "dnswatch.yaml"
    path.write_text(CONFIG)
    (tmp_path / "leases").write_text("4102444800 10:20:30:40:50:59 10.1.2.3 laptop-7 *\n")
    return path


def test_line_without_configuration() -> None:
    """A raw line is read and judged by the core catalogue, with nobody expected; stderr says so."""
    result = explain(BIND)
    assert result.exit_code == 0
    assert "nobody is expected" in result.stderr
    assert "says       a query" in result.stdout
    assert "nobody is expected to" in result.stdout
    assert "a new one, severity low" in result.stdout


def test_line_from_stdin_with_hostile_bytes() -> None:
    """Bytes of the log never reach the terminal raw."""
    line = "Nov 22 19:23:16 dnsmasq[7607]: query[A] \x1b[31m.webhook.site from 127.0.0.1\n"
    result = explain("-", "--type", "dnsmasq", input=line)
    assert result.exit_code == 0
    assert "\x1b" not in result.stdout
    assert "webhook-site" in result.stdout


def test_client_and_name_with_configuration(config: Path) -> None:
    """Groups, leases and expectations count, and the place of the expectation is named."""
    result = explain("10.1.2.3", "API.Telegram.org.", config=config)
    assert "group staff may use telegram-bot: status bot (owner ops; dnswatch.yaml:5)" in result.stdout.replace(
        f"{config.parent}/", ""
    )
    assert "laptop-7" in result.stdout
    assert "no: expected" in result.stdout
    assert "explaining without history" in result.stderr


def test_json(config: Path) -> None:
    """--json gives the same steps to programs."""
    steps = json.loads(explain("10.1.2.3", "hooks.slack.com", "--json", config=config).stdout)
    assert [one["step"] for one in steps][-1] == "conclusion"


def test_alert_by_the_beginning_of_its_id(config: Path) -> None:
    """A stored alert is found by a prefix in any case, and history makes explanations exact."""
    with pytest.raises(StateError, match="no store of a daemon that you may read"):
        explain("ABCDEFGH", config=config)
    engine = Engine(load_policy(config).policy)
    line = Query(1.79e9, "10.1.2.3", 1, "webhook.site", "A", "udp", "", 0, b"the line", 17)
    (alert,) = feed(engine, [line], "query.log")
    assert not feed(engine, [line._replace(at=line.at + 60)], "query.log")  # counted without a revision
    asyncio.run(_store(config.parent / "state", engine, [alert]))
    shown = explain(alert.id[:8].lower(), config=config)
    assert "  attempts  2\n" in shown.stdout
    assert alert.id in shown.stdout
    assert "/var/log/query.log.log:17  the line" in shown.stdout
    again = explain("10.1.2.3", "webhook.site", config=config)
    assert f"counted by {alert.id}" in again.stdout
    assert "first seen" not in again.stdout
    with pytest.raises(DnswatchError, match="no alert has an id"):
        explain("ABCDEFGH", config=config)


async def _store(state_dir: Path, engine: Engine, alerts: list) -> None:
    state_dir.mkdir()
    store = await Store.open(state_dir / FILE)
    await store.checkpoint([], engine.changes(), alerts)
    await store.close()


@pytest.mark.parametrize("what", [("hello world, this is no log line",), ("",)])
def test_what_is_nothing_is_told(what: tuple[str, ...]) -> None:
    """Text that is no line, no alert and no pair says what would be."""
    with pytest.raises(DnswatchError, match="no line of a known format"):
        explain(*what)


def test_usage_errors() -> None:
    """Unknown formats, zones and names are usage errors that say what is right."""
    assert explain(BIND, "--type", "binds").exit_code == 2
    assert explain(BIND, "--timezone", "Mars").exit_code == 2
    assert explain("10.1.2.3", "a..b").exit_code == 2
    assert explain().exit_code == 2


def test_alert_id_without_a_store() -> None:
    """Without a configuration there is nowhere to look."""
    with pytest.raises(StateError, match="--config"):
        explain("RGRG2RDFYBQ3V5NMBM4NN7ZJ7A")


def test_named_configuration_must_exist(tmp_path: Path) -> None:
    """A configuration that the user names and that is not there is an error, not a fallback."""
    with pytest.raises(ConfigError):
        explain("10.1.2.3", "ntfy.sh", config=tmp_path / "missing.yaml")


@pytest.mark.parametrize("name", PARSERS)
def test_a_line_of_every_format_is_explained(name: str) -> None:
    """Its format is found out, or named with --type; it says who asked for what."""
    line = PARSERS[name].example.decode("ascii")
    for arguments in ((line,), ("--type", name, line)):
        steps = json.loads(explain("--json", *arguments).stdout)
        facts = {fact["label"]: fact["text"] for fact in steps[0]["facts"]}
        assert (facts["format"], facts["says"], facts["name"]) == (name, "a query", "www.example.test")
        assert facts["client"].startswith("192.0.2.7")
