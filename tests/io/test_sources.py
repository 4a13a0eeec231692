"""The ways in besides files, on real sockets and pipes: lines and frames come in, alerts come out."""

import asyncio
import contextlib
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from dnswatch.core.dnstap.frames import ACCEPT, FINISH, READY, START, STOP, control
from dnswatch.io import listener
from dnswatch.io.ingest import Reader
from dnswatch.io.sources import pipe, syslog
from dnswatch.io.watch import STEADY
from tests.core.taps import CLIENT_RESPONSE, query, response, tap
from tests.running import InLoop, bind_line, soon, until

NAME = "api.telegram.org"


def dnsmasq(client: str, name: str = NAME) -> bytes:
    """A line as OpenWrt's logd sends it: no host, no zone."""
    stamp = datetime.now(UTC).strftime("%b %e %H:%M:%S")
    return f"<30>{stamp} dnsmasq[1551]: query[A] {name} from {client}".encode()


class Door(InLoop):
    """A daemon with one source, and what is known of it."""

    def __init__(self, folder: Path, source: str) -> None:
        super().__init__(folder, sources=f"sources: [{{{source}}}]")

    @property
    def reader(self) -> Reader:
        (reader,) = self.daemon.following.readers.values()
        return reader

    @property
    def port(self) -> int:
        return int(getattr(self.reader.tail, "port", 0))

    def row(self) -> dict[str, Any]:
        return self.reader.row()

    async def alerted(self, *clients: str) -> None:
        """Wait until the file sink has an alert of each client, and of nobody else."""
        await soon(lambda: {one["client_ip"] for one in self.alerts()} == set(clients))


@pytest.fixture
def short() -> Iterator[Path]:
    """A directory with a path short enough for a socket."""
    with tempfile.TemporaryDirectory(prefix="dnswatch-") as name:
        yield Path(name)


# ── Pipes ─────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_fifo_outlives_its_writers(tmp_path: Path) -> None:
    """Writers come and go; a line without its end is counted, what follows is whole again."""
    path = tmp_path / "query.fifo"
    os.mkfifo(path)
    async with Door(tmp_path, f"type: bind, path: {path}") as door:
        for number, text in enumerate(
            (bind_line(NAME, "10.0.0.1"), bind_line(NAME, "10.0.0.2") + "cut off", bind_line(NAME, "10.0.0.3"))
        ):
            path.write_text(text)
            await soon(lambda number=number: len(door.alerts()) == number + 1)
            await soon(lambda number=number: door.row()["rotations"].get("closed", 0) == number + 1)
        await door.alerted("10.0.0.1", "10.0.0.2", "10.0.0.3")
        assert door.row()["lost"] == {pipe.CUT: 1}
        assert door.row()["lost_lines"] == 1
        await soon(lambda: not door.daemon.unready())


def test_standard_input_ends_its_source(tmp_path: Path) -> None:
    """`dnswatch run` behind a pipe: all lines are taken, the end is no failure, the daemon goes on."""
    place = InLoop(tmp_path, sources='sources: [{type: bind, path: "-"}]')
    lines = "".join(bind_line(NAME, f"10.0.0.{i}") for i in range(1, 4)).removesuffix("\n")
    with place.stderr.open("wb") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "dnswatch", "--config", str(place.config), "run"],
            stdin=subprocess.PIPE,
            stderr=errors,
        )
    assert process.stdin
    try:
        process.stdin.write(lines.encode())
        process.stdin.close()
        until(lambda: len(place.alerts()) == 3, 20)
        assert process.poll() is None
    finally:
        process.terminate()
        assert process.wait(15) == 0
    assert "traceback" not in place.stderr.read_text().lower()


@pytest.mark.parametrize("before", ["", bind_line(NAME, "10.0.0.1")])
async def test_a_path_may_become_a_fifo(before: str, tmp_path: Path) -> None:
    """Whoever writes it makes it after us, where nothing was, or in place of a file: it is read all the same."""
    path = tmp_path / "query.fifo"
    if before:
        path.write_text("")
    async with Door(tmp_path, f"type: bind, path: {path}") as door:
        if before:
            with path.open("a") as file:
                file.write(before)
            await door.alerted("10.0.0.1")
            path.unlink()
        os.mkfifo(path)
        writers: list[int] = []

        def opened() -> list[int]:
            with contextlib.suppress(OSError):  # nobody reads it yet
                writers.append(os.open(path, os.O_WRONLY | os.O_NONBLOCK))
            return writers

        await soon(opened)
        os.write(writers[0], bind_line(NAME, "10.0.0.2").encode())
        os.close(writers[0])
        await door.alerted(*["10.0.0.1"][: bool(before)], "10.0.0.2")


async def test_a_writer_waits_while_the_engine_is_busy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Back-pressure: what nobody has read yet stays in the pipe, and nothing is lost."""
    path = tmp_path / "query.fifo"
    os.mkfifo(path)
    async with Door(tmp_path, f"type: bind, path: {path}") as door:
        gate = asyncio.Event()
        monkeypatch.setattr(door.daemon.ledger, "room", gate.wait)
        fd = os.open(path, os.O_WRONLY | os.O_NONBLOCK)
        written, full = 0, False
        line = bind_line("www.example.com").encode()
        for _ in range(100):
            try:
                written += os.write(fd, line * 20)
            except BlockingIOError:
                full = True
                break
            await asyncio.sleep(0.002)
        assert full
        gate.set()
        os.close(fd)
        await soon(lambda: door.row()["read_bytes"] + len(line) > written)


# ── Syslog ────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_udp_from_those_who_may(tmp_path: Path) -> None:
    """Each sender is a source of its own; who may not is refused and counted."""
    source = 'type: dnsmasq, timezone: UTC, listen: "udp://127.0.0.1:0", senders: [127.0.0.1, 127.0.0.2]'
    async with Door(tmp_path, source) as door:
        for sender, client in (("127.0.0.1", "10.0.0.1"), ("127.0.0.2", "10.0.0.2"), ("127.0.0.3", "10.0.0.3")):
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
                sock.bind((sender, 0))
                sock.sendto(dnsmasq(client), ("127.0.0.1", door.port))
        await door.alerted("10.0.0.1", "10.0.0.2")
        row = door.row()
        assert {sender: told["messages"] for sender, told in row["senders"].items()} == {"127.0.0.1": 1, "127.0.0.2": 1}
        assert row["refused"] == {"sender not allowed": 1}
        assert (row["lag_bytes"], row["waiting"], row["lost"]) == (0, "", {})
        await soon(lambda: not door.daemon.unready())
        named = {f"{door.reader.id} {sender}" for sender in ("127.0.0.1", "127.0.0.2")}
        assert named <= set(door.daemon.engine._sources.table.rows)


async def test_what_the_kernel_drops_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Datagrams that did not fit into the receive buffer are lost lines."""
    monkeypatch.setattr(syslog, "RECEIVE_BUFFER", 4096)
    async with Door(tmp_path, 'type: dnsmasq, timezone: UTC, listen: "udp://127.0.0.1:0"') as door:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            for _ in range(500):  # nobody reads meanwhile: this is the loop's own thread
                sock.sendto(dnsmasq("10.0.0.1", "www.example.com"), ("127.0.0.1", door.port))
            await soon(lambda: door.row()["read_bytes"] > 0 and not door.row()["lag_bytes"])
            sock.sendto(dnsmasq("10.0.0.1"), ("127.0.0.1", door.port))
        await door.alerted("10.0.0.1")
        row = door.row()
        assert row["senders"]["127.0.0.1"]["messages"] + row["lost_lines"] == 501
        assert row["lost"] == {syslog.DROPPED: 1}


async def test_tcp_in_both_framings(tmp_path: Path) -> None:
    """RFC 6587: counted and by line on one connection; the last line needs no newline, a counted one must be whole."""
    async with Door(tmp_path, 'type: dnsmasq, timezone: UTC, listen: "tcp://127.0.0.1:0"') as door:
        first, second, third = (dnsmasq(f"10.0.0.{i}") for i in (1, 2, 3))
        _, writer = await asyncio.open_connection("127.0.0.1", door.port)
        writer.write(b"%d %b" % (len(first), first) + second + b"\n" + third)
        writer.close()
        await door.alerted("10.0.0.1", "10.0.0.2", "10.0.0.3")
        _, writer = await asyncio.open_connection("127.0.0.1", door.port)
        writer.write(b"100 <30>cut")
        writer.close()
        await soon(lambda: door.row()["lost"] == {syslog.CUT: 1})
        assert door.row()["rotations"] == {"connected": 2}


@pytest.mark.parametrize(
    ("data", "why"), [(b"<1>" + b"x" * 70_000, "message too long"), (b"99999999 <1>x" * 6000, "message too long")]
)
async def test_tcp_limits_a_message(data: bytes, why: str, tmp_path: Path) -> None:
    """Whoever sends what cannot be a message is cut off, and said to be."""
    async with Door(tmp_path, 'type: dnsmasq, timezone: UTC, listen: "tcp://127.0.0.1:0"') as door:
        reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
        writer.write(data)
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await reader.readexactly(1)
        assert door.row()["refused"] == {why: 1}
        writer.close()


async def test_tcp_limits_connections_and_patience(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The connection that was silent longest makes room; one that never ends its message is closed."""
    monkeypatch.setattr(listener, "CONNECTIONS", 2)
    monkeypatch.setattr(syslog, "UNFINISHED_S", 0.05)
    async with Door(tmp_path, 'type: dnsmasq, timezone: UTC, listen: "tcp://127.0.0.1:0"') as door:
        opened = []
        for _ in range(3):
            opened.append(await asyncio.open_connection("127.0.0.1", door.port))
            await soon(lambda: door.row()["rotations"].get("connected", 0) == len(opened))
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await opened[0][0].readexactly(1)
        opened[1][1].write(b"<30>never")
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await opened[1][0].readexactly(1)
        assert door.row()["refused"]["too many connections"] == 1
        assert door.row()["refused"]["an unfinished message"] == 1
        opened[2][1].write(dnsmasq("10.0.0.9") + b"\n")
        await door.alerted("10.0.0.9")
        for _, writer in opened:
            writer.close()


async def test_a_local_datagram_socket(short: Path) -> None:
    """As /dev/log: a socket that a dead process left is replaced, one that somebody uses is not, other files never."""
    path = short / "log"
    stale = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    stale.bind(str(path))
    stale.close()
    async with Door(short, f'type: dnsmasq, timezone: UTC, listen: "unix://{path}"') as door:
        assert path.stat().st_mode & 0o777 == listener.MODE
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.connect(str(path))
            sock.send(dnsmasq("10.0.0.1"))
        await door.alerted("10.0.0.1")
        with pytest.raises(OSError, match="somebody else listens there"):
            listener.unix_socket(str(path), socket.SOCK_DGRAM)
        (short / "file").write_text("mine")
        with pytest.raises(OSError, match=f"cannot listen on {short}/file"):
            listener.unix_socket(str(short / "file"), socket.SOCK_DGRAM)


async def test_a_port_in_use_is_waited_for(tmp_path: Path) -> None:
    """It is said, readiness says it, and once the port is free it is taken."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        door = Door(tmp_path, f'type: dnsmasq, timezone: UTC, listen: "tcp://127.0.0.1:{port}"')
        await door.start()
        try:
            assert door.row()["waiting"] == f"cannot listen on 127.0.0.1 port {port}: somebody else listens there"
            assert door.daemon.unready()
            other.close()
            await soon(lambda: not door.row()["waiting"])
        finally:
            await door.stop()


async def test_forwarders_hold_for_every_sender(tmp_path: Path) -> None:
    """A lookup that a forwarder of ours passes on counts for the client that asked it first."""
    door = Door(tmp_path, "")
    door.sources = (
        'sources: [{type: dnsmasq, timezone: UTC, listen: "udp://127.0.0.1:0", forwarders: [10.0.0.53]},'
        f" {{type: bind, path: {door.log}}}]"
    )
    door.configure()
    door.write()
    async with door:
        reader = next(one for name, one in door.daemon.following.readers.items() if name.startswith("udp"))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.sendto(dnsmasq("10.0.0.1", "www.example.com"), ("127.0.0.1", reader.tail.port))  # type: ignore[union-attr]
            await soon(lambda: reader.counts["read_bytes"])
            door.write(bind_line(NAME, "10.0.0.9"))
            await soon(lambda: door.alerts())
            sock.sendto(dnsmasq("10.0.0.53"), ("127.0.0.1", reader.tail.port))  # type: ignore[union-attr]
            await soon(lambda: door.daemon.engine.counters["forwarded"] == 1)
        assert [one["client_ip"] for one in door.alerts()] == ["10.0.0.9"]


async def test_a_sender_that_stops_is_missed_behind_the_others(tmp_path: Path) -> None:
    """The log goes on, one of its two steady senders does not: an alert of its own, also over a restart."""
    source = 'type: dnsmasq, timezone: UTC, listen: "udp://127.0.0.1:0", senders: [127.0.0.0/8], silent_after: 300ms'
    door = Door(tmp_path, source)
    with contextlib.ExitStack() as opened:
        socks = [opened.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) for _ in range(3)]
        for number, sock in enumerate(socks):
            sock.bind((f"127.0.0.{number + 1}", 0))

        def said() -> set[str]:
            return {subject.partition(" ")[2] for kind, subject in door.daemon.blind_spots.open()}

        async def send(*numbers: int) -> None:
            for number in numbers:
                for _ in range(STEADY):
                    socks[number].sendto(dnsmasq("10.0.0.1", "www.example.com"), ("127.0.0.1", door.port))
                    await asyncio.sleep(0)
            await asyncio.sleep(0.05)
            door.daemon.watch.look([])

        async with door:
            socks[2].sendto(dnsmasq("10.0.0.1", "www.example.com"), ("127.0.0.1", door.port))  # somebody's try
            await send(0, 1)
            assert not said()
            async with asyncio.timeout(60):
                while not said():
                    await send(0)
            assert said() == {"127.0.0.2"}
        async with door:
            await send(0)
            assert said() == {"127.0.0.2"}
            await send(0, 1)
            assert not said()


async def test_a_reload_may_change_the_senders(tmp_path: Path) -> None:
    """The door is opened anew at the same place; positions go on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        place = f"tcp://127.0.0.1:{free.getsockname()[1]}"
    door = Door(tmp_path, f'type: dnsmasq, timezone: UTC, listen: "{place}", senders: [127.0.0.2]')
    async with door:
        reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await reader.readexactly(1)
        writer.close()
        door.sources = door.sources.replace("127.0.0.2", "127.0.0.1")
        door.configure()
        assert await door.reload() == ""
        _, writer = await asyncio.open_connection("127.0.0.1", door.port)
        writer.write(dnsmasq("10.0.0.1") + b"\n")
        await door.alerted("10.0.0.1")
        writer.close()


# ── dnstap ────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("scheme", ["unix", "tcp"])
async def test_dnstap_with_its_handshake(scheme: str, short: Path) -> None:
    """READY is accepted, frames are taken, STOP is finished; query and answer are one attempt with its addresses."""
    place = f"unix://{short}/tap.sock" if scheme == "unix" else "tcp://127.0.0.1:0"
    async with Door(short, f'type: dnstap, listen: "{place}"') as door:
        reader, writer = await (
            asyncio.open_unix_connection(f"{short}/tap.sock") if scheme == "unix"
            else asyncio.open_connection("127.0.0.1", door.port)
        )  # fmt: skip
        writer.write(control(READY))
        assert await reader.readexactly(len(control(ACCEPT))) == control(ACCEPT)
        now = time.time()
        writer.write(control(START) + tap(query(NAME), at=now))
        writer.write(tap(response(NAME, "A", "192.0.2.9"), CLIENT_RESPONSE, at=now + 0.01))
        await door.alerted("10.0.0.7")
        writer.write(control(STOP))
        assert await reader.readexactly(len(control(FINISH))) == control(FINISH)
        assert await reader.read() == b""
        writer.close()
        (alert,) = door.alerts()
        assert (alert["qname"], alert["qtype"], alert["count"]) == (NAME, "A", 1)
        await soon(lambda: door.row()["connections"] == 0)
        assert (door.row()["lost"], door.row()["samples_bad"], door.row()["wrong_format"]) == ({}, 0, "")
        episode = door.daemon.engine.alert(alert["id"])
        assert episode is not None
        assert episode.answers == ("192.0.2.9",)


async def test_dnstap_connections_that_fail(tmp_path: Path) -> None:
    """What is no dnstap is refused; a sender that breaks off may have lost something."""
    async with Door(tmp_path, 'type: dnstap, listen: "tcp://127.0.0.1:0"') as door:
        reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
        writer.write(b"GET / HTTP/1.1\r\n\r\n")
        assert await reader.read() == b"" if not reader.exception() else True
        writer.close()
        await soon(lambda: door.row()["refused"] == {"not dnstap": 1})
        _, writer = await asyncio.open_connection("127.0.0.1", door.port)
        writer.write(control(START) + tap(query(NAME), at=time.time()))
        await door.alerted("10.0.0.7")
        writer.close()
        await soon(lambda: len(door.row()["lost"]) == 1)


async def test_a_tap_file_is_followed(tmp_path: Path) -> None:
    """From its start, through growth in the middle of a frame and a restart: every attempt counts once."""
    path = tmp_path / "named.tap"
    now = time.time()
    frames = [tap(query(NAME), client=f"10.0.0.{i}", at=now) for i in range(1, 5)]
    path.write_bytes(control(START) + frames[0] + frames[1][:40])
    door = Door(tmp_path, f"type: dnstap, path: {path}")
    async with door:
        await door.alerted("10.0.0.1")
        with path.open("ab") as file:
            file.write(frames[1][40:] + frames[2])
        await door.alerted("10.0.0.1", "10.0.0.2", "10.0.0.3")
    with path.open("ab") as file:
        file.write(frames[3])
    async with door:
        await door.alerted("10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4")
        assert len(door.alerts()) == 4
