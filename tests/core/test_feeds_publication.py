"""Serials, versions and differences; what is published when policy changes or stops."""

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from dnswatch.core.feeds.history import advance, diff, newer, next_serial
from dnswatch.core.feeds.publication import plan
from dnswatch.core.model import Group, Rule, Snapshot, Zone
from tests.core.feed_worlds import AT, ZONE, policy, service

SLACK = service("slack", ("hooks.slack.test", "exact"))
BIN = service("bin", ("bin.test", "domain"))
OLD = Snapshot(Zone("any.z.test", "any", (Rule("a.test", "nxdomain"), Rule("b.test", "passthru"))), 100, AT)


def test_serials_are_unix_time_or_one_more() -> None:
    """max(last + 1, now): readable, and still growing twice in a second or with the clock set back."""
    assert next_serial(None, AT) == int(AT)
    assert next_serial(int(AT) - 50, AT) == int(AT)
    assert next_serial(int(AT), AT) == int(AT) + 1
    assert next_serial(int(AT) + 9999, AT) == int(AT) + 10000


@given(st.integers(0, 2**32 - 1), st.floats(0, 2**33))
@settings(deadline=None)
def test_serials_only_grow(last: int, at: float) -> None:
    """By RFC 1982, also across the end of 32 bits: a resolver ignores a lower serial for ever."""
    following = next_serial(last, at)
    assert newer(following, last)
    assert 0 <= following < 2**32


def test_a_zone_that_did_not_change_keeps_its_version() -> None:
    """Same content, same serial, same bytes."""
    assert advance(OLD, OLD.zone, AT + 60) is OLD
    changed = advance(OLD, replace(OLD.zone, rules=()), AT + 60)
    assert (changed.serial, changed.at) == (int(AT) + 60, AT + 60)


def test_a_difference_lists_changed_actions_on_both_sides() -> None:
    """Promotion changes the action of every rule: removed with one, added with the other."""
    new = Snapshot(replace(OLD.zone, rules=(Rule("b.test", "nxdomain"), Rule("c.test", "nxdomain"))), 101, AT)
    delta = diff(OLD, new)
    assert delta.removed == (Rule("a.test", "nxdomain"), Rule("b.test", "passthru"))
    assert delta.added == (Rule("b.test", "nxdomain"), Rule("c.test", "nxdomain"))
    assert (delta.from_serial, delta.to_serial) == (100, 101)


def test_only_zones_that_changed_get_a_serial() -> None:
    """An expectation for one group is a new version of that group's zone, and of the list for everyone."""
    groups = [Group("build", ("10.0.20.0/24",)), Group("staff", ("10.1.0.0/16",))]
    first = plan(policy([SLACK, BIN], groups), None, AT, {})
    assert first.changed == first.snapshots
    latest = {one.zone.name: one for one in first.snapshots}
    second = plan(policy([SLACK, BIN], groups, [("group:build", "slack")]), None, AT + 5, latest)
    assert [one.zone.audience for one in second.changed] == ["build", "everyone"]
    assert [one.zone.name for one in second.changed] == [f"build.{ZONE}", f"everyone.{ZONE}"]
    assert plan(policy([SLACK, BIN], groups), None, AT + 9, latest).changed == ()


def test_zones_that_policy_no_longer_asks_for_are_emptied() -> None:
    """Mode off, or a group that is gone: a consumer that still has the zone must stop blocking by it."""
    first = plan(policy([SLACK], [Group("build", ("10.0.20.0/24",))]), None, AT, {})
    latest = {one.zone.name: one for one in first.snapshots}
    off = plan(policy([SLACK], mode="off"), None, AT + 5, latest)
    assert {one.zone.name for one in off.snapshots} == latest.keys() == off.retired
    assert all(not one.zone.rules for one in off.snapshots)
    again = plan(policy([SLACK], mode="off"), None, AT + 9, {one.zone.name: one for one in off.snapshots})
    assert again.changed == ()
    assert plan(policy([SLACK], mode="off"), None, AT, {}).snapshots == ()


def test_the_same_publication_is_the_same_bytes() -> None:
    """Files depend on snapshots alone: read back from the store they are rendered alike."""
    first = plan(policy([SLACK, BIN]), None, AT, {})
    again = plan(policy([SLACK, BIN]), None, AT + 500, {one.zone.name: one for one in first.snapshots})
    assert list(first.files()) == list(again.files())
