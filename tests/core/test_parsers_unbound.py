"""Unbound's lines: what no corpus line shows by itself."""

from hypothesis import given, settings
from hypothesis import strategies as st

from dnswatch.core.logs.parsers.unbound import UnboundParser
from dnswatch.core.logs.timestamps import Stamps
from dnswatch.core.model import Event, Query, Verdict, Weird

LABELS = st.lists(st.binary(min_size=1, max_size=30), min_size=1, max_size=6)


def parse(line: bytes) -> Event | None:
    return UnboundParser(Stamps(None, 1795375396.0)).parse(line, 0)


def printed(labels: list[bytes]) -> bytes:
    """Print a name as Unbound does: every octet but letters, digits, ``-_*`` as ``?`` (``util/data/dname.c``)."""
    plain = b"-_*0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
    return b"".join(bytes(byte if byte in plain else 0x3F for byte in label) + b"." for label in labels)


@settings(deadline=None, max_examples=100)
@given(LABELS)
def test_law_a_name_chooses_neither_client_nor_kind(labels: list[bytes]) -> None:
    """Query, reply, rewrite and local action of any name keep client, port and the dots of the wire."""
    name = printed(labels)
    head = b"[1795375648] unbound[7:0] info: "
    canonical = name[:-1].lower().decode("ascii")
    asked = parse(head + b"192.0.2.7 " + name + b" AAAA IN")
    assert isinstance(asked, Query)
    assert (asked.client, asked.qname, asked.qtype) == ("192.0.2.7", canonical, "AAAA")
    for kind, line in {
        "answer": b"192.0.2.7 " + name + b" AAAA IN NOERROR 0.000524 0 50",
        "rewrite": b"rpz: applied [rpz.lab] bad.test. rpz-nxdomain 192.0.2.7@4711 " + name + b" AAAA IN",
        "denied": b"bad.test. refuse 192.0.2.7@4711 " + name + b" AAAA IN",
    }.items():
        said = parse(head + line)
        assert isinstance(said, Verdict)
        assert (said.kind, said.client, said.qname, said.qtype) == (kind, "192.0.2.7", canonical, "AAAA")
        assert said.port == (0 if kind == "answer" else 4711)


def test_a_name_that_lost_its_end_is_told_with_its_client() -> None:
    """Unbound 1.17 prints ``&`` for the label that makes 255 octets: what the name ends in is hidden."""
    line = b"[1795375648] unbound[7:0] query: 192.0.2.7 " + b"a" * 63 + b".& A IN"
    event = parse(line)
    assert isinstance(event, Weird)
    assert (event.why, event.client) == ("name too long", "192.0.2.7")
    assert any(literal in line for literal in UnboundParser.literals)
