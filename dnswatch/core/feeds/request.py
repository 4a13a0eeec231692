"""What a resolver asks: packet bytes → `Request`. Strict, bounded, and nothing but `Malformed` ever comes out.

Own reader on purpose: dnslib follows a chain of compression pointers recursively until Python gives up, reads label
type 0x80 as a length and rejects labels that are not UTF-8 (research rpz.md §1). A request needs a question, one SOA
(IXFR), OPT and TSIG, so anything with more records is malformed. Never: judges who asks. Read next: ``tsig.py``.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from dnswatch.core import names
from dnswatch.core.feeds.wire import ANY_CLASS, HEADER, IXFR, OPT, QR, SOA, TSIG
from dnswatch.core.model import Name

MOST = 4096
"""Octets of a request: a question, an SOA, OPT with padding and TSIG need less than half."""
_MOST_RECORDS = 4
_FIXED = struct.Struct("!HHIH")


class Malformed(ValueError):
    """Not a request that can be answered with anything but FORMERR."""


@dataclass(frozen=True, slots=True)
class TsigRecord:
    """A TSIG record (RFC 8945 §4.2) as it stands in a message."""

    start: int  # offset of the record: everything before it is what was signed
    name: Name
    algorithm: Name
    at: int
    fudge: int
    mac: bytes
    original_id: int
    error: int
    other: bytes


@dataclass(frozen=True, slots=True)
class Head:
    """The header of a packet."""

    id: int
    flags: int
    counts: tuple[int, int, int, int]

    @property
    def opcode(self) -> int:
        """Give the operation: 0 is a query, 4 NOTIFY."""
        return self.flags >> 11 & 15


@dataclass(frozen=True, slots=True)
class Request:
    """A well-formed query with one question."""

    head: Head
    asked: bytes  # the question as it stands on the wire: replies repeat it, letter case too
    qname: Name
    qtype: int
    qclass: int
    serial: int | None  # of the SOA in an IXFR's authority section
    payload: int | None  # EDNS: octets that fit the client's UDP reply; None = no EDNS
    version: int  # of EDNS
    tsig: TsigRecord | None


def head(packet: bytes) -> Head | None:
    """Read the header; None for what must not be answered at all: shorter than a header, or itself a reply."""
    if len(packet) < HEADER.size:
        return None
    id_, flags, *counts = HEADER.unpack_from(packet)
    return None if flags & QR else Head(id_, flags, (counts[0], counts[1], counts[2], counts[3]))


def parse(packet: bytes, header: Head) -> Request:
    """Read a query whose header is ``header``, or raise `Malformed`."""
    asked, answers, authority, additional = header.counts
    if asked != 1 or answers or authority + additional > _MOST_RECORDS or len(packet) > MOST:
        raise Malformed
    reader = _Reader(packet, HEADER.size)
    qname = reader.name(compressed=False)
    qtype, qclass = reader.fields("!HH")
    question = packet[HEADER.size : reader.at]
    serial = payload = tsig = None
    version = 0
    for i in range(authority + additional):
        if tsig is not None:  # must be the last one, and the only one (RFC 8945 §5.1)
            raise Malformed
        start = reader.at
        owner = reader.name()
        kind, class_, ttl, size = _FIXED.unpack(reader.take(_FIXED.size))
        data = reader.at
        reader.take(size)
        if i < authority:
            if qtype == IXFR and kind == SOA and owner == qname and serial is None:
                serial = _serial(packet, data, size)
        elif kind == OPT:
            if payload is not None or owner != ".":
                raise Malformed
            payload, version = class_, ttl >> 16 & 255
        elif kind == TSIG:
            if class_ != ANY_CLASS or ttl:
                raise Malformed
            tsig = _tsig(packet, start, owner, data)
    if reader.at != len(packet) or (qtype == IXFR and serial is None):
        raise Malformed
    return Request(header, question, qname, qtype, qclass, serial, payload, version, tsig)


def trailing_tsig(packet: bytes) -> TsigRecord | None:
    """Find the TSIG record that ends any well-formed message, a reply too; raises `Malformed`."""
    if len(packet) < HEADER.size:
        raise Malformed
    asked, *counts = HEADER.unpack_from(packet)[2:]
    reader = _Reader(packet, HEADER.size)
    for _ in range(asked):
        reader.name()
        reader.take(4)
    found = None
    for _ in range(sum(counts)):
        start = reader.at
        owner = reader.name()
        kind, _class, _ttl, size = _FIXED.unpack(reader.take(_FIXED.size))
        data = reader.at
        reader.take(size)
        found = _tsig(packet, start, owner, data) if kind == TSIG else None
    return found


def _serial(packet: bytes, data: int, size: int) -> int:
    reader = _Reader(packet, data)
    reader.name()
    reader.name()
    serial: int = reader.fields("!5I")[0]
    if reader.at != data + size:
        raise Malformed
    return serial


def _tsig(packet: bytes, start: int, name: Name, data: int) -> TsigRecord:
    """Read the record whose data begins at ``data`` and must end with the packet."""
    reader = _Reader(packet, data)
    algorithm = reader.name(compressed=False)
    high, low, fudge, mac_size = reader.fields("!HIHH")
    mac = reader.take(mac_size)
    original_id, error, other_size = reader.fields("!HHH")
    other = reader.take(other_size)
    if reader.at != len(packet):
        raise Malformed
    return TsigRecord(start, name, algorithm, high << 32 | low, fudge, mac, original_id, error, other)


class _Reader:
    """A place in a packet; reading past the end is `Malformed`."""

    def __init__(self, packet: bytes, at: int) -> None:
        self._packet = packet
        self.at = at

    def take(self, size: int) -> bytes:
        """Give the next ``size`` octets."""
        end = self.at + size
        if end > len(self._packet):
            raise Malformed
        taken = self._packet[self.at : end]
        self.at = end
        return taken

    def fields(self, form: str) -> tuple[int, ...]:
        """Give the next integers."""
        return struct.unpack(form, self.take(struct.calcsize(form)))

    def name(self, *, compressed: bool = True) -> Name:
        """Give the next name. Pointers lead backwards only, and 255 octets end it, so it always ends."""
        labels: list[bytes] = []
        size, at, after, limit = 1, self.at, 0, self.at
        while True:
            if at >= len(self._packet):
                raise Malformed
            length = self._packet[at]
            if length >= 0xC0:
                if not compressed or at + 1 >= len(self._packet):
                    raise Malformed
                target = (length & 0x3F) << 8 | self._packet[at + 1]
                if target >= limit or target < HEADER.size:
                    raise Malformed
                after = after or at + 2
                at = limit = target
                continue
            if length > names.MAX_LABEL:
                raise Malformed
            at += 1
            if not length:
                break
            size += length + 1
            if size > names.MAX_WIRE or at + length > len(self._packet):
                raise Malformed
            labels.append(self._packet[at : at + length])
            at += length
        self.at = after or at
        name = names.from_labels(labels) if labels else "."
        if name is None:
            raise Malformed
        return name
