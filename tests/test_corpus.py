"""Recorded and public log lines say what the parsers must make of them; a parser bug begins as a line here.

A corpus file is ``tests/corpus/<format>/<origin>.log``: comment lines that say which version and settings wrote it,
one ``# stamps: {zone, anchor, arrival}`` line, then pairs of ``# expect: {json}`` and the line itself, in file order.
The JSON holds every field of the event that is not empty, besides ``line`` and ``offset``; ``null`` is no event, and a
list is a query with the verdict that stands in the same line.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import dns.rdatatype
import pytest

from dnswatch.core import names
from dnswatch.core.logs import formats
from dnswatch.core.logs.parsers import PARSERS, Answering, Parser
from dnswatch.core.logs.timestamps import Stamps
from dnswatch.core.model import Event, Query

CORPUS = Path(__file__).parent / "corpus"
FILES = sorted(CORPUS.glob("*/*.log"))
TRUTH = CORPUS / "truth" / "bind-9.18.jsonl"


def plain(event: Event | None) -> dict[str, Any] | None:
    """The fields of an event that hold something, as the corpus writes them."""
    if event is None:
        return None
    given = {key: value for key, value in event._asdict().items() if key not in ("line", "offset")}
    given["at"] = round(event.at, 6)
    shown = {key: list(value) if isinstance(value, tuple) else value for key, value in given.items()}
    return {"event": type(event).__name__} | {
        key: value for key, value in shown.items() if value not in ("", 0, [], None)
    }


def said(parser: Parser, line: bytes) -> dict[str, Any] | list[dict[str, Any] | None] | None:
    """What the parser makes of a line, as the corpus writes it."""
    event = parser.parse(line, 0)
    if isinstance(event, Query) and isinstance(parser, Answering) and (verdict := parser.verdict(event)) is not None:
        return [plain(event), plain(verdict)]
    return plain(event)


def entries(data: bytes) -> Iterator[tuple[int, Any, bytes]]:
    """Line number, expectation and log line of each pair of a corpus file."""
    lines = data.split(b"\n")
    for number, line in enumerate(lines):
        if line.startswith(b"# expect: "):
            yield number + 2, json.loads(line[len(b"# expect: ") :]), lines[number + 1]


def stamps(data: bytes) -> Stamps:
    """The stamps that a corpus file asks for."""
    line = next(line for line in data.split(b"\n") if line.startswith(b"# stamps: "))
    options = json.loads(line[len(b"# stamps: ") :])
    reader = Stamps(ZoneInfo(options["zone"]), options["anchor"])
    reader.arrival = options.get("arrival")
    return reader


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_every_corpus_line_becomes_what_it_says(path: Path) -> None:
    """The events of a corpus file are exactly those written above its lines."""
    data = path.read_bytes()
    parser = PARSERS[path.parent.name](stamps(data))
    found = list(entries(data))
    assert found, "no entries"
    for number, expected, line in found:
        assert said(parser, line) == expected, f"{path.name}:{number}: {line!r}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_every_corpus_file_is_recognised(path: Path) -> None:
    """Detection by shape names the format of every corpus file: nothing is wrong with it, and no other fits."""
    data = b"".join(line + b"\n" for _, _, line in entries(path.read_bytes()))
    assert formats.detect(data) == path.parent.name
    assert formats.misfit(path.parent.name, data) is None
    scores = formats.score(data)
    own = scores.pop(path.parent.name)
    assert all(score < own / 5 for score in scores.values()), scores  # a shared syslog file may hold another's line


@pytest.mark.parametrize("name", PARSERS)
def test_every_format_has_a_corpus(name: str) -> None:
    """A registered parser has corpus files, and they hold queries and lines that must not be trusted."""
    found = [expected for path in FILES if path.parent.name == name for _, expected, _ in entries(path.read_bytes())]
    kinds = {event["event"] for each in found for event in (each if isinstance(each, list) else [each]) if event}
    assert {"Query", "Weird"} <= kinds


def test_corpus_files_stay_small_and_say_where_they_come_from() -> None:
    """A file is below 150 KB and begins with a comment on version and settings."""
    for path in FILES:
        data = path.read_bytes()
        assert len(data) < 150_000, path
        assert data.startswith(b"# "), path
        assert not data.startswith((b"# stamps", b"# expect")), path


def truths() -> list[dict[str, Any]]:
    """Queries as they were sent on the wire, each with the line that BIND 9.18.49 logged for it."""
    return [json.loads(line) for line in TRUTH.read_text("ascii").splitlines()]


def test_bind_names_are_those_of_the_wire() -> None:
    """Name, type, client and transport read from the log are those of the packet that was sent."""
    parser = PARSERS["bind"](Stamps(None, 0.0))
    for sent in truths():
        event = parser.parse(sent["line"].encode("ascii"), 0)
        labels = [bytes.fromhex(label) for label in sent["labels_hex"]]
        assert isinstance(event, Query), sent
        assert event.qname == (names.from_labels(labels) if labels else "."), sent
        assert dns.rdatatype.from_text(event.qtype) == sent["qtype"], sent
        assert event.client == sent["src"].lower(), sent
        assert event.transport == ("tcp" if sent["tcp"] else "udp"), sent


def test_dnsmasq_names_are_those_of_the_wire() -> None:
    """Where dnsmasq can print a name (printable, no dot in a label), its raw text gives the wire's name too."""
    parser = PARSERS["dnsmasq"](Stamps(None, 0.0))
    seen = 0
    for sent in truths():
        labels = [bytes.fromhex(label) for label in sent["labels_hex"]]
        if not labels or any(byte < 0x20 or byte > 0x7E or byte == 0x2E for label in labels for byte in label):
            continue
        line = b"Nov 22 19:23:16 dnsmasq[7607]: query[A] %s from 127.0.0.1" % b".".join(labels)
        event = parser.parse(line, 0)
        assert isinstance(event, Query), line
        assert (event.qname, event.client) == (names.from_labels(labels), "127.0.0.1")
        seen += 1
    assert seen > 80
