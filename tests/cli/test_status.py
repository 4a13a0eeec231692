"""`dnswatch status`: running, not running, never ran; ready or why not."""

import json
import sqlite3
import time
from pathlib import Path
from typing import Any

import pytest

from dnswatch.cli import main
from dnswatch.cli.status import _learning
from dnswatch.cli.tables import amount, span
from dnswatch.io.lock import StateLock
from dnswatch.io.store import FILE
from tests.running import InLoop, bind_line, soon


class Status:
    """The command on one state_dir."""

    def __init__(self, config: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self._config = config
        self._capsys = capsys

    def __call__(self, *arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as exit_:
            main(["--config", str(self._config), "status", *arguments])
        said = self._capsys.readouterr()
        return int(exit_.value.code or 0), said.out, said.err

    def json(self, *arguments: str) -> tuple[int, Any]:
        code, out, _ = self("--json", *arguments)
        return code, json.loads(out)


@pytest.fixture
async def ran(tmp_path: Path) -> InLoop:
    """A place where a daemon has run, with one log that is there and one that is not."""
    (tmp_path / "query.log").touch()
    sources = ", ".join(f"{{type: bind, path: {tmp_path}/{name}.log, timezone: UTC}}" for name in ("query", "missing"))
    running = InLoop(tmp_path, sources=f"sources: [{sources}]")
    async with running:
        running.write(bind_line("api.telegram.org"), "client nonsense\n")
        await soon(running.alerts)
        await soon(lambda: bool(running.daemon.upkeep.feed_rows))
    return running


def test_never_ran(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without a store there is nobody to ask: exit 4."""
    config = tmp_path / "dnswatch.yaml"
    config.write_text("state_dir: state\n")
    code, _, err = Status(config, capsys)()
    assert (code, "has not run" in err) == (4, True)


def test_not_running_shows_what_was_last(ran: InLoop, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit 1, and everything that it said last: logs, sinks, zones, counters."""
    code, out, _ = Status(ran.config, capsys)()
    assert code == 1
    assert out.startswith("Not running. What it said last")
    for text in (str(ran.log), "no such file", f"file:{ran.alerts_file}", "any.rpz.dnswatch.internal", "shadow",
                 "1 unexpected", "1 alert revisions"):  # fmt: skip
        assert text in out, text
    code, plain = Status(ran.config, capsys).json()
    assert (code, plain["running"], plain["pid"]) == (1, False, None)
    assert plain["rows"][f"source:{ran.log}"]["candidates"] == 1
    assert plain["rows"][f"sink:file:{ran.alerts_file}"]["sent"] == 1
    assert plain["rows"]["run"]["stopped_at"]


def test_how_far_learning_is(ran: InLoop, capsys: pytest.CaptureFixture[str]) -> None:
    """The day and what does not count till when; afterwards since when; or that it is off."""
    assert "Learning: day 1 of 14, until " in Status(ran.config, capsys)()[1]
    row = Status(ran.config, capsys).json()[1]["rows"]["engine"]
    assert row["learning_s"] == 14 * 86400
    told = {key: _learning({**row, **other}) for key, other in {
        "later": {"log_now": row["began_at"] + 14 * 86400}, "off": {"learning_s": 0.0}, "none": {"began_at": None},
    }.items()}  # fmt: skip
    assert told["later"].startswith("Learnt: 14 days from ")
    assert told["off"] == "Learning is off: whatever is new counts as new."
    assert told["none"] == "Learning: no line yet; it takes 14 days of log."


def test_running_and_ready(ran: InLoop, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit 0 while it runs; --ready also asks whether it is, and says why it is not."""
    with StateLock(ran.folder / "state"):
        code, out, _ = Status(ran.config, capsys)()
        assert (code, out.startswith("Running for")) == (0, True)
        assert "not ready" in out
        code, plain = Status(ran.config, capsys).json("--ready")
        assert (code, plain["running"]) == (1, True)
        assert "missing.log: no such file" in plain["unready"][0]
        with sqlite3.connect(ran.folder / "state" / FILE) as raw:
            raw.execute("UPDATE status SET at_wall = ?", (time.time() - 60,))
        raw.close()
        assert "has not said anything for 60 s" in Status(ran.config, capsys)()[1]


def test_amounts() -> None:
    """Numbers are written for people."""
    assert [span(s) for s in (0.5, 59, 119, 120, 7200, 200_000)] == ["0.5 s", "59 s", "119 s", "2 min", "2 h", "2 d"]
    assert [amount(n) for n in (0, 1023, 1536, 3 << 20, 5 << 40)] == [
        "0 B", "1023 B", "1.5 KiB", "3.0 MiB", "5120.0 GiB",
    ]  # fmt: skip
