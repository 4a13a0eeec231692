"""The journal through journalctl, here a stand-in that prints the documented JSON; ``tests/live`` has the real one."""

import json
import os
import signal
import stat
import sys
import time
from pathlib import Path

import pytest

from dnswatch.io.sources import journald
from tests.running import InLoop, Running, soon, until

NAME = "api.telegram.org"
STAND_IN = """#!{python}
import json, os, sys, time
here = os.path.dirname(os.path.abspath(__file__))
arguments = sys.argv[1:]
open(here + "/asked", "a").write(" ".join(arguments) + "\\n")
if os.path.exists(here + "/denied"):
    sys.exit("No journal files were opened due to insufficient permissions.")
if os.path.exists(here + "/slow"):
    time.sleep(0.3)
options = dict(each.partition("=")[::2] for each in arguments)
def entries():
    return [json.loads(line) for line in open(here + "/entries")]
def behind(cursor):
    found = [i for i, one in enumerate(entries()) if int(one["__CURSOR"]) > int(cursor)]
    return found[0] if found else len(entries())
if "--follow" in arguments:
    at = behind(options["--after-cursor"]) if "--after-cursor" in options else 0
    while True:
        for one in entries()[at:]:
            print(json.dumps(one), flush=True)
            at += 1
        time.sleep(0.01)
elif "--cursor" in options:
    for one in entries()[behind(int(options["--cursor"]) - 1):][:1]:
        print(json.dumps(one))
else:
    until = float(options["--until"].removeprefix("@")) * 1e6
    for one in [one for one in entries() if int(one["__REALTIME_TIMESTAMP"]) <= until][-1:]:
        print(json.dumps(one))
"""


class Journal:
    """A journal of our own, and a `journalctl` that reads it."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder / "bin"
        self.folder.mkdir()
        self.entries = self.folder / "entries"
        self.entries.write_text("")
        self._count = 0
        program = self.folder / "journalctl"
        program.write_text(STAND_IN.format(python=sys.executable))
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setenv("PATH", f"{self.folder}:{os.environ['PATH']}")

    def add(self, client: str, **more: str) -> None:
        """Add an entry of named about a watched name."""
        self._count += 1
        message = f"client @0x7f {client}#4711 ({NAME}): query: {NAME} IN A + (10.0.0.53)"
        one = {"__CURSOR": str(self._count), "__REALTIME_TIMESTAMP": str(time.time_ns() // 1000),
               "SYSLOG_IDENTIFIER": "named", "_PID": "9", "_HOSTNAME": "ns1", "MESSAGE": message, **more}  # fmt: skip
        with self.entries.open("a") as file:
            file.write(json.dumps(one) + "\n")

    def vacuum(self) -> None:
        """Delete everything."""
        self.entries.write_text("")


SOURCES = "sources: [{type: bind, journald: {unit: named, namespace: dns}}]"


async def clients(place: InLoop, *wanted: str) -> None:
    await soon(lambda: [one["client_ip"] for one in place.alerts()] == list(wanted), 30)  # it starts processes


@pytest.mark.parametrize("slow", [False, True])
async def test_only_what_is_new_then_everything_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, slow: bool
) -> None:
    """`from: end` begins behind the last entry before the start, however late journalctl starts; then it goes on."""
    log = Journal(tmp_path, monkeypatch)
    if slow:
        (log.folder / "slow").touch()
    log.add("10.0.0.1")
    place = InLoop(tmp_path, sources=SOURCES)
    async with place:
        log.add("10.0.0.2")
        await clients(place, "10.0.0.2")
        (reader,) = place.daemon.following.readers.values()
        assert reader.id == "journald:named.service,namespace=dns"
        await soon(lambda: reader.at_end)
        assert (reader.row()["lost"], reader.row()["waiting"]) == ({}, "")
    log.add("10.0.0.3")
    async with place:
        await clients(place, "10.0.0.2", "10.0.0.3")
    asked = (log.folder / "asked").read_text()
    assert "--namespace=dns" in asked
    assert f"_SYSTEMD_UNIT=named.service + MESSAGE_ID={journald.journal.SUPPRESSED}" in asked


def test_killed_at_any_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """kill -9 while lines come: nothing is lost, nothing counts twice."""
    log = Journal(tmp_path, monkeypatch)
    place = Running(tmp_path, sources=SOURCES.replace("journald:", "from: start, journald:"))

    def found() -> set[
        tuple[str, int]
    ]:  # a file is written at least once: after kill -9 the same may stand there twice
        return {(one["client_ip"], one["count"]) for one in place.alerts()}

    for round_ in range(2):
        place.start()
        for i in range(20):
            log.add(f"10.0.{round_}.{i}")
        until(lambda wanted=round_ * 20 + 5: len(found()) >= wanted, 20)
        place.stop(signal.SIGKILL)
    with place:
        until(lambda: len(found()) >= 40, 20)
        assert found() == {(f"10.0.{r}.{i}", 1) for r in range(2) for i in range(20)}


async def test_what_was_deleted_meanwhile_is_a_loss(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The journal was vacuumed while nobody read it: that is said, and reading goes on."""
    log = Journal(tmp_path, monkeypatch)
    place = InLoop(tmp_path, sources=SOURCES)
    async with place:
        log.add("10.0.0.1")
        await clients(place, "10.0.0.1")
    log.add("10.0.0.2")
    log.vacuum()
    log.add("10.0.0.3")
    async with place:
        await clients(place, "10.0.0.1", "10.0.0.3")
        (reader,) = place.daemon.following.readers.values()
        assert reader.row()["lost"] == {journald.VACUUMED: 1}


async def test_what_the_rate_limit_took_is_lost_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Notices about our unit are counted by their number; those about others are not ours."""
    log = Journal(tmp_path, monkeypatch)
    place = InLoop(tmp_path, sources=SOURCES)
    async with place:
        for unit in ("named.service", "other.service"):
            log.add("", MESSAGE_ID=journald.journal.SUPPRESSED, MESSAGE=f"Suppressed 77 messages from {unit}")
        log.add("10.0.0.1")
        await clients(place, "10.0.0.1")
        (reader,) = place.daemon.following.readers.values()
        assert reader.row()["lost_lines"] == 77
        assert reader.row()["lost"] == {journald.SUPPRESSED: 1}


async def test_a_journal_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What journalctl says is what is waited for; once it may be read it is."""
    log = Journal(tmp_path, monkeypatch)
    denied = log.folder / "denied"
    denied.touch()
    place = InLoop(tmp_path, sources=SOURCES)
    async with place:
        (reason,) = [why for why in place.daemon.unready() if why.startswith("source")]
        assert reason.endswith("journalctl: No journal files were opened due to insufficient permissions.")
        denied.unlink()
        await soon(lambda: not [why for why in place.daemon.unready() if why.startswith("source")])
        log.add("10.0.0.1")
        await clients(place, "10.0.0.1")
