"""Zeek's dns.log, as JSON or as tab-separated values: one line per transaction, written when it is over.

Never: guesses what a column means. The head of a file (``#fields``) names them, and it may be far before a block; where
it was never seen, the columns are those of a Zeek release that writes so many. Facts: scripts/base/protocols/dns,
src/threading/formatters/Ascii.cc and JSON.cc of zeek/zeek (August 2026)::

    ts uid id.orig_h id.orig_p id.resp_h id.resp_p proto trans_id rtt query qclass qclass_name qtype qtype_name rcode
    rcode_name AA TC RD RA Z answers TTLs rejected [opcode opcode_name [auth addl]]      rtt since 2.5, opcode since 8.1

A sensor is no resolver: it joins the labels of a name with dots, so a label that holds a dot looks like two; multicast
and NetBIOS names in the same log are no lookups. The stamp is that of the question, so lines are not in its order.
Read next: ``core/logs/digest.py``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

from dnswatch.core.logs import fields, objects
from dnswatch.core.logs.timestamps import Stamps
from dnswatch.core.model import Event, Query, Transport, Verdict, Weird

_COLUMNS = [
    "ts", "uid", "id.orig_h", "id.orig_p", "id.resp_h", "id.resp_p", "proto", "trans_id", "rtt", "query", "qclass",
    "qclass_name", "qtype", "qtype_name", "rcode", "rcode_name", "AA", "TC", "RD", "RA", "Z", "answers", "TTLs",
    "rejected", "opcode", "opcode_name", "auth", "addl",
]  # fmt: skip
_LAYOUTS = {
    23: [name for name in _COLUMNS[:24] if name != "rtt"],
    24: _COLUMNS[:24],
    26: _COLUMNS[:26],
    28: _COLUMNS,  # with policy/protocols/dns/auth-addl
}
_NEEDED = ("ts", "id.orig_h", "query")
"""Without these a line says nothing; Zeek writes them in this order, and no name that begins a line would be found."""
_MARKERS = {"unset": b"-", "empty": b"(empty)", "between": b","}
_KEYS = {b"#unset_field": "unset", b"#empty_field": "empty", b"#set_separator": "between"}
_LOCAL_PORTS = (137, 5353, 5355)  # NetBIOS, multicast DNS, LLMNR: neighbours are asked, not a resolver
_TRANSPORTS: dict[object, Transport] = {b"udp": "udp", b"tcp": "tcp"}
_HEAD = re.compile(rb"#(?:separator|set_separator|empty_field|unset_field|path|open|close|fields|types)[ \t]")
_EPOCH = re.compile(rb"\d{10}\.\d{1,9}")  # 2001 to 2286: a torn one is shorter
_ROW = re.compile(
    rb"\d{10}\.\d{1,9}\tC?[0-9A-Za-z]+\t[0-9A-Fa-f.:]+\t\d+\t[0-9A-Fa-f.:]+\t\d+\t(?:udp|tcp|icmp|unknown_transport)\t"
    rb"(?:[^\t]*\t){7,10}[TF]\t[TF]\t[TF]\t[TF]\t\d"
)
_ESCAPED = re.compile(rb"\\(?:\\|x([0-9a-fA-F]{2}))")
_HEX_BYTE = re.compile(rb"\\x([01][0-9a-f]|7f|[89a-f][0-9a-f])")
"""What Zeek's JSON escapes by default: controls, and bytes of a name that is not UTF-8. ASCII stays as it is."""
_PRIVATE = re.compile("[\U000f0000-\U000f001f\U000f007f-\U000f00ff]")
"""The same bytes in private-use characters, its other way of escaping."""


class _Row(NamedTuple):
    """What a line says of a transaction; None where a field is unset."""

    at: float | None
    client: bytes
    port: int
    server: bytes
    server_port: int
    transport: Transport
    query: bytes | None  # the bytes of the name
    qtype: bytes
    rcode: bytes | None
    answers: tuple[bytes, ...]
    opcode: bytes


class ZeekParser:
    """Reads dns.log. What the head of a file says holds until the next head."""

    name = "zeek"
    literals: tuple[bytes, ...] = (b"#separator ", b"#fields\t", *(key + b"\t" for key in _KEYS), objects.ESCAPE)
    tails: tuple[bytes, ...] = (*objects.ENDS, b"\t", b"\n", b"\r")
    example = (
        b"1795375099.281034\tCHhAvVGS1DHFjwGM9\t192.0.2.7\t40000\t192.0.2.53\t53\tudp\t4711\t0.001203\twww.example.test"
        b"\t1\tC_INTERNET\t1\tA\t0\tNOERROR\tF\tF\tT\tT\t0\t192.0.2.80\t60.000000\tF"
    )

    def __init__(self, stamps: Stamps) -> None:
        self.stamps = stamps
        self._columns: list[str] = []  # as the head named them; empty: no head was seen
        self._markers = dict(_MARKERS)
        self._last: tuple[bytes, _Row | None] = (b"", None)  # `verdict` asks for the same line again

    def parse(self, line: bytes, offset: int) -> Event | None:
        """Turn a line into a query; None for heads, for what is no lookup, and for a reply without its question."""
        text = line.lstrip(b"\0").removesuffix(b"\r")
        if text.startswith(b"#"):
            return self._head(text, line, offset)
        row = self._json(text) if text.startswith(b"{") else self._values(text)
        if row is None:
            return Weird(0.0, "unreadable line", "", line, offset) if text.strip() else None
        self._last = line, row
        if row.query is None or row.server_port in _LOCAL_PORTS or row.opcode not in (b"", b"0"):
            return None
        client = fields.address(row.client)
        if row.at is None:
            return Weird(0.0, "unreadable stamp", client or "", line, offset)
        if client is None:
            return Weird(row.at, "bad client address", "", line, offset)
        name = fields.raw(row.query or b".")
        if name is None:
            return Weird(row.at, "bad name", client, line, offset)
        return Query(row.at, client, row.port, name, _type(row.qtype), row.transport, fields.address(row.server) or "",
                     0, line, offset)  # fmt: skip

    def verdict(self, query: Query) -> Verdict | None:
        """Give what the resolver replied; None where Zeek saw no reply."""
        line, row = self._last
        if line != query.line:
            text = query.line.lstrip(b"\0").removesuffix(b"\r")
            row = self._json(text) if text.startswith(b"{") else self._values(text)
        if row is None or row.rcode is None:
            return None
        action = row.rcode.decode("ascii", "backslashreplace").upper()
        kind: Literal["answer", "denied", "failed"] = fields.kind(action)
        found = (fields.address(answer) for answer in row.answers)
        return Verdict(query.at, query.client, query.port, query.qname, query.qtype, 0, kind, action, False, "",
                       tuple(address for address in found if address), query.line, query.offset)  # fmt: skip

    @staticmethod
    def probe(line: bytes) -> bool:
        """Say whether a line has the shape of dns.log: a row, an object with its keys, or a head that names them."""
        line = line.lstrip(b"\0")
        if line.startswith(b"{"):
            return (b'"id.orig_h":' in line or b'"id_orig_h":' in line) and b'"rejected":' in line
        if line.startswith(b"#"):
            return line.startswith((b"#path\tdns", b"#fields\tts\t")) and (b"#path" in line or b"\tquery\t" in line)
        return _ROW.match(line) is not None

    # ── The head of a file ────────────────────────────────────────────────────────────────────────────────────

    def state(self) -> dict[str, object]:
        """Give what the head said, as plain data."""
        return {"columns": self._columns, **{key: mark.decode("latin-1") for key, mark in self._markers.items()}}

    def restore(self, state: Mapping[str, object]) -> None:
        """Go on with what `state` gave."""
        columns = state.get("columns")
        if isinstance(columns, list) and all(isinstance(name, str) for name in columns):
            self._columns = list(columns)
        for key in _MARKERS:
            mark = state.get(key)
            if isinstance(mark, str) and mark:
                self._markers[key] = mark.encode("latin-1", "replace")

    def _head(self, text: bytes, line: bytes, offset: int) -> Event | None:
        """Take a line of a head: its columns and markers hold for the lines behind it."""
        if not _HEAD.match(text):
            return None
        key, _, value = text.partition(b"\t")
        if key == b"#fields":
            self._columns = [_column(name) for name in value.split(b"\t")]
            if any(name not in self._columns for name in _NEEDED) or self._columns[0] == "query":
                return Weird(0.0, "columns of another log", "", line, offset)
        elif key in _KEYS and value:
            self._markers[_KEYS[key]] = _bytes(value)
        elif text.startswith(b"#separator "):
            self._markers, self._columns = dict(_MARKERS), []
            if text.rstrip() not in (b"#separator \\x09", b"#separator \t"):
                return Weird(0.0, "columns not separated by tabs", "", line, offset)
        return None

    # ── Lines ─────────────────────────────────────────────────────────────────────────────────────────────────

    def _values(self, text: bytes) -> _Row | None:
        """Read a line of tab-separated values."""
        cells = text.split(b"\t")
        columns: Sequence[str] = self._columns or _LAYOUTS.get(len(cells), ())
        if len(cells) != len(columns):
            return None
        unset, empty, between = (self._markers[key] for key in ("unset", "empty", "between"))
        row = {name: cell for name, cell in zip(columns, cells, strict=True) if cell != unset}
        query, answers = row.get("query"), row.get("answers", empty)
        if any(row.get(name, b"F") not in (b"T", b"F") for name in ("AA", "TC", "RD", "RA", "rejected")):
            return None  # torn: the columns are shifted, or the last one is cut
        stamp = row.get("ts", b"")
        return _Row(
            objects.at(float(stamp), self.stamps) if _EPOCH.fullmatch(stamp) else None,
            row.get("id.orig_h", b""), _port(row.get("id.orig_p")),
            row.get("id.resp_h", b""), _port(row.get("id.resp_p")), _TRANSPORTS.get(row.get("proto"), ""),
            query if query is None else b"" if query == empty else _bytes(query),
            row.get("qtype_name", b""), row.get("rcode_name"),
            () if answers == empty else tuple(answers.split(between)), row.get("opcode", b""),
        )  # fmt: skip

    def _json(self, text: bytes) -> _Row | None:
        """Read an object. The dots of its keys may be underscores (``Log::default_scope_sep``)."""
        found = objects.read(text)
        if found is None or not ("id.orig_h" in found or "id_orig_h" in found):
            return None
        server_port, opcode = objects.port(_id(found, "resp_p")), objects.number(found.get("opcode"))
        answers = (objects.text(answer) for answer in objects.items(found.get("answers")))
        return _Row(
            objects.at(found.get("ts"), self.stamps), objects.text(_id(found, "orig_h")) or b"",
            objects.port(_id(found, "orig_p")), objects.text(_id(found, "resp_h")) or b"", server_port,
            _TRANSPORTS.get(objects.text(found.get("proto")), ""), _name(found.get("query")),
            objects.text(found.get("qtype_name")) or b"", objects.text(found.get("rcode_name")),
            tuple(filter(None, answers)), b"" if opcode is None else b"%d" % opcode,
        )  # fmt: skip


def _column(name: bytes) -> str:
    return re.sub(r"\Aid_", "id.", name.decode("ascii", "replace"))


def _id(found: objects.Fields, name: str) -> Any:
    return found.get(f"id.{name}", found.get(f"id_{name}"))


def _name(value: object) -> bytes | None:
    """Give the bytes of a name in JSON, whichever of its ways Zeek escaped them in."""
    if not isinstance(value, str):
        return None
    plain = _PRIVATE.sub(lambda found: f"\\x{ord(found[0]) - 0xF0000:02x}", value)
    return _HEX_BYTE.sub(_byte, objects.text(plain) or b"")


def _bytes(value: bytes) -> bytes:
    """Undo the escapes of a tab-separated value: ``\\x..`` and the doubled backslash."""
    return _ESCAPED.sub(lambda found: _byte(found) if found[1] else b"\\", value) if b"\\" in value else value


def _byte(found: re.Match[bytes]) -> bytes:
    return bytes((int(found[1], 16),))


def _port(value: bytes | None) -> int:
    return objects.port(int(value)) if value and len(value) <= 5 and value.isdigit() else 0


def _type(name: bytes) -> str:
    """Give the query type; Zeek writes ``*`` for ANY, and ``query-65534`` where it knows no name."""
    return "ANY" if name == b"*" else fields.qtype(name.replace(b"query-", b"TYPE", 1))
