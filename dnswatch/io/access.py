"""Why a file cannot be read or written, and what would let us: user, group and the command that fixes it.

Never: changes permissions. Read next: ``ingest.py``.
"""

from __future__ import annotations

import grp
import os
import pwd
import stat
from contextlib import suppress
from pathlib import Path


def no_access(path: Path, error: OSError, absent: str) -> str:
    """Explain an error of opening ``path`` for reading; ``absent`` is what to think of when there is no such file."""
    if isinstance(error, FileNotFoundError):
        with suppress(OSError):
            return f"a symbolic link to {os.readlink(path)}, which is not there: {absent}"  # noqa: PTH115
        return f"no such file: {absent}"
    if not isinstance(error, PermissionError):
        return error.strerror or str(error)
    user = user_name(os.geteuid())
    for place in (*reversed(path.absolute().parents), path):
        needed = os.R_OK if place == path else os.X_OK
        if os.access(place, needed):
            continue
        info = place.stat()
        owner, group = user_name(info.st_uid), group_name(info.st_gid)
        shown = f"{place} ({stat.filemode(info.st_mode)} {owner}:{group})"
        if info.st_mode & (stat.S_IRGRP if place == path else stat.S_IXGRP) and info.st_gid != 0:
            return f"{user} may not read {shown}: usermod -aG {group} {user}, then restart the service"
        bits = "r" if place == path else "x"
        return (f"{user} may not read {shown}, nor may its group: chmod g+{bits} {place}, "
                f"and give it a group of {user}'s")  # fmt: skip
    return "permission denied"


def refused(path: Path) -> str:
    """Say who we are, which place stops us from reading or writing ``path``, whose it is, and whom to be instead."""
    user, groups = user_name(os.geteuid()), sorted({group_name(gid) for gid in (*os.getgroups(), os.getegid())})
    who = f"this runs as user {user} ({'group' if len(groups) == 1 else 'groups'} {', '.join(groups)})"
    place, verb, bit = _stopped_at(path.absolute())
    try:
        info = place.stat()
    except OSError:
        return f"{who}, which may not use {path}: run it as root or as the user of the service"
    owner, group = user_name(info.st_uid), group_name(info.st_gid)
    text = f"{who}, which may not {verb} {place} ({stat.filemode(info.st_mode)} {owner}:{group}): run it as {owner}"
    if owner != "root":
        text += f" (sudo -u {owner} …) or root"
    if info.st_mode & bit and info.st_gid != 0:
        text += f", or join its group: usermod -aG {group} {user}, then log in again"
    return text


def _stopped_at(path: Path) -> tuple[Path, str, int]:
    """Find the first place on the way that we lack a right to; which right, and the group's bit for it."""
    for place in reversed(path.parents):
        if not os.access(place, os.X_OK):
            return place, "enter", stat.S_IXGRP
    if not path.exists():
        above = next((place for place in path.parents if place.exists()), Path("/"))
        return above, "write in", stat.S_IWGRP
    if not os.access(path, os.R_OK):
        return path, "read", stat.S_IRGRP
    return path, "write in" if path.is_dir() else "write", stat.S_IWGRP


def user_name(uid: int) -> str:
    """Name a user, by number where it has no name."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def group_name(gid: int) -> str:
    """Name a group, by number where it has no name."""
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)
