"""PowerDNS Recursor's lines: no name chooses client, time or kind, in any form."""

import json

from hypothesis import example, given, settings
from hypothesis import strategies as st

from dnswatch.core import names
from dnswatch.core.logs.parsers.powerdns import PowerdnsParser
from dnswatch.core.logs.timestamps import Stamps
from dnswatch.core.model import Event, Query, Verdict

AT = 1795375679.0  # 2026-11-22T19:27:59Z
LABELS = st.lists(
    st.one_of(
        st.binary(min_size=1, max_size=20),
        st.sampled_from([b'"ts":"9999999999', b'1"', b'" remote="6', b"|A' from 6", b"|A: RPZ Hit; Kind=", b'" ts="9']),
    ),
    min_size=1, max_size=6,
)  # fmt: skip


def parse(line: bytes) -> Event | None:
    return PowerdnsParser(Stamps(None, AT)).parse(line, 0)


def printed(labels: list[bytes]) -> bytes:
    """Print a name as the Recursor does: dots and backslashes escaped, other octets outside 33–126 as numbers."""

    def octet(byte: int) -> bytes:
        if byte in b".\\":
            return b"\\%c" % byte
        return b"%c" % byte if 0x21 <= byte <= 0x7E else b"\\%03d" % byte

    return b".".join(b"".join(map(octet, label)) for label in labels)


@settings(deadline=None, max_examples=150)
@given(LABELS)
@example([b'"ts":"9999999999', b'1"', b"test"])
def test_law_a_name_chooses_nothing_but_itself(labels: list[bytes]) -> None:
    """Classic, structured and JSON questions, and policy hits, keep time, client and name."""
    name, canonical = printed(labels), names.from_labels(labels)
    quoted = name.replace(b"\\", b"\\\\").replace(b'"', b'\\"')
    said = {"level": "0", "msg": "Question", "qname": name.decode("ascii"), "qtype": "A", "proto": "udp",
            "remote": "192.0.2.7:5", "ts": "1795375679.000"}  # fmt: skip
    hit = (
        name + b".|A: RPZ Hit; PolicyName=rpz.lab; Trigger=x.; Hit=" + name + b"; Type=1; Kind=Drop; Remote=192.0.2.7:5"
    )
    lines = [
        b"Nov 22 19:27:59 1 [3/1] question for '" + name + b"|A' from 192.0.2.7:5",
        b'Nov 22 19:27:59 msg="Question" subsystem="syncres" level="0" ts="1795375679.000" proto="udp" qname="' + quoted
        + b'" qtype="A" remote="192.0.2.7:5"',
        json.dumps(said).encode(),
        b"Nov 22 19:27:59 " + hit,
        b'Nov 22 19:27:59 msg="' + hit.replace(b"\\", b"\\\\").replace(b'"', b'\\"')
        + b'" subsystem="lua" level="0" ts="1795375679.000"',
    ]  # fmt: skip
    for line in lines:
        event = parse(line)
        assert isinstance(event, Query | Verdict), line
        assert (event.at, event.client, event.port, event.qname) == (AT, "192.0.2.7", 5, canonical), line
