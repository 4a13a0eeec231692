"""Formats of published zones: one file each, and one line here. Registering is what gets you tested.

Never: policy. A format writes what the snapshots say; the same snapshots give the same bytes. Read next: ``rpz.py``.
"""

from __future__ import annotations

from typing import Protocol

from dnswatch.core.feeds.formats.dnsmasq import Dnsmasq
from dnswatch.core.feeds.formats.rpz import Rpz
from dnswatch.core.model import Snapshot


class Format(Protocol):
    """How one kind of consumer wants the zones."""

    name: str

    def accepts(self, snapshot: Snapshot) -> bool:
        """Say whether the zone is one that this format can carry."""
        ...

    def file_name(self, snapshot: Snapshot) -> str:
        """Name the file of a zone."""
        ...

    def render(self, snapshot: Snapshot) -> bytes:
        """Write one version of a zone; the bytes depend on nothing else."""
        ...


FORMATS: dict[str, Format] = {
    "dnsmasq": Dnsmasq(),
    "rpz": Rpz(),
}
