"""TSIG (RFC 8945): proves that a request comes from who holds a key, and signs every message of the reply.

HMAC-SHA-256, -384 and -512; SHA-1 and MD5 are not offered. Only the message id and the letter case of the two names
are outside what is signed. Never: a clock (``now`` is given), a clear text secret in any text. Read next:
``responder.py``.
"""

from __future__ import annotations

import hashlib
import hmac
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field

from dnswatch.core.feeds.request import TsigRecord
from dnswatch.core.feeds.wire import ANY_CLASS, HEADER, TSIG
from dnswatch.core.model import Name
from dnswatch.core.names import to_wire

_FIXED_PARTS = 10 + 10 + 6  # of the record (type, class, TTL, length), the timers and MAC size, the rest (§4.2)
FUDGE = 300
"""Seconds that two clocks may differ (RFC 8945 §10)."""
BADSIG, BADKEY, BADTIME, BADTRUNC = 16, 17, 18, 22
ALGORITHMS = {"hmac-sha256": hashlib.sha256, "hmac-sha384": hashlib.sha384, "hmac-sha512": hashlib.sha512}


@dataclass(frozen=True, slots=True)
class Key:
    """A shared secret and its name."""

    name: Name
    algorithm: str
    secret: bytes = field(repr=False)

    def mac(self, *parts: bytes) -> bytes:
        """Give the HMAC of what is signed."""
        return hmac.new(self.secret, b"".join(parts), ALGORITHMS[self.algorithm]).digest()


@dataclass(frozen=True, slots=True)
class Checked:
    """What verification found: the key, where it is known, and the error, 0 where the request is genuine."""

    key: Key | None
    error: int


def verify(packet: bytes, record: TsigRecord, keys: Mapping[Name, Key], now: float) -> Checked:
    """Check a request in the order of RFC 8945 §5.2: key, signature, time, truncation.

    Raises `ValueError` for a signature longer than the hash or shorter than half of it: FORMERR (§5.2.2.1).
    """
    key = keys.get(record.name)
    if key is None or record.algorithm != key.algorithm:
        return Checked(None, BADKEY)
    expected = key.mac(_signed_part(packet, record), _variables(record))
    if not max(10, len(expected) // 2) <= len(record.mac) <= len(expected):
        raise ValueError("the length of the signature is not legal")
    if not hmac.compare_digest(expected[: len(record.mac)], record.mac):
        return Checked(key, BADSIG)
    if abs(int(now) - record.at) > record.fudge:
        return Checked(key, BADTIME)
    return Checked(key, BADTRUNC if len(record.mac) < len(expected) else 0)


def genuine_reply(packet: bytes, record: TsigRecord, key: Key, request_mac: bytes) -> bool:
    """Say whether a single reply was signed with the key in answer to the request with this MAC."""
    if record.name != key.name or record.algorithm != key.algorithm:
        return False
    expected = key.mac(_prior(request_mac), _signed_part(packet, record), _variables(record))
    return hmac.compare_digest(expected, record.mac)


class Signer:
    """Signs the messages of one reply in their order, or one request of ours.

    The first covers the request's MAC and all variables; each later one the MAC before it and the timers (§5.3.1).
    """

    def __init__(self, key: Key, request_mac: bytes = b"") -> None:
        self.key = key
        self.mac = request_mac  # of the message before
        self._first = True

    @property
    def size(self) -> int:
        """Give how many octets signing adds to a message, but for the six of BADTIME."""
        names = len(to_wire(self.key.name)) + len(to_wire(self.key.algorithm))
        return names + len(self.key.mac()) + _FIXED_PARTS

    def sign(self, message: bytes, now: float, error: int = 0, time_of: TsigRecord | None = None) -> bytes:
        """Give the message with its TSIG record. ``time_of``: the request of a BADTIME reply (§5.2.3)."""
        at = time_of.at if time_of is not None else int(now)
        other = struct.pack("!HI", int(now) >> 32, int(now) & 0xFFFFFFFF) if error == BADTIME else b""
        id_ = HEADER.unpack_from(message)[0]
        unsigned = TsigRecord(len(message), self.key.name, self.key.algorithm, at, FUDGE, b"", id_, error, other)
        prior = _prior(self.mac) if self.mac else b""
        covered = _variables(unsigned) if self._first else _timers(unsigned)
        self.mac = self.key.mac(prior, message, covered)
        self._first = False
        return append(message, unsigned, self.mac)


def refuse(message: bytes, record: TsigRecord, error: int) -> bytes:
    """Add the unsigned TSIG record that answers BADKEY and BADSIG (§5.2.1, §5.2.2)."""
    id_ = HEADER.unpack_from(message)[0]
    answer = TsigRecord(0, record.name, record.algorithm, record.at, record.fudge, b"", id_, error, b"")
    return append(message, answer, b"")


def append(message: bytes, record: TsigRecord, mac: bytes) -> bytes:
    """Give the message with a TSIG record at its end."""
    id_, flags, asked, answers, authority, additional = HEADER.unpack_from(message)
    data = b"".join([
        to_wire(record.algorithm), _timers(record), struct.pack("!H", len(mac)), mac,
        struct.pack("!HHH", record.original_id, record.error, len(record.other)), record.other,
    ])  # fmt: skip
    header = HEADER.pack(id_, flags, asked, answers, authority, additional + 1)
    fixed = struct.pack("!HHIH", TSIG, ANY_CLASS, 0, len(data))
    return b"".join([header, message[HEADER.size :], to_wire(record.name), fixed, data])


def _signed_part(packet: bytes, record: TsigRecord) -> bytes:
    """Give the message as it was before it was signed: original id, one record less (§4.3.2)."""
    _, flags, asked, answers, authority, additional = HEADER.unpack_from(packet)
    header = HEADER.pack(record.original_id, flags, asked, answers, authority, additional - 1)
    return header + packet[HEADER.size : record.start]


def _variables(record: TsigRecord) -> bytes:
    """Give the TSIG variables (§4.3.3); names are canonical already."""
    return b"".join([
        to_wire(record.name), struct.pack("!HI", ANY_CLASS, 0), to_wire(record.algorithm), _timers(record),
        struct.pack("!HH", record.error, len(record.other)), record.other,
    ])  # fmt: skip


def _timers(record: TsigRecord) -> bytes:
    return struct.pack("!HIH", record.at >> 32, record.at & 0xFFFFFFFF, record.fudge)


def _prior(mac: bytes) -> bytes:
    return struct.pack("!H", len(mac)) + mac
