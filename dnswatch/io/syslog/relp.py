"""RELP, the reliable event logging protocol of rsyslog, plain or over TLS: the receiver answers every message.

``TXNR SP COMMAND SP DATALEN [SP DATA] LF``; a session begins with ``open`` and its offers, messages are ``syslog``,
answers ``rsp``. Up to `WINDOW` messages are on their way unanswered: with one at a time, each costs 44 ms (delivery.md
§1.2). An answer means that the receiver has queued the message, not that it is on disk. Never: keeps a message once it
is answered. Grammar: doc/relp.html of librelp. Read next: ``stream.py``.
"""

from __future__ import annotations

import asyncio
import errno
import re
from collections.abc import Sequence
from contextlib import suppress

from dnswatch import __version__
from dnswatch.io.deliver import Acknowledgement, Refused
from dnswatch.io.syslog.address import Address
from dnswatch.io.syslog.stream import ANSWER_S, CONNECT_S, Stream
from dnswatch.io.syslog.transport import Options

WINDOW = 128
"""Unanswered messages: 64 gave 72,000 messages/s, 256 102,000 (delivery.md §1.2); librelp's own default is 128."""
LAST_NUMBER = 999_999_999
OFFERS = f"relp_version=0\nrelp_software=dnswatch,{__version__}\ncommands=syslog".encode("ascii")
HEADER = re.compile(rb"(?P<number>\d{1,9}) (?P<command>[A-Za-z]{1,32}) (?P<size>\d{1,9})(?P<end>[ \n])")
LONGEST_HEADER = 54  # what `HEADER` can match; more without a match is something else
CLOSE_S = 1.0


class Relp:
    """The way to a RELP receiver."""

    acknowledgement: Acknowledgement = "received"
    confirmed_by = "a RELP answer to every message"
    hold_s = 0.0
    cut = 0

    def __init__(self, address: Address, options: Options) -> None:
        self._address = address
        self._security = options.security if address.scheme == "relp+tls" else None
        self._stream: Stream | None = None
        self._number = 0

    async def reach(self) -> None:
        """Open a session unless there is one."""
        if self._stream is not None and (self._stream.ended.is_set() or self._stream.received):
            await self.close()  # it ended, or says unasked that it will (serverclose)
        if self._stream is not None:
            return
        stream = await Stream.open(self._address, self._security)
        try:
            self._number = 0
            async with asyncio.timeout(CONNECT_S):
                number = self._next_number()
                await stream.write(_frame(number, b"open", OFFERS))
                answer = await _answer(stream)
        except TimeoutError:
            await stream.close()
            raise TimeoutError(f"{self._address} does not open a RELP session within {CONNECT_S:.0f} s") from None
        except (OSError, asyncio.CancelledError):
            await stream.close()
            raise
        if answer[:2] != (number, b"rsp") or not answer[2].startswith(b"200"):
            await stream.close()
            raise ConnectionError(errno.EPROTO, f"{self._address} refuses the RELP session: {_text(answer[2])}")
        self._stream = stream

    async def send(self, messages: Sequence[bytes]) -> None:
        await self.reach()
        waiting: set[int] = set()  # numbers of what is not answered
        refused: list[str] = []
        sent = 0
        while sent < len(messages) or waiting:
            frames = []
            while sent < len(messages) and len(waiting) < WINDOW:
                number = self._next_number()
                waiting.add(number)
                frames.append(_frame(number, b"syslog", messages[sent]))
                sent += 1
            await self._exchange(b"".join(frames), waiting, refused)
        if refused:
            raise Refused(f"{self._address} refuses a message: {refused[0]}")

    async def _exchange(self, data: bytes, waiting: set[int], refused: list[str]) -> None:
        """Write, then take every answer that is there, at least one."""
        stream = self._stream
        assert stream is not None
        if data:
            await stream.write(data)
        try:
            async with asyncio.timeout(ANSWER_S):
                number, command, said = await _answer(stream)
        except TimeoutError:
            raise TimeoutError(f"{self._address} has not answered for {ANSWER_S:.0f} s") from None
        while True:
            if command == b"serverclose":
                raise ConnectionResetError(errno.ECONNRESET, f"{self._address} closed the RELP session")
            if command != b"rsp" or number not in waiting:
                raise ConnectionError(errno.EPROTO, f"{self._address} does not speak RELP as expected")
            waiting.discard(number)
            if not said.startswith(b"200"):
                refused.append(_text(said))
            found = _take(stream.received, self._address)
            if found is None:
                return
            number, command, said = found

    async def lost(self) -> None:
        raise NotImplementedError("nothing is held: every message was answered")

    async def close(self) -> None:
        stream, self._stream = self._stream, None
        if stream is None:
            return
        if not stream.ended.is_set():
            with suppress(OSError, TimeoutError):
                async with asyncio.timeout(CLOSE_S):
                    await stream.write(_frame(self._next_number(), b"close", b""))
        await stream.close()

    def _next_number(self) -> int:
        self._number = self._number % LAST_NUMBER + 1
        return self._number


def _frame(number: int, command: bytes, data: bytes) -> bytes:
    return b"%d %s %d%s%s\n" % (number, command, len(data), b" " if data else b"", data)


async def _answer(stream: Stream) -> tuple[int, bytes, bytes]:
    """Wait for one whole frame of the receiver: number, command, data."""
    found = _take(stream.received, stream.address)
    while found is None:
        await stream.more()
        found = _take(stream.received, stream.address)
    return found


def _take(received: bytearray, address: Address) -> tuple[int, bytes, bytes] | None:
    """Take one whole frame from the front; None: not there yet. Raises `OSError` when it is none."""
    found = HEADER.match(received)
    if found is None:
        if len(received) < LONGEST_HEADER:
            return None
        raise ConnectionError(errno.EPROTO, f"{address} does not speak RELP")
    size = int(found["size"])
    begin = found.end() - (found["end"] == b"\n")  # without data the LF follows at once
    if len(received) < begin + size + 1:
        return None
    frame = int(found["number"]), bytes(found["command"]), bytes(received[begin : begin + size])
    del found, received[: begin + size + 1]
    return frame


def _text(said: bytes) -> str:
    return said.decode("utf-8", "replace").splitlines()[0][:200] if said.strip() else "without a reason"
