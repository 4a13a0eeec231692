"""Technitium DNS Server's log with "Log All Queries": one line per lookup, with its result code and answer.

Never: trusts a name that holds what follows a name. The server prints names as they are, so a client that sends one
with a newline in it can even write lines of its own; nothing in a line tells these apart. Facts:
DnsServerCore/LogManager.cs of TechnitiumSoftware/DnsServer (15, May 2026)::

    [2026-11-22 19:18:19 UTC] [192.0.2.7:40000] [UDP] QNAME: N; QTYPE: A; QCLASS: IN; RCODE: NoError; ANSWER: [N, A]
    [2026-11-22 20:18:19 Local] [[2001:db8::7]:40000] [TLS] QNAME: N; QTYPE: A; QCLASS: IN; NO RESPONSE FROM SERVER!

Read next: ``coredns.py``.
"""

from __future__ import annotations

import re
from typing import Literal

from dnswatch.core.logs import fields
from dnswatch.core.logs.timestamps import Stamps
from dnswatch.core.model import Event, Query, Transport, Verdict, Weird

_LINE = re.compile(
    rb"\[(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d) (UTC|Local)\] "
    rb"(?:\[(?:\[([0-9A-Fa-f:.]{2,45})(?:%\w+)?\]|([\d.]{7,15})):(\d{1,5})\] \[([A-Z]+)\] (QNAME: .*))?",
    re.DOTALL,
)
_QUESTION = re.compile(rb"QNAME: ([^ ;]*+); QTYPE: ([^ ;]++); QCLASS: [^ ;]++;?(?: |\Z)")
_TYPE = b"; QTYPE: "
_RESULT = re.compile(rb"(?:TSIG [^;]*+; )*+RCODE: (\w+); ANSWER: \[([^]]*+)\]")
_TRANSPORTS: dict[bytes, Transport] = {
    b"UDP": "udp", b"TCP": "tcp", b"TLS": "tcp", b"HTTPS": "tcp", b"QUIC": "udp", b"UDPPROXY": "udp",
    b"TCPPROXY": "tcp",
}  # fmt: skip
_RCODES = {"NOERROR": "NOERROR", "FORMATERROR": "FORMERR", "SERVERFAILURE": "SERVFAIL", "NOTIMPLEMENTED": "NOTIMP"}


class TechnitiumParser:
    """Reads the lookups in Technitium's daily log files."""

    name = "technitium"
    literals: tuple[bytes, ...] = ()
    tails: tuple[bytes, ...] = (b"; ",)
    example = (
        b"[2026-11-22 19:18:19 UTC] [192.0.2.7:40000] [UDP] QNAME: www.example.test; QTYPE: A; QCLASS: IN; "
        b"RCODE: NoError; ANSWER: [192.0.2.80]"
    )

    def __init__(self, stamps: Stamps) -> None:
        self.stamps = stamps

    def parse(self, line: bytes, offset: int) -> Event | None:
        """Turn a line into a query; None for what the server says of itself, and the rest of its longer messages."""
        found = _LINE.match(line.lstrip(b"\0"))
        if found is None:
            return Weird(0.0, "unreadable line", "", line, offset) if b"QNAME: " in line else None
        second, zone, long, short, port, protocol, record = found.groups()
        at = self.stamps.read(second, None, b"Z" if zone == b"UTC" else None)
        if record is None:
            return Weird(at or 0.0, "unreadable line", "", line, offset) if b"QNAME: " in line else None
        client = fields.address(long or short)
        if at is None:
            return Weird(0.0, "unreadable stamp", client or "", line, offset)
        if client is None:
            return Weird(at, "bad client address", "", line, offset)
        question = _QUESTION.match(record)
        if question is None or record.count(_TYPE) != 1:  # a name that looks like what follows it, or a torn line
            return Weird(at, "ambiguous name", client, line, offset)
        name = fields.raw(question[1] or b".")
        if name is None:
            return Weird(at, "bad name", client, line, offset)
        transport = _TRANSPORTS.get(protocol, "")
        qtype = fields.qtype(b"TYPE" + question[2] if question[2].isdigit() else question[2])
        return Query(at, client, int(port), name, qtype, transport, "", 0, line, offset)

    def verdict(self, query: Query) -> Verdict | None:
        """Give result code and addresses; None where the server gave no response."""
        _, _, record = query.line.partition(b"] QNAME: ")
        question = _QUESTION.match(b"QNAME: " + record)
        result = _RESULT.match(record, question.end() - len(b"QNAME: ")) if question else None
        if result is None:
            return None
        code = result[1].decode("ascii", "backslashreplace").upper()
        action = _RCODES.get(code, code)
        kind: Literal["answer", "denied", "failed"] = fields.kind(action)
        texts = result[2].split(b", ") if query.qtype in ("A", "AAAA") else []  # text of other types could be made so
        data = tuple(address for text in texts if (address := fields.address(text)))
        return Verdict(query.at, query.client, query.port, query.qname, query.qtype, 0, kind, action, False, "", data,
                       query.line, query.offset)  # fmt: skip

    @staticmethod
    def probe(line: bytes) -> bool:
        """Say whether a line begins as the server begins each: its stamp in brackets, and of which zone it is."""
        return _LINE.match(line.lstrip(b"\0")) is not None
