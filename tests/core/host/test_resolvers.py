"""Discovery of Unbound, PowerDNS Recursor and CoreDNS."""

import pytest

from dnswatch.core.host import advice, powerdns, unbound
from dnswatch.core.host.draft import source
from dnswatch.core.host.findings import discover, look_into, zone_shown
from dnswatch.core.logs.parsers import PARSERS
from tests.core.host.tree import Files

LOGGING = "server:\n" + "".join(f"    {line}\n" for line in advice.UNBOUND_LINES)
UNIT = {"/lib/systemd/system/pdns-recursor.service": "", "/lib/systemd/system/unbound.service": ""}
RPZ = 'rpz:\n  name: "any.rpz.lab"\n  zonefile: "z"  # a comment\n'


def test_a_logging_unbound_is_found_through_its_includes() -> None:
    """The lines that init advises are all it takes, in a file of the include directory."""
    found = discover(Files({"/etc/unbound/unbound.conf": 'include-toplevel: "/etc/unbound/unbound.conf.d/*.conf"\n',
                            "/etc/unbound/unbound.conf.d/a.conf": LOGGING, advice.UNBOUND_LOG: ""}))  # fmt: skip
    (log,) = found.sources
    assert (log.type, log.path, log.timezone) == ("unbound", advice.UNBOUND_LOG, "")
    assert not found.notes


def test_unbound_without_query_logging_gets_the_exact_lines() -> None:
    """The advised file is planned as a source, and logrotate's lines come with it."""
    found = discover(Files({"/etc/unbound/unbound.conf": "server:\n  verbosity: 1\n"}))
    (note,) = found.notes
    assert note.kind == "off"
    for line in (*advice.UNBOUND_LINES, "unbound-control log_reopen", "/etc/unbound/unbound.conf:"):
        assert line in note.stanza
    assert [log.path for log in found.sources] == [advice.UNBOUND_LOG]


def test_unbound_that_logs_to_syslog_is_read_from_there() -> None:
    """From the file where its lines really are, else from the journal of its unit."""
    conf = {"/etc/unbound/unbound.conf": "server:\n log-queries: yes\n"}
    line = "Nov 22 19:30:31 vm unbound: [7:1] info: 10.0.0.1 www.example.test. A IN\n"
    (log,) = discover(Files(conf | {"/var/log/syslog": line * 3})).sources
    assert (log.path, log.timezone) == ("/var/log/syslog", "Europe/Berlin")
    (log,) = discover(Files(conf | UNIT)).sources
    assert (log.path, log.journald, log.place) == ("", "unbound", "journal of unbound")
    assert source(log, "") == "{type: unbound, journald: unbound}"


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ('server:\n logfile: "q.log"\n directory: "/srv"\n', "/srv/q.log"),
        ("server:\n logfile: /q.log\n use-syslog: yes\n", ""),
        ("server:\n use-syslog: yes\n logfile: /q.log\n", "/q.log"),
        ('server:\n logfile: ""\n', ""),
        ("remote-control:\n logfile: /no.log\nserver: logfile: /q.log log-queries: yes\n", "/q.log"),
    ],
)
def test_where_unbound_logs(text: str, path: str) -> None:
    """Relative to `directory`; of `logfile` and `use-syslog` the later one counts; other clauses say nothing of it."""
    found = unbound.read(Files({"/u": text}), "/u")
    assert found is not None
    assert found.log_path == path


@pytest.mark.parametrize(
    ("options", "silent"),
    [("", True), ("  rpz-log: yes\n", True), ('  rpz-log: yes\n  rpz-log-name: "any.rpz.lab"\n', False)],
)
def test_a_policy_zone_that_does_not_log_its_name_is_told(options: str, silent: bool) -> None:
    """Without rpz-log-name nobody knows whose zone it was."""
    notes = discover(Files({"/etc/unbound/unbound.conf": LOGGING + RPZ + options})).notes
    assert bool(notes) is silent
    assert not silent or notes[0].stanza == 'rpz-log: yes\nrpz-log-name: "any.rpz.lab"'


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"/etc/powerdns/recursor.conf": "quiet=yes\n"}, ["`quiet` is set", "quiet=no", "policyEventFilter"]),
        ({"/etc/powerdns/recursor.conf": "local-port=53\n"}, ["`quiet` is set"]),
        (
            {"/etc/powerdns/recursor.conf": "include-dir=/etc/powerdns/recursor.d\nquiet=yes\n",
             "/etc/powerdns/recursor.d/x.conf": "quiet=no\nlua-dns-script=/x.lua\n", "/x.lua": "-- something else"},
            ["no policy hits", "into /x.lua, which is there already"],
        ),
        ({"/etc/powerdns/recursor.conf": "quiet=no\nstructured-logging=no\n"}, ["repeated lookups are missing"]),
        ({"/etc/powerdns/recursor.yml": "logging:\n  quiet: true\n"}, ["`quiet` is set", "servfail_ttl: 0"]),
        ({"/etc/powerdns/recursor.yml": "logging: {quiet: false}\n"}, ["no policy hits"]),
    ],
)  # fmt: skip
def test_what_a_recursor_lacks_is_said_with_its_lines(files: dict[str, str], words: list[str]) -> None:
    """Old and new configuration; a Lua script that is there already is not replaced."""
    found = discover(Files(files | UNIT))
    said = "\n".join(f"{note.text}\n{note.stanza}" for note in found.notes)
    assert all(word in said for word in words)
    assert [source(log, "") for log in found.sources] == ["{type: powerdns, journald: pdns-recursor}"]


def test_a_recursor_as_advised_leaves_nothing_to_do() -> None:
    """The printed settings and hook are recognised again."""
    files = {
        "/etc/powerdns/recursor.conf": "\n".join(advice.POWERDNS_LINES),
        advice.POWERDNS_HOOK_FILE: advice.POWERDNS_HOOK,
    }
    assert not discover(Files(files | UNIT)).notes
    found = powerdns.read(Files(files), "/etc/powerdns/recursor.conf")
    assert found is not None
    assert not found.says("quiet", "yes")


def test_coredns_needs_the_log_plugin() -> None:
    """Off, in a form of its own, on; in Kubernetes through the links of the kubelet."""
    unit = {"/etc/systemd/system/coredns.service": ""}

    def told(corefile: str) -> list[str]:
        return [note.text for note in discover(Files({"/etc/coredns/Corefile": corefile} | unit)).notes]

    assert "no `log`" in told(". {\n  errors\n  # log\n  forward . 1.1.1.1\n}\n")[0]
    assert "format of its own" in told('. {\n  log . "{remote} {name}"\n}\n')[0]
    assert not told(". {\n  log\n  errors\n}\n")
    pods = {f"/var/log/containers/coredns-{n}_kube-system_coredns-1.log": "" for n in "ab"}
    (log,) = discover(Files(pods)).sources
    assert (log.type, log.path) == ("coredns", "/var/log/containers/coredns-*.log")


def test_a_configuration_that_may_not_be_read_is_told() -> None:
    """As any other user one learns that there is something to see."""
    for path in ("/etc/unbound/unbound.conf", "/etc/powerdns/recursor.conf", "/etc/coredns/Corefile"):
        (note,) = [n for n in discover(Files({path: "x"}, secret={path})).notes if n.kind == "unreadable"]
        assert path in note.text


@pytest.mark.parametrize("name", ["bind", "coredns", "dnsmasq", "powerdns", "unbound"])
def test_lookups_of_every_text_format_are_counted(name: str) -> None:
    """A log in an unusual place is known by its lines, and whether its stamps tell their zone."""
    example = PARSERS[name].example.decode("ascii")
    seen = look_into(Files({"/x.log": f"torn\n{example}\n{example}\n"}), "/x.log")
    assert seen == {name: 2}
    assert zone_shown(name, f"{example}\n".encode() * 2) is (name in ("powerdns", "unbound"))
