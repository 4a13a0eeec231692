"""From the outbox to the sinks: one ordered cursor and one task per sink.

A sink sees only checkpointed revisions, in decision order, each until it has taken it: delivery is at least once, and
(id, rev) tells a repeated one. Never: retries or drops; a failing `send` raises through to ``supervise.py``, which
comes back here, to the same batch. Read next: ``io/sinks/``.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Protocol

from dnswatch.core.alerts import Context, render
from dnswatch.core.model import SEVERITIES, Alert, Severity
from dnswatch.io.store import Store
from dnswatch.io.supervise import Supervised

BATCH = 500
"""Revisions handed over at once (delivery.md §1.5): bounds what is sent twice after a broken connection."""
STOP_S = 4.0
"""A sink that is told to stop may finish its batch for this long; half of what SIGTERM allows us."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """One revision on its way to one sink."""

    seq: int  # its number in the outbox: grows, and stays with the revision
    alert: Alert


Render = Callable[[Delivery], bytes]
"""Makes the message of a delivery, without newline or framing."""


def renderer(name: str, context: Context) -> Render:
    """Make messages in the format ``name``; they are numbered from 1, as a syslog sender must (RFC 5424 §7.3.1)."""
    sequence = itertools.count(1)

    def message(delivery: Delivery) -> bytes:
        # The offset of the alert's own day: a daemon lives through changes of daylight saving time.
        zone = datetime.fromtimestamp(delivery.alert.at, UTC).astimezone().tzinfo or UTC
        return render(name, delivery.alert, replace(context, sequence=next(sequence), zone=zone))

    return message


class Sink(Protocol):
    """Where alerts go. One task uses it at a time."""

    async def send(self, batch: Sequence[Delivery]) -> None:
        """Hand over the whole batch, in order; return only when that is done as well as the transport can tell.

        Raises `OSError`, and is then called again with the same batch; never retries itself.
        """

    async def close(self) -> None:
        """Let go of files and connections; `send` may open them again."""


class Courier:
    """Carries the outbox to one sink, from where its stored cursor stands."""

    def __init__(self, store: Store, name: str, sink: Sink, min_severity: Severity = "info") -> None:
        self.name = name
        self.sent = 0
        self.skipped = 0  # below min_severity
        self.last_at = 0.0  # wall time of the last batch handed over
        self.task = Supervised(f"sink {name}", self._run)
        self._store = store
        self._sink = sink
        self._least = SEVERITIES.index(min_severity)
        self._wake = asyncio.Event()
        self._stopping = False
        self._cursor = -1
        self._running: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Make sure that the sink has a cursor (a new sink starts at now) and begin to deliver."""
        self._cursor = (await self._store.cursors([self.name]))[self.name]
        self._running = asyncio.create_task(self.task.run(), name=self.task.name)

    def wake(self) -> None:
        """Say that the outbox may have grown."""
        self._wake.set()

    async def stop(self, drain: bool = True) -> None:
        """Stop between two batches; with ``drain`` hand over what is there first, as far as `STOP_S` allows."""
        if self._running is None:
            return
        self._stopping = True
        self._wake.set()
        if self.task.error or not drain:  # it fails or waits: there is nothing to finish
            self._running.cancel()
        await asyncio.wait([self._running], timeout=STOP_S)
        self._running.cancel()
        await asyncio.gather(self._running, return_exceptions=True)
        self._running = None
        await self._sink.close()

    async def _run(self) -> None:
        try:
            while True:
                self._wake.clear()
                waiting = await self._store.waiting(self._cursor, BATCH)
                if waiting:
                    await self._hand_over([Delivery(seq, alert) for seq, alert in waiting])
                elif self._stopping:
                    return
                else:
                    await self._wake.wait()
        finally:
            await self._sink.close()

    async def _hand_over(self, batch: list[Delivery]) -> None:
        wanted = [one for one in batch if SEVERITIES.index(one.alert.severity) >= self._least]
        if wanted:
            await self._sink.send(wanted)
            self.sent += len(wanted)
            self.last_at = time.time()
        self.skipped += len(batch) - len(wanted)
        # Moved in memory first: when the store is full, the sink must not get the same batch again and again.
        self._cursor = batch[-1].seq
        await self._store.move_cursor(self.name, self._cursor)
        self.task.progress()
