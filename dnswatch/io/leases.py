"""Reading lease and hosts files into the engine's table of who holds which address.

A file is read again when its time or size changed. Never: parses (``core/clients/leases.py`` does), watches DHCP lines
in logs (they come as events). Read next: ``core/clients/identity.py``.
"""

from __future__ import annotations

import asyncio
import glob
import logging
from collections.abc import Sequence
from pathlib import Path

from dnswatch.config.model import LeaseFile
from dnswatch.core.clients.identity import Identity
from dnswatch.core.clients.leases import LeaseFormat, detect_lease_format, read_leases
from dnswatch.core.model import Lease
from dnswatch.io.access import no_access

MOST_BYTES = 64 << 20
"""A lease file of a million hosts; a larger one is not a lease file."""

log = logging.getLogger("dnswatch")


class LeaseFiles:
    """The lease files of the configuration, and which of their states we know."""

    def __init__(self, files: Sequence[LeaseFile]) -> None:
        self.files = tuple(files)
        self.read = 0
        self._begun = False
        self._seen: dict[Path, tuple[int, int, int]] = {}
        self._static: dict[Path, list[Lease]] = {}
        self._said: dict[Path, str] = {}

    async def refresh(self, identity: Identity, now: float) -> bool:
        """Read what changed; True when that changed who holds what. Unreadable files are told once."""
        before = identity.generation
        static_changed, self._begun = not self._begun, True  # hosts files before these are no longer asked
        for entry in self.files:
            for path in self._paths(entry.path):
                found = await asyncio.to_thread(self._changed, path)
                if found is None:
                    continue
                kind = detect_lease_format(found) if entry.type == "auto" else entry.type
                if kind is None:
                    if found.strip():
                        self._say(path, "is not a lease file of dnsmasq, Kea (memfile) or ISC dhcpd, nor a hosts file")
                    continue
                static_changed |= self._take(path, kind, found, identity, now)
                self._said.pop(path, None)
        if static_changed:
            identity.replace_static([lease for path in sorted(self._static) for lease in self._static[path]])
        return identity.generation != before

    def _take(self, path: Path, kind: LeaseFormat, data: bytes, identity: Identity, now: float) -> bool:
        """Learn the leases of one file; True for a hosts file, whose entries are replaced as a whole."""
        leases, skipped = read_leases(kind, data, now)
        self.read += 1
        if skipped > len(leases):
            self._say(path, f"{skipped} of its entries were not understood as {kind}")
        if kind == "hosts":
            self._static[path] = leases
            return True
        for lease in leases:
            identity.learn(lease)
        return False

    @staticmethod
    def _paths(pattern: str) -> list[Path]:
        return sorted(Path(name) for name in glob.glob(pattern)) if glob.has_magic(pattern) else [Path(pattern)]  # noqa: PTH207

    def _changed(self, path: Path) -> bytes | None:
        """Give the bytes of a file that is new to us in this state."""
        try:
            info = path.stat()
            state = (info.st_ino, info.st_size, info.st_mtime_ns)
            if self._seen.get(path) == state:
                return None
            with path.open("rb") as file:
                data = file.read(MOST_BYTES)
        except OSError as error:
            self._say(path, no_access(path, error, "is there a DHCP server?"))
            return None
        self._seen[path] = state
        return data

    def _say(self, path: Path, what: str) -> None:
        if self._said.get(path) != what:
            log.warning("lease file %s: %s; clients are known by address only", path, what)
            self._said[path] = what
