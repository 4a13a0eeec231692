"""All logs that are followed at this moment: which readers there are, and what changes when the configuration does.

Never: touches a reader that the new configuration wants as it is. Read next: ``ingest.py``.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from dnswatch.config.model import Source
from dnswatch.config.values import time_text
from dnswatch.config.ways import STDIN
from dnswatch.core.detect.engine import Engine
from dnswatch.core.policy import Policy
from dnswatch.core.reading import Scan
from dnswatch.io.automata import scan_of
from dnswatch.io.discover import log_files
from dnswatch.io.ingest import Reader
from dnswatch.io.ledger import Ledger
from dnswatch.io.store import SourceState, Store
from dnswatch.io.weave import Weave

BEGUN_S = 5.0
"""A log on a file system that hangs must not keep the others from being followed."""
LOST_APART_S = 60.0
"""A server that removes its log at each rotation may do so many times a second."""

Spawn = Callable[[Coroutine[Any, Any, None]], "asyncio.Task[None]"]
log = logging.getLogger("dnswatch")


class Following:
    """The readers by the name of their log: the path of a file, or the place where it comes from."""

    def __init__(
        self, engine: Engine, ledger: Ledger, store: Store, spawn: Spawn,
        lost_before: Callable[[str], Mapping[str, int]] = lambda _: {}, automata: Path | None = None,
    ) -> None:  # fmt: skip
        """``automata``: the folder where large ones are kept."""
        self.readers: dict[str, Reader] = {}
        self._engine = engine
        self._ledger = ledger
        self._store = store
        self._spawn = spawn
        self._lost_before = lost_before
        self._automata = automata
        self._weave = Weave()
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._stored: dict[str, SourceState] = {}
        self._said: dict[str, str] = {}
        self._lost: dict[tuple[str, str], tuple[int, float]] = {}  # how many were told of, and when
        self._left: dict[str, SourceState] = {}
        self._sources: Sequence[Source] = ()
        self._policy: Policy | None = None
        self._prescans: dict[str, Scan] = {}
        self._stopped = False

    def begin(self, stored: Mapping[str, SourceState]) -> None:
        """Take the positions that the last process left."""
        self._stored = dict(stored)

    async def follow(self, sources: Sequence[Source], policy: Policy) -> None:
        """Follow these sources under this policy, and no others. Lines that were read stay read."""
        first = self._policy is None
        if self._policy is None or policy.catalog != self._policy.catalog:
            self._prescans = {kind: await self._build(kind, policy) for kind in sorted({one.type for one in sources})}
        for kind in {one.type for one in sources} - self._prescans.keys():
            self._prescans[kind] = await self._build(kind, policy)
        self._sources, self._policy = tuple(sources), policy
        wanted = {name: one for one in reversed(self._sources) for name in _names(one)}
        for name, reader in list(self.readers.items()):
            if wanted.get(name) == reader.settings:
                reader.rescan_with(self._prescans[reader.settings.type])
            else:
                await self._drop(name)
        await self._adopt(wanted, newborn=False)
        self._reconfigure()
        if not first:
            log.info("following %d log%s", len(self.readers), "s" * (len(self.readers) != 1))

    async def look(self) -> None:
        """Follow files that have come to match a pattern since; those are read from their start."""
        known = len(self.readers)
        wanted = {name: one for one in reversed(self._sources) for name in _names(one)}
        await self._adopt(wanted, newborn=True)
        if len(self.readers) != known:
            self._reconfigure()

    async def stop(self) -> None:
        """Stop reading for good; positions stay."""
        self._stopped = True
        self._tell_lost(final=True)  # the next process does not know of it
        for name in list(self._tasks):
            await self._drop(name, keep=True)

    def states(self) -> Iterator[SourceState]:
        """Give the state of every source, for a checkpoint. What was lost before it is told of first."""
        self._tell_lost(final=False)  # when we are killed after the checkpoint, nobody else knows
        for reader in self.readers.values():
            state = reader.state()
            if state is not None:
                yield state
        # What was read of a log that is not followed any more must be known when it comes back.
        yield from (state for name, state in self._left.items() if name not in self.readers)

    def log_now(self, now: float) -> float | None:
        """Give the log time at wall time ``now``; None while a log is still being caught up with."""
        times = []
        for reader in self.readers.values():
            if reader.behind() == "backlog":
                return None
            if not reader.last_at or (reader.waiting() and not reader.at_end):  # nobody knows when it goes on
                continue
            at = reader.log_now(now)
            if at is None:
                return None
            times.append(at)
        return max(times, default=None)

    def tell(self) -> None:
        """Say once when a log cannot be read, and when it can be again."""
        for name, reader in self.readers.items():
            waiting = reader.waiting()
            if waiting == self._said.get(name, ""):
                continue
            self._said[name] = waiting
            if not waiting:
                log.info("source %s: is read", name)
            elif not reader.task.error:  # what the supervisor saw it has told itself
                log.warning("source %s: %s; waiting for it", name, waiting)

    def _tell_lost(self, final: bool) -> None:
        """Say when some of a log was lost: at once, but the same reason once a minute only, and in the end."""
        now = time.monotonic()
        for name, reader in self.readers.items():
            for why, count in reader.lost_now().items():
                told, told_at = self._lost.get((name, why), (0, -LOST_APART_S))
                if count > told and (final or now - told_at >= LOST_APART_S):
                    self._lost[name, why] = count, now
                    log.warning("source %s: lost: %s (%d times so far)", name, why, count)

    def rows(self) -> dict[str, dict[str, Any]]:
        """Give the status rows."""
        return {f"source:{name}": reader.row() for name, reader in sorted(self.readers.items())}

    async def _adopt(self, wanted: Mapping[str, Source], newborn: bool) -> None:
        for name in (name for one in self._sources for name in _names(one)):
            if name in self.readers or name not in wanted:
                continue
            settings, resume = wanted[name], self._stored.get(name)
            start = "start" if newborn else settings.start
            anchor = await self._store.year_anchor(name, time.time())
            prescan = self._prescans[settings.type]
            reader = Reader(settings, name, self._engine, self._ledger, prescan, resume, anchor, start, self._weave)
            reader.lost_before = self._lost_before(name)
            if settings.forwarders:
                reader.on_sender = self._reconfigure
            self.readers[name] = reader
            where = (
                f"from byte {resume.position.offset}"
                if resume
                else f"from {time_text(start) if isinstance(start, float) else start}"
            )
            zone = settings.timezone or "UTC"
            log.info("source %s: %s, %s, stamps without a zone are %s", name, settings.type, where, zone)
        if self._stopped:  # a look for new files that was late: what it began now would never end
            return
        # Only when all are known can they take turns.
        for name, reader in self.readers.items():
            if name not in self._tasks:
                self._tasks[name] = self._spawn(reader.task.run())
        # Where `from: end` begins must be settled before anybody is told that we are ready.
        await asyncio.gather(*(reader.begun(BEGUN_S) for reader in self.readers.values()))

    async def _drop(self, name: str, keep: bool = False) -> None:
        task = self._tasks.pop(name)
        task.cancel()
        await asyncio.wait([task])
        self.readers[name].leave()
        if keep:
            return
        state = self.readers.pop(name).state()
        if state is not None:
            self._stored[name] = self._left[name] = state

    async def _build(self, kind: str, policy: Policy) -> Scan:
        """Compile what finds the policy's names. That can take seconds, in which the one before serves."""
        prescan = await asyncio.to_thread(scan_of, kind, policy.catalog, self._automata)
        if prescan.why:
            log.warning("%s logs are searched with the %s tier: %s", kind, prescan.tier, prescan.why)
        return prescan

    def _reconfigure(self) -> None:
        """Give the engine its policy, with the forwarders of a pattern known for each of its files."""
        assert self._policy is not None
        forwarders = {
            source: frozenset(reader.settings.forwarders)
            for name, reader in self.readers.items()
            if reader.settings.forwarders
            for source in (name, *reader.senders)
        }
        detection = replace(self._policy.detection, forwarders=forwarders)
        self._engine.reconfigure(replace(self._policy, detection=detection))


def _names(source: Source) -> list[str]:
    """Give what a source's logs are called: the files that its path matches now, or the one place it listens at."""
    if source.journald or source.listen or source.path == STDIN:
        return [source.id]
    return [str(path) for path in log_files(source.path)]
