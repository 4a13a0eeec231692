"""Configuration files → Config: merging, defaults, values, warnings, and the policy that comes of it."""

import json
from pathlib import Path

import pytest
import yaml as pyyaml

from dnswatch.config.build import build_policy, load_policy
from dnswatch.config.catalogue import load_catalogue
from dnswatch.config.load import load, read
from dnswatch.config.model import Config, FileSink, StdoutSink, SyslogSink
from dnswatch.core.catalog import Catalog
from dnswatch.core.logs.parsers import PARSERS
from dnswatch.core.model import Client, Who
from dnswatch.errors import ConfigError

NOW = 1_795_375_535.0  # 2026-11-22T19:25:35Z
WHOLE = """
state_dir: /var/lib/dnswatch
sources:
  - {type: bind, path: /var/log/named/query.log, timezone: UTC}
  - {type: dnsmasq, path: /var/log/dnsmasq.log, from: 2026-11-01T00:00:00+02:00, sample: all, forwarders: [127.0.0.1]}
clients:
  groups:
    servers: {networks: [10.0.10.0/24, "fd00:10::/64"], role: server}
    build:   {networks: [10.0.20.0/24], role: ci}
    staff:   {networks: [10.1.0.0/16], role: workstation}
  leases: [/var/lib/misc/dnsmasq.leases, {path: /var/lib/kea/kea-leases4.csv, type: kea}]
expect:
  - {who: [group:build], services: [slack-webhook], because: deploy notifications, owner: platform, until: 2027-06-30}
  - {who: [10.0.10.7, "name:printer-3", "mac:10:20:30:40:50:59"], services: [telegram-bot], because: ops bot}
watch: {profile: core, include: [category:tunnel-visit], exclude: [httpbin]}
detect: {learning: {days: 3}, episode_gap: 36h, unknown_clients: {at_once: 50, per_minute: 30}}
sinks:
  - {type: syslog, address: "udp://siem.example", format: rfc5424, min_severity: low, enterprise_id: 4711}
  - {type: file, path: /var/log/dnswatch/alerts.jsonl, format: json}
  - {type: stdout}
feeds:
  zone: RPZ.example.
  mode: off
  action: {a: 192.0.2.1, aaaa: ["2001:db8::1"]}
  directory: feeds
  grace: 10m
  on_change: [{run: [rndc, reload, "{zone}"]}, {signal: SIGHUP, pidfile: /run/dnsmasq/dnsmasq.pid}]
http: {listen: "127.0.0.1:8053"}
"""


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return load_catalogue()


def write(folder: Path, text: str, **parts: str) -> Path:
    """Write a configuration; ``parts`` become conf.d/<name>.yaml."""
    main = folder / "dnswatch.yaml"
    main.write_text(text)
    for name, part in parts.items():
        (folder / "conf.d").mkdir(exist_ok=True)
        (folder / "conf.d" / f"{name}.yaml").write_text(part)
    return main


def test_every_key_of_the_contract(tmp_path: Path) -> None:
    """A configuration with all keys is read as it is meant."""
    config = load(write(tmp_path, WHOLE), NOW)
    first, second = config.sources
    assert (first.type, first.path, first.timezone, first.start, first.sample) == (
        "bind", "/var/log/named/query.log", "UTC", "end", "position")  # fmt: skip
    assert (second.start, second.sample, second.forwarders) == (1_793_484_000.0, "all", ["127.0.0.1"])
    assert config.clients.groups["servers"].networks == ["10.0.10.0/24", "fd00:10::/64"]
    assert [(lease.path, lease.type) for lease in config.clients.leases] == [
        ("/var/lib/misc/dnsmasq.leases", "auto"), ("/var/lib/kea/kea-leases4.csv", "kea")]  # fmt: skip
    assert config.expect[1].who == ["10.0.10.7", "name:printer-3", "mac:10:20:30:40:50:59"]
    assert (config.detect.learning.days, config.detect.episode_gap) == (3.0, 129_600.0)
    assert config.detect.unknown_clients.lane == (50, 0.5)
    syslog, file, stdout = config.sinks
    assert isinstance(syslog, SyslogSink)
    assert isinstance(file, FileSink)
    assert isinstance(stdout, StdoutSink)
    assert (syslog.address, syslog.id, syslog.enterprise_id) == (
        "udp://siem.example:514",
        "udp://siem.example:514",
        4711,
    )
    assert (file.id, stdout.id) == ("file:/var/log/dnswatch/alerts.jsonl", "stdout")
    assert (config.feeds.zone, config.feeds.mode, config.feeds.grace) == ("rpz.example", "off", 600.0)
    assert config.feeds_directory == tmp_path / "feeds"
    assert [hook.signal for hook in config.feeds.on_change] == [None, "HUP"]
    assert config.http.listen == "127.0.0.1:8053"


def test_an_end_date_covers_its_whole_day(tmp_path: Path) -> None:
    """``until: 2027-06-30`` holds through that day in UTC; a time is exact."""
    text = "expect:\n  - {who: 10.0.0.1, services: telegram-bot, because: x, until: %s}\n"
    day = load(write(tmp_path, text % "2027-06-30"), NOW).expect[0].until
    instant = load(write(tmp_path, text % "2027-06-30T12:00:00+02:00"), NOW).expect[0].until
    assert (day, instant) == (1_814_400_000.0, 1_814_349_600.0)  # 2027-07-01T00:00Z, 2027-06-30T10:00Z


def test_everything_has_a_default(tmp_path: Path) -> None:
    """An empty file is legal for all but `run`, which says what is missing."""
    config = load(write(tmp_path, ""), NOW)
    assert config.model_dump() == Config().model_dump()
    assert (config.feeds.mode, config.http.listen, config.sinks) == ("shadow", "127.0.0.1:8053", [])
    assert config.feeds_directory == Path("/var/lib/dnswatch/feeds")
    with pytest.raises(ConfigError, match=r"dnswatch.yaml: no sources: name a query log, e.g. sources: \[\{type: bind"):
        config.require_sources()


def test_sections_without_content_count_as_absent(tmp_path: Path) -> None:
    """A heading whose entries are commented out is no error."""
    config = load(write(tmp_path, "clients:\n  # groups:\nexpect:\nsinks:\n"), NOW)
    assert config.model_dump() == Config().model_dump()


def test_parts_are_merged_in_order(tmp_path: Path) -> None:
    """Lists concatenate, mappings merge, single values of later files win; hidden and other files are left alone."""
    main = write(
        tmp_path,
        "sinks: [{type: stdout}]\nfeeds: {mode: shadow, zone: a.example}\n"
        "expect: [{who: 10.0.0.1, services: x, because: a}]",
        **{
            "20-b": "feeds: {mode: enforce}\nexpect: [{who: 10.0.0.3, services: x, because: c}]",
            "10-a": "feeds: {mode: 'off', grace: 1d}\nexpect:\n  - {who: 10.0.0.2, services: x, because: b}",
            "30-empty": "# nothing\n",
            ".hidden": "feeds: {mode: nonsense}",
        },
    )
    (tmp_path / "conf.d" / "README").write_text("not: [yaml")
    config = load(main, NOW)
    assert (config.feeds.mode, config.feeds.zone, config.feeds.grace) == ("enforce", "a.example", 86400.0)
    assert [entry.because for entry in config.expect] == ["a", "b", "c"]
    assert [config.origin(("expect", i)) for i in range(3)] == [
        "dnswatch.yaml:3", "conf.d/10-a.yaml:3", "conf.d/20-b.yaml:2"]  # fmt: skip
    assert [file.name for file in config.files] == ["dnswatch.yaml", "10-a.yaml", "20-b.yaml", "30-empty.yaml"]


def test_problems_name_the_part_that_has_them(tmp_path: Path) -> None:
    """The file, its own line and its own path: the second file's first entry is ``expect[0]`` there."""
    bad = "expect:\n  - {who: 10.0.0.2, services: x, becos: y}"
    main = write(tmp_path, "expect: [{who: 10.0.0.1, services: x, because: a}]\nfeeds: {mode: shdow}", **{"10-a": bad})
    said = [str(problem).replace(f"{tmp_path}/", "") for problem in read(main, NOW).problems]
    assert said == [
        "dnswatch.yaml:2:15 feeds.mode: 'shdow' is not one of off, shadow, enforce (did you mean 'shadow'?)",
        "conf.d/10-a.yaml:2:5 expect[0]: required key 'because' is missing: say why these clients may, "
        "e.g. because: deploy notifications",
        "conf.d/10-a.yaml:2:34 expect[0].becos: unknown key (did you mean 'because'?)",
    ]


def test_a_prefix_in_two_files_names_both(tmp_path: Path) -> None:
    """The later file is told where the earlier one has it."""
    group = "clients: {groups: {%s: {networks: [10.0.0.0/24]}}}"
    main = write(tmp_path, group % "servers", **{"10-a": group % "build"})
    (problem,) = read(main, NOW).problems
    assert problem.file.endswith("conf.d/10-a.yaml")
    assert problem.message == "10.0.0.0/24 is already in group 'servers' (dnswatch.yaml:1): a prefix has one group"


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    """A missing configuration says how to get one."""
    with pytest.raises(ConfigError, match=r"missing.yaml: no such file: `dnswatch init` writes one"):
        load(tmp_path / "missing.yaml")


def test_json_is_accepted(tmp_path: Path) -> None:
    """The same configuration as JSON gives the same values."""
    (tmp_path / "yaml").mkdir()
    (tmp_path / "json").mkdir()
    plain = pyyaml.load(WHOLE.replace("feeds\n", "/feeds\n"), pyyaml.BaseLoader)
    for folder, text in (("yaml", WHOLE.replace("feeds\n", "/feeds\n")), ("json", json.dumps(plain, indent=1))):
        (tmp_path / folder / "dnswatch.yaml").write_text(text)
    numbers = (tmp_path / "json" / "dnswatch.yaml").read_text().replace('"4711"', "4711").replace('"3"', "3")
    (tmp_path / "json" / "dnswatch.yaml").write_text(numbers)
    first, second = (load(tmp_path / folder / "dnswatch.yaml", NOW) for folder in ("yaml", "json"))
    assert first.model_dump() == second.model_dump()


def test_warnings_are_not_problems(tmp_path: Path) -> None:
    """What is legal but probably not meant comes as a list of its own, with its place."""
    main = write(tmp_path, """
sources: [{type: dnsmasq, path: /var/log/dnsmasq.log}]
expect: [{who: 10.0.0.1, services: telegram-bot, because: ops bot, until: 2026-11-21}]
sinks: [{type: syslog, address: "udp://192.0.2.10"}]
http: {listen: "0.0.0.0:8053"}
""")  # fmt: skip
    said = [(problem.line, problem.path, problem.message) for problem in load(main, NOW).warnings]
    assert [(line, path) for line, path, _ in said] == [
        (2, "sources[0]"), (3, "expect[0].until"), (4, "sinks[0]"), (5, "http.listen")]  # fmt: skip
    assert "read as UTC; set timezone:" in said[0][2]
    assert said[1][2].startswith(
        "ended 2026-11-21: alerts are raised again; extend it or remove it (10.0.0.1: ops bot)"
    )
    assert "32473, reserved for examples" in said[2][2]
    assert "without authentication" in said[3][2]
    assert load(main, NOW - 2 * 86400).warnings[1].path != "expect[0].until"  # it still held then
    assert [p.message for p in load(write(tmp_path, ""), NOW).warnings] == [
        "no sinks: alerts stay in the store (`dnswatch alerts list`)"]  # fmt: skip


def test_secrets_stand_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A secret comes from a file or the environment, and no rendering of it shows it."""
    from dnswatch.config.model import DnsKey

    first, second = "c2VjcmV0LXNlY3JldC1zZWNyZXQ=", "aGlkZGVuLWhpZGRlbi1oaWRkZW4="
    (tmp_path / "k1").write_text(first + "\n")
    monkeypatch.setenv("DNSWATCH_K2", second)
    for reference, value in ((f"file:{tmp_path}/k1", first), ("env:DNSWATCH_K2", second)):
        key = DnsKey.model_validate({"secret": reference})
        assert key.secret.reveal() == value
        assert key.octets in (b"secret-secret-secret", b"hidden-hidden-hidden")
        for shown in (repr(key), str(key.secret), key.model_dump_json()):
            assert value not in shown
            assert reference in shown


def test_an_overlay_counts_before_it_is_written(tmp_path: Path) -> None:
    """A change can be tried without touching a file."""
    main = write(tmp_path, "feeds: {mode: shadow}")
    new = tmp_path / "conf.d" / "90-feeds-mode.yaml"
    tried = read(main, NOW, {new: "feeds: {mode: enforce}"})
    assert tried.config is not None
    assert tried.config.feeds.mode == "enforce"
    assert load(main, NOW).feeds.mode == "shadow"
    (problem,) = read(main, NOW, {new: "feeds: {mode: nforce}"}).problems
    assert problem.file == str(new)


def test_the_policy_is_what_was_written(tmp_path: Path, catalog: Catalog) -> None:
    """Groups, expectations with origin and end, watched services, detection and feeds reach the core."""
    policy = build_policy(load(write(tmp_path, WHOLE), NOW), catalog)
    group = policy.groups.of("10.0.20.9")
    assert group is not None
    assert (group.name, group.role) == ("build", "ci")
    first, second = policy.expectations.all
    assert (first.services, first.until, first.origin) == ({"slack-webhook"}, 1_814_400_000.0, "dnswatch.yaml:13")
    assert second.who == (Who("address", "10.0.10.7"), Who("name", "printer-3"), Who("mac", "10:20:30:40:50:59"))
    assert catalog.resolve("category:tunnel-visit") <= policy.catalog.enabled
    assert "httpbin" not in policy.catalog.enabled
    assert (policy.detection.learning_s, policy.detection.episode_gap_s) == (3 * 86400.0, 129_600.0)
    assert policy.detection.forwarders == {"/var/log/dnsmasq.log": frozenset({"127.0.0.1"})}
    assert (policy.feeds.action, policy.feeds.addresses) == ("address", ("192.0.2.1", "2001:db8::1"))
    expected, because = policy.expectations.judge(Client("10.0.20.9", "build"), "slack-webhook", NOW)
    assert expected
    assert str(because[0]) == (
        "group build may use slack-webhook: deploy notifications (owner platform, until 2027-06-30; dnswatch.yaml:13)"
    )


def test_a_category_stands_for_its_services(tmp_path: Path, catalog: Catalog) -> None:
    """``category:chat-webhook`` lets a client use every service of it."""
    text = "expect: [{who: 10.0.0.1, services: 'category:chat-webhook', because: x}]"
    (only,) = build_policy(load(write(tmp_path, text), NOW), catalog).expectations.all
    assert only.services == catalog.resolve("category:chat-webhook")
    assert len(only.services) > 5


def test_configuration_and_references_fail_together(tmp_path: Path, catalog: Catalog) -> None:
    """Unknown services are reported with the unknown keys, in the order of the file."""
    main = write(tmp_path, "expect: [{who: 10.0.0.1, services: [nosuch-xyz], because: x}]\nfeeds: {mod: off}\n")
    with pytest.raises(ConfigError) as caught:
        load_policy(main, NOW)
    assert [(problem.line, problem.path) for problem in caught.value.problems] == [
        (1, "expect[0].services[0]"), (2, "feeds.mod")]  # fmt: skip
    loose = Config.model_validate({"expect": [{"who": "10.0.0.1", "services": ["nosuch-xyz"], "because": "x"}]})
    with pytest.raises(ConfigError, match=r"^configuration expect\[0\]\.services\[0\]: unknown service 'nosuch-xyz'"):
        build_policy(loose, catalog)


@pytest.mark.parametrize(
    ("text", "name", "door"),
    [
        ('path: "-"', "stdin", None),
        ("journald: named", "journald:named.service", None),
        ("journald: {identifier: dnsmasq, namespace: dns}", "journald:identifier=dnsmasq,namespace=dns", None),
        ('listen: "udp://127.0.0.1"', "udp://127.0.0.1:514", "udp://127.0.0.1:514"),
        ('listen: "tcp://[::]:5514", senders: 2001:DB8::/32', "tcp://[::]:5514", "tcp://[::]:5514"),
        ('listen: "unix:///run/dnswatch/log"', "unix:///run/dnswatch/log", "unix:///run/dnswatch/log"),
    ],
)
def test_each_way_in_has_a_name(text: str, name: str, door: str | None, tmp_path: Path) -> None:
    """A source is a file, standard input, a part of the journal or a socket; what is shown reads the same."""
    config = load(write(tmp_path, f"sources: [{{type: bind, {text}}}]"), NOW)
    (source,) = config.sources
    assert (source.id, source.listen) == (name, door)
    shown = Config.model_validate(json.loads(config.model_dump_json(by_alias=True)))
    assert shown.sources == config.sources


def test_every_registered_format_is_a_type(tmp_path: Path) -> None:
    """A format that is added needs no further line, and the schema offers it to editors."""
    for kind in [*PARSERS, "dnstap"]:
        assert load(write(tmp_path, f"sources: [{{type: {kind}, path: x.log}}]"), NOW).sources[0].type == kind
    assert set(Config.model_json_schema()["$defs"]["Source"]["properties"]["type"]["enum"]) == {*PARSERS, "dnstap"}
