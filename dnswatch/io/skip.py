"""Catching up no farther back than the operator wants: which file to go on with instead, and how much that leaves out.

Never: skips unless `catch_up` is configured; what is left out is counted, logged and told as a blind spot. Read next:
``resume.py``.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from dnswatch.config.values import Extent
from dnswatch.core.logs.follow import Generation
from dnswatch.io.generation import OpenGeneration, generations

LEFT_OUT = "left out as configured (catch_up)"


def cut_short(
    path: Path,
    olddir: Path | None,
    file: OpenGeneration,
    most: Extent,
    now: float,
    stamp_of: Callable[[bytes], float | None] | None,
) -> tuple[OpenGeneration, int]:
    """Give the file to go on with, and how many bytes (packed ones as they are) are left out; ``file`` and 0: none.

    Raises `FileNotFoundError` when a file goes meanwhile: look again.
    """
    found = generations(path, olddir, since=file.id)
    later = [each for each in found if (each.device, each.inode) != file.id and each.changed_ns >= file.changed_ns]
    rest = max(file.size() - file.offset, 0) if file.stream is None else file.size()
    if most.size is not None:
        return _by_size(file, rest, later, most.size)
    return _by_time(file, rest, later, now - (most.seconds or 0.0), stamp_of)


def _by_size(file: OpenGeneration, rest: int, later: list[Generation], most: int) -> tuple[OpenGeneration, int]:
    over = rest + sum(each.size for each in later) - most
    if over <= 0:
        return file, 0
    left_out = 0
    for each in [None, *later]:
        size = rest if each is None else each.size
        if over < size:
            target = file if each is None else _instead(file, each)
            at = target.line_start(target.offset + over) if target.stream is None else 0
            left_out += max(at - target.offset, 0)
            if at > target.offset:
                target.seek(at)
            return target, left_out
        left_out += size
        over -= size
    return file, 0  # `most` is at least a byte: not reached


def _by_time(
    file: OpenGeneration,
    rest: int,
    later: list[Generation],
    since: float,
    stamp_of: Callable[[bytes], float | None] | None,
) -> tuple[OpenGeneration, int]:
    target, left_out = file, 0
    if later and file.changed_ns < since * 1e9:
        index = next((n for n, each in enumerate(later) if each.changed_ns >= since * 1e9), len(later) - 1)
        left_out = rest + sum(each.size for each in later[:index])
        target = _instead(file, later[index])
    if target.stream is None and stamp_of is not None:
        at = target.first_line_since(since, stamp_of)
        if at > target.offset:
            left_out += at - target.offset
            target.seek(at)
    return target, left_out


def _instead(file: OpenGeneration, other: Generation) -> OpenGeneration:
    opened = OpenGeneration(Path(other.path))
    with suppress(OSError):
        file.close()
    return opened
