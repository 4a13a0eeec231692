"""CoreDNS: the ``log`` plugin's common and combined formats, and the ``errors`` plugin.

Never: reads a format of one's own making: an operator may put the fields in any order and leave the client out, so only
the two named formats are queries. Names are in lower case and escaped as Go's DNS library does (RFC 1035 §5.1): a space
is ``\\`` and a space, a quote ``\\"``, so a name ends at the first space without a backslash. Grammar: ``plugin/log``,
``plugin/errors``, ``plugin/pkg/log`` of CoreDNS 1.14. Read next: ``core/logs/formats.py``.

::

    [INFO] 172.17.0.1:42114 - 64820 "A IN host.example.com. udp 57 false 1232" NOERROR qr,aa,rd 66 0.000150566s
    [INFO] [::1]:50759 - 29008 "A IN example.org. udp 41 false 4096" NOERROR qr,rd,ra,ad 68 0.037990251s "0"
    [ERROR] plugin/errors: 2 example.org. A: read udp 10.0.0.1:40212->8.8.8.8:53: i/o timeout

One line says who asked what and what became of it. Since 1.7 CoreDNS prints no time: a container's runtime, the journal
or syslog puts one before, else a line has the time of its arrival. CoreDNS 1.3–1.6 print their own.
"""

from __future__ import annotations

import re

from dnswatch.core.logs import fields, prefixes
from dnswatch.core.logs.timestamps import NO_STAMP, Stamps
from dnswatch.core.model import Event, Name, Notice, Query, Transport, Verdict, Weird

_STAMP = re.compile(  # of a container's runtime, kubectl logs --timestamps, or CoreDNS 1.3–1.6 itself
    rb"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d{1,9})?(Z|[+-]\d\d:\d\d) (?:(?:stdout|stderr) F )?"
)
_POD = re.compile(rb"\[pod/[^ \]]++\] ")  # kubectl logs --prefix
_NAME = rb'(?:[^ \\"]|\\.)++'
_LEVEL = rb"\[(DEBUG|INFO|WARNING|ERROR|FATAL)\] "
_OURS = re.compile(
    _LEVEL + rb'(?:(?:[0-9.]{7,15}|\[[0-9a-fA-F:.]{2,45}(?:%[^\]]+)?\]):\d{1,5} - \d{1,5} "'
    rb"|plugin/[a-z0-9_]+: |SIG[A-Z0-9]+: |Reloading|CoreDNS-\d)"
)  # fmt: skip
_BANNER = re.compile(rb"CoreDNS-\d[\w.+-]*\r?\Z")
_LISTENING = re.compile(rb"[^ ]*:\d{1,5}(?: on [^ ]+)?\Z|[a-z0-9]+/[a-z0-9]+, go\d")  # what surrounds the banner
_ANY = re.compile(_LEVEL)
_ASKED = re.compile(
    rb"\[INFO\] (?:([0-9.]{7,15}+)|\[([0-9a-fA-F:.]{2,45}+)(?:%[^\]]++)?\]):(\d{1,5}) - \d{1,5} "
    rb'"([^ ]++) ([^ ]++) (' + _NAME + rb') (udp|tcp) \d++ (?:true|false) \d++"'
    rb' ([A-Za-z0-9-]++) [a-z,-]++ \d++ [0-9.e+-]++s(?: "\d{1,2}")?\Z'
)  # fmt: skip
_QUERYISH = re.compile(rb'\[INFO\] (?:[0-9.]{7,15}+|\[[^ ]++\]):\d{1,5} - \d{1,5} "')
_FAILED = re.compile(
    rb"\[(?:ERROR|WARNING|INFO)\] (?:plugin/errors: )?(-?\d{1,5}) (" + _NAME + rb") ([A-Z][A-Z0-9-]*+): "
)
_NOTICES = (
    (re.compile(rb"CoreDNS-\d"), "start"),
    (re.compile(rb"\[INFO\] SIG(?:TERM|INT|QUIT): "), "stop"),
    (re.compile(rb"\[INFO\] Reloading complete"), "reload"),
    (re.compile(rb"\[ERROR\] Restart failed: "), "reload"),
)
_RCODES = {
    b"0": "NOERROR", b"1": "FORMERR", b"2": "SERVFAIL", b"3": "NXDOMAIN", b"4": "NOTIMP", b"5": "REFUSED",
}  # fmt: skip
_NAME_TEXT = 1023
"""Longest text of a name, each of 255 octets as ``\\DDD``; the bound that BIND's has, too."""


class CorednsParser:
    """Reads CoreDNS's query log and its errors; gives what became of a lookup as a verdict (`Answering`)."""

    name = "coredns"
    literals: tuple[bytes, ...] = (
        b"CoreDNS-",
        b"[INFO] SIG",
        b"[INFO] Reloading complete",
        b"[ERROR] Restart failed: ",
    )
    tails: tuple[bytes, ...] = (b". ",)
    example = (
        b'[INFO] 192.0.2.7:42114 - 64820 "A IN www.example.test. udp 57 false 1232" NOERROR qr,aa,rd 66 0.000150566s'
    )

    def __init__(self, stamps: Stamps) -> None:
        self.stamps = stamps

    def parse(self, line: bytes, offset: int) -> Event | None:
        """Turn a line into an event; None for what CoreDNS said without concern to us."""
        text = line.lstrip(b"\0").removesuffix(b"\r")
        if found := _POD.match(text):
            text = text[found.end() :]
        if found := _STAMP.match(text):
            message = text[found.end() :]
            if _ANY.match(message) or _BANNER.match(message):
                return self._message(self.stamps.read(found[1], found[2], found[3]), message, line, offset)
        if _ANY.match(text) or _BANNER.match(text):
            return self._message(self.stamps.read(None), text, line, offset, bare=True)
        head = prefixes.header(text)
        if head is None:
            silent = not text.strip() or _LISTENING.match(text)
            return None if silent else Weird(0.0, "unreadable line", "", line, offset)
        message = text[head.end :]
        if not (_OURS.match(message) or (_BANNER.match(message) and head.tag.endswith(b"coredns"))):
            return None  # another program's line in a shared file
        return self._message(head.at(self.stamps), message, line, offset)

    def verdict(self, query: Query) -> Verdict | None:
        """Give the result code that stands at the end of a query's line; answers themselves are not logged."""
        found = _ASKED.search(query.line.removesuffix(b"\r"))
        if found is None:
            return None
        rcode = found[8].decode("ascii").removeprefix("-")
        return Verdict(query.at, query.client, query.port, query.qname, query.qtype, 0, "answer", rcode, False, "", (),
                       query.line, query.offset)  # fmt: skip

    @staticmethod
    def probe(line: bytes) -> bool:
        """Say whether a line has CoreDNS's level and a message that it writes, behind whatever stamp."""
        line = line.lstrip(b"\0")
        for before in (_POD, _STAMP):
            if found := before.match(line):
                line = line[found.end() :]
        if _OURS.match(line) or _BANNER.match(line):
            return True
        head = prefixes.header(line)
        return head is not None and _OURS.match(line, head.end) is not None

    def _message(self, at: float | None, message: bytes, line: bytes, offset: int, bare: bool = False) -> Event | None:
        if at is None:
            return Weird(0.0, NO_STAMP if bare else "unreadable stamp", "", line, offset)
        if found := _ASKED.match(message):
            return _query(at, found, line, offset)
        if _QUERYISH.match(message):
            return Weird(at, "unreadable line", "", line, offset)
        if found := _FAILED.match(message):
            name = _name(found[2])
            if name is None:
                return Weird(at, "bad name", "", line, offset)
            rcode = _RCODES.get(found[1], "SERVFAIL")
            return Verdict(at, "", 0, name, fields.qtype(found[3]), 0, "failed", rcode, False, "", (), line, offset)
        for pattern, kind in _NOTICES:
            if pattern.match(message):
                return Notice(at, kind, message.decode("ascii", "backslashreplace"), 0, line, offset)
        return None


def _query(at: float, found: re.Match[bytes], line: bytes, offset: int) -> Event:
    v4, v6, port, qtype, _, qname, proto = found.groups()[:7]
    client = fields.address(v4 or v6)
    if client is None:
        return Weird(at, "bad client address", "", line, offset)
    name = _name(qname)
    if name is None:
        return Weird(at, "bad name", client, line, offset)
    transport: Transport = "tcp" if proto == b"tcp" else "udp"
    return Query(at, client, int(port), name, fields.qtype(qtype), transport, "", 0, line, offset)


def _name(text: bytes) -> Name | None:
    if len(text) > _NAME_TEXT:
        return None
    return fields.escaped(text if text == b"." else text.removesuffix(b"."))
