"""Formats are told apart by the shape of their lines; what does not fit is named with its line."""

import pytest

from dnswatch.core.logs import formats
from dnswatch.core.logs.parsers import PARSERS

BIND = b"22-Nov-2026 19:18:19.281 client @0x7f 192.0.2.7#1 (a.b): query: a.b IN A + (::1)\n"
DNSMASQ = b"Nov 22 19:23:16 dnsmasq[7607]: query[A] a.b from 192.0.2.7\n"
OTHER = b"Nov 22 19:23:16 vm cron[12]: (root) CMD (true)\n"


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (BIND * 3, "bind"),
        (DNSMASQ * 3, "dnsmasq"),
        (OTHER * 60 + DNSMASQ, "dnsmasq"),  # a shared syslog file
        (OTHER * 60, None),
        (b"", None),
        (b"\n\n", None),
        (BIND[:-1], "bind"),  # a single line without its newline
        (BIND * 2 + b"22-Nov-2026 19:", "bind"),  # a piece cut in the middle of a line
        (b"[1795375645] unbound[20490:0] info: 127.0.0.1 www.example.test. A IN\n", "unbound"),
        (b"[1795375645] knotd[20490:0] www.example.test. A IN\n", None),
        (b"22-Nov-2026 19:18:19.281 CQ 127.0.0.1:1 -> 127.0.0.1:53 UDP 34b www.example/IN/A\n", None),  # dnstap-read
        (b"config: yes\ngeneral: no\nclient: 1\n", None),
        (bytes(range(256)) * 40, None),
    ],
)
def test_detect(data: bytes, expected: str | None) -> None:
    """The format that most lines have, where enough lines have one at all."""
    assert formats.detect(data) == expected


def test_scores_are_shares_of_lines() -> None:
    """For messages: how much of a sample each format explains."""
    others = dict.fromkeys(PARSERS, 0.0)
    assert formats.score(BIND + DNSMASQ * 3) == others | {"bind": 0.25, "dnsmasq": 0.75}
    assert formats.score(b"") == others


def test_a_misfit_names_line_text_and_likely_format() -> None:
    """An operator who configured the wrong type reads which line says so and what was expected."""
    found = formats.misfit("bind", b"\n" + DNSMASQ * 2)
    assert found is not None
    assert (found.number, found.looks_like) == (2, "dnsmasq")
    assert str(found).startswith(
        "line 2 is not a bind line: “Nov 22 19:23:16 dnsmasq[7607]: query[A] a.b from 192.0.2.7”"
    )
    assert "it looks like dnsmasq" in str(found)
    assert "(a line as expected: “22-Nov-2026" in str(found)


def test_a_misfit_shows_hostile_bytes_escaped_and_short() -> None:
    """What is shown of a line can do no harm to a terminal."""
    found = formats.misfit("dnsmasq", b"\x1b[31m" + b"x" * 500 + b"\n")
    assert found is not None
    assert found.looks_like is None
    assert found.line.startswith("“\\x1b[31mxxx")
    assert found.line.endswith("…”")
    assert len(found.line) < 150


@pytest.mark.parametrize("name", PARSERS)
def test_what_fits_is_no_misfit(name: str) -> None:
    """Its own example, alone or among other programs' lines, and an empty sample."""
    example = PARSERS[name].example + b"\n"
    assert formats.misfit(name, example) is None
    assert formats.misfit(name, OTHER * 50 + example) is None
    assert formats.misfit(name, b"") is None


@pytest.mark.parametrize(
    ("name", "data", "expected"),
    [
        ("bind", BIND[25:] + BIND, True),  # the first head is torn
        ("bind", BIND[25:] * 300, False),
        ("dnsmasq", OTHER * 10 + DNSMASQ[16:] + DNSMASQ, True),
        ("dnsmasq", b"dnsmasq: query[A] a.b from 192.0.2.7\n", False),
        ("dnsmasq", b"", False),
    ],
)
def test_a_sample_says_whether_the_server_prints_stamps(name: str, data: bytes, expected: bool) -> None:
    """One line with a stamp is enough; other programs' lines say nothing."""
    assert formats.shows_stamps(name, data) is expected


def test_a_head_speaks_for_the_lines_behind_it() -> None:
    """Zeek's columns in another order: rows of no shape of their own, known by the head; another log's rows are not."""
    head = b"#separator \\x09\n#path\t%s\n#fields\tts\tnote\t%s\tid.orig_h\n"
    rows = b"1795375099.281034\tx\twww.example.test\t192.0.2.7\n" * 500
    assert formats.detect(head % (b"dns", b"query") + rows) == "zeek"
    assert formats.misfit("zeek", head % (b"dns", b"query") + rows) is None
    assert formats.detect(head % (b"http", b"host") + rows) is None
