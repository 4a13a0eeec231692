"""Memory and time of detection by number of clients: what a client and service cost that are watched for a day.

    python -m benchmarks.state [--clients 1000,10000] [--attempts 12]

Every client meets two services, as often as asked, spread over a day: expected to, or not, so that every pair holds an
open alert with reasons and evidence. Each size runs in a process of its own; memory is what the process grew by,
so it holds what Python itself adds. Never: reads logs (``run.py`` does). Read next: ``README.md``.
"""

from __future__ import annotations

import argparse
import gc
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from dnswatch.config.catalogue import load_catalogue
from dnswatch.core.clients.expectations import Expectations
from dnswatch.core.clients.groups import Groups
from dnswatch.core.clients.who import parse_who
from dnswatch.core.detect.engine import Engine
from dnswatch.core.logs.digest import Digested
from dnswatch.core.model import Expectation, Group, Position, Query
from dnswatch.core.policy import Policy

T0, DAY_S, BATCH = 1_790_000_000.0, 86400.0, 2000
NAMES = (("api.telegram.org", "telegram-bot"), ("hooks.slack.com", "slack-webhook"))
SIZES = "1000,10000,100000"


def policy(alerts: bool) -> Policy:
    """Give a policy that expects both services of everybody, or of nobody."""
    staff = Group("staff", ("10.0.0.0/8",), "workstation")
    services = frozenset() if alerts else frozenset(service for _, service in NAMES)
    expected = Expectation((parse_who("group:staff"),), services, "benchmark")
    return Policy(load_catalogue(), Groups((staff,)), Expectations((expected,)))


def lookups(clients: int, attempts: int) -> Iterator[list[Query]]:
    """Give batches of lookups in time order."""
    batch: list[Query] = []
    step = DAY_S / (clients * attempts * len(NAMES))
    for n in range(clients * attempts):
        address = _address(n % clients)
        for i, (name, _) in enumerate(NAMES):
            at = T0 + (n * len(NAMES) + i) * step
            line = b"22-Nov-2026 19:18:19.281 queries: info: client @0x7fa484f14098 %s#38510 (%s): query: %s IN A +" % (
                address.encode(), name.encode(), name.encode())  # fmt: skip
            batch.append(Query(at, address, 38510, name, "A", "udp", "", 0, line, n))
        if len(batch) >= BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def _address(client: int) -> str:
    return f"10.{client >> 16}.{client >> 8 & 255}.{client & 255}"


def measure(clients: int, attempts: int, alerts: bool) -> dict[str, float]:
    """Feed one engine; give bytes a pair, microseconds an attempt, and what had to be evicted."""
    engine = Engine(policy(alerts))
    gc.collect()
    before, spent, count = _resident(), 0.0, 0
    for n in range(clients):  # seen two days ago: strangers by the thousand would be held back as a flood
        engine.history.roles.saw(_address(n), T0 - 2 * DAY_S)
    for batch in lookups(clients, attempts):
        began = time.process_time()
        engine.receive("log", Digested(list(batch), [], 0, len(batch)), Position("log", "/log", 0))
        engine.forget_changes()
        spent += time.process_time() - began
        count += len(batch)
    gc.collect()
    pairs = clients * len(NAMES)
    return {"clients": clients, "pairs": pairs, "bytes_a_pair": (_resident() - before) / pairs,
            "us_an_attempt": spent / count * 1e6, "evicted": sum(engine.evicted().values())}  # fmt: skip


def _resident() -> int:
    """Give the memory of this process (Linux)."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def main() -> None:
    """Measure every size; print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", default=SIZES)
    parser.add_argument("--attempts", type=int, default=12, help="of each pair, spread over a day [12]")
    parser.add_argument("--alerts", action="store_true", help="nobody is expected: every pair is an open alert")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        print(json.dumps(measure(int(given.clients), given.attempts, given.alerts)))
        return
    print("| clients | pairs | bytes a pair | µs an attempt | evicted rows |\n| ---: | ---: | ---: | ---: | ---: |")
    for size in given.clients.split(","):
        command = [sys.executable, "-m", "benchmarks.state", "--clients", size, "--attempts", str(given.attempts),
                   "--one"]  # fmt: skip
        command += ["--alerts"] if given.alerts else []
        one = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
        print(f"| {one['clients']:,} | {one['pairs']:,} | {one['bytes_a_pair']:,.0f} | {one['us_an_attempt']:.0f} | "
              f"{one['evicted']:,} |", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
