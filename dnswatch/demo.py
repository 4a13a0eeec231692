"""The demonstration: the recorded logs of a real BIND and dnsmasq grow again, and the real daemon reads them.

Never: has detection of its own, sends anything off this host. ``dnswatch run`` works as a child process on a generated
configuration in a new folder; the stamps of the recorded lines become now. Read next: ``cli/demo.py``, which prints.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

from dnswatch.config.data import data_path
from dnswatch.errors import DnswatchError

START_S = 20.0  # a cold start takes about two seconds; slow machines and first imports get ten times that
QUIET_S = 4.0  # after the last line: RPZ joins wait 2 s, the checkpoint up to 1 s
STOP_S = 10.0  # the daemon leaves within 10 s of SIGTERM (DESIGN §8)
LEAD_S = 0.3  # lines recorded before the first query come at once, then this much quiet
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_BIND = re.compile(rb"\d{4}-\d\d-\d\dT(\d\d):(\d\d):(\d\d)\.(\d{3})Z")
_DNSMASQ = re.compile(rb"[A-Z][a-z]{2} [ \d]\d (\d\d):(\d\d):(\d\d)")

CONFIGURATION = """\
# Written by `dnswatch demo`. The addresses are those of the recorded logs.
state_dir: {folder}/state
sources:
  - {{type: bind, path: {folder}/query.log, from: start, sample: all}}
  - {{type: dnsmasq, path: {folder}/dnsmasq.log, timezone: UTC, from: start, sample: all}}
clients:
  groups:
    servers: {{networks: [10.0.10.0/24], role: server}}
    build: {{networks: [10.0.20.0/24], role: ci}}
    staff: {{networks: [10.1.0.0/16, 10.2.0.0/16], role: workstation}}
    devices: {{networks: [10.3.0.0/16], role: iot}}
  leases: [{folder}/dnsmasq.leases]
expect:
  - {{who: [group:build], services: [slack-webhook], because: deploy notifications, owner: platform team}}
detect: {{learning: {{days: 0}}}}   # a demonstration has no fortnight: facts count at once
sinks:
  - {{type: file, path: {folder}/alerts.jsonl, format: json}}
feeds: {{mode: shadow, zone: rpz.dnswatch.internal, directory: {folder}/feeds}}
http: {{listen: "127.0.0.1:{port}"}}
"""
LEASES = "{until} 3c:2a:f4:0b:11:09 10.3.0.9 printer-3 *\n{until} 10:20:30:40:50:59 10.2.0.22 notebook-ana *\n"


@dataclass(frozen=True, slots=True)
class Line:
    """One recorded line: seconds after the first one, the text around its stamp."""

    second: float
    kind: Literal["bind", "dnsmasq"]
    rest: bytes  # everything after the stamp

    def stamped(self, at: datetime) -> bytes:
        """Give the line as if it had been written at this moment (UTC)."""
        if self.kind == "bind":
            return f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03d}Z".encode() + self.rest
        return f"{MONTHS[at.month - 1]} {at.day:2d} {at:%H:%M:%S}".encode() + self.rest


def recorded(folder: Path | None = None) -> tuple[Line, ...]:
    """Read both recordings, in time order. Raises `DnswatchError` when one is missing or empty."""
    examples = folder or data_path("examples")
    lines: list[Line] = []
    for kind, name in (("bind", "query.log"), ("dnsmasq", "dnsmasq.log")):
        path = examples / kind / "recorded" / name
        try:
            data = path.read_bytes()
        except OSError as error:
            raise DnswatchError(f"the recorded log {path} cannot be read: {error.strerror}; "
                                "install dnswatch again") from error  # fmt: skip
        found = list(_read(data, "bind" if kind == "bind" else "dnsmasq"))
        if not found:
            raise DnswatchError(f"the recorded log {path} holds no stamped line; install dnswatch again")
        lines += found
    # Servers start before the first query: what they say then comes first, without a wait.
    first = min(line.second for line in lines if b"query" in line.rest)
    lines = [Line(max(0.0, line.second - first + LEAD_S), line.kind, line.rest) for line in lines]
    return tuple(sorted(lines, key=lambda line: line.second))


def _read(data: bytes, kind: Literal["bind", "dnsmasq"]) -> Iterator[Line]:
    pattern = _BIND if kind == "bind" else _DNSMASQ
    day, last = 0, 0.0
    for raw in data.split(b"\n"):
        match = pattern.match(raw)
        if match is None:
            continue
        hour, minute, second, *milli = (int(part) for part in match.groups())
        at = hour * 3600 + minute * 60 + second + (milli[0] / 1000 if milli else 0.0)
        if at + day * 86400 < last - 43200:  # recorded across midnight
            day += 1
        last = at + day * 86400
        yield Line(last, kind, raw[match.end() :])


class Demo:
    """One demonstration in its folder: the daemon, the growing logs, the alerts as they come."""

    def __init__(self, folder: Path | None = None, *, hurry: float = 1.0) -> None:
        """``hurry`` divides the waiting between lines (tests use it); the lines stay in order."""
        self.lines = recorded()
        self.hurry = hurry
        self.folder = folder or Path(tempfile.mkdtemp(prefix="dnswatch-demo-"))
        self.port = _free_port()
        self.config = self.folder / "dnswatch.yaml"
        self.alerts = self.folder / "alerts.jsonl"
        self.written = 0
        self.complete = False  # everything was shown: from here on Ctrl-C is the normal end
        self.daemon: asyncio.subprocess.Process | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def duration_s(self) -> float:
        return self.lines[-1].second / self.hurry

    def prepare(self) -> None:
        """Write the configuration and empty logs."""
        self.config.write_text(CONFIGURATION.format(folder=self.folder, port=self.port))
        until = int((datetime.now(UTC) + timedelta(hours=12)).timestamp())
        (self.folder / "dnsmasq.leases").write_text(LEASES.format(until=until))
        for name in ("query.log", "dnsmasq.log"):
            (self.folder / name).touch()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run the daemon until the block ends; raise `DnswatchError` with its last words when it does not start."""
        with (self.folder / "dnswatch.log").open("wb") as log:
            self.daemon = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "dnswatch", "--config", str(self.config), "run",
                stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        try:
            await self._ready()
            yield
        finally:
            await self._stop()

    async def _ready(self) -> None:
        assert self.daemon is not None
        deadline = asyncio.get_running_loop().time() + START_S
        while asyncio.get_running_loop().time() < deadline:
            if self.daemon.returncode is not None:
                raise DnswatchError(f"dnswatch run left with exit code {self.daemon.returncode}:\n{self.last_words()}")
            if (await self.get("/healthz"))[0] == 200:
                return
            await asyncio.sleep(0.1)
        raise DnswatchError(
            f"dnswatch run did not answer on {self.url}/healthz in {START_S:.0f} s:\n{self.last_words()}"
        )

    async def _stop(self) -> None:
        if self.daemon is None or self.daemon.returncode is not None:
            return
        self.daemon.send_signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(self.daemon.wait(), STOP_S + 2)
        except TimeoutError:
            self.daemon.kill()
            await self.daemon.wait()

    def last_words(self) -> str:
        """Give the end of what the daemon said."""
        lines = (self.folder / "dnswatch.log").read_text(errors="replace").splitlines()
        return "\n".join(f"    {line}" for line in lines[-12:])

    async def grow(self) -> None:
        """Append the recorded lines to the two logs at their pace, stamped now."""
        loop = asyncio.get_running_loop()
        begin = loop.time()
        logs = {"bind": self.folder / "query.log", "dnsmasq": self.folder / "dnsmasq.log"}
        with logs["bind"].open("ab", buffering=0) as bind, logs["dnsmasq"].open("ab", buffering=0) as dnsmasq:
            files = {"bind": bind, "dnsmasq": dnsmasq}
            for line in self.lines:
                wait = begin + line.second / self.hurry - loop.time()
                if wait > 0:
                    await asyncio.sleep(wait)
                files[line.kind].write(line.stamped(datetime.now(UTC)) + b"\n")
                self.written += 1

    async def follow(self) -> AsyncIterator[dict[str, Any]]:
        """Yield alert revisions as the daemon's file sink writes them; ends when the daemon does."""
        offset = 0
        while True:
            ended = self.daemon is None or self.daemon.returncode is not None
            data = self.alerts.read_bytes()[offset:] if self.alerts.exists() else b""
            complete = data[: data.rfind(b"\n") + 1]
            offset += len(complete)
            for raw in complete.splitlines():
                yield json.loads(raw)
            if ended:
                return
            await asyncio.sleep(0.1)

    async def get(self, path: str) -> tuple[int, str]:
        """GET a page of the daemon: (status, text); (0, why) when nobody answers."""
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
            try:
                writer.write(f"GET {path} HTTP/1.0\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".encode())
                head, _, body = (await asyncio.wait_for(reader.read(-1), 5)).partition(b"\r\n\r\n")
            finally:
                writer.close()
        except OSError as error:
            return 0, str(error)
        words = head.split(b" ", 2)
        return (int(words[1]) if len(words) > 1 and words[1].isdigit() else 0), body.decode("utf-8", "replace")

    def zones(self) -> list[Path]:
        """List the published zone files."""
        return sorted(path for path in (self.folder / "feeds").glob("*") if path.is_file() and ".rpz." in path.name)


def _free_port() -> int:
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def dnswatch_command() -> str:
    """Say how this very program is called from a shell: by its name when that is on the PATH."""
    name = Path(sys.argv[0])
    on_path = any((Path(folder) / "dnswatch").exists() for folder in os.get_exec_path())
    if on_path:
        return "dnswatch"
    return str(name) if name.name == "dnswatch" else f"{sys.executable} -m dnswatch"
