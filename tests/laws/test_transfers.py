"""The law of transfers: what an IXFR makes of the old zone is the new zone, for any two versions."""

from __future__ import annotations

import dns.message
from hypothesis import given, settings
from hypothesis import strategies as st

from dnswatch.core.feeds import wire
from dnswatch.core.feeds.request import Head, Request
from dnswatch.core.feeds.xfr import Served, answers, messages
from dnswatch.core.model import Rule, Snapshot, Zone

NAME = "any.rpz.test.invalid"
TRIGGERS = st.sampled_from([f"{star}n{i}.example" for i in range(12) for star in ("", "*.")])
RULES = st.one_of(
    st.builds(Rule, TRIGGERS, st.sampled_from(["nxdomain", "nodata", "passthru"])),
    st.builds(
        Rule, TRIGGERS, st.just("address"),
        st.lists(st.sampled_from(["192.0.2.1", "192.0.2.2", "2001:db8::1"]), min_size=1, unique=True).map(tuple),
    ),
)  # fmt: skip
VERSIONS = st.lists(RULES, max_size=25, unique_by=lambda rule: rule.trigger).map(lambda rules: tuple(sorted(rules)))


def version(rules: tuple[Rule, ...], serial: int) -> Snapshot:
    return Snapshot(Zone(NAME, "any", rules), serial, 0.0)


def transfer(served: Served, kind: int, serial: int | None = None) -> list[str]:
    """Give the records of a transfer as text, read by dnspython."""
    request = Request(Head(1, 0, (1, 0, 0, 0)), wire.question(NAME, kind), NAME, kind, 1, serial, None, 0, None)
    found: list[str] = []
    for message in messages(request, answers(request, served, stream=True)[1]):
        found += [rrset.to_text() for rrset in dns.message.from_wire(message, one_rr_per_rrset=True).answer]
    return found


def applied(zone: list[str], changes: list[str]) -> list[str]:
    """Apply an IXFR strictly, as PowerDNS does: what is removed must be there, what is added must not."""
    if " SOA " not in changes[1]:
        return changes
    content = set(zone[1:-1])
    last = changes[0]
    assert changes[1] == zone[0]
    middle = changes.index(last, 1)
    for record in changes[2:middle]:
        content.remove(record)
    for record in changes[middle + 1 : -1]:
        assert record not in content
        content.add(record)
    assert changes[-1] == last
    return [last, *content, last]


@settings(deadline=None, max_examples=150)
@given(st.lists(VERSIONS, min_size=2, max_size=4), st.sampled_from([1, 2**31 - 2, 2**32 - 2]))
def test_axfr_and_ixfr_lead_to_the_same_zone(contents: list[tuple[Rule, ...]], first: int) -> None:
    """axfr(b) == axfr(a) + ixfr(a → b), over any number of versions and across the end of the serial space."""
    versions = [version(rules, (first + i) % 2**32) for i, rules in enumerate(contents)]
    served = Served(versions[0])
    before = transfer(served, wire.AXFR)
    for one in versions[1:]:
        served = served.followed_by(one)
    after = transfer(served, wire.AXFR)
    assert len(after) == len(set(after)) + 1  # SOA twice, nothing else
    result = applied(before, transfer(served, wire.IXFR, versions[0].serial))
    assert (result[0], set(result), result[-1]) == (after[0], set(after), after[-1])
