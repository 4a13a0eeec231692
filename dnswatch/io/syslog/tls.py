"""Syslog over TLS (RFC 5425, RFC 9662): each batch on a connection that is closed in order, and held afterwards.

The receiver's close_notify, or its bare end (rsyslog's gtls driver sends no close_notify), says that it has read, not
that it has stored: one that was frozen and then killed lost 42 to 292 of 16,000 in spite of it (delivery.md §1.3). So
what was handed over is held for ``hold_s`` and sent again if the receiver dies meanwhile. A second connection, opened
before the first is closed and used for the next batch, is what shows its death. Never: sends before the receiver had
time to refuse our certificate, which in TLS 1.3 comes after the handshake. Read next: ``relp.py``.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

from dnswatch.io.deliver import Acknowledgement
from dnswatch.io.syslog.address import Address
from dnswatch.io.syslog.stream import Stream
from dnswatch.io.syslog.transport import Options

PROBATION_S = 0.2
"""A connection this old has not been refused: two to six messages were lost to one that was (delivery.md §1.3)."""


class Tls:
    """The way to a receiver over TLS."""

    acknowledgement: Acknowledgement = "hold"
    confirmed_by = "the receiver's end after ours, and that it lived on"
    cut = 0

    def __init__(self, address: Address, options: Options) -> None:
        self.hold_s = options.hold_s
        self._address = address
        self._security = options.security
        self._frame = options.frame
        self._next: Stream | None = None  # for the next batch; until then it watches the receiver
        self._held_until = 0.0

    async def reach(self) -> None:
        if self._next is not None and self._next.ended.is_set():
            ended, self._next = self._next, None
            await ended.close()
            if time.monotonic() < self._held_until:
                raise ended.why()
        if self._next is None:
            self._next = await Stream.open(self._address, self._security)
        try:
            async with asyncio.timeout(max(0.0, self._next.opened_at + PROBATION_S - time.monotonic())):
                await self._next.ended.wait()
        except TimeoutError:
            return
        why = self._next.why()
        await self.close()
        raise why

    async def send(self, messages: Sequence[bytes]) -> None:
        await self.reach()
        assert self._next is not None
        stream, self._next = self._next, None
        try:
            await stream.write(b"".join(map(self._frame, messages)))
            self._next = await Stream.open(self._address, self._security)
            await stream.finish()
        finally:
            await stream.close()
        self._held_until = time.monotonic() + self.hold_s

    async def lost(self) -> None:
        if self._next is not None:
            await self._next.ended.wait()
            raise self._next.why()

    async def close(self) -> None:
        self._held_until = 0.0  # whoever closes us sends again what is not confirmed
        if self._next is not None:
            await self._next.close()
            self._next = None
