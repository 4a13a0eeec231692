"""Published files as they are served over HTTP: packed, on the disk, named by what they hold.

A file that was begun stays whole for its reader: a new version has another name, and the old one is only unlinked. The
index says which names are served, so a daemon that starts serves what it served before. Apart from the feeds'
directory, where anybody with permission may change a file: what is served here is what was published.

Never: keeps content in memory, knows HTTP. Read next: ``web/feeds.py``.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import zlib
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from dnswatch.core.feeds.publication import Rendered

FOLDER = "served"
"""In ``state_dir``."""
SMALL = 256  # a gzip of less is not smaller
LEVEL = 6
"""Of gzip: a third of the time of 9 for a sixth more octets (zones of a million rules: 1.0 and 3.6 s)."""
_INDEX = "index.json"
_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class FeedFile:
    """One file as it is served."""

    name: str
    path: Path
    sha256: str  # of what it says, unpacked
    size: int  # of that
    packed_size: int  # on the disk; 0: too small, and not packed
    serial: int
    at: float


def pack(folder: Path, one: Rendered, known: Collection[str] = ()) -> FeedFile:
    """Put a file there, where it is not yet. ``known``: sums of files that are there and whole."""
    digest = hashlib.sha256(one.content).hexdigest()
    packed = len(one.content) > SMALL
    path = folder / (f"{digest}.gz" if packed else digest)
    if digest not in known or not path.is_file():
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        # mtime=0: the same content must give the same bytes under the same ETag
        _replace(path, gzip.compress(one.content, LEVEL, mtime=0) if packed else one.content)
    size = path.stat().st_size if packed else 0
    return FeedFile(one.name, path, digest, len(one.content), size, one.serial, one.at)


def content(one: FeedFile) -> Iterator[bytes]:
    """Yield what a file says, a little at a time. Raises `OSError`."""
    with gzip.open(one.path) if one.packed_size else one.path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            yield chunk


def keep(folder: Path, files: Iterable[FeedFile]) -> None:
    """Note that these files are served, and remove all others. Whoever reads one goes on reading it."""
    served = list(files)
    if not served and not folder.is_dir():
        return
    rows = [{**asdict(one), "path": one.path.name} for one in served]
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    _replace(folder / _INDEX, json.dumps(rows, indent=1).encode())
    sweep(folder, served)


def sweep(folder: Path, files: Iterable[FeedFile]) -> None:
    """Remove what is none of these: older versions, and what a publication that failed has left."""
    if not folder.is_dir():
        return
    wanted = {_INDEX, *(one.path.name for one in files)}
    for path in folder.iterdir():
        if path.name not in wanted:
            with suppress(FileNotFoundError):
                path.unlink()


def load(folder: Path) -> tuple[FeedFile, ...]:
    """Give the files of the index that are there and whole."""
    try:
        rows = json.loads((folder / _INDEX).read_bytes())
        files = [FeedFile(**{**row, "path": folder / Path(row["path"]).name}) for row in rows]
    except (OSError, ValueError, TypeError, KeyError):  # not there, torn, or of another version: made anew soon
        return ()
    return tuple(one for one in files if _is_whole(one))


def _is_whole(one: FeedFile) -> bool:
    digest = hashlib.sha256()
    try:
        for chunk in content(one):
            digest.update(chunk)
        return digest.hexdigest() == one.sha256 and one.path.stat().st_size == (one.packed_size or one.size)
    except (OSError, EOFError, zlib.error):
        return False


def _replace(path: Path, content: bytes) -> None:
    """Write beside the file and rename over it. Not synced: what a crash tears is found by its sum."""
    temporary = path.with_name(f".{path.name}.new")
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
