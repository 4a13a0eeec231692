"""dnsmasq servers-file: ``server=/d/`` answers NXDOMAIN for ``d`` and everything below it, for every client.

``server=/*.d/`` means only what is below (seen on 2.90, also in a servers-file). dnsmasq cannot say "exactly d", so a
name is left out where something below it must pass. ``address=`` and ``local=`` are silently ignored in a servers-file
(research rpz.md §4), so the action is always NXDOMAIN.

Never: names that any expectation allows to anybody; `compile_everyone` has taken them out. Read next:
``core/feeds/zones.py``.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from dnswatch.core.feeds.audiences import EVERYONE
from dnswatch.core.feeds.suffixes import split, taken_along
from dnswatch.core.feeds.triggers import file_canaries
from dnswatch.core.model import Snapshot


class Dnsmasq:
    """A file for ``servers-file=``, read again on SIGHUP."""

    name = "dnsmasq"

    def accepts(self, snapshot: Snapshot) -> bool:
        """Take only the zone that is right for every client at once."""
        return snapshot.zone.audience == EVERYONE

    def file_name(self, snapshot: Snapshot) -> str:
        """Name the file: there is one, whatever the zone is called."""
        return "dnsmasq.servers"

    def left_out(self, snapshot: Snapshot) -> dict[str, str]:
        """Give the triggers that a servers-file cannot say, each with why."""
        return {one: f"would block {other} with it" for one, other in taken_along(*split(snapshot)).items()}

    def render(self, snapshot: Snapshot) -> bytes:
        """Write the names, and as comments those that are left out and why."""
        blocked, passing = split(snapshot)
        left_out = taken_along(blocked, passing)
        kept = [trigger for trigger in blocked if trigger not in left_out]
        names = set(kept)
        # `server=/d/` covers `*.d` as well: the second line would only be read, never used.
        lines = [*_header(snapshot, len(kept))]
        lines.extend(f"server=/{t}/" for t in file_canaries(snapshot.zone.audience, snapshot.serial))
        lines.extend(f"server=/{t}/" for t in kept if not (t.startswith("*.") and t[2:] in names))
        lines.extend(f"# passes: {t} (somebody is expected to use it, or blocking it breaks people)" for t in passing)
        lines.extend(f"# left out: {t} (dnsmasq would block {why} with it)" for t, why in left_out.items())
        return "".join(line + "\n" for line in lines).encode("ascii")


def _header(snapshot: Snapshot, count: int) -> Iterator[str]:
    made = datetime.fromtimestamp(int(snapshot.at), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    yield "# Written by dnswatch from its catalogue and the operator's expectations; changes made here are lost."
    yield f"# Names that nobody is expected to use: {count}. Version {snapshot.serial}, made {made}."
    if not snapshot.zone.rules:
        yield "# Empty: feeds.mode is shadow, or nothing is left to block. dnsmasq cannot pass and log at once."
