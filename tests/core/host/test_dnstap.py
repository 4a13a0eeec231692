"""Discovery of dnstap: which place is taken, what both sides still need, and when it is left alone."""

import pytest

from dnswatch.core.host import dnstap, named, unbound
from dnswatch.core.host.draft import source
from dnswatch.core.host.findings import discover
from tests.core.host.tree import Files

ADVISED = """\
dnstap:
    dnstap-enable: yes
    dnstap-socket-path: "/run/dnswatch-tap/sock"
    dnstap-log-client-query-messages: yes
    dnstap-log-client-response-messages: yes
"""


def bind(options: str) -> dict[str, str]:
    return {"/etc/bind/named.conf": f'options {{ directory "/var/cache/bind"; {options} }};'}


@pytest.mark.parametrize(
    ("options", "entry", "lines"),
    [
        ('dnstap { client; }; dnstap-output unix "/srv/tap/sock";', 'listen: "unix:///srv/tap/sock"', []),
        ('dnstap { all; }; dnstap-output file "tap" size 9m;', "path: /var/cache/bind/tap", None),
        (
            'dnstap { resolver; }; dnstap-output file "/t";',
            "path: /t",
            ["options {", "    dnstap { client; };", "};"],
        ),
        (
            'dnstap { client query; }; dnstap-output unix "/run/named/tap.sock";',
            'listen: "unix:///run/dnswatch-tap/sock"',
            ["    dnstap { client; };", '    dnstap-output unix "/run/dnswatch-tap/sock";'],
        ),
    ],
)
def test_what_bind_sends_is_taken(options: str, entry: str, lines: list[str] | None) -> None:
    """A socket in a directory of its own or a file; its own lines only where they would not do."""
    found = discover(Files(bind(options)))
    (log,) = found.sources
    assert source(log, "") == f"{{type: dnstap, {entry}}}"
    stanza = "\n".join(note.stanza for note in found.notes)
    assert ("apparmor.d/local/usr.sbin.named" in stanza) == ("unix" in entry)
    assert ("d /srv/tap 2750 dnswatch bind -" in stanza) == ("/srv/tap" in entry)
    assert ("dnstap { client; };" in stanza) == bool(lines)
    for line in lines or ():
        assert line in stanza.split("\n")
    assert lines is not None or not found.notes


def test_bind_may_say_in_a_view_what_it_sends() -> None:
    """The output is an option; which messages may stand in a view."""
    text = 'options { dnstap-output unix "/srv/tap/sock"; }; view v { dnstap { client; }; };'
    found = named.read(Files({"/n": text}), "/n")
    assert found is not None
    tap = dnstap.of_named(found)
    assert tap is not None
    assert not tap.settings


@pytest.mark.parametrize(
    ("clause", "entry", "lines"),
    [
        (ADVISED, 'listen: "unix:///run/dnswatch-tap/sock"', []),
        (
            "dnstap:\n dnstap-enable: yes\n",
            'listen: "unix:///run/dnswatch-tap/sock"',
            ['    dnstap-socket-path: "/run/dnswatch-tap/sock"', "    dnstap-log-client-query-messages: yes"],
        ),
        (
            "dnstap:\n dnstap-enable: yes\n dnstap-ip: 127.0.0.1@6000\n",
            'listen: "tcp://127.0.0.1:6000"',
            ["    dnstap-tls: no", "    dnstap-log-client-response-messages: yes"],
        ),
        (
            "dnstap:\n dnstap-enable: yes\n dnstap-ip: 127.0.0.1\n",
            'listen: "tcp://127.0.0.1:6000"',
            ["    dnstap-ip: 127.0.0.1@6000"],
        ),
        ("dnstap:\n dnstap-enable: yes\n dnstap-ip: ::1@6000\n", 'listen: "tcp://[::1]:6000"', ["    dnstap-tls: no"]),
    ],
)
def test_what_unbound_sends_is_taken(clause: str, entry: str, lines: list[str]) -> None:
    """Over a unix socket or TCP on this host; what it lacks is named line by line."""
    found = discover(Files({"/etc/unbound/unbound.conf": "server:\n  verbosity: 1\n" + clause}))
    (log,) = found.sources
    assert source(log, "") == f"{{type: dnstap, {entry}}}"
    stanza = "\n".join(note.stanza for note in found.notes).split("\n")
    assert all(line in stanza for line in lines)
    assert ("dnstap:" in stanza) == bool(lines)


def test_a_query_log_is_not_counted_twice() -> None:
    """Beside a query log, dnstap is offered with its settings, not taken."""
    text = "server:\n  log-queries: yes\n  logfile: /q.log\n" + ADVISED
    found = discover(Files({"/etc/unbound/unbound.conf": text, "/q.log": ""}))
    assert [log.type for log in found.sources] == ["unbound"]
    (note,) = found.notes
    assert note.kind == "found"
    assert note.stanza.startswith('- {type: dnstap, listen: "unix:///run/dnswatch-tap/sock"}\n')


@pytest.mark.parametrize("clause", ["dnstap:\n dnstap-enable: no\n dnstap-ip: 127.0.0.1@6000\n", ""])
def test_a_server_without_dnstap_gets_query_logging(clause: str) -> None:
    """Off is off."""
    found = discover(Files({"/etc/unbound/unbound.conf": "server:\n  verbosity: 1\n" + clause}))
    assert [log.type for log in found.sources] == ["unbound"]


def test_dnstap_to_another_host_is_not_ours() -> None:
    """It is said, and query logging advised."""
    text = "server:\n verbosity: 1\ndnstap:\n dnstap-enable: yes\n dnstap-ip: 192.0.2.9@6000\n"
    found = discover(Files({"/etc/unbound/unbound.conf": text}))
    assert [log.type for log in found.sources] == ["unbound"]
    assert [note.kind for note in found.notes] == ["found", "off"]


def test_options_of_other_clauses_are_not_dnstaps() -> None:
    """Only what stands in `dnstap:` counts, wherever that clause stands."""
    found = unbound.read(Files({"/u": f"{ADVISED}server:\n dnstap-enable: no\n"}), "/u")
    assert found is not None
    assert found.tap["dnstap-enable"] == "yes"
