"""`dnswatch consumer-config`: complete files, or what the configuration lacks."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from dnswatch.cli import main

GROUPS = "clients: {groups: {servers: {networks: [10.0.10.0/24]}}}\n"
CONSUMERS = """\
    - {name: ns1, address: 10.0.0.53, type: bind, views: {servers: k1, any: k2}}
    - {name: ns2, address: 10.0.0.54, type: unbound}
"""


class Place:
    """A configuration in a directory of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("k1", "k2", "k3"):
            (folder / name).write_text(base64.b64encode(name.encode() * 16).decode())
        self.write()

    def write(
        self, consumers: str = CONSUMERS, listen: str = "10.0.0.2:5300", more: str = "", head: str = GROUPS
    ) -> None:
        keys = ", ".join(f"{name}: {{secret: file:{name}}}" for name in ("k1", "k2", "k3"))
        dns = f'dns:\n  listen: "{listen}"\n  keys: {{{keys}}}\n{more}' + (
            f"  consumers:\n{consumers}" if consumers else ""
        )
        (self.folder / "dnswatch.yaml").write_text(head + (dns if listen else ""))

    def run(self, *arguments: str) -> tuple[int, str, str]:
        import contextlib
        import io

        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), pytest.raises(SystemExit) as end:
            main(["--config", str(self.folder / "dnswatch.yaml"), "consumer-config", *arguments])
        assert isinstance(end.value.code, int)
        return end.value.code, out.getvalue(), err.getvalue()


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_files_are_printed_one_after_the_other(place: Place) -> None:
    """Each headed by a comment with its name."""
    code, said, _ = place.run("bind")
    assert code == 0
    assert [line for line in said.splitlines() if " file: " in line] == [
        "// file: named.conf",
        "// file: dnswatch.keys",
    ]
    assert 'match-clients { key "k1"; !key "k2"; "dnswatch-servers"; };' in said
    assert "primaries { 10.0.0.2 port 5300 key" in said
    code, said, _ = place.run("unbound")
    assert code == 0
    assert said.startswith("# file: dnswatch.conf\n# install: /etc/unbound/unbound.conf.d/dnswatch.conf\n")
    assert 'access-control-tag: 10.0.10.0/24 "servers"' in said


def test_files_are_written_and_strangers_files_are_not_replaced(place: Place) -> None:
    """The same command again replaces its own; secrets are for the owner."""
    target = place.folder / "out"
    for _ in range(2):
        code, said, _err = place.run("bind", "--output", str(target))
        assert (code, said.split()) == (0, [f"{target}/named.conf", f"{target}/dnswatch.keys"])
    assert (target / "dnswatch.keys").stat().st_mode & 0o777 == 0o600
    (target / "named.conf").write_text("options { };\n")
    code, _, said = place.run("bind", "--output", str(target))
    assert code == 1
    assert "was not written by dnswatch" in said
    assert (target / "named.conf").read_text() == "options { };\n"
    assert place.run("bind", "--output", str(target), "--force")[0] == 0


@pytest.mark.parametrize(
    ("listen", "consumers", "more", "kind", "said"),
    [
        ("", "", "", "bind", "nowhere to fetch zones from. Add\ndns:\n  listen: 10.0.0.2:5300"),
        ("10.0.0.2:5300", "", "", "unbound", "- {name: ns1, address: 10.0.0.53, type: unbound}"),
        ("10.0.0.2:5300", "", "", "bind", "views: {servers: k-servers, any: k-any}"),
        ("10.0.0.2:5300", "    - {name: ns1, address: 10.0.0.53, type: bind, key: k1}\n", "", "bind",
         "add `views: {servers: k-servers, any: k-any}`"),
        ("10.0.0.2:5300", "    - {name: ns1, address: 10.0.0.53, type: bind, views: {any: k1}}\n", "", "bind",
         "add `views: {servers: k-servers}`"),
        ("10.0.0.2:5300", "    - {name: n, address: 10.0.0.5, type: bind, views: {servers: k1, any: k1}}\n", "", "bind",
         "servers and any have one key"),
        ("127.0.0.1:5300", CONSUMERS, "", "bind", "has no address that consumer ns1 (10.0.0.53) can reach"),
        ("0.0.0.0:5300", CONSUMERS, "", "unbound", "--primary ADDRESS:PORT"),
        ("10.0.0.2:5300", CONSUMERS, '  tls: {listen: "10.0.0.2:853", cert: k1, key: k1}\n', "unbound",
         "has no name: write the name in the certificate"),
        ("10.0.0.2:5300", CONSUMERS, '  tls: {listen: "10.0.0.2:853", cert: k1, key: k1, name: feed.test, ca: k1}\n',
         "unbound", "has no certificate in PEM form"),
    ],
)  # fmt: skip
def test_what_is_missing_is_said(place: Place, listen: str, consumers: str, more: str, kind: str, said: str) -> None:
    """With what to add, ready to be copied."""
    place.write(consumers, listen, more)
    code, out, err = place.run(kind)
    assert (code, out) == (3, "")
    assert said in err


def test_one_of_several_is_chosen_by_name(place: Place) -> None:
    """Two consumers of a type have two configurations."""
    place.write(CONSUMERS + "    - {name: ns3, address: 10.0.0.55, type: unbound}\n")
    code, _, said = place.run("unbound")
    assert code == 2
    assert "--consumer ns2, ns3" in said
    assert "interface: 10.0.0.55" in place.run("unbound", "--consumer", "ns3")[1]
    code, _, said = place.run("unbound", "--consumer", "ns1")
    assert code == 2
    assert "there are: ns2, ns3" in said


def test_options_change_where_from_and_for_whom(place: Place) -> None:
    """An address behind NAT, public client networks, no TLS."""
    tls = '  tls: {listen: "10.0.0.2:853", cert: k1, key: k1, name: feed.test}\n'
    place.write(CONSUMERS, more=tls)
    assert "primary: 10.0.0.2@853#feed.test" in place.run("unbound")[1]
    said = place.run("unbound", "--plain", "--primary", "198.51.100.1", "--clients", "203.0.113.0/24")[1]
    assert "primary: 198.51.100.1@5300\n" in said
    assert "access-control: 203.0.113.0/24 allow" in said
    assert "192.168" not in said
    assert place.run("unbound", "--primary", "198.51.100.1:853")[1].count("primary: 198.51.100.1@853#feed.test") == 4
    assert place.run("unbound", "--primary", "nowhere")[0] == 2
    assert place.run("unbound", "--clients", "203.0.113.1/24")[0] == 2


def test_a_consumer_may_serve_some_groups_only(place: Place) -> None:
    """Then the others' clients are refused there, not served as if they were in no group."""
    place.write("    - {name: ns2, address: 10.0.0.54, type: unbound, zones: [any]}\n")
    said = place.run("unbound")[1]
    assert "access-control: 10.0.10.0/24 refuse" in said
    assert "servers.rpz" not in said


def test_the_log_is_where_dnswatch_reads_it(place: Place) -> None:
    """A source of this type names the query log."""
    place.write(head=GROUPS + "sources: [{type: bind, path: /srv/log/queries, timezone: UTC}]\n")
    said = place.run("bind")[1]
    assert 'file "/srv/log/queries" versions' in said
    assert "install -d -o bind -g bind -m 2750 /srv/log\n" in said


def test_powerdns_keeps_the_key_in_a_file_of_its_own(place: Place) -> None:
    """Settings and hooks may be read by anybody, the zones not; it has no checker, and says so."""
    place.write("    - {name: ns4, address: 10.0.0.56, type: powerdns, key: k3}\n")
    target = place.folder / "out"
    code, said, _ = place.run("powerdns", "--output", str(target))
    assert code == 0
    modes = {path.name: path.stat().st_mode & 0o777 for path in target.iterdir()}
    assert modes == {"dnswatch.conf": 0o644, "dnswatch-groups.lua": 0o644, "dnswatch-zones.lua": 0o600}
    zones = (target / "dnswatch-zones.lua").read_text()
    assert zones.count('rpzPrimary({"10.0.0.2:5300"}, ') == 4
    assert 'tsigname="k3"' in zones
    code, _, said = place.run("powerdns", "--check")
    assert code == 1
    assert "leave out --check" in said


def test_dnsmasq_needs_no_section_dns(place: Place) -> None:
    """It reads the file of feeds.directory on this host; what speaks of transfers or clients is refused."""
    (place.folder / "dnswatch.yaml").write_text("feeds: {directory: /srv/feeds, resolvers: [{name: own, address: "
                                                "127.0.0.1, port: 5353, type: dnsmasq}]}\n")  # fmt: skip
    code, said, _ = place.run("dnsmasq")
    assert code == 0
    assert "\nservers-file=/srv/feeds/dnsmasq.servers\nport=5353\n" in said
    assert "\nPathChanged=/srv/feeds\n" in said
    assert [line[8:] for line in said.splitlines() if line.startswith("# file: ")] == [
        "dnswatch.conf", "dnswatch-dnsmasq.path", "dnswatch-dnsmasq.service"
    ]  # fmt: skip
    code, _, said = place.run("dnsmasq", "--clients", "10.0.0.0/8")
    assert code == 2
    assert "cannot tell clients apart" in said


@pytest.mark.parametrize(("kind", "member"), [
    ("dnsdist", "{'servers.rpz.dnswatch.internal', {'10.0.10.0/24'}}"),
    ("knot", "{'10.0.10.0/24', 'servers.rpz.dnswatch.internal'}"),
])  # fmt: skip
def test_who_reads_zone_files_is_told_who_is_in_which_group(place: Place, kind: str, member: str) -> None:
    """Without a section dns; clients in no group may be named, where the zones come from not."""
    config = place.folder / "dnswatch.yaml"
    config.write_text(GROUPS + "feeds: {directory: /srv/feeds, mode: enforce}\n")
    code, said, _ = place.run(kind, "--clients", "203.0.113.0/24")
    assert code == 0
    assert "local directory = '/srv/feeds'\n" in said
    assert member in said
    assert "203.0.113.0/24" in said
    assert "192.168." not in said
    for options in (["--primary", "10.0.0.2"], ["--consumer", "ns1"], ["--plain"]):
        code, _, said = place.run(kind, *options)
        assert code == 2
        assert "reads files on this host" in said
