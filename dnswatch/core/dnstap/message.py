"""One dnstap message → a `Query`, a `Verdict`, or why it cannot be trusted.

The numbers are those of ``dnstap.proto`` (dnstap.info, CC0). Client messages count, and authoritative ones, which is
what BIND calls a query without the wish for recursion; what the resolver itself asks others is not a client's lookup.
Never: raises for any bytes, or keeps a message. Read next: ``digest.py``.

A policy zone shows itself in two ways: in the field `policy`, which few servers fill, and in the SOA of the zone that
BIND puts into the additional section of an answer that it rewrote (``add-soa``, on by default).
"""

from __future__ import annotations

from typing import Literal

from dnswatch.core import names
from dnswatch.core.dnstap import dns, protobuf
from dnswatch.core.model import Event, Name, Query, Transport, Verdict, Weird

MALFORMED = "malformed dnstap message"
NO_CLIENT = "dnstap message without a client"
NO_TIME = "dnstap message without a time"

_QUERIES, _RESPONSES = (1, 5), (2, 6)  # AUTH_, CLIENT_
_TYPE, _PROTOCOL, _CLIENT, _SERVER, _PORT = 1, 3, 4, 5, 6
_QUERY_SEC, _QUERY_NSEC, _QUERY_MESSAGE = 8, 9, 10
_RESPONSE_SEC, _RESPONSE_NSEC, _RESPONSE_MESSAGE, _POLICY = 12, 13, 14, 15
_TRANSPORTS: dict[int, tuple[Transport, str]] = {
    1: ("udp", "udp"), 2: ("tcp", "tcp"), 3: ("tcp", "DoT"), 4: ("tcp", "DoH"), 5: ("udp", "DNSCrypt"),
    6: ("tcp", "DNSCrypt over TCP"), 7: ("udp", "DoQ"),
}  # fmt: skip
_ACTIONS = {1: "nxdomain", 2: "nodata", 3: "passthru", 4: "drop", 5: "tcp-only", 6: "local-data"}
_OUTCOMES: dict[str, Literal["answer", "denied", "failed"]] = {
    "REFUSED": "denied", "SERVFAIL": "failed", "FORMERR": "failed", "NOTIMP": "failed",
}  # fmt: skip
_KINDS = {1: "AUTH_QUERY", 2: "AUTH_RESPONSE", 5: "CLIENT_QUERY", 6: "CLIENT_RESPONSE"}


def read(frame: bytes, offset: int) -> Event | None:
    """Read a data frame; None for a message that is no client's lookup (resolver, forwarder, update …)."""
    outer = protobuf.read(frame)
    if outer is None:
        return _weird(MALFORMED, frame, offset)
    inner = outer.get(14)
    if outer.get(15) != 1 or not isinstance(inner, bytes):
        return None
    fields = protobuf.read(inner)
    if fields is None:
        return _weird(MALFORMED, frame, offset)
    kind = fields.get(_TYPE)
    if kind in _QUERIES:
        return _query(fields, frame, offset)
    return _response(fields, frame, offset) if kind in _RESPONSES else None


def _query(fields: protobuf.Fields, frame: bytes, offset: int) -> Event | None:
    message = fields.get(_QUERY_MESSAGE)
    asked = dns.question(message) if isinstance(message, bytes) else None
    if asked is None or asked.is_response:
        return None
    place = _place(fields, _at(fields, _QUERY_SEC, _QUERY_NSEC), frame, offset)
    if isinstance(place, Weird):
        return place
    at, client, port = place
    server = fields.get(_SERVER)
    transport, _ = _TRANSPORTS.get(_number(fields, _PROTOCOL), ("", ""))
    asked_at = dns.address(server) if isinstance(server, bytes) else ""
    line = _line(fields, client, port, asked)
    return Query(at, client, port, asked.qname, asked.qtype, transport, asked_at, 0, line, offset)


def _response(fields: protobuf.Fields, frame: bytes, offset: int) -> Event | None:
    message = fields.get(_RESPONSE_MESSAGE)
    asked = dns.question(message) if isinstance(message, bytes) else None
    if asked is None or not asked.is_response or not isinstance(message, bytes):
        return None
    at = _at(fields, _RESPONSE_SEC, _RESPONSE_NSEC) or _at(fields, _QUERY_SEC, _QUERY_NSEC)
    place = _place(fields, at, frame, offset)
    if isinstance(place, Weird):
        return place
    at, client, port = place
    said = dns.answer(message, asked)
    line = _line(fields, client, port, asked, said.data)
    rewrite = _policy(fields, asked, said)
    if rewrite is not None:
        action, via = rewrite
        return Verdict(at, client, port, asked.qname, asked.qtype, 0, "rewrite", action, False, via, (), line, offset)
    kind = _OUTCOMES.get(asked.rcode, "answer")
    data = said.data if kind == "answer" else ()
    return Verdict(at, client, port, asked.qname, asked.qtype, 0, kind, asked.rcode, False, "", data, line, offset)


def _policy(fields: protobuf.Fields, asked: dns.Question, said: dns.Answer) -> tuple[str, Name] | None:
    """Give what a policy did, and the owner of its record; None when no policy says it was there."""
    field = fields.get(_POLICY)
    policy = protobuf.read(field) if isinstance(field, bytes) else None
    if policy is not None and (action := _ACTIONS.get(_number(policy, 3))) is not None:
        zone, rule = policy.get(1), policy.get(2)
        parts = [names.from_escaped(part.rstrip(b".")) for part in (rule, zone) if isinstance(part, bytes) and part]
        if len(parts) == 2 and parts[0] and parts[1] and names.within(parts[0], parts[1]):
            parts = parts[:1]
        return action, ".".join(part for part in parts if part)
    zone_name = said.policy_zone
    if not zone_name or zone_name == "." or names.within(asked.qname, zone_name):
        return None
    action = "nxdomain" if asked.rcode == "NXDOMAIN" else "local-data" if said.data else "nodata"
    return action, f"{asked.qname}.{zone_name}"


def _place(fields: protobuf.Fields, at: float, frame: bytes, offset: int) -> tuple[float, str, int] | Weird:
    """Give when, who and from which port."""
    octets = fields.get(_CLIENT)
    client = dns.address(octets) if isinstance(octets, bytes) else ""
    if not client:
        return _weird(NO_CLIENT, frame, offset)
    if not at:
        return _weird(NO_TIME, frame, offset)
    return at, client, _number(fields, _PORT) & 0xFFFF


def _at(fields: protobuf.Fields, second: int, nanosecond: int) -> float:
    """Give a time as Unix seconds; 0.0 where it is not told, or cannot be (the year 4000)."""
    seconds, part = _number(fields, second), _number(fields, nanosecond)
    return seconds + part / 1e9 if 0 < seconds < 1 << 36 and part < 1_000_000_000 else 0.0


def _number(fields: protobuf.Fields, key: int) -> int:
    value = fields.get(key)
    return value if isinstance(value, int) else 0


def _line(
    fields: protobuf.Fields, client: str, port: int, asked: dns.Question, data: tuple[str, ...] | None = None
) -> bytes:
    """Say a message in a line, for evidence: binary is no use to a reader."""
    _, transport = _TRANSPORTS.get(_number(fields, _PROTOCOL), ("", "?"))
    text = f"dnstap {_KINDS[_number(fields, _TYPE)]} {client}#{port} {transport} {asked.qname} IN {asked.qtype}"
    if data is not None:
        text += f" {asked.rcode} {' '.join(data)}".rstrip()
    return text.encode("ascii", "backslashreplace")


def _weird(why: str, frame: bytes, offset: int) -> Weird:
    return Weird(0.0, why, "", frame[:256], offset)
