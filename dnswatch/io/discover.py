"""Which files a source means: its path, or what its pattern matches now, without rotated siblings.

Never: opens a file. Read next: ``ingest.py``.
"""

from __future__ import annotations

import glob
from pathlib import Path

from dnswatch.core.logs.follow import COMPRESSED, split_rotation


def log_files(pattern: str) -> list[Path]:
    """Give the logs of a source, sorted. A path without wildcards is given whether it exists or not.

    None for a source that is no file: standard input (``-``), the journal, a socket (no path).
    """
    if pattern in ("", "-"):
        return []
    if not glob.has_magic(pattern):
        return [Path(pattern)]
    found = [Path(name) for name in glob.glob(pattern)]  # noqa: PTH207 (an absolute pattern, which Path.glob refuses)
    bases = set(found)
    return sorted(path for path in found if path.is_file() and not _is_past(path, bases))


def _is_past(path: Path, bases: set[Path]) -> bool:
    """Say whether a file is the rotated past of another one that matches, or compressed: nothing appends to it."""
    if path.name.endswith(COMPRESSED):
        return True
    base = path.with_name(split_rotation(path.name)[0])
    return base != path and base in bases
