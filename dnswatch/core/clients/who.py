"""Words that name clients, as people and DHCP write them → canonical addresses, networks, MACs, host names, `Who`.

Never: guesses what was meant, resolves names. What a *person* wrote raises `ValueError` saying what would be right;
what a *client* said of itself (DHCP host names) is hostile: it comes back clean, or empty. Read next: ``groups.py``.
"""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from dnswatch.core import names
from dnswatch.core.model import Who

_MAC = re.compile(r"[0-9a-f]{1,2}(?:[:-][0-9a-f]{1,2}){5}\Z")
_CISCO_MAC = re.compile(r"[0-9a-f]{4}(?:\.[0-9a-f]{4}){2}\Z")
_GROUP = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\Z")
RESERVED_GROUPS = frozenset({"any", "exempt", "everyone", "quarantine"})
"""Names of zones that are no group's: clients in no group, single clients that are let through, everybody at once,
clients that are cut off."""


def parse_address(text: str) -> IPv4Address | IPv6Address | None:
    """Read an address; a zone id is dropped and an IPv4-mapped one (RFC 4291 §2.5.5.2) becomes IPv4. None: not one."""
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def canonical_address(text: str) -> str:
    """Give the canonical text of an address, or raise `ValueError`."""
    address = parse_address(text)
    if address is None:
        raise ValueError(f"{text!r} is not an IP address")
    return str(address)


def parse_network(text: str) -> IPv4Network | IPv6Network:
    """Read a network (a bare address is one of length 32 or 128), or raise `ValueError` with what would be right."""
    try:
        network = ip_network(text, strict=False)
    except ValueError:
        raise ValueError(f"{text!r} is not a network (write 10.0.20.0/24 or fd00:20::/64)") from None
    if "/" in text and ip_address(text.partition("/")[0]) != network.network_address:
        raise ValueError(f"{text!r} has host bits set: write {network}")
    if isinstance(network, IPv6Network) and network.prefixlen >= 96:
        mapped = network.network_address.ipv4_mapped
        if mapped is not None:
            return IPv4Network((mapped, network.prefixlen - 96))
    return network


def canonical_network(text: str) -> str:
    """Give the canonical CIDR text of a network, or raise `ValueError`."""
    return str(parse_network(text))


def canonical_mac(text: str) -> str:
    """Give a MAC address as ``aa:bb:cc:dd:ee:ff`` (also from ``AA-BB-…`` and ``aabb.ccdd.eeff``), or raise."""
    mac = clean_mac(text)
    if not mac:
        raise ValueError(f"{text!r} is not a MAC address (write 10:20:30:40:50:59)")
    return mac


def clean_mac(text: str) -> str:
    """Give a MAC address canonically, or "" when it is none (InfiniBand, a DUID, rubbish)."""
    text = text.lower()
    if _MAC.match(text):
        return ":".join(digits.zfill(2) for digits in text.replace("-", ":").split(":"))
    if _CISCO_MAC.match(text):
        plain = text.replace(".", "")
        return ":".join(plain[i : i + 2] for i in range(0, 12, 2))
    return ""


def clean_name(text: str) -> str:
    """Give a host name that a client chose for itself canonically, or "" when it is none or looks like an address."""
    try:
        name = names.canonical(text)
    except ValueError:
        return ""
    return "" if parse_address(name) is not None or name.replace(".", "").isdigit() else name


def canonical_group(text: str) -> str:
    """Give a group's name, or raise: it becomes a DNS label (``<group>.<feeds.zone>``), and some names are taken."""
    if not _GROUP.match(text):
        raise ValueError(f"{text!r} cannot name a group: 1-63 of a-z, 0-9 and '-' (it becomes a DNS label)")
    if text in RESERVED_GROUPS:
        raise ValueError(f"{text!r} cannot name a group: the zone {text}.<feeds.zone> is taken")
    return text


def same_host(wanted: str, actual: str) -> bool:
    """Say whether a client named ``actual`` is the ``wanted`` host; a name without dots matches any domain's host."""
    return wanted == actual or ("." not in wanted and actual.startswith(wanted + "."))


def parse_who(text: str) -> Who:
    """Read one member of a ``who`` list: ``group:…``, ``name:…``, ``mac:…``, an address or a network.

    Raises `ValueError` with what would be right. A network of one address is an address.
    """
    kind, colon, value = text.partition(":")
    if colon and kind in ("group", "name", "mac"):
        value = value.strip()
        if kind == "group":
            return Who("group", canonical_group(value))
        if kind == "mac":
            return Who("mac", canonical_mac(value))
        return Who("name", names.canonical(value))
    address = parse_address(text)
    if address is not None:
        return Who("address", str(address))
    if clean_mac(text):
        raise ValueError(f"{text!r} looks like a MAC address: write mac:{clean_mac(text)}")
    if "/" in text:
        network = parse_network(text)
        if network.prefixlen == network.max_prefixlen:
            return Who("address", str(network.network_address))
        return Who("network", str(network))
    raise ValueError(f"{text!r} names nobody: write group:NAME, name:HOST, mac:ADDRESS, an address or a network")
