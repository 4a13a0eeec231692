"""What discovery makes of a host."""

import pytest

from dnswatch.core.host.findings import discover
from dnswatch.core.host.tree import Findings
from tests.core.host.tree import Files

LOGGING = """logging { channel q { file "/var/log/named/q.log" versions 3 size 9m; print-time iso8601-utc; };
  category queries { q; }; category rpz { q; }; };"""
BIND_LINE = "2026-11-22T19:18:19.281Z queries: info: client @0x7fa4 10.0.0.1#5 (a.b): query: a.b IN A + (10.0.0.53)\n"
DNSMASQ_LINE = "Nov 22 19:23:16 dnsmasq[7607]: query[A] www.example.test from 10.0.0.1\n"


def kinds(found: Findings) -> list[str]:
    return [note.kind for note in found.notes]


def test_a_logging_bind_is_found_through_its_includes() -> None:
    """The log's path comes with the file and channel that say so, and stamps in UTC need no zone."""
    found = discover(Files({"/etc/bind/named.conf": 'include "/etc/bind/named.conf.local";',
                            "/etc/bind/named.conf.local": LOGGING, "/var/log/named/q.log": BIND_LINE}))  # fmt: skip
    (source,) = found.sources
    assert (source.type, source.path, source.timezone) == ("bind", "/var/log/named/q.log", "")
    assert source.because == "/etc/bind/named.conf.local: category queries goes to channel q"
    assert not found.notes


def test_bind_without_query_logging_gets_the_exact_lines() -> None:
    """The stanza names Debian's file, user and log directory, and the source is planned."""
    found = discover(Files({"/etc/bind/named.conf": "options { };"}))
    (note,) = found.notes
    assert note.kind == "off"
    for words in ("logging {", "category queries { dnswatch; };", "print-time iso8601-utc;", "-o bind",
                  "/etc/bind/named.conf.local", "rndc reconfig"):  # fmt: skip
        assert words in note.stanza
    assert [source.path for source in found.sources] == ["/var/log/named/query.log"]


def test_an_existing_logging_statement_is_extended_not_repeated() -> None:
    """named allows one logging statement only."""
    found = discover(Files({"/etc/named.conf": "logging { channel x { syslog; }; category security { x; }; };"}))
    (note,) = found.notes
    assert "into the existing logging statement of /etc/named.conf" in note.stanza
    assert "logging {\n" not in note.stanza
    assert "-o named" in note.stanza


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ('file "/q" size 5m; print-time iso8601-utc;', "size without versions"),
        ('file "/q"; print-time iso8601-utc; buffered yes;', "buffered"),
        ('file "/q"; print-time yes;', "local time without its zone"),
        ('file "/q";', "prints no time"),
        ('file "/q"; print-time iso8601-utc; severity warning;', "severity warning"),
    ],
)
def test_a_channel_that_loses_lines_is_named(option: str, words: str) -> None:
    """Each fault of a channel comes with the setting that cures it."""
    text = f"logging {{ channel q {{ {option} }}; category queries {{ q; }}; category rpz {{ q; }}; }};"
    (note,) = discover(Files({"/etc/bind/named.conf": text})).notes
    assert words in note.text
    assert note.stanza


def test_local_stamps_get_the_hosts_zone() -> None:
    """A channel in local time is read with the zone of this host."""
    text = 'logging { channel q { file "/q"; print-time local; }; category queries { q; }; };'
    (source,) = discover(Files({"/etc/bind/named.conf": text})).sources
    assert source.timezone == "Europe/Berlin"


def test_a_chrooted_bind_is_looked_for_in_its_chroot() -> None:
    """-t of the start script's defaults moves every path."""
    found = discover(Files({"/etc/default/named": 'OPTIONS="-u bind -t /srv/bind"\n',
                            "/srv/bind/etc/bind/named.conf": LOGGING}))  # fmt: skip
    assert [source.path for source in found.sources] == ["/srv/bind/var/log/named/q.log"]
    assert found.sources[0].because.endswith("not there yet")


def test_queries_in_syslog_are_found_where_they_are() -> None:
    """A server that logs to syslog is followed in the syslog file that holds its lines."""
    found = discover(Files({"/etc/dnsmasq.conf": "log-queries=extra\n", "/var/log/syslog": DNSMASQ_LINE * 3}))
    (source,) = found.sources
    assert (source.type, source.path) == ("dnsmasq", "/var/log/syslog")
    assert "3 in its last 256 KiB" in source.because
    assert found.notes[0].kind == "advice"


def test_dnsmasq_with_everything_on() -> None:
    """log-facility and dhcp-leasefile are taken with their reasons."""
    found = discover(Files({"/etc/dnsmasq.conf": "log-queries=extra\nlog-facility=/var/log/dns/q.log\n"
                            "dhcp-leasefile=/srv/leases\n", "/var/log/dns/q.log": DNSMASQ_LINE,
                            "/srv/leases": ""}))  # fmt: skip
    assert [(s.path, s.timezone) for s in found.sources] == [("/var/log/dns/q.log", "Europe/Berlin")]
    assert [lease.path for lease in found.leases] == ["/srv/leases"]
    assert not found.notes


def test_dnsmasq_without_query_logging_gets_the_exact_lines() -> None:
    """Two options, a restart, and how to rotate."""
    (note,) = discover(Files({"/etc/dnsmasq.conf": "domain-needed\n"})).notes
    assert "log-queries=extra" in note.stanza
    assert "log-facility=/var/log/dnsmasq.log" in note.stanza
    assert "USR2" in note.stanza


@pytest.mark.parametrize(
    ("files", "path"),
    [
        ({"/etc/pihole/pihole.toml": "[dns]\nqueryLogging = true\n"}, "/var/log/pihole/pihole.log"),
        ({"/etc/pihole/pihole.toml": '[files]\n[files.log]\n dnsmasq = "/srv/p.log"\n'}, "/srv/p.log"),
        ({"/etc/pihole/setupVars.conf": "QUERY_LOGGING=true\n", "/var/log/pihole.log": ""}, "/var/log/pihole.log"),
    ],
)
def test_pi_hole_of_each_generation(files: dict[str, str], path: str) -> None:
    """Version 6, a moved log, and version 5 with the older path."""
    (source,) = discover(Files(files)).sources
    assert (source.type, source.path) == ("dnsmasq", path)


def test_pi_hole_without_query_logging() -> None:
    """The command that switches it on is Pi-hole's own."""
    found = discover(Files({"/etc/pihole/pihole.toml": "[dns]\n  queryLogging = false\n"}))
    assert [note.stanza for note in found.notes] == ["pihole logging on"]


def test_a_dnsmasq_in_front_of_bind_is_seen() -> None:
    """dnsmasq asks the BIND on this host: its lookups there belong to the client that asked dnsmasq."""
    found = discover(Files({
        "/etc/bind/named.conf": "options { listen-on port 5353 { 127.0.0.1; }; };" + LOGGING,
        "/etc/dnsmasq.conf": "no-resolv\nserver=127.0.0.1#5353\nlog-queries=extra\nlog-facility=/var/log/d.log\n",
    }))  # fmt: skip
    by_type = {source.type: source.forwarders for source in found.sources}
    assert by_type == {"bind": ("127.0.0.1",), "dnsmasq": ()}


def test_a_bind_in_front_of_dnsmasq_is_seen() -> None:
    """The other way round."""
    found = discover(Files({
        "/etc/bind/named.conf": "options { forwarders { 127.0.0.1 port 54; }; };" + LOGGING,
        "/etc/dnsmasq.conf": "no-resolv\nport=54\nserver=9.9.9.9\nlog-queries=extra\nlog-facility=/var/log/d.log\n",
    }))  # fmt: skip
    assert {source.type: source.forwarders for source in found.sources} == {"bind": (), "dnsmasq": ("127.0.0.1",)}


def test_two_servers_that_do_not_know_each_other_stay_apart() -> None:
    """A public upstream makes no forwarder."""
    found = discover(Files({"/etc/bind/named.conf": LOGGING,
                            "/etc/dnsmasq.conf": "no-resolv\nserver=9.9.9.9\nlog-queries=extra\n"
                            "log-facility=/var/log/d.log\n"}))  # fmt: skip
    assert not any(source.forwarders for source in found.sources)


def test_a_log_that_nothing_names_is_found_by_its_content() -> None:
    """The usual places are looked into; a file without query lines is left alone."""
    found = discover(Files({"/var/log/named/old.log": BIND_LINE * 2, "/var/log/named/general.log": "loaded\n",
                            "/var/log/dnsmasq.log": DNSMASQ_LINE}))  # fmt: skip
    assert {(source.type, source.path, source.timezone) for source in found.sources} == {
        ("bind", "/var/log/named/old.log", ""), ("dnsmasq", "/var/log/dnsmasq.log", "Europe/Berlin"),
    }  # fmt: skip


def test_what_may_not_be_read_is_said() -> None:
    """Unreadable configuration, logs and leases each give a clear word, and nothing raises."""
    files = {"/etc/bind/named.conf": "", "/var/log/dnsmasq.log": "", "/var/lib/misc/dnsmasq.leases": ""}
    found = discover(Files(files, secret=set(files)))
    assert kinds(found).count("unreadable") == 3
    assert all("may not be read by this user" in note.text for note in found.notes if note.kind == "unreadable")


def test_an_empty_host_says_what_to_do() -> None:
    """Nothing found is an answer with a way on."""
    found = discover(Files({}))
    assert not found.sources
    assert "name your log" in found.notes[0].text


@pytest.mark.parametrize("path", ["/var/lib/kea/kea-leases4.csv", "/var/lib/dhcp/dhcpd.leases"])
def test_leases_of_other_servers(path: str) -> None:
    """Kea and ISC dhcpd are found in their usual places."""
    assert [lease.path for lease in discover(Files({path: ""})).leases] == [path]


def test_rotated_files_are_no_sources_of_their_own() -> None:
    """`versions 5` leaves query.log.0 beside query.log: reading both would count everything twice."""
    rotated = {f"/var/log/named/query.log{end}": BIND_LINE for end in (".0", ".1", "-20261121", ".20261122191938353")}
    logs = {"/var/log/named/query.log": BIND_LINE, **rotated}
    named = LOGGING.replace("q.log", "query.log")
    for files in ({"/etc/bind/named.conf": named, **logs}, {"/etc/bind/named.conf": "options { };", **logs}, logs):
        assert [source.path for source in discover(Files(files)).sources] == ["/var/log/named/query.log"]
    # Without the log itself its newest file stands for all of them.
    assert [source.path for source in discover(Files(rotated)).sources] == ["/var/log/named/query.log.0"]
