"""The rotation matrix: whatever becomes of a log and of the daemon, each line counts once and each loss is said.

Some cells run always; `make torture` runs them all.
"""

import contextlib
import json
import random
import re
import signal
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from dnswatch.cli import root
from tests.io.rotations import ROTATIONS, Rotation, Writer
from tests.running import Running, until

END = "10.0.99.1"


class Cell:
    """One cell of the matrix: a daemon, a writer, a way to rotate."""

    def __init__(self, folder: Path, name: str) -> None:
        self.rotation: Rotation = ROTATIONS[name]()
        logs = folder / "logs"
        logs.mkdir()
        self.writer = Writer(logs / "query.log")
        source = f"{{type: bind, path: {self.writer.log}, timezone: UTC, drain: 3s, olddir: old}}"
        self.running = Running(folder, "feeds: {mode: off}\n", sources=f"sources: [{source}]")
        self.rotation.begin(self.writer)

    def write(self) -> None:
        """Write and rotate, round for round."""
        done = 0
        while done < self.rotation.rounds:
            done += 1
            if self.writer.fd >= 0:
                self.writer.write()
            time.sleep(self.rotation.pause_s)
            self.rotation.rotate(self.writer)
        self.writer.write()

    def written(self) -> threading.Thread:
        """Write in a thread of its own."""
        thread = threading.Thread(target=self.write)
        thread.start()
        return thread

    def settle(self) -> None:
        """Wait until everything that was written is read, and end the daemon."""
        self.rotation.end(self.writer)
        self.writer.end(END)
        until(lambda: any(one["client_ip"] == END for one in self.running.alerts()), 20)
        assert self.running.stop() == 0
        self.writer.close()

    @property
    def said(self) -> Counter[str]:
        """Losses that were logged, by reason."""
        said = re.findall(r": lost: (.*) \((\d+) times so far\)", self.running.said())
        return Counter({why: max(int(number) for each, number in said if each == why) for why, _ in said})

    def missing(self) -> Counter[str]:
        """Compare the counts of all alerts with what was written; fail where more was counted."""
        listed = json.loads(self._output("alerts", "list", "--json", "--limit", "1000"))
        shown = [one for one in listed if one["category"] != "blind-spot"]
        counted = Counter({one["client_ip"]: one["count"] for one in shown if one["client_ip"] != END})
        assert len(counted) == len(shown) - 1, "one alert for each client"
        assert not counted - self.writer.counts, "counted more than once"
        missing = self.writer.counts - counted
        for client in [one for one in missing if self.rotation.window and one.startswith(self.rotation.window)]:
            del missing[client]
        return missing

    def check(self, way: str) -> None:
        """Every attempt counted once, every revision as in an undisturbed run, losses only where they are inherent."""
        assert "Traceback" not in self.running.said()
        missing = self.missing()
        if way not in self.rotation.lossy:
            assert not missing, self.said
            assert not [why for why in self.said if ", if " not in why]
        elif missing:
            assert self.said, f"{missing.total()} attempts are missing and nothing was said"
        told = {(one["id"], one["rev"]): one for one in self.running.alerts()}
        assert all(told[one["id"], one["rev"]] == one for one in self.running.alerts()), "one number, two revisions"
        if way not in self.rotation.lossy and not self.rotation.window:
            assert self._revisions(told.values()) == self._undisturbed()

    def _revisions(self, alerts: Iterable[dict[str, Any]]) -> set[tuple[object, ...]]:
        return {  # these lines are days old, which is told as a blind spot by the one who reads them live
            (one["id"], one["rev"], one["severity"], one["count"]) for one in alerts
            if one["client_ip"] != END and one["category"] != "blind-spot"
        }  # fmt: skip

    def _undisturbed(self) -> set[tuple[object, ...]]:
        """Scan what was written as one file."""
        whole = self.running.folder / "whole.log"
        whole.write_text("".join(self.writer.lines))
        scanned = self._output("scan", str(whole), "--type", "bind", "--timezone", "UTC", "--format", "json")
        return self._revisions(json.loads(line) for line in scanned.splitlines())

    def _output(self, *arguments: str) -> str:
        done = CliRunner().invoke(root, ["--config", str(self.running.config), *arguments], catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return done.stdout


def running(cell: Cell, _dice: random.Random) -> None:
    """The daemon runs all the time."""
    cell.running.start()
    cell.write()


def down(cell: Cell, _dice: random.Random) -> None:
    """It is down while the log is written and rotated several times."""
    cell.running.start()
    if cell.writer.fd >= 0:
        cell.writer.write()
        time.sleep(0.1)
    cell.running.stop()
    cell.rotation.rounds = 4
    cell.write()
    cell.running.start()


def interrupted(number: int) -> Callable[[Cell, random.Random], None]:
    """Build the way in which it is ended by a signal again and again, at random moments."""

    def interrupt(cell: Cell, dice: random.Random) -> None:
        cell.running.start()
        thread = cell.written()
        while thread.is_alive():
            time.sleep(dice.random() * 0.7)
            cell.running.stop(number)
            time.sleep(dice.random() * 0.2)
            cell.running.start()
        thread.join()

    return interrupt


WAYS: dict[str, Callable[[Cell, random.Random], None]] = {
    "running": running,
    "terminated": interrupted(signal.SIGTERM),
    "killed": interrupted(signal.SIGKILL),
    "down": down,
}
ALWAYS = [("late writes", "killed"), ("versions 0", "down"), ("gz", "down")]


def run(folder: Path, name: str, way: str) -> Cell:
    """Run one cell."""
    cell = Cell(folder, name)
    try:
        WAYS[way](cell, random.Random(f"{name} {way}"))
        cell.settle()
    finally:
        if cell.running.process is not None:
            cell.running.stop(signal.SIGKILL)
    cell.check(way)
    return cell


@pytest.mark.parametrize(("name", "way"), ALWAYS)
def test_rotation(tmp_path: Path, name: str, way: str) -> None:
    """Some cells of the matrix."""
    run(tmp_path, name, way)


@pytest.mark.torture
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", ROTATIONS)
def test_rotation_matrix(tmp_path: Path, name: str, way: str) -> None:
    """All cells of the matrix."""
    run(tmp_path, name, way)


@pytest.mark.torture
@pytest.mark.parametrize("name", ["versions 0", "versions 2", "removed", "directory replaced", "truncate and regrow"])
def test_what_is_lost_while_down_is_said(tmp_path: Path, name: str) -> None:
    """Where nobody could have read them, lines are missing, and exactly then it is said, with the reason."""
    cell = run(tmp_path, name, "down")
    assert cell.missing()
    assert cell.said["rotated away while not running"] == 1


@pytest.mark.torture
def test_killed_fifty_times_under_load(tmp_path: Path) -> None:
    """kill -9 at any moment, while it starts too: alerts, revisions and counts are those of a daemon left alone."""
    cell, dice = Cell(tmp_path, "versions 1000"), random.Random(50)
    cell.rotation.pause_s = 0.1
    cell.rotation.rounds = 100_000
    cell.running.start()
    thread, kills = cell.written(), 0
    try:
        while kills < 60:
            time.sleep(dice.random() * 2)
            cell.running.stop(signal.SIGKILL)
            kills += 1
            cell.running.start() if dice.random() < 0.7 else cell.running.launch()
    finally:
        cell.rotation.rounds = 0
        thread.join()
    cell.running.stop(signal.SIGKILL)
    cell.running.start()
    cell.settle()
    cell.check("killed")
    with contextlib.closing(sqlite3.connect(next((tmp_path / "state").glob("*.db")))) as store:
        assert store.execute("PRAGMA integrity_check").fetchall() == [("ok",)]

    alone = tmp_path / "alone"
    alone.mkdir()
    (tmp_path / "whole.log").write_text("".join(cell.writer.lines))
    source = f"{{type: bind, path: {tmp_path}/whole.log, timezone: UTC, from: start}}"
    with Running(alone, "feeds: {mode: off}\n", sources=f"sources: [{source}]") as left:
        wanted = shown(cell.running.alerts())
        until(lambda: len(left.alerts()) >= len(wanted), 30)
        assert left.stop() == 0
    assert shown(left.alerts()) == wanted
    assert sum(cell.writer.counts.values()) == len(cell.writer.lines)
    print(f"{kills} kills, {len(cell.writer.lines)} attempts, {len(wanted)} revisions")  # for whoever runs it with -s


_POSITION = re.compile(r" \([^()]*:\d+\)$")


def shown(alerts: Iterable[dict[str, Any]]) -> set[str]:
    """Give what alerts say but for the position of their lines; blind spots are of the reader, not of the log."""
    kept = [one for one in alerts if one["client_ip"] != END and one["category"] != "blind-spot"]
    return {json.dumps({**one, "evidence": [], "timeline": [_POSITION.sub("", step) for step in one["timeline"]]},
                       sort_keys=True) for one in kept}  # fmt: skip
