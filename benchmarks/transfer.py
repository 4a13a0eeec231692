"""Feeds at scale: the daemon with an operator's own long list, a real BIND that fetches it, and alerts meanwhile.

    python -m benchmarks.transfer [--names 45000] [--consumers 50] [--seconds 20]

One daemon publishes ten groups' zones and ``any``; 45,000 own names make a million rules of them. Measured: CPU time to
compile, guard and encode (in a process of its own), memory, the first transfer to named, a change of one name until the
server can answer it (IXFR) and until named serves it, and how long alerts take from the line to the file sink, alone
and while every consumer fetches every zone again and again. named as primary of one of those zones is the yardstick for
sending. Everything is on loopback, started here and ended by its pid. Never: part of the tests. Read next: `README.md`.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import os
import signal
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

HERE, PARENT, GROUPS = "127.0.0.1", "rpz.test.invalid", 10
SERVICES = 50  # a service may have 2,000 names
LINES_S, ALERT_EVERY = 1000, 20  # lines a second; one in so many is a lookup by a client never seen before
PATIENCE_S = 600.0
AXFR = 252


def own_names(names: int) -> Iterator[tuple[str, list[str]]]:
    """Give the operator's services: id, and names."""
    for number in range(SERVICES):
        yield (
            f"own-{number:02}",
            [f"h{n:06}.{'abcdefghij'[n % 10]}{n % 977:03}-own{number:02}.example" for n in range(names // SERVICES)],
        )


# ── The part without sockets ──────────────────────────────────────────────────────────────────────────────────


def encode(names: int) -> dict[str, float]:
    """Compile, guard, encode and change one rule; CPU seconds, and the memory of this process."""
    from dnswatch.config.catalogue import load_catalogue
    from dnswatch.core.clients.expectations import Expectations
    from dnswatch.core.clients.groups import Groups
    from dnswatch.core.clients.who import parse_who
    from dnswatch.core.feeds.pages import Pages
    from dnswatch.core.feeds.publication import plan
    from dnswatch.core.feeds.xfr import Served
    from dnswatch.core.model import Expectation, Group, Indicator
    from dnswatch.core.policy import FeedPolicy, Policy

    shipped = load_catalogue()
    services = dict(shipped.services)
    for name, listed in own_names(names):
        indicators = tuple(Indicator(one, "domain", "api", name, one.partition(".")[2]) for one in listed)
        services[name] = replace(services["telegram-bot"], id=name, block_safety="safe", indicators=indicators)
    catalog = replace(shipped, services=dict(sorted(services.items())), enabled=frozenset(services))
    groups = Groups(Group(f"g{n}", (f"10.{n}.0.0/16",), "server") for n in range(GROUPS))
    expect = Expectations(Expectation((parse_who(f"group:g{n}"),), frozenset({f"own-{n:02}"}), "benchmark")
                          for n in range(GROUPS))  # fmt: skip
    policy = Policy(catalog, groups, expect, feeds=FeedPolicy(zone=PARENT, mode="enforce"))
    found: dict[str, float] = {}

    def timed(what: str, began: float) -> float:
        found[what] = time.process_time() - began
        return time.process_time()

    began = time.process_time()
    snapshots = [one for one in plan(policy, None, time.time(), {}).snapshots if one.zone.audience != "everyone"]
    began = timed("compile and guard", began)
    pages = Pages()
    served = {one.zone.audience: Served(one, (), pages) for one in snapshots}
    began = timed("encode", began)
    now = served["any"].current
    changed = replace(now, zone=replace(now.zone, rules=now.zone.rules[1:]), serial=now.serial + 1)
    following = served["any"].followed_by(changed)
    assert following.ixfr(now.serial) is not None
    timed("one rule less, to its IXFR", began)
    found["rules"] = sum(len(one.zone.rules) for one in snapshots)
    found["rules of any"] = len(now.zone.rules)
    found["RSS MB"] = resident_mb(os.getpid())
    return found


# ── Programs ──────────────────────────────────────────────────────────────────────────────────────────────────


@contextmanager
def running(command: list[str], output: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program until the block ends; it is ended by its pid."""
    with output.open("wb") as file:
        process = subprocess.Popen(command, stdout=file, stderr=file, stdin=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def until(what: Callable[[], object], why: str) -> float:
    """Wait until it holds; give the seconds."""
    began = time.monotonic()
    while not what():
        if time.monotonic() - began > PATIENCE_S:
            raise SystemExit(f"gave up waiting: {why}")
        time.sleep(0.02)
    return time.monotonic() - began


def free_port() -> int:
    """Give a port that is free."""
    with socket.create_server((HERE, 0)) as taken:
        return int(taken.getsockname()[1])


def resident_mb(pid: int, what: str = "VmHWM") -> float:
    """Give the peak of a process' memory, or with ``VmRSS`` what it has now."""
    lines = Path(f"/proc/{pid}/status").read_text("ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(what)) / 1024


def cpu_s(pid: int) -> float:
    """Give the CPU seconds that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def children_cpu_s(pid: int) -> float:
    """Give the CPU seconds of its children: of those that have ended, and of the one that runs."""
    fields = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()
    ended = (int(fields[13]) + int(fields[14])) / os.sysconf("SC_CLK_TCK")
    return ended + sum(cpu_s(child) for child in children(pid))


def children(pid: int) -> list[int]:
    """Give its children that are there."""
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text("ascii").split()]


class Peak(threading.Thread):
    """Notes the most memory that any child of a process had."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self.mb = 0.0
        self._pid = pid

    def run(self) -> None:
        """Look twenty times a second, as long as the process is there."""
        with suppress(FileNotFoundError):
            while True:
                for child in children(self._pid):
                    with suppress(OSError, StopIteration):  # it ended while we looked
                        self.mb = max(self.mb, resident_mb(child))
                time.sleep(0.05)


# ── A consumer ────────────────────────────────────────────────────────────────────────────────────────────────


def query(zone: str, kind: int) -> bytes:
    """Write a question as it goes over TCP."""
    name = b"".join(bytes((len(label),)) + label.encode() for label in zone.split(".")) + b"\0"
    message = struct.pack("!6H", 7, 0, 1, 0, 0, 0) + name + struct.pack("!HH", kind, 1)
    return len(message).to_bytes(2, "big") + message


async def fetch(address: str, port: int, zone: str) -> int:
    """Fetch a zone as ``address``; give its octets. The SOA that begins it ends it."""
    reader, writer = await asyncio.open_connection(HERE, port, local_addr=(address, 0), limit=1 << 20)
    try:
        writer.write(asked := query(zone, AXFR))
        octets, soas = 0, 0
        serial = b""
        while soas < 2:
            message = await reader.readexactly(int.from_bytes(await reader.readexactly(2), "big"))
            if not message[7] and not message[6]:
                raise ConnectionError(f"refused: {message[:12].hex()}")
            if not serial:  # name, type, class, TTL, length; then the record's end is its timers
                start = len(asked) - 2
                size = int.from_bytes(message[start + 10 : start + 12], "big")
                serial = message[start + 12 + size - 20 : start + 12 + size]
                soas += 1
            soas += message.endswith(serial) and octets > 0
            octets += len(message)
        return octets
    finally:
        writer.close()


def soa(port: int, zone: str) -> int:
    """Ask for a zone's serial; 0 while there is none."""
    command = ["dig", "+short", "+time=1", "+tries=1", "-p", str(port), f"@{HERE}", zone, "SOA"]
    said = subprocess.run(command, capture_output=True, text=True, check=False).stdout.split()
    return int(said[2]) if len(said) == 7 and said[2].isdigit() else 0


# ── The world ─────────────────────────────────────────────────────────────────────────────────────────────────


class World:
    """The files of one run."""

    def __init__(self, root: Path, names: int, consumers: int) -> None:
        self.root, self.log, self.alerts = root, root / "query.log", root / "alerts.jsonl"
        self.port, self.named_port = free_port(), free_port()
        self.zones = [f"{one}.{PARENT}" for one in ("quarantine", "exempt", *(f"g{n}" for n in range(GROUPS)), "any")]
        self.log.touch()
        self.alerts.touch()
        self.services = root / "services"
        self.services.mkdir()
        for name, listed in own_names(names):
            self.write_service(name, listed)
        self.config = root / "dnswatch.yaml"
        self.config.write_text(json.dumps({
            "state_dir": str(root / "state"), "watch": {"services_dir": str(self.services)},
            "detect": {"unknown_clients": {"at_once": 20_000}},  # each alert is a client's that nobody knows
            "sources": [{"type": "bind", "path": str(self.log), "timezone": "UTC"}],
            "clients": {"groups": {f"g{n}": {"networks": [f"10.{n}.0.0/16"]} for n in range(GROUPS)}},
            "expect": [{"who": [f"group:g{n}"], "services": [f"own-{n:02}"], "because": "benchmark"}
                       for n in range(GROUPS)],
            "sinks": [{"type": "file", "path": str(self.alerts), "format": "json"}],
            "http": {"listen": f"{HERE}:{free_port()}"},
            "feeds": {"zone": PARENT, "mode": "enforce", "directory": str(root / "feeds")},
            "dns": {"listen": f"{HERE}:{self.port}", "consumers": [
                {"name": "named", "address": HERE, "port": self.named_port, "type": "other"},
                *({"name": f"c{n}", "address": f"127.0.1.{n + 1}", "type": "other", "notify": False}
                  for n in range(consumers)),
            ]},
        }), "utf-8")  # fmt: skip
        secondary = "".join(f'zone "{zone}" {{ type secondary; primaries {{ {HERE} port {self.port}; }}; '
                            f'file "{root}/{zone}.raw"; }};\n' for zone in self.zones)  # fmt: skip
        (root / "named.conf").write_text(
            f'options {{ directory "{root}"; listen-on port {self.named_port} {{ {HERE}; }}; listen-on-v6 {{ none; }}; '
            f'pid-file none; session-keyfile "{root}/session.key"; recursion no; allow-transfer {{ any; }}; '
            f'notify no; dnssec-validation no; }};\ncontrols {{}};\n{secondary}', "utf-8")  # fmt: skip

    def write_service(self, name: str, listed: list[str]) -> None:
        """Write a service of the operator."""
        head = (f"id: {name}\nname: {name}\ncategory: bot-api\nblock_safety: safe\nbase_severity: low\n"
                "severity_reason: ours\nnames:\n")  # fmt: skip
        entries = "".join(f"  - {{name: {one}, match: domain}}\n" for one in listed)
        (self.services / f"{name}.yaml").write_text(head + entries, "utf-8")

    def lines(self, stop: threading.Event, written: dict[str, float], prefix: int) -> None:
        """Write a thousand lines a second, some of them lookups that open an alert."""
        began = time.monotonic()
        with self.log.open("ab", buffering=0) as file:
            for number in itertools.count():
                if stop.is_set():
                    return
                wait = began + number / LINES_S - time.monotonic()
                if wait > 0:
                    time.sleep(wait)
                stamp = datetime.now(UTC).strftime("%d-%b-%Y %H:%M:%S.%f")[:-3]
                client, name = "10.200.0.1", "www.example.org"
                if number % ALERT_EVERY == 0:
                    client, name = f"172.{prefix}.{number >> 12 & 255}.{number >> 4 & 255}", "api.telegram.org"
                    if client not in written:
                        written[client] = time.monotonic()
                file.write(f"{stamp} queries: info: client @0x7f1c3c001234 {client}#4123 ({name}): query: {name} "
                           "IN A +E(0)K (10.0.0.53)\n".encode())  # fmt: skip

    def watch(self, stop: threading.Event, seen: dict[str, float]) -> None:
        """Note when each client's first alert stands in the file."""
        with self.alerts.open("rb") as file:
            file.seek(0, os.SEEK_END)
            rest = b""
            while not stop.is_set():
                data = file.read()
                now = time.monotonic()
                *whole, rest = (rest + data).split(b"\n")
                for line in whole:
                    seen.setdefault(json.loads(line).get("client_ip", ""), now)
                time.sleep(0.001)


def latency(world: World, prefix: int, during: Callable[[], object]) -> dict[str, float]:
    """Write lines while something goes on; milliseconds from the line to the sink."""
    written: dict[str, float] = {}
    seen: dict[str, float] = {}
    over, done = threading.Event(), threading.Event()
    writer = threading.Thread(target=world.lines, args=(over, written, prefix))
    reader = threading.Thread(target=world.watch, args=(done, seen))
    reader.start()
    writer.start()
    during()
    over.set()
    writer.join()
    end = time.monotonic() + 20
    while written.keys() - seen.keys() and time.monotonic() < end:
        time.sleep(0.05)
    done.set()
    reader.join()
    if not seen:
        raise SystemExit("no alert arrived")
    took = sorted((seen[client] - at) * 1000 for client, at in written.items() if client in seen)
    return {"alerts": len(took), "missing": len(written) - len(took), "p50": statistics.median(took),
            "p99": took[int(len(took) * 0.99)], "max": took[-1]}  # fmt: skip


def storm(port: int, zones: list[str], consumers: int, seconds: float) -> tuple[int, int]:
    """Have every consumer fetch every zone again and again; octets and transfers."""

    async def consumer(number: int, until_s: float) -> list[int]:
        sizes = []
        for zone in itertools.cycle(zones):
            if time.monotonic() > until_s:
                break
            sizes.append(await fetch(f"127.0.1.{number + 1}", port, zone))
        return sizes

    async def every() -> list[list[int]]:
        until_s = time.monotonic() + seconds
        return await asyncio.gather(*(consumer(number, until_s) for number in range(consumers)))

    sizes = asyncio.run(every())
    return sum(map(sum, sizes)), sum(map(len, sizes))


def storm_apart(world: World, consumers: int, seconds: float) -> tuple[int, int]:
    """Do that in a process of its own, for it would slow down who writes and watches."""
    given = json.dumps([world.port, world.zones[2:], consumers, seconds])
    command = [sys.executable, "-m", "benchmarks.transfer", "--storm", given]
    octets, count = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    return octets, count


def measure(root: Path, names: int, consumers: int, seconds: float) -> Iterator[tuple[str, object]]:
    """Run everything; give what was found, one thing at a time."""
    world = World(root, names, consumers)
    daemon = [sys.executable, "-m", "dnswatch", "--config", str(world.config), "run"]
    began = time.monotonic()
    with running(daemon, root / "daemon.out") as process:
        peak = Peak(process.pid)
        peak.start()
        until(lambda: process.poll() is not None or b" ready" in (root / "daemon.out").read_bytes(), "not ready")
        if process.poll() is not None:
            raise SystemExit((root / "daemon.out").read_text("utf-8"))
        yield "start to ready, s", time.monotonic() - began
        yield "line to sink, ms, while it publishes for the first time", latency(world, 16, lambda: until(
            lambda: any((root / "feeds").glob("any.*.zone")), "no zones"))  # fmt: skip
        yield "start to files written: s; CPU s of the daemon, of its children", [
            round(time.monotonic() - began, 1), round(cpu_s(process.pid), 1), round(children_cpu_s(process.pid), 1)
        ]  # fmt: skip
        until(lambda: soa(world.port, world.zones[-1]), "zones are not served")
        with running(["named", "-g", "-n", "1", "-c", str(root / "named.conf")], root / "named.out") as named:
            yield "first AXFR of all zones to named, s", until(
                lambda: all(soa(world.named_port, zone) for zone in world.zones), "named has no zones")  # fmt: skip
            for who, port, pid in (("dnswatch", world.port, process.pid), ("named", world.named_port, named.pid)):
                began, before = time.monotonic(), cpu_s(pid)
                octets = sum(asyncio.run(fetch(HERE, port, zone)) for zone in world.zones[2:])
                yield f"AXFR of all zones from {who}: s, its CPU s, MB", [
                    round(time.monotonic() - began, 2), round(cpu_s(pid) - before, 2), round(octets / 1e6, 1)
                ]  # fmt: skip
            before_serial, used = soa(world.named_port, world.zones[-1]), children_cpu_s(process.pid)
            world.write_service("own-19", [*dict(own_names(names))["own-19"], "one-more.own19.example"])
            took: list[float] = []

            def one_more() -> None:
                process.send_signal(signal.SIGHUP)
                took.append(until(lambda: soa(world.named_port, world.zones[-1]) > before_serial, "named lags"))
                took.append(children_cpu_s(process.pid) - used)

            yield "line to sink, ms, while one name more is published", latency(world, 17, one_more)
            yield "one name more: reload to named's new serial, s; CPU s of children", [round(one, 1) for one in took]
        until(lambda: not children(process.pid), "it publishes for ever")
        rss = [round(resident_mb(process.pid, one)) for one in ("VmHWM", "VmRSS")]
        yield "RSS MB: daemon's peak, now; its children's peak", [*rss, round(peak.mb)]
        yield "line to sink, ms, alone", latency(world, 18, lambda: time.sleep(seconds))
        moved: list[tuple[int, int]] = []
        yield f"line to sink, ms, {consumers} consumers", latency(
            world, 19, lambda: moved.append(storm_apart(world, consumers, seconds)))  # fmt: skip
        yield "meanwhile: MB, transfers", [round(moved[0][0] / 1e6), moved[0][1]]
        yield "daemon RSS MB: peak, now", [round(resident_mb(process.pid, one)) for one in ("VmHWM", "VmRSS")]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--names", type=int, default=45_000, help="the operator's own, each with all below it [45000]")
    parser.add_argument("--consumers", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=20.0, help="of each measurement of alerts [20]")
    parser.add_argument("--encode", action="store_true", help="only what needs no server")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--storm", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.storm:
        print(json.dumps(storm(*json.loads(given.storm))))
        return
    if given.one:
        print(json.dumps(encode(given.names)))
        return
    command = [sys.executable, "-m", "benchmarks.transfer", "--one", "--names", str(given.names)]
    print("without sockets, CPU s:", subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip())
    if not given.encode:
        with tempfile.TemporaryDirectory(prefix="dnswatch-") as name:
            for what, found in measure(Path(name), given.names, given.consumers, given.seconds):
                print(f"{what}: {found if not isinstance(found, float) else round(found, 2)}", flush=True)


if __name__ == "__main__":
    main()
