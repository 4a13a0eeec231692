"""Keeping a task alive: run it, and after a failure run it again with growing pauses. The only retry loop there is.

A failed world (`OSError`) is expected and told in one line when it begins and when it ends. Anything else is a bug of
ours: it is told with its traceback and the task still goes on, because a broken sink must not stop detection. Never:
swallows silently; ``failures`` and ``error`` are in status and metrics. Read next: ``daemon.py``.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable

from dnswatch.errors import DnswatchError

FIRST_S, MOST_S = 0.2, 60.0
"""Pauses grow from the first to the second, doubled each time, with full jitter (delivery.md §1.5)."""
SAY_AGAIN_S = 600.0
"""A failure that lasts is told again this often."""

log = logging.getLogger("dnswatch")


class Supervised:
    """One named piece of work that must not stay dead.

    ``work`` returns when it is done for good, or raises; it calls `progress` whenever something succeeded, which ends
    the failure and resets the pauses. Work on the engine does not survive bugs: half an effect must never be
    checkpointed, so the process ends and the next one starts from the last checkpoint.
    """

    def __init__(
        self,
        name: str,
        work: Callable[[], Awaitable[None]],
        *,
        first_s: float = FIRST_S,
        most_s: float = MOST_S,
        survives_bugs: bool = True,
    ) -> None:
        self.name = name
        self.error = ""  # the failure that lasts; "" = fine
        self.since = 0.0  # wall time of its beginning
        self.failures = 0  # ever
        self._work = work
        self._first_s = self._pause_s = first_s
        self._most_s = most_s
        self._survives_bugs = survives_bugs
        self._said_at = 0.0

    def progress(self) -> None:
        """Note that the work does what it should."""
        if self.error:
            log.info("%s: works again after %.0f s", self.name, time.time() - self.since)
        self.error = ""
        self._pause_s = self._first_s

    async def run(self) -> None:
        """Run the work until it returns; only cancellation ends it otherwise."""
        while True:
            try:
                await self._work()
            except (OSError, DnswatchError) as error:
                self._failed(describe(error))
            except Exception as error:  # the one place: see the module docstring
                if not self._survives_bugs:
                    raise
                self._failed(f"internal error: {type(error).__name__}: {error}")
                log.exception("%s: internal error, please report it", self.name)
            else:
                return
            await asyncio.sleep(random.uniform(0, self._pause_s))
            self._pause_s = min(self._pause_s * 2, self._most_s)

    def _failed(self, error: str) -> None:
        self.failures += 1
        now = time.time()
        if not self.error:
            self.since = now
        if error != self.error or now - self._said_at > SAY_AGAIN_S:
            lasting = f" (for {now - self.since:.0f} s now)" if self.error == error else ""
            log.warning("%s: %s; trying again%s", self.name, error, lasting)
            self._said_at = now
        self.error = error


def describe(error: BaseException) -> str:
    """Say an error in one line, without Python's decoration."""
    if isinstance(error, TimeoutError):
        return str(error) or "no answer in time"
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}: {error.filename}" if error.filename else error.strerror
    return (str(error) or type(error).__name__).replace("\n", "; ")
