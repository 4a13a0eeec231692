"""Laws of the structured formats: what their producers can write for a name, and what the prescan makes of it.

The models below are those of the producers' encoders: Go's encoding/json over the presentation form of AdGuard Home's
DNS library; Suricata's jsonbuilder; Zeek's JSON (two ways of escaping) and tab-separated values. What they have in
common, and what the first law rests on: letters, digits, ``-``, ``_`` and dots are written as themselves. The second
law does not even need that.
"""

import json
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dnswatch.core import names
from dnswatch.core.logs.digest import Digest
from dnswatch.core.logs.objects import ESCAPE
from dnswatch.core.logs.parsers import PARSERS, read_head
from dnswatch.core.logs.parsers.zeek import ZeekParser
from dnswatch.core.logs.prescan import build_prescan
from dnswatch.core.logs.timestamps import Stamps
from dnswatch.core.model import Event, Query, Verdict, Weird

WATCHED = "www.example.test"
OBJECTS = [kind for kind, parser in PARSERS.items() if ESCAPE in parser.literals]
SCANS = {
    (kind, tier): build_prescan([(WATCHED, "domain")], parser.literals, tier, parser.tails)
    for kind, parser in PARSERS.items()
    for tier in ("pure", "auto")
}
LABELS = st.lists(
    st.one_of(
        st.sampled_from([b"www", b"example", b"test", b"WWW", b'","IP":"6.6.6.6', b'"}', b"a\tb", b"\\u0077"]),
        st.binary(min_size=1, max_size=12),
        st.text(min_size=1, max_size=6).map(str.encode),
    ),
    min_size=1, max_size=5,
).filter(lambda labels: all(len(label) <= 63 for label in labels))  # fmt: skip
TAILS = st.sampled_from([[], [b"www", b"example", b"test"], [b"WWW", b"Example", b"tesT"]])


def presentation(labels: list[bytes]) -> str:
    """Print a name as AdGuard Home's DNS library does: RFC 1035 §5.1, all ASCII."""

    def shown(byte: int) -> str:
        if byte in b".'@;()\"\\ ":
            return "\\" + chr(byte)
        return chr(byte) if 0x20 < byte < 0x7F else f"\\{byte:03d}"

    return ".".join("".join(map(shown, label)) for label in labels).lower()


def go(text: str) -> bytes:
    """Write a string as Go's encoding/json does: its HTML escapes included."""
    written = json.dumps(text, ensure_ascii=False)
    for char in "<>&\u2028\u2029":
        written = written.replace(char, f"\\u{ord(char):04x}")
    return written.encode()


def hexed(raw: bytes, controls: bool) -> str:
    """Give bytes as Suricata and Zeek do: UTF-8 as it is, else the bytes that are not ASCII as ``\\x..``."""
    try:
        text = raw.decode()
        if not controls:
            return text
    except UnicodeDecodeError:
        text = ""
    special = re.search(rb"[\x00-\x07\x0b\x0e-\x1f\x7f]", raw) if controls else None
    if text and special is None:
        return text
    plain = {*range(0x20, 0x7F), *(b"\b\f\n\r\t")} if controls else {*range(0x80)}
    return "".join(chr(byte) if byte in plain else f"\\x{byte:02x}" for byte in raw)


def private(raw: bytes) -> str:
    """Give bytes as Zeek's other policy does: what is no printable ASCII in private-use characters."""
    return "".join(chr(byte) if 0x20 <= byte < 0x7F else chr(0xF0000 + byte) for byte in raw)


def tabbed(raw: bytes) -> bytes:
    """Write a field of tab-separated values as Zeek does; what looks like an unset or empty field gets an escape."""
    if raw in (b"-", b"(empty)"):
        return b"\\x%02x" % raw[0] + raw[1:]
    shown = (b"\\\\" if byte == 0x5C else b"%c" % byte if 0x20 <= byte < 0x7F else b"\\x%02x" % byte for byte in raw)
    return b"".join(shown)


def written(labels: list[bytes]) -> dict[str, tuple[str, bytes]]:
    """Give the line that each producer writes for a name, by a name for the form."""
    raw = b".".join(labels)
    low = raw.lower()
    quoted = b'"%s"' % WATCHED.encode()

    def quote(text: str) -> bytes:
        return json.dumps(text, ensure_ascii=False).encode()

    zeek = b'{"ts":1795375099.0,"id.orig_h":"192.0.2.7","id.orig_p":4,"query":"%s","rejected":false}' % WATCHED.encode()
    return {
        "adguard": ("adguard", PARSERS["adguard"].example.replace(quoted, go(presentation(labels)))),
        "suricata": ("suricata", PARSERS["suricata"].example.replace(quoted, quote(hexed(raw, False)))),
        "zeek-hex": ("zeek", zeek.replace(quoted, quote(hexed(low, True)))),
        "zeek-pua": ("zeek", zeek.replace(quoted, json.dumps(private(low)).encode())),
        "zeek-tsv": ("zeek", PARSERS["zeek"].example.replace(WATCHED.encode(), tabbed(low))),
    }  # fmt: skip


def parse(kind: str, line: bytes) -> Event | None:
    return PARSERS[kind](Stamps(None, 0.0)).parse(line, 0)


@pytest.mark.parametrize("form", ["adguard", "suricata", "zeek-hex", "zeek-pua", "zeek-tsv"])
@settings(deadline=None, max_examples=150)
@given(labels=LABELS, tail=TAILS)
def test_law_no_name_hides_or_chooses_its_client(form: str, labels: list[bytes], tail: list[bytes]) -> None:
    """Whatever was asked: the client is the sensor's, the name is the wire's, and a watched one is a candidate."""
    labels = [*labels, *tail]
    kind, line = written(labels)[form]
    event = parse(kind, line)
    assert isinstance(event, Query | Weird)
    assert event.client == "192.0.2.7"
    wire = names.from_labels(labels) if kind == "adguard" else names.from_raw(b".".join(labels))
    if isinstance(event, Weird):
        assert (event.why, wire) == ("bad name", None)
        return
    # Of a name that is not UTF-8, or that spells such an escape itself, both sensors' texts can mean two names.
    ambiguous = kind != "adguard" and b"\\x" in b".".join(labels).lower()
    assert event.qname == wire or ambiguous
    if names.within(event.qname, WATCHED):
        for tier in ("pure", "auto"):
            assert SCANS[kind, tier].find(line + b"\n", len(line) + 1)


@pytest.mark.parametrize("tier", ["pure", "auto"])
@pytest.mark.parametrize("kind", OBJECTS)
@settings(deadline=None, max_examples=60)
@given(escaped=st.sets(st.integers(0, len(WATCHED) - 1)), upper=st.booleans())
def test_law_no_spelling_of_json_hides_a_name(kind: str, tier: str, escaped: set[int], upper: bool) -> None:
    """Any character of the name as ``\\u00XX``, as another program may copy the line: read as that name, and found."""
    form = "\\u00{:02X}" if upper else "\\u00{:02x}"
    name = "".join(form.format(ord(char)) if at in escaped else char for at, char in enumerate(WATCHED)).encode()
    line = {"zeek": b'{"ts":1,"id.orig_h":"192.0.2.7","query":"www.example.test"}'}.get(kind, PARSERS[kind].example)
    line = line.replace(WATCHED.encode(), name)
    event = parse(kind, line)
    assert isinstance(event, Query)
    assert event.qname == WATCHED
    assert SCANS[kind, tier].find(line + b"\n", len(line) + 1)


# ── Columns ───────────────────────────────────────────────────────────────────────────────────────────────────

COLUMNS = ["ts", "query", "id.orig_h", "note", "rcode_name", "answers"]
CELLS = {"query": WATCHED, "ts": "1795375099.000000", "id.orig_h": "192.0.2.7", "note": "x", "rcode_name": "NOERROR",
         "answers": "192.0.2.1", "uid": "C1"}  # fmt: skip


def log(order: list[str], rows: int) -> bytes:
    """A log of Zeek with columns in this order, whose first and last rows are of the watched name."""
    head = b"#separator \\x09\n#unset_field\t-\n#path\tdns\n#fields\t" + "\t".join(order).encode() + b"\n"
    found, other = ("\t".join({**CELLS, "query": name}[key] for key in order) for name in (WATCHED, "a.b"))
    return head + "\n".join([found, *[other] * rows, found]).encode() + b"\n#close\t2026\n"


@settings(deadline=None, max_examples=25)
@given(
    order=st.permutations(COLUMNS).filter(lambda order: order[0] != "query"),
    sizes=st.lists(st.integers(200, 9000), min_size=1, max_size=4),
    rows=st.integers(0, 400),
)
def test_law_columns_hold_wherever_a_block_begins(order: list[str], sizes: list[int], rows: int) -> None:
    """Any order of columns, any chunking, a restart between any two blocks: both rows, with their verdicts."""
    data = log(order, rows)
    digest = Digest(ZeekParser(Stamps(None, 0.0)), SCANS["zeek", "auto"])
    events: list[Event] = []
    start = end = turn = 0
    while end < len(data):
        end = min(end + sizes[turn % len(sizes)], len(data))
        done = digest.block(data[start:end], start)
        events += done.events
        start += done.consumed
        turn += 1
        state = json.loads(json.dumps(digest.state()))
        digest = Digest(ZeekParser(Stamps(None, 0.0)), SCANS["zeek", "auto"])
        digest.restore(state)
    assert [(type(event), event.qname, event.client) for event in events if isinstance(event, Query | Verdict)] == [
        (Query, WATCHED, "192.0.2.7"), (Verdict, WATCHED, "192.0.2.7")] * 2  # fmt: skip
    assert not any(isinstance(event, Weird) for event in events)


def test_the_next_file_names_its_own_columns() -> None:
    """A rotated log and its successor with other columns, through one digest."""
    digest = Digest(ZeekParser(Stamps(None, 0.0)), SCANS["zeek", "auto"], "all")
    for order in (COLUMNS, COLUMNS[::-1], [*COLUMNS, "uid"]):
        events = digest.block(log(order, 3), 0).events
        assert [event.qname for event in events if isinstance(event, Query)] == [WATCHED, WATCHED]
        digest.restore({"at": -1, "sample_at": 0, "inside": ""})


def test_reading_may_begin_behind_the_head() -> None:
    """Where reading begins in the middle of a file, its head is told first; without it such lines are weird."""
    data = log(COLUMNS, 3)
    row = data.rindex(b"\n", 0, data.index(b"#close") - 1) + 1
    for told in (False, True):
        digest = Digest(ZeekParser(Stamps(None, 0.0)), SCANS["zeek", "auto"])
        if told:
            read_head(digest.parser, data[:300])
        found = digest.block(data[row:], row).events
        assert [type(event) for event in found] == ([Query, Verdict] if told else [Weird])
