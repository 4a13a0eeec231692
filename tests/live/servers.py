"""Real servers for the live tests: BIND, dnsmasq, an upstream that knows every name, and systemd's path unit, in small.

Each runs in the foreground below a temporary directory, on loopback and on free ports, and is ended by its own pid.
`install` puts an example there as it is shipped, changing two things only: paths below /etc, /var, /run and /dev get
the directory as prefix, ports become free ones. The third, upstream.conf, is replaced as a whole.
"""

from __future__ import annotations

import os
import pwd
import random
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import dnslib

from tests.running import PATIENCE

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
ADDRESS = "192.0.2.1"  # what the upstream says of every name (RFC 5737)

PREFIXED = re.compile(r"(?<![\w.-])/(?=(?:etc|var|run|dev)/)")
PORTS = re.compile(r"(?P<before>\bport(?:[ =]|: )|-p )(?P<port>53|953)\b")
_INSTALL = re.compile(r"(?://|#) install: (?P<path>/\S+)\n")


class NotReady(RuntimeError):
    """A server ended or stayed silent instead of getting ready; the message holds what it said."""


PORTS_OF_TESTS = range(12000, 32000)
"""Below what the kernel gives to clients (32768 on), so that no lookup takes a server's port before it is there."""
_given: set[int] = set()


def free_port() -> int:
    """Give a port that is free for UDP and TCP, on every address, and that this process has not given before."""
    for _ in range(200):
        port = random.choice(PORTS_OF_TESTS)
        with (
            socket.socket(socket.AF_INET, socket.SOCK_STREAM) as tcp,
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp,
            suppress(OSError),
        ):
            tcp.bind(("", port))
            udp.bind(("", port))
            if port not in _given:
                _given.add(port)
                return port
    raise NotReady("no free port on loopback")


def wait_for(condition: Callable[[], object], within_s: float = 10.0, pause_s: float = 0.02) -> bool:
    """Wait until the condition holds; False when it does not in `PATIENCE` times that time."""
    end = time.monotonic() + within_s * PATIENCE
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(pause_s)
    return True


def seconds_until(look: Callable[[], object], within_s: float = 10.0) -> float:
    """Give how long it takes until a look shows it, without what a look itself takes: under load that is much."""
    begun = time.monotonic()
    assert wait_for(look, within_s)
    seen = time.monotonic()
    look()
    return max(0.0, seen - begun - (time.monotonic() - seen))


@contextmanager
def place() -> Iterator[Path]:
    """Give a directory with a short path (a unix socket's path has 108 octets) that other users may enter."""
    with tempfile.TemporaryDirectory(prefix="dnswatch-") as name:
        path = Path(name)
        path.chmod(0o755)
        yield path


# ── Asking ────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Answer:
    """What dig saw."""

    status: str  # NOERROR, NXDOMAIN …; "" when nobody answered
    records: tuple[str, ...]  # data of the answer section


def dig(port: int, client: str, name: str, kind: str = "A", *options: str) -> Answer:
    """Ask the server on ``port`` as ``client`` (any address of 127.0.0.0/8, or ::1)."""
    command = ["dig", "+time=5", "+tries=2", "+noall", "+comments", "+answer", *options]
    command += ["-b", client, "-p", str(port), "@::1" if ":" in client else "@127.0.0.1", name, kind]
    said = subprocess.run(command, capture_output=True, text=True, timeout=90, check=False).stdout
    status = re.search(r"status: (\w+)", said)
    records = [line.split(None, 4)[4] for line in said.splitlines() if line and not line.startswith(";")]
    return Answer(status[1] if status else "", tuple(records))


def version(*command: str) -> str:
    """Give the first line that a server says of its version."""
    said = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    return (said.stdout or said.stderr).splitlines()[0]


# ── Upstream ──────────────────────────────────────────────────────────────────────────────────────────────────


class Upstream:
    """A name server that answers every A question with `ADDRESS` and everything else with nothing, over UDP and TCP."""

    def __init__(self) -> None:
        self.port = free_port()
        self.asked: list[str] = []
        self._udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._tcp = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._udp.bind(("127.0.0.1", self.port))
        self._tcp.bind(("127.0.0.1", self.port))
        self._tcp.listen(16)
        self._threads = [threading.Thread(target=run, daemon=True) for run in (self._serve_udp, self._serve_tcp)]

    def __enter__(self) -> Upstream:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        for server in (self._udp, self._tcp):
            with suppress(OSError):
                server.shutdown(socket.SHUT_RDWR)
            server.close()
        for thread in self._threads:
            thread.join(5)

    def _serve_udp(self) -> None:
        with suppress(OSError):
            while True:
                packet, peer = self._udp.recvfrom(4096)
                if packet:
                    self._udp.sendto(self._reply(packet), peer)

    def _serve_tcp(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._tcp.accept()
                with connection, suppress(OSError):
                    connection.settimeout(2)
                    size = int.from_bytes(connection.recv(2, socket.MSG_WAITALL))
                    reply = self._reply(connection.recv(size, socket.MSG_WAITALL))
                    connection.sendall(len(reply).to_bytes(2) + reply)

    def _reply(self, packet: bytes) -> bytes:
        request = dnslib.DNSRecord.parse(packet)
        reply = request.reply()
        name = str(request.q.qname)
        self.asked.append(name)
        if request.q.qtype == dnslib.QTYPE.A:
            reply.add_answer(dnslib.RR(name, dnslib.QTYPE.A, ttl=30, rdata=dnslib.A(ADDRESS)))
        else:
            soa = dnslib.SOA("localhost.", "hostmaster.localhost.", (1, 60, 60, 60, 30))
            reply.add_auth(dnslib.RR(name, dnslib.QTYPE.SOA, ttl=30, rdata=soa))
        return bytes(reply.pack())


# ── Examples ──────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass
class Installed:
    """An example below a directory of its own."""

    root: Path
    upstream: Upstream
    ports: dict[int, int] = field(default_factory=dict)  # shipped port → ours

    def path(self, shipped: str) -> Path:
        """Give our path for one that the example names."""
        return self.root / shipped.lstrip("/")

    @property
    def config(self) -> Path:
        """dnswatch's configuration."""
        return self.path("/etc/dnswatch/dnswatch.yaml")

    def port(self, shipped: int = 53) -> int:
        """Give our port for one that the example names."""
        return self.ports[shipped]


def install(example: str, root: Path, upstream: Upstream) -> Installed:
    """Install an example below ``root``: each file goes where its first line says."""
    installed = Installed(root, upstream, {53: free_port(), 953: free_port()})
    for shipped in sorted((EXAMPLES / example).iterdir()):
        text = shipped.read_text() if shipped.is_file() else ""
        target = _INSTALL.match(text)
        if target is None:
            continue
        path = installed.path(target["path"])
        path.parent.mkdir(parents=True, exist_ok=True)
        if shipped.name == "upstream.conf":
            text = UPSTREAM[example].format(port=upstream.port)
        path.write_text(_adapted(text, installed))
    return installed


def _adapted(text: str, installed: Installed) -> str:
    text = PREFIXED.sub(f"{installed.root}/", text)
    return PORTS.sub(lambda found: f"{found['before']}{installed.ports[int(found['port'])]}", text)


UPSTREAM = {
    "bind": "recursion yes;\ndnssec-validation no;\nforward only;\nforwarders {{ 127.0.0.1 port {port}; }};\n",
    "dnsmasq": "no-resolv\nserver=127.0.0.1#{port}\n",
}


class PathUnit:
    """Does what systemd does for the example's path unit: runs the service's command when the directory changes."""

    def __init__(self, installed: Installed, name: str = "dnswatch-feeds") -> None:
        units = installed.path("/etc/systemd/system")
        self.watched = Path(_setting(units / f"{name}.path", "PathChanged"))
        self.command = shlex.split(_setting(units / f"{name}.service", "ExecStart"))
        self.runs: list[int] = []  # exit codes
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._follow, daemon=True)

    def __enter__(self) -> PathUnit:
        self._seen = self._state()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join(120)

    def _state(self) -> int:
        return self.watched.stat().st_mtime_ns if self.watched.is_dir() else 0

    def _follow(self) -> None:
        while not self._ended.wait(0.05):
            state = self._state()
            if state != self._seen:
                self._seen = state
                done = subprocess.run(self.command, capture_output=True, timeout=120, check=False)
                self.runs.append(done.returncode)


def _setting(unit: Path, key: str) -> str:
    found = re.search(rf"^{key}=(.*)$", unit.read_text(), re.MULTILINE)
    assert found, f"{unit.name} has no {key}"
    return found[1]


# ── Resolvers ─────────────────────────────────────────────────────────────────────────────────────────────────


class Server:
    """One server process in the foreground."""

    def __init__(self, command: list[str], says: Path, ready: Callable[[], object]) -> None:
        self._command, self._says, self._ready = command, says, ready
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it is ready, or raise `NotReady`."""
        with self._says.open("ab") as says:
            self.process = subprocess.Popen(
                self._command, stdin=subprocess.DEVNULL, stdout=says, stderr=says, cwd="/", env=self.environment()
            )
        alive = self.process
        if not wait_for(lambda: alive.poll() is not None or self._ready(), 15) or alive.poll() is not None:
            self.stop()
            raise NotReady(f"{self._command[0]} did not get ready:\n{self._says.read_text(errors='replace')[-2000:]}")

    def environment(self) -> dict[str, str]:
        """Give its environment."""
        return environment()

    def stop(self) -> None:
        """End it by its pid: politely, then not."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(10 * PATIENCE)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(10)

    def __enter__(self) -> Server:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def environment() -> dict[str, str]:
    """Give the environment of every server: UTC, plain messages, sbin on the path."""
    return {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "TZ": "UTC", "LC_ALL": "C"}


VIEWS = {"servers": "127.0.10.8", "build": "127.0.20.9", "staff": "127.1.2.3", "any": "127.0.0.1"}
"""One client in each view of the BIND example."""


def applies(port: int, client: str, audience: str) -> bool:
    """Say whether a client is answered from this zone of dnswatch: by its canary."""
    return dig(port, client, f"{audience}.canary.dnswatch.invalid").records == ("127.0.0.2",)


def _applied(port: int) -> bool:
    """Say whether each view has its three zones: named answers before it has loaded them, in any order."""
    return all(
        applies(port, client, "quarantine")
        and applies(port, client, "exempt")
        and any(applies(port, client, audience) for audience in VIEWS)  # a test names other zones
        for client in VIEWS.values()
    )


def named(installed: Installed) -> Server:
    """Give a named for an installed /etc/bind/named.conf; ready when it answers from every zone.

    Never ``-g``: the query log would go to stderr.
    """
    folders = [installed.path(folder) for folder in ("/var/cache/bind", "/var/log/named", "/run/named", "/etc/bind")]
    for folder in (*folders, installed.path("/var/cache/bind/dnswatch")):
        folder.mkdir(parents=True, exist_ok=True)
    key = installed.path("/etc/bind/rndc.key")
    if not key.exists():  # Debian's package makes it when it is installed
        subprocess.run(["rndc-confgen", "-a", "-c", str(key)], capture_output=True, check=True, env=environment())
    user = daemon_user("bind")
    if user:
        for path in (*folders, key):
            shutil.chown(path, user)
    command = [program("named", installed.root), "-f", "-n", "1", "-c", str(installed.path("/etc/bind/named.conf"))]
    command += ["-u", user] if user else []
    return Server(command, installed.root / "named.out", lambda: _applied(installed.port()))


def program(name: str, root: Path) -> str:
    """Give the path of a server's program, as a copy below ``root`` where AppArmor confines it.

    Profiles go by path, and forbid temporary directories; what the examples need of them is in their README.
    """
    found = shutil.which(name, path=environment()["PATH"]) or name
    profiles = Path("/sys/kernel/security/apparmor/profiles")
    with suppress(OSError):
        if re.search(rf"^(?:/usr/sbin/)?{name} \(enforce\)$", profiles.read_text(), re.MULTILINE):
            return str(shutil.copy2(found, root / name))
    return found


def daemon_user(name: str) -> str:
    """Give the user that Debian's package made for its server, where we are root and may become it; else ""."""
    with suppress(KeyError):
        return pwd.getpwnam(name).pw_name if os.geteuid() == 0 else ""
    return ""


def dnsmasq(installed: Installed) -> Server:
    """Give a dnsmasq for an installed /etc/dnsmasq.conf; ready when it answers."""
    for folder in ("/var/log", "/run/dnsmasq", "/var/cache/dnswatch"):
        installed.path(folder).mkdir(parents=True, exist_ok=True)
    command = [program("dnsmasq", installed.root), "-k", "-C", str(installed.path("/etc/dnsmasq.conf"))]
    command += ["-u", daemon_user("dnsmasq") or pwd.getpwuid(os.geteuid()).pw_name]
    ready = installed.port()
    return Server(command, installed.root / "dnsmasq.out", lambda: dig(ready, "127.0.0.1", "ready.test").status)


def named_with(text: str, root: Path, port: int) -> Server:
    """Give a named for a configuration of a test; ready when it answers on ``port``."""
    config = root / "named.conf"
    config.write_text(text)
    user = daemon_user("bind")
    if user:
        shutil.chown(root, user)
    command = [program("named", root), "-f", "-n", "1", "-c", str(config), *(["-u", user] if user else [])]
    return Server(command, root / "named.out", lambda: dig(port, "127.0.0.1", "ready.test").status)


def unbound_with(text: str, root: Path, port: int) -> Server:
    """Give an unbound for a configuration of a test; ready when it answers on ``port``."""
    config = root / "unbound.conf"
    config.write_text(text)
    command = [program("unbound", root), "-d", "-p", "-c", str(config)]
    return Server(command, root / "unbound.out", lambda: dig(port, "127.0.0.1", "ready.test").status)


@contextmanager
def example(name: str, prepare: Callable[[Installed], object] = lambda installed: None) -> Iterator[Installed]:
    """Run an example's resolver, its upstream and its path unit. ``prepare`` runs before the resolver starts.

    Ports are free when we look and may be taken when the server binds: then everything is tried once more.
    """
    start = {"bind": named, "dnsmasq": dnsmasq}[name]
    for attempt in (1, 2):
        with ExitStack() as stack:
            root = stack.enter_context(place())
            installed = install(name, root, stack.enter_context(Upstream()))
            prepare(installed)
            server = start(installed)
            try:
                stack.enter_context(server)
            except NotReady:
                if attempt == 2:
                    raise
                continue
            stack.enter_context(PathUnit(installed))
            yield installed
            return


# ── dnswatch ──────────────────────────────────────────────────────────────────────────────────────────────────


def dnswatch(installed: Installed, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a dnswatch command on the example's configuration."""
    return subprocess.run(
        [sys.executable, "-m", "dnswatch", "--config", str(installed.config), *arguments],
        capture_output=True, text=True, timeout=50 * PATIENCE, check=False, env={**os.environ, "TZ": "UTC"},
    )  # fmt: skip


class Daemon(Server):
    """`dnswatch run` with the arguments of the example's unit; ready when it tells systemd so."""

    def __init__(self, installed: Installed) -> None:
        unit = installed.path("/etc/systemd/system/dnswatch.service")
        arguments = shlex.split(_setting(unit, "ExecStart"))[1:]
        for key in ("LogsDirectory", "StateDirectory", "CacheDirectory"):  # systemd makes these
            where = {"LogsDirectory": "/var/log", "StateDirectory": "/var/lib", "CacheDirectory": "/var/cache"}[key]
            if re.search(rf"^{key}=dnswatch$", unit.read_text(), re.MULTILINE):
                installed.path(f"{where}/dnswatch").mkdir(parents=True, exist_ok=True)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        address = installed.root / "notify"
        address.unlink(missing_ok=True)
        self._socket.bind(str(address))
        self._notify = str(address)
        command = [sys.executable, "-m", "dnswatch", *arguments]
        super().__init__(command, installed.root / "dnswatch.out", self.says_ready)

    def says_ready(self) -> bool:
        """Say whether it has told systemd that it is ready since this was asked last."""
        said = b""
        with suppress(BlockingIOError):
            while True:
                said += self._socket.recv(4096)
        return b"READY=1" in said

    def environment(self) -> dict[str, str]:
        """Give systemd's socket to it."""
        return {**environment(), "NOTIFY_SOCKET": self._notify}

    def stop(self) -> None:
        """End it, then close the socket."""
        super().stop()
        self._socket.close()
        print(self._says.read_text(errors="replace"))  # pytest shows it where a test failed


def rsyslog(installed: Installed) -> Server:
    """Give an rsyslog that owns the example's /dev/log and writes what arrives there to /var/log/syslog."""
    device = installed.path("/dev/log")
    device.parent.mkdir(parents=True, exist_ok=True)
    config = installed.path("/etc/rsyslog.conf")
    config.write_text(
        f'global(workDirectory="{installed.root}")\n'
        'module(load="imuxsock" SysSock.Use="off")\n'
        f'input(type="imuxsock" Socket="{device}")\n'
        f'*.* action(type="omfile" file="{installed.path("/var/log/syslog")}" template="RSYSLOG_FileFormat")\n'
    )
    pid = installed.root / "rsyslog.pid"
    command = [program("rsyslogd", installed.root), "-n", "-f", str(config), "-i", str(pid)]
    return Server(command, installed.root / "rsyslog.out", lambda: device.is_socket() and pid.exists())
