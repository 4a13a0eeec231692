"""Suricata's EVE log: DNS requests and responses as its sensor saw them, in the forms of versions 1, 2 and 3.

Never: takes another event for a lookup (``tls``, ``http`` and ``alert`` events mention names, too), or believes that
the source of a packet is the client. Facts: rust/src/dns/log.rs, src/output-json-dns.c and the user guide's "DNS EVE
Logging Changes for 8.0" of OISF/suricata (8.0, August 2026)::

    v1 (4.0)  query  rrname rrtype     answer    rcode, one event per record: rrname rrtype rdata
    v2 (4.1)  query  rrname rrtype     answer    rcode rrname rrtype, ``answers`` [{rrname rrtype rdata}], ``grouped``
    v3 (8.0)  request  ``queries`` []  response  rcode ``queries`` [], ``answers``, ``grouped`` as above

A sensor is no resolver: it tells the labels of a name apart by dots alone, so a label that holds a dot looks like two.
Read next: ``zeek.py``.
"""

from __future__ import annotations

import re
from typing import Any, Literal

from dnswatch.core.logs import fields, objects
from dnswatch.core.logs.timestamps import Stamps
from dnswatch.core.model import Event, Query, Transport, Verdict, Weird

_ASKING = ("query", "request")
_ANSWERING = ("answer", "response")
_TRANSPORTS: dict[object, Transport] = {"UDP": "udp", "TCP": "tcp"}
_DNS_PORTS = (53, 853)
_HIGH_BYTE = re.compile(rb"\\x([89a-f][0-9a-f])")
"""How a name that is not UTF-8 shows its bytes from 0x80 on; ASCII stays, and a backslash is not doubled."""


class SuricataParser:
    """Reads the ``dns`` events of eve.json."""

    name = "suricata"
    literals: tuple[bytes, ...] = (objects.ESCAPE,)
    tails: tuple[bytes, ...] = objects.ENDS
    example = (
        b'{"timestamp":"2026-11-22T19:18:19.281034+0000","flow_id":1,"event_type":"dns","src_ip":"192.0.2.7",'
        b'"src_port":40000,"dest_ip":"192.0.2.53","dest_port":53,"proto":"UDP","dns":{"version":3,"type":"request",'
        b'"tx_id":0,"id":7,"opcode":0,"rcode":"NOERROR","queries":[{"rrname":"www.example.test","rrtype":"A"}]}}'
    )

    def __init__(self, stamps: Stamps) -> None:
        self.stamps = stamps

    def parse(self, line: bytes, offset: int) -> Event | None:
        """Turn a line into a query or, where it is a response, a verdict; None for every other event."""
        found = objects.read(line)
        if found is None or "event_type" not in found:
            return Weird(0.0, "unreadable line", "", line, offset) if line.strip(b"\0 \t\r") else None
        at = objects.at(found.get("timestamp"), self.stamps)
        if found["event_type"] != "dns":
            return None
        dns = objects.fields(found.get("dns"))
        if objects.number(dns.get("opcode", 0)) != 0:
            return None  # an update or a notification
        asking = dns.get("type") in _ASKING
        client, port, server = _peers(found, dns, asking)
        if at is None:
            return Weird(0.0, "unreadable stamp", client or "", line, offset)
        if client is None:
            return Weird(at, "bad client address", "", line, offset)
        asked = _question(dns)
        if not asking and dns.get("type") not in _ANSWERING:
            asked = "unreadable line"
        if isinstance(asked, str):
            return Weird(at, asked, client, line, offset)
        name, qtype = asked
        if asking:
            transport = _TRANSPORTS.get(str(found.get("proto")), "")
            return Query(at, client, port, name, qtype, transport, server, 0, line, offset)
        rcode = objects.text(dns.get("rcode")) or b"NOERROR"  # v1 prints none beside the records of an answer
        action = fields.qtype(rcode)
        kind: Literal["answer", "denied", "failed"] = fields.kind(action)
        return Verdict(at, client, port, name, qtype, 0, kind, action, False, "", _addresses(dns), line, offset)

    @staticmethod
    def probe(line: bytes) -> bool:
        """Say whether a line is an event of Suricata, of any type."""
        at = line.find(b'{"timestamp":')
        return at != -1 and b'"event_type":' in line and (at == 0 or objects.read(line) is not None)


def _peers(found: objects.Fields, dns: objects.Fields, asking: bool) -> tuple[str | None, int, str]:
    """Give the client's address and port, and the server's address.

    The source of a response is the server in version 3, the client in version 2, and either in older ones; over HTTP it
    is the client in all. The DNS port says which it is, and where both or neither have it, the version does.
    """
    source, source_port = objects.text(found.get("src_ip")) or b"", objects.port(found.get("src_port"))
    target, target_port = objects.text(found.get("dest_ip")) or b"", objects.port(found.get("dest_port"))
    turned = not asking
    if turned:
        from_server, to_server = source_port in _DNS_PORTS, target_port in _DNS_PORTS
        turned = from_server if from_server != to_server else dns.get("version") == 3 and "http" not in found
    if turned:
        source, source_port, target = target, target_port, source
    return fields.address(source), source_port, fields.address(target) or ""


def _question(dns: objects.Fields) -> tuple[str, str] | str:
    """Give name and type of what was asked, or why they cannot be told."""
    asked: Any = dns
    if "queries" in dns:
        questions = objects.items(dns["queries"])
        if len(questions) > 1:
            return "several questions"  # no resolver answers that; which one is meant?
        asked = objects.fields(questions[0]) if questions else {}
    if asked.get("rrname_truncated"):
        return "name too long"
    text = objects.text(asked.get("rrname"))
    if text is None:
        return "unreadable line"
    name = fields.raw(_HIGH_BYTE.sub(_byte, text) or b".")
    return (name, fields.qtype(_type(asked))) if name else "bad name"


def _type(asked: objects.Fields) -> bytes:
    """Give the type's mnemonic; a number where Suricata knows none."""
    text = objects.text(asked.get("rrtype")) or b""
    return b"TYPE" + text if text.isdigit() else text


def _byte(found: re.Match[bytes]) -> bytes:
    return bytes((int(found[1], 16),))


def _addresses(dns: objects.Fields) -> tuple[str, ...]:
    """Give the addresses of an answer: of a list of records, grouped by type, or of the one record of version 1."""
    records = [objects.fields(record) for record in objects.items(dns.get("answers"))]
    texts = [record.get("rdata") for record in [*records, dns] if record.get("rrtype") in ("A", "AAAA")]
    grouped = objects.fields(dns.get("grouped"))
    texts += [*objects.items(grouped.get("A")), *objects.items(grouped.get("AAAA"))]
    found = (fields.address(objects.text(text) or b"") for text in texts)
    return tuple(dict.fromkeys(address for address in found if address))
