"""The syslog receiver: logs of routers and of resolvers on other hosts, over UDP, TCP or a local datagram socket.

A sender that may send is a source of its own for the engine, for two resolvers see two sides of a lookup. What cannot
be helped: a UDP sender is whoever writes that address into a packet, and what was sent while nobody listened, or what
was received but not checkpointed when the process was killed, is lost; plain syslog acknowledges nothing. What the
kernel dropped because we were slow is counted. Never: trusts a name in a message. Read next:
``core/logs/syslog.py``, ``../listener.py``.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import time
import zoneinfo
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any

from dnswatch.config.model import Source
from dnswatch.config.ways import Door, split_door
from dnswatch.core.logs.syslog import MOST, Framing, Lines
from dnswatch.core.model import Position
from dnswatch.io.inbox import Inbox
from dnswatch.io.listener import Listener, Senders, cannot_listen, read, unix_socket
from dnswatch.io.way import UNREAD, Consume, Stream

DATAGRAMS = 256
"""Taken from the socket before others have their turn."""
RECEIVE_BUFFER = 8 << 20
"""Asked of the kernel for UDP: a burst of some 10 000 datagrams (each costs it about 800 octets); it may give less
(net.core.rmem_max)."""
UNFINISHED_S = 60.0
"""A message that is not whole after this long never will be."""
SENDERS = 1024
"""Senders whose lines are counted apart."""
DROPPED = "dropped by the kernel: more came than was read"
CUT = "message cut off by the end of its connection"
_SO_RXQ_OVFL = 40
"""Linux' number (asm-generic/socket.h), which Python does not name: with each datagram the drops before it."""


class SyslogReceiver(Stream):
    """Listens at one place."""

    def __init__(self, settings: Source, resume: Position | None) -> None:
        super().__init__(settings.id, resume)
        assert settings.listen is not None
        self._door = split_door(settings.listen)
        self._zone = zoneinfo.ZoneInfo(settings.timezone) if settings.timezone else None
        self._senders = Senders(settings.senders)
        self._inbox = Inbox()
        self._lines: dict[str, Lines] = {}
        self._counts: dict[str, list[float]] = {}  # sender → messages, when the last one came
        self._refused: Counter[str] = Counter()
        self._listener: Listener | None = None
        self._dropped = 0
        self._waits = False  # the datagram socket is not read, because the inbox is full
        self.port = 0

    @property
    def lag(self) -> int:
        """See `Way`."""
        return self._inbox.size

    def row(self) -> dict[str, Any]:
        """Give what the status page shows besides."""
        refused = self._refused + (self._listener.refused if self._listener is not None else Counter())
        return {
            "senders": {sender or "local": {"messages": int(count), "last_at": at}
                        for sender, (count, at) in sorted(self._counts.items())},
            "refused": dict(sorted(refused.items())), "refused_count": refused.total(),
            "connections": self._listener.connections if self._listener is not None else 0,
            "clock_off": sum(lines.clock_off for lines in self._lines.values()),
        }  # fmt: skip

    async def run(self, consume: Consume) -> None:
        """See `Way`."""
        opened = self._listening() if self._door.scheme == "tcp" else self._receiving()
        async with opened as resume_receiving:
            await self.hand(consume, b"", at_end=True)
            try:
                while True:
                    sender, data = await self._inbox.take()
                    name = f"{self.source_id} {sender}" if sender else ""
                    await self.hand(consume, data, at_end=not self._inbox.size, sender=name)
                    resume_receiving()
            finally:
                if self._inbox.size:
                    self.lose(UNREAD)

    @property
    def heard(self) -> Mapping[str, float]:
        """See `Stream`."""
        return {sender: count for sender, (count, _) in self._counts.items() if sender}

    def _received(self, sender: str, message: bytes) -> None:
        """Take one message."""
        if len(message) > MOST:
            self._refused["message too long"] += 1
            self.lose("message too long", 1)
            return
        arrival = time.time()
        lines = self._lines.get(sender)
        if lines is None:
            if len(self._lines) >= SENDERS:
                self._lines.pop(next(iter(self._lines)))
            lines = self._lines[sender] = Lines(sender or "localhost", self._zone, arrival)
        count = self._counts.get(sender)
        if count is None:
            if len(self._counts) >= SENDERS:
                self._counts.pop(next(iter(self._counts)))
            count = self._counts[sender] = [0, 0.0]
        count[0] += 1
        count[1] = arrival
        self._inbox.put(sender, lines.line(message, arrival))

    # ── Datagrams ─────────────────────────────────────────────────────────────────────────────────────────────

    @asynccontextmanager
    async def _receiving(self) -> AsyncIterator[Any]:
        sock = (
            _udp_socket(self._door) if self._door.scheme == "udp" else unix_socket(self._door.path, socket.SOCK_DGRAM)
        )
        loop = asyncio.get_running_loop()
        self._dropped, self._waits = 0, False
        self.port = sock.getsockname()[1] if self._door.scheme == "udp" else 0

        def resume() -> None:
            if self._waits and not self._inbox.full:
                self._waits = False
                loop.add_reader(sock, self._datagrams, sock)

        loop.add_reader(sock, self._datagrams, sock)
        try:
            yield resume
        finally:
            loop.remove_reader(sock)
            sock.close()

    def _datagrams(self, sock: socket.socket) -> None:
        """Take what has come, but not all day."""
        for _ in range(DATAGRAMS):
            if self._inbox.full:
                self._waits = True
                asyncio.get_running_loop().remove_reader(sock)
                return
            try:
                data, told, flags, peer = sock.recvmsg(1 << 16, 64)
            except OSError:  # nothing more
                return
            for level, kind, value in told:
                if level == socket.SOL_SOCKET and kind == _SO_RXQ_OVFL and len(value) == 4:
                    self._count_drops(struct.unpack("=I", value)[0])
            sender = ""
            if self._door.scheme == "udp":
                sender = self._senders.admit(str(peer[0]))
                if not sender:
                    self._refused["sender not allowed"] += 1
                    continue
            if flags & socket.MSG_TRUNC:
                data += b" " * MOST  # counted as too long
            self._received(sender, data)

    def _count_drops(self, dropped: int) -> None:
        """Take the kernel's count since the socket was opened; it wraps at 32 bits."""
        more = (dropped - self._dropped) & 0xFFFFFFFF
        if more:
            self._dropped = dropped
            self.lose(DROPPED, more)

    # ── TCP ───────────────────────────────────────────────────────────────────────────────────────────────────

    @asynccontextmanager
    async def _listening(self) -> AsyncIterator[Any]:
        self._listener = Listener(self._door, self._senders, self._serve)
        async with self._listener:
            self.port = self._listener.port
            yield lambda: None

    async def _serve(self, sender: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Take one connection's messages; the sender waits while the inbox is full."""
        assert self._listener is not None
        framing = Framing()
        self.generations["connected"] += 1
        while not framing.problem:
            limit_s = UNFINISHED_S if framing.unfinished else None
            try:
                data = await read(reader, limit_s)
            except TimeoutError:
                framing.problem = "an unfinished message"
                break
            if not data:
                break
            self._listener.heard(writer)
            for message in framing.feed(data):
                self._received(sender, message)
            await self._inbox.room()
        if framing.problem:
            self._refused[framing.problem if "octets" not in framing.problem else "message too long"] += 1
            self.lose("connection closed because of what it sent")
        elif framing.unfinished:
            if last := framing.last():
                self._received(sender, last)
            else:
                self.lose(CUT, 1)


def _udp_socket(door: Door) -> socket.socket:
    """Bind a UDP socket that tells what the kernel drops. Raises `OSError`."""
    try:
        family, _, _, _, address = socket.getaddrinfo(door.host, door.port, type=socket.SOCK_DGRAM)[0]
        sock = socket.socket(family, socket.SOCK_DGRAM)
        try:
            if family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(door.host != "::"))
            sock.setsockopt(socket.SOL_SOCKET, _SO_RXQ_OVFL, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
            with suppress(OSError):  # beyond net.core.rmem_max, for who may (CAP_NET_ADMIN)
                sock.setsockopt(socket.SOL_SOCKET, 33, RECEIVE_BUFFER)  # SO_RCVBUFFORCE
            sock.bind(address)
        except OSError:
            sock.close()
            raise
    except OSError as error:
        raise cannot_listen(door, error) from error
    sock.setblocking(False)
    return sock
