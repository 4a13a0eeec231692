"""What sampled lines are to their log, how many of each kind, and how the newest are shown."""

import pytest

from dnswatch.core.logs.telling import FEW, KEPT_BYTES, Counts, Telling, kind_of
from dnswatch.core.model import Notice, Weird

GOOD = Notice(1.0, "start", "", 0, b"", 0)


@pytest.mark.parametrize(
    ("type_", "line", "kind"),
    [
        ("dnsmasq", b"Nov 22 19:23:16 dnsmasq[7607]: forwarded a.test to 192.0.2.1", "other"),
        ("dnsmasq", b"Nov 22 19:30:01 vm CRON[99]: (root) CMD (true)", "foreign"),
        ("bind", b"Nov 22 19:30:01 vm sshd[99]: Invalid user admin from 203.0.113.7 port 40022", "foreign"),
        ("bind", b"Nov 22 19:30:01 vm named[99]: zone a.test/IN: loaded serial 1", "other"),
        ("bind", b"22-Nov-2026 19:30:01.281 resolver: info: resolver priming query complete", "other"),
        ("bind", b"\0\0 \t\r", "blank"),
        ("bind", b"", "blank"),
        ("dnstap", b"anything", "other"),
    ],
)
def test_kinds_of_what_parsers_pass_over(type_: str, line: bytes, kind: str) -> None:
    """The server's own, another program's by the tag in its header, or nothing."""
    assert kind_of(type_, line) == kind


def test_counts_and_ratio_of_the_newest() -> None:
    """What is long ago hides nothing; many lines that tell nothing are a ratio of nothing, a few are none."""
    telling = Telling("bind")
    assert telling.ratio is None
    text = b"22-Nov-2026 19:30:01.281 general: info: running\n"
    telling.take([(n * len(text), None) for n in range(FEW - 1)], text * FEW, 0, "query.log")
    assert telling.ratio is None
    telling.take([(0, None)], text, 0, "query.log")
    assert telling.ratio == 0.0
    telling.take([(0, GOOD)] * 1000, b"", 0, "query.log")
    assert telling.ratio == 1.0
    telling.take([(0, Weird(0.0, "unreadable line", "", b"x", 0))] * 50, b"", 0, "query.log")
    assert telling.ratio == round(1000 / 1050, 4)
    for _ in range(5):
        telling.take([(0, Weird(0.0, "unreadable line", "", b"x", 0))] * 50, b"", 0, "query.log")
    assert telling.ratio == 0.0
    assert telling.counts == Counts(1000, 300, FEW, 0)


def test_the_newest_line_is_shown_with_its_place() -> None:
    """Hostile bytes are escaped, long lines cut; what is wrong with it is said where that is known."""
    telling = Telling("bind")
    assert telling.describe(unreadable=True) == ""
    line = b"\x1b[31mred" + b"x" * 4 * KEPT_BYTES
    telling.take([(4711, Weird(0.0, "bad name", "", line, 4711))], b"", 0, "/var/log/query.log.1")
    said = telling.describe(unreadable=True)
    assert said.startswith("; the newest of them, at byte 4711 of /var/log/query.log.1: “\\x1b[31mredxxx")
    assert said.endswith("…” (bad name)")
    assert len(said) < 300


def test_what_the_lines_look_like() -> None:
    """Another server's lines are named; the log's own format is, too, where its lines tell nothing."""
    telling = Telling("bind")
    line = b"Nov 22 19:23:16 dnsmasq[7607]: query[A] a.test from 192.0.2.7"
    telling.take([(0, None)], line, 0, "q")
    assert telling.describe(unreadable=False).endswith("They look like lines of dnsmasq: `type: dnsmasq`?")
    own = Telling("dnsmasq")
    own.take([(0, None)], b"Nov 22 19:23:16 dnsmasq[7607]: forwarded a.test to 192.0.2.1", 0, "q")
    assert own.describe(unreadable=False).endswith("They look like lines of dnsmasq")
