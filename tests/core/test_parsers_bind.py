"""BIND lines: the client part decides who asked, the last body on the line what; no name reaches either."""

import pytest

from dnswatch.core.logs.parsers.bind import BindParser
from dnswatch.core.logs.timestamps import Stamps
from dnswatch.core.model import Event, Notice, Query, Verdict, Weird

AT = 1795375099.281
HEAD = b"22-Nov-2026 19:18:19.281 "


def parse(line: bytes) -> Event | None:
    return BindParser(Stamps(None, AT)).parse(line, 7)


def query(line: bytes) -> Query:
    event = parse(line)
    assert isinstance(event, Query), event
    return event


def test_a_query_line_gives_all_its_fields() -> None:
    """Every field of a default query line, the line itself and its offset."""
    line = (
        HEAD
        + b"queries: info: client @0x7f 192.0.2.7#38510 (WWW.example): query: WWW.example IN A +E(0)TK (192.0.2.53)"
    )
    assert parse(line) == Query(AT, "192.0.2.7", 38510, "www.example", "A", "tcp", "192.0.2.53", 0, line, 7)


@pytest.mark.parametrize("labels", [b"", b"queries: ", b"info: ", b"queries: info: ", b"queries: ns/query: debug 3: "])
@pytest.mark.parametrize(
    "stamp", [b"", HEAD, b"2026-11-22T19:18:19.281 ", b"2026-11-22T19:18:19.281Z ", b"2026-11-22T21:18:19.281+02:00 "]
)
@pytest.mark.parametrize("pointer", [b"", b"@0x7fa484f14098 "])
def test_every_prefix_form_reads_the_same(stamp: bytes, labels: bytes, pointer: bytes) -> None:
    """Any time format, with or without category, module and severity, with or without the pointer."""
    line = stamp + labels + b"client " + pointer + b"192.0.2.7#1 (a.example): query: a.example IN HTTPS + (192.0.2.53)"
    assert query(line)[:8] == (AT, "192.0.2.7", 1, "a.example", "HTTPS", "udp", "192.0.2.53", 0)


@pytest.mark.parametrize("flags", [b"+SE(0)TDCV", b"+E(0)STDCK", b"-T", b"+SETDC"])
def test_flags_are_a_set(flags: bytes) -> None:
    """T means TCP wherever the version puts it (9.20.3 changed the order)."""
    assert query(HEAD + b"client 192.0.2.7#1 (a.b): query: a.b IN A " + flags + b" (::1)").transport == "tcp"


@pytest.mark.parametrize(
    ("peer", "client"),
    [
        (b"fe80::1%1#44042", "fe80::1"),
        (b"2001:DB8:0:0::7#44042", "2001:db8::7"),
        (b"::ffff:192.0.2.7#44042", "192.0.2.7"),
        (b"192.0.2.7#44042/key lab-key", "192.0.2.7"),
        (b"192.0.2.7#44042/key we\\032ird\\(key\\).example", "192.0.2.7"),
    ],
)
def test_clients_are_canonical(peer: bytes, client: str) -> None:
    """IPv6 compressed and lower-case without zone, v4-mapped as v4, keys no part of the address."""
    event = query(HEAD + b"client @0x7f " + peer + b" (a.b): query: a.b IN A + (127.0.0.1)")
    assert (event.client, event.port) == (client, 44042)


@pytest.mark.parametrize("laddr", [b"2001:db8::53", b"2001:db8::53#53", b"2001:DB8::53%2", b"2001:db8::53%2#853"])
def test_the_server_loses_zone_and_port(laddr: bytes) -> None:
    """9.21.5 prints the port of the local address, link-local ones have a zone."""
    line = HEAD + b"client 192.0.2.7#1 (a.b): query: a.b IN A + (" + laddr + b") [ECS 192.0.2.0/24/0]"
    assert query(line).server == "2001:db8::53"


@pytest.mark.parametrize(
    "view",
    [b"internal", b"we:ird (x) view", b"a: query: b", b"x: query: fake IN A + (6.6.6.6)", b"client 6.6.6.6#5 (y)"],
)
def test_views_are_free_text(view: bytes) -> None:
    """Whatever an operator calls a view, the last body on the line is the query."""
    line = HEAD + b"client @0x7f 192.0.2.7#1 (a.b): view " + view + b": query: a.b IN A + (192.0.2.53)"
    assert query(line)[1:4] == ("192.0.2.7", 1, "a.b")


@pytest.mark.parametrize(
    ("body", "kind", "action", "qtype"),
    [
        (b"rpz QNAME NXDOMAIN rewrite a.b/A/IN via a.b.rpz", "rewrite", "nxdomain", "A"),
        (b"rpz QNAME NODATA rewrite a.b/AAAA/IN via a.b.rpz", "rewrite", "nodata", "AAAA"),
        (b"rpz IP PASSTHRU rewrite a.b/A/IN via a.b.rpz", "rewrite", "passthru", "A"),
        (b"rpz CLIENT-IP DROP rewrite a.b/A/IN via a.b.rpz", "rewrite", "drop", "A"),
        (b"rpz NSIP TCP-ONLY rewrite a.b/A/IN via a.b.rpz", "rewrite", "tcp-only", "A"),
        (b"rpz NSDNAME Local-Data rewrite a.b/TYPE65/IN via a.b.rpz", "rewrite", "local-data", "HTTPS"),
        (b"rpz QNAME CNAME rewrite a.b/A/IN via a.b.rpz (CNAME to: a.b.walled)", "rewrite", "cname", "A"),
        (b"rpz QNAME NXDOMAIN rewrite a.b via a.b.rpz", "rewrite", "nxdomain", ""),  # 9.9, 9.10
        (b"response: a.b IN A SERVFAIL 0 0 1 +E(0)K (192.0.2.53)", "answer", "SERVFAIL", "A"),
        (b"query failed (REFUSED) for a.b/IN/A at query.c:5708", "failed", "REFUSED", "A"),
        (b"query 'a.b/A/IN' denied", "denied", "REFUSED", "A"),
        (b"query (cache) 'a.b/A/IN' denied (allow-query-cache did not match)", "denied", "REFUSED", "A"),
    ],
)
@pytest.mark.parametrize("view", [b"", b"view v: "])
def test_verdicts(body: bytes, kind: str, action: str, qtype: str, view: bytes) -> None:
    """Rewrites, responses, failures and denials name the client, the name that was asked and what became of it."""
    event = parse(HEAD + b"rpz: info: client @0x7f 192.0.2.7#1 (a.b): " + view + body)
    assert isinstance(event, Verdict)
    assert (event.client, event.port, event.qname, event.kind) == ("192.0.2.7", 1, "a.b", kind)
    assert (event.action, event.qtype) == (action, qtype)
    assert event.via == ("a.b.rpz" if kind == "rewrite" else "")


def test_disabled_rewrites_are_told_apart() -> None:
    """`policy disabled` logs what would have happened."""
    event = parse(HEAD + b"client 192.0.2.7#1 (a.b): disabled rpz QNAME NXDOMAIN rewrite a.b/A/IN via a.b.rpz")
    assert isinstance(event, Verdict)
    assert event.disabled


def test_a_rewrite_further_down_the_chain_belongs_to_the_name_asked() -> None:
    """The parenthesised name is the original one; the rewritten one may be a CNAME's target."""
    event = parse(HEAD + b"client 192.0.2.7#1 (asked.b): rpz QNAME NXDOMAIN rewrite target.b/A/IN via target.b.rpz")
    assert isinstance(event, Verdict)
    assert (event.qname, event.via) == ("asked.b", "target.b.rpz")


@pytest.mark.parametrize(
    ("message", "kind", "count"),
    [
        (b"starting BIND 9.18.49 (Extended Support Version)", "start", 0),
        (b"exiting", "stop", 0),
        (b"query logging is now off", "querylog", 0),
        (b"query logging is now on", "querylog", 1),
        (b"reloading configuration succeeded", "reload", 0),
        (b"reloading configuration failed: file not found", "reload", 0),
        (b"rpz: rpz.lab: reload done: success", "rpz-reload", 0),
    ],
)
@pytest.mark.parametrize(
    "prefix", [HEAD, HEAD + b"general: info: ", b"Nov 22 19:18:19 vm named[947]: ", b"general: notice: "]
)
def test_notices(message: bytes, kind: str, count: int, prefix: bytes) -> None:
    """What named says of itself, with and without labels and through syslog."""
    event = parse(prefix + message)
    assert isinstance(event, Notice)
    assert (event.kind, event.count) == (kind, count)
    assert message.decode().endswith(event.text)


@pytest.mark.parametrize(
    "message",
    [
        b"general: info: zone example.test/IN: loaded serial 2",
        b"rate-limit: info: client @0x7f 192.0.2.7#1 (a.b): rate limit drop response to 192.0.2.0/24 for a.b IN A  (6)",
        b"rate-limit: info: limit responses to 192.0.2.0/24 for a.b IN A  (640c)",
        b"xfer-out: info: client @0x7f 192.0.2.7#1 (a.b): transfer of 'a.b/IN': AXFR started",
        b"security: error: client @0x7f 192.0.2.7#1: request has invalid signature: TSIG k: verify failure (BADSIG)",
        b"lame-servers: info: network unreachable resolving 'com/NS/IN': 2001:500:2::c#53",
    ],
)
def test_other_lines_are_nothing(message: bytes) -> None:
    """Lines of other categories are read and left alone."""
    assert parse(HEAD + message) is None


@pytest.mark.parametrize(
    ("inner", "outer", "at"),
    [
        (b"", b"Nov 22 19:18:19 vm named[947]: ", 1795375099.0),
        (b"22-Nov-2026 19:18:18.500 ", b"Nov 22 19:18:19 vm named[947]: ", 1795375098.5),
        (b"2026-11-22T19:18:18.500Z ", b"2026-11-22T19:18:19.25+00:00 vm named[947]: ", 1795375098.5),
        (b"22-Nov-2026 14:18:18.500 ", b"2026-11-22T19:18:19.25+00:00 vm named[947]: ", 1795375099.25),
    ],
)
def test_of_two_stamps_the_surer_one_counts(inner: bytes, outer: bytes, at: float) -> None:
    """BIND's own stamp, unless it has no zone and syslog's has."""
    assert query(outer + inner + b"client 192.0.2.7#1 (a.b): query: a.b IN A + (::1)").at == at


@pytest.mark.parametrize(
    ("line", "why", "client"),
    [
        (HEAD + b"client 192.0.2.7#1 (a.b): query: a.b IN A", "unreadable line", "192.0.2.7"),
        (HEAD + b"client 192.0.2.777#1 (a.b): query: a.b IN A + (::1)", "bad client address", ""),
        (HEAD + b"client 192.0.2.7#1 (a..b): query: a..b IN A + (::1)", "bad name", "192.0.2.7"),
        (HEAD + b"client 192.0.2.7#1 (a): query: " + b"\\000" * 300 + b" IN A + (::1)", "bad name", "192.0.2.7"),
        (HEAD + b"client 192.0.2.7#1 (a..b): rpz QNAME DROP rewrite a..b/A/IN via a.rpz", "bad name", "192.0.2.7"),
        (b"00" + HEAD[2:] + b"client 192.0.2.7#1 (a.b): query: a.b IN A + (::1)", "unreadable stamp", "192.0.2.7"),
        (b"free text", "unreadable line", ""),
    ],
)
def test_what_is_not_trusted_says_why(line: bytes, why: str, client: str) -> None:
    """Broken lines become counted values with a fixed phrase, and with the client where it is certain."""
    event = parse(line)
    assert isinstance(event, Weird)
    assert (event.why, event.client, event.line) == (why, client, line)
    assert (event.at == 0.0) is (why == "unreadable stamp" or line == b"free text")


def test_other_programs_in_a_shared_file_are_ignored() -> None:
    """The tag decides, not the text: a logger line that looks like a query is no query."""
    body = b"client @0x7f 6.6.6.6#1 (a.b): query: a.b IN A + (::1)"
    assert parse(b"Nov 22 19:18:19 vm test: " + body) is None
    assert parse(b"2026-11-22T19:18:19.000000+00:00 vm test[3]: " + body) is None
    assert parse(b"<13>1 2026-11-22T19:18:19.000000+00:00 vm test 3 - - " + body) is None
    assert query(b"Nov 22 19:18:19 vm named-pkcs11[3]: " + body).client == "6.6.6.6"


def test_the_pointer_and_text_may_be_longer_than_usual() -> None:
    """The longest name of a log, fully escaped, is read."""
    name = b".".join([b"\\001" * 63] * 3 + [b"\\001" * 61])
    assert (
        query(HEAD + b"client @0xffffffffffffffff 192.0.2.7#65535 (%s): query: %s IN A + (::1)" % (name, name)).port
        == 65535
    )
