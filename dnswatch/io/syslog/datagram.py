"""What UDP and the local socket share: a connected datagram socket, and messages that must fit into one datagram.

Never: waits for an answer; there is none. Read next: ``udp.py``.
"""

from __future__ import annotations

import asyncio
import errno
import socket
from abc import ABC, abstractmethod

from dnswatch.io.syslog.address import Address
from dnswatch.io.syslog.security import said

MOST = 65_507
"""Largest UDP payload over IPv4; longer ones are cut, for an unsendable message would block the queue for ever."""
SHORT = 8192  # what any receiver takes: rsyslog's default maxMessageSize


class Datagrams(ABC):
    """A connected datagram socket: errors of the other side come back to us."""

    hold_s = 0.0

    def __init__(self, address: Address) -> None:
        self.address = address
        self.cut = 0
        self._opened: socket.socket | None = None

    @abstractmethod
    async def open(self) -> socket.socket:
        """Open and connect the socket."""

    async def opened(self) -> socket.socket:
        """Give the socket, opened if need be."""
        if self._opened is None:
            self._opened = await self.open()
        return self._opened

    async def reach(self) -> None:
        await self.opened()

    async def send_one(self, opened: socket.socket, message: bytes) -> None:
        """Send one message, cut where it must be."""
        loop = asyncio.get_running_loop()
        data = message[:MOST]
        self.cut += len(data) < len(message)
        try:
            await loop.sock_sendall(opened, data)
        except OSError as error:
            if error.errno != errno.EMSGSIZE:
                raise OSError(error.errno, f"cannot send to {self.address}: {said(error)}") from error
            self.cut += 1
            await loop.sock_sendall(opened, data[:SHORT])

    async def lost(self) -> None:
        raise NotImplementedError("nothing is held: what is sent is gone")

    async def close(self) -> None:
        if self._opened is not None:
            self._opened.close()
            self._opened = None


def pending_error(opened: socket.socket) -> int:
    """Take the pending error of a socket: for UDP, the ICMP answer to an earlier datagram."""
    return opened.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
