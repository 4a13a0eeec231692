"""Entries of the journal: text, octets and several values; a message is one line; nothing raises."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dnswatch.core.logs.journal import SUPPRESSED, octets, read
from dnswatch.core.logs.parsers import PARSERS
from dnswatch.core.logs.timestamps import Stamps
from dnswatch.core.model import Query

# As systemd 252 prints it, with the fields that are asked for.
ENTRY = {
    "__CURSOR": "s=a0906e49;i=4;b=0de87135;m=3368e7aa8;t=660e769e83c54;x=76ade37c",
    "__REALTIME_TIMESTAMP": "1795396890803284", "__MONOTONIC_TIMESTAMP": "13800209064",
    "_SOURCE_REALTIME_TIMESTAMP": "1795396890801965", "_HOSTNAME": "ns1", "_PID": "947", "_COMM": "named",
    "SYSLOG_IDENTIFIER": "named", "_SYSTEMD_UNIT": "named.service",
    "MESSAGE": "client @0x7f 10.0.0.7#4711 (api.telegram.org): query: api.telegram.org IN A +E(0)K (10.0.0.53)",
}  # fmt: skip


def entry(**changes: Any) -> Any:
    """Read the entry with changes; None takes a field out."""
    fields = {key: value for key, value in {**ENTRY, **changes}.items() if value is not None}
    return read(json.dumps(fields).encode())


def test_an_entry_is_a_line_that_the_parsers_read() -> None:
    """Time to the microsecond, host, program and process as the journal knows them."""
    found = entry()
    assert found.cursor == ENTRY["__CURSOR"]
    assert found.line == b"2026-11-23T01:21:30.801965Z ns1 named[947]: " + ENTRY["MESSAGE"].encode() + b"\n"
    query = PARSERS["bind"](Stamps(None, 0.0)).parse(found.line[:-1], 0)
    assert isinstance(query, Query)
    assert (query.client, query.qname) == ("10.0.0.7", "api.telegram.org")
    assert query.at == pytest.approx(1_795_396_890.801965, abs=1e-6)


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"MESSAGE": "x", "_SOURCE_REALTIME_TIMESTAMP": None}, b"2026-11-23T01:21:30.803284Z ns1 named[947]: x\n"),
        ({"MESSAGE": [120, 255, 10, 121]}, b"2026-11-23T01:21:30.801965Z ns1 named[947]: x\xff#012y\n"),
        ({"MESSAGE": ["first", "second"]}, b"2026-11-23T01:21:30.801965Z ns1 named[947]: first\n"),
        ({"MESSAGE": [[120, 254], "second"]}, b"2026-11-23T01:21:30.801965Z ns1 named[947]: x\xfe\n"),
        ({"MESSAGE": "x", "SYSLOG_IDENTIFIER": None, "_COMM": "pdns_recursor", "_PID": None, "SYSLOG_PID": "12"},
         b"2026-11-23T01:21:30.801965Z ns1 pdns_recursor[12]: x\n"),
        ({"MESSAGE": "x", "SYSLOG_IDENTIFIER": "a b: c"}, b"2026-11-23T01:21:30.801965Z ns1 _a_b__c[947]: x\n"),
        ({"MESSAGE": '{"type":"dns"}'}, b'{"type":"dns"}\n'),
        ({"MESSAGE": None}, b""),
        ({"MESSAGE": "\n"}, b""),
    ],
)  # fmt: skip
def test_forms_of_fields(changes: dict[str, Any], line: bytes) -> None:
    """Binary messages are arrays, a field may occur several times, and a newline inside forges no second line."""
    assert entry(**changes).line == line


def test_the_rate_limit_is_told() -> None:
    """How many messages of which unit the journal did not take; that is no line."""
    found = entry(MESSAGE_ID=SUPPRESSED, MESSAGE="Suppressed 1234 messages from named.service")
    assert (found.line, found.suppressed, found.unit) == (b"", 1234, "named.service")
    assert entry(MESSAGE_ID=SUPPRESSED, MESSAGE="Unterdrückt").suppressed == 0


@pytest.mark.parametrize(
    "text", [b"", b"{", b"[]", b"{}", b'{"__CURSOR":1}', b"[" * 100_000, b"\xff", b'{"__CURSOR":"s"}']
)
def test_what_is_no_entry(text: bytes) -> None:
    """Nothing comes of it."""
    assert read(text) is None


fields = st.recursive(
    st.none() | st.integers(-1, 300) | st.text(max_size=8), lambda inner: st.lists(inner, max_size=4), max_leaves=8
)


@settings(deadline=None, max_examples=200)
@given(st.dictionaries(st.sampled_from([*ENTRY, "MESSAGE_ID"]), fields))
def test_nothing_raises(changes: dict[str, Any]) -> None:
    """Whatever stands in the fields, a line is one line."""
    found = read(json.dumps({**ENTRY, **changes}).encode())
    assert found is None or found.line.count(b"\n") <= 1
    octets(changes)
