"""Adblock syntax in the one form that Pi-hole, AdGuard Home and Technitium all understand: ``||d^``.

It means d and everything below it. A modifier would make Pi-hole ignore its line, so there is none (research rpz.md
§4); clients are told apart by ``adguard.py``. Never: names that any expectation allows to anybody, and names with
something below that must pass. Read next: ``core/feeds/suffixes.py``.
"""

from __future__ import annotations

from dnswatch.core.feeds.audiences import EVERYONE
from dnswatch.core.feeds.suffixes import header, listing
from dnswatch.core.model import Snapshot


class Adblock:
    """A list for Pi-hole, Technitium and AdGuard Home."""

    name = "adblock"

    def accepts(self, snapshot: Snapshot) -> bool:
        """Take only the zone that is right for every client at once."""
        return snapshot.zone.audience == EVERYONE

    def file_name(self, snapshot: Snapshot) -> str:
        """Name the file."""
        return "adblock.txt"

    def left_out(self, snapshot: Snapshot) -> dict[str, str]:
        """Give the triggers that ``||d^`` cannot say, each with why."""
        return listing(snapshot).left_out

    def render(self, snapshot: Snapshot) -> bytes:
        """Write a line for each name."""
        names = listing(snapshot).names
        lines = [f"! {line}" for line in header(snapshot, len(names))]
        lines.extend(f"||{name}^" for name in names)
        return "".join(line + "\n" for line in lines).encode("ascii")
