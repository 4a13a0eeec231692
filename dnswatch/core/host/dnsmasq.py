"""dnsmasq.conf and its directories: logging, leases, upstream servers.

Never: validates (``dnsmasq --test`` does), reads files other than through a `Tree`. Facts: dnsmasq(8), options
``conf-file``, ``conf-dir``, ``log-queries``, ``log-facility``, ``dhcp-leasefile``, ``server``; Pi-hole's files:
log_formats §2.6. Read next: ``findings.py``.
"""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass, field

from dnswatch.core.host.tree import Tree

MAX_FILES = 500
_SERVER = re.compile(r"(?:/.*/)?(?P<address>[0-9A-Fa-f:.]+)(?:#(?P<port>\d+))?(?:@.*)?\Z")


@dataclass(slots=True)
class Dnsmasq:
    """What the configuration of one dnsmasq says that matters to us."""

    origin: str
    files: list[str] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)
    log_queries: str = ""  # "" = off | yes | extra | proto
    log_facility: str = ""  # a path, "-", or a syslog facility; "" = syslog
    leases: str = ""
    dhcp: bool = False
    servers: list[tuple[str, int]] = field(default_factory=list)
    no_resolv: bool = False
    resolv_file: str = ""
    port: int = 53
    listens: list[str] = field(default_factory=list)

    @property
    def log_path(self) -> str:
        """The file that query lines go to; empty when they go to syslog or nowhere."""
        return self.log_facility if "/" in self.log_facility else ""


def options(text: str) -> list[tuple[str, str]]:
    """Read ``key=value`` lines: a ``#`` begins a comment at the start of a line or after a blank."""
    found = []
    for raw in text.split("\n"):
        line = re.sub(r"(?:^|\s)#.*", "", raw).strip()
        if line:
            key, _, value = line.partition("=")
            found.append((key.strip().lower(), value.strip().strip('"')))
    return found


def read(tree: Tree, origin: str, directories: tuple[str, ...] = ()) -> Dnsmasq | None:
    """Read a dnsmasq.conf with what it includes, and the directories that the start script adds. None when absent."""
    found = Dnsmasq(origin)
    _file(tree, origin, found)
    for directory in directories:
        _directory(tree, f"{directory},.dpkg-dist,.dpkg-old,.dpkg-new", found)
    return found if found.files else None


def _file(tree: Tree, path: str, found: Dnsmasq) -> None:
    if path in found.files or len(found.files) >= MAX_FILES:
        return
    text = tree.text(path)
    if text is None:
        if tree.state(path) == "unreadable":
            found.unreadable.append(path)
        return
    found.files.append(path)
    for key, value in options(text):
        _option(tree, key, value, found)


def _directory(tree: Tree, value: str, found: Dnsmasq) -> None:
    """``conf-dir=DIR[,EXT…]``: ``*.ext`` includes, ``.ext`` excludes; never ``#…``, ``….~`` or dot files."""
    directory, *kinds = value.split(",")
    only = [kind.strip("*") for kind in kinds if kind.startswith("*")]
    never = [kind for kind in kinds if kind and not kind.startswith("*")]
    for path in tree.glob(posixpath.join(directory, "*")):
        name = posixpath.basename(path)
        if name.startswith((".", "#")) or name.endswith("~"):
            continue
        if (only and not name.endswith(tuple(only))) or name.endswith(tuple(never) or ("~",)):
            continue
        _file(tree, path, found)


def _option(tree: Tree, key: str, value: str, found: Dnsmasq) -> None:
    if key in ("conf-file", "servers-file"):
        for path in tree.glob(value) if "*" in value else [value]:
            _file(tree, path, found)
    elif key == "conf-dir":
        _directory(tree, value, found)
    elif key == "log-queries":
        found.log_queries = value or "yes"
    elif key == "log-facility":
        found.log_facility = value
    elif key in ("dhcp-leasefile", "dhcp-lease-file"):
        found.leases = value
    elif key == "dhcp-range":
        found.dhcp = True
    elif key == "no-resolv":
        found.no_resolv = True
    elif key == "resolv-file":
        found.resolv_file = value
    elif key == "port" and value.isdigit():
        found.port = int(value)
    elif key == "listen-address":
        found.listens += [part.strip() for part in value.split(",")]
    elif key == "server" and (match := _SERVER.match(value)):
        found.servers.append((match["address"], int(match["port"] or 53)))


def nameservers(text: str) -> list[tuple[str, int]]:
    """Read the ``nameserver`` lines of a resolv.conf."""
    rows = (line.split() for line in text.split("\n"))
    return [(row[1], 53) for row in rows if len(row) > 1 and row[0] == "nameserver"]
