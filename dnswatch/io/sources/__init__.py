"""The ways in besides files: one module each, chosen by what a source says of itself.

Never: parses; a way brings bytes, the digest reads them. Read next: ``../way.py``, then ``stdin.py``.
"""

from __future__ import annotations

from dnswatch.config.model import Source
from dnswatch.config.ways import STDIN
from dnswatch.core.model import Position
from dnswatch.core.reading import DNSTAP
from dnswatch.io.sources.dnstap import DnstapReceiver
from dnswatch.io.sources.journald import Journald
from dnswatch.io.sources.pipe import Pipe, is_fifo
from dnswatch.io.sources.syslog import SyslogReceiver
from dnswatch.io.way import Stream


def open_way(settings: Source, resume: Position | None) -> Stream | None:
    """Make the way in of a source, to go on from ``resume``; None for a file, which ``tail.py`` follows."""
    if settings.path == STDIN or is_fifo(settings.path):
        return Pipe(settings.id, resume, None if settings.path == STDIN else settings.path)
    if settings.journald:
        return Journald(settings, resume)
    if settings.listen:
        return DnstapReceiver(settings, resume) if settings.type == DNSTAP else SyslogReceiver(settings, resume)
    return None
