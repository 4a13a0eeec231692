"""The sockets of the zone server: UDP, TCP and TLS, with limits on connections, idle time and rate.

On the TLS port SOA is answered over UDP too, and ALPN is offered but not insisted on: Unbound probes the one and sends
no other (research rpz.md §2.3). Never: decides what is answered (``core/feeds/responder.py``), builds a message before
its reader has taken the one before. Read next: ``io/primary.py``.
"""

from __future__ import annotations

import asyncio
import errno
import ssl
import time
from collections import Counter
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, cast

from dnswatch.core.feeds.limits import Buckets
from dnswatch.core.feeds.request import MOST
from dnswatch.core.feeds.responder import Reply, Responder
from dnswatch.core.model import Name
from dnswatch.errors import StateError

CONNECTIONS, CONNECTIONS_EACH, STRANGERS = 256, 64, 64
"""Open at once; from one address (BIND opens two for a primary at a time, Unbound one a zone at its start); from all
addresses together that are no consumer's."""
FIRST_S, IDLE_S, SEND_S = 5.0, 10.0, 30.0
"""Seconds until the first request, until a further one (RFC 7766 §6.2.3: a few seconds), and for taking 16 KiB."""
UNHURRIED, REST_S = 4, 0.001
"""While more replies than this are sent, the loop rests this long after each message, for what else it has to do:
reading logs and delivering alerts goes first. All transfers together then move 5 MB a second (benchmarks/README.md)."""
STOP_S = 3.0
"""The end of the process is to take ten seconds at most, and other things take some of them."""
REQUESTS, REQUESTS_BURST = 200.0, 1000.0
"""Requests a second from one network: a resolver with a hundred views asks for each zone's SOA after NOTIFY."""
ERRORS, ERRORS_BURST = 5.0, 25.0
"""Refusals a second to one network; beyond that silence, so that forged addresses get next to nothing."""
PORT_TRIES = 5  # to find a port that is free for TCP and UDP, when any will do


@dataclass(frozen=True, slots=True)
class Transfer:
    """The last time that a consumer was brought up to date with a zone."""

    kind: str  # axfr, ixfr, current
    serial: int
    at: float
    octets: int


class DnsServer:
    """Serves what a `Responder` answers."""

    def __init__(self, responder: Responder) -> None:
        self.responder = responder
        self.counters: Counter[str] = Counter()  # kinds of replies, and: dropped, closed
        self.transfers: dict[tuple[str, Name], Transfer] = {}  # bounded by consumers × zones: only those who may
        self.addresses: list[tuple[str, int, str]] = []  # where we listen: address, port, "dns" or "tls"
        self._servers: list[asyncio.Server] = []
        self._udp: list[asyncio.DatagramTransport] = []
        self._open: dict[asyncio.Task[Any], str] = {}  # connection → its peer's address
        self._turn = asyncio.Lock()  # to make and write a message of a transfer
        self._sending = 0  # replies being sent
        self._stopping = False
        self._requests = Buckets(REQUESTS, REQUESTS_BURST)
        self._errors = Buckets(ERRORS, ERRORS_BURST)

    @property
    def connections(self) -> int:
        """Count the open connections."""
        return len(self._open)

    async def start(self, listen: Sequence[tuple[str, int]], tls: tuple[str, int, ssl.SSLContext] | None) -> None:
        """Listen on all addresses, or raise `StateError` naming the one that is not possible, and listen on none."""
        self._stopping = False
        try:
            for host, port in listen:
                await self._listen(host, port, None)
            if tls is not None:
                await self._listen(*tls)
        except StateError:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Stop listening and end every connection, transfers too, within `STOP_S`: who fetches a zone asks again."""
        self._stopping = True
        for server in self._servers:
            server.close()
        for transport in self._udp:
            transport.close()
        tasks = list(self._open)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=STOP_S / 2)
        with suppress(TimeoutError):  # from Python 3.12 on it waits for every connection, and the kernel may hold one
            async with asyncio.timeout(STOP_S / 2):
                for server in self._servers:
                    await server.wait_closed()
        self._servers.clear()
        self._udp.clear()
        self.addresses.clear()

    async def _listen(self, host: str, port: int, context: ssl.SSLContext | None) -> None:
        loop = asyncio.get_running_loop()
        try:
            found = await loop.getaddrinfo(host, port)
            for address in dict.fromkeys(str(one[4][0]) for one in found):
                await self._bind(address, port, context)
        except OSError as error:
            raise _cannot_listen(host, port, error, "dns.tls.listen" if context else "dns.listen") from error

    async def _bind(self, address: str, port: int, context: ssl.SSLContext | None) -> None:
        """Bind TCP and UDP to one port; where the system chooses it, choose again when UDP's is taken."""

        def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Coroutine[Any, Any, None]:
            if context is not None:  # what comes now is for TLS, not for the reader
                cast(asyncio.ReadTransport, writer.transport).pause_reading()
            return self._connected(reader, writer, context)

        for left in reversed(range(PORT_TRIES)):
            server = await asyncio.start_server(accept, address, port, limit=2 * MOST, reuse_address=True)
            real = server.sockets[0].getsockname()[1]
            try:
                transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
                    lambda: _Datagrams(self), local_addr=(address, real)
                )
            except OSError:
                server.close()
                await server.wait_closed()
                if port or not left:
                    raise
                continue
            self._servers.append(server)
            self._udp.append(transport)
            self.addresses.append((address, real, "tls" if context else "dns"))
            return

    # ── UDP ───────────────────────────────────────────────────────────────────────────────────────────────────

    def datagram(self, packet: bytes, peer: tuple[Any, ...], transport: asyncio.DatagramTransport) -> None:
        """Answer one packet, or say nothing."""
        address = str(peer[0])
        if self._allowed(address):
            reply = self.responder.respond(packet, address, time.time, stream=False)
            if reply is not None and self._counted(reply, address):
                transport.sendto(next(reply.messages), peer)

    def _allowed(self, address: str) -> bool:
        """Say whether the peer may ask now."""
        allowed = self._requests.take(address, time.monotonic())
        self.counters["dropped"] += not allowed
        return allowed

    def _counted(self, reply: Reply, address: str) -> bool:
        """Count the reply; False when it is one refusal too many to this peer."""
        said = not reply.error or self._errors.take(address, time.monotonic())
        self.counters[reply.kind if said else "dropped"] += 1
        return said

    # ── TCP and TLS ───────────────────────────────────────────────────────────────────────────────────────────

    async def _connected(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, context: ssl.SSLContext | None
    ) -> None:
        """Hold one connection, its TLS handshake included: who never ends one has a seat like anybody else."""
        task = asyncio.current_task()
        peer = writer.get_extra_info("peername")
        if task is None or not peer:  # gone before we looked
            writer.transport.abort()
            return
        address = str(peer[0])
        if self._stopping or not self._has_seat(address):  # accepted just before the end: nobody would end it
            self.counters["closed"] += 1
            writer.transport.abort()
            return
        self._open[task] = address
        try:
            if context is not None:
                await writer.start_tls(context, ssl_handshake_timeout=FIRST_S)
            await self._converse(reader, writer, address)
        except (TimeoutError, OSError, asyncio.IncompleteReadError):
            writer.transport.abort()  # the peer is gone, silent or slow
        except asyncio.CancelledError:  # we stop; the task ends here, so nobody else is to hear of it
            writer.transport.abort()
        finally:
            del self._open[task]
            writer.close()
            with suppress(OSError, TimeoutError):
                async with asyncio.timeout(1):
                    await writer.wait_closed()

    def _has_seat(self, address: str) -> bool:
        """Say whether one more connection from there is fine. Strangers together never take the consumers' seats."""
        peers = Counter(self._open.values())
        if len(self._open) >= CONNECTIONS or peers[address] >= CONNECTIONS_EACH:
            return False
        usual = self.responder.access.is_usual
        return usual(address) or sum(count for peer, count in peers.items() if not usual(peer)) < STRANGERS

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, address: str) -> None:
        """Answer requests until the peer has no more, or sends what cannot be one."""
        patience_s = FIRST_S
        while True:
            async with asyncio.timeout(patience_s):
                size = int.from_bytes(await reader.readexactly(2))
                if size > MOST:
                    return
                packet = await reader.readexactly(size)
            if not self._allowed(address):
                return
            # A difference of large versions takes a second or two to find: not on the loop.
            reply = await asyncio.to_thread(self.responder.respond, packet, address, time.time, stream=True)
            if reply is None or not self._counted(reply, address):
                return
            self._sending += 1
            try:
                await self._send(writer, reply)
            finally:
                self._sending -= 1
            patience_s = IDLE_S

    async def _send(self, writer: asyncio.StreamWriter, reply: Reply) -> None:
        octets = 0
        while True:
            # One message of all transfers together each time round the loop: however many zones are fetched at once,
            # whatever else the loop does waits for one of them at most. Who reads slowly holds nobody up here.
            async with self._turn:
                message = next(reply.messages, b"")
                if not message:
                    break
                writer.write(len(message).to_bytes(2) + message)
                if self._sending > UNHURRIED:
                    await asyncio.sleep(REST_S)
            octets += len(message) + 2
            async with asyncio.timeout(SEND_S):
                await writer.drain()
            await asyncio.sleep(0)
        if reply.kind in ("axfr", "ixfr", "current"):
            self.transfers[reply.consumer, reply.zone] = Transfer(reply.kind, reply.serial, time.time(), octets)


class _Datagrams(asyncio.DatagramProtocol):
    """One UDP socket of the server."""

    def __init__(self, server: DnsServer) -> None:
        self._server = server

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the socket to answer on."""
        self._transport = cast(asyncio.DatagramTransport, transport)  # Python 3.11's is no subclass of it

    def datagram_received(self, data: bytes, addr: tuple[Any, ...]) -> None:
        """Answer a packet."""
        self._server.datagram(data, addr, self._transport)

    def error_received(self, exc: Exception) -> None:
        """Note that a reply did not arrive (ICMP); whoever needs it asks again."""
        self._server.counters["unreachable"] += 1


def _cannot_listen(host: str, port: int, error: OSError, key: str) -> StateError:
    why = {
        errno.EADDRINUSE: "another program listens there",
        errno.EADDRNOTAVAIL: "this host has no such address",
        errno.EACCES: "ports below 1024 need CAP_NET_BIND_SERVICE (systemd: AmbientCapabilities=CAP_NET_BIND_SERVICE)",
    }.get(error.errno or 0, error.strerror or str(error))
    where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    return StateError(f"cannot serve zones on {where}: {why}. Choose another address with `{key}`, or remove `dns`")
