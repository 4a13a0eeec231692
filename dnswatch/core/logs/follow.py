"""What happened to a log file while nobody looked: rotation, truncation, resume. Decisions only, from facts.

Never: touches a file (``io/tail.py`` gathers the facts and does what is decided here). Inode numbers are hints: ext4
gives BIND's fresh log the number of the one deleted a moment ago (log_formats §0.7), so content decides which file is
which: the first bytes and the bytes before our offset. Only while we hold a file open is its inode number its own.
Read next: ``io/tail.py``.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterable, Sequence
from functools import lru_cache
from typing import Literal, NamedTuple

from dnswatch.core.model import Position

HEAD = 256
"""First bytes that identify a file: more than one line of any server, so at least one stamp with its client."""
TAIL = 64
"""Bytes before the offset: they tell a file that was truncated and has grown past our offset again."""

Step = Literal["read", "wait", "restart", "next"]


class Facts(NamedTuple):
    """One look at the file we hold open and at the path we follow. The path is looked at first."""

    path_id: tuple[int, int] | None  # device and inode of what the path names; None: nothing there
    open_id: tuple[int, int]
    size: int  # of the open file
    read: int  # bytes of it that were read, an incomplete last line included
    same: bool  # head and tail are still the bytes that we read


def decide(facts: Facts) -> Step:
    """Say what to do with the open file.

    ``restart``: it was truncated, or truncated and has grown again (copytruncate). ``read``: there is more.
    ``next``: the path names another file and this one is read to its end. ``wait``: nothing happened; also while the
    path names nothing, for a renamed file is written on until the server opens its log again (log_formats §4).
    """
    if facts.size < facts.read or not facts.same:
        return "restart"
    if facts.size > facts.read:
        return "read"
    if facts.path_id is not None and facts.path_id != facts.open_id:
        return "next"
    return "wait"


# ── Identity by content ───────────────────────────────────────────────────────────────────────────────────────


def fingerprint(data: bytes) -> str:
    """Hash head or tail bytes; nothing has no fingerprint."""
    return hashlib.sha256(data).hexdigest() if data else ""


def fits(position: Position, size: int, head: bytes, tail: bytes) -> bool:
    """Say whether ``position`` was taken in a file of this ``size``.

    ``head``: its first ``position.head_size`` bytes. ``tail``: the ``position.tail_size`` bytes before the offset.
    Never true for a position without a head (an empty file): only the inode number is known of it.
    """
    if not position.head_size or size < position.offset:
        return False
    return fingerprint(head) == position.head_hash and fingerprint(tail) == position.tail_hash


class Generation(NamedTuple):
    """One file of a log, as a directory listing shows it."""

    path: str
    device: int
    inode: int
    size: int
    changed_ns: int  # time of the last write


def newer(
    generations: Sequence[Generation], held: tuple[int, int], changed_ns: int, read: Collection[tuple[int, int]] = ()
) -> Generation | None:
    """Give the generation that follows the one we hold; None while there is none.

    ``generations``: oldest first, the followed path last. ``held``: device and inode of the file that has its content.
    When that has no name any more, what was not written to before its last write (``changed_ns``) is newer, unless it
    was ``read``. Not "later": a server can fill a file within one tick of the clock of a file system (4 ms).
    """
    for i, generation in enumerate(generations):
        if held == (generation.device, generation.inode):
            return generations[i + 1] if i + 1 < len(generations) else None
    return unread(generations, changed_ns, read) or (generations[-1] if generations else None)


def unread(generations: Sequence[Generation], changed_ns: int, read: Collection[tuple[int, int]]) -> Generation | None:
    """Give the oldest generation to go on with when the file last seen written at ``changed_ns`` cannot be found."""
    for generation in generations:
        known = (generation.device, generation.inode) in read
        if generation.size and generation.changed_ns >= changed_ns and not known:
            return generation
    return None


# ── Names of rotated files ────────────────────────────────────────────────────────────────────────────────────

COMPRESSED = (".gz", ".xz", ".zst", ".bz2")
_DATE = r"(?:19|20)\d\d(?P<sep>[-_.]?)[01]\d(?P=sep)[0-3]\d(?:[-_.T]?\d{2}[-_:.]?\d{2}(?:[-_:.]?\d{2}(?:\d{3})?)?)?"
_NUMBER = re.compile(r"(?P<stem>.+)[.](?P<number>\d{1,5})\Z")
_DATED = re.compile(rf"(?P<stem>.+?)[-._](?P<date>{_DATE}(?:-\d{{10}})?|1\d{{9}})\Z")
_INFIX = re.compile(rf"(?P<before>.*?)(?P<date>{_DATE})(?P<after>.*)\Z")

Order = tuple[int, str, int]


@lru_cache(4096)  # a directory of a thousand files is listed at each of its rotations
def split_rotation(name: str) -> tuple[str, Order]:
    """Take a file name apart: the log's own name, and a key that sorts its files oldest first.

    ``query.log.3.gz`` (the higher the older), ``query.log-20261122``, BIND's ``query.log.20261122191938353`` (UTC, ms),
    ``query-2026-11-22.log`` (known as ``query-*.log``); the bare name is the newest.
    """
    plain = name
    for ending in COMPRESSED:
        plain = plain.removesuffix(ending)
    if found := _DATED.match(plain):
        return found["stem"], (0, re.sub(r"\D", "", found["date"]).ljust(27, "0"), 0)
    if found := _NUMBER.match(plain):
        return found["stem"], (1, "", -int(found["number"]))
    if found := _INFIX.match(plain):
        stem = f"{found['before']}*{found['after']}"
        return stem, (0, re.sub(r"\D", "", found["date"]).ljust(27, "0"), 0)
    return plain, (2, "", 0)


def own_path(path: str) -> str:
    """Give the path of the log that a file belongs to: without its rotation, ``/var/log/query.log`` for its ``.0``."""
    directory, slash, name = path.rpartition("/")
    return directory + slash + split_rotation(name)[0]


def siblings(base: str, names: Iterable[str]) -> list[str]:
    """Choose the rotated files of the log ``base`` among ``names``, oldest first.

    Of ``query.log.1`` and ``query.log.1.gz`` (it is being compressed) the plain one counts. A date before the ending is
    of this log, too: ``dns-2026-11-22-19-00-00.log`` (Zeek), ``query-20261122.log`` (``extension`` of logrotate).
    """
    root, dot, ending = base.rpartition(".")
    dated = f"{root}-*{dot}{ending}" if root else base
    chosen: dict[Order, str] = {}
    for name in sorted(names, key=lambda each: (each.endswith(COMPRESSED), each)):
        stem, order = split_rotation(name)
        if stem in (base, dated) and order[0] != 2:
            chosen.setdefault(order, name)
    return [chosen[order] for order in sorted(chosen)]
