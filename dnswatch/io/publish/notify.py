"""NOTIFY (RFC 1996): tells consumers that a zone has a new version, so that they fetch it now and not at their refresh.

One request for each consumer, zone and key: BIND gives a NOTIFY to the view that its key opens (research rpz.md §3).
Sent from the address that serves the zones, for resolvers take it from a configured primary only. Never: matters for
correctness; who misses it polls. Read next: ``io/primary.py``.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any

from dnswatch.core.feeds import tsig, wire
from dnswatch.core.feeds.request import Malformed, trailing_tsig
from dnswatch.core.feeds.tsig import Key, Signer
from dnswatch.core.model import Name

WAITS_S = (1.0, 2.0, 4.0)
"""How long to wait for a reply before each next try (rpz.md §2.3)."""
APART_S = 1.0
"""Two NOTIFYs of one zone to one consumer are at least this far apart: what comes in between is told once."""
AGAIN_S = 60.0
"""Who did not take a NOTIFY is told again after this long: it may just have been starting."""
_NOTIFY = 4 << 11 | wire.AA
_REFUSED = {
    5: "REFUSED: it does not take NOTIFY from our address (BIND: primaries or allow-notify; Unbound: primary)",
    9: "NOTAUTH: it is not configured as a secondary of this zone, or does not know the key",
    4: "NOTIMP: it does not understand NOTIFY; set notify: false",
}

log = logging.getLogger("dnswatch")


@dataclass(frozen=True, slots=True)
class Target:
    """Whom to tell of which zone, signed with which key, from which address of ours."""

    consumer: str
    address: str
    port: int
    zone: Name
    key: Key | None = None
    source: str = ""  # "" = as the system chooses


@dataclass(slots=True)
class Told:
    """What became of the last NOTIFY to a target."""

    serial: int = 0  # that the consumer has acknowledged
    at: float = 0.0  # when
    error: str = ""  # why it has not acknowledged the newest


class Notifier:
    """Sends NOTIFY in the background; one request in flight for each target."""

    def __init__(self) -> None:
        self.told: dict[Target, Told] = {}
        self.sent = 0  # packets
        self._wanted: dict[Target, int] = {}
        self._tasks: dict[Target, asyncio.Task[None]] = {}
        self._newer: dict[Target, asyncio.Event] = {}  # set when what is being told is old

    def tell(self, targets: Iterable[Target], serial: int) -> None:
        """Tell the targets of a new serial; one that is being told of an older one hears of this one instead."""
        for target in targets:
            self._wanted[target] = serial
            if target not in self._tasks:
                self._newer[target] = asyncio.Event()
                self._tasks[target] = asyncio.create_task(self._work(target))
            self._newer[target].set()

    async def forget(self, keep: Iterable[Target] = ()) -> None:
        """Stop telling everybody but ``keep``, and forget what became of it."""
        gone = self.told.keys() | self._tasks.keys()
        gone -= set(keep)
        tasks = [self._tasks[target] for target in gone if target in self._tasks]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        for target in gone:
            for known in (self.told, self._wanted, self._tasks, self._newer):  # a task may end before it has begun
                known.pop(target, None)

    async def _work(self, target: Target) -> None:
        try:
            while (serial := self._wanted.pop(target, None)) is not None:
                self._newer[target].clear()
                error = await self._tell(target, serial)
                self._note(target, serial, error)
                await asyncio.sleep(APART_S)
                if error:
                    # Not wait_for: before Python 3.12 it loses a cancellation that comes with the event.
                    with suppress(TimeoutError):
                        async with asyncio.timeout(AGAIN_S):
                            await self._newer[target].wait()
                    self._wanted.setdefault(target, serial)
        finally:
            self._tasks.pop(target, None)
            self._newer.pop(target, None)

    def _note(self, target: Target, serial: int, error: str | None) -> None:
        if error is None:  # a newer serial came in between, and is told next
            return
        told = self.told.setdefault(target, Told())
        before = {one.error for other, one in self.told.items() if other.consumer == target.consumer}
        told.error = error
        if not error:
            told.serial, told.at = serial, time.time()
        elif error not in before:  # once for a consumer, not once for each of its zones
            log.warning("notify %s (%s port %d) of %s: %s; it learns of changes at its next refresh",
                        target.consumer, target.address, target.port, target.zone, error)  # fmt: skip

    async def _tell(self, target: Target, serial: int) -> str | None:
        """Send until a reply comes. "" = acknowledged; None: a newer serial is wanted; else what went wrong."""
        loop = asyncio.get_running_loop()
        id_ = secrets.randbits(16)
        reply: asyncio.Future[bytes] = loop.create_future()
        try:
            transport, _ = await loop.create_datagram_endpoint(
                lambda: _Listener(id_, reply), local_addr=_local(target), remote_addr=(target.address, target.port)
            )
        except OSError as error:
            return f"cannot send: {error.strerror or error}"
        newer = asyncio.create_task(self._newer[target].wait())
        either: set[asyncio.Future[Any]] = {reply, newer}
        try:
            packet = wire.message(id_, _NOTIFY, wire.question(target.zone, wire.SOA), [wire.soa(serial)])
            for wait_s in WAITS_S:
                signer = Signer(target.key) if target.key else None
                transport.sendto(signer.sign(packet, time.time()) if signer else packet)
                self.sent += 1
                await asyncio.wait(either, timeout=wait_s, return_when=asyncio.FIRST_COMPLETED)
                if reply.done():
                    return _judge(reply.result(), signer)
                if newer.done():
                    return None
            return f"no reply in {sum(WAITS_S):.0f} s"
        finally:
            newer.cancel()
            transport.close()


def _local(target: Target) -> tuple[str, int] | None:
    """Give the address to send from, where it is one of the consumer's family."""
    if not target.source:
        return None
    source = ip_address(target.source)
    return (target.source, 0) if source.version == ip_address(target.address).version else None


def _judge(answer: bytes, signer: Signer | None) -> str:
    """Say what is wrong with a reply; any reply ends the sending."""
    rcode = answer[3] & 15
    if rcode:
        return _REFUSED.get(rcode, f"it answered with rcode {rcode}")
    if signer is None:
        return ""
    try:
        record = trailing_tsig(answer)
    except Malformed:
        return "its reply cannot be read"
    if record is None or not tsig.genuine_reply(answer, record, signer.key, signer.mac):
        return "its reply is not signed with the key"
    return ""


class _Listener(asyncio.DatagramProtocol):
    """Waits for the reply with our id; the socket is connected, so it comes from the consumer."""

    def __init__(self, id_: int, reply: asyncio.Future[bytes]) -> None:
        self._id = id_
        self._reply = reply

    def datagram_received(self, data: bytes, addr: tuple[Any, ...]) -> None:
        """Take the reply."""
        ours = len(data) >= 12 and int.from_bytes(data[:2]) == self._id and data[2] & 0x80
        if ours and not self._reply.done():
            self._reply.set_result(data)

    def error_received(self, exc: Exception) -> None:
        """Nobody listens there now; the next try may find somebody."""
