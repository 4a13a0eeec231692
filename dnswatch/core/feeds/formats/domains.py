"""A plain list of names, one a line.

Pi-hole and AdGuard Home read a line as exactly that name, Technitium as the name and everything below it (research
rpz.md §4), so only names are listed that are right both ways. Never: names that any expectation allows to anybody.
Read next: ``core/feeds/suffixes.py``.
"""

from __future__ import annotations

from dnswatch.core.feeds.audiences import EVERYONE
from dnswatch.core.feeds.suffixes import header, listing
from dnswatch.core.model import Snapshot


class Domains:
    """A list for whatever takes a list."""

    name = "domains"

    def accepts(self, snapshot: Snapshot) -> bool:
        """Take only the zone that is right for every client at once."""
        return snapshot.zone.audience == EVERYONE

    def file_name(self, snapshot: Snapshot) -> str:
        """Name the file."""
        return "domains.txt"

    def left_out(self, snapshot: Snapshot) -> dict[str, str]:
        """Give the triggers that a list of names cannot say, each with why."""
        return listing(snapshot).left_out

    def render(self, snapshot: Snapshot) -> bytes:
        """Write the names."""
        names = listing(snapshot).names
        lines = [*(f"# {line}" for line in header(snapshot, len(names))), *names]
        return "".join(line + "\n" for line in lines).encode("ascii")
