"""An older store: refused with a way on, brought up to date after a backup, by command and by `run`."""

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from dnswatch.cli import main
from dnswatch.errors import StateError
from dnswatch.io.store import FILE, Store
from dnswatch.io.store.care import layout
from dnswatch.io.store.schema import VERSION
from dnswatch.io.store.steps import STEPS
from dnswatch.io.store.upgrade import upgrade
from tests.io.making import alert, state
from tests.running import InLoop, bind_line, soon


def tables(path: Path) -> dict[str, str]:
    with closing(sqlite3.connect(path)) as connection:
        rows = connection.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL").fetchall()
    return {name: " ".join(sql.replace('"', "").split()) for name, sql in rows}


async def store_of_layout_1(path: Path) -> None:
    """Write a store as the first layout was, with an alert and a position."""
    path.parent.mkdir(exist_ok=True)
    async with await Store.open(path) as store:
        await store.checkpoint([state(offset=42)], None, [alert(1)])
    with closing(sqlite3.connect(path)) as connection, connection:
        for later in ("health_row", "sink_stream", "dead_letter", "surroundings"):
            connection.execute(f"DROP TABLE {later}")
        connection.execute("UPDATE meta SET value = '1' WHERE key = 'version'")


def test_there_is_a_step_for_every_version() -> None:
    """No version without its step."""
    assert sorted(STEPS) == list(range(2, VERSION + 1))


async def test_an_upgraded_store_is_as_a_new_one(tmp_path: Path) -> None:
    """All steps together lead to the very tables that a new store has; data and a backup of before are there."""
    path = tmp_path / FILE
    await store_of_layout_1(path)
    done = await upgrade(path)
    assert done is not None
    assert (done.before, done.after, layout(done.backup), layout(path)) == (1, VERSION, 1, VERSION)
    async with await Store.open(tmp_path / "new.db"):
        pass
    assert tables(path) == tables(tmp_path / "new.db")
    async with await Store.open(path, create=False) as store:
        assert await store.alerts() == [alert(1)]
        assert (await store.load()).positions == {"bind": state(offset=42)}
    assert await upgrade(path) is None


async def test_an_older_store_is_refused_with_the_way_on(tmp_path: Path) -> None:
    """Commands that only read say what to do and change nothing."""
    await store_of_layout_1(tmp_path / FILE)
    for readonly in (True, False):
        with pytest.raises(StateError, match=r"has layout 1.*db upgrade.*run` does so by itself"):
            await Store.open(tmp_path / FILE, create=False, readonly=readonly)
    assert layout(tmp_path / FILE) == 1


async def test_without_a_backup_there_is_no_upgrade(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the backup cannot be written the store stays as it was."""
    await store_of_layout_1(tmp_path / FILE)

    def full(path: Path, to: Path) -> int:
        raise StateError(f"{path} cannot be copied to {to}: disk full")

    monkeypatch.setattr("dnswatch.io.store.upgrade.copy", full)
    with pytest.raises(StateError, match="disk full"):
        await upgrade(tmp_path / FILE)
    assert layout(tmp_path / FILE) == 1


async def test_a_step_that_fails_leaves_the_store_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All steps are one transaction, the version included."""
    await store_of_layout_1(tmp_path / FILE)
    before = tables(tmp_path / FILE)

    def torn(op: object) -> None:
        STEPS_2(op)  # type: ignore[arg-type]
        raise OSError("power cut")

    STEPS_2 = STEPS[2]  # noqa: N806
    monkeypatch.setitem(STEPS, 2, torn)
    with pytest.raises(OSError, match="power cut"):
        await upgrade(tmp_path / FILE)
    assert (layout(tmp_path / FILE), tables(tmp_path / FILE)) == (1, before)


async def test_run_upgrades_by_itself_and_says_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The daemon makes a backup, goes on with what was stored, and names the backup in its log."""
    await store_of_layout_1(tmp_path / "state" / FILE)
    async with InLoop(tmp_path) as running:
        running.write(bind_line("api.telegram.org"))
        await soon(running.alerts)
    assert "is of layout" in caplog.text
    (backup,) = (tmp_path / "state").glob(f"{FILE}.layout-1.*")
    assert str(backup) in caplog.text


def test_the_commands(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`db check` says older and how to go on, `db upgrade` does it once, `db check` is content then."""
    import asyncio

    asyncio.run(store_of_layout_1(tmp_path / "state" / FILE))
    (tmp_path / "dnswatch.yaml").write_text("state_dir: state\n")

    def db(*arguments: str) -> tuple[int, str]:
        with pytest.raises(SystemExit) as exit_:
            main(["--config", str(tmp_path / "dnswatch.yaml"), "db", *arguments])
        said = capsys.readouterr()
        return int(exit_.value.code or 0), said.out + said.err

    code, said = db("check")
    assert (code, "dnswatch db upgrade" in said) == (1, True)
    code, said = db("upgrade")
    assert (code, "As it was: " in said) == (0, True)
    assert "nothing to do" in db("upgrade")[1]
    assert db("check")[0] == 0
    with closing(sqlite3.connect(tmp_path / "state" / FILE)) as connection, connection:
        connection.execute("UPDATE meta SET value = '99' WHERE key = 'version'")
    code, said = db("upgrade")
    assert (code, "newer dnswatch wrote it" in said) == (1, True)


def test_alembic_is_not_imported_unless_needed() -> None:
    """Neither by `--help` nor by opening a store: it costs a tenth of a second."""
    code = ("import sys, dnswatch.daemon, dnswatch.cli.db; "
            "sys.exit(any(name.split('.')[0] == 'alembic' for name in sys.modules))")  # fmt: skip
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
