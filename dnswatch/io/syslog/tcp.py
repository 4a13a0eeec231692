"""Syslog over TCP (RFC 6587), confirmed by closing: one connection for each batch.

TCP alone confirms nothing: up to 2,839 of 16,000 messages were lost by senders that trusted their writes. So we end our
side and wait for the receiver's end, which a process sends only after it has read everything (delivery.md §1.3: nothing
lost with any receiver and any death). A load balancer that ends TCP itself confirms for itself only. Never: keeps a
connection. Read next: ``tls.py``.
"""

from __future__ import annotations

from collections.abc import Sequence

from dnswatch.io.deliver import Acknowledgement
from dnswatch.io.syslog.address import Address
from dnswatch.io.syslog.stream import Stream
from dnswatch.io.syslog.transport import Options


class Tcp:
    """The way to a receiver over plain TCP."""

    acknowledgement: Acknowledgement = "received"
    confirmed_by = "the receiver's end after ours"
    hold_s = 0.0
    cut = 0

    def __init__(self, address: Address, options: Options) -> None:
        self._address = address
        self._frame = options.frame

    async def reach(self) -> None:
        await (await Stream.open(self._address)).close()

    async def send(self, messages: Sequence[bytes]) -> None:
        stream = await Stream.open(self._address)
        try:
            await stream.write(b"".join(map(self._frame, messages)))
            await stream.finish()
        finally:
            await stream.close()

    async def lost(self) -> None:
        raise NotImplementedError("nothing is held: a batch is confirmed or it failed")

    async def close(self) -> None:
        return
