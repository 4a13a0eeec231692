"""Whether anybody has written to the store since: one `stat` of its write-ahead log, no statement, no thread.

Commands leave orders in the store (`alerts ack`, `sink requeue`), and a daemon that has nothing else to do need not
ask for them each second. May say yes without need, never no when there was a commit. Never: opens the store.
Read next: ``book.py`` for the orders.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

GRAIN_S = 0.1
"""Two writes as close as this may have the same time on them (a tick of the kernel is up to 10 ms)."""


class Writings:
    """Remembers how the store was at the last look."""

    def __init__(self, store: Path) -> None:
        self._path = f"{store}-wal"
        self._seen: tuple[int, int, int] | None = None

    def since(self) -> bool:
        """Say whether the store was written to since the last call, by this process or by another."""
        try:
            now = os.stat(self._path)  # noqa: PTH116 (each second, for ever)
        except OSError:
            return True
        seen, self._seen = self._seen, (now.st_ino, now.st_size, now.st_mtime_ns)
        if abs(time.time() - now.st_mtime) < GRAIN_S:
            self._seen = None  # one more look, when the grain is over
            return True
        return seen != self._seen
