"""A hosts file: ``0.0.0.0 d`` and ``:: d``.

Both families are written, for a reader asks upstream for the one that is missing (research rpz.md §4); other record
types still resolve, so a name's HTTPS record does. dnsmasq (``addn-hosts``), Pi-hole and AdGuard Home read a line as
exactly that name, Technitium and PowerDNS as the name and everything below it: only names are listed that are right
both ways. Never: a name of this host. Read next: ``core/feeds/suffixes.py``.
"""

from __future__ import annotations

from dnswatch.core.feeds.audiences import EVERYONE
from dnswatch.core.feeds.suffixes import NOWHERE, header, listing
from dnswatch.core.model import Snapshot


class Hosts:
    """A file in the form of /etc/hosts."""

    name = "hosts"

    def accepts(self, snapshot: Snapshot) -> bool:
        """Take only the zone that is right for every client at once."""
        return snapshot.zone.audience == EVERYONE

    def file_name(self, snapshot: Snapshot) -> str:
        """Name the file."""
        return "hosts.txt"

    def left_out(self, snapshot: Snapshot) -> dict[str, str]:
        """Give the triggers that a hosts file cannot say, each with why."""
        return listing(snapshot).left_out

    def render(self, snapshot: Snapshot) -> bytes:
        """Write two lines for each name."""
        names = listing(snapshot).names
        lines = [f"# {line}" for line in header(snapshot, len(names))]
        lines.extend(f"{address} {name}" for name in names for address in NOWHERE)
        return "".join(line + "\n" for line in lines).encode("ascii")
