"""The few questions that discovery asks of a file system, and the values it finds.

Never: answers them (``io/host.py`` does). Read next: ``named.py``, ``dnsmasq.py``, ``findings.py``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

FileState = Literal["file", "absent", "unreadable"]
NoteKind = Literal["found", "off", "advice", "unreadable"]


class Tree(Protocol):
    """A file system as discovery sees it. Paths are absolute on the host that is looked at."""

    def text(self, path: str) -> str | None:
        """Give a configuration file as text; None when it is absent or may not be read."""

    def state(self, path: str) -> FileState:
        """Say whether a regular file is there and may be read."""

    def glob(self, pattern: str) -> Sequence[str]:
        """List the existing files that match, sorted."""

    def tail(self, path: str, size: int) -> bytes:
        """Give the last ``size`` bytes of a file; empty when it is absent or may not be read."""

    def access(self, path: str) -> str:
        """Describe owner, group and mode (``bind:adm 0640``); empty when unknown."""

    def zone(self) -> str:
        """Name the host's time zone (``Europe/Berlin``); empty when unknown."""


@dataclass(frozen=True, slots=True)
class LogSource:
    """A query log worth following."""

    type: str  # a format: one of ``core/reading.formats``
    path: str  # "" where it is in the journal, or sent to us
    because: str
    timezone: str = ""  # "" = stamps carry their zone, or it is unknown
    forwarders: tuple[str, ...] = ()  # addresses of other resolvers here that ask this one
    access: str = ""
    state: FileState = "file"
    journald: str = ""  # the unit whose messages hold the queries, where they are in no file
    listen: str = ""  # where a server sends its dnstap

    @property
    def place(self) -> str:
        """Name where it is, for people."""
        return self.path or self.listen or f"journal of {self.journald}"


@dataclass(frozen=True, slots=True)
class LeaseFile:
    """A file that tells which host has which address."""

    path: str
    because: str


@dataclass(frozen=True, slots=True)
class Note:
    """Something that the operator should read: what, and the text to paste where there is one."""

    kind: NoteKind
    text: str
    stanza: str = ""


@dataclass(frozen=True, slots=True)
class Findings:
    """All that discovery found on a host."""

    sources: tuple[LogSource, ...] = ()
    leases: tuple[LeaseFile, ...] = ()
    notes: tuple[Note, ...] = ()
