"""How long it takes from a line in the log to the alert in the file sink, and what following a log costs.

    python -m benchmarks.live [--rates 0,1000,100000] [--seconds 10] [--watched 0.01] [--clients 50000] [--names 100000]

A real daemon follows a BIND log with the whole catalogue. At each rate, lines come in a write every 10 ms: for a while
none of them watched, then a share of them (by clients whose alerts are open), then so, too, with alerts: twenty times a
second, in a write of its own, a client that was never seen asks for a watched name, and the time until its alert
stands in the sink's file is what counts. Beside the daemon `tail -F` follows the same log, and a few lines of Python
look in what it prints for the same names and sync what they find to the disk before they tell it, as the daemon must:
what the machine itself makes of it, with whatever else it does. Rate 0:
nothing is written but those lookups, and before them nothing at all, to see what idling costs.

``--clients``: then so many clients are seen that are expected to, and memory is read again. ``--names``: another daemon
has a list with so many names of one's own; it reloads, under 1000 lines a second, the list as it was and a changed one.

Never: touches anything but a temporary directory. Read next: ``stalled.py``, ``README.md``.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from hashlib import blake2b
from pathlib import Path
from typing import Any

from benchmarks.measure import compile_product

EVERY_S, MARK_EVERY_S = 0.01, 0.05
LOOK_S = 0.0005
"""The files of results are looked at so often: what the numbers can tell apart."""
PATIENCE_S = 30.0
SETTLE_S = 14.0
"""After the last line: for 10 s the daemon ticks four times a second and the file sink looks after what it wrote."""
RELOAD_S = 120.0
PART = 2000
TICKS = os.sysconf("SC_CLK_TCK")
KNOWN = [f"10.0.1.{n}" for n in range(50)]
"""Clients whose alerts are open when the share of watched lines comes."""
REFERENCE = (
    "import os, sys\n"
    "out, book = (os.open(name, os.O_WRONLY | os.O_CREAT | os.O_APPEND) for name in sys.argv[1:])\n"
    "for line in sys.stdin.buffer:\n"
    "    if b'webhook.site' in line:\n"
    "        os.write(book, line * 100)\n"
    "        os.fdatasync(book)\n"
    "        os.write(out, line)\n"
)
"""As much as must be: what is found is on the disk before anybody sees it."""


class Results:
    """The clients that a file names, and when each was there first: looked at all the time."""

    def __init__(self, path: Path, client_of: Callable[[bytes], str]) -> None:
        self.seen: dict[str, float] = {}
        self._path = path
        self._client_of = client_of
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        while not self._path.exists() and not self._ended.wait(LOOK_S):
            pass
        if self._ended.is_set():
            return
        rest = b""
        with self._path.open("rb", buffering=0) as file:
            while not self._ended.wait(LOOK_S):
                data = file.read(1 << 20)
                if not data:
                    continue
                *lines, rest = (rest + data).split(b"\n")
                now = time.monotonic()
                for line in lines:
                    self.seen.setdefault(self._client_of(line), now)

    def end(self) -> None:
        """Look no more."""
        self._ended.set()
        self._thread.join()


class Daemon:
    """A running daemon, its log, and the times of its alerts by client."""

    def __init__(self, directory: Path, names: int = 0) -> None:
        directory.mkdir()
        self.log = directory / "query.log"
        self.log.touch()
        self.services = directory / "services.d"
        self.services.mkdir()
        if names:
            self.write_list(names)
        config = directory / "dnswatch.yaml"
        config.write_text(json.dumps({
            "state_dir": str(directory / "state"),
            "sources": [{"type": "bind", "path": str(self.log), "from": "start", "timezone": "UTC"}],
            "watch": {"profile": "extended", "services_dir": str(self.services)},
            "expect": [{"who": ["10.64.0.0/10"], "services": ["telegram-bot", "slack-webhook"], "because": "known",
                        "owner": "benchmark"}],
            "sinks": [{"type": "file", "path": str(directory / "alerts.jsonl"), "format": "json"}],
            "feeds": {"mode": "off"}, "http": {"listen": "off"},
        }))  # fmt: skip
        self.file = os.open(self.log, os.O_WRONLY | os.O_APPEND)
        self._stalls = directory / "stalls"
        self._said = directory / "said"
        command = [sys.executable, "-m", "benchmarks.stalled", str(config), str(self._stalls)]
        with self._said.open("wb") as said:
            self.process = subprocess.Popen(command, stdout=said, stderr=said, stdin=subprocess.DEVNULL)
        self.alerts = Results(directory / "alerts.jsonl", lambda text: str(json.loads(text)["client_ip"]))

    @property
    def seen(self) -> dict[str, float]:
        """When each client's first alert stood in the file."""
        return self.alerts.seen

    def write_list(self, names: int, last: str = "last") -> None:
        """Write a list of one's own; a service of the catalogue may have 2000."""
        listed = [blake2b(b"%d" % n, digest_size=5).hexdigest() + ".example" for n in range(names - 1)]
        listed.append(f"{last}.example")
        for part, first in enumerate(range(0, names, PART)):
            head = f"id: own-{part}\nname: own {part}\ncategory: bot-api\nblock_safety: safe\nbase_severity: low\n"
            entries = "".join(f"  - {{name: {name}, match: domain}}\n" for name in listed[first : first + PART])
            own = self.services / f"own-{part}.yaml"
            own.write_text(f"{head}severity_reason: ours\nnames:\n{entries}")

    def wait_for(self, client: str) -> bool:
        """Wait until an alert names a client."""
        until = time.monotonic() + PATIENCE_S
        while client not in self.seen and time.monotonic() < until and self.process.poll() is None:
            time.sleep(0.005)
        return client in self.seen

    def used(self) -> tuple[float, int]:
        """Give the CPU seconds of the daemon so far, and how often one of its threads has waited for something."""
        return cpu_s(self.process.pid), waits(self.process.pid)

    def rss_mb(self) -> float:
        """Give the memory that it has now."""
        return int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6

    def stalls(self, during: Callable[[], Any]) -> dict[str, float]:
        """Give how long its loop stood still during something, in milliseconds."""
        known = self._stalls.read_text().count("\n") if self._stalls.exists() else 0
        self.process.send_signal(signal.SIGUSR1)
        during()
        self.process.send_signal(signal.SIGUSR2)
        until = time.monotonic() + PATIENCE_S
        while not self._stalls.exists() or self._stalls.read_text().count("\n") <= known:
            if time.monotonic() > until:
                raise SystemExit("the probe of the loop gave nothing")
            time.sleep(0.01)
        found: dict[str, float] = json.loads(self._stalls.read_text().splitlines()[-1])
        return found

    def said(self) -> str:
        """Give what it has logged."""
        return self._said.read_text()

    def end(self) -> None:
        """Stop it."""
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(PATIENCE_S)
        self.alerts.end()
        os.close(self.file)


class Reference:
    """`tail -F` of the same log, and a few lines of Python behind it."""

    def __init__(self, directory: Path, log: Path) -> None:
        found = directory / "reference"
        self._tail = subprocess.Popen(["tail", "-n", "0", "-F", str(log)], stdout=subprocess.PIPE)
        self._looks = subprocess.Popen(
            [sys.executable, "-c", REFERENCE, str(found), f"{found}.book"], stdin=self._tail.stdout
        )
        self.results = Results(
            found, lambda text: text.partition(b"client @")[2].split(b" ")[1].split(b"#")[0].decode()
        )

    def used(self) -> float:
        """Give its CPU seconds so far."""
        return cpu_s(self._tail.pid) + cpu_s(self._looks.pid)

    def end(self) -> None:
        """Stop it."""
        self._tail.terminate()
        self._tail.wait()
        self._looks.wait()
        self.results.end()


def cpu_s(pid: int) -> float:
    """Give the CPU seconds of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def waits(pid: int) -> int:
    """Give how often one of its threads has waited for something."""
    found = 0
    for status in Path(f"/proc/{pid}").glob("task/*/status"):
        lines = [line for line in status.read_text().splitlines() if line.startswith("voluntary")]
        found += int(lines[0].split()[1])
    return found


def line(client: str, name: str) -> bytes:
    """Write a line as BIND would now."""
    stamp = datetime.now(UTC).strftime("%d-%b-%Y %H:%M:%S.%f")[:-3]
    asked = f"({name}): query: {name} IN A +E(0)K (10.0.0.53)"
    return f"{stamp} queries: info: client @0x7fa484f14098 {client}#38510 {asked}\n".encode()


def strangers() -> Iterator[str]:
    """Yield clients that nobody has seen."""
    for number in range(1 << 20):
        yield f"10.{2 + number // 65536}.{number // 256 % 256}.{number % 256}"


class Writer:
    """Writes lines at a rate."""

    def __init__(self, file: int) -> None:
        self.late: list[float] = []
        """By how much too long each of its own pauses was, in ms: what the machine does besides."""
        self._file = file
        self._new = strangers()
        self._turn = 0

    def flow(self, rate: int, seconds: float, watched: float, alerts: bool = True) -> dict[str, float]:
        """Write for a while; give the clients that should alert, and when each asked."""
        marks: dict[str, float] = {}
        begun = time.monotonic()
        written = marked = 0
        while (passed := time.monotonic() - begun) < seconds:
            due = int(passed * rate) - written
            if due > 0:
                known = int((written + due) * watched) - int(written * watched)
                asked = b"".join(line(KNOWN[(self._turn + n) % len(KNOWN)], "api.telegram.org") for n in range(known))
                self._turn += known
                os.write(self._file, line("10.0.0.9", "www.example.org") * (due - known) + asked)
                written += due
            if alerts and passed >= marked * MARK_EVERY_S:
                marked += 1
                client = next(self._new)
                text = line(client, "webhook.site")
                marks[client] = time.monotonic()
                os.write(self._file, text)
            until = begun + (int(passed / EVERY_S) + 1) * EVERY_S
            time.sleep(max(0.0, until - time.monotonic()))
            self.late.append(1000 * max(time.monotonic() - until, 0.0))
        return marks


def quantiles(found: list[float]) -> str:
    """Write a distribution of milliseconds."""
    some = sorted(found) or [0.0]
    return f"p50 {some[len(some) // 2]:.1f}, p99 {some[len(some) * 99 // 100]:.1f}, most {some[-1]:.1f} ms"


def at_rate(daemon: Daemon, reference: Reference, writer: Writer, rate: int, seconds: float, watched: float) -> None:
    """Measure one rate."""
    shares = []
    for share in (0.0, watched) if rate else ():
        cpu, other = cpu_s(daemon.process.pid), reference.used()
        writer.flow(rate, seconds / 2, share, alerts=False)
        took, others = cpu_s(daemon.process.pid) - cpu, reference.used() - other
        shares.append(
            f"{share:.0%} watched: {200 * took / seconds:.1f} % of a core (reference {200 * others / seconds:.1f})"
        )
    writer.late.clear()
    marks: dict[str, float] = {}
    stalls = daemon.stalls(lambda: marks.update(writer.flow(rate, seconds / 2, watched)))
    cpu = cpu_s(daemon.process.pid)  # without the probe, which wakes 500 times a second
    marks.update(writer.flow(rate, seconds / 2, watched))
    took = cpu_s(daemon.process.pid) - cpu
    lost = [client for client in marks if not daemon.wait_for(client)]
    late = [1000 * (daemon.seen[one] - at) for one, at in marks.items() if one not in lost]
    known = reference.results.seen
    others_late = [1000 * (known[one] - at) for one, at in marks.items() if one in known]
    used = f"{200 * took / seconds:.1f} % of a core"
    print(f"{rate} lines/s, {len(late)} alerts, {len(lost)} lost: {quantiles(late)}; {used}")
    print(f"    reference: {quantiles(others_late)}; the writer's own pauses too long by {quantiles(writer.late)}")
    print("    the daemon's loop stood still " + ", ".join(f"{name} {stalls[name]:.1f}" for name in stalls) + " ms")
    for said in shares:
        print(f"    without alerts, {said}")


def idle(daemon: Daemon, seconds: float) -> None:
    """Measure what doing nothing costs."""
    time.sleep(SETTLE_S)
    cpu, before = daemon.used()
    time.sleep(seconds)
    later, after = daemon.used()
    print(f"idle, {seconds:.0f} s: {100 * (later - cpu) / seconds:.2f} % of a core, "
          f"{(after - before) / seconds:.1f} wake-ups/s, {daemon.rss_mb():.0f} MB")  # fmt: skip


def many(daemon: Daemon, clients: int) -> None:
    """Let clients be seen that are expected to, each at two services, and read the memory."""
    before, cpu = daemon.rss_mb(), cpu_s(daemon.process.pid)
    for first in range(0, clients, 500):
        text = b"".join(
            line(f"10.{64 + n // 65536}.{n // 256 % 256}.{n % 256}", name)
            for n in range(first, min(first + 500, clients))
            for name in ("api.telegram.org", "hooks.slack.com")
        )
        os.write(daemon.file, text)
        time.sleep(0.02)
    quiet, then = time.monotonic(), cpu_s(daemon.process.pid)
    while time.monotonic() - quiet < 3:
        time.sleep(0.5)
        if cpu_s(daemon.process.pid) - then > 0.05:
            quiet, then = time.monotonic(), cpu_s(daemon.process.pid)
    took = cpu_s(daemon.process.pid) - cpu
    print(
        f"{clients} clients at two services: {before:.0f} MB before, {daemon.rss_mb():.0f} MB after; {took:.1f} CPU s"
    )


def reloads(directory: Path, names: int) -> None:
    """Reload a list under load."""
    daemon = Daemon(directory, names)
    try:
        began = time.monotonic()
        os.write(daemon.file, line("10.0.0.1", "api.telegram.org"))
        while not daemon.wait_for("10.0.0.1"):
            if time.monotonic() - began > RELOAD_S or daemon.process.poll() is not None:
                raise SystemExit(f"the daemon gave no alert: {daemon.said()}")
        print(f"{names} names of one's own: start to first alert {daemon.seen['10.0.0.1'] - began:.1f} s, "
              f"{daemon.rss_mb():.0f} MB")  # fmt: skip
        writer = Writer(daemon.file)
        for what in ("as it was", "with another name"):
            if what != "as it was":
                daemon.write_list(names, last="another")
            done = threading.Event()
            marks: dict[str, float] = {}

            def load(done: threading.Event = done, marks: dict[str, float] = marks) -> None:
                until = time.monotonic() + RELOAD_S
                while not done.is_set() and time.monotonic() < until:
                    marks.update(writer.flow(1000, 0.5, 0.01))

            known, seconds = daemon.said().count("reloaded "), time.monotonic()
            thread = threading.Thread(target=load)

            def during(thread: threading.Thread = thread, done: threading.Event = done, known: int = known) -> None:
                thread.start()
                daemon.process.send_signal(signal.SIGHUP)
                until = time.monotonic() + RELOAD_S
                while daemon.said().count("reloaded ") <= known and time.monotonic() < until:
                    time.sleep(0.05)
                done.set()
                thread.join()

            stalls = daemon.stalls(during)
            took = time.monotonic() - seconds
            lost = [client for client in marks if not daemon.wait_for(client)]
            late = [1000 * (daemon.seen[one] - at) for one, at in marks.items() if one not in lost]
            print(f"reload of the list {what}, 1000 lines/s, {took:.1f} s: loop stood still p50 {stalls['p50']:.1f}, "
                  f"p99 {stalls['p99']:.1f}, most {stalls['max']:.1f} ms; {len(late)} alerts, {len(lost)} lost: "
                  f"{quantiles(late)}; {daemon.rss_mb():.0f} MB")  # fmt: skip
    finally:
        daemon.end()


def helped() -> None:
    """Time the help of the command, which imports next to nothing."""
    program, walls = Path(sysconfig.get_path("scripts")) / "dnswatch", []
    for _ in range(5):
        began = time.monotonic()
        subprocess.run([str(program), "--help"], stdout=subprocess.DEVNULL, check=True)
        walls.append(1000 * (time.monotonic() - began))
    print(f"--help: best {min(walls):.0f} ms of {len(walls)}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rates", default="0,1000,100000", help="lines a second [0,1000,100000]; empty: none")
    parser.add_argument("--seconds", type=float, default=10.0, help="for each rate [10]")
    parser.add_argument("--watched", type=float, default=0.01, help="share of watched lines [0.01]")
    parser.add_argument("--clients", type=int, default=0, help="then so many expected clients [0]")
    parser.add_argument("--names", type=int, default=0, help="reload a list with so many names [0]")
    given = parser.parse_args()
    if shutil.which("tail") is None:
        raise SystemExit("there is no tail to compare with")
    compile_product()
    helped()
    with tempfile.TemporaryDirectory(prefix="dnswatch-bench-") as text:
        began = time.monotonic()
        daemon = Daemon(Path(text) / "live")
        reference = Reference(Path(text), daemon.log)
        try:
            os.write(daemon.file, b"".join(line(client, "api.telegram.org") for client in KNOWN))
            if not daemon.wait_for(KNOWN[0]):
                raise SystemExit("the daemon gave no alert")
            print(f"start to first alert: {daemon.seen[KNOWN[0]] - began:.2f} s, "
                  f"{cpu_s(daemon.process.pid):.2f} CPU s")  # fmt: skip
            writer = Writer(daemon.file)
            for rate in map(int, filter(None, given.rates.split(","))):
                if not rate:
                    idle(daemon, given.seconds)
                at_rate(daemon, reference, writer, rate, given.seconds, given.watched)
            if given.clients:
                many(daemon, given.clients)
        finally:
            reference.end()
            daemon.end()
        if given.names:
            reloads(Path(text) / "list", given.names)


if __name__ == "__main__":
    main()
