"""Laws of every parser: no bytes raise, the same bytes give the same event, no name chooses its client.

Everything here that runs over `PARSERS` knows of a format only what its parser and its corpus say: a new format is held
to it by being registered.
"""

import ast
import json
import re
import time
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dnswatch.core import logs, names
from dnswatch.core.logs.digest import KEPT_OF_LONG, Digest
from dnswatch.core.logs.parsers import PARSERS, Answering, Headed, Parser
from dnswatch.core.logs.prescan import build_prescan
from dnswatch.core.logs.stretch import MAX_LINE
from dnswatch.core.logs.timestamps import Stamps
from dnswatch.core.model import Event, Lease, Notice, Query, Verdict, Weird

CORPUS = Path(__file__).parent.parent / "corpus"
ANCHOR = 1795375396.0
CONSTANTS = {
    node.value
    for path in Path(logs.__path__[0]).rglob("*.py") for node in ast.walk(ast.parse(path.read_text()))
    if isinstance(node, ast.Constant) and isinstance(node.value, str)
}  # fmt: skip
"""What the parsers can say without taking it from a line."""
LABEL = re.compile(r"[a-z][A-Za-z -]{2,39}\Z")
ADDRESS = re.compile(r"(\d{1,3}(\.\d{1,3}){3}|[0-9a-f:]*:[0-9a-f:.]*)?\Z")


def corpus_lines(name: str) -> list[bytes]:
    """Recorded lines of a format: every seventh, so that each kind is among them."""
    lines = [line for path in sorted((CORPUS / name).glob("*.log")) for line in path.read_bytes().split(b"\n")
             if line and not line.startswith(b"# ")]  # fmt: skip
    return lines[::7]


def parse(name: str, line: bytes, offset: int = 0) -> Event | None:
    return PARSERS[name](Stamps(None, ANCHOR)).parse(line, offset)


def check(event: Event | None, line: bytes, offset: int) -> None:
    """What holds for every event of every parser."""
    if event is None:
        return
    assert isinstance(event, Query | Verdict | Lease | Notice | Weird)
    assert isinstance(event.at, float)
    if isinstance(event, Lease):
        assert ADDRESS.match(event.address)
        return
    assert (event.line, event.offset) == (line, offset)
    if isinstance(event, Notice):
        assert event.kind in CONSTANTS
        assert LABEL.match(event.kind), "it becomes the label of a counter"
        assert event.text.isascii()
        return
    assert ADDRESS.match(event.client)
    if isinstance(event, Weird):
        assert event.why in CONSTANTS
        assert LABEL.match(event.why), "it becomes the label of a counter"
        return
    assert event.qname == names.from_labels(names.to_labels(event.qname)) or event.qname == "."
    assert 0 <= event.port <= 99_999
    assert event.qtype.isascii()
    if isinstance(event, Query):
        assert event.client
        assert event.transport in ("udp", "tcp", "")
    else:
        assert event.kind in ("answer", "rewrite", "denied", "failed")
        assert event.action.isascii()
        assert event.via == "" or event.via == names.from_labels(names.to_labels(event.via)) or event.via == "."


def check_line(parser: Parser, line: bytes, offset: int) -> None:
    """What holds for everything that one line gives."""
    parser.probe(line)
    event = parser.parse(line, offset)
    check(event, line, offset)
    if isinstance(event, Query) and isinstance(parser, Answering) and (verdict := parser.verdict(event)) is not None:
        check(verdict, line, offset)
        assert isinstance(verdict, Verdict)
        asked = (event.at, event.client, event.port, event.qname, event.qtype, event.serial)
        assert (verdict.at, verdict.client, verdict.port, verdict.qname, verdict.qtype, verdict.serial) == asked


@pytest.mark.parametrize("name", PARSERS)
def test_registry_is_sorted_and_parsers_say_their_name(name: str) -> None:
    """The key is the parser's own name; its example has its shape and is a query; literals are not empty."""
    parser = PARSERS[name]
    assert list(PARSERS) == sorted(PARSERS)
    assert parser.name == name
    assert parser.probe(parser.example)
    assert isinstance(parse(name, parser.example), Query)
    assert all(len(literal) >= 4 for literal in parser.literals)


@pytest.mark.parametrize("name", PARSERS)
def test_other_formats_examples_do_not_fit(name: str) -> None:
    """No parser claims, or makes a query of, another's line."""
    for other, parser in PARSERS.items():
        if other != name:
            assert not PARSERS[name].probe(parser.example)
            assert not isinstance(parse(name, parser.example), Query)


@pytest.mark.parametrize("name", PARSERS)
def test_literals_stand_in_the_lines_they_are_for(name: str) -> None:
    """Every notice and rewrite of the corpus holds one of the parser's literals, or a name that can be watched."""
    for line in corpus_lines(name):
        event = parse(name, line)
        if isinstance(event, Notice) and event.kind != "rpz-error":
            assert any(literal in line for literal in PARSERS[name].literals), line


@pytest.mark.parametrize("name", PARSERS)
@settings(deadline=None, max_examples=150)
@given(line=st.binary(max_size=400), offset=st.integers(0, 2**50))
def test_law_no_bytes_raise(name: str, line: bytes, offset: int) -> None:
    """Any line gives an event of known shape, or None."""
    check_line(PARSERS[name](Stamps(None, ANCHOR)), line, offset)


@pytest.mark.parametrize("name", PARSERS)
@settings(deadline=None, max_examples=120)
@given(data=st.data())
def test_law_damaged_lines_do_not_raise(name: str, data: st.DataObject) -> None:
    """Recorded lines cut, joined and overwritten at random."""
    lines = corpus_lines(name)
    line = data.draw(st.sampled_from(lines))
    for _ in range(data.draw(st.integers(0, 3))):
        start = data.draw(st.integers(0, len(line)))
        end = data.draw(st.integers(start, min(len(line), start + 12)))
        patch = data.draw(st.one_of(st.binary(max_size=12), st.sampled_from(lines).map(lambda other: other[:60])))
        line = line[:start] + patch + line[end:]
    parser = PARSERS[name](Stamps(None, ANCHOR))
    check_line(parser, line, 5)
    check_line(parser, lines[0], 5)  # whatever the line before was


@pytest.mark.parametrize("name", PARSERS)
@settings(deadline=None, max_examples=50)
@given(data=st.data())
def test_law_parsing_is_deterministic(name: str, data: st.DataObject) -> None:
    """The same lines in the same order give the same events, from any restart in between."""
    lines = data.draw(st.lists(st.sampled_from(corpus_lines(name)), max_size=20))
    cut = data.draw(st.integers(0, len(lines)))
    whole = PARSERS[name](Stamps(None, ANCHOR))
    first, second = PARSERS[name](Stamps(None, ANCHOR)), PARSERS[name](Stamps(None, 0.0))
    expected = [whole.parse(line, 0) for line in lines]
    seen = [first.parse(line, 0) for line in lines[:cut]]
    second.stamps.restore(first.stamps.state())
    if isinstance(first, Headed) and isinstance(second, Headed):
        second.restore(json.loads(json.dumps(first.state())))
    assert seen + [second.parse(line, 0) for line in lines[cut:]] == expected


HEADED = [name for name, parser in PARSERS.items() if issubclass(parser, Headed)]
STATES = st.dictionaries(
    st.sampled_from(sorted({key for name in HEADED for key in PARSERS[name](Stamps(None, 0.0)).state()})),  # type: ignore[attr-defined]
    st.none() | st.text(max_size=5) | st.lists(st.text(max_size=5) | st.integers()),
)


@pytest.mark.parametrize("name", HEADED)
@settings(deadline=None, max_examples=30)
@given(state=STATES)
def test_law_no_state_raises(name: str, state: dict[str, object]) -> None:
    """A head restored from whatever was stored: lines are read or weird, never an exception."""
    parser = PARSERS[name](Stamps(None, ANCHOR))
    assert isinstance(parser, Headed)
    parser.restore(state)
    assert json.loads(json.dumps(parser.state())) == parser.state()
    for line in corpus_lines(name):
        check_line(parser, line, 0)


@pytest.mark.parametrize("name", PARSERS)
def test_long_lines_cost_little(name: str) -> None:
    """Each corpus line blown up to the longest that is parsed: a bounded number of bytes, and no second."""
    lines = corpus_lines(name)
    parser = PARSERS[name](Stamps(None, ANCHOR))
    tracemalloc.start()
    for line in lines[:: 1 + len(lines) // 4]:
        for at in (0, len(line) // 2):
            for filling in (b"a", b' {"a":', b"\t1", b"\\.", b"; is "):
                size = MAX_LINE - len(line)
                blown = line[:at] + (filling * (1 + size // len(filling)))[:size] + line[at:]
                began = time.process_time()
                check_line(parser, blown, 0)
                assert time.process_time() - began < 1.0, (line, at, filling)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100 * MAX_LINE


@pytest.mark.parametrize("name", PARSERS)
def test_a_megabyte_on_one_line_is_dropped(name: str) -> None:
    """A line of 1 MB among good ones: counted with its first bytes, and the lines beside it are read."""
    parser = PARSERS[name]
    good = parser.example + b"\n"
    data = good + parser.example[:-1] + b"x" * (1 << 20) + b"\n" + good
    scan = build_prescan([("www.example.test", "exact")], parser.literals, "pure", parser.tails)
    events = Digest(parser(Stamps(None, ANCHOR)), scan).block(data, 0).events
    told = [type(event) for event in events if not isinstance(event, Verdict)]
    assert told == [Query, Weird, Query]
    lines = [event.line for event in events if not isinstance(event, Lease)]
    assert max(map(len, lines)) <= max(len(parser.example), KEPT_OF_LONG)


WATCHED = "www.example.test"
CASES = st.lists(st.booleans(), min_size=len(WATCHED), max_size=len(WATCHED)).map(
    lambda upper: "".join(c.upper() if up else c for c, up in zip(WATCHED, upper, strict=True)).encode()
)


@pytest.mark.parametrize("tier", ["pure", "auto"])
@pytest.mark.parametrize("name", PARSERS)
@settings(deadline=None, max_examples=40)
@given(name_as_asked=CASES, below=st.sampled_from([b"", b"a.", b"x-1.y_2."]))
def test_law_the_prescan_finds_what_the_parser_reads(name: str, tier: str, name_as_asked: bytes, below: bytes) -> None:
    """The example with any spelling of its name, or one below it: a candidate in both tiers, and read as that name."""
    parser = PARSERS[name]
    line = parser.example.replace(WATCHED.encode(), below + name_as_asked)
    scan = build_prescan([(WATCHED, "domain")], parser.literals, tier, parser.tails)  # type: ignore[arg-type]
    assert scan.find(line + b"\n", len(line) + 1)
    event = parse(name, line)
    assert isinstance(event, Query)
    assert event.qname == (below + name_as_asked).decode().lower()


@pytest.mark.parametrize("name", PARSERS)
@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_law_torn_lines_never_invent_a_time(name: str, data: st.DataObject) -> None:
    """A line, then the same with its head or tail lost anywhere: what is left has that line's time, or none."""
    line = data.draw(st.sampled_from(corpus_lines(name)))
    parser = PARSERS[name](Stamps(None, ANCHOR))
    whole = parser.parse(line, 0)
    if whole is None or not parser.stamps.stamped:
        return  # arrival dates every line
    parser.stamps.arrival = ANCHOR + 30 * 86_400
    for at in data.draw(st.lists(st.integers(0, len(line)), max_size=8)):
        for torn in (line[at:], line[:at]):
            event = parser.parse(torn, 0)
            assert event is None or not event.at or abs(event.at - whole.at) < 1.0, torn


RAW_NAMES = st.one_of(
    st.lists(
        st.sampled_from([b" from 6.6.6.6", b"query[A] ", b" is ", b"9 6.6.6.6/1 ", b"dnsmasq[1]: ", b"x", b".", b" "]),
        min_size=1, max_size=8,
    ).map(b"".join),
    st.binary(min_size=1, max_size=200).map(lambda raw: bytes(byte for byte in raw if 0x20 <= byte < 0x7F)),
).filter(lambda raw: 0 < len(raw) <= 253)  # fmt: skip


@settings(deadline=None, max_examples=200)
@given(RAW_NAMES, st.sampled_from([b"", b"9 192.0.2.7/40000 ", b"UDP 9 192.0.2.7/40000 "]))
def test_law_a_dnsmasq_name_cannot_choose_its_client(name: bytes, serial: bytes) -> None:
    """Whatever printable name is asked, the client is the one that dnsmasq wrote."""
    event = parse("dnsmasq", b"Nov 22 19:23:16 dnsmasq[7607]: " + serial + b"query[A] " + name + b" from 192.0.2.7")
    assert isinstance(event, Query | Weird)
    assert event.client == "192.0.2.7"
    if isinstance(event, Query):
        assert event.qname == names.from_raw(name)


LABELS = st.lists(
    st.one_of(
        st.binary(min_size=1, max_size=20),
        st.sampled_from([b") view v: query: y", b" rewrite ", b"): query: a", b"#53 (", b"'/A/IN' denied", b"6.6.6.6"]),
    ),
    min_size=1, max_size=6,
)  # fmt: skip
VIEWS = st.one_of(
    st.just(b""),
    st.sampled_from([b"view v: ", b"view we:ird (x) view: ", b"view x: query: f IN A + (6.6.6.6): "]),
)


def bind_text(labels: list[bytes]) -> bytes:
    """Print a name as BIND does (log_formats §1.1)."""

    def printed(byte: int) -> bytes:
        if byte in b'@$"().;\\':
            return b"\\%c" % byte
        return b"%c" % byte if 0x21 <= byte <= 0x7E else b"\\%03d" % byte

    return b".".join(b"".join(printed(byte) for byte in label) for label in labels)


@settings(deadline=None, max_examples=200)
@given(LABELS, VIEWS)
def test_law_a_bind_name_cannot_choose_its_client(labels: list[bytes], view: bytes) -> None:
    """Any labels, escaped as BIND escapes them, come back as that name, asked by that client, in any view."""
    text = bind_text(labels)
    head = b"22-Nov-2026 19:18:19.281 client @0x7f 192.0.2.7#4711 (" + text + b"): " + view
    event = parse("bind", head + b"query: " + text + b" IN A + (192.0.2.53)")
    assert isinstance(event, Query)
    assert (event.client, event.port, event.qname) == ("192.0.2.7", 4711, names.from_labels(labels))


@settings(deadline=None, max_examples=200)
@given(LABELS, VIEWS)
def test_law_a_bind_name_cannot_bend_a_verdict(labels: list[bytes], view: bytes) -> None:
    """Rewrites, denials and failures keep client, name and kind for any labels."""
    text = bind_text(labels)
    head = b"22-Nov-2026 19:18:19.281 client @0x7f 192.0.2.7#4711 (" + text + b"): " + view
    bodies = {
        "rewrite": b"rpz QNAME NXDOMAIN rewrite " + text + b"/AAAA/IN via rpz.lab",
        "denied": b"query (cache) '" + text + b"/AAAA/IN' denied (allow-query-cache did not match)",
        "failed": b"query failed (REFUSED) for " + text + b"/IN/AAAA at query.c:5708",
    }
    for kind, body in bodies.items():
        event = parse("bind", head + body)
        assert isinstance(event, Verdict)
        assert (event.kind, event.client, event.port, event.qtype) == (kind, "192.0.2.7", 4711, "AAAA")
        assert event.qname == names.from_labels(labels)
