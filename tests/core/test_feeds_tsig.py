"""TSIG against dnspython, both ways, and against everybody who changes a byte."""

from __future__ import annotations

import dns.message
import dns.name
import dns.tsig
import pytest

from dnswatch.core.feeds import tsig, wire
from dnswatch.core.feeds.request import Malformed, TsigRecord, head, parse, trailing_tsig
from dnswatch.core.feeds.tsig import Key, Signer

AT = 1_795_000_000.0
ALGORITHMS = sorted(tsig.ALGORITHMS)
SECRET = bytes(range(32))


def key(algorithm: str = "hmac-sha256", name: str = "k1.test") -> Key:
    return Key(name, algorithm, SECRET)


def oracle(algorithm: str = "hmac-sha256", name: str = "k1.test") -> dns.tsig.Key:
    return dns.tsig.Key(name, SECRET, algorithm)


def signed(algorithm: str = "hmac-sha256", kind: str = "SOA", zone: str = "zone.test") -> bytes:
    """Make a request as dnspython signs it, at `AT`."""
    message = dns.message.make_query(zone, kind, use_edns=0)
    message.use_tsig(oracle(algorithm))
    return message.to_wire()


@pytest.fixture(autouse=True)
def _clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let dnspython live at `AT`."""
    monkeypatch.setattr("dns.renderer.time.time", lambda: AT)


def record_of(packet: bytes) -> TsigRecord:
    header = head(packet)
    assert header
    record = parse(packet, header).tsig
    assert record
    return record


def check(packet: bytes, algorithm: str = "hmac-sha256", now: float = AT) -> tsig.Checked:
    return tsig.verify(packet, record_of(packet), {"k1.test": key(algorithm)}, now)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_requests_of_dnspython_are_genuine(algorithm: str) -> None:
    """Also where it compresses the key's name against the question."""
    assert check(signed(algorithm), algorithm) == tsig.Checked(key(algorithm), 0)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_dnspython_verifies_every_message_of_a_stream(algorithm: str) -> None:
    """The first covers the request, each later one the one before it (RFC 8945 §5.3.1)."""
    request = dns.message.make_query("zone.test", "AXFR")
    request.use_tsig(oracle(algorithm))
    packet = request.to_wire()
    signer = Signer(key(algorithm), record_of(packet).mac)
    asked = wire.question("zone.test", wire.AXFR)
    context = None
    for i in range(5):
        message = signer.sign(wire.message(request.id, wire.QR, asked, [wire.soa(i)]), AT + i)
        read = dns.message.from_wire(
            message, keyring={dns.name.from_text("k1.test"): oracle(algorithm)}, request_mac=request.mac, xfr=True,
            tsig_ctx=context, multi=True, one_rr_per_rrset=True,
        )  # fmt: skip
        context = read.tsig_ctx
        assert read.had_tsig


def test_a_stream_with_a_message_left_out_does_not_verify() -> None:
    """Each signature covers the one before."""
    request = dns.message.make_query("zone.test", "AXFR")
    request.use_tsig(oracle())
    signer = Signer(key(), record_of(request.to_wire()).mac)
    asked = wire.question("zone.test", wire.AXFR)
    first, _, third = (signer.sign(wire.message(request.id, wire.QR, asked, [wire.soa(i)]), AT) for i in range(3))
    ring = {dns.name.from_text("k1.test"): oracle()}
    read = dns.message.from_wire(first, keyring=ring, request_mac=request.mac, xfr=True, multi=True)
    with pytest.raises(dns.tsig.BadSignature):
        dns.message.from_wire(
            third, keyring=ring, request_mac=request.mac, xfr=True, tsig_ctx=read.tsig_ctx, multi=True
        )


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_no_single_byte_can_be_changed(algorithm: str) -> None:
    """But for the message id and the letter case of the two names of the TSIG record."""
    packet = signed(algorithm)
    record = record_of(packet)
    names = range(record.start, record.start + 64)
    survived = []
    for place in range(len(packet)):
        for change in (0x01, 0x20, 0x80, 0xFF):
            mutated = bytearray(packet)
            mutated[place] ^= change
            try:
                checked = check(bytes(mutated), algorithm)
            except (Malformed, ValueError, AssertionError):
                continue
            if not checked.error:
                survived.append((place, change))
    assert {place for place, _ in survived if place < 2} == {0, 1}
    for place, change in survived:
        assert place < 2 or (place in names and change == 0x20 and chr(packet[place]).isalpha())


@pytest.mark.parametrize(
    ("now", "name", "algorithm", "error"),
    [
        (AT + 299, "k1.test", "hmac-sha256", 0),
        (AT + 301, "k1.test", "hmac-sha256", tsig.BADTIME),
        (AT - 301, "k1.test", "hmac-sha256", tsig.BADTIME),
        (AT, "k2.test", "hmac-sha256", tsig.BADKEY),
        (AT, "k1.test", "hmac-sha512", tsig.BADKEY),
    ],
)
def test_errors_say_what_is_wrong(now: float, name: str, algorithm: str, error: int) -> None:
    """Unknown key or algorithm: BADKEY; a clock that differs by more than the fudge: BADTIME."""
    packet = signed()
    assert tsig.verify(packet, record_of(packet), {name: key(algorithm, name)}, now).error == error


def test_another_secret_is_badsig() -> None:
    """The name of a key proves nothing."""
    packet = signed()
    assert tsig.verify(packet, record_of(packet), {"k1.test": Key("k1.test", "hmac-sha256", b"x" * 32)}, AT).error == (
        tsig.BADSIG
    )


def test_truncated_signatures_are_not_taken() -> None:
    """Half of the hash is legal but not ours (BADTRUNC); less than that, or none, is malformed (RFC 8945 §5.2.2.1)."""
    message = wire.message(9, 0, wire.question("zone.test", wire.SOA))
    whole = Signer(key())
    record = record_of(whole.sign(message, AT))
    for size, wanted in ((16, tsig.BADTRUNC), (32, 0)):
        assert check(tsig.append(message, record, whole.mac[:size])).error == wanted
    for mac in (b"", whole.mac[:15], whole.mac + b"x"):
        with pytest.raises(ValueError, match="length"):
            check(tsig.append(message, record, mac))


def test_replies_to_our_own_requests_are_checked() -> None:
    """NOTIFY is answered with the key that signed it."""
    ours = Signer(key())
    request = ours.sign(wire.message(9, 4 << 11, wire.question("zone.test", wire.SOA)), AT)
    mac = ours.mac
    answer = dns.message.make_response(
        dns.message.from_wire(request, keyring={dns.name.from_text("k1.test"): oracle()})
    )
    answer.use_tsig(oracle())
    answer.request_mac = mac
    packet = answer.to_wire()
    record = trailing_tsig(packet)
    assert record is not None
    assert tsig.genuine_reply(packet, record, key(), mac)
    assert not tsig.genuine_reply(packet, record, key(), mac[:-1] + b"x")
    assert not tsig.genuine_reply(packet, record, key(name="k2.test"), mac)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_the_size_of_a_signature_is_known_before(algorithm: str) -> None:
    """So that a reply over UDP is truncated before it is signed."""
    message = wire.message(9, 0, wire.question("zone.test", wire.SOA))
    signer = Signer(key(algorithm))
    assert len(signer.sign(message, AT)) == len(message) + signer.size


def test_secrets_are_not_printed() -> None:
    """A key in a traceback or log shows its name only."""
    assert "secret" not in repr(key())
