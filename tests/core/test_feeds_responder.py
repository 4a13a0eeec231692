"""What our server says to whom: answers, refusals, signatures, and silence; never an exception."""

from __future__ import annotations

import struct
from typing import Any

import dns.flags
import dns.message
import dns.name
import dns.opcode
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.tsig
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dnswatch.core.clients.who import parse_network
from dnswatch.core.feeds import wire, xfr
from dnswatch.core.feeds.access import Access, Grant
from dnswatch.core.feeds.limits import Buckets
from dnswatch.core.feeds.responder import Reply, Responder
from dnswatch.core.feeds.tsig import Key
from dnswatch.core.feeds.xfr import KEPT_VERSIONS, Served
from dnswatch.core.model import Rule, Snapshot, Zone

AT = 1_795_000_000.0
ZONE, OTHER = "any.rpz.test.invalid", "build.rpz.test.invalid"
KEYS = [Key("k1", "hmac-sha256", b"1" * 32), Key("k2", "hmac-sha512", b"2" * 64)]
UNBOUND, STRANGER = "127.0.0.20", "127.0.0.99"
GRANTS = [
    Grant("ns1", "k1", (), frozenset({ZONE})),
    Grant("ns2", "k2", (parse_network("127.0.7.0/24"),)),
    Grant("unbound", "", (parse_network(UNBOUND), parse_network("::1"))),
]


def version(serial: int, *names: str, zone: str = ZONE) -> Snapshot:
    rules = tuple(Rule(name, "nxdomain") for name in sorted(names))
    return Snapshot(Zone(zone, zone.partition(".")[0], rules), serial, AT)


NAMES = [f"n{i}.example" for i in range(50)]
PAST = [version(9, *NAMES), version(8, *NAMES[:49])]
NOW = version(10, *NAMES[1:], "new.example")
SERVER = Responder(Access(KEYS, GRANTS), {ZONE: Served(NOW, PAST), OTHER: Served(version(5, zone=OTHER))})


def query(kind: str, zone: str = ZONE, serial: int | None = None, key: int | None = None, edns: int | bool = False,
          class_: str = "IN") -> dns.message.Message:  # fmt: skip
    message = dns.message.make_query(zone, kind, rdclass=class_, use_edns=edns)
    if serial is not None:
        soa = f"localhost. hostmaster.localhost. {serial} 1 1 1 1"
        message.authority.append(dns.rrset.from_text(zone + ".", 60, "IN", "SOA", soa))
    if key is not None:
        message.use_tsig(dns.tsig.Key(KEYS[key].name, KEYS[key].secret, KEYS[key].algorithm))
    return message


def ask(message: dns.message.Message | bytes, client: str = UNBOUND, stream: bool = True) -> Reply:
    packet = message if isinstance(message, bytes) else message.to_wire()
    reply = SERVER.respond(packet, client, lambda: AT, stream=stream)
    assert reply is not None
    return reply


def records(reply: Reply) -> list[str]:
    """Give the records of all messages as ``type owner-or-serial``, in order."""
    found = []
    for message in reply.messages:
        for rrset in dns.message.from_wire(message, one_rr_per_rrset=True, keyring=False).answer:
            kind = dns.rdatatype.to_text(rrset.rdtype)
            text = f"SOA {rrset[0].serial}" if kind == "SOA" else f"{kind} {rrset.name}"
            found.append(text.removesuffix(f".{ZONE}."))
    return found


@pytest.fixture(autouse=True)
def _clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dns.renderer.time.time", lambda: AT)


def test_soa_and_ns_are_answered_to_those_who_may() -> None:
    """Unsigned to the address of a consumer without a key; the reply repeats question, id and letter case."""
    message = query("SOA", "ANY.rpz.Test.invalid")
    reply = ask(message, stream=False)
    packet = next(reply.messages)
    read = dns.message.from_wire(packet)
    assert message.is_response(read)
    assert str(read.question[0].name) == "ANY.rpz.Test.invalid."
    assert read.flags & dns.flags.AA
    assert read.answer[0][0].serial == 10
    assert (reply.kind, reply.consumer, reply.zone, reply.serial) == ("soa", "unbound", ZONE, 10)
    assert len(packet) < 200
    assert records(ask(query("NS"), stream=False)) == ["NS any.rpz.test.invalid."]


def test_axfr_is_the_zone_between_two_soas() -> None:
    """With canaries, which name the version."""
    found = records(ask(query("AXFR")))
    assert (found[0], found[-1], found[1]) == ("SOA 10", "SOA 10", "NS any.rpz.test.invalid.")
    middle = set(found[2:-1])
    assert middle == {
        *(f"CNAME {name}" for name in (*NAMES[1:], "new.example")),
        "A any.canary.dnswatch.invalid", "AAAA any.canary.dnswatch.invalid", "A 10.any.canary.dnswatch.invalid",
    }  # fmt: skip


def test_ixfr_says_what_changed_only() -> None:
    """SOA new, SOA old, removed, SOA new, added, SOA new (RFC 1995 §4), condensed over two versions."""
    reply = ask(query("IXFR", serial=8))
    assert records(reply) == [
        "SOA 10", "SOA 8", "CNAME n0.example", "A 8.any.canary.dnswatch.invalid",
        "AAAA any.canary.dnswatch.invalid",
        "SOA 10", "CNAME n49.example", "CNAME new.example", "A 10.any.canary.dnswatch.invalid",
        "AAAA any.canary.dnswatch.invalid", "SOA 10",
    ]  # fmt: skip
    assert reply.kind == "ixfr"


@pytest.mark.parametrize("serial", [7, 0, 10 + 2**31, 2**32 - 1])
def test_an_unknown_serial_gets_the_whole_zone(serial: int) -> None:
    """In the same reply, so that no second connection is needed; also the serial that RFC 1982 cannot compare."""
    reply = ask(query("IXFR", serial=serial))
    assert reply.kind == "axfr"
    assert records(reply)[:2] == ["SOA 10", "NS any.rpz.test.invalid."]


@pytest.mark.parametrize("serial", [10, 11, 2**31 + 9])
def test_whoever_is_current_gets_our_soa(serial: int) -> None:
    """Equal or newer by RFC 1982 arithmetic."""
    assert records(ask(query("IXFR", serial=serial))) == ["SOA 10"]


def test_ixfr_over_udp_gets_our_soa() -> None:
    """The client comes back over TCP (RFC 1995 §2), and nothing large is ever sent to a forged address."""
    assert records(ask(query("IXFR", serial=8), stream=False)) == ["SOA 10"]


def test_a_difference_longer_than_the_zone_is_not_sent() -> None:
    """Then AXFR says the same in less."""
    served = Served(version(3, "a.example"), [version(2, *NAMES)])
    assert served.ixfr(2) is None


@pytest.mark.parametrize(
    ("key", "client"), [(0, STRANGER), (0, "2001:db8::1"), (1, "127.0.7.3"), (1, "::ffff:127.0.7.3")]
)
def test_a_key_opens_the_zone(key: int, client: str) -> None:
    """From anywhere, or from its networks where it has some."""
    message = query("SOA", key=key)
    packet = next(ask(message, client).messages)
    ring = {dns.name.from_text(one.name): dns.tsig.Key(one.name, one.secret, one.algorithm) for one in KEYS}
    assert dns.message.from_wire(packet, keyring=ring, request_mac=message.mac).answer[0][0].serial == 10


@pytest.mark.parametrize(
    ("asked", "client"),
    [
        ({"kind": "SOA"}, STRANGER),
        ({"kind": "AXFR"}, STRANGER),
        ({"kind": "SOA", "zone": "nowhere.test"}, UNBOUND),
        ({"kind": "SOA", "zone": "new.example." + ZONE}, UNBOUND),
        ({"kind": "CNAME", "zone": "new.example." + ZONE}, UNBOUND),
        ({"kind": "A"}, UNBOUND),
        ({"kind": "ANY"}, UNBOUND),
        ({"kind": "TXT", "zone": "version.bind", "class_": "CH"}, UNBOUND),
        ({"kind": "SOA", "class_": "CH"}, UNBOUND),
        ({"kind": "SOA", "zone": OTHER, "key": 0}, STRANGER),
        ({"kind": "SOA", "key": 1}, STRANGER),
        ({"kind": "SOA", "zone": "nowhere.test", "key": 0}, UNBOUND),
    ],
)
def test_everything_else_is_refused_alike(asked: dict[str, Any], client: str) -> None:
    """Nobody learns which zones there are, nor which names are blocked; a known key opens its own zones only."""
    reply = ask(query(**asked), client, stream=False)
    read = dns.message.from_wire(next(reply.messages), keyring=False)
    assert (read.rcode(), reply.kind, read.answer) == (dns.rcode.REFUSED, "refused", [])


def test_no_reply_over_udp_is_much_longer_than_its_request() -> None:
    """To whoever is not known, not longer at all."""
    for kind in ("SOA", "AXFR", "A", "ANY"):
        packet = query(kind).to_wire()
        assert len(next(ask(packet, STRANGER, stream=False).messages)) <= len(packet)
    packet = query("SOA").to_wire()
    assert len(next(ask(packet, stream=False).messages)) < 4 * len(packet)


@pytest.mark.parametrize(
    ("message", "rcode"),
    [
        (query("IXFR"), dns.rcode.FORMERR),
        (query("AXFR"), dns.rcode.FORMERR),  # over UDP
        (query("SOA").to_wire()[:-1], dns.rcode.FORMERR),
        (query("SOA").to_wire() + b"x", dns.rcode.FORMERR),
        (struct.pack("!6H", 1, 0, 0, 0, 0, 0), dns.rcode.FORMERR),
        (struct.pack("!6H", 1, 0, 2, 0, 0, 0) + 2 * wire.question(ZONE, wire.SOA), dns.rcode.FORMERR),
        (struct.pack("!6H", 1, 4 << 11, 1, 0, 0, 0) + wire.question(ZONE, wire.SOA), dns.rcode.NOTIMP),
        (struct.pack("!6H", 1, 5 << 11, 0, 0, 0, 0), dns.rcode.NOTIMP),
        (struct.pack("!6H", 1, 0, 1, 0, 0, 0) + b"\xc0\x0c\0\x06\0\x01", dns.rcode.FORMERR),
        (struct.pack("!6H", 1, 0, 1, 0, 0, 2) + wire.question(ZONE, wire.SOA) + 2 * wire.opt(), dns.rcode.FORMERR),
    ],
    ids=[
        "ixfr-without-serial",
        "axfr-over-udp",
        "cut",
        "too-long",
        "no-question",
        "two-questions",
        "notify",
        "update",
        "pointer-loop",
        "two-opts",
    ],
)
def test_what_is_no_question_of_ours_is_told_so(message: dns.message.Message | bytes, rcode: int) -> None:
    """FORMERR and NOTIMP, with the id of the request."""
    packet = message if isinstance(message, bytes) else message.to_wire()
    answer = next(ask(packet, stream=False).messages)
    assert answer[:2] == packet[:2]
    assert answer[3] & 15 == rcode
    assert answer[2] & 0x80


def test_edns_is_answered_with_edns_and_a_later_version_with_badvers() -> None:
    """RFC 6891 §6.1.3; without EDNS in the request there is none in the reply."""
    assert dns.message.from_wire(next(ask(query("SOA", edns=0)).messages)).edns == 0
    assert dns.message.from_wire(next(ask(query("SOA")).messages)).edns == -1
    later = dns.message.from_wire(next(ask(query("SOA", edns=1)).messages))
    assert (later.rcode(), later.edns, later.answer) == (dns.rcode.BADVERS, 0, [])
    first, *rest = [dns.message.from_wire(m, one_rr_per_rrset=True) for m in ask(query("AXFR", edns=0)).messages]
    assert first.edns == 0
    assert all(one.edns == -1 for one in rest)


@pytest.mark.parametrize(
    ("now", "secret", "name", "raised", "error"),
    [
        (AT, b"1" * 32, "k9", dns.tsig.PeerBadKey, 17),
        (AT, b"x" * 32, "k1", dns.tsig.PeerBadSignature, 16),
        (AT - 3600, b"1" * 32, "k1", dns.tsig.PeerBadTime, 18),
    ],
)
def test_a_signature_that_does_not_hold_is_notauth(
    now: float, secret: bytes, name: str, raised: type[Exception], error: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """BADKEY and BADSIG unsigned, BADTIME signed with our time (RFC 8945 §5.2); never the address instead."""
    monkeypatch.setattr("dns.renderer.time.time", lambda: now)
    message = dns.message.make_query(ZONE, "SOA")
    message.use_tsig(dns.tsig.Key(name, secret, "hmac-sha256"))
    packet = message.to_wire()
    answer = next(ask(packet, UNBOUND, stream=False).messages)
    read = dns.message.from_wire(answer, keyring=False)
    assert (read.rcode(), read.tsig_error, read.answer) == (dns.rcode.NOTAUTH, error, [])
    ring = {dns.name.from_text(name): dns.tsig.Key(name, secret, "hmac-sha256")}
    with pytest.raises(raised):
        dns.message.from_wire(answer, keyring=ring, request_mac=message.mac)


def test_what_does_not_fit_a_packet_is_truncated_and_signed() -> None:
    """A long zone and a long key: the client is sent to TCP by a reply that it can verify (RFC 8945 §5.3)."""
    zone = ".".join(["z" * 60] * 3 + ["test"])
    key = Key(".".join(["k" * 60] * 4), "hmac-sha512", b"1" * 64)
    server = Responder(Access([key], [Grant("ns1", key.name)]), {zone: Served(version(1, zone=zone))})
    ring = {dns.name.from_text(key.name): dns.tsig.Key(key.name, key.secret, "hmac-sha512")}
    for edns, fits in ((False, False), (1232, True)):
        message = dns.message.make_query(zone, "SOA", use_edns=0 if edns else False, payload=edns or 0)
        message.use_tsig(ring)
        reply = server.respond(message.to_wire(), STRANGER, lambda: AT, stream=False)
        assert reply is not None
        packet = next(reply.messages)
        read = dns.message.from_wire(packet, keyring=ring, request_mac=message.mac)
        assert bool(read.answer) is fits
        assert bool(read.flags & dns.flags.TC) is not fits


def test_replies_are_never_answered() -> None:
    """Two servers must not talk to each other for ever; nor is less than a header anything."""
    packet = bytearray(query("SOA").to_wire())
    packet[2] |= 0x80
    assert SERVER.respond(bytes(packet), UNBOUND, lambda: AT, stream=True) is None
    for size in range(12):
        assert SERVER.respond(bytes(size), UNBOUND, lambda: AT, stream=True) is None


SEEDS = [
    query("SOA").to_wire(), query("IXFR", serial=8, edns=0).to_wire(), query("SOA", key=0, edns=0).to_wire(),
    query("IXFR", serial=8, key=1).to_wire(),
]  # fmt: skip


@settings(deadline=None, max_examples=400)
@given(st.sampled_from(SEEDS), st.lists(st.tuples(st.integers(0, 300), st.integers(0, 255)), max_size=6), st.booleans())
def test_no_damage_to_a_packet_raises(seed: bytes, changes: list[tuple[int, int]], stream: bool) -> None:
    """Every reply comes out whole."""
    packet = bytearray(seed)
    for place, byte in changes:
        packet[place % len(packet)] = byte
    reply = SERVER.respond(bytes(packet), UNBOUND, lambda: AT, stream=stream)
    if reply is not None:
        assert all(message[:2] == packet[:2] for message in reply.messages)


@settings(deadline=None, max_examples=400)
@given(st.binary(max_size=200), st.binary(min_size=12, max_size=12))
def test_noise_never_raises(noise: bytes, header: bytes) -> None:
    """Random bytes, and random bytes behind the header of a query."""
    for packet in (noise, header + noise, struct.pack("!6H", 1, 0, 1, 0, 1, 2) + noise):
        reply = SERVER.respond(packet, UNBOUND, lambda: AT, stream=False)
        assert reply is None or len(list(reply.messages)) == 1


def test_a_chain_of_pointers_ends() -> None:
    """As long as a packet has room for: refused at once, not by Python's recursion limit."""
    body = wire.question(ZONE, wire.SOA)
    at = 12 + len(body)
    start = at
    chain = b"\x01a\xc0\x0c"
    while len(chain) < 3900:
        chain += b"\x01a" + struct.pack("!H", 0xC000 | at)
        at += 4
    assert at > start
    packet = struct.pack("!6H", 1, 0, 1, 0, 1, 0) + body + chain
    assert ask(packet, stream=False).kind == "formerr"


def test_transfers_are_made_while_they_are_sent() -> None:
    """A publication in between does not tear them: they read the version they began with."""
    server = Responder(Access(KEYS, GRANTS), {ZONE: Served(version(1, *(f"n{i:05}.example" for i in range(3000))))})
    reply = server.respond(query("AXFR").to_wire(), UNBOUND, lambda: AT, stream=True)
    assert reply is not None
    first = next(reply.messages)
    server.zones = {ZONE: server.zones[ZONE].followed_by(version(2))}
    read = [dns.message.from_wire(m, one_rr_per_rrset=True) for m in (first, *reply.messages)]
    assert len(read) > 3
    assert (read[0].answer[0][0].serial, read[-1].answer[-1][0].serial) == (1, 1)


def test_versions_kept_are_bounded() -> None:
    """An old serial costs an AXFR, never memory without end; the same version again changes nothing."""
    served = Served(version(1))
    for serial in range(2, 200):
        served = served.followed_by(version(serial, f"n{serial}.example"))
    assert len(served.past) == KEPT_VERSIONS
    assert min(served.past) == 199 - KEPT_VERSIONS
    assert served.followed_by(served.current) is served


def test_the_version_before_is_kept_however_large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Most consumers have that one; older ones have to fit."""
    monkeypatch.setattr(xfr, "KEPT_OCTETS", 1000)
    versions = [version(serial, *(f"s{serial}.{name}" for name in NAMES)) for serial in (3, 2, 1)]
    assert set(Served(version(4, *NAMES), versions).past) == {3}
    assert set(Served(version(4), [version(4), *versions]).past) == {3}


def test_versions_that_share_their_records_cost_next_to_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is kept is counted by what it adds: fifty versions that differ in a name each are kept, all of them."""
    names = [f"n{i:05}.example" for i in range(5000)]
    first = version(1, *names)
    monkeypatch.setattr(xfr, "KEPT_OCTETS", 4 * sum(len(page.octets) for page in Served(first).pages))
    served = Served(first)
    for serial in range(2, KEPT_VERSIONS + 2):
        served = served.followed_by(version(serial, *names[serial:]))
    assert len(served.past) == KEPT_VERSIONS
    assert served.ixfr(1) is not None
    assert len(set(served.pages) & set(served.past[KEPT_VERSIONS])) > len(served.pages) / 2


def test_buckets_fill_with_time_and_are_bounded() -> None:
    """One network cannot use up what another one has."""
    buckets = Buckets(rate=2, burst=3, most=10)
    assert [buckets.take("192.0.2.1", 0) for _ in range(4)] == [True, True, True, False]
    assert not buckets.take("192.0.2.250", 0)
    assert buckets.take("198.51.100.1", 0)
    assert buckets.take("192.0.2.1", 1)
    for i in range(100):
        buckets.take(f"10.0.{i}.1", 1)
    assert (len(buckets), buckets.refused) == (10, 2)
