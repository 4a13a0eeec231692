"""CoreDNS's lines: no name chooses client, outcome or kind."""

from hypothesis import given, settings
from hypothesis import strategies as st

from dnswatch.core import names
from dnswatch.core.logs.parsers.coredns import CorednsParser
from dnswatch.core.logs.timestamps import Stamps
from dnswatch.core.model import Query, Verdict

LABELS = st.lists(
    st.one_of(
        st.binary(min_size=1, max_size=20),
        st.sampled_from([b'x" NOERROR qr 1 1s', b"[INFO] 6.6.6.6:1 - 1 ", b"a. udp 1 false 1", b'"', b"\\", b" "]),
    ),
    min_size=1, max_size=6,
)  # fmt: skip


def printed(labels: list[bytes]) -> bytes:
    """Print a name as Go's DNS library does, lower-cased by CoreDNS."""

    def octet(byte: int) -> bytes:
        if byte in b". '@;()\"\\":
            return b"\\%c" % byte
        return b"%c" % byte if 0x21 <= byte <= 0x7E else b"\\%03d" % byte

    return b"".join(b"".join(map(octet, label.lower())) + b"." for label in labels)


@settings(deadline=None, max_examples=150)
@given(LABELS)
def test_law_a_name_chooses_nothing_but_itself(labels: list[bytes]) -> None:
    """The query, its outcome and an error keep client, name and result code."""
    parser = CorednsParser(Stamps(None, 1795375679.0))
    name, canonical = printed(labels), names.from_labels(labels)
    asked = parser.parse(b'[INFO] 192.0.2.7:5 - 1 "A IN ' + name + b' tcp 57 false 1232" NXDOMAIN qr,rd 66 0.1s', 0)
    assert isinstance(asked, Query)
    assert (asked.client, asked.port, asked.qname, asked.transport) == ("192.0.2.7", 5, canonical, "tcp")
    said = parser.verdict(asked)
    assert said is not None
    assert (said.client, said.qname, said.action) == ("192.0.2.7", canonical, "NXDOMAIN")
    failed = parser.parse(b"[ERROR] plugin/errors: 2 " + name + b" A: read udp: i/o timeout", 0)
    assert isinstance(failed, Verdict)
    assert (failed.kind, failed.client, failed.qname, failed.action) == ("failed", "", canonical, "SERVFAIL")
