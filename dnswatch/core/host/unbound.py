"""unbound.conf and what it includes: logging and policy zones.

Never: validates (``unbound-checkconf`` does), reads files other than through a `Tree`. Facts: unbound.conf(5), options
``logfile``, ``use-syslog``, ``log-*``, ``rpz``. Read next: ``resolvers.py``.
"""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass, field

from dnswatch.core.host.tree import Tree

MAX_FILES = 500
_LINE = re.compile(r'([a-z][a-z0-9-]*):[ \t]*(?:"([^"]*)"|((?![a-z][a-z0-9-]*:\s)[^\s"#]*))')
_CLAUSES = ("server", "remote-control", "stub-zone", "forward-zone", "auth-zone", "view", "python", "dnscrypt",
            "cachedb", "ipset", "rpz", "dynlib", "dnstap")  # fmt: skip


@dataclass(slots=True)
class Unbound:
    """What the configuration of one Unbound says that matters to us."""

    origin: str
    files: list[str] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)
    server: dict[str, str] = field(default_factory=dict)  # the last word on each option, ``server`` clauses only
    zones: list[dict[str, str]] = field(default_factory=list)  # the ``rpz`` clauses
    tap: dict[str, str] = field(default_factory=dict)  # the last word on each option of ``dnstap`` clauses
    syslog: bool = True  # of ``logfile`` and ``use-syslog`` the later one counts

    def says(self, option: str) -> bool:
        """Say whether an option of the server is switched on."""
        return self.server.get(option, "no") == "yes"

    @property
    def log_path(self) -> str:
        """The file that log lines go to; empty for syslog, stderr or nowhere."""
        path = self.server.get("logfile", "")
        if self.syslog or not path:
            return ""
        return posixpath.join(self.server.get("directory") or "/etc/unbound", path)

    @property
    def zoneless(self) -> bool:
        """Stamps are in local time without its zone."""
        return self.says("log-time-ascii") and not self.says("log-time-iso")


def read(tree: Tree, origin: str) -> Unbound | None:
    """Read an unbound.conf with what it includes. None when it is absent."""
    found = Unbound(origin)
    _file(tree, origin, found, {})
    return found if found.files or found.unreadable else None


def _file(tree: Tree, path: str, found: Unbound, clause: dict[str, str]) -> dict[str, str]:
    """Take a file's options into the clause under way; give the one that is under way at its end."""
    if path in found.files or len(found.files) >= MAX_FILES:
        return clause
    text = tree.text(path)
    if text is None:
        if tree.state(path) == "unreadable":
            found.unreadable.append(path)
        return clause
    found.files.append(path)
    for line in text.split("\n"):
        for match in _LINE.finditer(re.sub(r"(?:^|\s)#.*", "", line)):
            key, value = match[1], match[2] if match[2] is not None else match[3]
            if key in _CLAUSES and not value:
                clause = {"server": found.server, "dnstap": found.tap}.get(key, {})
                if key == "rpz":
                    found.zones.append(clause)
            elif key in ("include", "include-toplevel"):
                for other in tree.glob(value) if any(char in value for char in "*?[") else [value]:
                    inner = _file(tree, other, found, clause)
                    clause = inner if key == "include" else clause
            else:
                clause[key] = value
                if clause is found.server and key in ("logfile", "use-syslog"):
                    found.syslog = value == "yes" if key == "use-syslog" else False
    return clause
