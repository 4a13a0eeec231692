"""A DNS response in wire form, as AdGuard Home keeps it in its log → its result code and the addresses in it.

Never: follows a compression pointer (owner names do not matter here), so nothing in it can loop; raises; gives half of
what cannot be read to its end. Read next: ``core/logs/parsers/adguard.py``.
"""

from __future__ import annotations

import ipaddress
import struct
from typing import NamedTuple

RCODES = ("NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED", "YXDOMAIN", "YXRRSET", "NXRRSET",
          "NOTAUTH", "NOTZONE")  # fmt: skip
"""RFC 6895 §2.3; higher ones need EDNS and are no answers to a lookup."""

_HEAD = struct.Struct("!HHHHHH")
_RECORD = struct.Struct("!HHIH")
_IN, _A, _AAAA = 1, 1, 28
_QR = 0x8000


class Answers(NamedTuple):
    """What a response says."""

    rcode: str
    addresses: tuple[str, ...]  # of its answer section, in order


def read(wire: bytes) -> Answers | None:
    """Read a response; None when it is none, or does not hold what it announces."""
    try:
        _, flags, questions, records, _, _ = _HEAD.unpack_from(wire)
        if not flags & _QR:
            return None
        at = _HEAD.size
        for _ in range(questions):
            at = _behind_name(wire, at) + 4
        addresses = []
        for _ in range(records):
            at = _behind_name(wire, at)
            kind, group, _, size = _RECORD.unpack_from(wire, at)
            at += _RECORD.size + size
            if at > len(wire):
                return None
            if group == _IN and (kind, size) in ((_A, 4), (_AAAA, 16)):
                addresses.append(str(ipaddress.ip_address(wire[at - size : at])))
    except (struct.error, IndexError):
        return None
    return Answers(rcode(flags & 0x0F), tuple(addresses))


def rcode(number: int) -> str:
    """Give a result code's mnemonic."""
    return RCODES[number] if number < len(RCODES) else f"RCODE{number}"


def _behind_name(wire: bytes, at: int) -> int:
    """Give the offset behind a name. Raises `IndexError` where the message ends inside it, or at an unknown label."""
    while (size := wire[at]) != 0:
        if size >= 0xC0:  # a pointer ends a name (RFC 1035 §4.1.4)
            return at + 2
        if size >= 0x40:
            raise IndexError(at)
        at += 1 + size
    return at + 1
