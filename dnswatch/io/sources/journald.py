"""The systemd journal, read by `journalctl --follow`: what a service writes to stdout, stderr or syslog.

The journal can be asked again: the cursor of the last entry consumed goes with each checkpoint, and after a crash
reading goes on behind it, so every line counts once. What the journal itself did not take (its rate limit) or has
deleted before we came back to it is counted as lost. Never: opens journal files, whose format is systemd's own affair.
Read next: ``core/logs/journal.py``.
"""

from __future__ import annotations

import asyncio
import shutil
import time
from bisect import bisect_right
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial

from dnswatch.config.model import Source
from dnswatch.core.logs import journal
from dnswatch.core.model import Position
from dnswatch.io.way import Consume, Stream

CHUNK = 256 << 10
MOST_ENTRY = 1 << 20
"""Octets of an entry: a message that is not UTF-8 is written as numbers, up to five for each of its octets."""
IDLE_S = 0.1
"""Nothing for so long: everything that was there has been read."""
ASK_S = 20.0
"""Longest wait for an answer: journalctl opens every file, and disks are slow after a boot."""
VACUUMED = "deleted from the journal before it was read"
SUPPRESSED = "not taken by the journal: rate limit (RateLimitBurst= in journald.conf)"


class Journald(Stream):
    """Follows a unit, an identifier, or both."""

    def __init__(self, settings: Source, resume: Position | None) -> None:
        super().__init__(settings.id, resume)
        assert settings.journald is not None
        self._journal = settings.journald
        self._start = settings.start
        self._checked = False
        self._began = time.time()

    async def run(self, consume: Consume) -> None:
        """See `Way`."""
        if shutil.which("journalctl") is None:
            raise OSError(2, "there is no journalctl: is systemd running here?")
        if not self._checked:
            await self._find_place()
            self._checked = True
        await self.hand(consume, b"", at_end=False)
        since = [f"--since=@{self._start:.0f}"] if isinstance(self._start, float) and not self.cursor else []
        place = [f"--after-cursor={self.cursor}"] if self.cursor else since
        fields = f"--output-fields={','.join(journal.FIELDS)}"
        arguments = ["--follow", "--no-tail", "--all", "-o", "json", fields, *place, *self._matches()]
        async with self._journalctl(*arguments) as (output, said):
            await self._read(output, consume)
            raise OSError(5, f"journalctl: {said[-1] if said else 'it ended'}")

    def _matches(self) -> list[str]:
        """Name the entries: those of the unit, and what the journal says of its rate limit."""
        wanted = [f"_SYSTEMD_UNIT={self._journal.unit}"] if self._journal.unit else []
        wanted += [f"SYSLOG_IDENTIFIER={self._journal.identifier}"] if self._journal.identifier else []
        return [*wanted, "+", f"MESSAGE_ID={journal.SUPPRESSED}"]

    async def _find_place(self) -> None:
        """Find out where to begin, and whether that is still there."""
        if self.cursor:
            first = await self._first("-o", "json", "--output-fields=_PID", f"--cursor={self.cursor}")
            entry = journal.read(first)
            if entry is None or entry.cursor != self.cursor:
                self.lose(VACUUMED)
        elif self._start == "end":
            # Not the last one of now: journalctl starts a while after us, and what was logged meanwhile is new.
            told = await self._first("-o", "json", "--output-fields=_PID", "-n", "1", f"--until=@{self._began:.6f}")
            entry = journal.read(told)
            self.cursor = entry.cursor if entry is not None else ""

    async def _first(self, *arguments: str) -> bytes:
        """Give the first line of what journalctl prints, b"" where there is none."""
        async with self._journalctl(*arguments) as (output, said):
            async with asyncio.timeout(ASK_S):
                first = await output.readline()
                if not first and said:
                    raise OSError(5, f"journalctl: {said[-1]}")
                return first

    async def _read(self, output: asyncio.StreamReader, consume: Consume) -> None:
        rest = b""
        while True:
            try:
                async with asyncio.timeout(None if self.at_end else IDLE_S):
                    data = await output.read(CHUNK)
            except TimeoutError:
                await self.hand(consume, b"", at_end=True)
                continue
            if not data:
                return
            *entries, rest = (rest + data).split(b"\n")
            if len(rest) > MOST_ENTRY:
                self.lose("journal entry too long", 1)
                rest = b"!"  # what still comes of it is no entry
            lines, ends, cursors = bytearray(), [0], [self.cursor]
            for entry in filter(None, map(journal.read, entries)):
                lines += entry.line
                ends.append(len(lines))
                cursors.append(entry.cursor)
                if entry.suppressed and self._is_ours(entry.unit):
                    self.lose(SUPPRESSED, entry.suppressed)
            if len(ends) > 1:
                mark = partial(_mark, ends, cursors)
                await self.hand(consume, bytes(lines), at_end=False, cursor_after=mark)
                if not lines:
                    self.cursor = cursors[-1]

    def _is_ours(self, unit: str) -> bool:
        """Say whether a notice is about what we read; the journal counts by unit only."""
        return unit == self._journal.unit or self._journal.unit is None

    @asynccontextmanager
    async def _journalctl(self, *arguments: str) -> AsyncIterator[tuple[asyncio.StreamReader, list[str]]]:
        """Run journalctl; give its output and the lines of its complaints."""
        namespace = [f"--namespace={self._journal.namespace}"] if self._journal.namespace else []
        process = await asyncio.create_subprocess_exec(
            "journalctl", "--no-pager", "--quiet", *namespace, *arguments, stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, limit=MOST_ENTRY,
        )  # fmt: skip
        assert process.stdout is not None
        assert process.stderr is not None
        said: list[str] = []
        listening = asyncio.get_running_loop().create_task(_listen(process.stderr, said))
        try:
            yield process.stdout, said
        finally:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
            listening.cancel()
            await asyncio.wait([listening])


def _mark(ends: list[int], cursors: list[str], size: int) -> str:
    """Give the cursor of the last entry whose line ends within so many octets."""
    return cursors[bisect_right(ends, size) - 1]


async def _listen(errors: asyncio.StreamReader, said: list[str]) -> None:
    """Keep the last complaints."""
    with suppress(ValueError):  # a line without end
        while text := await errors.readline():
            said[:] = [*said[-3:], text.decode("utf-8", "replace").strip()]
