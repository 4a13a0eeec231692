"""Syslog over UDP (RFC 5426): one datagram each, paced; nobody confirms anything.

Never: promises. A near host without a receiver answers "port unreachable", which is all that a sender can learn. Read
next: ``unix.py``, which shares the sending.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Sequence

from dnswatch.io.deliver import Acknowledgement
from dnswatch.io.syslog.address import Address
from dnswatch.io.syslog.datagram import Datagrams, pending_error
from dnswatch.io.syslog.security import said
from dnswatch.io.syslog.transport import Options

ICMP_S = 0.02
"""Wait this long for "port unreachable" after a batch: UDP's only word, given by a near host without a receiver."""
NAP_S = 0.01
"""Pacing sleeps at least this long, and sends in small bursts: timers of a loaded host are not finer."""


class Udp(Datagrams):
    """The way to a receiver over UDP, at most ``udp_per_s`` messages a second."""

    acknowledgement: Acknowledgement = "none"
    confirmed_by = "nobody: UDP has no answer"

    def __init__(self, address: Address, options: Options) -> None:
        super().__init__(address)
        self._per_s = options.udp_per_s

    async def open(self) -> socket.socket:
        loop = asyncio.get_running_loop()
        try:
            found = await loop.getaddrinfo(self.address.host, self.address.port, type=socket.SOCK_DGRAM)
            family, kind, protocol, _, where = found[0]
            opened = socket.socket(family, kind, protocol)
            try:
                opened.setblocking(False)
                await loop.sock_connect(opened, where)
            except (OSError, asyncio.CancelledError):
                opened.close()
                raise
        except OSError as error:
            raise OSError(error.errno, f"cannot reach {self.address}: {said(error)}") from error
        return opened

    async def send(self, messages: Sequence[bytes]) -> None:
        opened = await self.opened()
        pending_error(opened)  # forget what became of datagrams long ago
        owed_s = 0.0
        for message in messages:
            await self.send_one(opened, message)
            owed_s += 1 / self._per_s
            if owed_s >= NAP_S and len(messages) > 1:
                await asyncio.sleep(owed_s)
                owed_s = 0.0
        await asyncio.sleep(ICMP_S)
        if code := pending_error(opened):
            raise OSError(code, f"cannot send to {self.address}: {os.strerror(code)}")
