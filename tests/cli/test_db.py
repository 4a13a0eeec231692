"""`dnswatch db`: a sound store, a damaged one, a copy that can be used, retention."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from dnswatch.cli import main
from dnswatch.io.lock import StateLock
from dnswatch.io.store import FILE
from tests.running import InLoop, bind_line, soon


@pytest.fixture
async def ran(tmp_path: Path) -> InLoop:
    """A place where a daemon has run and told of one alert."""
    running = InLoop(tmp_path)
    async with running:
        running.write(bind_line("api.telegram.org"))
        await soon(running.alerts)
    return running


def db(config: Path, capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as exit_:
        main(["--config", str(config), "db", *arguments])
    said = capsys.readouterr()
    return int(exit_.value.code or 0), said.out, said.err


def test_a_sound_store_and_a_damaged_one(ran: InLoop, capsys: pytest.CaptureFixture[str]) -> None:
    """`check` exits 0 and 1, and says what to do about damage."""
    assert db(ran.config, capsys, "check")[:2] == (0, f"{ran.folder / 'state' / FILE} is sound.\n")
    path = ran.folder / "state" / FILE
    data = bytearray(path.read_bytes())
    data[4096:] = b"\xff" * (len(data) - 4096)
    path.write_bytes(data)
    code, _, err = db(ran.config, capsys, "check")
    assert code == 1
    assert "put a backup in its place" in err
    assert "sources are read from where `from` says" in err  # by default only what is new: not what is still there


def test_a_backup_holds_the_alerts_while_the_daemon_holds_the_lock(
    ran: InLoop, capsys: pytest.CaptureFixture[str]
) -> None:
    """The copy is whole; a second one never overwrites it."""
    copy = ran.folder / "copy.db"
    with StateLock(ran.folder / "state"):
        code, out, _ = db(ran.config, capsys, "backup", str(copy))
    assert (code, "To restore it" in out) == (0, True)
    with closing(sqlite3.connect(copy)) as connection:
        assert connection.execute("SELECT count(*) FROM alert").fetchone() == (1,)
    code, _, err = db(ran.config, capsys, "backup", str(copy))
    assert (code, "never overwrites" in err) == (1, True)


def test_prune_takes_what_is_old_and_only_without_a_daemon(ran: InLoop, capsys: pytest.CaptureFixture[str]) -> None:
    """Open alerts stay whatever their age; old attempts go; a running daemon is named."""
    with closing(sqlite3.connect(ran.folder / "state" / FILE)) as connection, connection:
        assert connection.execute("UPDATE sighting SET hour = hour - 10 * 86400").rowcount == 1
    with StateLock(ran.folder / "state"):
        code, _, err = db(ran.config, capsys, "prune", "--sightings-days", "5")
    assert (code, "pid" in err) == (1, True)
    code, out, _ = db(ran.config, capsys, "prune", "--sightings-days", "5", "--alerts-days", "1", "--json")
    assert (code, json.loads(out)["sighting"], json.loads(out)["alert"]) == (0, 1, 0)
    assert db(ran.config, capsys, "prune")[1] == "Removed nothing.\n"


@pytest.mark.parametrize("arguments", [("check",), ("prune",), ("backup", "copy.db")])
def test_where_nothing_ever_ran(tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]) -> None:
    """Exit 4, as for `status`."""
    (tmp_path / "dnswatch.yaml").write_text("state_dir: state\n")
    code, _, err = db(tmp_path / "dnswatch.yaml", capsys, *arguments)
    assert (code, "nothing has ever run" in err) == (4, True)
