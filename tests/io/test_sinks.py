"""Sinks over real files, pipes and sockets: everything arrives, in order, whole; a dead receiver is an OSError."""

import asyncio
import json
import os
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

from dnswatch.config.model import Sink as SinkConfig
from dnswatch.io.deliver import Delivery, Sink
from dnswatch.io.sinks import SINKS
from dnswatch.io.sinks.file import FileSink
from dnswatch.io.sinks.syslog import Address, SyslogSink, parse_address
from tests.io.making import alert


def batch(first: int, last: int) -> list[Delivery]:
    """Deliveries of alerts ``first`` … ``last``."""
    return [Delivery(number, alert(number)) for number in range(first, last + 1)]


def plain(delivery: Delivery) -> bytes:
    return b"<133>1 alert %d" % delivery.seq


def settings(**fields: Any) -> Any:
    """Read sink settings as the configuration does."""
    return TypeAdapter[Any](SinkConfig).validate_python(fields)


# ── Conformance: every registered sink ────────────────────────────────────────────────────────────────────────


@dataclass
class Receiver:
    """The other side of a sink: its settings, and what it has received so far, as one message each."""

    settings: dict[str, Any]
    received: Callable[[], list[bytes]]


@asynccontextmanager
async def file_receiver(tmp_path: Path, capfd: Any) -> AsyncIterator[Receiver]:
    path = tmp_path / "out" / "alerts.jsonl"
    yield Receiver({"type": "file", "path": str(path)}, lambda: path.read_bytes().splitlines())


@asynccontextmanager
async def stdout_receiver(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> AsyncIterator[Receiver]:
    with capfd.disabled():
        read, write = os.pipe()
        saved = os.dup(1)
        os.dup2(write, 1)
        seen = bytearray()
        os.set_blocking(read, False)

        def received() -> list[bytes]:
            while True:
                try:
                    seen.extend(os.read(read, 1 << 16))
                except BlockingIOError:
                    return bytes(seen).splitlines()

        try:
            yield Receiver({"type": "stdout", "format": "json"}, received)
        finally:
            os.dup2(saved, 1)
            for one in (read, write, saved):
                os.close(one)


@asynccontextmanager
async def syslog_receiver(tmp_path: Path, capfd: Any) -> AsyncIterator[Receiver]:
    async with tcp_receiver() as (port, seen):
        yield Receiver({"type": "syslog", "address": f"tcp://127.0.0.1:{port}"}, lambda: unframe(bytes(seen)))


RECEIVERS: dict[str, Any] = {"file": file_receiver, "stdout": stdout_receiver, "syslog": syslog_receiver}


def test_every_sink_has_a_receiver() -> None:
    """Registering a sink is what gets it tested."""
    assert list(SINKS) == sorted(SINKS)
    assert set(RECEIVERS) == set(SINKS)


@pytest.mark.parametrize("kind", SINKS)
async def test_batches_arrive_in_order_and_once(kind: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Two batches, a close in between: every alert arrives once, in order, one message each."""
    async with RECEIVERS[kind](tmp_path, capfd) as receiver:
        config = settings(**receiver.settings)
        sink: Sink = SINKS[kind](config, "ns1")
        await sink.send(batch(1, 3))
        await sink.close()
        await sink.send(batch(4, 40))
        await sink.close()
        await sink.close()
        await until(lambda: len(receiver.received()) >= 40)
        messages = receiver.received()
        assert len(messages) == 40
        for number, message in enumerate(messages, 1):
            assert alert(number).id.encode() in message
            assert b"ns1" in message
    assert config.id


async def until(true: Callable[[], bool]) -> None:
    """Wait for something that is about to happen."""
    async with asyncio.timeout(5):
        while not true():  # noqa: ASYNC110 (the other side has no event to wait for)
            await asyncio.sleep(0.005)


# ── File ──────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_file_follows_rotation(tmp_path: Path) -> None:
    """Renamed or removed between two batches, the file is made anew; nothing is lost."""
    path = tmp_path / "alerts.jsonl"
    sink = FileSink(path, plain)
    await sink.send(batch(1, 1))
    path.rename(tmp_path / "alerts.jsonl.1")
    await sink.send(batch(2, 2))
    path.unlink()
    await sink.send(batch(3, 4))
    await sink.close()
    assert (tmp_path / "alerts.jsonl.1").read_bytes() == b"<133>1 alert 1\n"
    assert path.read_bytes() == b"<133>1 alert 3\n<133>1 alert 4\n"
    assert path.stat().st_mode & 0o777 == 0o640


async def test_file_begins_a_line_after_a_crash(tmp_path: Path) -> None:
    """What a kill cut off in mid-line does not swallow the next alert."""
    path = tmp_path / "alerts.jsonl"
    path.write_bytes(b'{"id": "cut')
    sink = FileSink(path, plain)
    await sink.send(batch(1, 1))
    await sink.close()
    assert path.read_bytes() == b'{"id": "cut\n<133>1 alert 1\n'


async def test_file_that_cannot_be_written(tmp_path: Path) -> None:
    """A path that cannot be is an OSError with the path, and works once it can."""
    blocker = tmp_path / "dir"
    blocker.write_text("")
    sink = FileSink(blocker / "alerts.jsonl", plain)
    with pytest.raises(OSError, match=str(blocker)):
        await sink.send(batch(1, 1))
    blocker.unlink()
    await sink.send(batch(1, 1))
    await sink.close()
    assert (blocker / "alerts.jsonl").read_bytes() == b"<133>1 alert 1\n"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
async def test_file_on_a_full_device() -> None:
    """No space is an OSError that names the file."""
    sink = FileSink(Path("/dev/full"), plain)
    with pytest.raises(OSError, match="/dev/full"):
        await sink.send(batch(1, 1))
    await sink.close()


async def test_file_takes_back_what_did_not_fit(tmp_path: Path) -> None:
    """A batch that a limit cuts off leaves nothing behind, so that the next try makes no half line."""
    import resource
    import signal

    path = tmp_path / "alerts.jsonl"
    sink = FileSink(path, plain)
    await sink.send(batch(1, 1))
    before, handled = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (40, before[1]))
    try:
        with pytest.raises(OSError, match="large"):
            await sink.send(batch(2, 9))
        size = path.stat().st_size
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handled)
    assert size == len(b"<133>1 alert 1\n")
    await sink.send(batch(2, 3))
    await sink.close()
    assert path.read_bytes().count(b"\n") == 3


# ── Syslog ────────────────────────────────────────────────────────────────────────────────────────────────────


@asynccontextmanager
async def tcp_receiver(port: int = 0) -> AsyncIterator[tuple[int, bytearray]]:
    """A TCP server that keeps everything."""
    seen = bytearray()

    async def keep(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            seen.extend(data)
        writer.close()

    server = await asyncio.start_server(keep, "127.0.0.1", port)
    try:
        yield server.sockets[0].getsockname()[1], seen
    finally:
        server.close()
        server.close_clients() if hasattr(server, "close_clients") else None


def unframe(data: bytes) -> list[bytes]:
    """Undo octet counting (RFC 6587 §3.4.1)."""
    messages = []
    while data:
        length, _, rest = data.partition(b" ")
        messages.append(rest[: int(length)])
        data = rest[int(length) :]
    return messages


async def test_tcp_octet_counting_keeps_newlines() -> None:
    """With octet counting a message may hold anything."""
    async with tcp_receiver() as (port, seen):
        sink = SyslogSink([Address("tcp", "127.0.0.1", port)], lambda one: b"a\nb %d" % one.seq)
        await sink.send(batch(1, 2))
        await sink.close()
        await until(lambda: len(unframe(bytes(seen))) == 2)
        assert unframe(bytes(seen)) == [b"a\nb 1", b"a\nb 2"]


async def test_tcp_lf_framing_never_splits_a_message() -> None:
    """With LF framing newlines within a message become spaces."""
    async with tcp_receiver() as (port, seen):
        sink = SyslogSink([Address("tcp", "127.0.0.1", port)], lambda one: b"a\r\nb %d" % one.seq, framing="lf")
        await sink.send(batch(1, 2))
        await sink.close()
        await until(lambda: seen.count(b"\n") == 2)
        assert bytes(seen) == b"a  b 1\na  b 2\n"


async def test_tcp_dead_peer_is_noticed_before_the_next_write() -> None:
    """A receiver that closed is known before anything is written to it: the next batch goes to the new one, whole."""
    async with tcp_receiver() as (port, first):
        sink = SyslogSink([Address("tcp", "127.0.0.1", port)], plain, framing="lf")
        await sink.send(batch(1, 1))
        await until(lambda: bool(first))
        assert sink._stream
        sink._stream._writer.get_extra_info("socket").shutdown(socket.SHUT_WR)  # the receiver closes its side, too
        await until(lambda: bool(sink._stream and sink._stream.gone))
    with pytest.raises(OSError, match=f"cannot connect to tcp://127.0.0.1:{port}"):
        await sink.send(batch(2, 2))
    async with tcp_receiver(port) as (_, second):
        await sink.send(batch(2, 2))
        await until(lambda: bool(second))
        await sink.close()
    assert (bytes(first), bytes(second)) == (b"<133>1 alert 1\n", b"<133>1 alert 2\n")


async def test_tcp_receiver_that_does_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bytes that stay in a hung receiver's socket are not handed over: the batch fails and comes again."""
    monkeypatch.setattr("dnswatch.io.sinks.syslog.ANSWER_S", 0.3)
    listening = socket.create_server(("127.0.0.1", 0))
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    with listening:
        sink = SyslogSink([Address("tcp", *listening.getsockname())], lambda one: b"x" * 100_000)
        with pytest.raises(TimeoutError, match=r"has not taken a batch within"):
            await sink.send(batch(1, 100))
        await sink.close()


async def test_udp_one_datagram_each() -> None:
    """Each alert is one datagram; one that is too long is cut, counted and does not block the rest."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(2)
        address = Address("udp", "127.0.0.1", receiver.getsockname()[1])
        sink = SyslogSink([address], lambda one: b"x" * 70_000 if one.seq == 2 else plain(one), udp_per_s=1e6)
        await sink.send(batch(1, 3))
        await sink.close()
        assert [len(receiver.recv(70_000)) for _ in range(3)] == [14, 65_507, 14]
        assert sink.truncated == 1


async def test_udp_without_a_receiver() -> None:
    """A near host that says "port unreachable" is an OSError, so the batch is kept."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    sink = SyslogSink([Address("udp", "127.0.0.1", port)], plain)
    with pytest.raises(OSError, match=f"cannot send to udp://127.0.0.1:{port}"):
        await sink.send(batch(1, 1))
    await sink.close()


async def test_local_socket_gets_the_local_form(tmp_path: Path) -> None:
    """/dev/log always gets RFC 3164 without host name, whatever the format; JSON is inside."""
    path = tmp_path / "log"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(str(path))
        receiver.settimeout(2)
        sink = SINKS["syslog"](settings(type="syslog", address=f"unix://{path}", format="rfc5424"), "ns1")
        await sink.send(batch(1, 1))
        header, _, body = receiver.recv(70_000).partition(b": ")
        assert header.startswith(b"<131>")
        assert header.endswith(f" dnswatch[{os.getpid()}]".encode())
        assert b"ns1" not in header
        assert json.loads(body)["id"] == alert(1).id
        await sink.close()
    path.unlink()
    with pytest.raises(OSError, match=r"cannot connect to unix:///"):
        await sink.send(batch(2, 2))


@pytest.mark.parametrize("form", ["json", "text", "rfc3164", "rfc5424"])
async def test_every_format_has_a_syslog_header(form: str) -> None:
    """Over the network every message begins with PRI and names the sensor, and is one line."""
    async with tcp_receiver() as (port, seen):
        sink = SINKS["syslog"](settings(type="syslog", address=f"tcp://127.0.0.1:{port}", format=form), "ns1")
        await sink.send(batch(1, 1))
        await sink.close()
        await until(lambda: bool(seen))
        (message,) = unframe(bytes(seen))
        assert message.startswith(b"<131>")
        assert b" ns1 dnswatch" in message[:60]
        assert b"\n" not in message
        assert alert(1).id.encode() in message


async def test_fallback_takes_over_and_gives_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """When the first address fails the next one is used, and after a while the first is tried again."""
    async with tcp_receiver() as (port, main):
        pass
    async with tcp_receiver() as (other, spare):
        sink = SyslogSink([Address("tcp", "127.0.0.1", port), Address("tcp", "127.0.0.1", other)], plain, framing="lf")
        with pytest.raises(OSError, match="cannot connect"):
            await sink.send(batch(1, 1))
        await sink.send(batch(1, 1))
        await until(lambda: bool(spare))
        async with tcp_receiver(port) as (_, main):
            monkeypatch.setattr("dnswatch.io.sinks.syslog.PRIMARY_AGAIN_S", 0.0)
            await sink.send(batch(2, 2))
            await until(lambda: bool(main))
            await sink.close()
    assert (bytes(spare), bytes(main)) == (b"<133>1 alert 1\n", b"<133>1 alert 2\n")


def test_addresses() -> None:
    """Addresses are read as the configuration completes them, and printed so again."""
    for text in ("udp://127.0.0.1:514", "tcp://[::1]:601", "tcp://siem.example:514", "unix:///dev/log"):
        assert str(parse_address(text)) == text
    with pytest.raises(ValueError, match="is not udp://"):
        parse_address("http://x")
