"""Syslog receivers for tests: over TCP or TLS they keep everything, over RELP they answer as they are told."""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager


@asynccontextmanager
async def tcp_receiver(port: int = 0, security: ssl.SSLContext | None = None) -> AsyncIterator[tuple[int, bytearray]]:
    """A server that keeps everything; gives its port and what it has."""
    seen = bytearray()
    open_ones: set[asyncio.StreamWriter] = set()

    async def keep(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        open_ones.add(writer)
        try:
            while data := await reader.read(65536):
                seen.extend(data)
        except OSError:
            pass
        finally:
            open_ones.discard(writer)
            writer.close()

    server = await asyncio.start_server(keep, "127.0.0.1", port, ssl=security)
    try:
        yield server.sockets[0].getsockname()[1], seen
    finally:
        server.close()
        for one in open_ones:
            one.transport.abort()
        await asyncio.sleep(0)


def unframe(data: bytes) -> list[bytes]:
    """Undo octet counting (RFC 6587 §3.4.1)."""
    messages = []
    while data:
        length, _, rest = data.partition(b" ")
        messages.append(rest[: int(length)])
        data = rest[int(length) :]
    return messages


async def until(true: Callable[[], bool]) -> None:
    """Wait for something that is about to happen."""
    async with asyncio.timeout(60):
        while not true():  # noqa: ASYNC110 (the other side has no event to wait for)
            await asyncio.sleep(0.005)


class RelpReceiver:
    """A RELP server: keeps messages, answers each with what ``answer`` says of it (``b""``: not at all)."""

    def __init__(self) -> None:
        self.messages: list[bytes] = []
        self.commands: list[bytes] = []
        self.answer: Callable[[bytes], bytes] = lambda message: b"200 OK"
        self.hello = b"200 OK\nrelp_version=0\nrelp_software=test\ncommands=syslog"
        self.most_unanswered = 0
        self.writers: list[asyncio.StreamWriter] = []
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one client."""
        self.writers.append(writer)
        data = b""
        try:
            while more := await reader.read(65536):
                data += more
                answers: list[bytes] = []
                data = self._take(data, answers)
                self.most_unanswered = max(self.most_unanswered, len(answers))
                for one in answers:  # one octet at a time: a client must not rely on whole frames
                    writer.write(one[:3])
                    await writer.drain()
                    writer.write(one[3:])
        except OSError:
            pass
        writer.close()

    def _take(self, data: bytes, answers: list[bytes]) -> bytes:
        while found := re.match(rb"(\d+) (\w+) (\d+)([ \n])", data):
            number, command, size = found[1], found[2], int(found[3])
            begin = found.end() - (found[4] == b"\n")
            if len(data) < begin + size + 1:
                break
            body = data[begin : begin + size]
            assert data[begin + size : begin + size + 1] == b"\n"
            data = data[begin + size + 1 :]
            self.commands.append(command)
            said = self.hello if command == b"open" else b"200 OK"
            if command == b"syslog":
                self.messages.append(body)
                said = self.answer(body)
            if said:
                answers.append(b"%s rsp %d %s\n" % (number, len(said), said))
        return data


@asynccontextmanager
async def relp_receiver(port: int = 0, security: ssl.SSLContext | None = None) -> AsyncIterator[RelpReceiver]:
    """A RELP server on a free port."""
    made = RelpReceiver()
    server = await asyncio.start_server(made.serve, "127.0.0.1", port, ssl=security)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()
        for one in made.writers:
            one.transport.abort()
        await asyncio.sleep(0)
