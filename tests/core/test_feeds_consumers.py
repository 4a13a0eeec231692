"""Configuration of resolvers: golden files for every registered one, and that access lists agree with the groups."""

from __future__ import annotations

import os
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dnswatch.core.clients.groups import Groups
from dnswatch.core.feeds.consumers import CONSUMERS
from dnswatch.core.feeds.resolvers import CONSUMERS as READINGS
from dnswatch.core.feeds.subscription import PRIVATE, Audience, Origin, Subscription, audience_networks
from dnswatch.core.feeds.tsig import Key
from dnswatch.core.feeds.zones import ANY
from dnswatch.core.model import Group

GOLDEN = Path(__file__).parents[1] / "golden" / "consumers"
NESTED = Groups([
    Group("staff", ("10.1.0.0/16", "fd00:1::/48")),
    Group("servers", ("10.1.10.0/24", "10.2.0.0/16")),
    Group("build", ("10.1.10.128/25",)),
])  # fmt: skip
PEM = "-----BEGIN CERTIFICATE-----\nMAo=\n-----END CERTIFICATE-----\n"


def key(name: str) -> Key:
    return Key(name, "hmac-sha256", name.encode() * 4)


def subscription(groups: Groups, *, tls: bool = False, keys: bool = True, served: tuple[str, ...] = ()) -> Subscription:
    names = served or (*(group.name for group in groups.all), ANY)
    views = keys and len(names) > 1
    return Subscription(
        consumer="ns1", address="10.0.0.53", port=53, parent="rpz.dnswatch.internal",
        origins=(Origin("10.0.0.2", 8530 if tls else 5300, "feed.example" if tls else ""),),
        key=key("k-all") if keys and not views else None,
        audiences=tuple(Audience(name, key(f"k-{name}") if views else None) for name in names),
        clients=audience_networks(groups), log="", authority=PEM if tls else "",
        directory="/var/lib/dnswatch/feeds",
    )  # fmt: skip


SUBSCRIPTIONS = {
    "one": subscription(Groups()),
    "open": subscription(Groups(), keys=False),
    "nested": subscription(NESTED),
    "tls": subscription(Groups([Group("build", ("10.0.20.0/24",))]), tls=True),
    "partial": subscription(NESTED, served=("servers", "any")),
}


@pytest.mark.parametrize("name", sorted(SUBSCRIPTIONS))
@pytest.mark.parametrize("kind", sorted(CONSUMERS))
def test_golden(kind: str, name: str) -> None:
    """What an operator installs changes only on purpose."""
    files = CONSUMERS[kind].files(SUBSCRIPTIONS[name])
    found = "".join(f"{file.comment} file: {file.name}{' (private)' * file.private}\n{file.text}" for file in files)
    golden = GOLDEN / f"{kind}-{name}.txt"
    if os.environ.get("DNSWATCH_GOLDEN") == "write":
        golden.parent.mkdir(parents=True, exist_ok=True)
        golden.write_text(found)
    assert found == golden.read_text()


@pytest.mark.parametrize("kind", sorted(CONSUMERS))
def test_files_say_where_they_go_and_keep_secrets_apart(kind: str) -> None:
    """The first line names the place; secrets stand in private files only; everything is ASCII."""
    for sample in SUBSCRIPTIONS.values():
        for file in CONSUMERS[kind].files(sample):
            assert file.text.splitlines()[0] == f"{file.comment} install: {file.path}"
            assert file.text.isascii()
            assert file.text.endswith("\n")
            assert file.private or "secret" not in file.text


def test_what_every_resolver_makes_of_a_zone_is_known() -> None:
    """Else `feed lint` would prove nothing of it; dnsmasq has no zones, only one list."""
    assert {kind for kind, writer in CONSUMERS.items() if writer.tells_clients} == set(READINGS)


NETWORKS = st.builds(
    lambda value, bits: str(ip_network((10 << 24 | value & (1 << 32) - (1 << 32 - bits) & 0xFFFFFF, bits))),
    st.integers(0, 0xFFFFFF), st.sampled_from([8, 9, 12, 16, 17, 24, 25, 31, 32]),
)  # fmt: skip


@given(
    nets=st.lists(NETWORKS, unique=True, max_size=12),
    names=st.lists(st.sampled_from(["a", "b", "c"]), min_size=12, max_size=12),
    hosts=st.lists(st.integers(0, 0xFFFFFF), max_size=10),
    others=st.sampled_from([PRIVATE, ("0.0.0.0/0",), ("10.0.0.0/16", "192.0.2.0/24")]),
)
@settings(max_examples=150, deadline=None)
def test_access_lists_say_what_groups_say(
    nets: list[str], names: list[str], hosts: list[int], others: tuple[str, ...]
) -> None:
    """However groups nest: exactly one list takes a client, that of its group, and `any` takes the known rest."""
    members = dict(zip(nets, names, strict=False))
    groups = Groups(Group(name, tuple(n for n, of in members.items() if of == name)) for name in "abc")
    made = Subscription("ns1", "10.0.0.53", 53, "rpz.test", (), None, (), audience_networks(groups, others))
    edges = [ip_network(net)[edge] for net in nets for edge in (0, -1)]
    for host in [*edges, *(ip_address(10 << 24 | one) for one in hosts), ip_address("192.0.2.1")]:
        group = groups.of(str(host))
        known = any(host in ip_network(net) for net in others if ":" not in net)
        taking = []
        for audience in ("a", "b", "c", ANY):
            first = next((member for member, net in made.access_list(audience) if host in net), False)
            taking += [audience] * first
        assert taking == ([group.name] if group else [ANY] * known)
        longest = max((one for one in made.clients if host in one[0]), key=lambda one: one[0].prefixlen, default=None)
        assert (longest[1] if longest else None) == (taking[0] if taking else None)


def test_a_group_that_is_not_served_is_still_carved_out() -> None:
    """A consumer with `zones: [servers, any]` must not serve the others' clients as if they were in no group."""
    made = SUBSCRIPTIONS["partial"]
    assert (False, ip_network("10.1.10.128/25")) in made.access_list("servers")
    assert (False, ip_network("10.1.0.0/16")) in made.access_list(ANY)
