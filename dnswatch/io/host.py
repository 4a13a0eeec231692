"""The host's file system, as discovery asks it: bounded reads, nothing written, permissions reported.

Never: decides what a finding means (``core/host/findings.py``), follows a path out of the given root on purpose.
Read next: ``core/host/tree.py``.
"""

from __future__ import annotations

import glob
import grp
import os
import pwd
import stat
from collections.abc import Sequence
from pathlib import Path

from dnswatch.core.host.tree import FileState

MAX_CONFIG = 4 * 1024 * 1024  # bytes of one configuration file; a generated named.conf with 10,000 zones is 1 MiB
ZONEINFO = "/zoneinfo/"
EFFECTIVE = os.access in os.supports_effective_ids


class HostTree:
    """Implements ``core/host/tree.Tree`` for the files below ``root``."""

    def __init__(self, root: Path = Path("/")) -> None:
        self.root = root

    def real(self, path: str) -> Path:
        """Give the path on the machine that we run on."""
        return self.root / path.lstrip("/")

    def text(self, path: str) -> str | None:
        """Give a configuration file as text; None when it is absent or may not be read."""
        try:
            with self.real(path).open("rb") as file:
                return file.read(MAX_CONFIG).decode("utf-8", "replace") if _regular(file.fileno()) else None
        except OSError:  # absent, forbidden or not a file: state() tells which
            return None

    def state(self, path: str) -> FileState:
        """Say whether a regular file is there and may be read; a directory that we may not enter hides it."""
        try:
            found = self.real(path).stat()
        except PermissionError:
            return "unreadable"
        except OSError:
            return "absent"
        if not stat.S_ISREG(found.st_mode):
            return "absent"
        return "file" if os.access(self.real(path), os.R_OK, effective_ids=EFFECTIVE) else "unreadable"

    def glob(self, pattern: str) -> Sequence[str]:
        """List the existing files that match, sorted, as paths on the host that is looked at."""
        found = glob.glob(pattern.lstrip("/"), root_dir=self.root)  # noqa: PTH207 (absolute patterns below a root)
        return sorted("/" + name for name in found if (self.root / name).is_file())

    def tail(self, path: str, size: int) -> bytes:
        """Give the last ``size`` bytes of a file; empty when it is absent or may not be read."""
        try:
            with self.real(path).open("rb") as file:
                if not _regular(file.fileno()):
                    return b""
                end = file.seek(0, os.SEEK_END)
                file.seek(max(0, end - size))
                return file.read(size)
        except OSError:
            return b""

    def access(self, path: str) -> str:
        """Describe owner, group and mode (``bind:adm 0640``); empty when unknown."""
        try:
            found = self.real(path).stat()
        except OSError:
            return ""
        return f"{_user(found.st_uid)}:{_group(found.st_gid)} {stat.S_IMODE(found.st_mode):04o}"

    def zone(self) -> str:
        """Name the host's time zone (``Europe/Berlin``); empty when unknown."""
        said = (self.text("/etc/timezone") or "").strip()
        if said and " " not in said and "\n" not in said:
            return said
        try:
            target = str(self.real("/etc/localtime").readlink())
        except OSError:
            return ""
        return target.partition(ZONEINFO)[2]


def _regular(fd: int) -> bool:
    return stat.S_ISREG(os.fstat(fd).st_mode)


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _group(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)
