"""What one resolver subscribes to: which zones, from where, with which keys, and which clients each zone is for.

`Subscription` is all that a writer of resolver configuration (``consumers/``) knows. Who is served with which zone is
one list of networks, longest prefix first, so that "first match wins" and "longest prefix wins" mean the same: a
resolver may read it either way and agrees with `Groups`. Never: policy, rules, secrets of other consumers. Read next:
``consumers/bind.py``.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network

from dnswatch.core.clients.groups import Groups
from dnswatch.core.clients.who import parse_network
from dnswatch.core.feeds.tsig import Key
from dnswatch.core.feeds.zones import ANY, EXEMPT, QUARANTINE
from dnswatch.core.model import Name

Network = IPv4Network | IPv6Network

SHARED = (QUARANTINE, EXEMPT)
"""Zones that every client is served with, in this order, before the zone of its audience: who is quarantined must stay
so even where expected, and an exemption frees a client from everything after it (research rpz.md §3)."""

PRIVATE = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "169.254.0.0/16", "127.0.0.0/8",
           "fc00::/7", "fe80::/10", "::1/128")  # fmt: skip
"""Who may ask and is in no group, unless the operator says otherwise: no address of the internet (RFC 1918, 6598, 3927,
4193, 4291), for a resolver that answers everybody is an open one."""


@dataclass(frozen=True, slots=True)
class Origin:
    """A server of ours that the resolver can reach."""

    address: str
    port: int
    name: str = ""  # in its certificate; "" = plain DNS, without TLS


@dataclass(frozen=True, slots=True)
class Audience:
    """Clients that are served with one zone of their own, beside those of `SHARED`."""

    name: str
    key: Key | None = None  # opens their view, where the resolver picks a view by key


@dataclass(frozen=True, slots=True)
class Subscription:
    """Everything that the configuration of one resolver must say."""

    consumer: str
    address: str  # of the resolver
    port: int
    parent: Name  # of every zone
    origins: tuple[Origin, ...]
    key: Key | None  # for all transfers, where there are no views
    audiences: tuple[Audience, ...]  # `ANY` is the last
    clients: tuple[tuple[Network, str], ...]  # (network, audience): the first that matches decides
    log: str = ""  # where its query log goes; "" = the usual place
    authority: str = ""  # PEM text of the certificates that vouch for `Origin.name`; "" = the system's
    directory: str = ""  # of our files on the resolver's host, for those that read files

    def zone(self, audience: str) -> Name:
        """Name the zone of an audience."""
        return f"{audience}.{self.parent}"

    @property
    def is_remote(self) -> bool:
        """Say whether the resolver answers on an address that other hosts can reach."""
        return not parse_network(self.address).is_loopback

    def access_list(self, audience: str) -> tuple[tuple[bool, Network], ...]:
        """Give (member?, network) in order, first match wins: the audience's networks, and what is carved out of them.

        Only networks that matter are named: its own, and those of others inside of one of them.
        """
        own = [network for network, name in self.clients if name == audience]
        return tuple(
            (name == audience, network) for network, name in self.clients
            if name == audience or any(within(network, mine) for mine in own)
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class File:
    """One file of a resolver's configuration."""

    path: str  # where it belongs on the resolver's host, with Debian's package
    text: str
    comment: str  # how a comment line begins in it
    private: bool = False  # holds a secret

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.path.rpartition("/")[2]


def audience_networks(groups: Groups, others: Iterable[str] = PRIVATE) -> tuple[tuple[Network, str], ...]:
    """Give (network, audience), longest prefixes first: every group's networks, and for `ANY` those of ``others``.

    Who lies inside a group's network is in that group, so such parts of ``others`` are left out.
    """
    members = [(parse_network(text), group.name) for group in groups.all for text in group.networks]
    rest = [network for network in map(parse_network, dict.fromkeys(others))
            if not any(within(network, taken) for taken, _ in members)]  # fmt: skip
    found = [*members, *((network, ANY) for network in rest)]
    return tuple(sorted(found, key=lambda one: (one[0].version, -one[0].prefixlen, int(one[0].network_address))))


def within(inner: Network, outer: Network) -> bool:
    """Say whether every address of ``inner`` is one of ``outer``."""
    if isinstance(inner, IPv4Network):
        return isinstance(outer, IPv4Network) and inner.subnet_of(outer)
    return isinstance(outer, IPv6Network) and inner.subnet_of(outer)
