"""BIND 9.9–9.21: queries, responses, RPZ rewrites, denials and failures, from its own files or through syslog.

Never: trusts a position inside a name or a view. BIND escapes every space, quote and parenthesis of a name
(log_formats §0.2), so each name is one token without spaces; a view's name is the operator's free text, so what
follows it is found from the right. Grammar: log_formats §1.1; versions: §1.4. Read next: ``dnsmasq.py``.

One possessive expression reads the whole of a query line, and everything that repeats (second, address, type, name)
comes from a cache. The form that BIND's own files have had since 9.11 is tried first, by an expression without optional
parts: it takes half the time of the general one, and what it cannot read goes the general way.

Of two stamps on a line (``print-time`` through syslog) BIND's own counts: it has milliseconds; unless only the
outer one names its zone.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, Literal

from dnswatch.core.logs import fields, prefixes
from dnswatch.core.logs.timestamps import NO_STAMP, Stamps
from dnswatch.core.model import Event, Notice, Query, Transport, Verdict, Weird

_STAMP = (
    rb"(?:(\d\d-[A-Z][a-z]{2}-\d{4} \d\d:\d\d:\d\d|\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)"
    rb"(\.\d{1,9})?+(Z|[+-]\d\d:\d\d)?+ )?+"
)
_LABELS = rb"(?:[a-z][a-z/-]*+(?: -?\d++)?+: ){0,3}+"  # category, module, severity ("debug 3")
_PEER = rb"client (?:@0x[0-9a-f]++ )?+([0-9A-Fa-f.:]{2,45}+)(?:%[^ #]++)?+#(\d{1,5})(?:/key [^ ]++)?+"
_ASKED = rb"(?: \([^ ]++|:)?+(?<=:) "  # " (name):" of 9.9 and later, ":" alone before; the name may hold "\)"
_ECS = rb"(?: \[ECS [^ \]]*+\])?+"
_VIEW = rb"(?:view .*: )?"  # free text, greedy: the last body on the line counts
_QUERY = re.compile(
    _STAMP + _LABELS + _PEER + _ASKED + _VIEW
    + rb"query: ([^ ]++) [^ ]++ ([^ ]++)(?: ([+-][^ ]*+)|(?= \())(?: \(([^ )]++)\))?+" + _ECS + rb"\r?\Z"
)  # fmt: skip
_USUAL = re.compile(  # of `_QUERY`: 0.5 µs instead of 1.0 µs. What is loose here (stamp, address) is judged afterwards
    rb"(.{20})(\.[0-9]{3}) (?:[a-z-]++: [a-z]++: )?+client @0x[0-9a-f]++ ([^#]++)#([0-9]{1,5}+)"
    rb" \([^ ]++(?<=:) query: ([^ ]++) ([^ ]++ [^ ]++ [+-][^ ]*+ \([^ )]++\))\Z"
)
_OWN_SHAPE = re.compile(  # its own kind of stamp, or a category with an ISO stamp or a severity
    rb"\d\d-[A-Z][a-z]{2}-\d{4} \d\d:\d\d:\d\d\.\d{3} (?![A-Z]{2} )"  # not dnstap-read's "CQ 127.0.0.1:…"
    rb"|(?:(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}(?:Z|[+-]\d\d:\d\d)? ))?"
    rb"(?:client|config|database|default|delegation-only|dispatch|dnssec|dnstap|edns-disabled|general|lame-servers|network"
    rb"|notify|nsid|queries|query-errors|rate-limit|resolver|responses|rpz|rpz-passthru|security|serve-stale|spill"
    rb"|trust-anchor-telemetry|unmatched|update|update-security|xfer-in|xfer-out|zoneload): "
    rb"(?(1)|(?:info|notice|warning|error|critical|debug \d++): )"
)
_CLIENT = re.compile(_STAMP + _LABELS + _PEER + rb"(?: \(([^ ]+)\))?: ")
_OWN = re.compile(_STAMP + rb"(" + _LABELS + rb")")
_RESPONSE = re.compile(
    _VIEW + rb"response: ([^ ]++) [^ ]++ ([^ ]++) ([^ ]++) \d++ \d++ \d++ [+-][^ ]*+ \([^ )]++\)" + _ECS + rb"\r?\Z"
)
_REWRITE = re.compile(
    _VIEW + rb"(disabled )?rpz [A-Z-]++ ([A-Za-z0-9-]++) rewrite ([^ ]++) via ([^ ]++)"
    rb"(?: \(CNAME to: [^ ]++)?\r?\Z"
)  # fmt: skip
_FAILED = re.compile(_VIEW + rb"query failed \(([^)]*)\)(?: for ([^ ]+)/[^/ ]+/([^/ ]+))? at [^ ]++\r?\Z")
_DENIED = re.compile(_VIEW + rb"query(?: \(cache\))? '([^ ]+)/([^/ ]+)/[^/' ]+' denied(?: \(.*\))?\r?\Z")
_TYPED = re.compile(rb"(.+)/([A-Z][A-Z0-9-]*)/(?:IN|CH|HS|ANY|NONE|CLASS\d+)\Z")
_TAG = re.compile(rb"(?:[\w.-]+/)*(?:named|bind)[\w.-]*\Z")
_ANSWER = re.compile(_VIEW + rb"answer: ([^ ]++) [^ ]++ ([^ ]++) (?:[+-][^ ]*+ )?\([^ )]++\) -> ([A-Z]+)(?: .*)?\Z")
_INFOBLOX = re.compile(
    rb"(?:infoblox-responses: )?+" + _STAMP + _LABELS + rb"client (?:@0x[0-9a-f]++ )?+([0-9A-Fa-f.:]{2,45}+)#(\d{1,5})"
    rb"(?: \([^ ]++)?+:? " + _VIEW
    + rb"(?:UDP|TCP): query: ([^ ]++) [^ ]++ ([^ ]++) response: ([A-Z]++) [^ ]++(?: (.*))?\Z"
)  # fmt: skip
_RECORD = re.compile(rb" (?:\d+ )?IN (?:A|AAAA) ([0-9A-Fa-f.:]+)")
_NIOS_RPZ = re.compile(  # Infoblox writes RPZ hits as CEF; what follows ``view=`` is read from the right
    rb"CEF:0\|Infoblox\|NIOS[^|]*+\|[^|]*+\|RPZ-[A-Z-]++ ?\|[^|]*+\|\d*+\|app=DNS dst=[^ ]++ src=([0-9A-Fa-f.:]{2,45}+)"
    rb' spt=(\d{1,5}+) view=.* qtype=([A-Z0-9-]++) msg="(disabled )?rpz [A-Z-]++ ([A-Za-z0-9-]++) rewrite ([^ ]++)'
    rb' \[[A-Z0-9-]++\] via ([^ "]++)"?(?: CAT=RPZ)?\r?\Z'
)
_NIOS = re.compile(  # before it: named's syslog header and a severity, or NIOS's own file
    rb"(?:(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d{1,9})?(Z|[+-]\d\d:\d\d) daemon )?+(?:\(none\) named\[\d++\]: )?+"
    rb"(?:(?:info|warning|notice|err) )?+(?:rpz: )?+(?=CEF:0\|Infoblox\|NIOS)"
)

_ACTIONS = {
    b"PASSTHRU": "passthru",
    b"DROP": "drop",
    b"TCP-ONLY": "tcp-only",
    b"NXDOMAIN": "nxdomain",
    b"NODATA": "nodata",
    b"Local-Data": "local-data",
    b"CNAME": "cname",
}
_NOTICES = (  # what named says of itself → kind; §1.2 and the general category of log_formats' samples
    (re.compile(rb"starting (?:BIND|named)[ \d]"), "start", 0),
    (re.compile(rb"exiting\r?\Z"), "stop", 0),
    (re.compile(rb"query logging is now on"), "querylog", 1),
    (re.compile(rb"query logging is now off"), "querylog", 0),
    (re.compile(rb"reloading configuration (?:succeeded|failed)"), "reload", 0),
    (re.compile(rb"(?:rpz: )?[^ ]+: reload done"), "rpz-reload", 0),
)
_BROKEN = re.compile(
    rb"(?:view .*: )?(?:query: |response: |(?:disabled )?rpz |query failed |query '|query \(cache\) ')"
)  # what should have matched above
_T = ord("T")
_new = tuple.__new__
"""Builds a `Query` in 0.14 µs; calling the class, which only passes on its arguments, takes 0.27 µs."""
_address, _escaped = fields.address, fields.escaped
_NAME_TEXT = 1023
"""Longest text of a name in a BIND log (log_formats §1.6)."""


class BindParser:
    """Reads lines of BIND 9's query, response, RPZ, query-error, security and general categories."""

    name = "bind"
    literals: tuple[bytes, ...] = (
        b" rewrite ",
        b"query logging is now ",
        b"starting BIND ",
        b" exiting",
        b"reloading configuration ",
        b": reload done",
    )
    # queries, responses and rate limits; denials and failures; with the final dot that some shippers add to names
    tails: tuple[bytes, ...] = (b" IN ", b" CH ", b"/", b". IN ", b". CH ", b"./")

    example = (
        b"22-Nov-2026 19:18:19.281 queries: info: client @0x7fa484f14098 192.0.2.7#38510 (www.example.test): "
        b"query: www.example.test IN A + (192.0.2.53)"
    )

    def __init__(self, stamps: Stamps) -> None:
        self.stamps = stamps

    def parse(self, line: bytes, offset: int) -> Event | None:
        """Turn a line into an event; None for what named says without concern to us."""
        if found := _USUAL.match(line):
            second, fraction, client, port, qname, asked = found.groups()
            at, address = self.stamps.read(second, fraction), _address(client)
            name = _escaped(qname) if len(qname) <= _NAME_TEXT else None
            if at is not None and address is not None and name is not None:
                qtype, transport, server = _asking(asked)
                return _new(Query, (at, address, int(port), name, qtype, transport, server, 0, line, offset))
        found = _QUERY.match(line)
        if found is None:
            return self._other(line, offset)
        groups = found.groups()
        return _query(self.stamps.read(groups[0], groups[1], groups[2]), groups, line, offset, groups[0] is None)

    @staticmethod
    def probe(line: bytes) -> bool:
        """Say whether a line is named's: its client part, its own stamp or labels, or its tag in a syslog header."""
        line = line.lstrip(b"\0")
        head = prefixes.header(line)
        if head is not None and _TAG.match(head.tag):
            return True
        return _ours(line[head.end :] if head is not None and not head.tag else line)

    def _other(self, line: bytes, offset: int) -> Event | None:
        """Read what is not a query at the start of the line: behind a syslog header, or another message."""
        text = line.lstrip(b"\0") if line.startswith(b"\0") else line  # a copytruncate hole (performance.md §10)
        head = prefixes.header(text)
        if head is not None and head.tag and not _TAG.match(head.tag):
            if not _ours(text) and not _NIOS.match(text):
                return None  # another program's line in a shared file
            head = None  # BIND's own ISO stamp and its category, which read like a header without a host
        if b"CEF:0|Infoblox|" in text and (event := self._nios(head, text, line, offset)) is not None:
            return event
        start = 0 if head is None else head.end
        if found := _QUERY.match(text, start):
            groups = found.groups()
            at = self._at(head, groups[0], groups[1], groups[2])
            return _query(at, groups, line, offset, head is None and groups[0] is None)
        own = _OWN.match(text, start)
        assert own is not None  # every part of it is optional
        second, fraction, zone, labels = own.groups()
        message = text[own.end() :]
        client = _CLIENT.match(text, start)
        infoblox = _INFOBLOX.match(text, start) if b" response: " in text else None
        if infoblox:
            second, fraction, zone = infoblox.groups()[:3]  # after its label
        notice = next(((kind, count) for pattern, kind, count in _NOTICES if pattern.match(message)), None)
        bare = head is None and second is None
        if bare and not (labels or client or infoblox or notice):  # nothing of named's: it says nothing of its stamps
            return Weird(0.0, "unreadable line", "", line, offset) if message.strip() else None
        at = self._at(head, second, fraction, zone)
        if at is None:
            return Weird(0.0, NO_STAMP if bare else "unreadable stamp", _asker(client), line, offset)
        if infoblox:
            return _infoblox(at, infoblox, line, offset)
        if client:
            return _of_client(at, text, client, line, offset)
        if notice:
            kind, count = notice
            return Notice(at, kind, message.decode("ascii", "backslashreplace").rstrip(), count, line, offset)
        broken = b": query: " in message or (labels.startswith(b"queries: ") and b"(no-peer)" not in message)
        return Weird(at, "unreadable line", "", line, offset) if broken else None

    def _nios(self, head: prefixes.Header | None, text: bytes, line: bytes, offset: int) -> Event | None:
        """Read an RPZ hit as Infoblox NIOS writes it."""
        before = _NIOS.match(text, 0 if head is None else head.end)
        found = _NIOS_RPZ.match(text, before.end()) if before else None
        if before is None or found is None:
            return None
        at = head.at(self.stamps) if head is not None else self.stamps.read(before[1], before[2], before[3])
        client, port, qtype, disabled, policy, qname, via = found.groups()
        address, name, owner = fields.address(client), fields.escaped(qname), fields.escaped(via)
        if at is None or address is None or name is None or owner is None:
            why = "unreadable stamp" if at is None else "bad client address" if address is None else "bad name"
            return Weird(at or 0.0, why, address or "", line, offset)
        action = _ACTIONS.get(policy, policy.decode("ascii").lower())
        return Verdict(at, address, int(port), name, fields.qtype(qtype), 0, "rewrite", action, disabled is not None,
                       owner, (), line, offset)  # fmt: skip

    def _at(
        self, head: prefixes.Header | None, second: bytes | None, fraction: bytes | None, zone: bytes | None
    ) -> float | None:
        """Give the time of a line that may carry two stamps: named's own, unless only the outer one has a zone."""
        if head is not None and (second is None or (zone is None and head.offset is not None)):
            return head.at(self.stamps)
        return self.stamps.read(second, fraction, zone)


@lru_cache(maxsize=fields.TYPES)
def _asking(text: bytes) -> tuple[str, Transport, str]:
    """Read type, transport and server of ``IN A +E(0)K (192.0.2.53)``, which has few forms: once each."""
    _, qtype, flags, server = text.split(b" ")
    return fields.qtype(qtype), "tcp" if _T in flags else "udp", fields.server(server[1:-1])


def _ours(line: bytes) -> bool:
    """Say whether a line has the shape of named's own files: a client part, its stamp, or one of its categories."""
    if _CLIENT.match(line) or _INFOBLOX.match(line) or (b"CEF:0|Infoblox" in line and _NIOS.match(line)):
        return True
    return _OWN_SHAPE.match(line) is not None


def _asker(client: re.Match[bytes] | None) -> str:
    return (fields.address(client[4]) or "") if client else ""


def _query(at: float | None, groups: tuple[Any, ...], line: bytes, offset: int, bare: bool) -> Event:
    if at is None:
        why = NO_STAMP if bare else "unreadable stamp"
        return Weird(0.0, why, fields.address(groups[3]) or "", line, offset)
    _, _, _, client, port, qname, qtype, flags, server = groups  # EfficientIP's Guardian prints no flags
    address = fields.address(client)
    if address is None:
        return Weird(at, "bad client address", "", line, offset)
    name = fields.escaped(qname) if len(qname) <= _NAME_TEXT else None
    if name is None:
        return Weird(at, "bad name", address, line, offset)
    transport: Transport = (
        "" if flags is None else "tcp" if _T in flags else "udp"
    )  # a set: 9.20.3 changed the order (log_formats §0.1)
    asked = fields.server(server) if server else ""  # 9.6 and older do not print it
    return Query(at, address, int(port), name, fields.qtype(qtype), transport, asked, 0, line, offset)


def _of_client(at: float, text: bytes, client: re.Match[bytes], line: bytes, offset: int) -> Event | None:
    """Read what named says of one client's query, other than the query itself."""
    address, port = fields.address(client[4]), int(client[5])
    if address is None:
        return Weird(at, "bad client address", "", line, offset)
    start = client.end()
    if found := _REWRITE.match(text, start):
        disabled, policy, subject, via = found.groups()
        typed = _TYPED.match(subject)
        qname, qtype = (typed[1], typed[2]) if typed else (subject, b"")  # 9.9 and 9.10 print neither type nor class
        asked = client[6]
        name = fields.escaped(asked if asked is not None else qname)
        owner = fields.escaped(via)
        if name is None or owner is None:
            return Weird(at, "bad name", address, line, offset)
        action = _ACTIONS.get(policy, policy.decode("ascii").lower())
        return Verdict(at, address, port, name, fields.qtype(qtype), 0, "rewrite", action, disabled is not None, owner,
                       (), line, offset)  # fmt: skip
    if found := _RESPONSE.match(text, start) or _ANSWER.match(text, start):
        return _verdict(at, address, port, found[1], found[2], "answer", found[3], line, offset)
    if found := _FAILED.match(text, start):
        asked = found[2] or client[6]
        return _verdict(at, address, port, asked, found[3], "failed", found[1], line, offset) if asked else None
    if found := _DENIED.match(text, start):
        return _verdict(at, address, port, found[1], found[2], "denied", b"REFUSED", line, offset)
    if _BROKEN.match(text, start):
        if b" rewrite " in text and b" failed" in text:  # RPZ could not be applied: an error, not a rewrite
            message = text[start:].decode("ascii", "backslashreplace").rstrip()
            return Notice(at, "rpz-error", message, 0, line, offset)
        return Weird(at, "unreadable line", address, line, offset)
    return None


def _verdict(
    at: float, address: str, port: int, qname: bytes, qtype: bytes | None,
    kind: Literal["answer", "denied", "failed"], action: bytes, line: bytes, offset: int, data: tuple[str, ...] = (),
) -> Event:  # fmt: skip
    name = fields.escaped(qname) if len(qname) <= _NAME_TEXT else None
    if name is None:
        return Weird(at, "bad name", address, line, offset)
    rcode = action.decode("ascii", "backslashreplace")
    return Verdict(at, address, port, name, fields.qtype(qtype or b""), 0, kind, rcode, False, "", data, line, offset)


def _infoblox(at: float, found: re.Match[bytes], line: bytes, offset: int) -> Event:
    """Read Infoblox's own response line: BIND's client part, another body, the answer's records at the end."""
    client, port, qname, qtype, rcode, records = found.groups()[3:]
    address = fields.address(client)
    if address is None:
        return Weird(at, "bad client address", "", line, offset)
    data = tuple(text for each in _RECORD.findall(records or b"") if (text := fields.address(each)))
    return _verdict(at, address, int(port), qname, qtype, "answer", rcode, line, offset, data)
