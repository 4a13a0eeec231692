"""What has arrived and was not handed on yet: whole lines or frames, by sender, in the order of arrival.

Never: drops. Whoever fills it stops receiving while it is `full`; then the sender waits (TCP, unix) or the kernel drops
and counts (UDP). Read next: ``way.py``.
"""

from __future__ import annotations

import asyncio
from collections import deque

MOST = 2 << 20
"""Bytes: some 10 000 lines, a fraction of a second's work."""
BLOCK = 256 << 10
"""As a block of a file (``tail.py``)."""


class Inbox:
    """A bounded queue of bytes with their senders."""

    def __init__(self) -> None:
        self.size = 0
        self._waiting: deque[tuple[str, bytearray]] = deque()
        self._some = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()

    @property
    def full(self) -> bool:
        """Whether nothing more is to be received for now."""
        return self.size >= MOST

    def put(self, sender: str, data: bytes) -> None:
        """Add whole lines (or frames) of a sender."""
        if not data:
            return
        last = self._waiting[-1] if self._waiting else None
        if last is not None and last[0] == sender and len(last[1]) + len(data) <= BLOCK:
            last[1].extend(data)
        else:
            self._waiting.append((sender, bytearray(data)))
        self.size += len(data)
        self._some.set()
        if self.full:
            self._room.clear()

    async def room(self) -> None:
        """Wait until something more may be received."""
        await self._room.wait()

    async def take(self) -> tuple[str, bytes]:
        """Wait for something and give it."""
        await self._some.wait()
        sender, data = self._waiting.popleft()
        self.size -= len(data)
        if not self._waiting:
            self._some.clear()
        if self.size <= MOST // 2:
            self._room.set()
        return sender, bytes(data)
