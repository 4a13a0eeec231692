"""The syslog sink over every transport: what arrives, what is confirmed and how, who takes over."""

import asyncio
import json
import os
import socket
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

from dnswatch.config.model import Sink as SinkConfig
from dnswatch.core.alerts import FORMATS
from dnswatch.core.alerts.heartbeat import Heartbeat
from dnswatch.core.model import Reason
from dnswatch.io.deliver import BeatingSink, Delivery, HoldingSink, Refused, RoutedSink
from dnswatch.io.sinks import SINKS
from dnswatch.io.sinks.syslog import Route, SyslogSink
from dnswatch.io.syslog import TRANSPORTS, Options
from dnswatch.io.syslog.address import SCHEMES, Address, parse_address
from dnswatch.io.syslog.security import Security
from tests.io.certificates import certificates, needs_openssl
from tests.io.making import alert
from tests.io.receivers import relp_receiver, tcp_receiver, unframe, until

LF = Options(framing="lf", hold_s=0.2)


def batch(first: int, last: int) -> list[Delivery]:
    """Deliveries of alerts ``first`` … ``last``."""
    return [Delivery(number, alert(number), number, "f00d") for number in range(first, last + 1)]


def plain(delivery: Delivery) -> bytes:
    return b"<133>1 alert %d" % delivery.seq


def sink_to(
    *addresses: Address, render: Callable[[Delivery], bytes] = plain, options: Options = LF, heartbeat_s: float = 0.0
) -> SyslogSink:
    """A sink over these addresses."""
    routes = [
        Route(one, TRANSPORTS[one.scheme](one, options), render, lambda beat, stream: b"beat") for one in addresses
    ]
    return SyslogSink(routes, heartbeat_s)


def tcp(port: int) -> Address:
    return Address("tcp", "127.0.0.1", port)


def tls(port: int) -> Address:
    return Address("tls", "127.0.0.1", port)


def settings(**fields: Any) -> Any:
    """Read sink settings as the configuration does."""
    return TypeAdapter[Any](SinkConfig).validate_python({"type": "syslog", **fields})


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def test_every_scheme_has_a_transport() -> None:
    """The registry, the parser of addresses and the configuration know the same schemes."""
    assert list(TRANSPORTS) == sorted(TRANSPORTS) == list(SCHEMES)
    for scheme in TRANSPORTS:
        text = "unix:///dev/log" if scheme == "unix" else f"{scheme}://127.0.0.1"
        assert parse_address(settings(address=text).address).scheme == scheme


def test_addresses() -> None:
    """Addresses are read as the configuration completes them, and printed so again."""
    for text in ("udp://127.0.0.1:514", "tcp://[::1]:601", "relp+tls://siem.example:514", "unix:///dev/log"):
        assert str(parse_address(text)) == text
    with pytest.raises(ValueError, match="is not SCHEME://"):
        parse_address("http://x")


# ── TCP ───────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_tcp_octet_counting_keeps_newlines() -> None:
    """With octet counting a message may hold anything."""
    async with tcp_receiver() as (port, seen):
        sink = sink_to(tcp(port), render=lambda one: b"a\nb %d" % one.seq, options=Options())
        await sink.send(batch(1, 2))
        await sink.close()
        assert unframe(bytes(seen)) == [b"a\nb 1", b"a\nb 2"]


async def test_tcp_lf_framing_never_splits_a_message() -> None:
    """With LF framing newlines within a message become spaces."""
    async with tcp_receiver() as (port, seen):
        sink = sink_to(tcp(port), render=lambda one: b"a\r\nb %d" % one.seq)
        await sink.send(batch(1, 2))
        assert bytes(seen) == b"a  b 1\na  b 2\n"


async def test_tcp_is_confirmed_by_the_receivers_end() -> None:
    """A receiver that has the batch in its socket and then dies has not taken it; one that read to the end has."""
    listening = socket.create_server(("127.0.0.1", 0))
    listening.setblocking(False)
    with listening:
        sink = sink_to(tcp(listening.getsockname()[1]))
        sending = asyncio.create_task(sink.send(batch(1, 3)))
        peer, _ = await asyncio.get_running_loop().sock_accept(listening)
        await asyncio.sleep(0.05)
        assert not sending.done()
        peer.close()  # with unread bytes: a reset
        with pytest.raises(OSError, match=r"tcp://127.*[Rr]eset"):
            await sending


async def test_tcp_receiver_that_does_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bytes that stay in a hung receiver's socket are not handed over: the batch fails and comes again."""
    monkeypatch.setattr("dnswatch.io.syslog.stream.ANSWER_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        address = tcp(listening.getsockname()[1])
        with pytest.raises(TimeoutError, match=r"has not taken a batch within"):
            await sink_to(address).send(batch(1, 1))
        with pytest.raises(TimeoutError, match=r"has taken nothing for"):
            await sink_to(address, render=lambda one: b"x" * 1_000_000).send(batch(1, 20))


async def test_tcp_nobody_there() -> None:
    """A refused connection is an OSError that names the address."""
    port = free_port()
    with pytest.raises(OSError, match=f"cannot connect to tcp://127.0.0.1:{port}: Connection refused"):
        await sink_to(tcp(port)).send(batch(1, 1))


# ── TLS ───────────────────────────────────────────────────────────────────────────────────────────────────────


def secure(**fields: Any) -> Options:
    made = certificates()
    return replace(LF, security=Security(**{"ca": made.ca, **fields}))


@needs_openssl
async def test_tls_takes_batches_and_holds_them() -> None:
    """Batches arrive in order; what was sent is held, and the receiver's death within the hold is told at once."""
    async with tcp_receiver(security=certificates().server_context()) as (port, seen):
        sink = sink_to(tls(port), options=secure())
        assert isinstance(sink, HoldingSink)
        assert (sink.acknowledgement, sink.hold_s) == ("hold", 0.2)
        for number in range(1, 4):
            await sink.send(batch(number, number))
        await until(lambda: bytes(seen) == b"".join(b"<133>1 alert %d\n" % number for number in range(1, 4)))
        lost = asyncio.create_task(sink.lost())
        await asyncio.sleep(0.02)
        assert not lost.done()
    with pytest.raises(OSError, match=r"tls://"):
        await lost
    await sink.close()


@needs_openssl
async def test_tls_death_between_two_batches_is_an_error_only_while_held() -> None:
    """A receiver that came back within the hold must get the batch before once more; after the hold it need not."""
    context = certificates().server_context()
    for hold_s, pause, fails in ((300.0, 0.0, True), (0.2, 0.3, False)):
        async with tcp_receiver(security=context) as (port, _):
            sink = sink_to(tls(port), options=replace(secure(), hold_s=hold_s))
            await sink.send(batch(1, 1))
            await asyncio.sleep(pause)
        await asyncio.sleep(0.05)
        async with tcp_receiver(port, security=context) as (_, seen):
            if fails:
                with pytest.raises(OSError, match="tls://"):
                    await sink.send(batch(2, 2))
            await sink.send(batch(2, 2))
            await until(lambda: bytes(seen) == b"<133>1 alert 2\n")
            await sink.close()


@needs_openssl
@pytest.mark.parametrize("client", ["", "stranger"])
async def test_tls_refusal_of_our_certificate_is_told(client: str) -> None:
    """In TLS 1.3 the handshake succeeds all the same; nothing is sent to a server that then refuses."""
    made = certificates()
    fields = {"cert": made.cert(client), "key": made.key(client)} if client else {}
    async with tcp_receiver(security=made.server_context(mutual=True)) as (port, seen):
        with pytest.raises(OSError, match=r"refuses? our certificate"):
            await sink_to(tls(port), options=secure(**fields)).send(batch(1, 1))
        sink = sink_to(tls(port), options=secure(cert=made.cert("client"), key=made.key("client")))
        await sink.send(batch(2, 2))
        await sink.close()
        await until(lambda: bytes(seen) == b"<133>1 alert 2\n")


@needs_openssl
async def test_tls_verifies_the_server() -> None:
    """An unknown authority, another name and another fingerprint are refused; the right fingerprint is enough."""
    made = certificates()
    async with tcp_receiver(security=made.server_context()) as (port, seen):
        wrong: list[tuple[Address, dict[str, Any], str]] = [
            (tls(port), {"ca": made.cert("stranger")}, "is not trusted: .*certificate"),
            (Address("tls", "127.0.0.2", port), {}, "cannot connect"),
            (tls(port), {"ca": None, "fingerprint": "0" * 64}, f"has fingerprint {made.fingerprint('server')}"),
            (tls(port), {"ca": made.folder / "none.pem"}, r"tls.ca: .*none.pem cannot be used: No such file"),
            (tls(port), {"cert": made.key("client")}, r"tls.cert or tls.key: .* cannot be used: no certificate"),
            (tls(port), {"cert": made.cert("client"), "key": made.key("server")}, "the key does not belong"),
            (tls(port), {"ca": made.key("client")}, "holds no certificate in PEM form"),
        ]
        for address, fields, why in wrong:
            with pytest.raises(OSError, match=why):
                await sink_to(address, options=secure(**fields)).send(batch(1, 1))
        for fields in ({"ca": None, "fingerprint": made.fingerprint("server")}, {"ca": None, "verify": False}):
            sink = sink_to(tls(port), options=secure(**fields))
            await sink.send(batch(1, 1))
            await sink.close()
        await until(lambda: bytes(seen) == b"<133>1 alert 1\n" * 2)


@needs_openssl
async def test_tls_server_name_stands_for_the_host_of_the_address() -> None:
    """Behind a tunnel or a load balancer the certificate has another name: that one is checked, and no other."""
    made = certificates()
    async with tcp_receiver(security=made.server_context()) as (port, seen):
        with pytest.raises(OSError, match=r"is not trusted: .*siem\.example"):
            await sink_to(tls(port), options=secure(server_name="siem.example")).send(batch(1, 1))
        security = {"ca": str(made.ca), "server_name": "localhost"}
        sink = SINKS["syslog"](settings(address=f"tls://127.0.0.1:{port}", tls=security, framing="lf"), "ns1")
        await sink.send(batch(2, 2))
        await sink.close()
        await until(lambda: alert(2).id.encode() in seen)
        assert alert(1).id.encode() not in seen


@needs_openssl
async def test_tls_to_a_server_without_it() -> None:
    """A receiver that does not speak TLS is told as such, or as silent."""
    async with tcp_receiver() as (port, seen):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("dnswatch.io.syslog.stream.CONNECT_S", 0.2)
            with pytest.raises(OSError, match="does not answer within"):
                await sink_to(tls(port), options=secure()).send(batch(1, 1))
        assert b"alert" not in seen


# ── RELP ──────────────────────────────────────────────────────────────────────────────────────────────────────


def relp(port: int, scheme: str = "relp") -> Address:
    return Address(scheme, "127.0.0.1", port)


async def test_relp_every_message_is_answered() -> None:
    """Far more messages than the window arrive in order, on one session, which is closed in the end."""
    async with relp_receiver() as receiver:
        sink = sink_to(relp(receiver.port))
        assert sink.acknowledgement == "received"
        await sink.send(batch(1, 1000))
        await sink.send(batch(1001, 1003))
        assert receiver.messages == [plain(one) for one in batch(1, 1003)]
        assert 1 < receiver.most_unanswered <= 128
        await sink.close()
        await until(lambda: receiver.commands[-1] == b"close")
        assert receiver.commands.count(b"open") == 1


@needs_openssl
async def test_relp_over_tls() -> None:
    """The same within TLS, with a client's certificate; without it the refusal is told."""
    made = certificates()
    async with relp_receiver(security=made.server_context(mutual=True)) as receiver:
        sink = sink_to(
            relp(receiver.port, "relp+tls"), options=secure(cert=made.cert("client"), key=made.key("client"))
        )
        await sink.send(batch(1, 300))
        await sink.close()
        assert len(receiver.messages) == 300
        with pytest.raises(OSError, match=r"refuses? our certificate"):
            await sink_to(relp(receiver.port, "relp+tls"), options=secure()).send(batch(1, 1))


async def test_relp_unanswered_is_not_delivered(monkeypatch: pytest.MonkeyPatch) -> None:
    """One missing answer fails the batch, and so does the end of the session."""
    async with relp_receiver() as receiver:
        receiver.answer = lambda message: b"" if b"alert 7" in message else b"200 OK"
        sink = sink_to(relp(receiver.port))
        with monkeypatch.context() as patch:
            patch.setattr("dnswatch.io.syslog.relp.ANSWER_S", 0.2)
            with pytest.raises(TimeoutError, match="has not answered"):
                await sink.send(batch(1, 9))
        receiver.answer = lambda message: b"200 OK"
        await sink.send(batch(1, 9))
        receiver.writers[-1].write(b"0 serverclose 0\n")
        await receiver.writers[-1].drain()
        await asyncio.sleep(0.05)
        await sink.send(batch(10, 10))  # noticed before it is sent: a new session
        assert receiver.commands.count(b"open") == 3
        await sink.close()


async def test_relp_refusals() -> None:
    """A message answered with an error is refused for good; a session answered so, or with nonsense, is a failure."""
    async with relp_receiver() as receiver:
        receiver.answer = lambda message: b"500 too long" if b"alert 2" in message else b"200 OK"
        sink = sink_to(relp(receiver.port))
        with pytest.raises(Refused, match="refuses a message: 500 too long"):
            await sink.send(batch(1, 3))
        await sink.send(batch(3, 3))  # the session is as good as before
        await sink.close()
        receiver.hello = b"500 relp_version mismatch"
        with pytest.raises(OSError, match="refuses the RELP session: 500 relp_version"):
            await sink.send(batch(1, 1))

    async def nonsense(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n" * 5)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(nonsense, "127.0.0.1", 0)
    with pytest.raises(OSError, match="does not speak RELP"):
        await sink_to(relp(server.sockets[0].getsockname()[1])).send(batch(1, 1))
    server.close()


# ── Datagrams ─────────────────────────────────────────────────────────────────────────────────────────────────


async def test_udp_one_datagram_each() -> None:
    """Each alert is one datagram; one that is too long is cut, counted and does not block the rest."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(60)
        address = Address("udp", "127.0.0.1", receiver.getsockname()[1])
        sink = sink_to(address, render=lambda one: b"x" * 70_000 if one.seq == 2 else plain(one))
        await sink.send(batch(1, 3))
        assert sink.acknowledgement == "none"
        await sink.close()
        assert [len(receiver.recv(70_000)) for _ in range(3)] == [14, 65_507, 14]
        assert sink.truncated == 1


async def test_udp_is_paced() -> None:
    """Not more than the configured rate, measured over the batch."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        address = Address("udp", "127.0.0.1", receiver.getsockname()[1])
        sink = sink_to(address, options=Options(udp_per_s=200))
        begin = asyncio.get_running_loop().time()
        await sink.send(batch(1, 50))
        assert asyncio.get_running_loop().time() - begin >= 50 / 200 * 0.9
        await sink.close()


async def test_udp_messages_leave_fields_out_rather_than_break() -> None:
    """A long alert fits ``max_size`` with whole parameters, says what is missing, and keeps what names it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(60)
        port = receiver.getsockname()[1]
        sink = SINKS["syslog"](settings(address=f"udp://127.0.0.1:{port}", max_size=900), "ns1")
        names = tuple(f"a-rather-long-name-{number}.exfil.example" for number in range(16))
        await sink.send([Delivery(1, alert(1, qnames=names), 7, "f00d")])
        message = receiver.recv(70_000).decode()
        await sink.close()
    assert len(message.encode()) <= 900
    assert f'id="{alert(1).id}" rev="1"' in message
    assert 'left_out="evidence,because,qnames' in message
    assert '[meta sequenceId="7"][dnswatch.stream@32473 id="f00d"' in message


@pytest.mark.parametrize("form", sorted(FORMATS))
async def test_no_format_is_cut_in_a_datagram(form: str) -> None:
    """By default 2,048 octets, with the syslog header; every format names what it left out."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(60)
        sink = SINKS["syslog"](settings(address=f"udp://127.0.0.1:{receiver.getsockname()[1]}", format=form), "ns1")
        names = tuple(f"a-rather-long-name-{number}-{'x' * 60}.exfil.example" for number in range(16))
        because = tuple(Reason("segment", f"reason {number} " + "y" * 100, 5) for number in range(20))
        answers = tuple(f"192.0.2.{number}" for number in range(100))
        long = alert(1, qnames=names, because=because, answers=answers)
        await sink.send([Delivery(1, long, 7, "f00d")])
        message = receiver.recv(70_000).decode()
        await sink.close()
    assert len(message.encode()) <= 2048
    assert "left_out" in message or "LeftOut" in message or "leftOut" in message or " more lines" in message
    assert alert(1).id in message
    if form in ("ecs", "json", "ocsf", "ocsf-1.5", "rfc3164"):
        assert json.loads(message[message.index("{") :])


async def test_udp_without_a_receiver() -> None:
    """A near host that says "port unreachable" is an OSError, so the batch is kept."""
    port = free_port()
    sink = sink_to(Address("udp", "127.0.0.1", port))
    with pytest.raises(OSError, match=f"cannot send to udp://127.0.0.1:{port}"):
        await sink.send(batch(1, 1))
    await sink.close()


async def test_local_socket_gets_the_local_form(tmp_path: Path) -> None:
    """/dev/log always gets RFC 3164 without host name, whatever the format; numbered JSON is inside."""
    path = tmp_path / "log"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(str(path))
        receiver.settimeout(60)
        sink = SINKS["syslog"](settings(address=f"unix://{path}", format="rfc5424"), "ns1")
        await sink.send(batch(1, 1))
        header, _, body = receiver.recv(70_000).partition(b": ")
        assert header.startswith(b"<131>")
        assert header.endswith(f" dnswatch[{os.getpid()}]".encode())
        assert b"ns1" not in header
        said = json.loads(body)
        assert (said["id"], said["stream"], said["sequence"]) == (alert(1).id, "f00d", 1)
        await sink.close()
    path.unlink()
    with pytest.raises(OSError, match=r"cannot connect to unix:///"):
        await sink.send(batch(2, 2))


# ── The sink ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("form", ["json", "text", "rfc3164", "rfc5424"])
async def test_every_format_has_a_syslog_header_and_a_number(form: str) -> None:
    """Over the network every message begins with PRI, names the sensor, is numbered and is one line."""
    async with tcp_receiver() as (port, seen):
        sink = SINKS["syslog"](settings(address=f"tcp://127.0.0.1:{port}", format=form), "ns1")
        await sink.send(batch(5, 5))
        await sink.close()
        (message,) = unframe(bytes(seen))
        assert message.startswith(b"<131>")
        assert b" ns1 dnswatch" in message[:60]
        assert b"\n" not in message
        assert alert(5).id.encode() in message
        assert (b'sequenceId="5"' in message) or (b'"sequence":5' in message)
        assert b"f00d" in message


@pytest.mark.parametrize(("form", "text"), [("rfc5424", b'sequence="41" '), ("rfc3164", b'"sequence":41,')])
async def test_heartbeats_carry_the_counters(form: str, text: bytes) -> None:
    """A heartbeat says which number was the last, and has none itself."""
    beat = Heartbeat(at=1_790_000_000.0, every=300, sequence=41, waiting=2, oldest=3, dropped=1, refused=0, uptime=9)
    async with tcp_receiver() as (port, seen):
        sink = SINKS["syslog"](settings(address=f"tcp://127.0.0.1:{port}", format=form, heartbeat="5m"), "ns1")
        assert isinstance(sink, BeatingSink)
        assert sink.heartbeat_s == 300
        await sink.beat(beat, "f00d")
        (message,) = unframe(bytes(seen))
        assert text in message
        assert b"f00d" in message
        assert b"sequenceId" not in message
        assert message.startswith(b"<134>")


async def test_fallback_takes_over_and_gives_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """When the first address fails the next one is used; the first is tried meanwhile, and used when it is back."""
    monkeypatch.setattr("dnswatch.io.sinks.syslog.PRIMARY_AGAIN_S", 0.05)
    port = free_port()
    async with tcp_receiver() as (other, spare):
        sink = sink_to(tcp(port), tcp(other))
        assert isinstance(sink, RoutedSink)
        with pytest.raises(OSError, match="cannot connect"):
            await sink.send(batch(1, 1))
        for number in (1, 2):
            await sink.send(batch(number, number))
            await asyncio.sleep(0.12)
        assert sink.route == f"tcp://127.0.0.1:{other}"
        async with tcp_receiver(port) as (_, main):
            await until(lambda: sink._primary_is_back)
            await sink.send(batch(3, 3))
            assert sink.route == f"tcp://127.0.0.1:{port}"
            await sink.close()
    assert (bytes(spare), bytes(main)) == (b"<133>1 alert 1\n<133>1 alert 2\n", b"<133>1 alert 3\n")


async def test_when_all_receivers_fail_one_text_says_why() -> None:
    """The error does not change from try to try, so it is logged once."""
    first, second = free_port(), free_port()
    sink = sink_to(tcp(first), tcp(second))
    said = []
    for _ in range(4):
        with pytest.raises(OSError, match="cannot connect") as failed:
            await sink.send(batch(1, 1))
        said.append(failed.value.strerror)
    assert said[1] == said[2] == said[3]
    assert all(str(port) in str(said[3]) for port in (first, second))


async def test_a_refusal_is_no_reason_to_switch() -> None:
    """What one receiver refuses for good is not tried at the next one."""

    def render(one: Delivery) -> bytes:
        raise Refused("cannot be written")

    sink = sink_to(tcp(1), tcp(2), render=render)
    with pytest.raises(Refused):
        await sink.send(batch(1, 1))
    assert sink.route == "tcp://127.0.0.1:1"


def test_settings_reach_the_transports() -> None:
    """Framing, hold, rate and certificates of the configuration are those of every address."""
    made = settings(address="tls://siem.example", fallback=["udp://127.0.0.1"], hold="3s", rate=50, framing="lf",
                    tls={"verify": False}, heartbeat=0)  # fmt: skip
    sink = SINKS["syslog"](made, "ns1")
    assert isinstance(sink, SyslogSink)
    assert (sink.hold_s, sink.heartbeat_s, sink.route) == (3.0, 0.0, "tls://siem.example:6514")
    kinds: Sequence[str] = [type(route.transport).__name__ for route in sink._routes]
    assert kinds == ["Tls", "Udp"]
