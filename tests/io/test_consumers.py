"""What the section ``dns`` means: which consumer may have which zone, and with which key it is told of it."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from dnswatch.config.load import load
from dnswatch.config.model import Config
from dnswatch.errors import ConfigError
from dnswatch.io.consumers import Consumers

GROUPS = "clients: {groups: {servers: {networks: [10.0.10.0/24]}, staff: {networks: [10.1.0.0/16]}}}\n"
CONSUMERS = """
  - {name: ns1, address: 10.0.0.53, type: bind, views: {servers: k1, staff: k2, any: k3}}
  - {name: ns2, address: 10.0.0.54, port: 5353, type: powerdns, key: K4., networks: [10.0.0.0/24], zones: [any, exempt]}
  - {name: ns3, address: "2001:db8::53", type: unbound, networks: [192.0.2.0/28]}
  - {name: ns4, address: 10.0.0.56, type: other, key: k5, notify: false}
"""
PARENT = "rpz.dnswatch.internal"


def configuration(folder: Path, consumers: str = CONSUMERS, secret: str = "") -> Config:
    """Write and read a configuration with five keys."""
    (folder / "secret").write_text(secret or base64.b64encode(b"s" * 32).decode())
    keys = "".join(f"    k{i}: {{secret: file:secret}}\n" for i in range(1, 6))
    path = folder / "dnswatch.yaml"
    path.write_text(f"{GROUPS}dns:\n  listen: 127.0.0.1:5300\n  keys:\n{keys}  consumers:{consumers}")
    return load(path)


@pytest.fixture
def consumers(tmp_path: Path) -> Consumers:
    dns = configuration(tmp_path).dns
    assert dns
    return Consumers(dns, PARENT)


@pytest.mark.parametrize(
    ("key", "address", "zone", "who"),
    [
        ("k1", "10.9.9.9", "servers", "ns1"),
        ("k1", "10.9.9.9", "exempt", "ns1"),
        ("k1", "10.9.9.9", "quarantine", "ns1"),
        ("k1", "10.9.9.9", "any", None),  # another view's
        ("k3", "10.9.9.9", "any", "ns1"),
        ("k4", "10.0.0.7", "any", "ns2"),
        ("k4", "10.0.1.7", "any", None),  # not from its networks
        ("k4", "10.0.0.7", "staff", None),  # not one of its zones
        ("", "2001:db8::53", "staff", "ns3"),
        ("", "192.0.2.3", "exempt", "ns3"),
        ("", "192.0.2.16", "exempt", None),
        ("", "10.0.0.53", "any", None),  # has a key, and did not show it
        ("k5", "203.0.113.1", "staff", "ns4"),
    ],
)
def test_who_may_have_what(consumers: Consumers, key: str, address: str, zone: str, who: str | None) -> None:
    """A view's key opens its group's zone and ``exempt``; an address opens what was granted to it without a key."""
    grant = consumers.access.of(key, address, f"{zone}.{PARENT}")
    assert (grant.consumer if grant else None) == who


@pytest.mark.parametrize(
    ("zone", "told"),
    [
        ("servers", {("ns1", "k1"), ("ns3", "")}),
        ("any", {("ns1", "k3"), ("ns2", "k4"), ("ns3", "")}),
        ("exempt", {("ns1", "k1"), ("ns1", "k2"), ("ns1", "k3"), ("ns2", "k4"), ("ns3", "")}),
    ],
)
def test_who_is_told_with_which_key(consumers: Consumers, zone: str, told: set[tuple[str, str]]) -> None:
    """Every view of BIND has ``exempt`` in a copy of its own, so each is told, by the key that opens it."""
    targets = list(consumers.targets(f"{zone}.{PARENT}", lambda _: ""))
    assert {(one.consumer, one.key.name if one.key else "") for one in targets} == told
    assert {one.port for one in targets} <= {53, 5353}


def test_the_output_of_tsig_keygen_is_a_secret(tmp_path: Path) -> None:
    """The operator can point both servers at one file."""
    text = 'key "k1" {\n\talgorithm hmac-sha256;\n\tsecret "' + base64.b64encode(b"t" * 32).decode() + '";\n};\n'
    dns = configuration(tmp_path, secret=text).dns
    assert dns
    assert dns.keys["k1"].octets == b"t" * 32


@pytest.mark.parametrize(
    ("secret", "said"),
    [
        ("not base64!", "is not base64: make one with `tsig-keygen -a hmac-sha256`"),
        (base64.b64encode(b"short").decode(), "has 5 octets, fewer than 16"),
        ('key "k1" { algorithm hmac-sha512; secret "c2hvcnQ="; };', "is a key for hmac-sha512: write algorithm"),
    ],
)
def test_a_secret_that_is_none_is_told_without_showing_it(tmp_path: Path, secret: str, said: str) -> None:
    """Where it stands, and how to make one."""
    with pytest.raises(ConfigError) as caught:
        configuration(tmp_path, secret=secret)
    assert said in str(caught.value)
    assert "dnswatch.yaml:5:" in str(caught.value)
    assert secret not in str(caught.value)


def test_what_is_open_is_said(tmp_path: Path) -> None:
    """A consumer without a key on another host, and a server on every address, are warnings."""
    config = configuration(tmp_path)
    path = tmp_path / "dnswatch.yaml"
    path.write_text(path.read_text().replace("127.0.0.1:5300", "0.0.0.0:5300"))
    warnings = [str(problem) for problem in (*config.warnings, *load(path).warnings)]
    assert any("whoever sends from 2001:db8::53 may read the zones" in text for text in warnings)
    assert any("replies over UDP may leave from another one" in text for text in warnings)
    assert not any("10.0.0.5" in text for text in warnings)
