"""Which files a source means: its path, or what its pattern matches now, without rotated siblings.

Never: opens a file. Read next: ``ingest.py``.
"""

from __future__ import annotations

import glob
import re
from collections.abc import Iterable
from pathlib import Path

_ROTATED = re.compile(
    r"(?:[.-](?:\d{1,4}|\d{8}(?:[-_.]?\d{2,6})?|\d{4}-\d\d-\d\d|\d{10}))?(?:\.(?:gz|xz|zst|bz2|lz4))?\Z", re.ASCII
)
"""What logrotate, newsyslog and BIND (``versions``, suffix timestamp) append to a name."""


def log_files(pattern: str) -> list[Path]:
    """Give the logs of a source, sorted. A path without wildcards is given whether it exists or not."""
    if not glob.has_magic(pattern):
        return [Path(pattern)]
    found = {Path(name) for name in glob.glob(pattern)}  # noqa: PTH207 (an absolute pattern, which Path.glob refuses)
    return sorted(path for path in found if path.is_file() and not _is_sibling(path, found))


def _is_sibling(path: Path, among: Iterable[Path]) -> bool:
    """Say whether a file is the rotated past of another one that was found, or compressed: nothing appends to it."""
    if path.suffix in (".gz", ".xz", ".zst", ".bz2", ".lz4"):
        return True
    name = path.name
    for other in among:
        stem = other.name
        if (
            other != path
            and other.parent == path.parent
            and name.startswith(stem)
            and _ROTATED.match(name[len(stem) :])
        ):
            return True
    return False
