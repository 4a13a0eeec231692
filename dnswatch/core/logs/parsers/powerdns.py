"""PowerDNS Recursor with ``quiet=no``: questions, answers and policy hits, structured, as JSON, or in the classic form.

Never: looks for a field inside another's quotes. Values are quoted with ``\\"`` and ``\\\\`` on top of the name's own
escapes (``hello\\\\032world``): each value is unquoted once, and the name in it then read once. A classic line of the
packet cache names no question and tells nothing. Grammar: ``rec-main.cc`` (loggers), ``pdns_recursor.cc`` and
``filterpo.cc`` of 4.8 and 5.4; recorded: 4.8. Read next: ``core/logs/formats.py``.

::

    Nov 22 19:27:59 msg="Question" subsystem="syncres" … ts="1795375679.841" … qname="a.test" qtype="A" remote="…:34131"
    Nov 22 19:28:28 1 [3/1] question for 'a.test|HTTPS' from 127.0.0.1:45178
    Nov 22 19:28:29 a.test.|A: RPZ Hit; PolicyName=rpz.lab; Trigger=a.test.; …; Kind=NXDOMAIN; Remote=127.0.0.1:34131

The Recursor itself tells of policy hits only in traces. A Lua hook of a few lines (docs/sources.md) writes such a line
for every hit, with the client at its end; ``PolicyName`` is to be the zone's name.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Literal

from dnswatch.core.logs import fields, prefixes
from dnswatch.core.logs.timestamps import NO_STAMP, Stamps
from dnswatch.core.model import Event, Name, Notice, Query, Transport, Verdict, Weird

_OWN = re.compile(rb"([A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d) ")
_TAG = re.compile(rb"(?:[\w.-]+/)*pdns[_-]recursor[\w.-]*\Z")
_PAIR = re.compile(rb'([A-Za-z][\w-]*+)="((?:[^"\\]|\\.)*+)"(?: |\Z)', re.DOTALL)
_QUOTED = re.compile(rb"\\(.)", re.DOTALL)
_REMOTE = re.compile(rb"(?:\[([0-9A-Fa-f.:]{2,45}+)(?:%[^\]]*+)?\]|([0-9.]{7,15}+)):(\d{1,5}+)(?: \(.*\))?\Z")
_THREAD = rb"(?:\d++ )?(?:\[\d++/\d++\] )?"
_ASKED = re.compile(_THREAD + rb"(TCP )?question for '([^ ]+)\|([A-Z][A-Z0-9-]*+)' from ([^ ]++)(?: \([^)]*\))*+\Z")
_ANSWERED = re.compile(
    _THREAD + rb"answer to (?:non-rd )?question '([^ ]+)\|([A-Z][A-Z0-9-]*+)': \d++ answers, "
    rb".*, rcode=(-?\d{1,5}+)(?:,.*)?\Z"
)  # fmt: skip
_CACHED = re.compile(_THREAD + rb"(?:TCP )?question answered from packet cache ")
_FAILED = re.compile(rb"Sending SERVFAIL to ([^ ]++)(?: \(.*?\))? during resolve of '([^ ]+)' because: ")
_HIT = re.compile(
    rb"(?:\[\d++\] *+[^ ]++: )?([^ ]+)\|([A-Z][A-Z0-9-]*+): RPZ Hit; PolicyName=([^; ]*+);"
    rb" Trigger=([^ ]*); Hit=([^ ]*); Type=[^;]*+; Kind=([^;]*+)(?:; Remote=([^ ]++))?\Z"
)  # fmt: skip
_NOTICES = (
    (re.compile(r"PowerDNS Recursor \d[\w.+~-]* \(C\)"), "start"),
    (re.compile(r"Exiting on user request"), "stop"),
    (re.compile(r"Done loading RPZ from file"), "rpz-reload"),
    (re.compile(r"RPZ load completed"), "rpz-reload"),
)
_CLASSIC = re.compile(
    rb"(?:" + _THREAD + rb"(?:TCP )?question (?:for '|answered from packet cache )|" + _THREAD + rb"answer to "
    rb"|PowerDNS Recursor \d)"
)  # fmt: skip
_STRUCTURED = re.compile(rb'msg="(?:[^"\\]|\\.)*+" (?:error="(?:[^"\\]|\\.)*+" )?(?:subsystem|level)="')
_JSON = re.compile(rb'\{"[^{}\n]*"msg": ?"')
_TS = re.compile(rb' ts="(\d{9,10}\.\d{1,9})"')
_TS_JSON = re.compile(rb'"ts": ?"(\d{9,10}\.\d{1,9})"')
_KINDS = {  # getKindToString and the keys of pdns.policykinds → the action's name in RPZ
    "noaction": "passthru", "drop": "drop", "nxdomain": "nxdomain", "nodata": "nodata", "truncate": "tcp-only",
    "custom": "local-data",
}  # fmt: skip
_RCODES = {
    "0": "NOERROR", "1": "FORMERR", "2": "SERVFAIL", "3": "NXDOMAIN", "4": "NOTIMP", "5": "REFUSED", "6": "YXDOMAIN",
    "7": "YXRRSET", "8": "NXRRSET", "9": "NOTAUTH", "10": "NOTZONE",
}  # fmt: skip
_QUESTIONS = {
    "Question": "",
    "Question answered from packet cache": "udp",
    "TCP question answered from packet cache": "tcp",
}
_ANSWERS = ("Answer", "Sending SERVFAIL during resolve")
_TRANSPORTS: dict[str, Transport] = {"udp": "udp", "tcp": "tcp"}
_NAME_TEXT = 1023
"""Longest text of a name, each of 255 octets as ``\\DDD``; the bound that BIND's has, too."""


class PowerdnsParser:
    """Reads what PowerDNS Recursor says of questions with ``quiet=no``."""

    name = "powerdns"
    literals: tuple[bytes, ...] = (
        b"RPZ Hit",
        b"PowerDNS Recursor ",
        b"Exiting on user request",
        b"Done loading RPZ",
        b"RPZ load completed",
    )
    tails: tuple[bytes, ...] = (b'" ', b'",', b"|", b"' because")
    example = (
        b'Nov 22 19:27:59 msg="Question" subsystem="syncres" level="0" prio="Info" tid="1" ts="1795375679.841" ecs="" '
        b'mtid="1" proto="udp" qname="www.example.test" qtype="A" remote="192.0.2.7:34131"'
    )

    def __init__(self, stamps: Stamps) -> None:
        self.stamps = stamps

    def parse(self, line: bytes, offset: int) -> Event | None:
        """Turn a line into an event; None for what the Recursor said without concern to us."""
        text = line.lstrip(b"\0").removesuffix(b"\r")
        if found := _OWN.match(text):
            rest = text[found.end() :]
            if _ours(rest) or _HIT.match(rest):
                return self._message(self._own_at(found[1], rest), rest, line, offset)
        head = prefixes.header(text)
        if head is not None:
            if not _TAG.match(head.tag):
                return None  # another program's line in a shared file, or one of ours that only looks like it
            rest = text[head.end :]
            at = _epoch(rest)
            return self._message(head.at(self.stamps) if at is None else self.stamps.known(at), rest, line, offset)
        if found:
            return self._message(self.stamps.read(found[1]), text[found.end() :], line, offset)
        if _ours(text) or _HIT.match(text):
            at = _epoch(text)
            at = self.stamps.read(None) if at is None else self.stamps.known(at)
            return Weird(0.0, NO_STAMP, "", line, offset) if at is None else self._message(at, text, line, offset)
        return Weird(0.0, "unreadable line", "", line, offset) if text.strip() else None

    @staticmethod
    def probe(line: bytes) -> bool:
        """Say whether a line is the Recursor's: its tag in a syslog header, or the shape of what it says."""
        line = line.lstrip(b"\0")
        found = _OWN.match(line)
        if _ours(line[found.end() :] if found else line):
            return True
        head = prefixes.header(line)
        return head is not None and _TAG.match(head.tag) is not None

    def _own_at(self, second: bytes, rest: bytes) -> float | None:
        """Give a line's time: of two stamps the one in UTC with its milliseconds counts."""
        at = _epoch(rest)
        return self.stamps.read(second) if at is None else self.stamps.known(at)

    def _message(self, at: float | None, message: bytes, line: bytes, offset: int) -> Event | None:
        if at is None:
            return Weird(0.0, "unreadable stamp", "", line, offset)
        if _STRUCTURED.match(message) or _JSON.match(message):
            said = _json(message) if message.startswith(b"{") else _pairs(message)
            if said is None:
                broken = any(f'"{word}"'.encode() in message for word in (*_QUESTIONS, *_ANSWERS, "RPZ Hit"))
                return Weird(at, "unreadable line", "", line, offset) if broken else None
            return _structured(at, said, line, offset)
        return _classic(at, message, line, offset)


def _ours(text: bytes) -> bool:
    """Say whether a message without syslog's header has a shape that only the Recursor writes."""
    return any(shape.match(text) for shape in (_STRUCTURED, _CLASSIC, _JSON))


def _epoch(message: bytes) -> float | None:
    """Give the value of ``ts``; None where there is none, as in the classic form: there a name may hold plain quotes.

    In the other forms a quote inside a value has a backslash, so that no value can pass for this field.
    """
    shape = _TS_JSON if _JSON.match(message) else _TS if _STRUCTURED.match(message) else None
    found = shape.search(message) if shape else None
    return float(found[1]) if found else None


def _pairs(message: bytes) -> dict[str, bytes] | None:
    """Read ``key="value"`` to the end of the message; None where it is cut."""
    said: dict[str, bytes] = {}
    at = 0
    while found := _PAIR.match(message, at):
        key, value = found.groups()
        said.setdefault(
            key.decode("ascii", "backslashreplace"), _QUOTED.sub(rb"\1", value) if b"\\" in value else value
        )
        at = found.end()
    return said if at == len(message) else None


def _json(message: bytes) -> dict[str, bytes] | None:
    """Read the JSON backend's object (5.1 and later); every value is a string there."""
    try:
        said = json.loads(message)
    except (ValueError, RecursionError):
        return None
    if not isinstance(said, dict):
        return None
    return {key: value.encode("utf-8", "surrogatepass") for key, value in said.items() if isinstance(value, str)}


def _structured(at: float, said: Mapping[str, bytes], line: bytes, offset: int) -> Event | None:
    """Read a structured message: of a question, of its answer, of a policy, of the Recursor itself."""
    message = said.get("msg", b"").decode("utf-8", "backslashreplace")
    if message in _QUESTIONS:
        client, port = _peer(said.get("source") or said.get("remote", b""))
        qname = said.get("qname", b"")
        transport = _TRANSPORTS.get(said.get("proto", b"").decode("ascii", "replace") or _QUESTIONS[message], "")
        return _query(at, client, port, qname, said.get("qtype", b""), transport, line, offset)
    if message in _ANSWERS:
        client, port = _peer(said.get("source") or said.get("remote", b""))
        rcode = _rcode(said.get("rcode", b"2"))
        kind: Literal["answer", "failed"] = "answer" if message == "Answer" else "failed"
        return _verdict(at, client, port, said.get("qname", b""), said.get("qtype", b""), kind, rcode, line, offset)
    if message == "RPZ Hit":
        client, port = _peer(said["remote"]) if "remote" in said else ("", 0)
        qname, qtype = said.get("qname") or said.get("hit", b""), said.get("qtype", b"")
        action, trigger, policy = (said.get(key, b"") for key in ("kind", "trigger", "policyName"))
        return _rewrite(at, client, port, qname, qtype, action, trigger, policy, line, offset)
    return _classic(at, said.get("msg", b""), line, offset)


def _classic(at: float, message: bytes, line: bytes, offset: int) -> Event | None:
    """Read a message in words."""
    if found := _ASKED.match(message):
        tcp, qname, qtype, remote = found.groups()
        client, port = _peer(remote)
        return _query(at, client, port, qname, qtype, "tcp" if tcp else "udp", line, offset)
    if found := _ANSWERED.match(message):
        return _verdict(at, "", 0, found[1], found[2], "answer", _rcode(found[3]), line, offset)
    if found := _HIT.match(message):
        qname, qtype, policy, trigger, _, kind, remote = found.groups()
        client, port = _peer(remote) if remote else ("", 0)
        return _rewrite(at, client, port, qname, qtype, kind, trigger, policy, line, offset)
    if found := _FAILED.match(message):
        client, port = _peer(found[1])
        return _verdict(at, client, port, found[2], b"", "failed", "SERVFAIL", line, offset)
    text = message.decode("ascii", "backslashreplace")
    for pattern, kind in _NOTICES:
        if pattern.match(text):
            return Notice(at, kind, text, 0, line, offset)
    if _CLASSIC.match(message) and not _CACHED.match(message):
        return Weird(at, "unreadable line", "", line, offset)
    return None


def _peer(text: bytes) -> tuple[str | None, int]:
    """Read ``127.0.0.1:34131`` or ``[::1]:34131``, behind which a proxy may stand; None when it is neither."""
    found = _REMOTE.match(text)
    return (fields.address(found[1] or found[2]), int(found[3])) if found else (None, 0)


def _name(text: bytes) -> Name | None:
    return fields.escaped(text) if 0 < len(text) <= _NAME_TEXT else None


def _rcode(text: bytes) -> str:
    number = text.decode("ascii", "replace")
    return _RCODES.get(number, f"RCODE{number}" if number.isdigit() else "")


def _query(
    at: float, client: str | None, port: int, qname: bytes, qtype: bytes, transport: Transport, line: bytes, offset: int
) -> Event:
    if client is None:
        return Weird(at, "bad client address", "", line, offset)
    name = _name(qname)
    if name is None:
        return Weird(at, "bad name", client, line, offset)
    return Query(at, client, port, name, fields.qtype(qtype), transport, "", 0, line, offset)


def _verdict(
    at: float, client: str | None, port: int, qname: bytes, qtype: bytes, kind: Literal["answer", "failed"],
    rcode: str, line: bytes, offset: int,
) -> Event:  # fmt: skip
    if client is None:
        return Weird(at, "bad client address", "", line, offset)
    name = _name(qname)
    if name is None:
        return Weird(at, "bad name", client, line, offset)
    return Verdict(at, client, port, name, fields.qtype(qtype), 0, kind, rcode, False, "", (), line, offset)


def _rewrite(
    at: float, client: str | None, port: int, qname: bytes, qtype: bytes, kind: bytes, trigger: bytes, policy: bytes,
    line: bytes, offset: int,
) -> Event:  # fmt: skip
    """Read a policy hit; the record's owner is its trigger below the policy's name, which is to be the zone's."""
    if client is None:
        return Weird(at, "bad client address", "", line, offset)
    name = _name(qname)
    owner = _name(trigger)
    if name is None or owner is None:
        return Weird(at, "bad name", client, line, offset)
    zone = _name(policy)
    said = kind.decode("ascii", "backslashreplace").lower().replace(" ", "")
    via = f"{owner}.{zone}" if zone else owner
    return Verdict(at, client, port, name, fields.qtype(qtype), 0, "rewrite", _KINDS.get(said, said), False, via, (),
                   line, offset)  # fmt: skip
