"""`dnswatch expect`: list, add, remove; what a person wrote is never touched."""

import json
import os
import signal
import stat
from pathlib import Path

import pytest

from dnswatch.cli import main
from dnswatch.config.load import load
from dnswatch.io.lock import StateLock

MAIN = """\
state_dir: state   # kept as it is
clients: {groups: {servers: {networks: [10.0.10.0/24]}, build: {networks: [10.0.20.0/24]}}}
expect:
  - {who: [group:servers], services: [slack-webhook], because: deploy, owner: platform, until: 2026-01-01}
"""


class Dnswatch:
    """The command line on one configuration, in this process."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.main = folder / "dnswatch.yaml"
        self.part = folder / "conf.d" / "90-expect.yaml"
        self.main.write_text(MAIN)
        self._capsys = capsys

    def __call__(self, *arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as exit_:
            main(["--config", str(self.main), "expect", *arguments])
        said = self._capsys.readouterr()
        return int(exit_.value.code or 0), said.out, said.err

    def entries(self) -> list[tuple[list[str], list[str], str]]:
        return [(e.who, e.services, e.because) for e in load(self.main).expect[1:]]


@pytest.fixture
def expect(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Dnswatch:
    return Dnswatch(tmp_path, capsys)


def test_add_and_list(expect: Dnswatch) -> None:
    """What is added stands in its own file, loads, and is listed with its place."""
    code, out, _ = expect("add", "group:build", "mac:10-20-30-40-50-59", "--service", "telegram-bot", "--because",
                          "ops: [bot]", "--owner", "ops", "--until", "2099-06-30")  # fmt: skip
    assert code == 0
    assert out.splitlines() == [
        "Expected from now on: group:build, mac:10:20:30:40:50:59 may use telegram-bot (conf.d/90-expect.yaml:3).",
        f"No daemon runs on {expect.main.parent / 'state'}: the change counts from its next start.",
    ]
    assert expect.entries() == [(["group:build", "mac:10:20:30:40:50:59"], ["telegram-bot"], "ops: [bot]")]
    assert expect.main.read_text() == MAIN
    code, out, err = expect("list")
    assert code == 0
    lines = [line.split("  ") for line in out.splitlines()]
    assert lines[0][0] == "#"
    first = ["1", "group:servers", "slack-webhook", "deploy", "platform", "2026-01-01", "expired", "dnswatch.yaml:4"]
    assert [cell.strip() for cell in lines[1] if cell] == first
    assert "ops: [bot]" in out
    assert err == "2 expectations: 1 valid, 1 expired.\n"
    code, out, _ = expect("list", "--json", "--expired")
    assert json.loads(out) == [{
        "number": 1, "who": ["group:servers"], "services": ["slack-webhook"], "because": "deploy", "owner": "platform",
        "until": "2026-01-01", "state": "expired", "where": "dnswatch.yaml:4"}]  # fmt: skip


def test_add_keeps_what_the_file_has(expect: Dnswatch) -> None:
    """Entries and other keys of the part stay; the file keeps the main one's mode and is replaced whole."""
    expect.main.chmod(0o640)
    expect.part.parent.mkdir()
    expect.part.write_text("watch: {profile: extended}\nexpect:\n- {who: 10.0.0.1, services: discord, because: bot}\n")
    assert expect("add", "10.0.0.2", "--service", "category:chat-webhook", "--because", "x")[0] == 0
    assert expect.entries() == [
        (["10.0.0.1"], ["discord"], "bot"), (["10.0.0.2"], ["category:chat-webhook"], "x")]  # fmt: skip
    assert load(expect.main).watch.profile == "extended"
    assert stat.S_IMODE(expect.part.stat().st_mode) == 0o640
    assert [path.name for path in expect.part.parent.iterdir()] == ["90-expect.yaml"]


@pytest.mark.parametrize(("arguments", "message"), [
    (["10.0.0.1/24", "--service", "discord", "--because", "x"], "'10.0.0.1/24' has host bits set: write 10.0.0.0/24"),
    (["nobody", "--service", "discord", "--because", "x"], "'nobody' names nobody: write group:NAME"),
    (["group:bild", "--service", "discord", "--because", "x"], "unknown group 'bild' (did you mean 'build'?)"),
    (["10.0.0.1", "--service", "discrd", "--because", "x"], "unknown service 'discrd' (did you mean 'discord'?)"),
    (["10.0.0.1", "--service", "discord", "--because", "x", "--until", "2026-01-01"], "2026-01-01 has passed"),
    (["10.0.0.1", "--service", "discord", "--because", "x", "--until", "soon"], "'soon' is not a date or time"),
    (["10.0.0.1", "--service", "discord", "--because", ""], "must not be empty"),
    (["10.0.0.1", "--service", "discord"], "Missing option '--because'"),
])  # fmt: skip
def test_add_refuses_what_would_not_load(expect: Dnswatch, arguments: list[str], message: str) -> None:
    """Exit 2 with what would be right, and nothing is written."""
    code, _, err = expect("add", *arguments)
    assert code == 2
    assert message in err
    assert not expect.part.exists()


def test_add_refuses_what_is_expected_already(expect: Dnswatch) -> None:
    """A second entry is made only to prolong the first."""
    assert expect("add", "10.0.0.1", "--service", "discord", "--because", "x", "--until", "2099-01-01")[0] == 0
    code, _, err = expect("add", "10.0.0.1", "--service", "discord", "--because", "y", "--until", "2098-01-01")
    assert code == 2
    assert "already expected: number 2, conf.d/90-expect.yaml:3 (x)" in err
    assert expect("add", "10.0.0.1", "--service", "discord", "--because", "y")[0] == 0
    assert len(expect.entries()) == 2


def test_other_faults_of_the_configuration_come_first(expect: Dnswatch) -> None:
    """A configuration that does not load is not added to: exit 3."""
    expect.main.write_text("feeds: {mode: of}\n")
    code, _, err = expect("add", "10.0.0.1", "--service", "discord", "--because", "x")
    assert code == 3
    assert "feeds.mode: 'of' is not one of" in err
    assert expect("list")[0] == 3


def test_remove_by_number_and_by_member(expect: Dnswatch) -> None:
    """A number removes an entry; a member, what it may use; a member with a service, just that."""
    expect("add", "10.0.0.1", "10.0.0.2", "--service", "discord", "--service", "telegram-bot", "--because", "x")
    expect("add", "10.0.0.3", "--service", "discord", "--because", "y")
    code, out, _ = expect("remove", "10.0.0.1", "--service", "discord")
    assert code == 0
    assert out.startswith("No longer expected: 10.0.0.1 using discord (x).\n")
    assert expect.entries() == [
        (["10.0.0.2"], ["discord", "telegram-bot"], "x"), (["10.0.0.1"], ["telegram-bot"], "x"),
        (["10.0.0.3"], ["discord"], "y")]  # fmt: skip
    assert expect("remove", "10.0.0.1")[0] == 0
    assert expect("remove", "2")[0] == 0
    assert expect.entries() == [(["10.0.0.3"], ["discord"], "y")]
    assert expect("remove", "2")[0] == 0
    assert expect.entries() == []


def test_remove_leaves_hand_written_entries(expect: Dnswatch) -> None:
    """It says which file and line to edit, and exits 1."""
    for what in ("1", "group:servers"):
        code, out, err = expect("remove", what)
        assert (code, out) == (1, "")
        assert err == "dnswatch.yaml:4: written by hand, so edit it there (group:servers may use slack-webhook)\n"
    assert expect.main.read_text() == MAIN
    code, _, err = expect("remove", "7")
    assert code == 2
    assert "no expectation number 7: see `dnswatch expect list`" in err
    assert "no expectation names 10.0.0.9 with discord" in expect("remove", "10.0.0.9", "--service", "discord")[2]


def test_a_running_daemon_is_asked_to_reload(expect: Dnswatch) -> None:
    """The process that holds state_dir gets SIGHUP after the file is in place."""
    seen: list[bool] = []
    before = signal.signal(signal.SIGHUP, lambda *_: seen.append(expect.part.exists()))
    try:
        with StateLock(expect.main.parent / "state"):
            code, out, _ = expect("add", "10.0.0.1", "--service", "discord", "--because", "x")
    finally:
        signal.signal(signal.SIGHUP, before)
    assert code == 0
    assert out.endswith("The running daemon was asked to reload.\n")
    assert seen == [True]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_the_part_belongs_to_whom_the_main_file_belongs(expect: Dnswatch) -> None:
    """Root adds, the daemon's user reads."""
    os.chown(expect.main, 65534, 65534)
    expect.main.chmod(0o600)
    assert expect("add", "10.0.0.1", "--service", "discord", "--because", "x")[0] == 0
    for path in (expect.part, expect.part.parent):
        assert (path.stat().st_uid, path.stat().st_gid) == (65534, 65534)
