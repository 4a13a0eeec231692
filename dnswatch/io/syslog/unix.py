"""Syslog to the local socket, ``/dev/log``: one datagram each, into the queue of a process on this host.

The kernel makes the sender wait while that queue is full, so nothing is lost on the way; what the process does with it,
it does not say. Never: RFC 5424, which rsyslog's imuxsock reads wrongly (delivery.md §1.1; ``io/sinks/syslog.py`` sees
to that). Read next: ``stream.py``.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence

from dnswatch.io.deliver import Acknowledgement
from dnswatch.io.syslog.address import Address
from dnswatch.io.syslog.datagram import Datagrams
from dnswatch.io.syslog.security import said
from dnswatch.io.syslog.stream import ANSWER_S
from dnswatch.io.syslog.transport import Options


class Unix(Datagrams):
    """The way to the local syslog daemon."""

    acknowledgement: Acknowledgement = "none"
    confirmed_by = "nobody: the local socket took it"

    def __init__(self, address: Address, options: Options) -> None:
        super().__init__(address)

    async def open(self) -> socket.socket:
        local = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        local.setblocking(False)
        try:
            await asyncio.get_running_loop().sock_connect(local, self.address.path)
        except OSError as error:
            local.close()
            raise OSError(error.errno, f"cannot connect to {self.address}: {said(error)}") from error
        return local

    async def send(self, messages: Sequence[bytes]) -> None:
        opened = await self.opened()
        try:
            for message in messages:
                async with asyncio.timeout(ANSWER_S):
                    await self.send_one(opened, message)
        except TimeoutError:
            raise TimeoutError(f"{self.address} has taken nothing for {ANSWER_S:.0f} s") from None
