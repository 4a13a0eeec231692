"""The zone server over real sockets on loopback, asked by dnspython: UDP, TCP, TLS, limits, and what ends it."""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
import subprocess
import time
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path

import dns.asyncquery
import dns.message
import dns.name
import dns.query
import dns.rcode
import dns.rdatatype
import dns.tsig
import dns.zone
import pytest

from dnswatch.core.clients.who import parse_network
from dnswatch.core.feeds.access import Access, Grant
from dnswatch.core.feeds.responder import Responder
from dnswatch.core.feeds.tsig import Key
from dnswatch.core.feeds.xfr import Served
from dnswatch.core.model import Rule, Snapshot, Zone
from dnswatch.errors import StateError
from dnswatch.io.publish import dns as publish_dns
from dnswatch.io.publish.dns import DnsServer

ZONE = "any.rpz.test.invalid"
KEY = Key("k1", "hmac-sha384", b"1" * 48)
RING = {dns.name.from_text("k1"): dns.tsig.Key("k1", KEY.secret, "hmac-sha384")}
HERE = "127.0.0.1"


def version(serial: int, count: int = 3) -> Snapshot:
    rules = tuple(Rule(f"n{i:06}.example", "nxdomain") for i in range(count))
    return Snapshot(Zone(ZONE, "any", rules), serial, 0.0)


Start = Callable[..., "asyncio.Future[DnsServer]"]


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    """Start servers that are stopped in the end."""
    started: list[DnsServer] = []

    async def begin(zone: Snapshot | None = None, tls: ssl.SSLContext | None = None) -> DnsServer:
        grants = [Grant("ns1", "k1"), Grant("unbound", "", (parse_network(HERE),))]
        server = DnsServer(Responder(Access([KEY], grants), {ZONE: Served(zone or version(5), [version(4, 2)])}))
        started.append(server)
        await server.start([(HERE, 0)], (HERE, 0, tls) if tls else None)
        return server

    yield begin  # type: ignore[misc]
    for server in started:
        await server.stop()


def port(server: DnsServer, kind: str = "dns") -> int:
    return next(number for _, number, what in server.addresses if what == kind)


async def until(condition: Callable[[], object]) -> None:
    """Wait until the condition holds."""
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - the server under test announces nothing
            await asyncio.sleep(0.01)


def query(kind: str, signed: bool = False) -> dns.message.Message:
    message = dns.message.make_query(ZONE, kind)
    if signed:
        message.use_tsig(RING)
    return message


@pytest.mark.parametrize("signed", [False, True])
async def test_soa_over_udp_and_tcp(start: Start, signed: bool) -> None:
    """With and without a key."""
    server = await start()
    for ask in (dns.asyncquery.udp, dns.asyncquery.tcp):
        reply = await ask(query("SOA", signed), HERE, timeout=60, port=port(server))
        assert reply.answer[0][0].serial == 5
    assert server.counters["soa"] == 2


@pytest.mark.parametrize("signed", [False, True])
async def test_a_zone_of_many_messages_arrives_whole(start: Start, signed: bool) -> None:
    """Every message verified by dnspython where it is signed; what was sent to whom is kept."""
    server = await start(version(9, 20_000))
    zone = dns.zone.Zone(ZONE, relativize=False)
    message, serial = dns.xfr.make_query(zone, keyring=RING if signed else None)
    await asyncio.to_thread(_inbound, zone, message, port(server))
    assert serial is None
    assert zone.get_soa().serial == 9
    assert len(zone.nodes) == 20_000 + 3
    [(who, transfer)] = server.transfers.items()
    assert who == ("ns1" if signed else "unbound", ZONE)
    assert (transfer.kind, transfer.serial) == ("axfr", 9)
    assert transfer.octets > 20_000 * 25


def _inbound(zone: dns.zone.Zone, message: dns.message.Message, number: int) -> None:
    dns.query.inbound_xfr(HERE, zone, message, port=number, timeout=60, lifetime=120)


async def test_a_secondary_follows_by_ixfr(start: Start) -> None:
    """dnspython applies the difference to its copy and has what AXFR gives."""
    server = await start(version(5))
    zone = dns.zone.Zone(ZONE, relativize=False)
    message, _ = dns.xfr.make_query(zone)
    await asyncio.to_thread(_inbound, zone, message, port(server))
    served = server.responder.zones[ZONE]
    server.responder.zones = {ZONE: served.followed_by(version(6, 40))}
    message, serial = dns.xfr.make_query(zone)
    assert (serial, message.question[0].rdtype) == (5, dns.rdatatype.IXFR)
    await asyncio.to_thread(_inbound, zone, message, port(server))
    fresh = dns.zone.Zone(ZONE, relativize=False)
    await asyncio.to_thread(_inbound, fresh, dns.xfr.make_query(fresh)[0], port(server))
    assert zone == fresh
    assert zone.get_soa().serial == 6
    assert server.counters["ixfr"] + server.counters["axfr"] == 3


def certificate(folder: Path) -> ssl.SSLContext:
    """Make a certificate for loopback and the server's side of TLS."""
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
               "-keyout", str(folder / "key.pem"), "-out", str(folder / "cert.pem"), "-days", "2",
               "-subj", "/CN=feed.test", "-addext", "subjectAltName=DNS:feed.test,IP:127.0.0.1"]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.set_alpn_protocols(["dot"])
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    return context


@pytest.mark.parametrize("alpn", [["dot"], ["h2"], []])
async def test_transfers_over_tls_with_and_without_alpn(start: Start, tmp_path: Path, alpn: list[str]) -> None:
    """Unbound sends none; TLS 1.2 is not spoken; SOA over UDP works on the same port."""
    server = await start(tls=certificate(tmp_path))
    client = ssl.create_default_context(cafile=str(tmp_path / "cert.pem"))
    if alpn:
        client.set_alpn_protocols(alpn)
    number = port(server, "tls")
    reader, writer = await asyncio.open_connection(HERE, number, ssl=client, server_hostname="feed.test")
    assert writer.get_extra_info("ssl_object").version() == "TLSv1.3"
    packet = query("AXFR").to_wire()
    writer.write(struct.pack("!H", len(packet)) + packet)
    reply = dns.message.from_wire(await reader.readexactly(int.from_bytes(await reader.readexactly(2))))
    assert reply.answer[0][0].serial == 5
    writer.close()
    assert (await dns.asyncquery.udp(query("SOA"), HERE, timeout=60, port=number)).answer[0][0].serial == 5
    client.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises(ConnectionError):
        await asyncio.open_connection(HERE, number, ssl=client, server_hostname="feed.test")


async def test_several_requests_share_a_connection(start: Start) -> None:
    """RFC 7766 §6.2.1: pipelined, answered in order."""
    server = await start()
    reader, writer = await asyncio.open_connection(HERE, port(server))
    packets = [query(kind).to_wire() for kind in ("SOA", "NS", "A", "SOA")]
    writer.write(b"".join(struct.pack("!H", len(packet)) + packet for packet in packets))
    for packet in packets:
        answer = await reader.readexactly(int.from_bytes(await reader.readexactly(2)))
        assert answer[:2] == packet[:2]
    writer.close()


async def test_who_is_silent_slow_or_talks_nonsense_is_let_go(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """An idle connection ends, one that sends garbage too, one that does not read too; others are served meanwhile."""
    monkeypatch.setattr(publish_dns, "FIRST_S", 0.2)
    monkeypatch.setattr(publish_dns, "SEND_S", 0.2)
    server = await start(version(9, 200_000))
    idle, silence = await asyncio.open_connection(HERE, port(server))
    noisy, noise = await asyncio.open_connection(HERE, port(server))
    noise.write(b"\xff\xff" + b"GET / HTTP/1.1\r\n")
    _, slow = await asyncio.open_connection(HERE, port(server), limit=1024)
    packet = query("AXFR").to_wire()
    slow.write(struct.pack("!H", len(packet)) + packet)
    assert (await dns.asyncquery.udp(query("SOA"), HERE, timeout=60, port=port(server))).answer
    async with asyncio.timeout(60):
        with suppress(ConnectionError):
            assert await idle.read() == b""
        with suppress(ConnectionError):
            assert await noisy.read() == b""
        await until(lambda: not server.connections)
    assert not server.transfers
    for writer in (silence, noise, slow):
        writer.close()


async def test_connections_are_bounded(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """One address cannot take all; those beyond are closed at once, and UDP goes on."""
    monkeypatch.setattr(publish_dns, "CONNECTIONS_EACH", 8)
    server = await start()
    pairs = [await asyncio.open_connection(HERE, port(server)) for _ in range(40)]
    await until(lambda: server.counters["closed"] == 32)
    assert server.connections == 8
    assert (await dns.asyncquery.udp(query("SOA"), HERE, timeout=60, port=port(server))).answer
    for _, writer in pairs:
        writer.close()


async def test_a_handshake_has_a_seat_and_an_end(start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who opens the TLS port and says nothing is counted, bounded and let go as on the plain one."""
    monkeypatch.setattr(publish_dns, "FIRST_S", 2.0)  # longer than to open them all
    monkeypatch.setattr(publish_dns, "CONNECTIONS_EACH", 8)
    server = await start(tls=certificate(tmp_path))
    pairs = [await asyncio.open_connection(HERE, port(server, "tls")) for _ in range(20)]
    await until(lambda: server.counters["closed"] == 12)
    assert server.connections == 8
    pairs[0][1].write(b"no ClientHello")
    await until(lambda: not server.connections)
    for _, writer in pairs:
        writer.close()


async def test_strangers_leave_seats_for_consumers(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many connections others hold, those from the addresses of consumers are taken."""
    monkeypatch.setattr(publish_dns, "STRANGERS", 4)
    server = await start()
    access = server.responder.access
    server.responder.access = Access([KEY], access.grants, [parse_network("127.0.0.20")])
    pairs = [await asyncio.open_connection(HERE, port(server), local_addr=(f"127.0.7.{i}", 0)) for i in range(1, 11)]
    await until(lambda: server.counters["closed"] == 6)
    reply = await dns.asyncquery.tcp(query("SOA", True), HERE, timeout=60, port=port(server), source="127.0.0.20")
    assert reply.answer
    for _, writer in pairs:
        writer.close()


async def test_refusals_are_rationed_and_answers_are_not(start: Start) -> None:
    """Whoever asks for what it may not have soon hears nothing; the same address still gets its zones."""
    server = await start()
    wrong = dns.message.make_query("www.example", "A").to_wire()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.connect((HERE, port(server)))
        client.setblocking(False)
        begun, got = time.monotonic(), 0
        for _ in range(200):
            client.send(wrong)

        def every_one() -> bool:
            nonlocal got
            with suppress(BlockingIOError):
                while client.recv(512):
                    got += 1
            return server.counters["dropped"] + got == 200

        await until(every_one)
    burst, more = publish_dns.ERRORS_BURST, publish_dns.ERRORS * (time.monotonic() - begun)
    assert burst <= got <= burst + 1 + more
    assert (await dns.asyncquery.udp(query("SOA"), HERE, timeout=60, port=port(server))).answer


async def test_noise_on_both_sockets_changes_nothing(start: Start) -> None:
    """Packets of every length and kind: the server answers the next one as before, and nothing is logged as a bug."""
    faults: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: faults.append(context))
    server = await start()
    good = query("SOA", signed=True).to_wire()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.connect((HERE, port(server)))
        for i in range(len(good)):
            client.send(good[:i])
            client.send(good[:i] + b"\xff" + good[i + 1 :])
    for cut in (0, 1, 2, 10, len(good)):
        _, writer = await asyncio.open_connection(HERE, port(server))
        writer.write(struct.pack("!H", len(good)) + good[:cut])
        writer.close()
    await asyncio.sleep(0.05)
    assert (await dns.asyncquery.udp(query("SOA", True), HERE, timeout=60, port=port(server))).answer
    assert not faults


async def test_a_port_that_is_taken_is_named(start: Start) -> None:
    """With the setting that chooses it; nothing of us stays behind on the other ports."""
    server = await start()
    other = DnsServer(server.responder)
    with pytest.raises(StateError, match=rf"127\.0\.0\.1:{port(server)}: another program listens there.*dns\.listen"):
        await other.start([(HERE, 0), (HERE, port(server))], None)
    assert not other.addresses
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.bind((HERE, 0))
        with pytest.raises(StateError, match="another program listens there"):
            await other.start([(HERE, udp.getsockname()[1])], None)
    with pytest.raises(StateError, match="this host has no such address"):
        await other.start([("192.0.2.1", 5300)], None)


async def test_stopping_ends_transfers(start: Start) -> None:
    """At once, whoever is in the middle of one."""
    server = await start(version(9, 200_000))
    reader, writer = await asyncio.open_connection(HERE, port(server), limit=1024)
    packet = query("AXFR").to_wire()
    writer.write(struct.pack("!H", len(packet)) + packet)
    await reader.readexactly(2)
    async with asyncio.timeout(publish_dns.SEND_S / 2):
        await server.stop()
    assert server.connections == 0
    writer.close()
