"""One question to a resolver: is the zone that we published the one it answers from?

Over UDP, for a canary (``core/feeds/triggers.py``): success of a publication is judged by asking, because `rndc reload`
and its kin report success when nothing was loaded (research rpz.md §4). Never: follows a CNAME, asks for names that
people use. Read next: ``cli/probe.py``.
"""

from __future__ import annotations

import asyncio
import struct

from dnslib import QTYPE, DNSError, DNSRecord

TIMEOUT_S = 2.0
TRIES = 2


class _Asker(asyncio.DatagramProtocol):
    """Wait for the reply to one request; everything else on the socket is noise."""

    def __init__(self, request: bytes) -> None:
        self._request = request
        self.reply: asyncio.Future[DNSRecord] = asyncio.get_running_loop().create_future()

    def datagram_received(self, data: bytes, addr: object) -> None:
        if data[:2] != self._request[:2] or self.reply.done():
            return
        try:
            reply = DNSRecord.parse(data)
        except (DNSError, ValueError, IndexError, struct.error, RecursionError):  # dnslib on hostile input: rpz.md §1
            return
        if reply.header.qr:
            self.reply.set_result(reply)

    def error_received(self, exc: Exception) -> None:
        if not self.reply.done():
            self.reply.set_exception(exc)


async def ask(address: str, port: int, name: str, source: str = "", timeout_s: float = TIMEOUT_S) -> tuple[str, ...]:
    """Give the IPv4 addresses that the resolver answers for ``name``; none when it knows no such name.

    ``source`` is the local address to ask from: resolvers choose a zone by it. Raises `OSError` when nobody answers
    (`TimeoutError` after two tries of ``timeout_s`` seconds).
    """
    request = DNSRecord.question(name, "A").pack()
    local = (source, 0) if source else None
    transport, asker = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: _Asker(request), local_addr=local, remote_addr=(address, port)
    )
    try:
        for _ in range(TRIES):
            transport.sendto(request)
            done, _waiting = await asyncio.wait([asker.reply], timeout=timeout_s)
            if done:
                reply = asker.reply.result()
                return tuple(str(record.rdata) for record in reply.rr if record.rtype == QTYPE.A)
        raise TimeoutError(f"{address} port {port} does not answer")
    finally:
        transport.close()
