"""Floods against the real process, fed through a file: memory and store stay bounded, it is told, real alerts come.

An eighth of it runs always, `make torture` runs 5 000 lookups a second for minutes.
"""

import json
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from tests.running import Running, bind_line, until

REAL = "10.0.10.7"
PER_S = 5_000
STEP_S = 0.1

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
        self.running.write(bind_line("www.example.test", REAL))  # it is known: seen at something else
        self._line, self._per_s, self._number = line, per_s, 0

    def rain(self, seconds: float) -> Iterator[float]:
        """Write for so long, as a server would; give the resident memory, in MiB, each second."""
        begun, steps = time.monotonic(), 0
        while time.monotonic() < begun + seconds:
            at, count = time.time(), int(self._per_s * STEP_S)
            self.running.write("".join(self._line(self._number + n, at) for n in range(count)))
            self._number += count
            steps += 1
            time.sleep(max(begun + steps * STEP_S - time.monotonic(), 0.0))
            if steps % int(1 / STEP_S) == 0:
                yield self.memory()

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

    def real_alert(self) -> None:
        """A client that exists looks up what nobody should, in the midst of it."""
        self.running.write(bind_line("x.oast.fun", REAL))

    def caught_up(self) -> None:
        """Wait until everything that was written is read."""
        name = f"source:{self.running.log}"
        until(lambda: (row := self.status()[name])["offset"] == self.running.log.stat().st_size and row["offset"], 300)


def endure(
    folder: Path, line: Line, per_s: int, warm_s: float, seconds: float, grown: tuple[float, float] = (8, 8)
) -> dict[str, Any]:
    """Flood it; give the status rows. Once it is warm memory and store grow by no more than so many MiB."""
    flood = Flood(folder, line, per_s)
    with flood.running:
        list(flood.rain(warm_s))
        first = list(flood.rain(seconds / 2))
        store = flood.stored()
        flood.real_alert()
        second = list(flood.rain(seconds / 2))
        said = f"MiB resident {first} then {second}; store {store:.1f}, then {flood.stored():.1f} MiB"
        until(lambda: any(one["client_ip"] == REAL for one in flood.running.alerts()), 60 + 4 * seconds)
        assert median(second) <= median(first) * 1.1 + grown[0], said  # a checkpoint needs some for a moment
        assert flood.stored() <= store * 1.25 + grown[1], said
        flood.caught_up()
        rows = flood.status()
        assert flood.running.stop() == 0
    real = [one for one in flood.running.alerts() if one["client_ip"] == REAL]
    assert {one["category"] for one in real} == {"oob-interaction"}, real
    assert "Traceback" not in flood.running.said()
    return rows


@pytest.mark.timeout(120)
def test_made_up_names(tmp_path: Path) -> None:
    """An eighth of a flood of random names: one alert for each client, nothing grows."""
    rows = endure(tmp_path, made_up_name, PER_S // 8, 4, 6)
    assert rows["engine"]["sizes"]["episodes"] <= 12


@pytest.mark.timeout(120)
def test_made_up_clients(tmp_path: Path) -> None:
    """An eighth of a flood of forged senders: so few have their alerts, the real one too, at some kB for each."""
    clients = PER_S // 8 * 4
    rows = endure(tmp_path, made_up_client, PER_S // 8, 2, 4, grown=(clients * 0.012, clients * 0.05))
    assert rows["engine"]["sizes"]["episodes"] > 1_000


@pytest.mark.torture
@pytest.mark.timeout(900)
def test_made_up_names_at_full_size(tmp_path: Path) -> None:
    """5 000 new names a second for minutes."""
    rows = endure(tmp_path, made_up_name, PER_S, 60, 90)
    assert rows["engine"]["sizes"]["episodes"] <= 12
    assert any(name.startswith("evicted:") for name in rows["engine"]["counters"]), rows["engine"]


@pytest.mark.torture
@pytest.mark.timeout(900)
def test_made_up_clients_at_full_size(tmp_path: Path) -> None:
    """5 000 new senders a second for minutes: so many have their alert, the others are counted and told."""
    rows = endure(tmp_path, made_up_client, PER_S, 60, 90)
    assert rows["engine"]["counters"]["flood"] > 100_000
    assert ["client-flood", "unknown clients"] in [list(one) for one in rows["health"]["blind_spots"]]
