"""Sockets that logs come in through: opened in one way, with limits, and only for those who may send.

Never: knows what is sent. Read next: ``sources/syslog.py``, ``sources/dnstap.py``.
"""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import os
import socket
import stat
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

from dnswatch.config.ways import Door

CONNECTIONS = 256
"""Connections at once: more senders than that want a syslog relay. The one that was silent longest makes room."""
BACKLOG = 64
MODE = 0o660
"""Of a unix socket: its group may send. A setgid directory gives it the group of the server that writes."""
KNOWN = 4096
"""Addresses whose permission is remembered."""

Serve = Callable[[str, asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Senders:
    """Who may send: networks, or everyone where none are named (loopback, a unix socket)."""

    def __init__(self, networks: Sequence[str]) -> None:
        self._networks = [ipaddress.ip_network(text) for text in networks]
        self._known: dict[str, str] = {}

    def admit(self, host: str) -> str:
        """Give the canonical address of somebody who may send, "" of anybody else."""
        if host not in self._known:
            if len(self._known) >= KNOWN:
                self._known.clear()
            self._known[host] = self._judge(host)
        return self._known[host]

    def _judge(self, host: str) -> str:
        address = ipaddress.ip_address(host.partition("%")[0])
        if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        return str(address) if not self._networks or any(address in one for one in self._networks) else ""


class Listener:
    """Accepts connections (TCP, unix) and serves each until it ends."""

    def __init__(self, door: Door, senders: Senders, serve: Serve) -> None:
        self.refused: Counter[str] = Counter()
        self._door = door
        self._senders = senders
        self._serve = serve
        self._heard: dict[asyncio.StreamWriter, float] = {}  # when it last said something
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    @property
    def connections(self) -> int:
        """How many there are now."""
        return len(self._heard)

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return int(self._server.sockets[0].getsockname()[1]) if self._server and not self._door.path else 0

    async def __aenter__(self) -> Listener:
        """Open it. Raises `OSError`."""
        if self._door.scheme == "unix":
            sock = unix_socket(self._door.path, socket.SOCK_STREAM)
            sock.listen(BACKLOG)
            self._server = await asyncio.start_unix_server(self._accept, sock=sock, start_serving=False)
        else:
            try:
                self._server = await asyncio.start_server(
                    self._accept, self._door.host, self._door.port, backlog=BACKLOG, start_serving=False
                )
            except OSError as error:
                raise cannot_listen(self._door, error) from error
        await self._server.start_serving()
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        if self._door.scheme == "unix":
            with suppress(OSError):
                os.unlink(self._door.path)  # noqa: PTH108

    def heard(self, writer: asyncio.StreamWriter) -> None:
        """Note that a connection said something."""
        self._heard[writer] = time.monotonic()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        sender = ""
        if self._door.scheme != "unix":
            peer = writer.get_extra_info("peername")
            sender = self._senders.admit(str(peer[0])) if peer else ""
            if not sender:
                self.refused["sender not allowed"] += 1
                writer.transport.abort()
                return
            _probe(writer.get_extra_info("socket"))
        if len(self._heard) >= CONNECTIONS:
            longest = min(self._heard, key=lambda one: self._heard[one])
            self.refused["too many connections"] += 1
            longest.transport.abort()
            del self._heard[longest]
        self.heard(writer)
        task = asyncio.get_running_loop().create_task(self._run(sender, reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, sender: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self._serve(sender, reader, writer)
        except OSError:  # the connection broke off; what that means has been counted by whoever serves
            self.refused["connection broke off"] += 1
        finally:
            self._heard.pop(writer, None)
            writer.transport.abort()


def _probe(sock: socket.socket) -> None:
    """Let the kernel find out, within two minutes, that the host of a silent sender is gone."""
    with suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in ((socket.TCP_KEEPIDLE, 60), (socket.TCP_KEEPINTVL, 15), (socket.TCP_KEEPCNT, 4)):
            sock.setsockopt(socket.IPPROTO_TCP, option, value)


def unix_socket(path: str, kind: socket.SocketKind) -> socket.socket:
    """Bind a unix socket, in place of one that nobody listens on any more. Raises `OSError`."""
    sock = socket.socket(socket.AF_UNIX, kind)
    try:
        with suppress(FileNotFoundError):
            if stat.S_ISSOCK(os.lstat(path).st_mode) and not _in_use(path, kind):
                os.unlink(path)  # noqa: PTH108
        sock.bind(path)
        os.chmod(path, MODE)  # noqa: PTH101
    except OSError as error:
        sock.close()
        raise cannot_listen(Door("unix", "", 0, path), error) from error
    sock.setblocking(False)
    return sock


def cannot_listen(door: Door, error: OSError) -> OSError:
    """Say which door cannot be opened, and why."""
    why = error.strerror or str(error)
    if isinstance(error, PermissionError) and 0 < door.port < 1024:
        why = f"permission denied: ports below 1024 need CAP_NET_BIND_SERVICE; {door.port + 5000} does not"
    elif error.errno == errno.EADDRINUSE:
        why = "somebody else listens there"
    elif isinstance(error, FileNotFoundError):
        why = "no such directory"
    place = door.path or f"{door.host} port {door.port}"
    return OSError(error.errno, f"cannot listen on {place}: {why}")


def _in_use(path: str, kind: socket.SocketKind) -> bool:
    with socket.socket(socket.AF_UNIX, kind) as probe:
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            return False
        except OSError:
            return True
    return True


async def read(reader: asyncio.StreamReader, within_s: float | None) -> bytes:
    """Read what has come; nothing at the end, also when the peer broke off. Raises `TimeoutError`."""
    try:
        async with asyncio.timeout(within_s):
            return await reader.read(1 << 16)
    except ConnectionError:
        return b""
