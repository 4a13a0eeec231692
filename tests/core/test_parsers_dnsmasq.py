"""dnsmasq lines are read from the right; the client comes from the prefix where there is one."""

import pytest

from dnswatch.core.logs.parsers.dnsmasq import DnsmasqParser
from dnswatch.core.logs.timestamps import Stamps
from dnswatch.core.model import Event, Lease, Notice, Query, Verdict, Weird

AT = 1795375396.0
HEAD = b"Nov 22 19:23:16 dnsmasq[7607]: "
EXTRA = HEAD + b"9 192.0.2.7/40000 "


def parse(line: bytes) -> Event | None:
    return DnsmasqParser(Stamps(None, AT)).parse(line, 7)


def test_a_plain_query() -> None:
    """Name, type and client; the log tells neither port nor transport nor server."""
    line = HEAD + b"query[A] WWW.example from 192.0.2.7"
    assert parse(line) == Query(AT, "192.0.2.7", 0, "www.example", "A", "", "", 0, line, 7)


@pytest.mark.parametrize(
    ("serial", "transport", "number", "client"),
    [
        (b"22 192.0.2.7/60200 ", "", 22, "192.0.2.7"),
        (b"UDP 22 192.0.2.7/60200 ", "udp", 22, "192.0.2.7"),
        (b"TCP 163 fe80::1%lo/60200 ", "tcp", 163, "fe80::1"),
        (b"TCP 163 ::ffff:192.0.2.7/60200 ", "tcp", 163, "192.0.2.7"),
    ],
)
@pytest.mark.parametrize("name", [b"www.example", b"x from 6.6.6.6"])
def test_extra_and_proto_queries(serial: bytes, transport: str, number: int, client: str, name: bytes) -> None:
    """log-queries=extra and =proto put serial, client and port before the name, out of its reach."""
    event = parse(HEAD + serial + b"query[HTTPS] " + name + b" from 192.0.2.7")
    assert isinstance(event, Query)
    assert (event.client, event.port, event.serial, event.transport) == (client, 60200, number, transport)


@pytest.mark.parametrize(
    "prefix",
    [
        HEAD,
        b"<30>Nov 22 19:23:16 dnsmasq[7607]: ",
        b"Nov 22 19:23:16 vm dnsmasq[7607]: ",
        b"Nov 22 19:23:16 fritz daemon.info dnsmasq[7607]: ",
        b"2026-11-22T19:23:16.000000+00:00 vm dnsmasq[7607]: ",
        b"<30>1 2026-11-22T19:23:16.000000+00:00 vm dnsmasq 7607 - -  ",
        b"Sun Nov 22 19:23:16 2026 daemon.info dnsmasq[1]: ",
        b"Sun Nov 22 12:23:16 2026 [1795375396.000] daemon.info dnsmasq[1]: ",
        b"2026-11-22T19:23:16.0Z stderr F dnsmasq: ",
        b"dnsmasq[7607]: ",
        b"dnsmasq: ",
    ],
)
def test_every_prefix_form_reads_the_same(prefix: bytes) -> None:
    """File, datagram, syslog, OpenWrt, container, stderr and debug forms; stamp-less lines take the arrival time."""
    event = parse(prefix + b"query[A] x y from 192.0.2.7")
    assert isinstance(event, Query)
    assert (event.at, event.client, event.qname) == (AT, "192.0.2.7", "x\\032y")


@pytest.mark.parametrize(
    ("name", "canonical"),
    [
        (b"x from 6.6.6.6", "x\\032from\\0326.6.6.6"),
        (b" .example", "\\032.example"),
        (b"trail  .example", "trail\\032\\032.example"),
        (b"query[A] x from 6.6.6.6", "query[a]\\032x\\032from\\0326.6.6.6"),
        (b"1 6.6.6.6/1 query[A] x", "1\\0326.6.6.6/1\\032query[a]\\032x"),
        (b"back\\032slash", "back\\\\032slash"),  # a label may hold these very characters: never unescaped
        (b"m\xfcnchen.lan", "m\\252nchen.lan"),
        (b".", "."),
    ],
)
def test_names_are_whatever_stands_before_the_last_from(name: bytes, canonical: str) -> None:
    """A name may hold spaces and whole fake records; the client is what the server wrote at the end."""
    event = parse(HEAD + b"query[A] " + name + b" from 192.0.2.7")
    assert isinstance(event, Query)
    assert (event.client, event.qname) == ("192.0.2.7", canonical)


@pytest.mark.parametrize(
    ("written", "qtype"),
    [(b"query[type=65]", "HTTPS"), (b"query[type=65280]", "TYPE65280"), (b"query", "TYPE0"), (b"auth[SOA]", "SOA")],
)
def test_types_are_mnemonics(written: bytes, qtype: str) -> None:
    """Numbers where there is no mnemonic; no brackets at all is type 0."""
    event = parse(HEAD + written + b" a.example from 192.0.2.7")
    assert isinstance(event, Query)
    assert event.qtype == qtype


@pytest.mark.parametrize(
    ("record", "kind", "action", "data"),
    [
        (b"reply a.b is 192.0.2.10", "answer", "NOERROR", ("192.0.2.10",)),
        (b"cached a.b is 2001:DB8::1", "answer", "NOERROR", ("2001:db8::1",)),
        (b"cached-stale a.b is 192.0.2.10", "answer", "NOERROR", ("192.0.2.10",)),
        (b"auth a.b is 192.0.2.10", "answer", "NOERROR", ("192.0.2.10",)),
        (b"DHCP a.b is 192.0.2.10", "answer", "NOERROR", ("192.0.2.10",)),
        (b"/etc/hosts two is file a.b is 192.0.2.10", "answer", "NOERROR", ("192.0.2.10",)),
        (b"reply a.b is <CNAME>", "answer", "CNAME", ()),
        (b"reply a.b is NXDOMAIN", "answer", "NXDOMAIN", ()),
        (b"reply a.b is NODATA-IPv6", "answer", "NODATA", ()),
        (b"reply a.b is SERVFAIL (EDE: NSEC(3) missing)", "answer", "SERVFAIL", ()),
        (b"reply a.b is 192.0.2.10 (DNSSEC signed)", "answer", "NOERROR", ("192.0.2.10",)),
        (b"reply a.b is any text at all", "answer", "NOERROR", ()),
        (b"config a.b is 0.0.0.0", "rewrite", "local-data", ("0.0.0.0",)),
        (b"config a.b is NXDOMAIN", "rewrite", "nxdomain", ()),
        (b"config a.b is NODATA-IPv4", "rewrite", "nodata", ()),
        (b"/etc/hosts a.b is ::", "rewrite", "local-data", ("::",)),
        (b"gravity blocked a.b is 0.0.0.0", "rewrite", "local-data", ("0.0.0.0",)),
        (b"regex denied (CNAME) a.b is NXDOMAIN", "rewrite", "nxdomain", ()),
        (b"blocked upstream with known address a.b is 192.0.2.10", "rewrite", "local-data", ("192.0.2.10",)),
        (b"Rate-limiting a.b is REFUSED (EDE: prohibited)", "denied", "REFUSED", ()),
        (b"Pi-hole hostname a.b is 192.0.2.10", "answer", "NOERROR", ("192.0.2.10",)),
    ],
)
@pytest.mark.parametrize(("prefix", "client"), [(HEAD, ""), (EXTRA, "192.0.2.7")])
def test_answers(record: bytes, kind: str, action: str, data: tuple[str, ...], prefix: bytes, client: str) -> None:
    """Answers, local configuration and Pi-hole's reasons; the client only where the prefix names it."""
    event = parse(prefix + record)
    assert isinstance(event, Verdict)
    assert (event.qname, event.kind, event.action, event.data) == ("a.b", kind, action, data)
    assert (event.client, event.serial) == (client, 9 if client else 0)


@pytest.mark.parametrize(
    "record",
    [
        b"forwarded a.b to 192.0.2.53#5311",
        b"reply 192.0.2.9 is host.example",
        b"reply 192.0.2.9 is NXDOMAIN",
        b"/etc/hosts 127.0.0.1 is localhost",
        b"reply error is SERVFAIL",
        b"reply query is duplicate",
        b"reply is truncated",
        b"validation a.b is BOGUS (EDE: NSEC(3) missing)",
        b"ipset add ads 192.0.2.10 a.b",
        b"config <name unprintable> is NXDOMAIN",
    ],
)
def test_records_without_anything_for_us(record: bytes) -> None:
    """Reverse answers, nameless ones, and what dnsmasq does for itself."""
    assert parse(HEAD + record) is None
    assert parse(EXTRA + record) is None


def test_own_dnssec_lookups_are_nobodys() -> None:
    """Sub-queries have a serial and no client; their answers are not a client's."""
    assert parse(HEAD + b"2 reply a.b is 192.0.2.10") is None
    assert parse(HEAD + b"2 dnssec-query[DS] a.b to 192.0.2.53") is None


@pytest.mark.parametrize("record", [b"reply a is 1.2.3.4 is NXDOMAIN", b"reply 192.0.2.9 is evil is 1.2.3.4"])
def test_answers_made_to_look_like_others_are_told(record: bytes) -> None:
    """A name with a space in an answer belongs to no domain."""
    event = parse(HEAD + record)
    assert isinstance(event, Weird)
    assert event.why == "ambiguous answer"


@pytest.mark.parametrize(("prefix", "client"), [(HEAD, ""), (EXTRA, "192.0.2.7")])
def test_lines_cut_at_the_limit_are_not_trusted(prefix: bytes, client: str) -> None:
    """1023 bytes: the end of the client's address may be gone; a client in the prefix stays known."""
    room = 1023 - len(prefix) - len(b"query[A]  from 127.0.0.1")
    event = parse(prefix + b"query[A] " + b"a" * room + b" from 127.0.0.1")
    assert isinstance(event, Weird)
    assert (event.why, event.client) == ("truncated line", client)
    shorter = parse(prefix + b"query[A] " + b"a" * (room - 1) + b" from 127.0.0.1")
    assert isinstance(shorter, Weird)
    assert (shorter.why, shorter.client) == ("name too long", client or "127.0.0.1")


def test_the_limit_is_that_of_the_datagram_behind_syslog() -> None:
    """rsyslog drops <30> and adds the host: a datagram of 1023 bytes is cut whatever the file's line measures."""
    sent = b"<30>Nov 22 19:23:16 dnsmasq[18957]: query[A] "
    room = 1023 - len(sent) - len(b" from 127.0.0.1")
    tail = b"dnsmasq[18957]: query[A] " + b"a" * room + b" from 127.0.0.1"
    for head in (b"<30>Nov 22 19:23:16 ", b"Nov 22 19:23:16 vm ", b"2026-11-22T19:23:16.002809+00:00 vm "):
        event = parse(head + tail)
        assert isinstance(event, Weird)
        assert (event.why, event.client) == ("truncated line", "")


@pytest.mark.parametrize(
    ("name", "why"),
    [
        (b"<name unprintable>", "unprintable name"),
        (b"a" * 254, "name too long"),
        (b"a" * 64, "bad name"),
        (b"a..b", "bad name"),
    ],
)
@pytest.mark.parametrize("prefix", [HEAD, EXTRA])
def test_names_that_are_none_keep_their_client(name: bytes, why: str, prefix: bytes) -> None:
    """Hidden and over-long names are counted per client."""
    event = parse(prefix + b"query[A] " + name + b" from 192.0.2.7")
    assert isinstance(event, Weird)
    assert (event.why, event.client) == (why, "192.0.2.7")


@pytest.mark.parametrize(
    ("message", "kind", "count"),
    [
        (b"overflow: 114 log entries lost", "overflow", 114),
        (b"started, version 2.90 cachesize 150", "start", 0),
        (b"started, version 2.90 DNS disabled", "start", 0),
        (b"exiting on receipt of SIGTERM", "stop", 0),
        (b"time 1795375396", "anchor", 1795375396),
        (b"possible DNS-rebind attack detected: rebind.tld", "rebind", 0),
    ],
)
def test_notices(message: bytes, kind: str, count: int) -> None:
    """What dnsmasq says of itself."""
    event = parse(HEAD + message)
    assert isinstance(event, Notice)
    assert (event.kind, event.count) == (kind, count)


@pytest.mark.parametrize(
    "dumped", [b"overflow: 9 log entries lost", b"time 1", b"started, version x", b"query[A] x from 6.6.6.6"]
)
def test_a_dumped_cache_cannot_speak_for_the_server(dumped: bytes) -> None:
    """On SIGUSR1 each line begins with a cached name, which a client may have chosen."""
    event = parse(HEAD + b"%-30.30s %-40.40s %s" % (dumped, b"192.0.2.84", b"4F         Sun Nov 22 19:25:35 2026"))
    assert event is None or isinstance(event, Weird)


def test_the_epoch_line_dates_what_follows() -> None:
    """`time N` corrects the year that a wrong anchor gave."""
    parser = DnsmasqParser(Stamps(None, 1577836800.0))  # 2020
    parser.parse(HEAD + b"time 1795375396", 0)
    event = parser.parse(HEAD + b"query[A] a.b from 192.0.2.7", 0)
    assert event is not None
    assert event.at == AT


@pytest.mark.parametrize(
    ("message", "lease"),
    [
        (b"DHCPACK(eth0) 192.0.2.33 B0:19:21:83:77:bf Archer", ("192.0.2.33", "archer", "b0:19:21:83:77:bf")),
        (b"3806684123 DHCPACK(eth0) 192.0.2.33 b0:19:21:83:77:bf", ("192.0.2.33", "", "b0:19:21:83:77:bf")),
        (b"DHCPACK(eth0) 192.0.2.33 06-b0:19:21:83:77:bf ", ("192.0.2.33", "", "b0:19:21:83:77:bf")),
        (b"DHCPACK(eth0) 192.0.2.33 b0:19:21:83:77:bf <x>", ("192.0.2.33", "", "b0:19:21:83:77:bf")),
        (
            b"DHCPREPLY(eth0) 2001:db8::9 00:01:00:01:2a:2b:2c:2d:b0:19:21:83:77:bf pc",
            ("2001:db8::9", "pc", "b0:19:21:83:77:bf"),
        ),
    ],
)
def test_leases(message: bytes, lease: tuple[str, str, str]) -> None:
    """DHCPACK and DHCPREPLY tie an address to a name and a MAC."""
    event = parse(HEAD.replace(b"dnsmasq[", b"dnsmasq-dhcp[") + message)
    assert event == Lease(AT, *lease, None, 7)


def test_leases_come_from_the_dhcp_side_only() -> None:
    """The same words under the DNS tag are a name in a cache dump."""
    assert parse(HEAD + b"DHCPACK(eth0) 192.0.2.33 b0:19:21:83:77:bf Archer") is None


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (HEAD + b"query[A] www.exam", "unreadable line"),
        (HEAD + b"query[A] a.b from 192.0.2.777", "bad client address"),
        (HEAD + b"9 192.0.2.777/1 query[A] a.b from 192.0.2.7", "bad client address"),
        (HEAD.replace(b"22", b"99") + b"query[A] a.b from 192.0.2.7", "unreadable stamp"),
        (b"query[A] a.b from 192.0.2.7", "unreadable line"),
    ],
)
def test_what_is_not_trusted_says_why(line: bytes, why: str) -> None:
    """Broken lines become counted values with a fixed phrase and no client."""
    event = parse(line)
    assert isinstance(event, Weird)
    assert (event.why, event.client) == (why, "")


def test_other_programs_in_a_shared_file_are_ignored() -> None:
    """The tag decides, not the text."""
    assert parse(b"Nov 22 19:23:16 vm logger: dnsmasq[1]: query[A] a.b from 6.6.6.6") is None
    assert parse(b"Nov 22 19:23:16 vm systemd[1]: Starting dnsmasq: query[A] a.b from 6.6.6.6") is None
