"""Looks at the logs, the disks and the clock every two seconds, and lets the monitor say what is blind.

Takes looks (`Seen`, `Disk`), passes on what the monitor says to the blind spots, and keeps what it has learned with
the next checkpoint; what was lost of each log too, so that counts survive a restart. Never: judges. Read next:
``core/health/monitor.py``.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from dnswatch.core.detect.changes import Action, Row
from dnswatch.core.health.kinds import KINDS
from dnswatch.core.health.monitor import Disk, Monitor, Seen, at_limit
from dnswatch.core.model import Alert
from dnswatch.io.blind_spots import BlindSpots
from dnswatch.io.ingest import Reader
from dnswatch.io.listener import Senders
from dnswatch.io.resume import UNSURE
from dnswatch.io.skip import LEFT_OUT
from dnswatch.io.tail import FileTail
from dnswatch.io.way import Stream

SILENT = "source-silent"
STEADY = 100
"""Messages after which a sender is one whose silence means something: more than somebody's try."""
SENDERS = 16
"""Senders of a source that are watched each: a profile costs a row in each checkpoint. Beyond it the log as a whole."""
LOSSES = "losses"
"""Kind of the stored rows that count what was lost, by source."""


class Watch:
    """The monitor with its eyes. One of the ledger's parts: its rows go with each checkpoint."""

    def __init__(self, blind_spots: BlindSpots) -> None:
        self._blind_spots = blind_spots
        self._monitor = Monitor()
        self._losses: dict[str, dict[str, int]] = {}  # as stored
        self._readers: Mapping[str, Reader] = {}

    def restore(self, rows: Iterable[tuple[str, str, Mapping[str, Any]]]) -> None:
        """Take what the last process stored."""
        kept = list(rows)
        self._monitor.restore(kept)
        self._losses = {key: dict(row) for kind, key, row in kept if kind == LOSSES}

    def lost_before(self, source: str) -> Mapping[str, int]:
        """Give what earlier processes counted as lost of a source."""
        return dict(self._losses.get(source, {}))

    def follow(self, readers: Mapping[str, Reader]) -> None:
        """Say which readers there are: the very mapping, which changes."""
        self._readers = readers

    def look(self, directories: Iterable[Path]) -> None:
        """Look once at everything."""
        now = time.time()
        said = list(self._monitor.look_at_clock(now, time.monotonic()))
        watched = set(self._readers)
        for name, reader in self._readers.items():
            said += self._monitor.look(seen(reader), now)
            for sender in self._senders(reader, silent=(SILENT, name) in self._blind_spots.open()):
                said += self._monitor.look(sender, now)
                watched.add(sender.source)
        files = [reader.path for reader in self._readers.values() if isinstance(reader.tail, FileTail)]
        places = [*directories, *(path.parent for path in files)]
        said += self._monitor.look_at_disks(_disks(places))
        for one in said:
            if one.holds:
                self._blind_spots.report(one.kind, one.subject, one.text)
            else:
                self._blind_spots.clear(one.kind, one.subject, one.text)
        self._monitor.forget(watched)
        for kind, subject in self._blind_spots.open():
            if KINDS[kind].about == "source" and subject not in watched:
                self._blind_spots.clear(kind, subject, "it is not followed any more")

    def _senders(self, reader: Reader, silent: bool) -> list[Seen]:
        """Look at each of several steady senders: one that has stopped is hidden behind the others.

        Who was steady before a restart is looked at from the start. ``silent``: all are, and the log's alert says so.
        """
        if not isinstance(reader.tail, Stream) or not (reader.settings.listen or "").startswith(("udp:", "tcp:")):
            return []
        heard, may = reader.tail.heard, Senders(reader.settings.senders)
        start = f"{reader.id} "
        names = [name.removeprefix(start) for name in self._monitor.remembered(start)]
        names = [name for name in names if may.admit(name)]
        names += [name for name, count in heard.items() if count >= STEADY and name not in names]
        live = not silent and not reader.waiting() and not reader.behind()
        return [
            Seen(source=start + name, type=reader.settings.type, at_end=live, lines=heard.get(name, 0.0),
                 silent_after=reader.settings.silent_after)
            for name in names[:SENDERS]
        ] if len(names) > 1 else []  # fmt: skip

    def changes(self) -> dict[tuple[str, str], Row | None]:
        """Give rows for the store."""
        changed = self._monitor.changes()
        for name, reader in self._readers.items():
            lost = reader.lost()
            if lost != self._losses.get(name, {}):
                self._losses[name] = lost
                changed[LOSSES, name] = dict(lost)
        return changed

    def act(self, action: Action) -> list[Alert]:
        """Alerts are the blind spots'."""
        return []


def seen(reader: Reader) -> Seen:
    """Look at one log."""
    tail = reader.tail
    size = lag = 0
    rotated, held, late_s = True, False, 0.0
    with suppress(OSError):
        size = reader.path.stat().st_size
    if isinstance(tail, FileTail):
        held, late_s = tail.held, tail.late_s
        with suppress(OSError):
            lag = tail.unread_bytes()
            rotated = not at_limit(size) or tail.rotated()  # listing is dear, and only asked about there
    elif tail is not None:
        lag = tail.lag
    waiting = reader.waiting()
    return Seen(
        source=reader.id, type=reader.settings.type, at_end=reader.at_end and not waiting and not reader.behind(),
        lines=reader.lines, parsed=reader.telling.counts, describe=reader.telling.describe, size=size,
        rotated=rotated, lag_bytes=lag, waiting=waiting, held=held, late_s=late_s, overflow=reader.losses["overflow"],
        lost={why: count for why, count in reader.lost_now().items() if why not in UNSURE and why != LEFT_OUT},
        skipped=tail.skipped if isinstance(tail, FileTail) else 0,
        logging=reader.logging, started=reader.started, asked=reader.asked, ahead_s=reader.ahead_s, reads=reader.reads,
        wrong_format=reader.wrong_format, silent_after=reader.settings.silent_after,
    )  # fmt: skip


def _disks(directories: Iterable[Path]) -> list[Disk]:
    """Look at the file systems of these directories, each once."""
    found: dict[int, tuple[list[str], Path]] = {}
    for path in dict.fromkeys(directories):
        with suppress(OSError):
            found.setdefault(path.stat().st_dev, ([], path))[0].append(str(path))
    disks = []
    for names, path in found.values():
        with suppress(OSError):
            info = os.statvfs(path)
            disks.append(Disk(", ".join(sorted(names)), info.f_bavail * info.f_frsize, info.f_blocks * info.f_frsize))
    return disks
