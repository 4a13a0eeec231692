"""`dnswatch check`: what `run` will need, looked at as the user it will run as."""

import asyncio
import contextlib
import grp
import json
import os
import pwd
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from dnswatch.cli import main
from dnswatch.io.lock import StateLock
from dnswatch.io.store import FILE, Store

BIND = b"22-Nov-2026 19:18:19.281 queries: info: client @0x7fa484f14098 192.0.2.7#38510 (a.example): " \
       b"query: a.example IN A + (192.0.2.53)\n"  # fmt: skip
BIND_UTC = BIND.replace(b"22-Nov-2026 19:18:19.281", b"2026-11-22T19:18:19.281Z")
DNSMASQ = b"Nov 22 19:18:19 dnsmasq[7607]: query[A] a.example from 192.0.2.7\n"
GOOD = """\
state_dir: state
sources: [{type: bind, path: query.log}]
sinks: [{type: file, path: out/alerts.jsonl}]
"""

Finding = tuple[str, str, str, str]


class Check:
    """`check --json` on one configuration."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self._capsys = capsys

    def __call__(self, configuration: str, *arguments: str) -> tuple[int, list[Finding]]:
        (self.folder / "dnswatch.yaml").write_text(configuration)
        with pytest.raises(SystemExit) as exit_:
            main(["--config", str(self.folder / "dnswatch.yaml"), "check", "--json", *arguments])
        said = json.loads(self._capsys.readouterr().out)
        found = [
            (f["level"], f["what"], f["where"].replace(f"{self.folder}/", ""), f["message"]) for f in said["findings"]
        ]
        assert said["ok"] == (not any(level == "error" for level, *_ in found))
        return int(exit_.value.code or 0), found

    def about(self, what: str, configuration: str) -> list[Finding]:
        return [finding for finding in self(configuration)[1] if finding[1] == what]


@pytest.fixture
def check(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Check:
    (tmp_path / "query.log").write_bytes(BIND_UTC)
    (tmp_path / "out").mkdir()
    return Check(tmp_path, capsys)


def test_a_good_configuration(check: Check) -> None:
    """Everything is named that was looked at; exit 0."""
    _, found = check(GOOD)
    assert not [finding for finding in found if finding[0] == "error" and finding[1] != "port"]
    assert [(what, where) for _, what, where, _ in found] == [
        ("config", "dnswatch.yaml"), ("catalogue", "profile core"), ("user", found[2][2]), ("source", "query.log"),
        ("directory", "state"), ("directory", "state/feeds"), ("directory", "out"),
        ("port", "127.0.0.1:8053")]  # fmt: skip
    assert found[3] == ("ok", "source", "query.log", "readable bind query log, last line at 2026-11-22T19:18:19Z")


def test_an_invalid_configuration(check: Check) -> None:
    """Every problem is a finding; nothing else is looked at; exit 3."""
    code, found = check(GOOD.replace("file", "fil") + "watch: {include: [nosuch-xyz]}\n")
    assert code == 3
    assert [(level, what, where) for level, what, where, _ in found] == [
        ("error", "config", "dnswatch.yaml:3:16"), ("error", "config", "dnswatch.yaml:4:19")]  # fmt: skip


def test_no_sources(check: Check) -> None:
    """Legal to load, but `run` has nothing to follow: exit 1."""
    code, found = check("state_dir: state\n")
    assert code == 1
    assert ("error", "source", "dnswatch.yaml", "no sources: `run` has nothing to follow") in found
    assert (
        "warning",
        "config",
        "dnswatch.yaml",
        "no sinks: alerts stay in the store (`dnswatch alerts list`)",
    ) in found


@pytest.mark.parametrize(("content", "level", "message"), [
    (DNSMASQ, "error", "line 1 is not a bind line: “Nov 22 19:18:19 dnsmasq[7607]: query[A] a.example from 192.0.2.7”; "
                       "it looks like dnsmasq"),
    (b"hello\nworld\n", "error", "line 1 is not a bind line: “hello”"),
    (b"", "warning", "readable but empty"),
    (None, "error", "no such file: is bind's query log on?"),
])  # fmt: skip
def test_the_log_must_be_what_it_is_said_to_be(check: Check, content: bytes | None, level: str, message: str) -> None:
    """Its head decides, and the message shows the line and what it looks like."""
    (check.folder / "query.log").unlink()
    if content is not None:
        (check.folder / "query.log").write_bytes(content)
    (finding,) = check.about("source", GOOD)
    assert finding[:3] == (level, "source", "query.log")
    assert finding[3].startswith(message)


def test_a_log_without_zone_is_pointed_out(check: Check) -> None:
    """UTC is assumed, and said; a zone that dates lines into the future is said too."""
    (check.folder / "query.log").write_bytes(BIND)
    first, second = check.about("source", GOOD)
    assert (first[0], second[0]) == ("ok", "warning")
    assert "carry no zone and are read as UTC: set timezone:" in second[3]
    (only,) = check.about("source", GOOD.replace("query.log", "query.log, timezone: Europe/Berlin"))
    assert only[3].endswith("last line at 2026-11-22T18:18:19Z")
    ahead = time.strftime("%d-%b-%Y %H:%M:%S.000", time.gmtime(time.time() + 3600)).encode()
    (check.folder / "query.log").write_bytes(BIND.replace(b"22-Nov-2026 19:18:19.281", ahead))
    _, warning = check.about("source", GOOD)
    assert "its last line lies 60 min in the future: stamps are read as UTC (no timezone is set)" in warning[3]


def test_globs(check: Check) -> None:
    """A pattern is every file it matches; matching none is an error."""
    (check.folder / "b.log").write_bytes(BIND_UTC)
    assert [finding[2] for finding in check.about("source", GOOD.replace("query.log", "'*.log'"))] == [
        "b.log",
        "query.log",
    ]
    assert check.about("source", GOOD.replace("query.log", "'*.none'"))[0][3] == "the pattern matches no file"


def test_lease_files(check: Check) -> None:
    """Format and count are said; what is none is an error."""
    leases = check.folder / "leases"
    configuration = f"{GOOD}clients: {{leases: {leases}}}\n"
    for content, level, message in (
        (b"0 02:00:00:00:00:0a 10.0.0.1 nas *\nhalf", "ok", "dnsmasq, 1 lease, 1 line not understood"),
        (b"10.0.0.1 nas\n10.0.0.2 printer\n", "ok", "hosts, 2 leases"),
        (b"", "warning", "empty: no names or MACs yet"),
        (b"what is this\n", "error", "not a lease file of dnsmasq, Kea (memfile) or ISC dhcpd, nor a hosts file"),
    ):
        leases.write_bytes(content)
        assert check.about("lease file", configuration) == [(level, "lease file", "leases", message)]
    leases.unlink()
    assert check.about("lease file", configuration)[0][3] == "no such file: is there a DHCP server?"


def test_ports(check: Check) -> None:
    """Free, taken by another program, or held by our own daemon."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        listen = f"127.0.0.1:{taken.getsockname()[1]}"
        configuration = f"{GOOD}http: {{listen: '{listen}'}}\n"
        ((level, _, where, message),) = check.about("port", configuration)
        assert (level, where, message.split(":")[0]) == ("error", listen, "another program listens there")
        with StateLock(check.folder / "state"):
            ((level, _, _, message),) = check.about("port", configuration)
        assert (level, message) == ("ok", f"in use, as expected, while dnswatch runs (pid {os.getpid()})")
    assert check.about("port", configuration) == [("ok", "port", listen, "free")]
    ((level, _, _, message),) = check.about("port", f"{GOOD}http: {{listen: '192.0.2.1:8053'}}\n")
    assert (level, message) == ("error", "this host has no such address")


def test_hooks_and_sockets(check: Check) -> None:
    """Commands must exist; a missing pid file or socket is a warning, for servers may be down."""
    more = """\
feeds: {on_change: [{run: [sh, -c, 'true']}, {run: [no-such-command-xyz]}, {signal: HUP, pidfile: none.pid}]}
"""
    assert [(finding[0], finding[3].split(":")[0]) for finding in check.about("hook", GOOD + more)] == [
        ("ok", "command found"),
        ("error", f"no such command in PATH for {_me()}"),
        ("warning", "no readable pid file"),
    ]
    sinks = GOOD.replace("sinks: [", "sinks: [{type: syslog, address: 'unix:///nonexistent/log'}, ")
    assert check.about("sink", sinks)[0][0] == "warning"


def test_certificates_of_a_sink(check: Check) -> None:
    """Files that TLS needs are read as a connection does; what is missing is named with its key."""
    sink = "sinks: [{type: syslog, name: siem, address: 'tls://siem.example', tls: {ca: none.pem}}, "
    (finding,) = [one for one in check.about("sink", GOOD.replace("sinks: [", sink)) if "tls.ca" in one[3]]
    assert finding[0] == "error"
    assert "none.pem cannot be used: No such file" in finding[3]


def test_a_directory_that_is_a_file(check: Check) -> None:
    """The place that is in the way is named."""
    ((level, _, _, message), *_) = check.about("directory", GOOD.replace("state_dir: state", "state_dir: query.log/x"))
    assert level == "error"
    assert message.endswith("query.log is not a directory")


def test_a_store_that_run_cannot_open(check: Check) -> None:
    """Damage and a newer layout are errors here too, in the words of `run`; a good store is opened and left alone."""
    store = check.folder / "state" / FILE
    assert not check.about("store", GOOD)
    store.parent.mkdir()
    store.touch()  # what a full disk or an interrupted first start leaves: `run` makes a store of it
    assert [level for level, *_ in check.about("store", GOOD)] == ["ok"]
    asyncio.run(made(store))
    assert check.about("store", GOOD) == [
        ("ok", "store", f"state/{FILE}", "readable, of a layout that this version knows")
    ]
    with StateLock(store.parent):
        ((level, _, _, message),) = check.about("store", GOOD)
    assert level == "ok"
    assert f"in use by the running dnswatch (pid {os.getpid()})" in message
    with contextlib.closing(sqlite3.connect(store)) as connection, connection:
        connection.execute("UPDATE meta SET value = '99' WHERE key = 'version'")
    code, found = check(GOOD)
    assert code == 1
    assert ["has layout 99" in message for level, what, _, message in found if (level, what) == ("error", "store")]
    store.write_bytes(b"not a database " * 99)
    ((level, _, _, message),) = check.about("store", GOOD)
    assert (level, "is damaged" in message) == ("error", True)


async def made(path: Path) -> None:
    async with await Store.open(path):
        pass


def test_one_log_one_source(check: Check) -> None:
    """A pattern that names a log of another source, or a rotated file of one, would count its lines twice."""
    (check.folder / "query.log.0").write_bytes(BIND_UTC)
    for pattern, where, words in (("*.log", "query.log", "one log, one source"),
                                  ("*.0", "query.log.0", "a rotated file of")):  # fmt: skip
        twice = GOOD.replace("sources: [", f"sources: [{{type: bind, path: '{pattern}'}}, ")
        errors = [finding for finding in check.about("source", twice) if finding[0] == "error"]
        assert [(finding[2], words in finding[3]) for finding in errors] == [(where, True)]
    assert [finding[0] for finding in check.about("source", GOOD)] == ["ok"]


def test_scenarios(check: Check, capsys: pytest.CaptureFixture[str]) -> None:
    """`--scenarios` runs a directory on the configuration that is checked, and looks at nothing of this host."""
    stories = check.folder / "stories"
    stories.mkdir()
    line = BIND.decode().strip().replace("a.example", "hooks.slack.com")
    logs = f"logs: [{{name: ns1, type: bind, lines: '{line}'}}]\n"
    (stories / "a.yaml").write_text(f"title: Nobody asks\n{logs}alerts: []\n")
    (check.folder / "query.log").unlink()
    config = check.folder / "dnswatch.yaml"

    def ask(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as exit_:
            main(["--config", str(config), "check", "--scenarios", str(stories), *arguments])
        said = capsys.readouterr()
        return int(exit_.value.code or 0), said.out, said.err

    config.write_text(f"{GOOD}expect: [{{who: [192.0.2.7], services: [slack-webhook], because: x}}]\n")
    assert ask() == (0, "ok      a.yaml: Nobody asks\n", "1 scenario, 0 failed.\n")
    config.write_text(GOOD)
    code, out, _ = ask()
    assert (code, out.splitlines()[0]) == (1, "failed  a.yaml: Nobody asks")
    assert out.splitlines()[1].startswith("          not listed: 192.0.2.7 slack-webhook: low, ")
    code, out, _ = ask("--json")
    (told,) = json.loads(out)["scenarios"]
    assert (code, told["ok"], len(told["failures"])) == (1, False, 1)
    config.write_text("sourcez: []\n")
    assert ask()[0] == 3
    (stories / "a.yaml").unlink()
    assert ask()[0] == 2


def test_text_output(check: Check, capsys: pytest.CaptureFixture[str]) -> None:
    """One line a finding, a sum on stderr, no colour in a pipe."""
    (check.folder / "dnswatch.yaml").write_text(GOOD)
    with pytest.raises(SystemExit):
        main(["--config", str(check.folder / "dnswatch.yaml"), "check"])
    said = capsys.readouterr()
    assert "\x1b" not in said.out
    assert said.out.splitlines()[0] == f"ok      config {check.folder}/dnswatch.yaml: 1 file, valid"
    assert said.err.endswith(" ok.\n")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_permissions_are_those_of_the_services_user() -> None:
    """Root sees everything, so --user looks as the other user and says which group would help."""
    with tempfile.TemporaryDirectory() as name:  # pytest's own directories are closed to other users
        folder, log = Path(name), Path(name) / "query.log"
        folder.chmod(0o755)
        (folder / "dnswatch.yaml").write_text(GOOD)
        log.write_bytes(BIND_UTC)
        os.chown(log, 0, grp.getgrnam("adm").gr_gid)
        log.chmod(0o640)
        command = [sys.executable, "-m", "dnswatch", "--config", folder / "dnswatch.yaml", "check", "--json"]
        done = subprocess.run([*command, "--user", "nobody"], capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 1, done.stderr
    found = {f["where"]: (f["level"], f["message"]) for f in json.loads(done.stdout)["findings"]}
    assert found["nobody"][1].startswith("checked as nobody, in ")
    said = f"nobody may not read {log} (-rw-r----- root:adm): usermod -aG adm nobody, then restart the service"
    assert found[str(log)] == ("error", said)
    said = f"state_dir is not writable for nobody: install -d -o nobody -m 0750 {folder}/state"
    assert found[str(folder / "state")] == ("error", said)


def _me() -> str:
    return pwd.getpwuid(os.geteuid()).pw_name
