"""Why a file cannot be read, and what would let us: user, group and the command that fixes it.

Never: changes permissions. Read next: ``ingest.py``.
"""

from __future__ import annotations

import grp
import os
import pwd
import stat
from pathlib import Path


def no_access(path: Path, error: OSError, absent: str) -> str:
    """Explain an error of opening ``path`` for reading; ``absent`` is what to think of when there is no such file."""
    if isinstance(error, FileNotFoundError):
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
