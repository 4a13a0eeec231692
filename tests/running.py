"""A daemon for tests, in a process of its own (`Running`) or in the test's loop (`InLoop`): configuration, log, end."""

import asyncio
import json
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from dnswatch.daemon import Daemon

T = TypeVar("T")

PATIENCE = 8
"""Limits of waiting are written for a free machine; a busy one may take so many times as long."""


def bind_line(qname: str, client: str = "10.0.10.7", at: float | None = None, port: int = 41234) -> str:
    """A query line as BIND 9.18 writes it, in UTC."""
    stamp = datetime.fromtimestamp(time.time() if at is None else at, UTC).strftime("%d-%b-%Y %H:%M:%S.%f")[:-3]
    return (f"{stamp} queries: info: client @0x7f1c3c001234 {client}#{port} ({qname}): "
            f"query: {qname} IN A +E(0)K (10.0.0.53)\n")  # fmt: skip


def until(what: Callable[[], T], within_s: float = 10.0) -> T:
    """Wait for something that is about to happen and give it; fail when it does not."""
    end = time.monotonic() + within_s * PATIENCE
    while not (value := what()):
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.01)
    return value


def quickest(limit_s: float, attempt: Callable[[int], float], tries: int = 6) -> float:
    """Give the seconds of the first attempt that took less than the limit: load makes some slow, not all."""
    took: list[float] = []
    for number in range(tries):
        took.append(attempt(number))
        if took[-1] < limit_s:
            return took[-1]
    raise AssertionError(f"none of {tries} attempts took less than {limit_s} s: {[round(each, 2) for each in took]}")


class Place:
    """A folder with a configuration, a query log, a file sink and whatever ``more`` configures."""

    def __init__(self, folder: Path, more: str = "", sources: str = "") -> None:
        self.folder = folder
        self.log = folder / "query.log"
        self.alerts_file = folder / "alerts.jsonl"
        self.config = folder / "dnswatch.yaml"
        self.stderr = folder / "stderr"
        self.sources = sources or f"sources: [{{type: bind, path: {self.log}, timezone: UTC}}]"
        self.configure(more)

    def configure(self, more: str = "") -> None:
        """Write the configuration."""
        self.config.write_text(
            f"state_dir: {self.folder}/state\nsensor: ns1\n{self.sources}\n"
            f"sinks: [{{type: file, path: {self.alerts_file}}}]\n{more}"
            + ("" if "http:" in more else "http: {listen: off}\n")
        )

    def write(self, *lines: str) -> None:
        """Append lines to the query log."""
        with self.log.open("a") as log:
            log.write("".join(lines))

    def alerts(self) -> list[dict[str, Any]]:
        """What the file sink has; not the line that is being written."""
        text = self.alerts_file.read_text() if self.alerts_file.exists() else ""
        return [json.loads(line) for line in text.rpartition("\n")[0].splitlines()]


class Running(Place):
    """`dnswatch run` in a process of its own."""

    process: subprocess.Popen[bytes] | None = None
    program: tuple[str, ...] = (sys.executable, "-m", "dnswatch")

    def launch(self) -> int:
        """Start it; give how much it had logged before."""
        with self.stderr.open("ab") as errors:
            begun = errors.tell()
            self.process = subprocess.Popen(
                [*self.program, "--config", str(self.config), "run"],
                stderr=errors, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL,
            )  # fmt: skip
        return begun

    def start(self) -> "Running":
        """Start it and wait until it says that it is ready."""
        begun = self.launch()
        process = self.process
        assert process
        try:
            until(lambda: " ready\n" in self.said()[begun:] or process.poll() is not None, 20)
            assert process.poll() is None, self.said()
        except AssertionError:
            self.stop(signal.SIGKILL)  # nobody else would: a `with` leaves only what it has entered
            raise
        return self

    def said(self) -> str:
        """Everything it logged."""
        return self.stderr.read_text()

    def send(self, number: int) -> None:
        """Send it a signal."""
        assert self.process
        self.process.send_signal(number)  # nothing when it has ended

    def stop(self, number: int = signal.SIGTERM) -> int:
        """End it; give its exit code."""
        assert self.process
        self.send(number)
        code = self.process.wait(15 * PATIENCE)
        if self.process.stdout:
            self.process.stdout.close()
        self.process = None
        return code

    def __enter__(self) -> "Running":
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self.process is not None:
            self.stop(signal.SIGKILL)

    def status(self) -> dict[str, dict[str, Any]]:
        """Give what `status` would show, without the cost of a process for each look."""
        with closing(sqlite3.connect(f"file:{self.folder}/state/dnswatch.db?mode=ro", uri=True, timeout=5)) as store:
            return {key: json.loads(data) for key, data in store.execute("SELECT key, data FROM status")}

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run another command with the same configuration."""
        command = [sys.executable, "-m", "dnswatch", "--config", str(self.config), *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=30 * PATIENCE, check=False)


class InLoop(Place):
    """The daemon in the loop of the test: what a process of its own would not show better."""

    daemon: Daemon
    _task: "asyncio.Task[None]"

    async def start(self) -> None:
        """Start it and wait until it is ready."""
        self.daemon = Daemon(self.config)
        self._task = asyncio.create_task(self.daemon.run())
        ready = asyncio.create_task(self.daemon.is_ready.wait())
        async with asyncio.timeout(20 * PATIENCE):
            await asyncio.wait([self._task, ready], return_when=asyncio.FIRST_COMPLETED)
        ready.cancel()
        if self._task.done():
            await self._task

    async def reload(self) -> str:
        """Ask for a reload and wait for its end; give the error, "" when it was taken."""
        done = self.daemon.reloads.done
        self.daemon.reload()
        await soon(lambda: self.daemon.reloads.done > done)
        return self.daemon.reloads.error

    async def stop(self) -> None:
        """End it in order."""
        self.daemon.end()
        async with asyncio.timeout(15 * PATIENCE):
            await self._task

    async def __aenter__(self) -> "InLoop":
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self.stop()


async def soon(what: Callable[[], object], within_s: float = 10.0) -> None:
    """Wait for something that is about to happen in this loop."""
    async with asyncio.timeout(within_s * PATIENCE):
        while not what():  # noqa: ASYNC110 (there is no event for what the test looks at)
            await asyncio.sleep(0.005)
