"""Sifts log bytes: keeps the lines that get parsed, candidates and samples, and leaves out all others.

What a sifter keeps of a file depends on nothing but the bytes and their offsets, so any process may sift any range of
it (``io/apart.py``); parsing, which depends on the lines before, is done in one place and in order by `Digest.sifted`.
Scanning without parsing in between is also faster: the interpreter does not drive the bytes out of the processor's
caches, nor the scan the interpreter (0.45 s instead of 0.85 s a GB).

Never: parses, or judges damage: a stretch with lines too long or NUL bytes is given up, and digested from the file's
own bytes. Read next: ``digest.py``.
"""

from __future__ import annotations

from array import array
from typing import NamedTuple

from dnswatch.core.logs.prescan import Prescan, line_starts
from dnswatch.core.logs.stretch import Buffer, Walk, due_lines, spacing

CANDIDATE, SAMPLE = 1, 2


class Sifted(NamedTuple):
    """What is left of ``start`` to ``end`` of a file, whole lines."""

    start: int
    end: int
    due: int  # file offset where the next sample is due
    offsets: array[int]  # of the kept lines in the file, ascending
    marks: bytes  # for each: CANDIDATE, SAMPLE or both
    text: bytes  # the kept lines with their newlines


class Sifter:
    """Sifts one range of a file, block by block, from the start of the first line in it on."""

    def __init__(self, prescan: Prescan, begin: int, start: int) -> None:
        """Begin with the first line at or after ``begin``, which starts at ``start``.

        ``begin`` is a multiple of `SPARSE_EVERY`, so that this line is a sample whatever came before.
        """
        self.plain = True
        self.at = self.start = start
        self._prescan = prescan
        self._due = begin
        self._offsets = array("Q")
        self._marks = bytearray()
        self._text: list[Buffer] = []

    def add(self, data: Buffer, size: int) -> None:
        """Sift ``data[:size]``, whole lines, which go on where the last ones ended."""
        walk = Walk(data, size)
        if walk.gaps or walk.end != size or not size:
            self.plain = False
        if self.plain:
            kept = line_starts(data, self._prescan.find(data, size))
            marks = bytes((CANDIDATE,)) * len(kept)
            samples, self._due = due_lines(data, 0, size, self.at, self._due, spacing)
            if samples:
                both = dict.fromkeys(kept, CANDIDATE)
                for line in samples:
                    both[line] = both.get(line, 0) | SAMPLE
                kept = sorted(both)
                marks = bytes([both[line] for line in kept])
            at, newline = self.at, data.find
            self._offsets.extend([at + line for line in kept])
            self._marks += marks
            self._text += [data[line : newline(b"\n", line) + 1] for line in kept]
        self.at += size

    def sifted(self) -> Sifted | None:
        """Give what was kept; None where the range holds what is no line."""
        text = b"".join(self._text)
        if not self.plain or b"\0" in text:
            return None
        return Sifted(self.start, self.at, self._due, self._offsets, bytes(self._marks), text)
