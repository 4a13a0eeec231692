"""Sinks over real files, pipes and sockets: everything arrives, in order, whole; a dead receiver is an OSError."""

import json
import os
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
from tests.io.http_receivers import SECRET, TOKEN, collector, hook
from tests.io.making import alert
from tests.io.receivers import tcp_receiver, unframe, until


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


@asynccontextmanager
async def webhook_receiver(tmp_path: Path, capfd: Any) -> AsyncIterator[Receiver]:
    secret = tmp_path / "secret"
    secret.write_text(SECRET)
    async with hook() as made:
        yield Receiver({"type": "webhook", "url": made.url, "secret": f"file:{secret}"}, lambda: made.bodies)


@asynccontextmanager
async def splunk_receiver(tmp_path: Path, capfd: Any) -> AsyncIterator[Receiver]:
    token = tmp_path / "token"
    token.write_text(TOKEN)
    async with collector() as made:
        yield Receiver({"type": "splunk-hec", "url": made.url, "token": f"file:{token}"},
                       lambda: [json.dumps(event).encode() for event in made.events])  # fmt: skip


RECEIVERS: dict[str, Any] = {
    "file": file_receiver, "splunk-hec": splunk_receiver, "stdout": stdout_receiver, "syslog": syslog_receiver,
    "webhook": webhook_receiver,
}  # fmt: skip


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


async def test_file_cuts_off_its_own_half_line(tmp_path: Path) -> None:
    """Killed in mid-line, it comes again with the same batch: what stands there is its beginning, and no half line."""
    path = tmp_path / "alerts.jsonl"
    path.write_bytes(b"<133>1 alert 1\n<133>1 al")
    sink = FileSink(path, plain)
    await sink.send(batch(1, 2))
    await sink.close()
    assert path.read_bytes() == b"<133>1 alert 1\n<133>1 alert 1\n<133>1 alert 2\n"


async def test_file_after_copytruncate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What came shortly before a truncation is written again: logrotate may not have copied it. Nothing older is."""
    monkeypatch.setattr("dnswatch.io.sinks.file.LOOK_S", 0.02)
    path = tmp_path / "alerts.jsonl"
    sink = FileSink(path, plain)
    await sink.send(batch(1, 1))
    os.truncate(path, 0)
    await until(lambda: path.read_bytes() == b"<133>1 alert 1\n")  # without another batch
    monkeypatch.setattr("dnswatch.io.sinks.file.RECENT_S", 0.0)
    await until(lambda: bool(sink._guarding and sink._guarding.done()))
    os.truncate(path, 0)
    await sink.send(batch(2, 2))
    await sink.close()
    assert path.read_bytes() == b"<133>1 alert 2\n"


async def test_file_renamed_while_it_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What went into a file that was rotated away meanwhile is in the new one too: the old may be compressed."""
    path = tmp_path / "alerts.jsonl"
    sink = FileSink(path, plain)
    await sink.send(batch(1, 1))
    sync = os.fdatasync

    def rotating(file: int) -> None:
        sync(file)
        if not (tmp_path / "alerts.jsonl.1").exists():
            path.rename(tmp_path / "alerts.jsonl.1")

    monkeypatch.setattr("os.fdatasync", rotating)
    await sink.send(batch(2, 2))
    await sink.close()
    assert path.read_bytes() == b"<133>1 alert 2\n"
    assert (tmp_path / "alerts.jsonl.1").read_bytes() == b"<133>1 alert 1\n<133>1 alert 2\n"
