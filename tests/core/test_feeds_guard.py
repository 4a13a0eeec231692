"""The guard proves a zone harmless or refuses it: rows of rpz.md §5.1 and §5.3 at rule level."""

from dataclasses import replace

import pytest

from dnswatch.core.catalog import NeverBlock
from dnswatch.core.feeds.guard import faults, inspect
from dnswatch.core.feeds.triggers import client_trigger
from dnswatch.core.feeds.zones import compile_everyone, compile_zones
from dnswatch.core.model import Group, Rule, Zone
from dnswatch.errors import FeedRefused
from tests.core.feed_worlds import AT, ZONE, policy, service

SERVICES = [
    service("slack", ("hooks.slack.test", "exact")),
    service("tunnel", ("tunnel.test", "subdomains")),
    service("inner", ("ok.tunnel.test", "exact")),
    service("chat", ("chat.test", "exact"), safe=False),
]
WORLD = policy(
    SERVICES,
    [Group("build", ("10.0.20.0/24",))],
    [("group:build", "slack"), ("group:build", "inner"), ("10.9.0.7", "tunnel")],
    [NeverBlock("time.test", "domain", "clocks of the house")],
)


def said(*rules: Rule, audience: str = "build") -> str:
    return "\n".join(map(str, faults(Zone(f"{audience}.{ZONE}", audience, tuple(rules)), WORLD, AT)))


def test_what_policy_compiles_passes() -> None:
    """Zones of our own making have no fault, exceptions below wildcards included."""
    for zone in (*compile_zones(WORLD, None, AT), compile_everyone(WORLD, AT)):
        inspect(zone, WORLD, AT)


@pytest.mark.parametrize(
    ("rule", "fault"),
    [
        (Rule("Hooks.slack.test", "nxdomain"), "label 'Hooks'"),  # differs by case: PowerDNS loses the policy
        (Rule("hooks.slack.test.", "nxdomain"), "label ''"),  # trailing dot: out of zone, ignored
        (Rule("a.*.slack.test", "nxdomain"), "label '*'"),
        (Rule("*", "nxdomain"), "label '*'"),
        (Rule("*.test", "nxdomain"), "single label"),
        (Rule("a\n.slack.test", "nxdomain"), "label 'a\\n'"),
        (Rule("32.7.0.9.10.rpz-ip", "nxdomain"), "label 'rpz-ip'"),
        (Rule("32.7.0.9.10.rpz-client-ip", "passthru"), "no place in a zone of audience 'build'"),
        (Rule("x.slack.test", "address"), "has none"),
        (Rule("x.slack.test", "nxdomain", ("192.0.2.1",)), "does not answer with them"),
        (Rule("x.slack.test", "address", ("192.0.2.1", "192.0.2.1")), "not distinct"),
        (Rule("x.slack.test", "address", ("192.0.2.01",)), "not distinct addresses"),
        (Rule("build.rpz.test.invalid", "nxdomain"), "feed itself"),
    ],
)
def test_records_that_cost_a_zone_are_refused(rule: Rule, fault: str) -> None:
    """One bad record loses the whole zone in BIND or PowerDNS, half of it in Unbound."""
    assert fault in said(rule)


def test_two_rules_at_one_owner_are_refused() -> None:
    """A duplicate, or two actions at one name, loses the zone in PowerDNS."""
    assert "same trigger" in said(Rule("x.slack.test", "nodata"), Rule("x.slack.test", "nxdomain"))


def test_client_rules_only_let_pass() -> None:
    """The exempt zone never blocks a client, and holds nothing but clients."""
    assert "no place" in said(Rule("32.7.0.9.10.rpz-client-ip", "nxdomain"), audience="exempt")
    assert "no place" in said(Rule("hooks.slack.test", "passthru"), audience="exempt")
    assert said(Rule("32.7.0.9.10.rpz-client-ip", "passthru"), audience="exempt") == ""


def test_names_that_the_audience_is_expected_to_use_are_not_blocked() -> None:
    """Directly, by a wildcard above, or by an empty node that only some resolvers read as blocked."""
    assert "slack is expected for build" in said(Rule("hooks.slack.test", "nxdomain"))
    assert "slack is expected for build" in said(Rule("*.slack.test", "nxdomain"))
    assert "inner is expected for build" in said(Rule("*.tunnel.test", "nxdomain"))
    assert said(Rule("*.tunnel.test", "nxdomain"), Rule("ok.tunnel.test", "passthru")) == ""
    assert said(Rule("hooks.slack.test", "nxdomain"), audience="any") == ""


def test_single_expectations_count_where_clients_cannot_be_told_apart() -> None:
    """dnsmasq's list must not hold what one printer may use."""
    assert "tunnel is expected for everyone" in said(Rule("*.tunnel.test", "nxdomain"), audience="everyone")


def test_who_may_never_be_cut_off_and_too_many_are_refused() -> None:
    """Resolvers and this host, a whole site, more than feeds.quarantine.most: whoever put them there."""
    feeds = replace(WORLD.feeds, never_quarantine=("127.0.0.1/32", "192.0.2.53/32"), most_quarantined=1)
    world = replace(WORLD, feeds=feeds)

    def refused(*networks: str) -> str:
        rules = tuple(Rule(trigger, "nxdomain") for trigger in sorted(map(client_trigger, networks)))
        return "\n".join(map(str, faults(Zone(f"quarantine.{ZONE}", "quarantine", rules), world, AT)))

    assert refused("10.0.0.7/32") == ""
    assert "never cut off" in refused("192.0.2.53/32")
    assert "never cut off" in refused("127.0.0.1/32")
    assert "a site, not a client" in refused("10.0.0.0/23")
    assert "a site, not a client" in refused("2001:db8::/47")
    assert "2 networks are cut off, and feeds.quarantine.most is 1" in refused("10.0.0.7/32", "10.0.0.8/32")


def test_collateral_names_are_not_blocked() -> None:
    """They need the operator's explicit word: feeds.collateral."""
    assert "not safe to block" in said(Rule("chat.test", "nxdomain"))


def test_protected_names_and_wide_rules_are_refused() -> None:
    """The never-block list, and anything above a registrable domain of the catalogue."""
    assert "clocks of the house" in said(Rule("ntp.time.test", "nxdomain"))
    assert "reaches further" in said(Rule("elsewhere.test", "nxdomain"))


def test_a_refusal_names_the_faults() -> None:
    """The operator reads which rule and why; many faults are cut to a readable number."""
    rules = tuple(Rule(f"x{i:02}.elsewhere.test", "nxdomain") for i in range(15))
    with pytest.raises(FeedRefused, match=r"(?s)any\.rpz\.test\.invalid is not published.*x00\.elsewhere.*5 more"):
        inspect(Zone(f"any.{ZONE}", "any", rules), WORLD, AT)
