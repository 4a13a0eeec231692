"""Unbound: queries, replies, RPZ and local-zone actions, failures, from its own files, stderr or syslog.

Never: takes a name for more than it shows. Unbound prints every octet of a label but letters, digits, ``-``, ``_`` and
``*`` as ``?`` (log_formats §3): a name has no space and bends no field, but names that differ there look the same.
Dots are true label separators. Grammar: ``util/log.c``, ``util/net_help.c``, ``util/data/msgreply.c`` and
``services/rpz.c`` of Unbound 1.26; recorded: 1.17 and 1.22. Read next: ``core/logs/formats.py``.

::

    [1795375648] unbound[20803:0] query: 127.0.0.1 www.example.test. A IN
    Nov 22 19:27:31 unbound[21545:0] reply: 127.0.0.1 www.example.test. A IN NOERROR 0.000524 0 50
    Nov 22 19:27:31 vm unbound: [2154:0] info: rpz: applied [rpz.lab] nx.test. rpz-nxdomain 127.0.0.1@3635 nx.test. A IN

A query line names no port, server or transport; ``log-destaddr`` (1.22) adds the latter two to replies. RPZ lines name
the zone only where ``rpz-log-name`` says it: with the zone's own name there, ``via`` is the record's owner as in BIND.
"""

from __future__ import annotations

import re
from typing import Literal

from dnswatch.core.logs import fields, prefixes
from dnswatch.core.logs.timestamps import Stamps
from dnswatch.core.model import Event, Name, Notice, Query, Verdict, Weird

_LEVEL = rb"(info|notice|warning|error|fatal error|debug|query|reply): "
_THREAD = rb"\[\d{1,10}+:[0-9a-f]{1,16}+\] "  # [pid:thread], the thread in hex
_OWN = re.compile(  # as in its own file or on stderr; a container's runtime puts its stamp before it
    rb"(?:\d{4}-\d\d-\d\dT[\d:.]{8,18}+Z (?:(?:stdout|stderr) F )?)?"
    rb"(?:\[(\d{9,10})\]|([A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d)"
    rb"|(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d{1,9})?(Z|[+-]\d\d:?\d\d)) "
    rb"[^ \[\]]{1,64}+" + _THREAD + _LEVEL
)  # fmt: skip
_RELAYED = re.compile(_THREAD + _LEVEL)  # what follows the header of a syslog daemon
_ADDRESS = rb"[0-9A-Fa-f.:]{2,45}+"
_QUESTION = rb"([^ ]++) ([A-Z][A-Z0-9-]*+) (?:IN|CH|HS|NONE|ANY|CLASS\d{1,5}+)"
_ASKED = re.compile(
    rb"(" + _ADDRESS + rb") " + _QUESTION
    + rb"(?: ([A-Z][A-Z0-9]*+) \d++\.\d{6} [01] \d++(?: on [a-z]++ [^ ]++ \d{1,5}+)?+)?+\Z"
)  # fmt: skip
_NAMELESS = re.compile(rb"[^ ]++ (?:null TYPE0 CLASS0 |- - - )[A-Z]++ ")  # refused by an ACL, or no DNS message at all
_SENDER = rb"(?:(" + _ADDRESS + rb")@(\d{1,5}+))?+ "
_RPZ = re.compile(
    rb"rpz: applied (?:\[([^\]]*+)\] )?+(?:(clientip|nsip|nsdname) )?+([^ ]*+) rpz-([a-z-]++) " + _SENDER + _QUESTION
    + rb"\Z"
)  # fmt: skip
_LOCAL = re.compile(rb"([^ ]++) ([a-z_]++) " + _SENDER + _QUESTION + rb"\Z")
_FAILED = re.compile(rb"(?:SERVFAIL|validation failure) <" + _QUESTION + rb">:")
_QUERYISH = re.compile(_ADDRESS + rb" [^ ]+\. ")
_NOTICES = (
    (re.compile(rb"start of service \("), "start"),
    (re.compile(rb"service stopped \("), "stop"),
    (re.compile(rb"Restart of "), "reload"),
)
_BLOCKS = {  # local-zone type → what the client got (unbound.conf(5), local-zone)
    b"deny": "drop",
    b"always_deny": "drop",
    b"inform_deny": "drop",
    b"static": "nxdomain",
    b"always_nxdomain": "nxdomain",
    b"always_nodata": "nodata",
    b"redirect": "local-data",
    b"inform_redirect": "local-data",
    b"always_null": "local-data",
}
_REFUSES = (b"refuse", b"always_refuse")
_PASSES = (b"inform", b"transparent", b"typetransparent", b"always_transparent", b"block_a", b"nodefault", b"truncate")
_TRIGGERS = {b"clientip": "rpz-client-ip", b"nsip": "rpz-nsip", b"nsdname": "rpz-nsdname"}
_LONGEST = 255
"""Bytes of a name as text with its final dot. Unbound 1.17 cuts a name of 255 octets off with ``.&`` before the label
that is too much, so such a name hides what it ends in; ``#`` stands for a damaged label (``dname_str``)."""


class UnboundParser:
    """Reads lines of ``log-queries``, ``log-replies``, ``rpz-log``, ``log-local-actions`` and ``log-servfail``."""

    name = "unbound"
    literals: tuple[bytes, ...] = (
        b"rpz: applied ",
        b"SERVFAIL <",
        b"validation failure <",
        b"start of service (",
        b"service stopped (",
        b"Restart of ",
        *(
            b".& " + qtype
            for qtype in (b"A", b"HTTPS", b"TXT", b"TYPE", b"CNAME", b"NS", b"MX", b"NULL", b"SRV", b"PTR")
        ),
    )
    tails: tuple[bytes, ...] = (b". ",)
    example = b"[1795375648] unbound[20803:0] query: 192.0.2.7 www.example.test. A IN"

    def __init__(self, stamps: Stamps) -> None:
        self.stamps = stamps

    def parse(self, line: bytes, offset: int) -> Event | None:
        """Turn a line into an event; None for what Unbound said without concern to us."""
        found = _OWN.match(line)
        if found is None:
            return self._relayed(line, offset)
        return self._message(self._at(found), found[6], line[found.end() :], line, offset)

    @staticmethod
    def probe(line: bytes) -> bool:
        """Say whether a line has Unbound's thread and level, behind a stamp of its own or a syslog header."""
        line = line.lstrip(b"\0")
        if _OWN.match(line):
            return True
        head = prefixes.header(line)
        return head is not None and (_RELAYED.match(line, head.end) or _OWN.match(line[head.end :])) is not None

    def _at(self, found: re.Match[bytes]) -> float | None:
        if found[1] is not None:
            return self.stamps.known(float(found[1]))
        return self.stamps.read(found[2] or found[3], found[4], found[5])

    def _relayed(self, line: bytes, offset: int) -> Event | None:
        """Read what a syslog daemon or a NUL hole put something before."""
        text = line.lstrip(b"\0").removesuffix(b"\r")
        head = prefixes.header(text)
        inner = _OWN.match(text[head.end :] if head is not None else text)
        if inner is not None:  # stderr of a service, kept by the journal: its own stamp says more
            rest = text[(head.end if head is not None else 0) + inner.end() :]
            return self._message(self._at(inner), inner[6], rest, line, offset)
        if head is None:
            return Weird(0.0, "unreadable line", "", line, offset) if text.strip() else None
        found = _RELAYED.match(text, head.end)
        if found is None:
            return None  # another program's line in a shared file
        return self._message(head.at(self.stamps), found[1], text[found.end() :], line, offset)

    def _message(self, at: float | None, level: bytes, message: bytes, line: bytes, offset: int) -> Event | None:
        if at is None:
            return Weird(0.0, "unreadable stamp", "", line, offset)
        message = message.removesuffix(b"\r")
        if found := _ASKED.match(message):
            return _asked(at, found, line, offset)
        if message.startswith(b"rpz: applied "):
            found = _RPZ.match(message)
            return _rpz(at, found, line, offset) if found else Weird(at, "unreadable line", "", line, offset)
        if found := _LOCAL.match(message):
            return _local(at, found, line, offset)
        if found := _FAILED.match(message):
            name = _name(found[1])
            if name is None:
                return Weird(at, "bad name", "", line, offset)
            return Verdict(
                at, "", 0, name, fields.qtype(found[2]), 0, "failed", "SERVFAIL", False, "", (), line, offset
            )
        for pattern, kind in _NOTICES:
            if pattern.match(message):
                return Notice(at, kind, message.decode("ascii", "backslashreplace"), 0, line, offset)
        if (level in (b"query", b"reply") or _QUERYISH.match(message)) and not _NAMELESS.match(message):
            return Weird(at, "unreadable line", "", line, offset)
        return None


def _asked(at: float, found: re.Match[bytes], line: bytes, offset: int) -> Event | None:
    """Read ``address name type class``, which a reply follows with what became of it."""
    sender, qname, qtype, rcode = found.groups()
    if rcode is not None and qname == b"null":
        return None
    client = fields.address(sender)
    if client is None:
        return Weird(at, "bad client address", "", line, offset)
    name = _name(qname)
    if name is None:
        return Weird(at, "name too long" if qname.endswith(b"&") else "bad name", client, line, offset)
    if rcode is None:
        return Query(at, client, 0, name, fields.qtype(qtype), "", "", 0, line, offset)
    return Verdict(at, client, 0, name, fields.qtype(qtype), 0, "answer", rcode.decode("ascii"), False, "", (), line,
                   offset)  # fmt: skip


def _rpz(at: float, found: re.Match[bytes], line: bytes, offset: int) -> Event:
    """Read ``rpz-log``: what a policy zone did, or with ``rpz-action-override: disabled`` would have done."""
    zone, kind, trigger, action, sender, port, qname, qtype = found.groups()
    client = fields.address(sender) if sender else ""
    if client is None:
        return Weird(at, "bad client address", "", line, offset)
    name = _name(qname)
    if name is None:
        return Weird(at, "bad name", client, line, offset)
    said = action.decode("ascii")
    return Verdict(at, client, int(port or b"0"), name, fields.qtype(qtype), 0, "rewrite",
                   "cname" if said == "cname-override" else said, said == "disabled", _owner(zone, kind, trigger), (),
                   line, offset)  # fmt: skip


def _owner(zone: bytes | None, kind: bytes | None, trigger: bytes) -> Name:
    """Give the owner of the record that matched, below the zone that ``rpz-log-name`` names."""
    above = fields.raw(zone) if zone else None
    if kind is not None or b"/" in trigger:  # an address or a name server's name: the zone and the kind are enough
        marked = _TRIGGERS.get(kind or b"", "rpz-ip")
        return f"{marked}.{above}" if above else marked
    owner = _name(trigger)
    if owner is None or owner == ".":
        return above or ""
    return f"{owner}.{above}" if above else owner


def _local(at: float, found: re.Match[bytes], line: bytes, offset: int) -> Event | None:
    """Read ``log-local-actions`` and the inform types: what a local zone did with a client's query."""
    _, kind, sender, port, qname, qtype = found.groups()
    if kind not in _BLOCKS and kind not in _REFUSES and kind not in _PASSES:
        return None
    client = fields.address(sender) if sender else ""
    if not client:
        return Weird(at, "bad client address", "", line, offset)
    name = _name(qname)
    if name is None:
        return Weird(at, "bad name", client, line, offset)
    outcome: Literal["rewrite", "denied", "answer"] = "answer"  # it passed: the line only says that somebody asked
    action = ""
    if kind in _BLOCKS:
        outcome, action = "rewrite", _BLOCKS[kind]
    elif kind in _REFUSES:
        outcome, action = "denied", "REFUSED"
    return Verdict(at, client, int(port), name, fields.qtype(qtype), 0, outcome, action, False, "", (), line, offset)


def _name(text: bytes) -> Name | None:
    """Give a printed name's canonical form; None where Unbound says that it could not print it whole."""
    if len(text) > _LONGEST or text.endswith((b"&", b"#")):
        return None
    return fields.raw(text if text == b"." else text.removesuffix(b"."))
