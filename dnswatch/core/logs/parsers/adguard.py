"""AdGuard Home's querylog.json: one JSON object per lookup, with the answer in wire form and why it was filtered.

Never: sees what AdGuard Home leaves out: the port, whether plain DNS came by UDP or TCP, clients that it turned away,
and with ``anonymize_client_ip`` the client. Facts: internal/querylog/entry.go, internal/filtering/reason.go of
AdGuardTeam/AdGuardHome (0.108, August 2026), whose names are in the presentation form of its DNS library (RFC 1035
§5.1 escapes, all ASCII). Read next: ``suricata.py``.

The stamp is that of the entry, made when the lookup was done; entries are written in batches (``size_memory``).
"""

from __future__ import annotations

import binascii
from typing import Literal

from dnswatch.core.logs import answers, fields, objects
from dnswatch.core.logs.timestamps import Stamps
from dnswatch.core.model import Event, Query, Transport, Verdict, Weird

_SHAPE = (b'"QH":', b'"QT":')
_TRANSPORTS: dict[object, Transport] = {"doh": "tcp", "dot": "tcp", "doq": "udp"}
_FILTERED = range(3, 12)  # Reason: blocked by a list, a service, safe browsing …; rewritten by the operator's rules
_INVALID = 6  # the request could not be served at all
_ACTIONS = {"NXDOMAIN": "nxdomain", "REFUSED": "refused", "NOERROR": "nodata"}  # ``blocking_mode``


class AdguardParser:
    """Reads AdGuard Home's query log."""

    name = "adguard"
    literals: tuple[bytes, ...] = (objects.ESCAPE,)
    tails: tuple[bytes, ...] = objects.ENDS
    example = (
        b'{"T":"2026-11-22T19:18:19.281034517Z","QH":"www.example.test","QT":"A","QC":"IN","CP":"",'
        b'"Answer":"","IP":"192.0.2.7","Result":{},"Elapsed":1203}'
    )

    def __init__(self, stamps: Stamps) -> None:
        self.stamps = stamps
        self._last: tuple[bytes, objects.Fields] = (b"", {})  # a line and its object: `verdict` asks for it again

    def parse(self, line: bytes, offset: int) -> Event | None:
        """Turn a line into a query."""
        found = objects.read(line)
        if found is None or "QH" not in found:
            return Weird(0.0, "unreadable line", "", line, offset) if line.strip(b"\0 \t\r") else None
        self._last = line, found
        client = fields.address(objects.text(found.get("IP")) or b"")
        at = objects.at(found.get("T"), self.stamps)
        if at is None:
            return Weird(0.0, "unreadable stamp", client or "", line, offset)
        if client is None:
            return Weird(at, "bad client address", "", line, offset)
        asked = objects.text(found["QH"])
        name = fields.escaped(asked or b".") if asked is not None else None
        if name is None:
            return Weird(at, "bad name", client, line, offset)
        transport = _TRANSPORTS.get(str(found.get("CP")), "")
        return Query(at, client, 0, name, fields.qtype(objects.text(found.get("QT")) or b""), transport, "", 0, line,
                     offset)  # fmt: skip

    def verdict(self, query: Query) -> Verdict | None:
        """Give what became of the lookup: answered, or blocked by a filter; None where the log keeps no answer."""
        line, found = self._last
        if line != query.line:
            found = objects.read(query.line) or {}
        answer = _answer(found.get("Answer"))
        if answer is None:
            return None
        result = objects.fields(found.get("Result"))
        reason = objects.number(result.get("Reason"))
        kind: Literal["answer", "rewrite", "denied", "failed"] = fields.kind(answer.rcode)
        action = answer.rcode
        if reason == _INVALID:
            kind = "denied"
        elif reason in _FILTERED:
            kind, action = "rewrite", _ACTIONS.get(answer.rcode, "local-data")
            if answer.addresses:
                action = "local-data"
            elif result.get("CanonName"):
                action = "cname"
        return Verdict(query.at, query.client, 0, query.qname, query.qtype, 0, kind, action, False, "",
                       answer.addresses, query.line, query.offset)  # fmt: skip

    @staticmethod
    def probe(line: bytes) -> bool:
        """Say whether a line is an entry of AdGuard Home: an object with its two shortest keys."""
        line = line.lstrip(b"\0")
        return line.startswith(b"{") and all(key in line for key in _SHAPE)


def _answer(value: object) -> answers.Answers | None:
    """Read the answer, in wire form in base64."""
    encoded = objects.text(value)
    if not encoded:
        return None
    try:
        return answers.read(binascii.a2b_base64(encoded, strict_mode=True))
    except binascii.Error:
        return None
