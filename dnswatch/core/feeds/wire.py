"""Rules as DNS records that do not depend on where they stand, and messages of at most 16 KiB around them.

Every message of a transfer repeats the question, so the zone's name always stands at offset 12 and each record is
``relative labels + C0 0C + fixed fields``: the same bytes in every zone and every message. AXFR and IXFR are
concatenation, and there is no compression table to get wrong (research rpz.md §1; dnslib corrupts names beyond
16 KiB). Never: decides what a zone holds, knows who asks. Read next: ``pages.py``.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from ipaddress import ip_address

from dnswatch.core.feeds.formats.rpz import EXPIRE, MINIMUM, REFRESH, RETRY, TTL
from dnswatch.core.model import Name, Rule
from dnswatch.core.names import MAX_LABEL, to_wire

A, NS, CNAME, SOA, AAAA, OPT, TSIG, IXFR, AXFR = 1, 2, 5, 6, 28, 41, 250, 251, 252
IN, ANY_CLASS = 1, 255
QR, AA, TC, RD = 0x8000, 0x0400, 0x0200, 0x0100
"""Flags of the header (RFC 1035 §4.1.1)."""
HEADER = struct.Struct("!6H")
BODY = 15 * 1024
"""Octets of records in one message: with header, question (≤ 271), OPT (11) and TSIG (≤ 370) it stays below 16 KiB,
where ioc2rpz caps too and which BIND, Unbound and PowerDNS all take (rpz.md §1)."""
UDP_PAYLOAD = 1232
"""What we announce in EDNS: fits an IPv6 packet that nobody fragments (DNS flag day 2020)."""

_APEX = b"\xc0\x0c"  # a pointer to the question's name
_FIXED = struct.Struct("!HHIH")
_TARGETS = {"nxdomain": b"\0", "nodata": b"\x01*\0", "passthru": b"\x0crpz-passthru\0"}
_TAILS = {action: _APEX + _FIXED.pack(CNAME, IN, TTL, len(data)) + data for action, data in _TARGETS.items()}
_LENGTHS = tuple(bytes((size,)) for size in range(MAX_LABEL + 1))
_LOCALHOST = to_wire("localhost")


def encode(rule: Rule) -> tuple[bytes, ...]:
    """Give the records of a rule.

    Triggers have no escapes: the guard lets letters, digits, ``-``, ``_`` and our own ``*.`` through, nothing else.
    """
    owner = b"".join([_LENGTHS[len(label)] + label for label in rule.trigger.encode("ascii").split(b".")])
    if rule.action != "address":
        return (owner + _TAILS[rule.action],)
    owner += _APEX
    addresses = [ip_address(address) for address in rule.addresses]
    return tuple(_record(owner, A if one.version == 4 else AAAA, one.packed) for one in addresses)


def soa(serial: int) -> bytes:
    """Give the SOA record of the zone in question."""
    timers = struct.pack("!5I", serial, REFRESH, RETRY, EXPIRE, MINIMUM)
    return _record(_APEX, SOA, _LOCALHOST + to_wire("hostmaster.localhost") + timers)


def ns() -> bytes:
    """Give the NS record of the zone in question; BIND refuses a zone without (rpz.md §5.1)."""
    return _record(_APEX, NS, _LOCALHOST)


def _record(owner: bytes, kind: int, data: bytes) -> bytes:
    return owner + _FIXED.pack(kind, IN, TTL, len(data)) + data


def opt(extended_rcode: int = 0) -> bytes:
    """Give our OPT record (RFC 6891 §6.1.2), with the upper bits of the rcode."""
    return b"\0" + _FIXED.pack(OPT, UDP_PAYLOAD, extended_rcode << 24, 0)


def question(name: Name, kind: int) -> bytes:
    """Encode a question of class IN."""
    return to_wire(name) + struct.pack("!HH", kind, IN)


def message(
    id_: int, flags: int, asked: bytes, answers: Iterable[bytes] = (), additional: Iterable[bytes] = ()
) -> bytes:
    """Put a message together. ``asked``: the question as it stands on the wire; empty where none could be read."""
    first, last = list(answers), list(additional)
    return b"".join([HEADER.pack(id_, flags, bool(asked), len(first), 0, len(last)), asked, *first, *last])
