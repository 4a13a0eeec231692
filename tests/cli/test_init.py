"""`dnswatch init` as a user meets it."""

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from dnswatch.cli.check import command as check
from dnswatch.cli.init import command
from dnswatch.config.load import load

BIND_CONF = """options { directory "/var/cache/bind"; };
logging { channel q { file "/var/log/named/query.log" versions 3 size 20m; print-time local; };
          category queries { q; }; category rpz { q; }; };"""
LINE = "22-Nov-2026 19:18:19.281 queries: info: client @0x7fa4 10.0.0.1#5 (a.example.test): query: a.example.test IN A + (10.0.0.53)\n"  # noqa: E501


@pytest.fixture
def host(tmp_path: Path) -> Path:
    """A small host with BIND and dnsmasq leases."""
    root = tmp_path / "host"
    for path, text in {
        "etc/bind/named.conf": BIND_CONF,
        "etc/timezone": "Europe/Berlin\n",
        "var/log/named/query.log": LINE,
        "var/lib/misc/dnsmasq.leases": "",
    }.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    return root


def run(*arguments: object) -> Result:
    return CliRunner().invoke(command, [str(a) for a in arguments])


def test_a_host_becomes_a_configuration(host: Path, tmp_path: Path) -> None:
    """Findings are printed with their reasons; the file loads and says the same."""
    target = tmp_path / "new" / "dnswatch.yaml"
    result = run("--root", host, "--output", target, "--yes", "--no-propose")
    assert result.exit_code == 0, result.output
    assert "/etc/bind/named.conf: category queries goes to channel q" in result.output
    assert f"dnswatch --config {target} check" in result.output
    config = load(target)
    assert [(source.type, source.path, source.timezone) for source in config.sources] == [
        ("bind", f"{host}/var/log/named/query.log", "Europe/Berlin")
    ]
    assert [lease.path for lease in config.clients.leases] == [f"{host}/var/lib/misc/dnsmasq.leases"]
    assert config.feeds.mode == "shadow"
    assert not config.warnings


def test_every_commented_example_is_valid(host: Path, tmp_path: Path) -> None:
    """Uncomment all of them at once and the configuration still loads."""
    target = tmp_path / "dnswatch.yaml"
    assert run("--root", host, "--output", target, "--no-propose").exit_code == 0
    text = target.read_text()
    lines = re.sub(r"(?m)^(\s*)# (?=\s*(?:- [{]|[a-z_]+: |expect:$|groups:$))", r"\1", text)
    lines = lines.replace("\nexpect:\n", "\nexpect:\n").replace("from: start reads", "# from: start reads")
    target.write_text(lines)
    config = load(target)
    assert len(config.sources) == 2
    assert set(config.clients.groups) == {"servers", "build", "staff"}
    assert len(config.expect) == 2
    assert len(config.sinks) == 3
    assert config.watch.exclude == ["httpbin"]
    assert config.feeds.on_change


def test_a_second_run_never_overwrites(host: Path, tmp_path: Path) -> None:
    """Exit 1 and three ways on; --force replaces."""
    target = tmp_path / "dnswatch.yaml"
    target.write_text("mine")
    result = run("--root", host, "--output", target, "--no-propose")
    assert result.exit_code == 1
    assert "exists and stays as it is" in str(result.exception)
    assert target.read_text() == "mine"
    assert run("--root", host, "--output", target, "--force", "--no-propose").exit_code == 0
    assert load(target).sources


def test_standard_output_holds_the_configuration_only(host: Path, tmp_path: Path) -> None:
    """--output - can be redirected: the findings go to stderr."""
    result = run("--root", host, "--output", "-")
    assert result.exit_code == 0
    target = tmp_path / "dnswatch.yaml"
    target.write_text(result.stdout)
    assert load(target).sources
    assert "Found" in result.stderr


def test_an_empty_host_writes_nothing(tmp_path: Path) -> None:
    """Exit 1 with the way on, and no file."""
    (tmp_path / "host").mkdir()
    result = run("--root", tmp_path / "host", "--output", tmp_path / "dnswatch.yaml")
    assert result.exit_code == 1
    assert "dnswatch init /path/to/query.log" in str(result.exception)
    assert not (tmp_path / "dnswatch.yaml").exists()


def test_a_log_named_by_hand_is_recognised(tmp_path: Path) -> None:
    """Its format comes from its content; the reason says so."""
    log = tmp_path / "somewhere.txt"
    log.write_text("Nov 22 19:23:16 dnsmasq[7607]: query[A] www.example.test from 10.0.0.1\n")
    target = tmp_path / "dnswatch.yaml"
    result = run(log, "--output", target, "--no-propose")
    assert result.exit_code == 0, result.output
    assert ("dnsmasq", str(log)) in [(source.type, source.path) for source in load(target).sources]


@pytest.mark.parametrize(("content", "words"), [(None, "is not a file"), ("hello\n", "holds no query line")])
def test_a_log_that_is_none_is_a_usage_error(tmp_path: Path, content: str | None, words: str) -> None:
    """Exit 2 and what is wrong with it."""
    if content is not None:
        (tmp_path / "x.log").write_text(content)
    result = run(tmp_path / "x.log", "--output", tmp_path / "dnswatch.yaml")
    assert result.exit_code == 2
    assert words in result.output


def test_a_place_that_may_not_be_written(host: Path, tmp_path: Path) -> None:
    """The message says what to do instead of a traceback."""
    blocked = tmp_path / "file"
    blocked.write_text("")
    result = run("--root", host, "--output", blocked / "dnswatch.yaml", "--no-propose")
    assert result.exit_code == 1
    assert "cannot be written" in str(result.exception)


def test_names_from_configuration_files_cannot_drive_the_terminal(host: Path, tmp_path: Path) -> None:
    """A control character in a path is shown as a question mark and quoted in the file."""
    (host / "etc/bind/named.conf").write_text(BIND_CONF.replace("query.log", "q\x1b[31m: #y.log"))
    target = tmp_path / "dnswatch.yaml"
    result = run("--root", host, "--output", target, "--no-propose")
    assert result.exit_code == 0, result.output
    assert "\x1b" not in result.output
    assert "\x1b" not in target.read_text()
    assert any(json.dumps("\x1b")[1:-1] in line for line in target.read_text().splitlines())


def test_the_service_users_group_is_named(host: Path, tmp_path: Path) -> None:
    """A log of group 12345 needs its reader in that group."""
    import os

    if os.geteuid() == 0:
        os.chown(host / "var/log/named/query.log", 0, 12345)
        result = run("--root", host, "--output", tmp_path / "dnswatch.yaml", "--no-propose")
        assert "usermod -aG 12345 USER" in result.output


def test_existing_logs_suggest_a_baseline_at_once(host: Path, tmp_path: Path) -> None:
    """Rotated siblings are read too; nothing is applied, the command that would is printed."""
    log = host / "var/log/named/query.log"
    log.write_text(LINE.replace("a.example.test", "hooks.slack.com"))
    (log.parent / "query.log.0").write_text(
        LINE.replace("a.example.test", "api.telegram.org").replace("22-Nov", "21-Nov")
    )
    target = tmp_path / "dnswatch.yaml"
    result = run("--root", host, "--output", target)
    assert result.exit_code == 0, result.output
    assert "suggest 2 expectations" in result.output
    assert "services: [slack-webhook]" in result.output
    assert "services: [telegram-bot]" in result.output
    assert f"expect propose --apply {log}" in result.output
    assert not load(target).expect


def test_an_empty_log_suggests_nothing_and_is_no_failure(host: Path, tmp_path: Path) -> None:
    """A fresh log right after switching query logging on."""
    (host / "var/log/named/query.log").write_text("")
    result = run("--root", host, "--output", tmp_path / "dnswatch.yaml")
    assert result.exit_code == 0, result.output
    assert "suggest" in result.output


def test_check_accepts_what_init_writes(host: Path, tmp_path: Path) -> None:
    """The promise of the first comment in the file."""
    target = tmp_path / "dnswatch.yaml"
    assert run("--root", host, "--output", target, "--no-propose").exit_code == 0
    result = CliRunner().invoke(check, ["--json"], obj=str(target))
    found = [one for one in json.loads(result.stdout)["findings"] if one["what"] != "port"]  # 8053 may be in use here
    assert not [one for one in found if one["level"] == "error"]


def test_rotated_logs_named_with_their_log_are_no_sources(tmp_path: Path) -> None:
    """A shell's `query.log*` names the rotated files too; those are read with the log."""
    logs = [tmp_path / "query.log", tmp_path / "query.log.0", tmp_path / "query.log.1"]
    for log in logs:
        log.write_text(LINE)
    target = tmp_path / "dnswatch.yaml"
    result = run(*logs, "--output", target, "--no-propose")
    assert result.exit_code == 0, result.output
    assert f"{logs[1]} is a rotated file of {logs[0]}" in result.output
    assert [path for path in map(str, logs) if path in {s.path for s in load(target).sources}] == [str(logs[0])]
