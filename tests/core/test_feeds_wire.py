"""Records and messages: dnspython reads from the wire exactly what the model says, at every size."""

from __future__ import annotations

from collections.abc import Iterator

import dns.message
import dns.rdatatype
import dns.zone
import pytest

from dnswatch.core.feeds import wire
from dnswatch.core.feeds.formats import FORMATS
from dnswatch.core.feeds.pages import Page, Pages, records, single
from dnswatch.core.feeds.publication import plan
from dnswatch.core.feeds.request import Head, Request
from dnswatch.core.feeds.triggers import canaries
from dnswatch.core.feeds.xfr import Served, chunks, messages
from dnswatch.core.model import Rule, Snapshot, Zone
from tests.core.feed_worlds import AT, WORLDS

NAME = "any.rpz.test.invalid"


def snapshot(count: int, serial: int = 7) -> Snapshot:
    """Make a version with this many rules."""
    actions = ("nxdomain", "nodata", "passthru")
    rules = sorted(Rule(f"host{i:05}.bad{i % 97:03}.example", actions[i % 3]) for i in range(count))
    return Snapshot(Zone(NAME, "any", tuple(rules)), serial, AT)


def transfer(one: Snapshot) -> list[bytes]:
    """Encode a version as messages of an AXFR."""
    asked = wire.question(one.zone.name, wire.AXFR)
    request = Request(Head(1, 0, (1, 0, 0, 0)), asked, one.zone.name, wire.AXFR, wire.IN, None, None, 0, None)
    return list(messages(request, [single(wire.soa(one.serial)), *Served(one).pages]))


def lines(messages: list[bytes]) -> set[str]:
    """Decode messages with dnspython, one line a record."""
    found: list[str] = []
    for message in messages:
        for rrset in dns.message.from_wire(message, one_rr_per_rrset=True).answer:
            found.extend(rrset.to_text().splitlines())
    assert len(found) == len(set(found))
    return set(found)


def file_lines(one: Snapshot) -> set[str]:
    """Read the zone file of the same version."""
    zone = dns.zone.from_text(FORMATS["rpz"].render(one).decode(), relativize=False)
    return {f"{name} {ttl} IN {dns.rdatatype.to_text(data.rdtype)} {data}" for name, ttl, data in zone.iterate_rdatas()}


@pytest.mark.parametrize("count", [0, 1, 300, 20_000])
def test_messages_hold_exactly_the_rules(count: int) -> None:
    """Every owner comes back as itself, far beyond 16 KiB too, where compression by dnslib corrupts names."""
    one = snapshot(count)
    targets = {"nxdomain": ".", "nodata": "*.", "passthru": "rpz-passthru."}
    wanted = {f"{rule.trigger}.{NAME}. 60 IN CNAME {targets[rule.action]}" for rule in one.zone.rules}
    messages = transfer(one)
    assert max(map(len, messages)) <= 16 * 1024
    decoded = lines(messages)
    assert {line for line in decoded if " CNAME " in line} == wanted
    assert len(decoded) == count + 5  # SOA, NS and three records of two canaries
    assert list(records(Served(one).pages)) == [
        wire.ns(), *(record for rule in (*one.zone.rules, *canaries("any", 7)) for record in wire.encode(rule))
    ]  # fmt: skip


@pytest.mark.parametrize("world", sorted(WORLDS))
def test_transfer_and_file_say_the_same(world: str) -> None:
    """Whoever takes a zone as a file and whoever transfers it blocks by the same records."""
    for one in plan(WORLDS[world], None, AT, {}).snapshots:
        if FORMATS["rpz"].accepts(one):
            assert lines(transfer(one)) == file_lines(one)


def test_zones_and_versions_share_their_pages() -> None:
    """What is equal is there once, whatever the zone: few groups differ in more than some names."""
    one, pages = snapshot(5000), Pages()
    rules = one.zone.rules
    other = Snapshot(Zone("build.rpz.test.invalid", "build", (*rules[:2500], *rules[2501:])), 9, AT)
    first, second = set(pages.of(one)), set(pages.of(other))
    assert len(first - second) <= 5  # name server, canaries, what the name was in, and what begins elsewhere by it
    equal = Snapshot(Zone("build.rpz.test.invalid", "build", tuple(Rule(r.trigger, r.action) for r in rules)), 9, AT)
    assert len(first - set(pages.of(equal))) == 2


def test_chunks_are_lazy() -> None:
    """The first message of a large zone needs the first pages only."""
    taken: list[int] = []

    def parts() -> Iterator[Page]:
        for i in range(1000):
            taken.append(i)
            yield single(b"x" * 1024)

    next(chunks(parts()))
    assert len(taken) == 16
