"""dnsmasq 2.73–2.92 and Pi-hole FTL: queries, answers, blocks, leases; from files, stderr, syslog, OpenWrt's logread.

Never: believes the middle of a line. dnsmasq prints names raw, spaces included, so ``query[A] x from 6.6.6.6 from
127.0.0.1`` is one odd name asked by 127.0.0.1 (log_formats §0.3): lines are read from the right, and with
``log-queries=extra`` or ``proto`` the client comes from the prefix, which no name can reach. A line cut at 1023 bytes
may have lost the end of its client's address (§0.4) and is not trusted. Grammar: log_formats §2; Pi-hole: §2.6.
Read next: ``core/logs/formats.py``.

The usual lines (query, answer of one address, forwarded; a name without spaces; in dnsmasq's own file) are each read by
one possessive expression; every other line takes the way through its prefix, about twice as long.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

from dnswatch.core.logs import fields, prefixes
from dnswatch.core.logs.timestamps import NO_STAMP, Stamps
from dnswatch.core.model import Event, Lease, Notice, Query, Transport, Verdict, Weird

_ADDRESS = rb"[0-9A-Fa-f.:]{2,45}+"
_OWN = rb"([A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d) dnsmasq\[\d++\]: "  # as written to log-facility=/file
_SERIAL = rb"(?:(UDP|TCP) )?+(?:(\d{1,11}|\*) (?:(" + _ADDRESS + rb")(?:%[^ /]++)?+/(\d{1,5}) )?+)?+"
_PLAIN = rb"(?:query|auth)\[([^ \]]++)\] ([^ ]++) from (" + _ADDRESS + rb")\Z"
_OWN_QUERY = re.compile(_OWN + _SERIAL + _PLAIN)
_QUERY = re.compile(_SERIAL + _PLAIN)
_OWN_PREFIX = re.compile(_OWN)
_ANSWERED = rb"(?:reply|cached|cached-stale|auth) ([^ ]++) is (" + _ADDRESS + rb")\Z"
_REPLY = re.compile(_SERIAL + _ANSWERED)
_OWN_REPLY = re.compile(_OWN + _SERIAL + _ANSWERED)
_OWN_FORWARDED = re.compile(_OWN + _SERIAL + rb"forwarded ")
_BARE = re.compile(rb"(dnsmasq(?:-[a-z]+)?)(?:\[(\d++)\])?: ")  # -k on stderr, -d: no time
_TAG = re.compile(rb"(?:[\w.-]+/)*dnsmasq(?:-[a-z]+)?\Z")
_PREFIX = re.compile(_SERIAL)
_ASKED = re.compile(rb"(?:query|auth)(?:\[([^ \]]++)\])? (.*) from ([0-9A-Fa-f.:]+)(?:%[^ ]++)?\Z", re.DOTALL)
_SOURCE = re.compile(rb"(reply|cached-stale|cached|config|auth|DHCP) ")
_BLOCK = re.compile(  # Pi-hole's reasons (log_formats §2.6), v4 lists included
    rb"(?:(?:gravity blocked|exactly (?:denied|blacklisted)|regex (?:denied|blacklisted))(?: \(CNAME\))?"
    rb"|special domain|Mozilla canary domain|Apple iCloud Private Relay domain|Designated Resolver domain"
    rb"|blocked upstream with .*|to be (?:refused|dropped|blocked) \(gravity database is not available\)"
    rb"|/etc/pihole/(?:gravity|black|blacklist|regex)\.list|Rate-limiting) ([^ ]+) is (.*)\Z"
)
_LOCAL = re.compile(rb"(?:Pi-hole hostname|/.*) ([^ ]+) is (.*)\Z")  # Pi-hole itself, a hosts file
_MARK = re.compile(rb" \((?:DNSSEC signed|EDE: .*)\)\Z")
_DATA = re.compile(
    rb"<[A-Z0-9-]+>|NXDOMAIN(?:-IPv[46])?|NODATA(?:-IPv[46])?|SERVFAIL|REFUSED|FORMERR|not implemented|\d{1,5}"
    rb"|duplicate|no DS/cut|(?:DS for|DNSKEY) keytag .*|[0-9A-Fa-f.:]{2,45}\Z"
)
_ACK = re.compile(
    rb"(?:\d+ )?DHCP(?:ACK|REPLY)\([^ )]*\) (" + _ADDRESS + rb") ([0-9A-Fa-f:-]++)(?: ([A-Za-z0-9_.-]{1,253}))?(?: |\Z)"
)
_OVERFLOW = re.compile(rb"overflow: (\d{1,11}) log entries lost\Z")
_ANCHOR = re.compile(rb"time (\d{1,11})\Z")
_START = re.compile(rb"started, version [^ ]++ (?:cache|DNS)")
_REBIND = re.compile(rb"possible DNS-rebind attack detected: (.*)\Z", re.DOTALL)
_ASKING = re.compile(rb"(?:query|auth)[\[ ]")

_MAC = re.compile(r"(?:[0-9a-f]{2}-)?((?:[0-9a-f]{2}:){5}[0-9a-f]{2})\Z")  # "06-": a hardware type other than Ethernet
_DUID = re.compile(r"(?:00:01:00:01(?::[0-9a-f]{2}){4}|00:03:00:01):((?:[0-9a-f]{2}:){5}[0-9a-f]{2})\Z")
_ACTION = {"NXDOMAIN": "nxdomain", "NODATA": "nodata", "REFUSED": "refused", "CNAME": "cname"}
_TRANSPORT: dict[bytes | None, Transport] = {None: "", b"UDP": "udp", b"TCP": "tcp"}
_new = tuple.__new__  # see ``bind.py``
_NO_NAME = (b"error", b"query", b"result")  # words that dnsmasq puts where the name would be (log_formats §2.2, §2.3)
_UNPRINTABLE = b"<name unprintable>"
_WHOLE_LINE = 1023
"""Bytes after which dnsmasq cuts a line (MAX_MESSAGE less its newline, log_formats §0.4)."""

_DATAGRAM = _WHOLE_LINE - len(b"<134>Nov 22 19:26:10 ")
"""The same limit for what follows the stamp of a syslog datagram; facilities have two or three digits."""

_NAME_TEXT = 253
"""Longest name in text form without its final dot (RFC 1035 §2.3.4); dnsmasq itself lets longer ones pass (§0.4)."""


class _Line(NamedTuple):
    """A line behind its prefix: what every event of it needs."""

    at: float
    client: str
    port: int
    serial: int
    transport: Transport
    extra: bool  # a serial precedes the record: the client is known, or it is dnsmasq's own DNSSEC sub-query
    cut: bool  # at dnsmasq's limit: the end is missing
    line: bytes
    offset: int

    def weird(self, why: str) -> Weird:
        return Weird(self.at, why, self.client, self.line, self.offset)


class DnsmasqParser:
    """Reads lines of dnsmasq and of the dnsmasq inside Pi-hole FTL."""

    name = "dnsmasq"
    literals: tuple[bytes, ...] = (
        b"<name unprintable>",
        b"DHCPACK(",
        b"DHCPREPLY(",
        b"overflow: ",
        b"started, version ",
        b"exiting on receipt of ",
        b"]: time ",
        b"DNS-rebind attack detected",
    )
    tails: tuple[bytes, ...] = (b" from ", b" is ")

    example = b"Nov 22 19:23:16 dnsmasq[7607]: query[A] www.example.test from 192.0.2.7"

    def __init__(self, stamps: Stamps) -> None:
        self.stamps = stamps

    def parse(self, line: bytes, offset: int) -> Event | None:
        """Turn a line into an event; None for what has nothing for us (forwarded, validation, reverse answers …)."""
        found = _OWN_QUERY.match(line)
        usual = _usual_query
        if found is None and (found := _OWN_REPLY.match(line)) is not None:
            usual = _usual_reply
        if found is not None:
            second, *groups = found.groups()
            at = self.stamps.read(second)
            if at is not None and len(line) < _WHOLE_LINE and (event := usual(at, groups, line, offset)) is not None:
                return event
        elif found := _OWN_FORWARDED.match(line):  # a fifth of the lines that are sampled for health
            second, _, _, asker, _ = found.groups()
            if self.stamps.read(second) is not None and (asker is None or fields.address(asker) is not None):
                return None
        return self._other(line, offset)

    @staticmethod
    def probe(line: bytes) -> bool:
        """Say whether a line is dnsmasq's: its tag stands where a program's tag belongs."""
        line = line.lstrip(b"\0")
        head = prefixes.header(line)
        return _TAG.match(head.tag) is not None if head is not None else _BARE.match(line) is not None

    def _other(self, line: bytes, offset: int) -> Event | None:
        """Read any line: its prefix, then the usual query or answer in place, else the record from its right end."""
        text = line.lstrip(b"\0").removesuffix(b"\r")
        at: float | None
        dhcp = bare = False
        if found := _OWN_PREFIX.match(text):
            at, start, cut = self.stamps.read(found[1]), found.end(), len(text) >= _WHOLE_LINE
        elif head := prefixes.header(text):
            if not _TAG.match(head.tag):
                return None  # another program's line in a shared file
            at, start, dhcp = head.at(self.stamps), head.end, head.tag.endswith(b"-dhcp")
            written = len(head.tag) + len(head.pid) + 4 + len(text) - start  # "tag[pid]: message", as dnsmasq sent it
            cut = written >= _DATAGRAM if head.relayed else len(text) >= _WHOLE_LINE
        elif found := _BARE.match(text):
            at, start, cut, bare = self.stamps.read(None), found.end(), len(text) >= _WHOLE_LINE, True
            dhcp = found[1].endswith(b"-dhcp")
        else:
            return Weird(0.0, "unreadable line", "", line, offset) if text else None
        if at is None:
            return Weird(0.0, NO_STAMP if bare else "unreadable stamp", "", line, offset)
        if dhcp:
            return _lease(at, text[start:], line, offset)
        if not cut:
            if (found := _QUERY.match(text, start)) and (event := _usual_query(at, found.groups(), line, offset)):
                return event
            if (found := _REPLY.match(text, start)) and (event := _usual_reply(at, found.groups(), line, offset)):
                return event
        return self._record(at, text, start, cut, line, offset)

    def _record(self, at: float, text: bytes, start: int, cut: bool, line: bytes, offset: int) -> Event | None:
        """Read what stands behind the prefix, whatever it is."""
        prefix = _PREFIX.match(text, start)
        assert prefix is not None  # every part of it is optional
        proto, serial, asker, port = prefix.groups()
        client = fields.address(asker) if asker else ""
        if client is None:
            return Weird(at, "bad client address", "", line, offset)
        place = _Line(at, client, int(port or b"0"), _number(serial), _TRANSPORT[proto], serial is not None, cut, line,
                      offset)  # fmt: skip
        record = text[prefix.end() :]
        if _ASKING.match(record) and (event := _query(place, record)) is not None:
            return event
        if not client and (event := self._notice(place, text[start:])) is not None:
            return event
        return _answer(place, record)

    def _notice(self, place: _Line, message: bytes) -> Event | None:
        """Read what dnsmasq says of itself; whole messages only, for on SIGUSR1 lines begin with cached names."""
        said = message.decode("ascii", "backslashreplace")
        if found := _OVERFLOW.match(message):
            return Notice(place.at, "overflow", said, int(found[1]), place.line, place.offset)
        if found := _ANCHOR.match(message):
            self.stamps.settle(float(found[1]))
            return Notice(place.at, "anchor", said, int(found[1]), place.line, place.offset)
        if _START.match(message):
            return Notice(place.at, "start", said, 0, place.line, place.offset)
        if message.startswith(b"exiting on receipt of "):
            return Notice(place.at, "stop", said, 0, place.line, place.offset)
        if found := _REBIND.match(message):
            name = fields.raw(found[1]) if len(found[1]) <= _NAME_TEXT else None
            return Notice(place.at, "rebind", name or "", 0, place.line, place.offset)
        return None


def _usual_query(at: float, groups: Sequence[Any], line: bytes, offset: int) -> Event | None:
    """Build the query of a name without spaces; None sends the line the long way, which says what is odd about it."""
    proto, serial, asker, port, qtype, qname, sender = groups
    name = fields.raw(qname) if len(qname) <= _NAME_TEXT else None
    client = fields.address(asker or sender)
    if name is None or client is None or (asker is None and serial is not None):
        return None
    number = 0 if serial is None else _number(serial)
    return _new(Query, (at, client, int(port or b"0"), name, fields.qtype(qtype), _TRANSPORT[proto], "", number, line,
                        offset))  # fmt: skip


def _usual_reply(at: float, groups: Sequence[Any], line: bytes, offset: int) -> Event | None:
    """Build the answer of one address to a name without spaces; None sends the line the long way."""
    _, serial, asker, port, qname, data = groups
    name = fields.raw(qname) if len(qname) <= _NAME_TEXT else None
    client = fields.address(asker) if asker else ""
    answer = fields.address(data)
    if name is None or client is None or answer is None or (asker is None and serial is not None):
        return None
    if fields.address(qname) is not None or qname in _NO_NAME:
        return None
    return _new(Verdict, (at, client, int(port or b"0"), name, "", _number(serial), "answer", "NOERROR", False, "",
                          (answer,), line, offset))  # fmt: skip


def _number(serial: bytes | None) -> int:
    return int(serial) if serial and serial != b"*" else 0


def _query(place: _Line, record: bytes) -> Event | None:
    """Read a query from its right end; None when it is an answer of the source ``auth`` after all."""
    if place.cut and not place.client:
        return place.weird("truncated line")  # even its right end is not what dnsmasq meant to write
    found = _ASKED.match(record)
    if found is None:
        if place.cut:
            return place.weird("truncated line")
        return None if record.startswith(b"auth ") else place.weird("unreadable line")
    qtype, qname, sender = found.groups()
    if not place.extra:
        client = fields.address(sender)
        if client is None:
            return place.weird("bad client address")
        place = place._replace(client=client)
    if place.cut:
        return place.weird("truncated line")
    name = _named(place, qname)
    if isinstance(name, Weird):
        return name
    return Query(
        place.at, place.client, place.port, name, fields.qtype(qtype or b"TYPE0"), place.transport, "", place.serial,
        place.line, place.offset,
    )  # fmt: skip


def _named(place: _Line, qname: bytes) -> str | Weird:
    """Give the canonical name, or why there is none; the client stays known, so that it can be counted."""
    if qname == _UNPRINTABLE:
        return place.weird("unprintable name")
    if len(qname) > _NAME_TEXT:
        return place.weird("name too long")
    return fields.raw(qname) or place.weird("bad name")


def _answer(place: _Line, record: bytes) -> Event | None:
    """Read an answer: ``source NAME is DATA``. None for reverse answers, text, and everything that is no answer."""
    if place.extra and not place.client:
        return None  # dnsmasq's own DNSSEC sub-query
    blocked = False
    limited = record.startswith(b"Rate-limiting ")
    if found := _SOURCE.match(record):
        split = _split(record[found.end() :])
        blocked = found[1] == b"config"
    elif found := _BLOCK.match(_unmarked(record)):
        split, blocked = (found[1], found[2]), True
    elif found := _LOCAL.match(_unmarked(record)):
        split = (found[1], found[2])
    else:
        return None
    if split is None or place.cut:
        return None  # what is cut here was cut in its query's line too, which was reported with the client
    qname, data = split
    if data in (b"duplicate", b"no DS", b"no DS/cut") or qname in _NO_NAME or fields.address(qname) is not None:
        return None  # nothing about a name, or the answer to a reverse look-up: address left, host name right
    if qname == _UNPRINTABLE or len(qname) > _NAME_TEXT:
        return None  # its query was reported already, with the client
    name = fields.raw(qname)
    if b" " in qname or name is None:
        return place.weird("ambiguous answer")  # an odd name or text made to look so (log_formats §2.4)
    rcode, addresses = _meaning(data)
    kind: Literal["answer", "rewrite", "denied"] = "answer"
    if limited:
        kind = "denied"
    elif blocked or (addresses in (("0.0.0.0",), ("::",)) and record.startswith(b"/")):
        kind, rcode = "rewrite", _ACTION.get(rcode, "local-data")
        if record.startswith(b"to be dropped"):
            rcode = "drop"
    return Verdict(place.at, place.client, place.port, name, "", place.serial, kind, rcode, False, "", addresses,
                   place.line, place.offset)  # fmt: skip


def _unmarked(record: bytes) -> bytes:
    """Take off what dnsmasq adds behind the data: ``(DNSSEC signed)``, ``(EDE: …)``."""
    return _MARK.sub(b"", record) if record.endswith(b")") else record


def _split(rest: bytes) -> tuple[bytes, bytes] | None:
    """Split ``NAME is DATA`` where both sides are attacker-influenced (log_formats §2.4): closed-set data first."""
    rest = _unmarked(rest)
    name, middle, data = rest.rpartition(b" is ")
    if middle and _DATA.fullmatch(data):
        return name, data
    name, middle, data = rest.partition(b" is ")
    return (name, data) if middle else None


def _meaning(data: bytes) -> tuple[str, tuple[str, ...]]:
    """Give an answer's result code (NODATA beside the RFC's) and its address; other data is opaque and left out."""
    found = fields.address(data)
    if found is not None:
        return "NOERROR", (found,)
    text = data.decode("ascii", "backslashreplace")
    if text.startswith(("NXDOMAIN", "NODATA")):
        return text.partition("-")[0], ()
    if text in ("SERVFAIL", "REFUSED", "FORMERR"):
        return text, ()
    if text == "not implemented":
        return "NOTIMP", ()
    return ("CNAME" if text == "<CNAME>" else "NOERROR"), ()


def _lease(at: float, message: bytes, line: bytes, offset: int) -> Event | None:
    """Read DHCPACK and DHCPREPLY. The host name is the client's own word: only a plain DNS name is kept."""
    found = _ACK.match(message)
    if found is None:
        return None
    address = fields.address(found[1])
    if address is None:
        return Weird(at, "bad client address", "", line, offset)
    name = (fields.raw(found[3]) or "") if found[3] else ""
    return Lease(at, address, name, _mac(found[2].decode("ascii").lower()), None, offset)


def _mac(text: str) -> str:
    """Give the MAC of a DHCPv4 line, or the one inside a DUID-LLT or DUID-LL (RFC 8415 §11.2, §11.4); else nothing."""
    found = _MAC.match(text) or _DUID.match(text)
    return found[1] if found else ""
