"""A folder with a log of every registered format: each is recognised, and each gives its alerts."""

import gzip
import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from dnswatch import scan as scan_module
from dnswatch.cli import root
from dnswatch.config.catalogue import load_catalogue
from dnswatch.core.logs.parsers import PARSERS

CLIENT, NAME, WATCHED = b"192.0.2.7", b"www.example.test", b"api.telegram.org"
RUNNER = CliRunner(env={"DNSWATCH_CONFIG": ""})
CATALOG = load_catalogue()
CLIENTS = {kind: b"192.0.2.1%02d" % number for number, kind in enumerate(PARSERS)}


@pytest.fixture(autouse=True)
def _loaded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading the catalogue for every invocation would be most of this module's time."""
    monkeypatch.setattr(scan_module, "load_catalogue", lambda: CATALOG)


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    """One log per format, each with a client of its own that makes one watched lookup; every third is compressed."""
    for number, kind in enumerate(PARSERS):
        line = PARSERS[kind].example.replace(CLIENT, CLIENTS[kind])
        assert CLIENTS[kind] in line
        lines = [line] * 30 + [line.replace(NAME, WATCHED)] + [line] * 3
        folder = tmp_path / f"server{number % 2}"
        folder.mkdir(exist_ok=True)
        data = b"\n".join(lines) + b"\n"
        path = folder / f"{kind}.log"
        if number % 3:
            path.write_bytes(data)
        else:
            path.with_name(f"{kind}.log.gz").write_bytes(gzip.compress(data))
    (tmp_path / "notes.txt").write_bytes(b"nothing of a name server, though it mentions api.telegram.org\n" * 40)
    return tmp_path


def test_a_mixed_folder_gives_the_alerts_of_each_format(mixed: Path) -> None:
    """Formats are found out file by file; a line that tells lookup and answer counts as one lookup."""
    done = RUNNER.invoke(root, ["scan", "--format", "json", "--year", "2026", str(mixed)])
    assert done.exit_code == 0
    alerts = [json.loads(line) for line in done.stdout.splitlines()]
    assert {alert["client_ip"].encode() for alert in alerts} == set(CLIENTS.values())
    assert {(alert["qname"], alert["count"], alert["service"]) for alert in alerts} == {
        ("api.telegram.org", 1, "telegram-bot")
    }
    said = done.stderr
    assert all(f"1 {kind}" in said for kind in PARSERS)
    assert "skipped" in said
    assert said.count("skipped") == 1
    assert "100.0 %" in said


@pytest.mark.parametrize("kind", PARSERS)
def test_a_format_can_be_named(mixed: Path, kind: str) -> None:
    """--type reads a file as that format."""
    (path,) = mixed.rglob(f"{kind}.log*")
    done = RUNNER.invoke(root, ["scan", "--type", kind, "--format", "json", "--year", "2026", str(path)])
    assert [json.loads(line)["client_ip"].encode() for line in done.stdout.splitlines()] == [CLIENTS[kind]]


@pytest.mark.parametrize("kind", PARSERS)
def test_explain_reads_a_line_of_each_format(kind: str) -> None:
    """A line is recognised by itself, and its client, name and service are told."""
    line = PARSERS[kind].example.replace(NAME, WATCHED).decode()
    done = RUNNER.invoke(root, ["explain", line])
    assert done.exit_code == 0, done.output
    assert re.search(rf"^  format +{kind}$", done.stdout, re.MULTILINE)
    assert "192.0.2.7" in done.stdout
    assert "telegram-bot" in done.stdout
