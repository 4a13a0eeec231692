"""Makes dnstap frames, for tests: what a server would send, and what none would."""

import ipaddress
from typing import Any

from dnslib import AAAA, CNAME, QTYPE, RR, SOA, A, DNSHeader, DNSQuestion, DNSRecord

from dnswatch.core.dnstap.frames import START, STOP, control

CLIENT_QUERY, CLIENT_RESPONSE, RESOLVER_QUERY = 5, 6, 3
AT = 1_795_376_078.25


def varint(number: int) -> bytes:
    octets = bytearray()
    while number > 0x7F:
        octets.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes((*octets, number))


def field(number: int, value: int | bytes, *, fixed: bool = False) -> bytes:
    """One field of a message."""
    if isinstance(value, bytes):
        return varint(number << 3 | 2) + varint(len(value)) + value
    return varint(number << 3 | 5) + value.to_bytes(4, "little") if fixed else varint(number << 3) + varint(value)


def frame(data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + data


def query(qname: str, qtype: str = "A") -> bytes:
    """A query message."""
    record = DNSRecord.question(qname, qtype)
    record.header.id = 7  # a random one would name the same test differently each time
    return bytes(record.pack())


def response(qname: str, qtype: str = "A", *answers: str, rcode: int = 0, policy_zone: str = "") -> bytes:
    """A response message; answers are addresses or names."""
    record = DNSRecord(DNSHeader(id=7, qr=1, ra=1, rcode=rcode), q=DNSQuestion(qname, getattr(QTYPE, qtype)))
    for text in answers:
        if ":" in text:
            record.add_answer(RR(qname, QTYPE.AAAA, rdata=AAAA(text)))
        elif text[0].isdigit():
            record.add_answer(RR(qname, QTYPE.A, rdata=A(text)))
        else:
            record.add_answer(RR(qname, QTYPE.CNAME, rdata=CNAME(text)))
    if policy_zone:
        record.add_ar(RR(policy_zone, QTYPE.SOA, rdata=SOA("localhost", "root.localhost", (1, 2, 3, 4, 5))))
    return bytes(record.pack())


def tap(message: bytes, kind: int = CLIENT_QUERY, client: str = "10.0.0.7", at: float = AT, **more: Any) -> bytes:
    """A data frame about a message. ``more``: port, protocol, server, extra (further fields of Message)."""
    seconds, nano = int(at), round((at - int(at)) * 1e9)
    inner = field(1, kind) + field(3, more.get("protocol", 1)) + field(6, more.get("port", 4711))
    if client:
        inner += field(4, ipaddress.ip_address(client).packed)
    if server := more.get("server"):
        inner += field(5, ipaddress.ip_address(server).packed)
    when, nanos, what = (8, 9, 10) if kind % 2 else (12, 13, 14)
    if at:
        inner += field(when, seconds) + field(nanos, nano, fixed=True)
    inner += field(what, message) + more.get("extra", b"")
    return frame(field(1, b"ns1") + field(14, inner) + field(15, 1))


def stream(*frames: bytes) -> bytes:
    """A file or one-way connection."""
    return control(START) + b"".join(frames) + control(STOP)
