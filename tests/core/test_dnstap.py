"""dnstap: frames, messages, DNS on the wire; exact, and harmless whatever the octets."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dnswatch.core.dnstap import dns, message, protobuf
from dnswatch.core.dnstap.digest import AHEAD, DAMAGED, FrameDigest
from dnswatch.core.dnstap.frames import (
    ACCEPT,
    CONTENT_TYPE,
    FINISH,
    READY,
    START,
    STOP,
    Conversation,
    control,
    read_control,
)
from dnswatch.core.dnstap.scan import WireScan
from dnswatch.core.logs.timestamps import Stamps
from dnswatch.core.model import Event, Query, Verdict, Weird
from tests.core.taps import AT, CLIENT_QUERY, CLIENT_RESPONSE, RESOLVER_QUERY, field, query, response, stream, tap

RECORDED = (Path(__file__).parent / "named.tap").read_bytes()  # BIND 9.18.49, recorded on loopback
WATCHED = WireScan([("hooks.slack.com", "exact"), ("ngrok.io", "subdomains"), ("webhook.site", "domain")])


def read(data: bytes) -> Event | None:
    """What one frame (with its length) says."""
    return message.read(data[4:], 0)


def test_a_query_is_told_exactly() -> None:
    """Client, port, name in lower case, type, transport, server and the time to the microsecond."""
    event = read(tap(query("Hooks.Slack.COM", "HTTPS"), protocol=2, server="10.0.0.53", at=1_795_376_078.123456))
    assert isinstance(event, Query)
    assert event[1:8] == ("10.0.0.7", 4711, "hooks.slack.com", "HTTPS", "tcp", "10.0.0.53", 0)
    assert event.at == pytest.approx(1_795_376_078.123456, abs=1e-6)
    assert event.line == b"dnstap CLIENT_QUERY 10.0.0.7#4711 tcp hooks.slack.com IN HTTPS"


@pytest.mark.parametrize(
    ("protocol", "transport", "said"),
    [
        (1, "udp", b"udp"),
        (2, "tcp", b"tcp"),
        (3, "tcp", b"DoT"),
        (4, "tcp", b"DoH"),
        (7, "udp", b"DoQ"),
        (99, "", b"?"),
    ],
)
def test_transports(protocol: int, transport: str, said: bytes) -> None:
    """An encrypted transport is the one below it; the evidence names it."""
    event = read(tap(query("webhook.site"), protocol=protocol))
    assert isinstance(event, Query)
    assert event.transport == transport
    assert said in event.line.split()


def test_ipv6_clients() -> None:
    """IPv6 in canonical text, v4-mapped as IPv4, as every parser has it."""
    first, second = (
        read(tap(query("a.example"), client="2001:db8:0:0::1")),
        read(tap(query("a.example"), client="::ffff:10.0.0.9")),
    )
    assert isinstance(first, Query)
    assert isinstance(second, Query)
    assert (first.client, second.client) == ("2001:db8::1", "10.0.0.9")


@pytest.mark.parametrize(
    ("said", "kind", "action", "data"),
    [
        (response("webhook.site", "A", "cdn.example", "192.0.2.1"), "answer", "NOERROR", ("cdn.example", "192.0.2.1")),
        (response("webhook.site", "AAAA", "2001:db8::5"), "answer", "NOERROR", ("2001:db8::5",)),
        (response("webhook.site", rcode=3), "answer", "NXDOMAIN", ()),
        (response("webhook.site", rcode=2), "failed", "SERVFAIL", ()),
        (response("webhook.site", rcode=5), "denied", "REFUSED", ()),
        (response("webhook.site", rcode=11), "answer", "RCODE11", ()),
    ],
)
def test_responses(said: bytes, kind: str, action: str, data: tuple[str, ...]) -> None:
    """Addresses and names of the answer, or the code."""
    event = read(tap(said, CLIENT_RESPONSE))
    assert isinstance(event, Verdict)
    assert (event.kind, event.action, event.data, event.client, event.port, event.at) == (
        kind, action, data, "10.0.0.7", 4711, AT)  # fmt: skip


@pytest.mark.parametrize(
    ("rcode", "answers", "action"), [(3, (), "nxdomain"), (0, (), "nodata"), (0, ("192.0.2.9",), "local-data")]
)
def test_a_policy_zone_shows_itself_by_its_soa(rcode: int, answers: tuple[str, ...], action: str) -> None:
    """BIND puts the SOA of the response policy zone into the additional section of what it rewrote."""
    zone = "servers.rpz.dnswatch.internal"
    event = read(tap(response("webhook.site", "A", *answers, rcode=rcode, policy_zone=zone), CLIENT_RESPONSE))
    assert isinstance(event, Verdict)
    assert (event.kind, event.action, event.via) == ("rewrite", action, f"webhook.site.{zone}")


def test_the_policy_field() -> None:
    """Where a server fills it: what was done, and by which record; a rule may be told with its zone or without."""
    zone = b"any.rpz.dnswatch.internal."
    for rule in (b"*.webhook.site", b"*.webhook.site." + zone):
        extra = field(15, field(1, zone) + field(2, rule) + field(3, 3) + field(4, 1))
        event = read(tap(response("x.webhook.site", "A", "192.0.2.1"), CLIENT_RESPONSE, extra=extra))
        assert isinstance(event, Verdict)
        assert (event.kind, event.action, event.via) == (
            "rewrite",
            "passthru",
            "*.webhook.site.any.rpz.dnswatch.internal",
        )


def test_own_zones_are_no_policy() -> None:
    """An SOA of a zone that holds the name says nothing of a policy."""
    event = read(tap(response("www.example.test", rcode=3, policy_zone="example.test"), CLIENT_RESPONSE))
    assert isinstance(event, Verdict)
    assert event.kind == "answer"


def test_what_is_no_lookup_of_a_client() -> None:
    """Messages of the resolver itself, updates, other classes, answers in a query's place."""
    chaos = bytearray(query("version.bind", "TXT"))
    chaos[-1] = 3
    update = bytearray(query("example.test", "SOA"))
    update[2] |= 5 << 3
    for data in (tap(query("webhook.site"), RESOLVER_QUERY), tap(bytes(chaos)), tap(bytes(update)),
                 tap(response("webhook.site")), tap(query("webhook.site"), CLIENT_RESPONSE)):  # fmt: skip
        assert read(data) is None


def test_names_are_rejected_never_repaired() -> None:
    """A dot inside a label stays escaped, so no watched name comes of it; a pointer or a length above 63 is no name."""
    dotted = b"\0\1\1\0\0\1\0\0\0\0\0\0" + b"\x0chooks.slack.\3com\0" + b"\0\1\0\1"
    event = read(tap(dotted))
    assert isinstance(event, Query)
    assert event.qname == "hooks\\.slack\\..com"
    assert not WATCHED.watches(event.qname)
    pointing = b"\0\1\1\0\0\1\0\0\0\0\0\0" + b"\xc0\x0c" + b"\0\1\0\1"
    assert read(tap(pointing)) is None
    long = b"\0\1\1\0\0\1\0\0\0\0\0\0" + b"\x3f" + b"a" * 63 + (b"\x3f" + b"b" * 63) * 3 + b"\0\0\1\0\1"
    assert read(tap(long)) is None


def test_pointers_that_lead_in_circles_end() -> None:
    """A CNAME that points at itself or forwards is left out; the rest is read."""
    head = b"\0\1\x81\x80\0\1\0\3\0\0\0\0" + b"\7webhook\4site\0\0\1\0\1"
    here = len(head)
    loop = b"\xc0\x0c\0\5\0\1\0\0\0\1\0\2" + (0xC000 | here + 12).to_bytes(2, "big")
    forwards = b"\xc0\x0c\0\5\0\1\0\0\0\1\0\2\xc0\xf0"
    good = b"\xc0\x0c\0\1\0\1\0\0\0\1\0\4\xc0\0\2\1"
    event = read(tap(head + loop + forwards + good, CLIENT_RESPONSE))
    assert isinstance(event, Verdict)
    assert event.data == ("192.0.2.1",)


def test_messages_that_say_too_little() -> None:
    """Without a client or a time nothing can be judged: said by a fixed phrase."""
    found = [read(tap(query("webhook.site"), client="")), read(tap(query("webhook.site"), at=0)), read(b"\0\0\0\1\xff")]
    assert [one.why for one in found if isinstance(one, Weird)] == [
        message.NO_CLIENT,
        message.NO_TIME,
        message.MALFORMED,
    ]


def test_controls() -> None:
    """A control frame that is made is read again; damage is none."""
    for kind in (ACCEPT, READY, FINISH):
        told = read_control(control(kind)[8:])
        assert told is not None
        assert told.kind == kind
        assert told.content_types == ((CONTENT_TYPE,) if kind != FINISH else ())
        assert told.fits
    other = read_control(b"\0\0\0\2\0\0\0\1\0\0\0\3abc")
    assert other is not None
    assert not other.fits
    assert read_control(b"\0\0\0\2\0\0\0\1\0\0\0\xffabc") is None
    assert read_control(b"\0\0") is None


def test_a_recorded_file() -> None:
    """Each of BIND's frames is read; names that are not text keep their escapes."""
    digested = FrameDigest(WireScan([("example.test", "domain")]), "all").block(RECORDED, 0)
    assert digested.consumed == len(RECORDED)
    queries = [event for event in digested.events if isinstance(event, Query)]
    assert len(queries) == len(digested.events) / 2 == 50
    assert round(digested.lines) == len(digested.samples) == 114
    assert {"mixed-case.example.test", "back\\\\slash.example.test", "dot\\.inside.example.test",
            "hello\\032world.example.test"} <= {event.qname for event in queries}  # fmt: skip
    assert digested.events[-1].data == ("2001:db8::10",)  # type: ignore[union-attr]


def test_only_watched_names_come_through() -> None:
    """By label, below and at the name; case does not count; the tiers agree."""
    asked = [
        "Hooks.Slack.Com",
        "xhooks.slack.com",
        "a.ngrok.io",
        "webhook.site",
        "x.y.WEBHOOK.site",
        "webhook.site.example",
    ]
    data = stream(*(tap(query(name)) for name in asked))
    names = [(name, "domain") for name in sorted(WATCHED.names)]
    for scan in (WireScan(names), WireScan(names, fast=False)):  # type: ignore[arg-type]
        found = [event.qname for event in FrameDigest(scan).block(data, 0).events if isinstance(event, Query)]
        assert found == ["hooks.slack.com", "a.ngrok.io", "webhook.site", "x.y.webhook.site"]
    assert WireScan([]).find(data) == []


def test_a_damaged_stream_is_left_at_once() -> None:
    """There is no next line to go on from: one word of it, and the next stream is read again."""
    good = tap(query("webhook.site"))
    digest = FrameDigest(WATCHED)
    digested = digest.block(good + b"\xff\xff\xff\xff" + good, 0)
    assert digested.consumed == 2 * len(good) + 4
    assert [type(event) for event in digested.events] == [Query, Weird]
    assert digested.events[1].why == DAMAGED  # type: ignore[union-attr]
    further = digest.block(good, digested.consumed)
    assert (further.events, further.consumed) == ([], len(good))
    assert len(digest.block(good, 0).events) == 1


def test_a_clock_that_is_years_ahead_is_not_believed() -> None:
    """Log time must not follow it; that it was there is counted."""
    stamps = Stamps(None, AT)
    stamps.limit = AT + 86_400
    data = tap(query("webhook.site"), at=AT + 90_000) + tap(query("webhook.site"), at=AT + 80_000)
    events = FrameDigest(WATCHED, "all", stamps).block(data, 0).events
    assert [(type(event), event.at) for event in events] == [(Weird, 0.0), (Query, AT + 80_000)]
    assert events[0].why == AHEAD  # type: ignore[union-attr]


pieces = st.lists(
    st.one_of(
        st.sampled_from(
            [
                tap(query("webhook.site")),
                tap(query("other.example")),
                tap(response("a.ngrok.io"), CLIENT_RESPONSE),
                control(READY),
                tap(query("x"), CLIENT_QUERY, ""),
            ]
        ),
        st.binary(max_size=40).map(lambda data: len(data).to_bytes(4, "big") + data if data else b""),
    ),
    max_size=30,
)


@settings(deadline=None, max_examples=60)
@given(pieces, st.binary(max_size=12), st.lists(st.integers(1, 300), max_size=40), st.booleans())
def test_any_chunking_gives_the_same(frames: list[bytes], tail: bytes, cuts: list[int], every: bool) -> None:
    """However the octets are cut, through a restart at any cut, with either tier: the same events and samples."""
    data = b"".join(frames) + tail
    sample = "all" if every else "position"
    scans = (WATCHED, WireScan([(name, "domain") for name in WATCHED.names], fast=False))
    whole = FrameDigest(scans[0], sample).block(data, 0)  # type: ignore[arg-type]
    for scan in scans:
        digest = FrameDigest(scan, sample)  # type: ignore[arg-type]
        events, samples, at, end = [], [], 0, 0
        for cut in [*cuts, len(data)]:
            end = min(end + cut, len(data))
            part = digest.block(data[at:end], at)
            events += part.events
            samples += part.samples
            at += part.consumed
            state = digest.state()
            digest = FrameDigest(scan, sample)  # type: ignore[arg-type]
            digest.restore(state)
        # Of a damaged stream, how much of it stood in the first word depends on the cut: only that it is said.
        assert [_told(one) for one in events] == [_told(one) for one in whole.events]
        assert samples == whole.samples
        assert at == whole.consumed


def _told(event: Event) -> object:
    return (event.why, event.offset) if isinstance(event, Weird) else event


GOOD = tap(response("a.webhook.site", "A", "192.0.2.1"), CLIENT_RESPONSE) * 2


@settings(deadline=None, max_examples=300)
@given(
    st.one_of(st.binary(max_size=200), st.builds(lambda cut, end: GOOD[:cut] + end, st.integers(0, 400), st.binary()))
)
def test_nothing_raises(data: bytes) -> None:
    """Any octets, and good ones that are cut or end in others, at every layer."""
    assert protobuf.read(data) is None or data is not None
    message.read(data, 0)
    message.read(data[4:], 0)
    read_control(data)
    asked = dns.question(data)
    if asked is not None:
        dns.answer(data, asked)
    FrameDigest(WATCHED).block(data, 0)


def test_a_connection_that_asks() -> None:
    """READY, ACCEPT, START, frames, STOP, FINISH."""
    talk = Conversation()
    assert talk.feed(control(READY)) == (b"", control(ACCEPT))
    assert talk.feed(control(START) + GOOD[:50]) == (b"", b"")
    assert talk.feed(GOOD[50:] + control(STOP)) == (GOOD, control(FINISH))
    assert (talk.started, talk.ended, talk.problem, talk.unfinished) == (True, True, "", 0)


def test_a_connection_that_only_sends() -> None:
    """START at once: nothing is answered, not even the end."""
    talk = Conversation()
    assert talk.feed(stream(GOOD)) == (GOOD, b"")
    assert talk.ended


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (GOOD, "data before START"),
        (b"\0\0\0\0\0\0\0\x14\0\0\0\4\0\0\0\1\0\0\0\x08other/it", "it offers other/it, not dnstap"),
        (b"\0\0\0\0\0\0\0\x14\0\0\0\2\0\0\0\1\0\0\0\x08other/it", "it sends other/it, not dnstap"),
        (b"\0\0\0\0\0\0\xff\xff", "a frame of 65535 octets"),
        (control(START) + b"\x7f\xff\xff\xff", "a frame of 2147483647 octets"),
        (control(STOP), "control frame 3 out of turn"),
        (control(START) * 2, "control frame 2 out of turn"),
        (b"\0\0\0\0\0\0\0\1x", "a control frame that cannot be read"),
        (b"GET / HTTP/1.1\r\n\r\n", "a frame of 1195725856 octets"),
    ],
)
def test_a_connection_that_cannot_be_listened_to(data: bytes, problem: str) -> None:
    """It is said why."""
    talk = Conversation()
    frames, reply = talk.feed(data)
    assert (talk.problem, frames, reply) == (problem, b"", b"")


@settings(deadline=None, max_examples=100)
@given(st.binary(max_size=30), st.lists(st.integers(1, 40), max_size=60), st.booleans())
def test_any_chunking_of_a_connection(junk: bytes, cuts: list[int], asks: bool) -> None:
    """The same frames and answers however they come; octets behind them do no harm."""
    data = (control(READY) if asks else b"") + control(START) + GOOD + control(STOP) + junk
    talk, frames, reply, at = Conversation(), b"", b"", 0
    for cut in [*cuts, len(data)]:
        more, said = talk.feed(data[at : at + cut])
        frames, reply, at = frames + more, reply + said, at + cut
    assert (frames, talk.ended) == (GOOD, True)
    assert reply == (control(ACCEPT) + control(FINISH) if asks else b"")
