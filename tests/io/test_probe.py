"""Asking a resolver: an answer, none, noise, silence."""

import socket
import threading
from collections.abc import Iterator

import pytest
from dnslib import RR, A, DNSRecord

from dnswatch.io.publish.probe import ask


class Resolver:
    """Answers what `replies` makes of each request."""

    def __init__(self) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.port: int = self.socket.getsockname()[1]
        self.names: list[str] = []
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            data, peer = self.socket.recvfrom(4096)
            if not data:
                return
            request = DNSRecord.parse(data)
            name = str(request.q.qname).removesuffix(".")
            self.names.append(name)
            if name == "silent.test":
                continue
            reply = request.reply()
            if name == "known.test":
                self.socket.sendto(b"\xff\xff" + data[2:], peer)  # of another question
                self.socket.sendto(data[:2] + b"\x81\x80" + b"\xc0\x0c" * 8, peer)  # no message
                reply.add_answer(RR("known.test", rdata=A("127.0.0.2")))
            self.socket.sendto(reply.pack(), peer)

    def close(self) -> None:
        self.socket.sendto(b"", ("127.0.0.1", self.port))
        self._thread.join()
        self.socket.close()


@pytest.fixture
def resolver() -> Iterator[Resolver]:
    one = Resolver()
    yield one
    one.close()


async def test_the_answer_among_noise(resolver: Resolver) -> None:
    """Replies to other questions and damaged ones are passed over."""
    assert await ask("127.0.0.1", resolver.port, "known.test", source="127.0.0.9") == ("127.0.0.2",)


async def test_no_such_name_is_no_address(resolver: Resolver) -> None:
    """A reply without an address is an answer too."""
    assert await ask("127.0.0.1", resolver.port, "unknown.test") == ()


async def test_silence_is_asked_twice(resolver: Resolver) -> None:
    """Then it is an error that names the resolver."""
    with pytest.raises(TimeoutError, match=str(resolver.port)):
        await ask("127.0.0.1", resolver.port, "silent.test", timeout_s=0.05)
    assert resolver.names == ["silent.test", "silent.test"]


async def test_a_closed_port_is_an_error_at_once() -> None:
    """The kernel says so: no waiting."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    with pytest.raises(ConnectionRefusedError):
        await ask("127.0.0.1", port, "known.test", timeout_s=5)
