"""How long it takes from a line in the log to the alert in the file sink, and what following a log costs.

    python -m benchmarks.live [--rates 0,1000,100000] [--seconds 10] [--watched 0.01]

A real daemon follows a BIND log with the whole catalogue. Ordinary lines come at each rate, in a write every 10 ms; of
them a share is watched, by clients whose alerts are open. Twenty times a second, in a write of its own, a client
that was never seen asks for a watched name: the time until its alert stands in the sink's file is what counts. Rate 0:
nothing is written but those lines, and before them nothing at all for as long, to see what idling costs.

Never: touches anything but a temporary directory. Read next: ``README.md``.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sysconfig
import tempfile
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.measure import compile_product

EVERY_S, MARK_EVERY_S = 0.01, 0.05
LOOK_S = 0.0005
"""The sink's file is looked at so often: what the numbers can tell apart."""
PATIENCE_S = 30.0
SETTLE_S = 14.0
"""After the last line: for 10 s the daemon ticks four times a second and the file sink looks after what it wrote."""
TICKS = os.sysconf("SC_CLK_TCK")


class Daemon:
    """A running daemon, its log, and the times of its alerts by client."""

    def __init__(self, directory: Path) -> None:
        self.log = directory / "query.log"
        self.log.touch()
        self._alerts = directory / "alerts.jsonl"
        config = directory / "dnswatch.yaml"
        config.write_text(json.dumps({
            "state_dir": str(directory / "state"),
            "sources": [{"type": "bind", "path": str(self.log), "from": "start"}],
            "watch": {"profile": "extended"},
            "sinks": [{"type": "file", "path": str(self._alerts), "format": "json"}],
            "feeds": {"mode": "off"},
        }))  # fmt: skip
        self.file = os.open(self.log, os.O_WRONLY | os.O_APPEND)
        self.seen: dict[str, float] = {}
        self._ended = threading.Event()
        program = Path(sysconfig.get_path("scripts")) / "dnswatch"
        self.process = subprocess.Popen(
            [str(program), "--config", str(config), "run"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        while not self._alerts.exists() and not self._ended.wait(LOOK_S):
            pass
        if self._ended.is_set():
            return
        rest = b""
        with self._alerts.open("rb", buffering=0) as file:
            while not self._ended.wait(LOOK_S):
                *lines, rest = (rest + (file.read(1 << 20) or b"")).split(b"\n")
                now = time.monotonic()
                for line in lines:
                    self.seen.setdefault(json.loads(line)["client_ip"], now)

    def wait_for(self, client: str) -> bool:
        """Wait until an alert names a client."""
        until = time.monotonic() + PATIENCE_S
        while client not in self.seen and time.monotonic() < until and self.process.poll() is None:
            time.sleep(0.005)
        return client in self.seen

    def used(self) -> tuple[float, int]:
        """Give the CPU seconds of the daemon so far, and how often one of its threads has waited for something."""
        proc = Path(f"/proc/{self.process.pid}")
        fields = proc.joinpath("stat").read_text().rpartition(")")[2].split()
        waited = 0
        for status in proc.glob("task/*/status"):
            found = [line for line in status.read_text().splitlines() if line.startswith("voluntary")]
            waited += int(found[0].split()[1])
        return (int(fields[11]) + int(fields[12])) / TICKS, waited

    def rss_mb(self) -> float:
        """Give the memory that it has now."""
        return int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6

    def end(self) -> None:
        """Stop it."""
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(PATIENCE_S)
        self._ended.set()
        self._reader.join()
        os.close(self.file)


def line(client: str, name: str) -> bytes:
    """Write a line as BIND would now."""
    stamp = datetime.now(UTC).strftime("%d-%b-%Y %H:%M:%S.%f")[:-3]
    asked = f"({name}): query: {name} IN A +E(0)K (10.0.0.53)"
    return f"{stamp} queries: info: client @0x7fa484f14098 {client}#38510 {asked}\n".encode()


def flow(daemon: Daemon, rate: int, seconds: float, watched: float, first: int) -> tuple[list[str], dict[str, float]]:
    """Write at a rate; give the clients that should alert, and when each asked."""
    marks: dict[str, float] = {}
    begun = time.monotonic()
    written, marked = 0, 0
    while (passed := time.monotonic() - begun) < seconds:
        due = int(passed * rate) - written
        if due > 0:
            usual, known = line("10.0.0.9", "www.example.org"), line("10.0.0.1", "api.telegram.org")
            count = int(due * watched)
            os.write(daemon.file, usual * (due - count) + known * count)
            written += due
        if passed >= marked * MARK_EVERY_S:
            client = f"10.{1 + (first + marked) // 65536}.{(first + marked) // 256 % 256}.{(first + marked) % 256}"
            marked += 1
            text = line(client, "webhook.site")
            marks[client] = time.monotonic()
            os.write(daemon.file, text)
        time.sleep(max(0.0, begun + (int(passed / EVERY_S) + 1) * EVERY_S - time.monotonic()))
    return list(marks), marks


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rates", default="0,1000,100000", help="lines a second [0,1000,100000]")
    parser.add_argument("--seconds", type=float, default=10.0, help="for each rate [10]")
    parser.add_argument("--watched", type=float, default=0.01, help="share of watched lines [0.01]")
    given = parser.parse_args()
    compile_product()
    with tempfile.TemporaryDirectory(prefix="dnswatch-bench-") as text:
        begun = time.monotonic()
        daemon = Daemon(Path(text))
        try:
            os.write(daemon.file, line("10.0.0.1", "api.telegram.org"))
            if not daemon.wait_for("10.0.0.1"):
                raise SystemExit("the daemon gave no alert")
            print(f"start to first alert: {daemon.seen['10.0.0.1'] - begun:.2f} s")
            first = 0
            for rate in map(int, given.rates.split(",")):
                if not rate:
                    time.sleep(SETTLE_S)
                    cpu, waits = daemon.used()
                    time.sleep(given.seconds)
                    later, more = daemon.used()
                    print(f"idle: {100 * (later - cpu) / given.seconds:.2f} % of a core, "
                          f"{(more - waits) / given.seconds:.1f} wake-ups/s, {daemon.rss_mb():.0f} MB")  # fmt: skip
                cpu, _ = daemon.used()
                clients, marks = flow(daemon, rate, given.seconds, given.watched, first)
                later, _ = daemon.used()
                first += len(clients)
                lost = [client for client in clients if not daemon.wait_for(client)]
                took = sorted(1000 * (daemon.seen[client] - marks[client]) for client in clients if client not in lost)
                print(f"{rate} lines/s: {len(took)} alerts, p50 {took[len(took) // 2]:.1f} ms, "
                      f"p99 {took[len(took) * 99 // 100]:.1f} ms, most {took[-1]:.1f} ms; "
                      f"{100 * (later - cpu) / given.seconds:.1f} % of a core; {len(lost)} lost")  # fmt: skip
        finally:
            daemon.end()


if __name__ == "__main__":
    main()
