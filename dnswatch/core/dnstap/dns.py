"""A DNS message as it was on the wire (RFC 1035 §4): its question, its code, the addresses in its answer.

Never: raises, follows a compression pointer forwards or twice, or repairs a name (``core/names.py`` rejects).
Read next: ``message.py``.
"""

from __future__ import annotations

import ipaddress
from functools import lru_cache
from typing import NamedTuple

from dnswatch.core import names
from dnswatch.core.model import Name

RCODES = ("NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED", "YXDOMAIN", "YXRRSET", "NXRRSET",
          "NOTAUTH", "NOTZONE")  # fmt: skip
QTYPES = {
    1: "A", 2: "NS", 5: "CNAME", 6: "SOA", 10: "NULL", 12: "PTR", 13: "HINFO", 15: "MX", 16: "TXT", 17: "RP",
    18: "AFSDB", 24: "SIG", 25: "KEY", 28: "AAAA", 29: "LOC", 33: "SRV", 35: "NAPTR", 36: "KX", 37: "CERT", 39: "DNAME",
    42: "APL", 43: "DS", 44: "SSHFP", 45: "IPSECKEY", 46: "RRSIG", 47: "NSEC", 48: "DNSKEY", 49: "DHCID", 50: "NSEC3",
    51: "NSEC3PARAM", 52: "TLSA", 53: "SMIMEA", 55: "HIP", 59: "CDS", 60: "CDNSKEY", 61: "OPENPGPKEY", 62: "CSYNC",
    63: "ZONEMD", 64: "SVCB", 65: "HTTPS", 99: "SPF", 108: "EUI48", 109: "EUI64", 249: "TKEY", 250: "TSIG", 251: "IXFR",
    252: "AXFR", 255: "ANY", 256: "URI", 257: "CAA",
}  # fmt: skip
"""IANA's registry of types, as BIND spells them; other numbers are ``TYPEn`` (RFC 3597 §5)."""
MOST_RECORDS = 64
"""Records of a section that are looked at: no real answer has more addresses, and a hostile one must end."""
MOST_DATA = 16
"""Addresses and names that are given on: more would only be cut later."""
_SOA = 6


class Question(NamedTuple):
    """What was asked, and the message it stood in."""

    qname: Name
    qtype: str
    rcode: str
    is_response: bool
    end: int  # of the question section


class Answer(NamedTuple):
    """What a response says."""

    data: tuple[str, ...]  # addresses and names
    policy_zone: Name  # owner of an SOA in the additional section: the response policy zone that made the answer


def question(message: bytes) -> Question | None:
    """Read the header and the one question of class IN; None for anything else (updates, other classes, damage)."""
    if len(message) < 17 or message[4:6] != b"\0\1" or message[2] & 0x78:  # QDCOUNT, OPCODE
        return None
    labels: list[bytes] = []
    at = 12
    while at < len(message) and (size := message[at]):
        if size > names.MAX_LABEL:  # the question cannot be compressed: nothing stands before it
            return None
        labels.append(message[at + 1 : at + 1 + size])
        at += 1 + size
    if at + 5 > len(message) or message[at + 3 : at + 5] != b"\0\1":
        return None
    qname = names.from_labels(labels) if labels else "."
    if qname is None:
        return None
    number = int.from_bytes(message[at + 1 : at + 3], "big")
    code = message[3] & 15
    rcode = RCODES[code] if code < len(RCODES) else f"RCODE{code}"
    return Question(qname, QTYPES.get(number) or f"TYPE{number}", rcode, message[2] > 0x7F, at + 5)


def answer(message: bytes, asked: Question) -> Answer:
    """Read what a response says; what is cut off or damaged says nothing."""
    data: list[str] = []
    zone: Name = ""
    at = asked.end
    counts = [int.from_bytes(message[i : i + 2], "big") for i in (6, 8, 10)]
    for section, count in enumerate(counts):
        for _ in range(min(count, MOST_RECORDS)):
            owner_at = at
            at = _after_name(message, at)
            if at < 0 or at + 10 > len(message):
                return Answer(tuple(data), zone)
            kind, size = int.from_bytes(message[at : at + 2], "big"), int.from_bytes(message[at + 8 : at + 10], "big")
            start = at + 10
            at = start + size
            if at > len(message):
                return Answer(tuple(data), zone)
            if section == 0 and len(data) < MOST_DATA:
                text = _text(message, kind, start, size)
                if text and text not in data:
                    data.append(text)
            elif section == 2 and kind == _SOA and not zone:
                zone = _name(message, owner_at) or ""
        if count > MOST_RECORDS:
            break
    return Answer(tuple(data), zone)


@lru_cache(maxsize=65_536)  # as ``core/logs/fields.py``: clients repeat
def address(octets: bytes) -> str:
    """Give an address in canonical text, v4-mapped IPv6 as IPv4; "" when it is none."""
    if len(octets) == 16 and octets.startswith(b"\0" * 10 + b"\xff\xff"):
        octets = octets[12:]
    if len(octets) == 4:
        return ".".join(map(str, octets))
    return str(ipaddress.IPv6Address(octets)) if len(octets) == 16 else ""


def _text(message: bytes, kind: int, start: int, size: int) -> str:
    """Give the data of an A, AAAA or CNAME record."""
    if (kind, size) in ((1, 4), (28, 16)):
        return address(message[start : start + size])
    return _name(message, start) or "" if kind == 5 else ""


def _after_name(message: bytes, at: int) -> int:
    """Give where a name ends, -1 when it does not."""
    while at < len(message):
        size = message[at]
        if size >= 0xC0:
            return at + 2
        if size > names.MAX_LABEL:
            return -1
        at += 1 + size
        if not size:
            return at
    return -1


def _name(message: bytes, at: int) -> Name | None:
    """Read a name, following compression pointers backwards only (RFC 1035 §4.1.4), so it must end."""
    labels: list[bytes] = []
    limit = at  # a pointer must lead before this
    while at < len(message):
        size = message[at]
        if size >= 0xC0:
            at = (size & 0x3F) << 8 | message[at + 1] if at + 1 < len(message) else limit
            if at >= limit:
                return None
            limit = at
            continue
        if not size:
            return names.from_labels(labels) if labels else "."
        if size > names.MAX_LABEL:
            return None
        labels.append(message[at + 1 : at + 1 + size])
        at += 1 + size
        if len(labels) > names.MAX_WIRE // 2:
            return None
    return None
