"""The syslog sink: UDP (RFC 5426), TCP with octet counting or LF (RFC 6587), and the local socket.

Never: builds messages (``core/alerts`` does), retries, or takes "written to the socket" for "handed over": on a stream
`send` returns only after the peer's kernel has acknowledged every byte and the peer is still there. Read next:
``io/deliver.py``; delivery.md §1 for what each transport can promise.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import os
import socket
import struct
import termios
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal
from urllib.parse import urlsplit

from dnswatch.config.model import FACILITIES
from dnswatch.config.model import SyslogSink as Settings
from dnswatch.core.alerts import Context
from dnswatch.core.alerts.flat import rfc3339
from dnswatch.core.alerts.rfc5424 import header_field
from dnswatch.io.deliver import Delivery, Render, renderer

Scheme = Literal["udp", "tcp", "unix"]

CONNECT_S = 10.0
ANSWER_S = 20.0
"""A peer that does not acknowledge for this long is dead (also TCP_USER_TIMEOUT; delivery.md §1.5)."""
PRIMARY_AGAIN_S = 60.0
"""While a fallback is used, the first address is tried again this often (delivery.md §1.5)."""
UDP_PER_S = 500
"""Paced sending: rsyslog lost 0.3 % and syslog-ng 33 % of an unpaced burst of 50,000 (delivery.md §1.1)."""
MOST_DATAGRAM = 65_507
"""Largest UDP payload over IPv4; longer ones are cut, for an unsendable message would block the queue for ever."""
SHORT_DATAGRAM = 8192  # what any receiver takes: rsyslog's default maxMessageSize
ICMP_S = 0.02
"""Wait this long for "port unreachable" after a batch: UDP's only word, given by a near host without a receiver."""
POLL_S = 0.005


@dataclass(frozen=True, slots=True)
class Address:
    """Where a syslog receiver listens."""

    scheme: Scheme
    host: str = ""
    port: int = 0
    path: str = ""

    def __str__(self) -> str:
        if self.scheme == "unix":
            return f"unix://{self.path}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"


def parse_address(text: str) -> Address:
    """Read an address that the configuration has checked: ``udp://HOST:PORT``, ``tcp://HOST:PORT``, ``unix:///PATH``."""
    parts = urlsplit(text)
    if parts.scheme == "unix":
        return Address("unix", path=parts.path)
    if parts.scheme not in ("udp", "tcp") or not parts.hostname or not parts.port:
        raise ValueError(f"{text!r} is not udp://HOST:PORT, tcp://HOST:PORT or unix:///PATH")
    return Address("udp" if parts.scheme == "udp" else "tcp", parts.hostname, parts.port)


def build(settings: Settings, sensor: str) -> SyslogSink:
    """Make the sink that the configuration asks for."""
    addresses = [parse_address(text) for text in (settings.address, *settings.fallback)]
    context = Context(
        sensor,
        facility=FACILITIES.index(settings.facility),
        process_id=str(os.getpid()),
        enterprise_id=settings.enterprise_id,
        host=sensor,
    )
    if any(address.scheme == "unix" for address in addresses):
        # rsyslog's imuxsock reads RFC 5424 wrongly; the local form has no host name (delivery.md §1.1).
        render = renderer("rfc3164", replace(context, host=""))
    elif settings.format in ("rfc5424", "rfc3164"):
        render = renderer(settings.format, context)
    else:
        render = _with_header(renderer(settings.format, context), context)
    return SyslogSink(addresses, render, framing=settings.framing)


def _with_header(render: Render, context: Context) -> Render:
    """Put an RFC 5424 header without structured data before a message of another format: syslog needs one."""

    def message(delivery: Delivery) -> bytes:
        alert = delivery.alert
        fields = (context.sensor, 255), (context.app_name, 48), (context.process_id, 128), (alert.rule_id, 32)
        words = " ".join(header_field(text, limit) for text, limit in fields)
        header = f"<{context.priority(alert.severity)}>1 {rfc3339(alert.at)} {words} - "
        return header.encode("ascii") + render(delivery).replace(b"\n", b" ")

    return message


class SyslogSink:
    """Sends to the first of ``addresses`` that takes it, connecting when there is something to send.

    ``framing`` is for TCP: ``octet`` (RFC 6587 §3.4.1) or ``lf``, in which newlines within a message become spaces.
    """

    def __init__(
        self,
        addresses: Sequence[Address],
        render: Render,
        *,
        framing: Literal["octet", "lf"] = "octet",
        udp_per_s: float = UDP_PER_S,
    ) -> None:
        self.truncated = 0
        self._addresses = tuple(addresses)
        self._current = 0
        self._primary_at = 0.0  # when the first address was last tried
        self._render = render
        self._framing = framing
        self._pause_s = 1 / udp_per_s
        self._datagram: socket.socket | None = None
        self._stream: _Stream | None = None

    async def send(self, batch: Sequence[Delivery]) -> None:
        messages = [self._render(one) for one in batch]
        now = asyncio.get_running_loop().time()
        if self._current and now - self._primary_at > PRIMARY_AGAIN_S:
            await self.close()
            self._current = 0
        if not self._current:
            self._primary_at = now
        address = self._addresses[self._current]
        try:
            if address.scheme == "tcp":
                await self._send_stream(address, b"".join(map(self._frame, messages)))
            else:
                await self._send_datagrams(address, messages)
        except (OSError, asyncio.CancelledError):
            # What the other side has of this batch is unknown, and a half message may be in the stream.
            await self.close()
            self._current = (self._current + 1) % len(self._addresses)
            raise

    async def close(self) -> None:
        if self._datagram is not None:
            self._datagram.close()
            self._datagram = None
        if self._stream is not None:
            await self._stream.close()
            self._stream = None

    def _frame(self, message: bytes) -> bytes:
        if self._framing == "octet":
            return b"%d %s" % (len(message), message)
        return message.replace(b"\r", b" ").replace(b"\n", b" ") + b"\n"

    async def _send_stream(self, address: Address, data: bytes) -> None:
        if self._stream is not None and self._stream.gone:
            await self.close()
        if self._stream is None:
            self._stream = await _Stream.open(address)
        await self._stream.write(data)

    async def _send_datagrams(self, address: Address, messages: Sequence[bytes]) -> None:
        loop = asyncio.get_running_loop()
        if self._datagram is None:
            self._datagram = await _datagram(address)
        _error(self._datagram)  # forget what became of datagrams long ago
        for message in messages:
            data = message[:MOST_DATAGRAM]
            self.truncated += len(data) < len(message)
            try:
                await loop.sock_sendall(self._datagram, data)
            except OSError as error:
                if error.errno != errno.EMSGSIZE:
                    raise OSError(error.errno, f"cannot send to {address}: {_reason(error)}") from error
                self.truncated += 1
                await loop.sock_sendall(self._datagram, data[:SHORT_DATAGRAM])
            if address.scheme == "udp" and len(messages) > 1:
                await asyncio.sleep(self._pause_s)
        if address.scheme == "udp":
            await asyncio.sleep(ICMP_S)
            if code := _error(self._datagram):
                raise OSError(code, f"cannot send to {address}: {os.strerror(code)}")


def _error(opened: socket.socket) -> int:
    """Take the pending error of a socket: for UDP, the ICMP answer to an earlier datagram."""
    return opened.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)


async def _datagram(address: Address) -> socket.socket:
    """Open a connected datagram socket: errors of the other side then come back to us."""
    loop = asyncio.get_running_loop()
    if address.scheme == "unix":
        local = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        local.setblocking(False)
        try:
            await loop.sock_connect(local, address.path)
        except OSError as error:
            local.close()
            raise OSError(error.errno, f"cannot connect to {address}: {_reason(error)}") from error
        return local
    found = await loop.getaddrinfo(address.host, address.port, type=socket.SOCK_DGRAM)
    family, kind, protocol, _, where = found[0]
    opened = socket.socket(family, kind, protocol)
    opened.setblocking(False)
    try:
        await loop.sock_connect(opened, where)
    except OSError:
        opened.close()
        raise
    return opened


class _Stream:
    """A TCP connection whose read side is watched, so that a dead peer is known before the next write."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, address: Address) -> None:
        self.gone = False
        self._address = address
        self._writer = writer
        self._watch = asyncio.create_task(self._read_to_end(reader), name=f"watch {address}")

    @classmethod
    async def open(cls, address: Address) -> _Stream:
        try:
            async with asyncio.timeout(CONNECT_S):
                reader, writer = await asyncio.open_connection(address.host, address.port)
        except TimeoutError:
            raise TimeoutError(f"{address} does not answer within {CONNECT_S:.0f} s") from None
        except OSError as error:
            raise OSError(error.errno, f"cannot connect to {address}: {_reason(error)}") from error
        plain: socket.socket = writer.get_extra_info("socket")
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(ANSWER_S * 1000))
        writer.transport.set_write_buffer_limits(high=0)  # `drain` then means: the kernel has it all
        return cls(reader, writer, address)

    async def write(self, data: bytes) -> None:
        """Write all of it and wait until the peer's kernel has it. Raises `OSError`."""
        try:
            async with asyncio.timeout(ANSWER_S):
                self._writer.write(data)
                await self._writer.drain()
                while not self.gone and self._unacknowledged():  # noqa: ASYNC110 (the kernel tells nobody)
                    await asyncio.sleep(POLL_S)
        except TimeoutError:
            raise TimeoutError(f"{self._address} has not taken a batch within {ANSWER_S:.0f} s") from None
        if self.gone:
            raise ConnectionResetError(errno.ECONNRESET, f"{self._address} closed the connection")

    async def close(self) -> None:
        self._watch.cancel()
        self._writer.close()
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(1):
                await self._writer.wait_closed()

    def _unacknowledged(self) -> int:
        """Ask the kernel how many sent bytes the peer has not acknowledged (SIOCOUTQ, the same number as TIOCOUTQ)."""
        plain = self._writer.get_extra_info("socket")
        if plain.fileno() < 0:  # the transport has closed it: the connection broke while we wrote
            self.gone = True
            return 0
        answer = fcntl.ioctl(plain.fileno(), termios.TIOCOUTQ, struct.pack("i", 0))
        return int(struct.unpack("i", answer)[0])

    async def _read_to_end(self, reader: asyncio.StreamReader) -> None:
        """Syslog receivers say nothing: whatever ends this read means that the peer has gone."""
        with contextlib.suppress(OSError):
            while await reader.read(4096):
                pass
        self.gone = True


def _reason(error: OSError) -> str:
    return (error.strerror or str(error) or type(error).__name__).replace("\n", " ")
