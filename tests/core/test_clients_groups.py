"""Groups: the longest prefix wins, whatever the nesting."""

from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dnswatch.core.clients import groups as module
from dnswatch.core.clients.groups import Groups, _ipv4
from dnswatch.core.clients.who import parse_address
from dnswatch.core.model import Group

NESTED = Groups([
    Group("all", ("10.0.0.0/8", "::/0"), "workstation"),
    Group("servers", ("10.0.10.0/24", "fd00:10::/64"), "server"),
    Group("dmz", ("10.0.10.128/25",), "iot"),
    Group("scanner", ("10.0.10.200/32",), "scanner"),
])  # fmt: skip


@pytest.mark.parametrize(("address", "name"), [
    ("10.0.10.200", "scanner"), ("10.0.10.201", "dmz"), ("10.0.10.5", "servers"), ("10.9.9.9", "all"),
    ("192.0.2.1", None), ("fd00:10::1", "servers"), ("fd00:11::1", "all"),
    ("::ffff:10.0.10.5", "servers"), ("fe80::1%1", "all"), ("FD00:10::1", "servers"),
    ("", None), ("nonsense", None), ("10.0.10", None), ("10.0.10.5/24", None),
])  # fmt: skip
def test_the_longest_prefix_wins(address: str, name: str | None) -> None:
    """Nested groups are legal, IPv4-mapped addresses are IPv4, what is no address is in no group."""
    found = NESTED.of(address)
    assert (found.name if found else None) == name
    assert NESTED.of(address) is found  # from the cache too


def test_one_prefix_has_one_group() -> None:
    """A prefix or a name used twice is an error that names both groups."""
    with pytest.raises(ValueError, match=r"10\.0\.0\.0/8 is in group a and in group b"):
        Groups([Group("a", ("10.0.0.0/8",)), Group("b", ("::ffff:10.0.0.0/104",))])
    with pytest.raises(ValueError, match="two groups have one name"):
        Groups([Group("a", ("10.0.0.0/8",)), Group("a", ("192.0.2.0/24",))])
    with pytest.raises(ValueError, match="host bits"):
        Groups([Group("a", ("10.0.0.1/8",))])


def test_the_cache_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spoofed addresses cannot grow it without end."""
    monkeypatch.setattr(module, "CACHE_SIZE", 100)
    groups = Groups([Group("a", ("10.0.0.0/8",))])
    for i in range(1000):
        groups.of(f"10.0.{i >> 8}.{i & 255}")
    assert len(groups._cache) <= 100


def test_no_groups() -> None:
    """Without configuration everybody is in no group."""
    assert Groups().of("10.0.0.1") is None
    assert NESTED.get("dmz") is NESTED.all[2]
    assert NESTED.get("nobody") is None


V4 = st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 32)).map(lambda p: ip_network(p, strict=False))
V6 = st.tuples(st.integers(2**125, 2**126 - 1), st.integers(0, 128)).map(lambda p: ip_network(p, strict=False))


@given(
    st.lists(V4 | V6, max_size=12, unique=True),
    st.lists(st.integers(0, 2**32 - 1).map(ip_address) | st.integers(2**125, 2**126 - 1).map(ip_address), max_size=6),
)
@settings(max_examples=150, deadline=None)
def test_groups_agree_with_a_slow_search(networks: list[IPv4Network | IPv6Network], extra: list[object]) -> None:
    """Against `ipaddress`, for random nesting: the most specific network that contains the address."""
    groups = Groups(Group(f"g{i}", (str(network),)) for i, network in enumerate(networks))
    probes = [*extra, *(n.network_address for n in networks), *(n.broadcast_address for n in networks)]
    for address in probes:
        assert isinstance(address, type(ip_address(str(address))))
        holding = [(n.prefixlen, i) for i, n in enumerate(networks) if n.version == address.version and address in n]
        found = groups.of(str(address))
        assert (found.name if found else None) == (f"g{max(holding)[1]}" if holding else None)


@given(st.one_of(
    st.ip_addresses().map(str),
    st.from_regex(r"[0-9 _+.-]{1,16}", fullmatch=True),
    st.lists(st.integers(-2, 300).map(str), min_size=3, max_size=5).map(".".join),
    st.sampled_from(["010.1.2.3", "1.2.3.٤", " 1.2.3.4", "1.2.3.4%eth0", "::ffff:10.0.0.1", "1.2.3", ""]),
))  # fmt: skip
@settings(deadline=None, max_examples=200)
def test_addresses_are_read_as_the_library_reads_them(text: str) -> None:
    """The quick way to a group finds what the slow one finds, whatever the text."""
    quick, slow = _ipv4(text), parse_address(text)
    assert quick is None or (slow is not None and (slow.version, int(slow)) == (4, quick))
    if slow is not None and slow.version == 4 and str(slow) == text:
        assert quick == int(slow)
