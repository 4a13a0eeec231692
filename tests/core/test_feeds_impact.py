"""Replaying zones over what was seen: who would have been hit, and whether anybody of them is expected."""

from dnswatch.core.clients.identity import Identity
from dnswatch.core.detect.changes import SightingRow
from dnswatch.core.feeds.impact import replay
from dnswatch.core.model import Group, Lease
from tests.core.feed_worlds import AT, policy, service

SERVICES = [service("slack", ("hooks.slack.test", "exact")), service("bin", ("bin.test", "domain")),
            service("chat", ("chat.test", "exact"), safe=False)]  # fmt: skip
GROUPS = [Group("build", ("10.0.20.0/24",), "ci")]
EXPECT = [("group:build", "slack"), ("10.1.0.7", "bin"), ("name:printer", "bin")]
WORLD = policy(SERVICES, GROUPS, EXPECT, mode="shadow")


def row(
    client: str, qname: str, what: str, count: int = 1, expected: bool = False, at: float = AT - 600
) -> SightingRow:
    return SightingRow(int(at) // 3600 * 3600, client, qname, "A", what, expected, at, at, count)


def test_unexpected_clients_are_counted_once_per_service() -> None:
    """Attempts add up over hours and names; what passes in the client's zone is no hit."""
    hits = replay(WORLD, Identity(), AT, [
        row("10.0.20.9", "hooks.slack.test", "slack", expected=True),  # the group is expected
        row("10.2.0.1", "a.bin.test", "bin", 2), row("10.2.0.1", "b.bin.test", "bin", 3, at=AT - 60),
        row("10.0.20.9", "bin.test", "bin"),
        row("10.2.0.1", "chat.test", "chat"),  # published nowhere
    ])  # fmt: skip
    assert [(h.client.address, h.client.group, h.service, h.count, h.expected) for h in hits] == [
        ("10.2.0.1", "", "bin", 5, False), ("10.0.20.9", "build", "bin", 1, False),
    ]  # fmt: skip
    assert hits[0].names == ("a.bin.test", "b.bin.test")
    assert hits[0].last_at == AT - 60


def test_exempted_clients_are_not_hit() -> None:
    """By address, and by the address that a name holds now."""
    identity = Identity()
    identity.learn(Lease(AT - 7200, "10.1.0.33", "printer", "", None))
    rows = [row("10.1.0.7", "bin.test", "bin"), row("10.1.0.33", "bin.test", "bin", expected=True)]
    assert replay(WORLD, identity, AT, rows) == ()


def test_a_client_expected_by_name_whose_address_is_unknown_is_an_expected_hit() -> None:
    """Its lease is gone, so no exemption can be published: enforcing would break it, and the operator must know."""
    hits = replay(WORLD, Identity(), AT, [row("10.1.0.33", "bin.test", "bin", expected=True)])
    assert [(hit.client.address, hit.expected) for hit in hits] == [("10.1.0.33", True)]


def test_an_expectation_that_is_gone_is_gone() -> None:
    """What was expected then and is not any more does not stand in the way."""
    world = policy(SERVICES, GROUPS, [], mode="shadow")
    hits = replay(world, Identity(), AT, [row("10.0.20.9", "hooks.slack.test", "slack", expected=True)])
    assert [hit.expected for hit in hits] == [False]


def test_mode_off_and_enforce_measure_alike() -> None:
    """The question is what enforcing would do, whatever the mode is now."""
    rows = [row("10.2.0.1", "bin.test", "bin")]
    modes = [policy(SERVICES, GROUPS, EXPECT, mode=mode) for mode in ("off", "shadow", "enforce")]
    assert len({replay(world, Identity(), AT, rows) for world in modes}) == 1
