"""Formats of published zones: one file each, and one line here. Registering is what gets you tested.

A `Format` writes one zone, and the same snapshot gives the same bytes; an `Overview` writes one file over all zones,
and may say what policy knows of them. Never: decides what is blocked. Read next: ``rpz.py``, ``adguard.py``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from dnswatch.core.feeds.formats.adblock import Adblock
from dnswatch.core.feeds.formats.adguard import AdGuard
from dnswatch.core.feeds.formats.dnsmasq import Dnsmasq
from dnswatch.core.feeds.formats.domains import Domains
from dnswatch.core.feeds.formats.hosts import Hosts
from dnswatch.core.feeds.formats.json import Json
from dnswatch.core.feeds.formats.rpz import Rpz
from dnswatch.core.feeds.formats.unbound import Unbound
from dnswatch.core.model import Snapshot
from dnswatch.core.policy import Policy


class Format(Protocol):
    """How one kind of consumer wants the zones."""

    name: str

    def accepts(self, snapshot: Snapshot) -> bool:
        """Say whether the zone is one that this format can carry."""
        ...

    def file_name(self, snapshot: Snapshot) -> str:
        """Name the file of a zone."""
        ...

    def left_out(self, snapshot: Snapshot) -> Mapping[str, str]:
        """Give the blocked triggers that this format cannot say without blocking more, each with why."""
        ...

    def render(self, snapshot: Snapshot) -> bytes:
        """Write one version of a zone; the bytes depend on nothing else."""
        ...


class Overview(Protocol):
    """How one kind of consumer wants all zones in one file."""

    name: str
    file_name: str

    def left_out(self, policy: Policy, snapshots: Sequence[Snapshot]) -> Mapping[str, str]:
        """Give the blocked triggers that this format cannot say, each with why."""
        ...

    def render(self, policy: Policy, snapshots: Sequence[Snapshot], at: float) -> bytes:
        """Write all zones as policy asks for them at ``at``; there is at least one."""
        ...


FORMATS: dict[str, Format] = {
    "adblock": Adblock(),
    "dnsmasq": Dnsmasq(),
    "domains": Domains(),
    "hosts": Hosts(),
    "rpz": Rpz(),
    "unbound": Unbound(),
}
OVERVIEWS: dict[str, Overview] = {
    "adguard": AdGuard(),
    "json": Json(),
}
