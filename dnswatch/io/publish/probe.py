"""One question to a resolver: is the zone that we published the one it answers from?

Over UDP, for a canary (``core/feeds/triggers.py``) or a zone's SOA: success of a publication is judged by asking,
because `rndc reload` and its kin report success when nothing was loaded (research rpz.md §4). Signed with a view's key,
a question is answered from that view of BIND. Never: follows a CNAME, asks for names that people use. Read next:
``io/canary.py``, ``cli/probe.py``.
"""

from __future__ import annotations

import asyncio
import secrets
import struct
import time

from dnslib import QTYPE, DNSError, DNSRecord

from dnswatch.core.feeds import tsig
from dnswatch.core.feeds.request import Malformed, trailing_tsig
from dnswatch.core.feeds.triggers import serial_of
from dnswatch.core.feeds.tsig import Key, Signer

TIMEOUT_S = 2.0
TRIES = 2
NXDOMAIN = 3
NOTAUTH = 9  # also what we call a reply that should be signed with our key and is not


class _Asker(asyncio.DatagramProtocol):
    """Wait for the reply to one request; everything else on the socket is noise."""

    def __init__(self, request: bytes) -> None:
        self._request = request
        self.reply: asyncio.Future[tuple[DNSRecord, bytes]] = asyncio.get_running_loop().create_future()

    def datagram_received(self, data: bytes, addr: object) -> None:
        if data[:2] != self._request[:2] or self.reply.done():
            return
        try:
            reply = DNSRecord.parse(data)
        except (DNSError, ValueError, IndexError, struct.error, RecursionError):  # dnslib on hostile input: rpz.md §1
            return
        if reply.header.qr:
            self.reply.set_result((reply, data))

    def error_received(self, exc: Exception) -> None:
        if not self.reply.done():
            self.reply.set_exception(exc)


async def ask(
    address: str, port: int, name: str, source: str = "", timeout_s: float = TIMEOUT_S, key: Key | None = None
) -> tuple[str, ...]:
    """Give the IPv4 addresses that the resolver answers for ``name``; none when it knows no such name.

    ``source`` is the local address to ask from: resolvers choose a zone by it, or by ``key``. Raises `OSError` when
    nobody answers (`TimeoutError` after two tries of ``timeout_s`` seconds).
    """
    _, reply = await _exchange(address, port, DNSRecord.question(name, "A"), source, timeout_s, key)
    return tuple(str(record.rdata) for record in reply.rr if record.rtype == QTYPE.A)


async def ask_version(
    address: str, port: int, name: str, source: str = "", timeout_s: float = TIMEOUT_S, key: Key | None = None
) -> int | None:
    """Give the serial of the zone that answers for the stable canary ``name``, None where none does; as `ask`."""
    _, reply = await _exchange(address, port, DNSRecord.question(name, "AAAA"), source, timeout_s, key)
    found = (serial_of(str(record.rdata)) for record in reply.rr if record.rtype == QTYPE.AAAA)
    return next((serial for serial in found if serial is not None), None)


async def ask_serial(
    address: str, port: int, zone: str, source: str = "", timeout_s: float = TIMEOUT_S, key: Key | None = None
) -> tuple[int, int | None]:
    """Give the reply's rcode, and the serial of the zone's SOA where it says one; as `ask` otherwise."""
    question = DNSRecord.question(zone, "SOA")
    question.header.rd = 0  # the zone itself is asked, not whoever is said to have it
    rcode, reply = await _exchange(address, port, question, source, timeout_s, key)
    found = [record.rdata.times[0] for record in reply.rr if record.rtype == QTYPE.SOA]
    return rcode, int(found[0]) if found and rcode == 0 else None


async def denies(address: str, port: int, parent: str, source: str = "", timeout_s: float = TIMEOUT_S) -> bool:
    """Say whether the resolver itself denies what is below ``parent``; a name that nobody asked for yet is asked.

    Upstream denies names below ``.invalid`` too, with the SOA of who says so (RFC 2308 §2.1); a list has none to give.
    """
    question = DNSRecord.question(f"{secrets.token_hex(8)}.{parent}", "A")
    rcode, reply = await _exchange(address, port, question, source, timeout_s, None)
    return rcode == NXDOMAIN and not reply.auth


async def _exchange(
    address: str, port: int, question: DNSRecord, source: str, timeout_s: float, key: Key | None
) -> tuple[int, DNSRecord]:
    signer = Signer(key) if key else None
    request = bytes(question.pack())
    if signer is not None:
        request = signer.sign(request, time.time())
    local = (source, 0) if source else None
    transport, asker = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: _Asker(request), local_addr=local, remote_addr=(address, port)
    )
    try:
        for _ in range(TRIES):
            transport.sendto(request)
            done, _waiting = await asyncio.wait([asker.reply], timeout=timeout_s)
            if done:
                reply, data = asker.reply.result()
                if signer is not None and not _genuine(data, signer):
                    return NOTAUTH, DNSRecord()
                return int(reply.header.rcode), reply
        raise TimeoutError(f"{address} port {port} does not answer")
    finally:
        transport.close()


def _genuine(data: bytes, signer: Signer) -> bool:
    try:
        record = trailing_tsig(data)
    except Malformed:
        return False
    return record is not None and tsig.genuine_reply(data, record, signer.key, signer.mac)
