"""One connection to a receiver, TCP or TLS inside it, whose read side is always watched.

So a receiver that closes, dies or refuses our certificate (in TLS 1.3 only after the handshake) is known at once and
not at the next write. TLS runs over memory buffers: that is what lets both sides close in order, which asyncio's own
streams cannot. Never: frames or counts messages. Read next: ``tcp.py``, ``tls.py``, ``relp.py``.
"""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
import time
from contextlib import suppress

from dnswatch.io.syslog.address import Address
from dnswatch.io.syslog.security import Security, said

CONNECT_S = 10.0
ANSWER_S = 20.0
"""A receiver that does not acknowledge for this long is dead (also TCP_USER_TIMEOUT; delivery.md §1.5)."""
KEEPALIVE = {"TCP_KEEPIDLE": 60, "TCP_KEEPINTVL": 15, "TCP_KEEPCNT": 4}
"""A silent connection to a host that has gone is known after two minutes; also keeps state in firewalls alive."""
REFUSED_S = 1.0
"""A connection that ends this early, without a word, most often shows a receiver that does not like our certificate."""
WORD_S = 0.1  # for the read side to find what the other side said before it closed
READ = 1 << 16


class Stream:
    """An open connection. ``ended`` is set when the other side has; `why` then says how."""

    def __init__(self, opened: socket.socket, address: Address, encrypted: bool) -> None:
        self.address = address
        self.opened_at = time.monotonic()
        self.ended = asyncio.Event()
        self.failure: OSError | None = None  # of the read side; None with `ended`: closed in order
        self.received = bytearray()  # what the other side said and nobody took yet
        self._socket = opened
        self._encrypted = encrypted
        self._news = asyncio.Event()
        self._tls: ssl.SSLObject | None = None
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._secure = False  # the handshake is over
        self._watch: asyncio.Task[None] | None = None

    @classmethod
    async def open(cls, address: Address, security: Security | None = None) -> Stream:
        """Connect, with ``security`` by TLS. Raises `OSError` that names the address and says what is wrong."""
        try:
            async with asyncio.timeout(CONNECT_S):
                made = cls(await _connect(address), address, security is not None)
                try:
                    made._watch = asyncio.create_task(made._read_on(), name=f"watch {address}")
                    if security is not None:
                        await made._handshake(security)
                except (OSError, asyncio.CancelledError):
                    await made.close()
                    raise
        except TimeoutError:
            raise TimeoutError(f"{address} does not answer within {CONNECT_S:.0f} s") from None
        except OSError as error:
            raise OSError(error.errno, f"cannot connect to {address}: {said(error)}") from error
        return made

    def why(self) -> OSError:
        """Say how the other side ended."""
        return self._failed(self.failure or ConnectionResetError(errno.ECONNRESET, "closed the connection"))

    def _failed(self, error: OSError) -> OSError:
        early = self._encrypted and time.monotonic() - self.opened_at < REFUSED_S and not self.received
        hint = ""
        if early and not isinstance(error, ssl.SSLError):
            hint = " right after the TLS handshake: does it refuse our certificate, or want one?"
        return OSError(error.errno, f"{self.address}: {said(error)}{hint}")

    async def write(self, data: bytes) -> None:
        """Give all of it to the kernel. Raises `OSError`."""
        if self.ended.is_set():
            raise self.why()
        try:
            async with asyncio.timeout(ANSWER_S):
                if self._tls is None:
                    await asyncio.get_running_loop().sock_sendall(self._socket, data)
                else:
                    self._tls.write(data)
                    await self._flush()
        except TimeoutError:
            raise TimeoutError(f"{self.address} has taken nothing for {ANSWER_S:.0f} s") from None
        except OSError as error:
            with suppress(TimeoutError):  # the read side knows better why
                async with asyncio.timeout(WORD_S):
                    await self.ended.wait()
            raise (self.why() if self.failure else self._failed(error)) from error

    async def finish(self) -> None:
        """End our side and wait until the other side, having read everything, ends too. Raises `OSError`.

        A process closes only after it has read to the end; if it dies before, its kernel answers with a reset.
        """
        try:
            async with asyncio.timeout(ANSWER_S):
                if self._tls is not None:
                    with suppress(ssl.SSLWantReadError):
                        self._tls.unwrap()  # our close_notify; the other side's is for `_read_on` to find
                    await self._flush()
                self._socket.shutdown(socket.SHUT_WR)
                await self.ended.wait()
        except TimeoutError:
            raise TimeoutError(f"{self.address} has not taken a batch within {ANSWER_S:.0f} s") from None
        except OSError as error:
            raise (self.why() if self.failure else self._failed(error)) from error
        if self.failure is not None:
            raise self.why()

    async def more(self) -> None:
        """Wait until there is more in `received` than now. Raises `OSError` when the other side ends before."""
        size = len(self.received)
        while len(self.received) <= size:
            if self.ended.is_set():
                raise self.why()
            self._news.clear()
            await self._news.wait()

    async def close(self) -> None:
        """Let go of it at once."""
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.wait([self._watch])
        self._socket.close()

    # ── TLS over memory ───────────────────────────────────────────────────────────────────────────────────────

    async def _handshake(self, security: Security) -> None:
        context = await asyncio.to_thread(security.context)
        name = security.server_name or self.address.host
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=name)
        while True:
            self._news.clear()
            try:
                self._tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                await self._flush()
                if self.ended.is_set():
                    raise self.failure or ConnectionResetError(errno.ECONNRESET, "closed during the TLS handshake") \
                        from None  # fmt: skip
                await self._news.wait()
            except ssl.SSLError:
                with suppress(OSError):
                    await self._flush()  # the alert that tells the other side why
                raise
        await self._flush()
        self._secure = True
        security.check(self._tls.getpeercert(binary_form=True))
        self._decrypt()

    async def _flush(self) -> None:
        if self._outgoing.pending:
            await asyncio.get_running_loop().sock_sendall(self._socket, self._outgoing.read())

    def _decrypt(self) -> None:
        """Take what came in through TLS: data, session tickets, alerts, the end."""
        assert self._tls is not None
        try:
            while data := self._tls.read(READ):
                self.received += data
            self._end(None)
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLZeroReturnError:  # close_notify
            self._end(None)
        except ssl.SSLError as error:
            self._end(error)

    # ── The read side ─────────────────────────────────────────────────────────────────────────────────────────

    async def _read_on(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while data := await loop.sock_recv(self._socket, READ):
                if not self._encrypted:
                    self.received += data
                else:
                    self._incoming.write(data)
                    if self._secure:
                        self._decrypt()
                self._news.set()
            self._end(None)
        except OSError as error:
            self._end(error)

    def _end(self, failure: OSError | None) -> None:
        if not self.ended.is_set():
            self.failure = failure
        self.ended.set()
        self._news.set()


async def _connect(address: Address) -> socket.socket:
    """Try every address of the host, in the resolver's order."""
    loop = asyncio.get_running_loop()
    failure: OSError = OSError(errno.EHOSTUNREACH, "no address")
    for family, kind, protocol, _, where in await loop.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM):
        opened = socket.socket(family, kind, protocol)
        try:
            opened.setblocking(False)
            await loop.sock_connect(opened, where)
        except OSError as error:
            opened.close()
            failure = error
            continue
        except asyncio.CancelledError:
            opened.close()
            raise
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for name, value in (*KEEPALIVE.items(), ("TCP_USER_TIMEOUT", int(ANSWER_S * 1000))):
            if hasattr(socket, name):
                opened.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
        return opened
    raise failure
