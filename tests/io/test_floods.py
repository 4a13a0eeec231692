"""Floods against the real process, fed through a file: memory and store stay bounded, it is told, real alerts come.

An eighth of it runs always, `make torture` runs 5 000 lookups a second for minutes. How soon a real alert comes is
judged by the processor time that the daemon needs until then, and by how many alerts stand before it: what else the
machine does changes neither.
"""

import json
import os
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from dnswatch.core.detect.flood import NEWCOMER, SILENT
from dnswatch.core.policy import Detection
from tests.running import Running, bind_line, until

REAL, EARLY = "10.0.10.7", "10.0.10.8"
AT_ONCE = Detection().strangers.at_once
OTHERS = 100
"""Alerts beside those: revisions of the flood's own, unknown clients that come when it pauses."""
NEEDED_S = 12.0
"""Seconds of processor time until a real alert is in the sink: for what is read before it, what is stored with it and
the flood's first alerts. Measured: 1 to 4; three times that where others use the caches, too."""
PER_S = 5_000
OF_A_THOUSAND = (32.0, 48.0)
"""MiB that a thousand alerts need in memory, and in the store with its journal (measured: 25 and 26): on a slow machine
they are stored late."""
STEPS = 10  # in a second
BEHIND_S = 6
"""So many seconds' lines may wait to be read; two until `status` says so, the rest for checkpoints."""

Line = Callable[[int, float], str]


def made_up_name(number: int, at: float) -> str:
    """Ten clients, each time a new name below a watched one."""
    return bind_line(f"{number:x}.webhook.site", f"10.1.0.{number % 10}", at)


def made_up_client(number: int, at: float) -> str:
    """Each time a new client, IPv4 and IPv6 in turns."""
    low, high = number & 0xFFFF, number >> 16
    v4, v6 = f"198.{18 + high}.{low >> 8}.{low & 255}", f"2001:db8:{high:x}:{low:x}::1"
    return bind_line("api.telegram.org", v6 if number % 2 else v4, at)


class Flood:
    """A daemon, a flood into its log, and what it costs."""

    def __init__(self, folder: Path, line: Line, per_s: int) -> None:
        self.running = Running(
            folder, sources=f"sources: [{{type: bind, path: {folder}/query.log, timezone: UTC, from: start}}]"
        )
        # It is known: seen at something else, and not just before.
        for client in (REAL, EARLY):  # each in a sample of its own
            self.running.write(bind_line("www.example.test", client, time.time() - 3600) * 80)
        self._line, self._per_s, self._number = line, per_s, 0
        self._asked: dict[str, float] = {}  # real client → `burned` when it asked
        self.needed: dict[str, float] = {}  # … and how much more until its alert had come

    def rain(self, seconds: int) -> Iterator[float]:
        """Write what comes in so many seconds, as a server would; give the resident memory, in MiB, after each second.

        On a machine that is busy with other things it waits for the daemon: what is measured is its work.
        """
        for _ in range(seconds):
            for _ in range(STEPS):
                before, at, count = time.monotonic(), time.time(), self._per_s // STEPS
                self.running.write("".join(self._line(self._number + n, at) for n in range(count)))
                self._number += count
                time.sleep(max(before + 1 / STEPS - time.monotonic(), 0.0))
            self.look()
            yield self.memory()
            until(lambda: self.behind() < BEHIND_S * self._per_s, 120)

    def behind(self) -> float:
        """How many lines are not read yet, or so few seconds ago that `status` does not show it."""
        row = self.running.status().get(f"source:{self.running.log}", {"offset": 0})
        size = self.running.log.stat().st_size
        return (size - float(row["offset"])) / max(size, 1) * self._number

    def burned(self) -> float:
        """Seconds of processor time that the daemon has used."""
        assert self.running.process
        fields = Path(f"/proc/{self.running.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def memory(self) -> float:
        assert self.running.process
        said = Path(f"/proc/{self.running.process.pid}/status").read_text()
        found = re.search(r"VmRSS:\s+(\d+) kB", said)
        assert found
        return int(found[1]) / 1024

    def stored(self) -> float:
        """MiB of the store, its journal included."""
        return sum(one.stat().st_size for one in (self.running.folder / "state").glob("dnswatch.db*")) / 2**20

    def status(self) -> dict[str, Any]:
        done = self.running.run("status", "--json")
        assert done.returncode == 0, done.stderr
        rows: dict[str, Any] = json.loads(done.stdout)["rows"]
        return rows

    def real_alert(self, client: str) -> None:
        """A client that exists looks up what nobody should, in the midst of it."""
        self._asked[client] = self.burned()
        self.running.write(bind_line("x.oast.fun", client))

    def look(self) -> bool:
        """Note whose alert has come; True when all have."""
        for client in self._asked.keys() - self.needed.keys():
            if any(one["client_ip"] == client for one in self.running.alerts()):
                self.needed[client] = self.burned() - self._asked[client]
        return self._asked.keys() == self.needed.keys()

    def caught_up(self) -> None:
        """Wait until everything that was written is read."""
        name = f"source:{self.running.log}"
        until(lambda: (row := self.status()[name])["offset"] == self.running.log.stat().st_size and row["offset"], 300)


def endure(
    folder: Path, line: Line, per_s: int, warm_s: int, seconds: int, grown: tuple[float, float] = (8, 8)
) -> dict[str, Any]:
    """Flood it; give the status rows. Once it is warm memory and store grow by no more than so many MiB.

    A real client is told of in the flood's first seconds, when everything is new, and one in the midst of it.
    """
    flood = Flood(folder, line, per_s)
    with flood.running:
        list(flood.rain(1))
        flood.real_alert(EARLY)
        list(flood.rain(warm_s))
        first = list(flood.rain(seconds // 2))
        store = flood.stored()
        flood.real_alert(REAL)
        second = list(flood.rain(seconds // 2))
        until(flood.look, 60 + 4 * seconds)
        said = f"MiB resident {first} then {second}; store {store:.1f}, then {flood.stored():.1f} MiB; {flood.needed}"
        assert max(flood.needed.values()) < NEEDED_S, said
        assert median(second) <= median(first) * 1.1 + grown[0], said  # a checkpoint needs some for a moment
        assert flood.stored() <= store * 1.25 + grown[1], said
        flood.caught_up()
        rows = flood.status()
        assert flood.running.stop() == 0
    alerts = flood.running.alerts()
    for client in (EARLY, REAL):
        before = [one["client_ip"] for one in alerts].index(client)
        assert before <= AT_ONCE + OTHERS, f"{before} alerts before that of {client}"
        assert alerts[before]["category"] == "oob-interaction"
    assert len(alerts) <= AT_ONCE + rows["engine"]["counters"].get("flood", 0) / 1_000 + OTHERS
    assert "Traceback" not in flood.running.said()
    return rows


@pytest.mark.timeout(120)
def test_made_up_names(tmp_path: Path) -> None:
    """An eighth of a flood of random names: one alert for each client, nothing grows."""
    rows = endure(tmp_path, made_up_name, PER_S // 8, 4, 6)
    assert rows["engine"]["sizes"]["episodes"] <= 12


@pytest.mark.timeout(120)
def test_made_up_clients(tmp_path: Path) -> None:
    """An eighth of a flood of forged senders: a thousand have their alerts, the real ones too, nothing grows."""
    rows = endure(tmp_path, made_up_client, PER_S // 8, 3, 4, OF_A_THOUSAND)
    assert AT_ONCE <= rows["engine"]["sizes"]["episodes"] < AT_ONCE + OTHERS
    assert rows["engine"]["counters"]["flood"] > AT_ONCE


@pytest.mark.torture
@pytest.mark.timeout(1800)
def test_made_up_names_at_full_size(tmp_path: Path) -> None:
    """5 000 new names a second for minutes: every table is full long before the end, and says what had to go."""
    rows = endure(tmp_path, made_up_name, PER_S, 40, 60)
    assert rows["engine"]["sizes"]["episodes"] <= 12
    assert any(name.startswith("evicted:") for name in rows["engine"]["counters"]), rows["engine"]


@pytest.mark.torture
@pytest.mark.timeout(1800)
def test_made_up_clients_at_full_size(tmp_path: Path) -> None:
    """5 000 new senders a second for minutes: a thousand have their alert, the others are one."""
    rows = endure(tmp_path, made_up_client, PER_S, 30, 90, OF_A_THOUSAND)
    assert rows["engine"]["counters"]["flood"] > 100_000
    assert rows["engine"]["sizes"]["activity"] <= AT_ONCE + SILENT[NEWCOMER].at_once + OTHERS
    assert ["client-flood", "unknown clients"] in [list(one) for one in rows["health"]["blind_spots"]]
