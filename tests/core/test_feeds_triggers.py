"""Names that may stand in a zone, client triggers and canaries."""

from ipaddress import ip_network

import dns.name
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dnswatch.core.feeds.triggers import canaries, client_trigger, name_fault, network_of, owner_fault, serial_of

ZONE = "staff.rpz.test.invalid"


@pytest.mark.parametrize(
    ("network", "trigger"),
    [
        ("10.0.10.7", "32.7.10.0.10.rpz-client-ip"),
        ("10.0.20.0/24", "24.0.20.0.10.rpz-client-ip"),
        ("2001:db8::1", "128.1.zz.db8.2001.rpz-client-ip"),
        ("2001:db8::/32", "32.zz.db8.2001.rpz-client-ip"),
        ("fd00:10::/64", "64.zz.10.fd00.rpz-client-ip"),
        ("::1", "128.1.zz.rpz-client-ip"),
        ("2001:db8:0:1:1:1:1:1", "128.1.1.1.1.1.0.db8.2001.rpz-client-ip"),  # one zero group is written out
        ("2001:0:0:1::1", "128.1.zz.1.0.0.2001.rpz-client-ip"),  # the longest run of zeros
    ],
)
def test_client_triggers_are_written_as_rpz_wants_them(network: str, trigger: str) -> None:
    """Prefix first, the address reversed, the longest run of zeros as zz (rpz.md §2.1)."""
    assert client_trigger(network) == trigger


@pytest.mark.parametrize("network", ["0.0.0.0/0", "::/0", "10.0.0.1/24", "nonsense"])
def test_client_triggers_that_resolvers_skip_are_refused(network: str) -> None:
    """Prefix 0 and host bits load without an error and then do nothing (rpz.md §5.1)."""
    with pytest.raises(ValueError, match=r"prefix 0|host bits|does not appear"):
        client_trigger(network)


@given(st.integers(0, 2**128 - 1), st.integers(1, 128))
@settings(deadline=None, max_examples=200)
def test_client_triggers_round_trip(number: int, prefix: int) -> None:
    """Every IPv6 network comes back from its trigger."""
    network = ip_network((number, prefix), strict=False)
    assert network_of(client_trigger(str(network))) == str(network)


@given(st.integers(0, 2**32 - 1), st.integers(1, 32))
@settings(deadline=None, max_examples=100)
def test_client_triggers_round_trip_for_ipv4(number: int, prefix: int) -> None:
    """Every IPv4 network comes back from its trigger."""
    network = ip_network((number, prefix), strict=False)
    assert network_of(client_trigger(str(network))) == str(network)


@pytest.mark.parametrize("trigger", [
    "33.7.10.0.10.rpz-client-ip", "24.7.10.0.10.rpz-client-ip", "0.zz.rpz-client-ip", "32.7.10.0.rpz-client-ip",
    "*.rpz-client-ip", "32.x.10.0.10.rpz-client-ip", "128.0001.zz.db8.2001.rpz-client-ip", "rpz-client-ip",
])  # fmt: skip
def test_client_triggers_that_cost_a_zone_are_recognised(trigger: str) -> None:
    """PowerDNS drops the whole policy over any of these, BIND skips the rule (rpz.md §5.1)."""
    assert network_of(trigger) is None
    assert owner_fault(trigger + "", ZONE) is not None


@given(st.text(min_size=1, max_size=60))
@settings(deadline=None, max_examples=300)
def test_accepted_names_mean_the_same_everywhere(text: str) -> None:
    """What the validator lets through reads back from zone text unchanged; nothing else gets through."""
    if name_fault(text) is None:
        parsed = dns.name.from_text(text + ".")
        assert parsed.to_text(omit_final_dot=True) == text
        assert [label.decode() for label in parsed.labels[:-1]] == text.split(".")


@pytest.mark.parametrize("name", [
    "", "com", "a..b", ".a.b", "a.b.", "UPPER.test", "sp ace.test", "a\nb.test", "a;b.test", '"a".test',
    "$INCLUDE.test",
    "a\\.b.test", "@.test", "(a.test", "-a.test", "a-.test", "x" * 64 + ".test", "ä.test", "10.0.0.1", "a.rpz-ip.test",
    "rpz-passthru.test", "a.*.test", "a\0.test",
])  # fmt: skip
def test_names_that_break_a_zone_are_refused(name: str) -> None:
    """Zone syntax, wildcards inside, addresses, single labels, trigger types: refused with a reason, never repaired."""
    assert name_fault(name) is not None


def test_owners_stay_within_the_zone_and_out_of_the_feed_itself() -> None:
    """An owner too long together with its zone, or a name of the feed, is refused."""
    assert owner_fault("*.hooks.slack.com", ZONE) is None
    assert owner_fault("*.*.slack.com", ZONE) is not None
    assert owner_fault("a.staff.rpz.test.invalid", ZONE) == "is a name of the feed itself"
    assert owner_fault("test.invalid", ZONE) == "is a name of the feed itself"
    assert "longer than 255" in (owner_fault(".".join(["x" * 60] * 4), ZONE) or "")


def test_canaries_tell_the_zone_and_its_version() -> None:
    """One name is stable and tells the serial as an address, the other carries it; both answer in every mode."""
    serial, stable = canaries("staff", 7)
    assert (serial.trigger, stable.trigger) == ("7.staff.canary.dnswatch.invalid", "staff.canary.dnswatch.invalid")
    assert all(
        rule.addresses[0] == "127.0.0.2" and owner_fault(rule.trigger, ZONE) is None for rule in (serial, stable)
    )
    assert [serial_of(one) for one in stable.addresses] == [None, 7]
    assert serial_of(canaries("staff", 2**32 - 1)[1].addresses[1]) == 2**32 - 1
    assert serial_of("100::1:0:0") is None
