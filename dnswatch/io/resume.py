"""Which file a log is begun or gone on with, and where in it: the first time, after a restart, after a rotation.

Never: follows a file, or guesses by name or inode number alone: content decides (``core/logs/follow.py``). Read next:
``tail.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Literal, NamedTuple

from dnswatch.core.logs.follow import COMPRESSED, Generation, newer, unread
from dnswatch.core.model import Position
from dnswatch.io.generation import OpenGeneration, generations, open_at, unchanged

GONE = "rotated away while not running"
MOMENT = "truncated (copytruncate): lines of that moment, if any"
"""Nobody can know: lines written between the copy and the truncation are in no file."""
UNSEEN = "rotated away before it was read"
HIDDEN = "moved where rotated files are not looked for: what came between it and the next one, if anything did"
DELETED = "deleted at its rotation: what else was deleted between two looks, if anything was"
"""BIND's ``versions 0``: nothing tells one rotation from several."""
UNSURE = frozenset({MOMENT, HIDDEN, DELETED})
"""Losses that may be none: every rotation by copytruncate would raise an alarm."""
RETRIES = 20
"""Looks at a directory that changes while we look."""

Start = Literal["end", "start"] | float


def begin(
    path: Path,
    olddir: Path | None,
    start: Start,
    stamp_of: Callable[[bytes], float | None] | None,
    seen: tuple[tuple[int, int], int] | None,
) -> OpenGeneration:
    """Open a log that was never read, where the operator wants to begin. Raises `OSError`.

    ``seen``: identity and size of the file when we were started; lines written since are new.
    """
    if start == "end":
        file = OpenGeneration(path)
        if seen is not None and seen[0] == file.id:
            file.seek(file.line_start(min(seen[1], file.size())))
        return file
    since = 0.0 if start == "start" else start
    older = [each for each in generations(path, olddir) if each.changed_ns >= since * 1e9 and each.path != str(path)]
    file = OpenGeneration(Path(older[0].path) if older else path)
    if since and stamp_of is not None:
        file.seek(file.first_line_since(since, stamp_of))
    return file


def find(path: Path, olddir: Path | None, position: Position) -> tuple[OpenGeneration, str]:
    """Open the file to go on with from ``position``; with what was lost, "" when nothing was. Raises `OSError`.

    The file that the position was taken in, under whatever name; when it is gone the oldest one not read yet, else the
    log from its start.
    """
    for _ in range(RETRIES):
        found = generations(path, olddir)
        try:
            if position.head_size and (file := reopen(position, found, must=str(path))) is not None:
                return file, _perhaps_lost(file, position, found)
            following = _unread(position, found)
            older = following is not None and following.path != str(path)
            file = OpenGeneration(Path(following.path)) if following is not None and older else None
            if not unchanged(found, path, olddir):
                if file is not None:
                    file.close()
                continue
            if file is not None:
                return file, GONE if position.head_size else ""
            break
        except FileNotFoundError:
            continue  # renamed or packed while we looked
    file = OpenGeneration(path)
    other = position.inode and file.id != (position.device, position.inode)  # it stood empty, and is gone
    return file, GONE if position.head_size else DELETED if other else ""


def _unread(position: Position, found: Sequence[Generation]) -> Generation | None:
    """Choose the oldest of the ``found`` files that is newer than ``position`` and was not read by then."""
    read = set()
    for left in position.left:
        if (known := reopen(left, found)) is not None:
            read.add(known.id)
            known.close()
    return unread(found, position.changed_ns, read) if position.changed_ns else None


def overlooked(path: Path, olddir: Path | None, file: OpenGeneration, position: Position) -> OpenGeneration | None:
    """Open the oldest copy that was made of ``file`` since it stood empty at ``position``; None if there is none.

    It grew, and was copied and truncated again, between two looks: nothing in the file itself tells.
    """
    for _ in range(RETRIES):
        found = generations(path, olddir)
        with suppress(FileNotFoundError):  # renamed or packed while we looked
            copy = _unread(position, [each for each in found if (each.device, each.inode) != file.id])
            opened = OpenGeneration(Path(copy.path)) if copy is not None else None
            if unchanged(found, path, olddir):
                return opened
            if opened is not None:
                opened.close()
    return None


def copy_of(path: Path, olddir: Path | None, file: OpenGeneration, position: Position) -> OpenGeneration | None:
    """Open the copy that was made of ``file`` before it was truncated, at ``position``; None if there is none."""
    for _ in range(RETRIES):
        found = generations(path, olddir)
        with suppress(FileNotFoundError):  # renamed or packed while we looked
            copy = reopen(position, [each for each in found if (each.device, each.inode) != file.id])
            if copy is not None or unchanged(found, path, olddir):
                return copy
    return None


class Successor(NamedTuple):
    """What follows a file that was read to its end."""

    key: tuple[int, int]  # its device and inode
    file: OpenGeneration | None  # None: it is one of those left behind
    name: str | None  # of the file before it, by now
    lost: str  # what was lost, or may have been; "" when nothing was


def successor(
    path: Path, olddir: Path | None, file: OpenGeneration, position: Position, left: Collection[tuple[int, int]]
) -> Successor | None:
    """Open what follows ``file``, of which ``position`` is the end; None while there is nothing. Raises `OSError`.

    ``left``: identities of files left behind, which are open.
    """
    agreed = None
    for _ in range(RETRIES):
        found = generations(path, olddir, since=file.id)
        names = {(each.device, each.inode): each.path for each in found}
        standing = file.id if file.id in names else _packed(file, position, found)
        following = newer(found, standing, file.changed_ns, left)
        if following is None:
            return None
        key = following.device, following.inode
        if (key, standing in names) != agreed:  # two looks must agree: one may miss what is renamed meanwhile
            agreed = (key, standing in names)
            continue
        opened = None
        if key not in left:
            try:
                opened = OpenGeneration(Path(following.path))
            except FileNotFoundError:
                continue  # renamed while we looked
            if opened.id != key:
                opened.close()
                continue
        lost = ""
        if standing not in names:
            # If ours was the oldest, and went, then even the oldest left is newer, so others may have gone unseen.
            oldest = UNSEEN if len(found) > 1 else DELETED
            lost = HIDDEN if not file.deleted() else oldest if following == found[0] else ""
        return Successor(key, opened, names.get(file.id), lost)
    return None


def _packed(file: OpenGeneration, position: Position, found: Sequence[Generation]) -> tuple[int, int]:
    """Give the identity of the compressed file that has the content of ours; ours when there is none."""
    with suppress(FileNotFoundError):
        copy = reopen(position, [each for each in found if each.path.endswith(COMPRESSED)])
        if copy is not None:
            copy.close()
            return copy.id
    return file.id


def reopen(position: Position, found: Sequence[Generation], must: str = "") -> OpenGeneration | None:
    """Open the one among the ``found`` files that ``position`` was taken in, at the position; None if none is.

    A file that cannot be opened is not it, unless it is the one that ``must`` be readable. Raises `FileNotFoundError`
    when a file has gone since it was found, and then it may be under another name now.
    """
    names = [each.path for each in _likely_first(position, found)]
    if position.path not in names and Path(position.path).exists():
        names.append(position.path)  # where a symbolic link pointed at
    for name in names if position.head_size else []:
        try:
            if (file := open_at(Path(name), position)) is not None:
                return file
        except FileNotFoundError:
            raise
        except OSError:
            if name == must:
                raise
    return None


def _likely_first(position: Position, found: Sequence[Generation]) -> Iterable[Generation]:
    """Leave out what is too short, and begin with the inode number; the newest first otherwise."""
    likely = [each for each in reversed(found) if each.path.endswith(COMPRESSED) or each.size >= position.offset]
    return sorted(likely, key=lambda each: (each.device, each.inode) != (position.device, position.inode))


def _perhaps_lost(file: OpenGeneration, position: Position, found: Sequence[Generation]) -> str:
    """Say what nobody can know of the way from the file of the position to the next one; "" when all is known."""
    names = [(each.device, each.inode) for each in found]
    if names and file.id not in names:
        return HIDDEN  # a symbolic link was pointed elsewhere
    own = (position.device, position.inode)
    # Copied and truncated: another file has its content, its inode other content. Of a compressed one nobody can say,
    # for the inode number may have been used again.
    return MOMENT if names and file.id != own and file.stream is None and names[-1] == own else ""
