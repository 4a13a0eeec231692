"""Syslog as it is received: every header becomes the one that parsers know, every framing gives the same messages."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dnswatch.core.logs.parsers import PARSERS
from dnswatch.core.logs.syslog import MOST, Framing, Lines, line
from dnswatch.core.logs.timestamps import Stamps
from dnswatch.core.model import Query

AT = datetime(2026, 11, 22, 19, 26, 11, tzinfo=UTC).timestamp()
QUERY = b"5 10.0.0.7/4711 query[A] hooks.slack.com from 10.0.0.7"
STAMPED = b"2026-11-22T19:26:10.000000Z 192.0.2.1 dnsmasq[1551]: " + QUERY + b"\n"
ARRIVED = STAMPED.replace(b":10.0", b":11.0")


@pytest.mark.parametrize(
    ("message", "wanted"),
    [
        (b"<30>Nov 22 19:26:10 dnsmasq[1551]: " + QUERY, STAMPED),
        (b"<30>Nov 22 19:26:10 OpenWrt dnsmasq[1551]: " + QUERY + b"\n\0", STAMPED),
        (b"<30>1 2026-11-22T20:26:10+01:00 gw dnsmasq 1551 - - \xef\xbb\xbf" + QUERY, STAMPED),
        (b'<30>1 2026-11-22T19:26:10Z gw dnsmasq 1551 - [x@1 a="]"] ' + QUERY, STAMPED.replace(b'"]"] ', b"")),
        (b"<30>1 - gw dnsmasq 1551 - - " + QUERY, ARRIVED),
        (b"<30>dnsmasq[1551]: " + QUERY, ARRIVED),
        (b"<30>Jan  1 00:00:10 1970 dnsmasq[1551]: " + QUERY, None),
        (b"<30>1 1970-01-01T00:00:10Z gw dnsmasq 1551 - - " + QUERY, ARRIVED),
        (b"<30>1 2038-01-19T03:14:08Z gw dnsmasq 1551 - - " + QUERY, ARRIVED),
        (b'<30>1 2026-11-22T19:26:10Z gw suricata - - - {"timestamp":1}', b'{"timestamp":1}\n'),
        (b"<30>", b""),
        (b"", b""),
        (b"no header at all", b"no header at all\n"),
        (b"<13>Nov 22 19:26:10 app: a\nNov 22 19:26:10 dnsmasq[1]: b\0c",
         b"2026-11-22T19:26:10.000000Z 192.0.2.1 app: a#012Nov 22 19:26:10 dnsmasq[1]: b#000c\n"),
    ],
)  # fmt: skip
def test_headers(message: bytes, wanted: bytes | None) -> None:
    """One form comes out; the host is the sender's address, the clock is corrected only where it is absurd."""
    found = Lines("192.0.2.1", None, AT).line(message, AT)
    if wanted is not None:
        assert found == wanted
    assert found.count(b"\n") == (1 if found else 0)


def test_a_stamp_without_zone_is_the_senders() -> None:
    """``timezone`` of the source dates it."""
    lines = Lines("192.0.2.1", ZoneInfo("Europe/Berlin"), AT)
    assert lines.line(b"<30>Nov 22 20:26:10 gw dnsmasq[1551]: " + QUERY, AT) == STAMPED
    assert lines.clock_off == 0
    lines.line(b"<30>1 2031-01-01T00:00:00Z gw dnsmasq 1551 - - " + QUERY, AT)
    assert lines.clock_off == 1


def test_the_parsers_read_what_comes_out() -> None:
    """A line of a router gives the query with its client and time."""
    found = PARSERS["dnsmasq"](Stamps(None, AT)).parse(STAMPED.rstrip(b"\n"), 0)
    assert isinstance(found, Query)
    assert (found.at, found.client, found.qname) == (AT - 1, "10.0.0.7", "hooks.slack.com")
    odd = line(AT, b"h", b"1 [x]: y", b"abc", b"m")
    assert odd == b"2026-11-22T19:26:11.000000Z h _1__x___y: m\n"


def test_both_framings_on_one_connection() -> None:
    """Octet counting and newlines are told apart for each message, a number at the start of a line is no length."""
    framing = Framing()
    data = b"7 <1>ab\nc<30>plain\n22-Nov-2026 19:18:19 text\n2026 is a year\n5 <2>xy"
    assert framing.feed(data) == [b"<1>ab\nc", b"<30>plain", b"22-Nov-2026 19:18:19 text", b"2026 is a year", b"<2>xy"]
    assert (framing.problem, framing.unfinished) == ("", 0)


def test_the_end_of_a_connection() -> None:
    """A last line without its newline is whole; a counted message that was cut off is not."""
    framing = Framing()
    assert framing.feed(b"<1>last") == []
    assert framing.last() == b"<1>last"
    assert framing.feed(b"20 <1>cut") == []
    assert framing.unfinished
    assert framing.last() == b""


@pytest.mark.parametrize("data", [b"999999 <1>x", b"<1>" + b"x" * (MOST + 11), b"1" * (MOST + 11)])
def test_too_long_is_a_problem(data: bytes) -> None:
    """Nobody can make us keep more than one message."""
    framing = Framing()
    framing.feed(data)
    assert "octets" in framing.problem


messages = st.lists(st.tuples(st.booleans(), st.binary(max_size=20)), max_size=8)


@settings(deadline=None, max_examples=150)
@given(messages, st.lists(st.integers(1, 12), max_size=60))
def test_any_chunking_gives_the_same_messages(parts: list[tuple[bool, bytes]], cuts: list[int]) -> None:
    """However TCP cuts it."""
    data = b""
    for counted, body in parts:
        message = b"<1>" + (body if counted else body.replace(b"\n", b""))
        data += b"%d %b" % (len(message), message) if counted else message + b"\n"
    whole, framing = Framing().feed(data), Framing()
    found, at = [], 0
    for cut in [*cuts, len(data)]:
        found += framing.feed(data[at : at + cut])
        at += cut
    assert found == whole
    assert len(whole) == len(parts)


@settings(deadline=None, max_examples=200)
@given(st.binary(max_size=120), st.booleans())
def test_nothing_raises_and_no_message_is_two_lines(data: bytes, header: bool) -> None:
    """Any octets, with a header that dates them or without."""
    message = b"<30>1 2026-11-22T19:26:10Z h t 1 - - " + data if header else data
    found = Lines("192.0.2.1", None, AT).line(message, AT)
    assert found.count(b"\n") == (1 if found else 0)
    Framing().feed(data)
