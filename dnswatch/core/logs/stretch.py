"""A stretch of log bytes: where whole lines are, what in it is no line, which lines are samples.

Never: parses, or looks at more bytes than it must. Read next: ``sift.py``, ``digest.py``.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

Buffer = bytes | bytearray

SAMPLE_EVERY = 8 << 10
"""One sample in 8 KiB of file, about one line in 57 (DESIGN §4)."""
DENSE_BYTES = 16 << 20
SPARSE_EVERY = 64 << 10
"""Further into a file than `DENSE_BYTES` (2 048 samples) there are enough of them: one in 64 KiB. Where one line in a
thousand is watched, samples each 8 KiB were most of the work (benchmarks/README.md)."""
MAX_LINE = 64 << 10
"""A real line has at most 8 KiB (BIND) or 1 KiB (dnsmasq) (log_formats §1.6): longer is damage, not a line."""

LONG, HOLE = "line too long", "hole of NUL bytes"

_NULS = re.compile(rb"\0*")


def spacing(offset: int) -> int:
    """Give the distance of samples at this file offset, in bytes; each is a multiple of the one before."""
    return SAMPLE_EVERY if offset < DENSE_BYTES else SPARSE_EVERY


def each(_offset: int) -> int:
    """Give the distance of samples where every line is one."""
    return 1


class Gap(NamedTuple):
    """Bytes that are no line: the rest of one that is too long, or a hole of NUL bytes before one."""

    start: int
    end: int
    why: str  # "" = its beginning was reported with an earlier block


class Walk:
    """Finds how much of ``data[:size]`` can be consumed, and the gaps in it, by looking at one newline per 64 KiB.

    ``inside``: what the bytes before ended in the middle of, a "line" too long or a "hole", and then what these do.
    """

    def __init__(self, data: Buffer, size: int, inside: str = "") -> None:
        self.gaps: list[Gap] = []
        self.inside = ""
        at = 0
        if inside == "line":
            at = data.find(b"\n", 0, size) + 1 or size
            self.gaps.append(Gap(0, at, ""))
            self.inside = "" if at and data[at - 1 : at] == b"\n" else "line"
        elif inside == "hole":
            at = after_nuls(data, 0, size)
            self.gaps.append(Gap(0, at, ""))
            self.inside = "hole" if at == size else ""
        while not self.inside:
            newline = data.rfind(b"\n", at, min(at + MAX_LINE + 1, size))
            if newline != -1:
                at = newline + 1
            elif size - at <= MAX_LINE:
                break
            elif data[at] == 0:  # copytruncate under a writer without O_APPEND (log_formats §4.3)
                end = after_nuls(data, at, size)
                self.gaps.append(Gap(at, end, HOLE))
                self.inside = "hole" if end == size else ""
                at = end
            else:
                newline = data.find(b"\n", at + MAX_LINE, size)
                self.inside = "" if newline != -1 else "line"
                end = newline + 1 if newline != -1 else size
                self.gaps.append(Gap(at, end, LONG))
                at = end
        self.end = at


def after_nuls(data: Buffer, at: int, size: int) -> int:
    """Give where the NUL bytes at ``at`` end."""
    found = _NULS.match(data, at, size)
    assert found is not None
    return found.end()


def line_end(data: Buffer, line: int) -> int:
    """Give where the line at ``line`` ends, its newline included."""
    return data.find(b"\n", line) + 1 or len(data)


def due_lines(
    data: Buffer, start: int, end: int, offset: int, due: int, spaced: Callable[[int], int]
) -> tuple[list[int], int]:
    """Give the lines of ``data[start:end]``, whole lines, that are samples, and the file offset of the next one due.

    A sample is the first line that starts at or after ``due``, a file offset; ``data`` begins at ``offset``.
    """
    due -= offset
    line, lines = start, []
    while line < end:
        if line < due:
            newline = data.find(b"\n", due - 1, end)
            if newline == -1 or newline == end - 1:
                break
            line = newline + 1
        lines.append(line)
        at = offset + line
        every = spaced(at)
        due = line + every - at % every
    return lines, due + offset
