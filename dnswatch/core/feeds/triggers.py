"""Names that may stand in a published zone: the validator, client-address triggers, canaries.

Never: repairs a name. What is not plainly a host name is refused with the reason, because one bad record costs a
resolver the whole zone (research rpz.md §5.1) and names may come from logs. Read next: ``zones.py``.
"""

from __future__ import annotations

import re
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_network

from dnswatch.core.model import Name, Rule

CLIENT_IP = "rpz-client-ip"
CANARY = "canary.dnswatch.invalid"
"""Parent of our canaries. ``.invalid`` never resolves (RFC 6761 §6.4), so an answer can only come from our zone."""
CANARY_ADDRESS = "127.0.0.2"
"""What a canary answers: local data works in every mode, while a blocked name below ``.invalid`` proves nothing."""
SERIALS = IPv6Network("100::/96")
"""The IPv6 address of a zone's stable canary is its serial in this network, which nobody routes (RFC 6666)."""

_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\Z")
_MAX_WIRE = 255  # RFC 1035 §2.3.4: owner and zone together, length octets and root included


@lru_cache(maxsize=1 << 17)
def name_fault(name: Name) -> str | None:
    """Say why ``name`` must not become a QNAME trigger, or None when it may. ``*.`` is not part of a name here."""
    if not name.isascii() or not name:
        return "is not ASCII"
    labels = name.split(".")
    for label in labels:
        if not _LABEL.match(label):
            return f"has the label {label[:63]!r}, which is not 1-63 of a-z, 0-9, - and _"
        if label.startswith("rpz-"):
            return f"has the label {label!r}, which resolvers read as a trigger type"
    if len(labels) < 2:
        return "is a single label: a rule for a whole top-level domain is never meant"
    if labels[-1].isdigit():
        return "looks like an address"
    return None


def longest_trigger(zone: Name) -> int:
    """Give how long a trigger may be in ``zone``."""
    return _MAX_WIRE - 3 - len(zone)


def owner_fault(trigger: str, zone: Name) -> str | None:
    """Say why ``trigger`` must not be an owner in ``zone``, or None when it may."""
    if len(trigger) > longest_trigger(zone):
        return f"is longer than {_MAX_WIRE} octets together with the zone name"
    if trigger.endswith("." + CLIENT_IP):
        return None if network_of(trigger) else "is not a canonical client address trigger"
    name = trigger.removeprefix("*.")
    fault = name_fault(name)
    if fault:
        return fault
    if name == zone or name.endswith("." + zone) or zone.endswith("." + name):
        return "is a name of the feed itself"
    return None


def client_trigger(network: str) -> str:
    """Encode an address or network as an RPZ client-address trigger: 10.0.10.7 → ``32.7.10.0.10.rpz-client-ip``.

    Raises `ValueError` when host bits are set (BIND skips such a rule) or the prefix is 0 (BIND refuses it).
    """
    net = ip_network(network)
    if net.prefixlen == 0:
        raise ValueError(f"{network} is every client: no resolver takes prefix 0 as a trigger")
    parts = str(net.network_address).split(".") if isinstance(net, IPv4Network) else _groups(net)
    return ".".join([str(net.prefixlen), *reversed(parts), CLIENT_IP])


def _groups(net: IPv6Network) -> list[str]:
    """Split an IPv6 address into its groups, the run that ``::`` stands for (RFC 5952 §4.2) as ``zz``."""
    value = int(net.network_address)
    text = [f"{value >> shift & 0xFFFF:x}" for shift in range(112, -16, -16)]
    best, start = (0, 0), 0
    while start < 8:
        end = start
        while end < 8 and text[end] == "0":
            end += 1
        if end - start > best[1] - best[0]:
            best = (start, end)
        start = max(end, start + 1)
    if best[1] - best[0] < 2:
        return text
    return [*text[: best[0]], "zz", *text[best[1] :]]


def network_of(trigger: str) -> str | None:
    """Decode a client-address trigger to canonical CIDR text; None when it is not one that `client_trigger` writes."""
    fields = trigger.removesuffix("." + CLIENT_IP).split(".")
    prefix, parts = fields[0], fields[:0:-1]
    separator = "." if len(parts) == 4 and "zz" not in parts and all(part.isdigit() for part in parts) else ":"
    text = separator.join(parts)
    if separator == ":" and "zz" in parts:
        before, _, after = text.partition("zz")
        text = before.rstrip(":") + "::" + after.lstrip(":")
    try:
        network = str(ip_network(f"{text}/{prefix}"))
        return network if client_trigger(network) == trigger else None
    except ValueError:
        return None


def file_canaries(audience: str, serial: int) -> tuple[str, str]:
    """Give the parents of the canaries of a list that can only take names away: of this version, and of every version.

    The names below them do not exist anyway; that the resolver says so itself, and asks nobody, is the proof.
    """
    return f"{serial}.{audience}.{CANARY}", f"every.{audience}.{CANARY}"


def canaries(audience: str, serial: int) -> tuple[Rule, ...]:
    """Give the two names that prove which zone, and which version of it, a resolver answers from.

    The stable one tells the serial: nobody can ask Unbound for the SOA of a zone that it applies to all clients.

    They belong to a version, not to policy: formats add them when they render, so a new serial alone changes them.
    """
    stable = f"{audience}.{CANARY}"
    return (
        Rule(f"{serial}.{stable}", "address", (CANARY_ADDRESS,)),
        Rule(stable, "address", (CANARY_ADDRESS, str(SERIALS[serial]))),
    )


def serial_of(address: str) -> int | None:
    """Give the serial that the stable canary's IPv6 address tells; None: it is none of ours."""
    try:
        found = IPv6Address(address)
    except ValueError:
        return None
    return int(found) - int(SERIALS[0]) if found in SERIALS else None
