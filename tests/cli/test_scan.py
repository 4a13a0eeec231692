"""`dnswatch scan` as the user sees it: stdout for alerts, stderr for the run, exit codes."""

import fcntl
import json
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from dnswatch import scan as scan_module
from dnswatch.cli import root
from dnswatch.cli.tables import amount
from dnswatch.config.catalogue import load_catalogue
from dnswatch.core.alerts.flat import FIELDS
from dnswatch.core.logs.parsers import PARSERS

CATALOG = load_catalogue()
LINE = "22-Nov-2026 19:18:{:02}.281 queries: info: client @0x7f {}#38510 ({}): query: {} IN A + (127.0.0.1)\n"
START = "22-Nov-2026 19:18:00.000 general: info: zone example.test/IN: loaded serial 1\n"


def line(second: int, client: str, name: str) -> str:
    return LINE.format(second, client, name, name)


@pytest.fixture(autouse=True)
def _loaded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading 165 files for every invocation would be most of this module's time."""
    monkeypatch.setattr(scan_module, "kept_catalogue", lambda: CATALOG)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "query.log"
    path.write_text(line(1, "10.0.0.1", "webhook.site") + line(2, "10.0.0.2", "api.telegram.org"))
    return path


def scan(*arguments: object, config: Path | None = None) -> Result:
    before = ["--config", str(config)] if config else []
    return CliRunner(env={"DNSWATCH_CONFIG": ""}).invoke(root, [*before, "scan", *map(str, arguments)])


def test_a_table_of_alerts_and_a_summary(log: Path) -> None:
    """Without any option: a table, the most severe first, and what was read."""
    result = scan(log)
    assert result.exit_code == 0, result.output
    heading, first, second = result.stdout.splitlines()
    assert heading.split()[:5] == ["SEVERITY", "FIRST", "SEEN", "CLIENT", "SERVICE"]
    assert first.startswith("high")
    assert "webhook.site" in first
    assert "api.telegram.org" in second
    assert "no client is expected" in result.stderr
    assert "Read 1 file (1 bind)" in result.stderr
    assert "2026-11-22T19:18:01Z to 2026-11-22T19:18:02Z; 100.0 %" in result.stderr
    assert "Watched lookups: 2, 0 of them expected" in result.stderr


def test_what_was_read_is_counted_in_good_english(log: Path) -> None:
    """A small log: exact numbers, and one of a thing is not several."""
    assert f"Read 1 file (1 bind), {amount(log.stat().st_size)}, 2 lines, in" in scan(log).stderr
    log.write_text(line(1, "10.0.0.1", "webhook.site"))
    said = scan(log).stderr
    assert ", 1 line, in" in said
    assert "100.0 % of 1 sampled line parsed" in said
    assert "estimated" not in said


def on_terminal(columns: int, *arguments: object) -> list[str]:
    """What a terminal of so many columns shows on stdout."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    env = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
    with subprocess.Popen(
        [sys.executable, "-m", "dnswatch", "scan", *map(str, arguments)], stdout=theirs, stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL, env={**env, "TERM": "xterm", "NO_COLOR": "1", "DNSWATCH_CONFIG": ""},
    ) as process:  # fmt: skip
        process.communicate(timeout=240)
    os.close(theirs)
    shown = os.read(ours, 65536).decode()
    os.close(ours)
    return re.sub(r"\x1b\[[0-9;]*m", "", shown).splitlines()


def test_the_table_fits_the_terminal(log: Path) -> None:
    """80 columns: who, what, how often, since when; the rest below. 140 columns: a line an alert. Never wider."""
    heading, first, below, *_ = narrow = on_terminal(80, log)
    assert len(narrow) == 5
    assert heading.split() == ["SEVERITY", "CLIENT", "SERVICE", "COUNT", "FIRST", "SEEN"]
    assert first.split() == ["high", "10.0.0.1", "webhook-site", "1", "2026-11-22", "19:18"]
    assert below.startswith("  webhook.site · observed · base +")
    wide = on_terminal(140, log)
    assert len(wide) == 3
    assert wide[1].split()[:6] == ["high", "2026-11-22T19:18:01Z", "10.0.0.1", "webhook-site", "1", "webhook.site"]
    log.write_text(line(1, "2001:db8:1234:5678:9abc:def0:1234:5678", "webhook.site"))
    heading, first, below = long = on_terminal(80, log)
    assert first.split()[1] == "2001:db8:1234:5678:9abc:def0:1234:5678"
    assert below.startswith("  2026-11-22 19:18 · webhook.site")
    assert max(map(len, long)) <= 80
    assert max(map(len, narrow)) <= 80
    assert max(map(len, on_terminal(40, log))) <= 40


def test_json_is_one_line_per_revision(log: Path) -> None:
    """The flat fields in decision order, nothing else on stdout."""
    result = scan(log, "--format", "json")
    alerts = [json.loads(each) for each in result.stdout.splitlines()]
    assert [alert["qname"] for alert in alerts] == ["webhook.site", "api.telegram.org"]
    assert all(tuple(alert) == FIELDS for alert in alerts)
    assert {alert["sensor"] for alert in alerts} == {"scan"}
    assert scan(log, "--format", "text").stdout.count(" rev 1 opened: ") == 2


@pytest.mark.parametrize(("severity", "code"), [("info", 1), ("high", 1), ("critical", 0)])
def test_fail_on_decides_the_exit_code(log: Path, severity: str, code: int) -> None:
    """1 when an alert is at least that severe."""
    assert scan(log, "--fail-on", severity).exit_code == code


def test_policy_comes_from_a_configuration(log: Path, tmp_path: Path) -> None:
    """Groups and expectations are used, its sources are not; all expected is said so."""
    config = tmp_path / "dnswatch.yaml"
    config.write_text(
        "sources: [{type: dnsmasq, path: /nonexistent/dnsmasq.log}]\n"
        "clients: {groups: {build: {networks: [10.0.0.0/24]}}}\n"
        "expect: [{who: [group:build], services: [webhook-site, telegram-bot], because: tests}]\n"
    )
    for result in (scan(log, config=config), scan(log, "--config", config)):
        assert result.exit_code == 0, result.output
        assert result.stdout == ""
        assert "every watched lookup was expected" in result.stderr


def test_an_empty_result_says_why(tmp_path: Path) -> None:
    """No lines, no DNS log, none parsed, none watched: each its own sentence."""
    path = tmp_path / "query.log"
    cases = [
        ("", [], "no file has a DNS log in it"),
        ("hello\n" * 100, [], "no file has a DNS log in it"),
        ("hello\n" * 100, ["--type", "bind"], "none of the sampled lines could be read as bind"),
        (line(1, "10.0.0.1", "example.net"), [], "no client looked up a watched name"),
        (START * 30, [], "the sampled lines of bind are no queries: is the query log among the files"),
        (START + line(1, "10.0.0.1", "example.net") * 9, [], "no client looked up a watched name"),
        (line(1, "10.0.0.1", "webhook.site").rstrip(), [], "the only line is not finished"),
    ]
    for text, options, said in cases:
        path.write_text(text)
        result = scan(path, *options)
        assert said in result.stderr, result.stderr
        assert result.stdout == ""


def test_what_cannot_be_read_is_named(log: Path, tmp_path: Path) -> None:
    """A missing path: told, the rest is analysed, exit 1. Nothing named: usage."""
    result = scan(tmp_path / "none.log", log)
    assert result.exit_code == 1
    assert "none.log: no such file or directory" in result.stderr
    assert "webhook.site" in result.stdout
    assert scan(log, "--timezone", "Mars/Olympus").exit_code == 2
    assert scan(log, "--type", "nothing").exit_code == 2


def test_stdin_is_a_log_too(log: Path) -> None:
    """``-``, or a pipe without any path."""
    for arguments in (["-"], []):
        done = subprocess.run(
            [sys.executable, "-m", "dnswatch", "scan", *arguments, "--format", "json"],
            input=log.read_bytes(), capture_output=True, check=True, timeout=240,
        )  # fmt: skip
        assert len(done.stdout.splitlines()) == 2


def test_hostile_names_are_printed_escaped(tmp_path: Path) -> None:
    """Control bytes from a log never reach the terminal."""
    path = tmp_path / "query.log\x1b[31m"
    path.write_bytes(line(1, "10.0.0.1", r"\027[31mevil.webhook.site").encode() + b"\x1b[31m junk\n" * 30)
    result = scan(path)
    assert "\x1b" not in result.output
    assert "webhook-site" in result.stdout


def test_rotated_files_beside_are_mentioned(log: Path) -> None:
    """Who names one file learns that there are more."""
    log.with_name("query.log.1").write_text(line(0, "10.0.0.3", "webhook.site"))
    result = scan(log)
    assert "Rotated files lie beside" in result.stderr
    assert "10.0.0.3" not in result.stdout
    assert "10.0.0.3" in scan(log.parent).stdout


def test_a_zone_is_assumed_aloud(log: Path) -> None:
    """Stamps without a zone: UTC, said so, unless --timezone is given."""
    assert "read as UTC" in scan(log).stderr
    result = scan(log, "--timezone", "Europe/Berlin")
    assert "read as UTC" not in result.stderr
    assert "2026-11-22T18:18:01Z" in result.stdout


def test_a_folder_that_mixes_every_format(tmp_path: Path) -> None:
    """A line of each format, each in a file of its own: none is mistaken, all lookups are found."""
    for number, parser in enumerate(PARSERS.values()):
        lookup = parser.example.replace(b"www.example.test", b"webhook.site")
        (tmp_path / f"{number}.log").write_bytes(lookup.replace(b"192.0.2.7", b"10.0.0.%d" % number) + b"\n")
    result = scan(tmp_path, "--format", "json")
    assert result.exit_code == 0, result.output
    found = {(row["client_ip"], row["service"]) for row in map(json.loads, result.stdout.splitlines())}
    assert found == {(f"10.0.0.{number}", "webhook-site") for number in range(len(PARSERS))}
    for name in PARSERS:
        assert f"1 {name}" in result.stderr
