"""Publications are left out where they would change nothing, and never where they would, however time passes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from dnswatch.core.clients.expectations import Expectations
from dnswatch.core.clients.identity import Identity
from dnswatch.core.clients.who import parse_who
from dnswatch.core.feeds.clients import CUT_OFF
from dnswatch.core.feeds.inputs import inputs
from dnswatch.core.feeds.publication import plan
from dnswatch.core.feeds.verdicts import TENANT
from dnswatch.core.model import Decision, Expectation, Group, Lease, Name, Snapshot
from dnswatch.core.policy import Automatic, Entry, FeedPolicy, Isolation, Policy, Tenants
from tests.core.feed_worlds import AT, ZONE, policy, service

SERVICES = [service("slack", ("hooks.slack.test", "exact")), service("bin", ("bin.test", "domain")),
            replace(service("many", ("many.test", "subdomains"), safe=False), multi_tenant=True)]  # fmt: skip
WHO = ["group:build", "10.9.0.7", "name:printer", "mac:10:20:30:40:50:59"]
TIMES = st.sampled_from([None, *(AT + 60 * minute for minute in range(8))])


@st.composite
def policies(draw: st.DrawFn) -> Policy:
    """A policy in which nearly everything ends within minutes, and grace after it."""
    expect = draw(
        st.lists(st.tuples(st.sampled_from(WHO), st.sampled_from(["slack", "bin", "many"]), TIMES), max_size=3)
    )
    names = st.sampled_from(["hooks.slack.test", "evil.test", "x.bin.test"])
    entries = st.builds(Entry, names, st.just("domain"), st.just("test"), until=TIMES)
    feeds = FeedPolicy(
        zone=ZONE, mode=draw(st.sampled_from(["enforce", "shadow"])), grace_s=draw(st.sampled_from([0.0, 90.0])),
        block=tuple(draw(st.lists(entries, max_size=2))), allow=tuple(draw(st.lists(entries, max_size=2))),
        quarantine=tuple(draw(st.lists(st.builds(
            Isolation, st.sampled_from(WHO[1:]).map(parse_who), st.just("test"), until=TIMES), max_size=2))),
        automatic=Automatic(), tenants=Tenants(),
    )  # fmt: skip
    made = policy(SERVICES, [Group("build", ("10.0.20.0/24",))], feeds=feeds)
    known = (Expectation((parse_who(who),), frozenset({name}), "test", until=until) for who, name, until in expect)
    return replace(made, expectations=Expectations(known))


DECISIONS = st.lists(st.one_of(
    st.builds(Decision, st.sampled_from(["10.0.20.5", "10.1.2.3"]), st.just(CUT_OFF), st.just(""), st.just("t"), TIMES),
    st.builds(Decision, st.sampled_from(["a.many.test", "b.many.test"]), st.just(TENANT), st.sampled_from(["", "any"]),
              st.just("t"), TIMES),
), max_size=2)  # fmt: skip
LEASES = st.lists(st.builds(
    lambda at, address, name, mac, length: Lease(AT + at, address, name, mac, AT + at + length),
    st.integers(-60, 300), st.sampled_from(["10.9.0.7", "10.1.0.8"]), st.sampled_from(["printer", "laptop"]),
    st.sampled_from(["10:20:30:40:50:59", ""]), st.integers(10, 400),
), max_size=2)  # fmt: skip
STEPS = st.lists(st.tuples(st.integers(1, 130), st.none() | DECISIONS, LEASES), min_size=2, max_size=6)


@settings(deadline=None, max_examples=150)
@given(policies(), STEPS)
def test_what_is_left_out_would_have_changed_nothing(
    made: Policy, steps: list[tuple[int, list[Decision] | None, list[Lease]]]
) -> None:
    """Equal inputs, and publishing gives no new serial and every file as it was."""
    identity, now = Identity(), AT
    latest: Mapping[Name, Snapshot] = {}
    files: dict[str, bytes] = {}
    known = None
    for seconds, decisions, leases in steps:
        now += seconds
        if decisions is not None:
            made = replace(made, feeds=replace(made.feeds, decisions=tuple(decisions)))
        for lease in leases:
            identity.learn(lease)
        depends = inputs(made, identity, now)
        done = plan(made, identity, now, latest, forced=True)
        if depends == known:
            assert not done.changed
            assert dict(done.files()) == files
        known, files = depends, dict(done.files())
        latest = {one.zone.name: one for one in done.snapshots}


def test_a_lease_that_begins_and_ends_is_an_input() -> None:
    """Who is expected by name holds an address for a while: exempt from then on, and no longer."""
    made = policy(SERVICES, expect=[("name:printer", "slack")])
    identity = Identity()
    before = inputs(made, identity, AT)
    identity.learn(Lease(AT + 10, "10.9.0.7", "printer", "", AT + 60))
    held = inputs(made, identity, AT + 20)
    assert inputs(made, identity, AT + 5) == before
    assert held != before
    assert inputs(made, identity, AT + 59) == held
    assert inputs(made, identity, AT + 60) == before
