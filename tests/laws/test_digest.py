"""The digest's laws: chunking does not matter, nothing is missed, both tiers agree. Against a slow reference."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dnswatch.core.logs.digest import Digest
from dnswatch.core.logs.parsers import PARSERS, Answering
from dnswatch.core.logs.prescan import Prescan, build_prescan
from dnswatch.core.logs.stretch import HOLE, LONG, MAX_LINE, SAMPLE_EVERY
from dnswatch.core.logs.timestamps import Stamps
from dnswatch.core.model import Event, Match, Query, Verdict, Weird

NAMES: list[tuple[str, Match]] = [
    ("api.telegram.org", "exact"), ("hooks.slack.com", "exact"), ("webhook.site", "domain"), ("t.me", "exact"),
    ("ngrok.io", "subdomains"), ("0x0.st", "domain"), ("www.example.test", "exact"), ("bad.test", "subdomains"),
]  # fmt: skip
ANCHOR = 1795380000.0
CORPUS = sorted((Path(__file__).parent.parent / "corpus").rglob("*.log"))
SCANS = {
    (kind, tier): build_prescan(NAMES, parser.literals, tier, parser.tails)  # type: ignore[arg-type]
    for kind, parser in PARSERS.items()
    for tier in ("pure", "auto")
}


def digest(kind: str, tier: str, sample: str = "position") -> Digest:
    return Digest(PARSERS[kind](Stamps(None, ANCHOR)), SCANS[kind, tier], sample)  # type: ignore[arg-type]


def replay(subject: Digest, data: bytes, sizes: Iterator[int]) -> tuple[list[Event], list[object]]:
    """Feed ``data`` in reads of the given sizes, as the tail does: what is not consumed comes again with more."""
    events: list[Event] = []
    samples: list[object] = []
    start = end = 0
    while end < len(data):
        end = min(end + next(sizes), len(data))
        digested = subject.block(data[start:end], start)
        events += digested.events
        samples += digested.samples
        start += digested.consumed
    return events, samples


def reference(kind: str, data: bytes, every: bool = False) -> tuple[list[Event], list[object]]:
    """Look at every line: slow, and sharing nothing with the digest but the parser."""
    parser = PARSERS[kind](Stamps(None, ANCHOR))
    tails = b"|".join(map(re.escape, parser.tails))
    mentions = [
        re.compile({"exact": rb"[ \"'\t]", "subdomains": rb"\.", "domain": rb"[ .\"'\t]"}[match]
                   + b"(?i:" + re.escape(name.encode()) + b")(?:" + tails + b")")
        for name, match in NAMES
    ]  # fmt: skip
    events: list[Event] = []
    samples: list[object] = []
    due, offset = 0, 0
    for line in data.split(b"\n")[:-1]:
        size = len(line) + 1
        nuls = len(line) - len(line.lstrip(b"\0"))
        start = offset
        if len(line) > MAX_LINE and nuls:
            events.append(Weird(0.0, HOLE, "", line[:256][:nuls], offset))
            start, line, nuls = offset + nuls, line[nuls:], 0
        if len(line) > MAX_LINE:
            weird = Weird(0.0, LONG, "", line[:256], start)
            events.append(weird)
            if start >= due or every:
                samples.append((start, weird))
                due = (start // SAMPLE_EVERY + 1) * SAMPLE_EVERY
        else:
            sample = start >= due or every
            candidate = any(m.search(line + b"\n") for m in mentions) or any(t in line for t in parser.literals)
            if sample or candidate:
                if nuls:
                    events.append(Weird(0.0, HOLE, "", b"", start))
                event = parser.parse(line[nuls:].removesuffix(b"\r"), start + nuls)
                if candidate and event is not None:
                    events.append(event)
                    if isinstance(event, Query) and isinstance(parser, Answering):
                        events += filter(None, [parser.verdict(event)])
                if sample:
                    samples.append((start, event))
                    due = (start // SAMPLE_EVERY + 1) * SAMPLE_EVERY
        offset += size
    return events, samples


def cycle(sizes: list[int]) -> Iterator[int]:
    while True:
        yield from sizes


LINES = [
    b"22-Nov-2026 19:18:19.281 queries: info: client @0x7f 10.0.0.%d#38 (%s): query: %s IN A + (127.0.0.1)" % (i, n, n)
    for i, n in enumerate((
        b"api.telegram.org", b"API.Telegram.ORG", b"notapi.telegram.org", b"x.webhook.site", b"t.me", b"e.test",
        b"api.telegram.org.evil.net", b"ngrok.io", b"a.b.ngrok.io", b"0x0.st", b"ab0x0.st",
    ))
] + [
    b"22-Nov-2026 19:18:20.000 rpz: info: client 10.0.0.1#1 (t.me): rpz QNAME NXDOMAIN rewrite t.me/A/IN via t.me.z",
    b"22-Nov-2026 19:18:20.100 security: info: client @0x7f 10.0.0.5#2 (t.me): query (cache) 't.me/A/IN' denied",
    b"Nov 22 19:23:16 dnsmasq[7607]: query[A] api.telegram.org from 127.0.0.1",
    b"Nov 22 19:23:16 dnsmasq[7607]: query[A] x api.telegram.org from 6.6.6.6 from 127.0.0.1",
    b"Nov 22 19:23:16 dnsmasq[7607]: 7 127.0.0.1/60200 reply hooks.slack.com is 192.0.2.10",
    b"Nov 22 19:23:16 dnsmasq[7607]: query[A] <name unprintable> from 127.0.0.1",
    b"[1795375397] unbound[7:0] query: 10.0.0.1 api.Telegram.org. A IN",
    b"[1795375397] unbound[7:0] info: rpz: applied [rpz.lab] t.me. rpz-nxdomain 10.0.0.1@5 t.me. A IN",
    b"Nov 22 19:23:17 1 [3/1] question for 'API.telegram.org|A' from 10.0.0.1:38",
    b"Nov 22 19:23:17 t.me.|A: RPZ Hit; PolicyName=z; Trigger=t.me.; Hit=t.me; Type=1; Kind=Drop; Remote=10.0.0.1:38",
    b'[INFO] 10.0.0.1:38 - 648 "A IN x.webhook.site. udp 57 false 1232" NXDOMAIN qr,aa,rd 66 0.000150566s',
    b"Nov 22 19:23:17 dnsmasq-dhcp[1]: DHCPACK(eth0) 192.168.1.7 b0:19:21:83:77:bf Archer",
    *(parser.example.replace(b"www.example.test", b"T.me") for parser in PARSERS.values()),
    b"", b"\r", b"garbage api.telegram.org IN t.me from \xff\x00", b"\0" * 70, b" t.me IN", b"t.me IN A",
]  # fmt: skip
line = st.sampled_from(LINES) | st.binary(max_size=60).map(lambda raw: raw.replace(b"\n", b" "))
damage = st.sampled_from([b"", b"\r", b"\0" * 3])
text = st.lists(st.tuples(damage, line, damage).map(b"".join), max_size=40).map(b"\n".join)
big = st.sampled_from(
    [b"", b"x" * (MAX_LINE - 1), b"x" * MAX_LINE, b" t.me IN A" * 7000, b"\0" * 70_000, b"\0" * 65_530]
)


@pytest.mark.parametrize("kind", PARSERS)
@settings(max_examples=30, deadline=None)
@given(
    parts=st.lists(st.tuples(text, big), min_size=1, max_size=4),
    sizes=st.lists(st.sampled_from([1 << 10, 7 << 10, 64 << 10, 512 << 10, 100, 8191]), min_size=1, max_size=4),
)
@example(parts=[(b"a\n" * 9000, b"\0" * 70_000), (b"t.me IN A\n x t.me IN A", b"")], sizes=[7 << 10])
def test_chunking_does_not_matter(kind: str, parts: list[tuple[bytes, bytes]], sizes: list[int]) -> None:
    """Any cutting into blocks gives the events and samples of the slow reference, on both tiers."""
    data = b"".join(body + b"\n" + long for body, long in parts) + b"\nunfinished t.me IN"
    for every in (False, True):
        expected = reference(kind, data, every)
        for tier in ("pure", "auto"):
            assert replay(digest(kind, tier, "all" if every else "position"), data, cycle(sizes)) == expected


@pytest.mark.parametrize("kind", PARSERS)
def test_real_lines_in_any_chunking(kind: str) -> None:
    """Corpus lines, several times over, at 1, 7, 64 and 512 KiB: the reference's events, and some of them."""
    lines = [each for path in CORPUS for each in path.read_bytes().split(b"\n") if each and not each.startswith(b"# ")]
    data = b"\n".join((lines + LINES) * (1 + 300_000 // sum(map(len, lines + LINES)))) + b"\n"
    expected = reference(kind, data)
    assert expected[0]
    for tier in ("pure", "auto"):
        for size in (1 << 10, 7 << 10, 64 << 10, 512 << 10):
            assert replay(digest(kind, tier), data, cycle([size])) == expected


@pytest.mark.parametrize("tier", ["pure", "auto"])
@pytest.mark.parametrize("kind", PARSERS)
def test_no_line_about_a_watched_name_is_missed(kind: str, tier: str) -> None:
    """Whatever a parser reads as a query or verdict for a watched name on any corpus line, the prescan names."""
    parser = PARSERS[kind](Stamps(None, ANCHOR))
    prescan: Prescan = SCANS[kind, tier]
    missed, seen = [], 0
    for path in CORPUS:
        for each in path.read_bytes().split(b"\n"):
            event = parser.parse(each, 0)
            if isinstance(event, Query | Verdict) and _watched(event.qname):
                seen += 1
                if not prescan.find(each + b"\n", len(each) + 1):
                    missed.append(each)
    assert not missed
    assert seen or not CORPUS


def _watched(name: str) -> bool:
    return any(
        (match != "subdomains" and name == watched) or (match != "exact" and name.endswith("." + watched))
        for watched, match in NAMES
    )


@settings(max_examples=100, deadline=None)
@given(body=text, cut=st.integers(0, 4000))
def test_a_restored_digest_goes_on_where_it_was(body: bytes, cut: int) -> None:
    """state() and restore() between two blocks change nothing."""
    data = body + b"\n"
    expected = replay(digest("bind", "auto"), data, cycle([len(data)]))
    first = digest("bind", "auto")
    done = first.block(data[:cut], 0)
    second = Digest(first.parser, first.prescan)
    second.restore(first.state())
    rest = second.block(data[done.consumed :], done.consumed)
    assert (done.events + rest.events, done.samples + rest.samples) == expected


CORE = b'[INFO] 10.0.0.1:38 - 648 "A IN t.me. udp 57 false 1232" NOERROR qr,aa,rd 66 0.000150566s'
ASKED = b"client @0x7f 10.0.0.1#38 (t.me): query: t.me IN A + (127.0.0.1)"
MINUTES = {
    "bind": [
        b"%02d-Nov-2026 19:%02d:00.000 queries: info: " + ASKED,
        b"2026-11-%02dT19:%02d:00.000Z queries: info: " + ASKED,
        b"Nov %02d 19:%02d:00 vm named[7]: " + ASKED,
    ],
    "dnsmasq": [
        b"Nov %02d 19:%02d:00 dnsmasq[7607]: query[A] t.me from 10.0.0.1",
        b"2026-11-%02dT19:%02d:00.000Z vm dnsmasq[7607]: query[A] t.me from 10.0.0.1",
        b"Sun Nov %02d 19:%02d:00 2026 daemon.info dnsmasq[1]: query[A] t.me from 10.0.0.1",
    ],
    "coredns": [
        b"2026-11-%02dT19:%02d:00.000Z stdout F " + CORE,
        b"Nov %02d 19:%02d:00 vm coredns[7]: " + CORE,
        b"<30>1 2026-11-%02dT19:%02d:00+00:00 vm coredns 7 - - " + CORE,
    ],
    "powerdns": [
        b"Nov %02d 19:%02d:00 1 [3/1] question for 't.me|A' from 10.0.0.1:38",
        b'Nov %02d 19:%02d:00 msg="Question" level="0" proto="udp" qname="t.me" qtype="A" remote="10.0.0.1:38"',
        b"2026-11-%02dT19:%02d:00.000+00:00 vm pdns_recursor[7]: 1 [3/1] TCP question for 't.me|A' from 10.0.0.1:38",
    ],
    "unbound": [
        b"Nov %02d 19:%02d:00 unbound[7:0] query: 10.0.0.1 t.me. A IN",
        b"2026-11-%02dT19:%02d:00.000+00:00 unbound[7:0] query: 10.0.0.1 t.me. A IN",
        b"<30>Nov %02d 19:%02d:00 unbound: [7:0] info: 10.0.0.1 t.me. A IN",
    ],
}  # fmt: skip
"""Lines with day and minute to fill in: of the formats whose stamps may lack year, zone or all (``test_parsers.py``
tears the lines of every format)."""


@pytest.mark.parametrize("form", range(3))
@pytest.mark.parametrize("kind", MINUTES)
@settings(max_examples=40, deadline=None)
@given(torn=st.lists(st.tuples(st.integers(1, 58), st.integers(0, 90), st.booleans()), max_size=30))
def test_torn_lines_never_move_time_beyond_their_neighbours(
    kind: str, form: int, torn: list[tuple[int, int, bool]]
) -> None:
    """Heads or tails lost anywhere: what still has a time has that of a line beside it, never arrival or anchor."""
    lines = [MINUTES[kind][form] % (22, minute) for minute in range(60)]
    for number, at, head in torn:
        lines[number] = lines[number][at:] if head else lines[number][:at]
    subject = digest(kind, "auto", "all")
    subject.parser.stamps.arrival = ANCHOR + 30 * 86_400
    events, _ = replay(subject, b"\n".join(lines) + b"\n", cycle([512]))
    start = 1795374000.0  # 2026-11-22T19:00:00Z
    assert len(events) >= 60 - len(torn)
    times = [event.at for event in events if event.at]
    assert times == sorted(times)
    assert all(at in {start + 60 * minute for minute in range(60)} for at in times)
