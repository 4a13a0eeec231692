"""Every registered format: golden files for the shapes that matter, and laws that hold for all of them.

`make golden` rewrites the golden files; review the difference. Read next: ``core/feeds/formats/__init__.py``.
"""

import io
import os
import re
from ipaddress import ip_address
from pathlib import Path

import dns.zone
import pytest

from dnswatch.core.feeds.formats import FORMATS, OVERVIEWS, Format
from dnswatch.core.feeds.history import advance
from dnswatch.core.feeds.zones import EVERYONE, compile_everyone, compile_zones
from dnswatch.core.model import Rule, Snapshot, Zone
from dnswatch.core.policy import Policy
from tests.core.feed_worlds import AT, MANY, WORLDS, ZONE, policy

LINES = {  # of 2000 exact names, 2000 subdomains, 2000 of both
    "adblock": 4000,
    "dnsmasq": 6000,  # says `d` and `*.d` in one line
    "domains": 4000,
    "hosts": 4000 * 2,
    "rpz": 8000,
    "unbound": 2000 * 3 + 2000,
}
GOLDEN = Path(__file__).parents[1] / "golden" / "feeds"


def snapshots(world: Policy) -> list[Snapshot]:
    zones = (*compile_zones(world, None, AT), compile_everyone(world, AT))
    return [advance(None, zone, AT) for zone in zones]


def written(form: Format, world: Policy) -> dict[str, bytes]:
    return {form.file_name(one): form.render(one) for one in snapshots(world) if form.accepts(one)}


@pytest.mark.parametrize("world", sorted(WORLDS))
@pytest.mark.parametrize("name", sorted([*FORMATS, *OVERVIEWS]))
def test_golden(name: str, world: str) -> None:
    """The bytes of a published file change only on purpose."""
    if name in FORMATS:
        files = written(FORMATS[name], WORLDS[world])
    else:
        content = OVERVIEWS[name].render(WORLDS[world], snapshots(WORLDS[world]), AT)
        files = {OVERVIEWS[name].file_name: content}
    found = b"".join(b"==> %s <==\n%s" % (file.encode(), content) for file, content in files.items())
    golden = GOLDEN / f"{name}-{world}.txt"
    if os.environ.get("DNSWATCH_GOLDEN") == "write":
        golden.parent.mkdir(parents=True, exist_ok=True)
        golden.write_bytes(found)
    assert found == golden.read_bytes()


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_ten_thousand_rules_are_written_once_each(name: str) -> None:
    """Each blocked name is in the file, on a line of its own, in order."""
    world = policy(MANY)
    zone = next(one for one in snapshots(world) if FORMATS[name].accepts(one) and one.zone.rules)
    text = FORMATS[name].render(zone).decode("ascii")
    lines = [line for line in text.splitlines() if ".many.test" in line]
    assert len(lines) == len(set(lines)) == LINES[name]
    names = [re.sub(r".*?((?:\*\.)?s\d+\.many).*", r"\1", line) for line in lines]
    assert names == sorted(names)


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_bytes_depend_on_the_snapshot_alone(name: str) -> None:
    """Rendered twice, or from a copy, a version is the same bytes; text is ASCII and ends with a newline."""
    for one in filter(FORMATS[name].accepts, snapshots(WORLDS["wildcard"])):
        copy = Snapshot(Zone(one.zone.name, one.zone.audience, tuple(one.zone.rules)), one.serial, one.at)
        content = FORMATS[name].render(one)
        assert content == FORMATS[name].render(copy)
        assert content.isascii()
        assert content.endswith(b"\n")
        assert b"\r" not in content


def test_every_zone_goes_to_some_format() -> None:
    """Audiences go to RPZ; the list for everyone goes to outputs that cannot tell clients apart."""
    for one in snapshots(WORLDS["one"]):
        takers = {name for name, form in FORMATS.items() if form.accepts(one)}
        assert takers == ({*FORMATS} - {"rpz"} if one.zone.audience == EVERYONE else {"rpz"})


@pytest.mark.parametrize("world", sorted(WORLDS))
def test_rpz_files_read_back_as_the_rules_they_were_made_of(world: str) -> None:
    """An independent parser finds SOA, an out-of-zone NS, and each rule with one TTL; nothing else but canaries."""
    for one in filter(FORMATS["rpz"].accepts, snapshots(WORLDS[world])):
        text = FORMATS["rpz"].render(one).decode()
        zone = dns.zone.from_text(io.StringIO(text), origin=one.zone.name + ".", relativize=True)
        soa = zone.get_soa()
        assert (soa.serial, soa.refresh, soa.retry, soa.expire, soa.minimum) == (one.serial, 60, 30, 2592000, 60)
        assert zone.get_rdataset("@", "NS").to_text() == "60 IN NS localhost."
        found = set()
        for owner, ttl, data in zone.iterate_rdatas():
            assert ttl == 60
            if owner.to_text() != "@":
                found.add((owner.to_text(), data.rdtype.name, data.to_text()))
        assert found == set(_expected(one))


def _expected(one: Snapshot) -> list[tuple[str, str, str]]:
    targets = {"nxdomain": ".", "nodata": "*.", "passthru": "rpz-passthru."}
    canary = f"{one.zone.audience}.canary.dnswatch.invalid"
    records = [(canary, "A", "127.0.0.2"), (f"{one.serial}.{canary}", "A", "127.0.0.2")]
    records.append((canary, "AAAA", str(ip_address(int(ip_address("100::")) + one.serial))))
    for rule in one.zone.rules:
        records += [(rule.trigger, "AAAA" if ":" in a else "A", a) for a in rule.addresses]
        if rule.action != "address":
            records.append((rule.trigger, "CNAME", targets[rule.action]))
    return records


def dnsmasq_lines(*rules: Rule) -> list[str]:
    ordered = tuple(sorted(rules))
    text = FORMATS["dnsmasq"].render(Snapshot(Zone(f"everyone.{ZONE}", EVERYONE, ordered), 1, AT)).decode()
    lines = [line for line in text.splitlines() if line.startswith("server=") or "left out" in line]
    assert lines[:2] == [f"server=/{one}.everyone.canary.dnswatch.invalid/" for one in ("1", "every")]
    return lines[2:]


def test_dnsmasq_blocks_below_a_name_with_the_name() -> None:
    """`server=/d/` is d and everything below; `server=/*.d/` only what is below."""
    assert dnsmasq_lines(Rule("a.test", "nxdomain")) == ["server=/a.test/"]
    assert dnsmasq_lines(Rule("*.a.test", "nxdomain")) == ["server=/*.a.test/"]
    assert dnsmasq_lines(Rule("*.a.test", "nxdomain"), Rule("a.test", "nxdomain")) == ["server=/a.test/"]


def test_dnsmasq_leaves_out_what_would_take_a_passing_name_along() -> None:
    """dnsmasq cannot say "exactly d": a name with a passing one below it is left out, with a comment."""
    exact, wild = Rule("a.test", "nxdomain"), Rule("*.a.test", "nxdomain")
    said = "# left out: a.test (dnsmasq would block ok.a.test with it)"
    assert dnsmasq_lines(exact, Rule("ok.a.test", "passthru")) == [said]
    assert dnsmasq_lines(exact, Rule("*.a.test", "passthru")) == [said.replace("ok.a", "*.a")]
    assert dnsmasq_lines(wild, Rule("a.test", "passthru")) == ["server=/*.a.test/"]
    assert dnsmasq_lines(wild, Rule("ok.a.test", "passthru")) == [said.replace(": a.", ": *.a.")]
    assert dnsmasq_lines(exact, Rule("*.test", "passthru")) == [said.replace("ok.a", "*")]
    assert dnsmasq_lines(exact, wild, Rule("*.test", "passthru")) == ["server=/a.test/"]
