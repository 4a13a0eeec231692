"""Policy becomes zones: audiences, modes, grace, exemptions, what is left out."""

from collections.abc import Sequence

import pytest

from dnswatch.core.catalog import NeverBlock
from dnswatch.core.clients.expectations import until_text
from dnswatch.core.clients.identity import Identity
from dnswatch.core.feeds.zones import compile_everyone, compile_zones, left_out
from dnswatch.core.model import Group, Lease, Rule, Zone
from dnswatch.core.policy import FeedPolicy, Policy
from dnswatch.errors import FeedRefused
from tests.core.feed_worlds import AT, ZONE, policy, service

SLACK = service("slack", ("hooks.slack.test", "exact"))
TUNNEL = service("tunnel", ("tunnel.test", "subdomains"))
BIN = service("bin", ("bin.test", "domain"))
CHAT = service("chat", ("chat.test", "exact"), safe=False)
SERVICES = [SLACK, TUNNEL, BIN, CHAT]
GROUPS = [Group("build", ("10.0.20.0/24",), "ci"), Group("staff", ("10.1.0.0/16",), "workstation")]


def triggers(zone: Zone) -> list[str]:
    return [rule.trigger for rule in zone.rules]


def zones(world: Policy, identity: Identity | None = None, at: float = AT) -> dict[str, Zone]:
    return {zone.audience: zone for zone in compile_zones(world, identity, at)}


def exempt(expect: Sequence[tuple[str, str]], identity: Identity | None = None) -> list[str]:
    return triggers(zones(policy(SERVICES, GROUPS, expect), identity)["exempt"])


def test_there_is_a_zone_for_each_group_any_and_exempt_even_when_equal() -> None:
    """Consumers bind networks to zones once; policy must never change which zones there are."""
    found = compile_zones(policy(SERVICES, GROUPS), None, AT)
    assert [zone.name for zone in found] == [f"{a}.{ZONE}" for a in ("quarantine", "build", "staff", "any", "exempt")]
    assert found[1].rules == found[2].rules == found[3].rules


def test_a_group_zone_blocks_what_the_group_is_not_expected_to_use() -> None:
    """Expected services drop out of that group's zone only; collateral ones are in none."""
    found = zones(policy(SERVICES, GROUPS, [("group:build", "slack"), ("group:staff", "tunnel")]))
    assert triggers(found["build"]) == ["*.bin.test", "*.tunnel.test", "bin.test"]
    assert triggers(found["staff"]) == ["*.bin.test", "bin.test", "hooks.slack.test"]
    assert triggers(found["any"]) == ["*.bin.test", "*.tunnel.test", "bin.test", "hooks.slack.test"]


@pytest.mark.parametrize(
    ("feeds", "rule"),
    [
        (FeedPolicy(zone=ZONE, mode="enforce"), Rule("hooks.slack.test", "nxdomain")),
        (FeedPolicy(zone=ZONE, mode="enforce", action="nodata"), Rule("hooks.slack.test", "nodata")),
        (FeedPolicy(zone=ZONE, mode="shadow"), Rule("hooks.slack.test", "passthru")),
        (
            FeedPolicy(zone=ZONE, mode="enforce", action="address", addresses=("192.0.2.9", "2001:db8::9")),
            Rule("hooks.slack.test", "address", ("192.0.2.9", "2001:db8::9")),
        ),
    ],
)
def test_mode_and_action_are_content(feeds: FeedPolicy, rule: Rule) -> None:
    """Shadow has the same triggers as enforce, with passthru."""
    assert compile_zones(policy([SLACK], feeds=feeds), None, AT)[1].rules == (rule,)


def test_mode_off_publishes_nothing() -> None:
    """No zone at all, not even an empty one."""
    assert compile_zones(policy(SERVICES, GROUPS, mode="off"), None, AT) == ()


def test_the_feed_allows_for_grace_after_an_expectation_ended() -> None:
    """Alerts start at once; the block follows `feeds.grace` (7 d) later."""
    world = policy([SLACK], GROUPS, [("group:build", "slack", AT)])
    assert triggers(zones(world, at=AT + 6 * 86400)["build"]) == []
    assert triggers(zones(world, at=AT + 7 * 86400)["build"]) == ["hooks.slack.test"]


def test_single_clients_pass_by_address() -> None:
    """Addresses and networks that are no group go to the exempt zone, as client triggers with passthru."""
    found = exempt([("10.1.0.7", "slack"), ("10.9.0.0/24", "bin"), ("2001:db8::7", "slack")])
    assert found == ["128.7.zz.db8.2001.rpz-client-ip", "24.0.0.9.10.rpz-client-ip", "32.7.0.1.10.rpz-client-ip"]


def test_names_and_macs_follow_their_leases() -> None:
    """`name:` and `mac:` expectations are exempt at the addresses they hold now, and nowhere without a lease."""
    expect = [("name:printer-3", "slack"), ("mac:10:20:30:40:50:59", "bin")]
    assert exempt(expect) == []
    identity = Identity()
    identity.learn(Lease(AT - 60, "10.1.0.33", "printer-3", "aa:bb:cc:dd:ee:ff", None))
    identity.learn(Lease(AT - 60, "10.1.0.59", "", "10:20:30:40:50:59", None))
    assert exempt(expect, identity) == ["32.33.0.1.10.rpz-client-ip", "32.59.0.1.10.rpz-client-ip"]


def test_nobody_is_exempt_who_gains_nothing() -> None:
    """An exemption frees a client from every later zone: not for a service that is not blocked for it anyway."""
    assert exempt([("10.1.0.7", "chat")]) == []
    assert exempt([("10.0.20.7", "slack"), ("group:build", "slack")]) == []


def test_an_exemption_of_everybody_is_refused() -> None:
    """Prefix 0 loads in BIND without an error and then does nothing (rpz.md §5.1)."""
    with pytest.raises(FeedRefused, match=r"0\.0\.0\.0/0.*make it a group"):
        exempt([("0.0.0.0/0", "slack")])


def test_never_block_names_pass_in_every_zone() -> None:
    """A protected name below a blocked wildcard becomes an exception; a protected domain takes rules out."""
    protected = [NeverBlock("ok.tunnel.test", "exact", "ours"), NeverBlock("bin.test", "domain", "ours")]
    world = policy(SERVICES, never_block=protected)
    found = {rule.trigger: rule.action for rule in zones(world)["any"].rules}
    assert found == {
        "*.tunnel.test": "nxdomain", "ok.tunnel.test": "passthru", "*.ok.tunnel.test": "nxdomain",
        "hooks.slack.test": "nxdomain",
    }  # fmt: skip
    assert ("bin", "never-block") in [(entry.service, entry.because[0].term) for entry in left_out(world, "any", AT)]


def test_outputs_without_audiences_hold_only_what_nobody_is_expected_to_use() -> None:
    """One printer's expectation takes a service out of dnsmasq's list; in shadow the list is empty."""
    world = policy(SERVICES, GROUPS, [("group:build", "slack"), ("name:printer-3", "tunnel")])
    blocked = [rule.trigger for rule in compile_everyone(world, AT).rules if rule.action != "passthru"]
    assert blocked == ["*.bin.test", "bin.test"]
    assert compile_everyone(policy(SERVICES, mode="shadow"), AT).rules == ()


def test_what_is_left_out_says_why() -> None:
    """Collateral and expectation are told apart, per audience."""
    world = policy(SERVICES, GROUPS, [("group:build", "slack")])
    said = {(entry.service, entry.because[0].term) for entry in left_out(world, "build", AT)}
    assert said == {("chat", "collateral"), ("slack", "expectation")}
    assert {entry.service for entry in left_out(world, "any", AT)} == {"chat"}
    assert {entry.service for entry in left_out(world, "everyone", AT)} == {"chat", "slack"}
    assert left_out(world, "exempt", AT) == ()


def test_what_passes_by_grace_says_so() -> None:
    """After its end an expectation is told as past, with the day on which the feed will block."""
    day = 86400.0
    end = (AT // day + 1) * day
    world = policy([SLACK], GROUPS, [("group:build", "slack", end), ("group:staff", "slack", end + 9 * day)])

    def said(audience: str, at: float) -> list[tuple[str, str]]:
        return [(why.term, why.text) for entry in left_out(world, audience, at) for why in entry.because]

    assert said("build", end - 1) == [("expectation", "group build is expected to use Slack")]
    ((term, text),) = said("build", end + 3 * day)
    assert (term, text.split(":")[0]) == ("grace", f"group build was expected to use Slack until {until_text(end)}")
    assert text.endswith(f"the feed lets them pass for grace until {until_text(end + 7 * day)} (feeds.grace)")
    assert said("everyone", end + 3 * day) == [("expectation", "somebody is expected to use Slack")]
    assert said("build", end + 7 * day) == []


def test_a_group_cannot_take_the_name_of_a_zone_that_is_always_there() -> None:
    """`any`, `exempt` and `everyone` are taken (the configuration refuses them first)."""
    with pytest.raises(FeedRefused, match="another name"):
        compile_zones(policy(SERVICES, [Group("any", ("10.0.0.0/8",))]), None, AT)
