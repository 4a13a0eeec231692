"""The fields that every log format shares: client address, port, query type, name; text → canonical form, cached.

Never: keeps state that could change an answer: each cache is bounded and holds a pure function's results, because a
look-up costs about a tenth of the conversion (performance.md §3) and clients, types and watched names repeat.
Read next: ``core/logs/parsers/bind.py``.
"""

from __future__ import annotations

import ipaddress
import re
from functools import lru_cache
from typing import Literal

from dnswatch.core import names

ADDRESSES = 65_536
"""Clients remembered at once; emptied when full. A /16 fits: 12 MB, half of what an `lru_cache` takes for it."""

NAMES = 16_384
"""Names remembered at once. Candidates are watched names; spellings (0x20 mixing) and tenants are what varies."""

TYPES = 1_024
"""Query types and server addresses remembered at once: more than there are, short of a client counting TYPEn."""

_ADDRESS = re.compile(rb"[0-9A-Fa-f:.]+(?:%|\Z)")
_MNEMONIC = {64: "SVCB", 65: "HTTPS", 257: "CAA"}
"""Types that older servers print as numbers (BIND before 9.16.21, dnsmasq before 2.87): one spelling for joins."""


class _Addresses(dict[bytes, str | None]):
    """What addresses were found to be."""

    def __missing__(self, text: bytes) -> str | None:
        if len(self) >= ADDRESSES:
            self.clear()
        found = self[text] = _address(text)
        return found


def _address(text: bytes) -> str | None:
    if not _ADDRESS.match(text):  # what dnsmasq answers for may be an address; a failed conversion costs 2 µs
        return None
    try:
        found = ipaddress.ip_address(text.partition(b"%")[0].decode("ascii"))
    except ValueError:
        return None
    if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return str(found)


address = _Addresses().__getitem__
"""Gives an address in canonical text: IPv6 compressed, lower-case, without zone; v4-mapped IPv6 as IPv4."""


@lru_cache(maxsize=TYPES)
def server(text: bytes) -> str:
    """Give the address that was asked, without ``%zone`` and ``#port`` (BIND 9.21.5); empty when it is none."""
    return address(text.partition(b"#")[0]) or ""


@lru_cache(maxsize=TYPES)
def qtype(text: bytes) -> str:
    """Give a query type's mnemonic, ``TYPE65280`` where there is none; reads ``TYPE65``, ``type=65`` (RFC 3597 §5)."""
    number = text[5:] if text.startswith(b"type=") else text[4:] if text.upper().startswith(b"TYPE") else b""
    if number.isdigit() and len(number) <= 5:
        return _MNEMONIC.get(int(number), f"TYPE{int(number)}")
    return text.decode("ascii", "backslashreplace").upper()


def kind(rcode: str) -> Literal["answer", "denied", "failed"]:
    """Say what a result code means for a lookup: an answer, NXDOMAIN among them, or none given, or none found."""
    if rcode in ("NOERROR", "NXDOMAIN"):
        return "answer"
    return "denied" if rcode in ("REFUSED", "NOTAUTH") else "failed"


escaped = lru_cache(maxsize=NAMES)(names.from_escaped)
"""`names.from_escaped`, remembered: names as BIND logs them."""

raw = lru_cache(maxsize=NAMES)(names.from_raw)
"""`names.from_raw`, remembered: names as dnsmasq logs them."""
