"""Bytes of lease and hosts files → `Lease` values: dnsmasq, Kea memfile (CSV), ISC dhcpd.leases, hosts.

DHCP servers rewrite these files under the reader, so a half line is normal: what parses is returned, the rest counted.
Never: reads files, merges holders over time (``identity.py``). Formats: dnsmasq src/lease.c (log_formats §2.5), Kea
ARM §memfile, dhcpd.leases(5), hosts(5). Read next: ``identity.py``.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from ipaddress import IPv6Address
from typing import Literal

from dnswatch.core.clients.who import clean_mac, clean_name, parse_address
from dnswatch.core.model import Lease

LeaseFormat = Literal["dnsmasq", "kea", "isc", "hosts"]
NEVER = 253_402_300_800.0
"""The end of a lease that a file says has none: the year 10000. An unknown end (a log line) is None, and not believed
for ever."""
LEASE_FORMATS: tuple[LeaseFormat, ...] = ("dnsmasq", "kea", "isc", "hosts")

_KEA_HEADER = re.compile(rb"address,(?:hwaddr|duid),")
_ISC = re.compile(rb"^\s*(?:lease\s+\S+\s*\{|ia-(?:na|ta)\s|server-duid\s|authoring-byte-order\s|"
                  rb"#.*dhcpd\.leases)", re.MULTILINE)  # fmt: skip
_DNSMASQ = re.compile(rb"^(?:\d+ \S+ [0-9a-fA-F.:]+ \S+ \S+|duid [0-9a-fA-F:]+)\s*$", re.MULTILINE)
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{};]|#[^\n]*|[^\s{};"#]+', re.DOTALL)
_KEA_ESCAPE = re.compile(r"&#x([0-9a-fA-F]{2})")


def parse_leases(kind: LeaseFormat, data: bytes, now: float) -> list[Lease]:
    """Give the leases of a file in the order of their lines; ``now`` is when it was read.

    The start of a dnsmasq lease is not in its file: ``at`` is ``now``, so that earlier lines blame nobody. Entries of
    hosts files are static: ``at`` 0, no end.
    """
    return read_leases(kind, data, now)[0]


def read_leases(kind: LeaseFormat, data: bytes, now: float) -> tuple[list[Lease], int]:
    """As `parse_leases`, with the number of lines (ISC: blocks) that could not be read."""
    found: list[Lease] = []
    skipped = 0
    for item in _READERS[kind](data, now):
        if item is None:
            skipped += 1
        else:
            found.append(item)
    return found, skipped


def detect_lease_format(data: bytes) -> LeaseFormat | None:
    """Say which format a file has by its contents; None when nothing tells (an empty file, say)."""
    if _KEA_HEADER.match(data):
        return "kea"
    if _ISC.search(data[:65536]):
        return "isc"
    if _DNSMASQ.search(data[:65536]):
        return "dnsmasq"
    for line in data[:65536].split(b"\n"):
        fields = line.partition(b"#")[0].split()
        if fields:
            return "hosts" if len(fields) > 1 and parse_address(_text(fields[0])) is not None else None
    return None


def _text(raw: bytes) -> str:
    return raw.decode("latin-1")  # names that are not ASCII are dropped anyway


def _whole_lines(data: bytes) -> tuple[list[str], int]:
    """Split into lines; an unfinished last one is still being written: it is left out and counted."""
    lines = _text(data).split("\n")
    return lines[:-1], 1 if lines[-1] else 0


def _dnsmasq(data: bytes, now: float) -> Iterator[Lease | None]:
    """``expiry mac address hostname|* clientid|*``, then ``duid …``, then ``expiry [T]iaid address host|* duid``."""
    lines, cut = _whole_lines(data)
    yield from (None,) * cut
    for line in lines:
        fields = line.split(" ")
        if line == "" or fields[0] == "duid":
            continue
        address = parse_address(fields[2]) if len(fields) >= 4 else None
        if address is None or not fields[0].isdigit() or len(fields[0]) > 12:
            yield None
            continue
        expiry = int(fields[0])
        until = float(expiry) if expiry else NEVER
        if until <= now:
            continue
        v6 = isinstance(address, IPv6Address)
        mac = _mac_of_duid(fields[4] if len(fields) > 4 else "") if v6 else clean_mac(fields[1].rpartition("-")[2])
        yield Lease(now, str(address), clean_name(fields[3]), mac, until)


def _mac_of_duid(duid: str) -> str:
    """Give the Ethernet address within a DUID-LLT or DUID-LL (RFC 8415 §11.2, §11.4), or ""."""
    octets = duid.lower().split(":")
    if octets[:4] == ["00", "01", "00", "01"] and len(octets) == 14:
        return clean_mac(":".join(octets[8:]))
    if octets[:4] == ["00", "03", "00", "01"] and len(octets) == 10:
        return clean_mac(":".join(octets[4:]))
    return ""


def _kea(data: bytes, now: float) -> Iterator[Lease | None]:
    """A journal of CSV rows under a header; the last row of an address counts. State 0 is a lease that is held."""
    lines, cut = _whole_lines(data)
    yield from (None,) * cut
    if not lines:
        return
    header = lines[0].split(",")
    last: dict[str, Lease] = {}
    bad = 0
    for line in lines[1:]:
        if not line or line == lines[0]:
            continue
        try:
            row = dict(zip(header, next(csv.reader([line])), strict=False))
            address, expire, lifetime = parse_address(row["address"]), int(row["expire"]), int(row["valid_lifetime"])
            state, kind = int(row.get("state") or 0), int(row.get("lease_type") or 0)
        except (KeyError, ValueError, csv.Error, StopIteration):
            bad += 1
            continue
        if address is None or expire > 1 << 40:
            bad += 1
        elif kind == 2:  # IA_PD: a prefix, which is no host's address
            continue
        elif state != 0 or lifetime == 0:  # declined, reclaimed, released; or deleted, which is written as lifetime 0
            last.pop(str(address), None)
        else:
            name = clean_name(_KEA_ESCAPE.sub(lambda found: chr(int(found[1], 16)), row.get("hostname", "")))
            mac = clean_mac(row.get("hwaddr", "")) or _mac_of_duid(row.get("duid", ""))
            infinite = lifetime == 0xFFFFFFFF
            at = now if infinite else float(expire - lifetime)
            last.pop(str(address), None)
            last[str(address)] = Lease(at, str(address), name, mac, NEVER if infinite else float(expire))
    yield from (None,) * bad
    yield from last.values()


def _isc(data: bytes, now: float) -> Iterator[Lease | None]:
    """A journal of ``lease ADDRESS { … }`` and ``ia-na "…" { iaaddr ADDRESS { … } }``: last block of each counts."""
    tokens = [token for token in _TOKEN.findall(_text(data)) if not token.startswith("#")]
    last: dict[str, Lease] = {}
    bad, i = 0, 0
    duid_mac = ""
    while i < len(tokens):
        word = tokens[i]
        if word in ("ia-na", "ia-ta") and i + 2 < len(tokens) and tokens[i + 2] == "{":
            duid_mac = _mac_of_ia(tokens[i + 1])
            i += 3
        elif word in ("lease", "iaaddr") and i + 2 < len(tokens) and tokens[i + 2] == "{":
            statements, after = _block(tokens, i + 3)
            if after is None:  # the end of the block has not been written yet
                bad += 1
                break
            address = parse_address(tokens[i + 1])
            if address is None:
                bad += 1
            else:
                last.pop(str(address), None)
                lease = _isc_lease(str(address), statements, duid_mac if word == "iaaddr" else "", now)
                if lease is not None:
                    last[str(address)] = lease
            i = after
        else:
            i += 1
    yield from (None,) * bad
    yield from last.values()


def _block(tokens: list[str], i: int) -> tuple[dict[str, list[str]], int | None]:
    """Collect the statements up to the closing brace: first word → other words; None when there is no brace."""
    statements: dict[str, list[str]] = {}
    words: list[str] = []
    depth = 1
    while i < len(tokens):
        token = tokens[i]
        i += 1
        if token == "{":
            depth += 1
        elif token == "}":
            depth -= 1
            if depth == 0:
                return statements, i
        elif token == ";":
            if words and depth == 1:
                statements[" ".join(words[:2]) if words[0] in ("binding", "hardware") else words[0]] = words
            words = []
        else:
            words.append(token)
    return statements, None


def _isc_lease(address: str, statements: dict[str, list[str]], mac: str, now: float) -> Lease | None:
    """Make a lease of a block that says it is held; None for a free, expired, released or abandoned one."""
    if statements.get("binding state", ["", "", ""])[-1] != "active":
        return None
    hardware = statements.get("hardware ethernet", [])
    name = statements.get("client-hostname", ["", ""])[-1].strip('"')
    ends = statements.get("ends", [])
    began = _isc_time(statements.get("starts", [])) or _isc_time(statements.get("cltt", []))
    until = NEVER if "never" in ends else _isc_time(ends)
    if until is None:
        return None
    return Lease(began if began is not None else now, address, clean_name(name),
                 clean_mac(hardware[-1]) if hardware else mac, until)  # fmt: skip


def _isc_time(words: list[str]) -> float | None:
    """Read ``starts 4 2026/11/19 10:00:00`` (UTC) or ``starts epoch 1795375535`` (dhcpd.leases(5))."""
    try:
        if words[1:2] == ["epoch"]:
            return float(int(words[2]))
        return datetime.strptime(" ".join(words[2:4]), "%Y/%m/%d %H:%M:%S").replace(tzinfo=UTC).timestamp()
    except (IndexError, ValueError):
        return None


def _mac_of_ia(quoted: str) -> str:
    """Give the MAC within the IAID and DUID that head an ia-na block: octets as characters, or ``\\ooo`` in octal."""
    written = re.finditer(r"\\([0-7]{3})|\\(.)|(.)", quoted.strip('"'), re.DOTALL)
    octets = [int(found[1], 8) if found[1] else ord(found[2] or found[3]) for found in written]
    return _mac_of_duid(":".join(f"{octet & 0xFF:02x}" for octet in octets[4:]))


def _hosts(data: bytes, now: float) -> Iterator[Lease | None]:
    """``address name [alias …] [# comment]``; the first name is the host's (hosts(5))."""
    for line in _text(data).split("\n"):
        fields = line.partition("#")[0].split()
        if not fields:
            continue
        address = parse_address(fields[0])
        name = clean_name(fields[1]) if len(fields) > 1 else ""
        if address is None or not name:
            yield None
        elif not (address.is_unspecified or address.is_multicast):  # blocklists, ip6-allnodes
            yield Lease(0.0, str(address), name, "", None)


_READERS: dict[LeaseFormat, Callable[[bytes, float], Iterator[Lease | None]]] = {
    "dnsmasq": _dnsmasq,
    "hosts": _hosts,
    "isc": _isc,
    "kea": _kea,
}
