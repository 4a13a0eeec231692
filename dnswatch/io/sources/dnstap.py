"""dnstap from running servers: Frame Streams over a unix socket or TCP, with the handshake of both directions.

Servers (BIND and Unbound) connect to us, and try again while nobody listens. What they tell meanwhile, or faster than
we read, they drop by themselves: their queues are short, and nothing of it is told to us. What was received but not
checkpointed when the process was killed is lost, too. Never: decodes what is in the frames. Read next:
``core/dnstap/frames.py``, ``../listener.py``.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping
from typing import Any

from dnswatch.config.model import Source
from dnswatch.config.ways import split_door
from dnswatch.core.dnstap.frames import Conversation
from dnswatch.core.model import Position
from dnswatch.io.inbox import Inbox
from dnswatch.io.listener import Listener, Senders, read
from dnswatch.io.way import UNREAD, Consume, Stream

UNFINISHED_S = 60.0
"""A handshake or a frame that is not whole after this long never will be."""
FRAME = 200
"""Octets of a usual frame, to estimate how many there were."""
BROKE_OFF = "connection ended without STOP: messages on their way, if any"


class DnstapReceiver(Stream):
    """Listens at one place."""

    def __init__(self, settings: Source, resume: Position | None) -> None:
        super().__init__(settings.id, resume)
        assert settings.listen is not None
        self._inbox = Inbox()
        self._octets: Counter[str] = Counter()  # of frames, by sender
        self._listener = Listener(split_door(settings.listen), Senders(settings.senders), self._serve)

    @property
    def lag(self) -> int:
        """See `Way`."""
        return self._inbox.size

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return self._listener.port

    def row(self) -> dict[str, Any]:
        """Give what the status page shows besides."""
        refused = self._listener.refused
        return {"connections": self._listener.connections, "refused": dict(sorted(refused.items())),
                "refused_count": refused.total()}  # fmt: skip

    @property
    def heard(self) -> Mapping[str, float]:
        """See `Stream`."""
        return {sender: octets / FRAME for sender, octets in self._octets.items()}

    async def run(self, consume: Consume) -> None:
        """See `Way`."""
        async with self._listener:
            await self.hand(consume, b"", at_end=True)
            try:
                while True:
                    sender, data = await self._inbox.take()
                    name = f"{self.source_id} {sender}" if sender else ""
                    await self.hand(consume, data, at_end=not self._inbox.size, sender=name)
            finally:
                if self._inbox.size:
                    self.lose(UNREAD)

    async def _serve(self, sender: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Take one connection's frames; the server waits, and drops, while the inbox is full."""
        talk = Conversation()
        self.generations["connected"] += 1
        while not (talk.problem or talk.ended):
            limit_s = UNFINISHED_S if talk.unfinished or not talk.started else None
            try:
                data = await read(reader, limit_s)
            except TimeoutError:
                talk.problem = "unfinished frame"
                break
            if not data:
                break
            self._listener.heard(writer)
            frames, reply = talk.feed(data)
            if sender and frames:
                self._octets[sender] += len(frames)
            self._inbox.put(sender, frames)
            if reply:
                writer.write(reply)
                await writer.drain()
            await self._inbox.room()
        if talk.problem:
            self._listener.refused["not dnstap" if not talk.started else "damaged frame stream"] += 1
        if talk.started and not talk.ended:
            self.lose(BROKE_OFF)
        elif talk.ended:
            writer.close()  # what we answered must reach it first
            await writer.wait_closed()
