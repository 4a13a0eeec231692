"""When to checkpoint: what the engine did since the last one, kept until the store has it.

Everything since the last commit is in one place: positions of all sources, changed rows, revisions. `take` reads it in
one go, without letting anybody run in between, so a checkpoint is a cut through all sources at one moment. What a full
disk refuses is kept and goes with the next try; sources wait meanwhile, so nothing grows and nothing is lost. Never:
sends anything to a sink; couriers are woken after the commit. Read next: ``store/checkpoint.py``.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from dnswatch.core.detect.changes import Changes, Row
from dnswatch.core.detect.engine import DONE, Action, Engine
from dnswatch.core.model import Alert, Decision, Effect
from dnswatch.io.beat import until_beat
from dnswatch.io.store import Asked, Queued, SourceState, Store, Writings
from dnswatch.io.supervise import Supervised
from dnswatch.io.uncancelled import uncancelled

EVERY_S = 1.0
URGENT_APART_S = 0.005
"""Revisions are committed at once, but not sooner after the last commit: a burst of them shares commits."""
ASK_S = 0.9
"""Orders of commands are looked for so often at most: no alert waits for that (1 ms), and no order for two beats."""
IDLE_S = 30.0
"""Log time that passes without a line is stored this often only."""
EVERY_BYTES = 8 << 20
MOST_ATTEMPTS = 10_000
"""Attempts at which a checkpoint is made and sources wait for it: a second or two of a flood of made-up names, 20 MB of
rows and half a second of the disk. 8 MiB of such a log would be five times that."""
MOST_REVISIONS = 10_000
"""Uncommitted revisions at which sources wait too: some 30 MB."""


@dataclass(slots=True)
class Uncommitted:
    """What the next checkpoint must store."""

    positions: dict[str, SourceState] = field(default_factory=dict)
    changes: Changes = field(default_factory=Changes)
    revisions: list[Alert] = field(default_factory=list)
    decisions: list[Decision] = field(default_factory=list)
    applied: dict[int, str] = field(default_factory=dict)
    health: dict[tuple[str, str], Row | None] = field(default_factory=dict)


class Health(Protocol):
    """What is stored beside the engine: blind spots, which have alerts of their own, and what the monitor learned."""

    def changes(self) -> Mapping[tuple[str, str], Row | None]:
        """Give the rows that changed since the last call."""
        ...

    def act(self, action: Action) -> list[Alert]:
        """Apply what an operator asks of one of its alerts; nothing when it is none."""
        ...


class Ledger:
    """Collects effects and commits them by the rules of DESIGN §4."""

    def __init__(
        self, engine: Engine, store: Store, states: Callable[[], Iterable[SourceState]], health: Iterable[Health] = ()
    ) -> None:
        self.commits = 0
        self.committed_at = time.time()
        self.commit_s = 0.0
        self.revisions = 0
        self.alerts: Counter[str] = Counter()  # "category/severity" → revisions
        self.task = Supervised("checkpoint", self._run, most_s=5.0, survives_bugs=False)
        self._engine = engine
        self._store = store
        self._states = states
        self._health = tuple(health)
        self._wake: list[Callable[[Queued], None]] = []
        self.decided: Callable[[], None] = lambda: None  # called after a commit that stored decisions
        self._ended_at = 0.0  # monotonic, of the last commit
        self._held = Uncommitted()
        self._failed: Uncommitted | None = None  # taken, but not stored yet
        self._bytes = 0
        self._writings = Writings(store.path)
        self._ask = True  # somebody may have left orders in the store
        self._asked_at = -ASK_S  # monotonic
        self.fed = asyncio.Event()  # bytes came; whoever waits for that clears it
        self._urgent = asyncio.Event()
        self._room = asyncio.Condition()
        self._committing = asyncio.Lock()
        self._stored_positions: dict[str, SourceState] = {}

    def on_revision(self, wakes: Iterable[Callable[[Queued], None]]) -> None:
        """Say whom to wake after a commit that put something into the outbox, and with what."""
        self._wake = list(wakes)

    def note(self, effects: Iterable[Effect], consumed: int) -> None:
        """Take what the engine returned for ``consumed`` bytes."""
        for effect in effects:
            if isinstance(effect, Alert):
                self._held.revisions.append(effect)
                self.alerts[f"{effect.category}/{effect.severity}"] += 1
                self.revisions += 1
            else:
                self._held.decisions.append(effect)
            self._urgent.set()
        self._bytes += consumed
        if consumed:
            self.fed.set()
        if self._bytes >= EVERY_BYTES or self._engine.unsaved >= MOST_ATTEMPTS:
            self._urgent.set()

    async def room(self) -> None:
        """Wait while too much is uncommitted: back-pressure for the sources."""
        if self._full():
            async with self._room:
                await self._room.wait_for(lambda: not self._full())

    def _full(self) -> bool:
        waiting = len(self._held.revisions) + (len(self._failed.revisions) if self._failed else 0)
        return self._bytes >= EVERY_BYTES or waiting >= MOST_REVISIONS or self._engine.unsaved >= MOST_ATTEMPTS

    @uncancelled
    async def commit(self, final: bool = False) -> None:
        """Apply waiting actions and store everything up to now. Raises `OSError` and keeps it all when that fails.

        Uncancelled as a whole: to store it and not to know would count it twice.
        """
        async with self._committing:
            self._ask = self._writings.since() or self._ask
            if self._ask and (final or time.monotonic() - self._asked_at >= ASK_S):
                for asked in await self._store.asked():
                    if asked.id not in self._held.applied and not (self._failed and asked.id in self._failed.applied):
                        self._apply(asked)
                self._ask, self._asked_at = False, time.monotonic()
            now, taken_bytes = self._take(), self._bytes
            if not (final or self._worth_storing(now)):
                return
            started = time.monotonic()
            queued = await self._store.checkpoint(
                list(now.positions.values()), now.changes, now.revisions, now.decisions, now.applied, now.health
            )
            self._failed = None
            self._stored_positions = now.positions
            self._bytes -= taken_bytes
            self.commits += 1
            self._ended_at = time.monotonic()
            self.commit_s = self._ended_at - started
            self.committed_at = time.time()
            self.task.progress()
            if now.revisions:
                for wake in self._wake:
                    wake(queued)
            if now.decisions:
                self.decided()
            async with self._room:
                self._room.notify_all()

    def _take(self) -> Uncommitted:
        """Move everything to be committed into one value, together with what a failed commit left over."""
        new, self._held = self._held, Uncommitted()
        self._urgent.clear()
        new.changes = self._engine.changes()
        new.positions = {state.position.source: state for state in self._states()}
        for part in self._health:
            new.health.update(part.changes())
        old = self._failed
        if old is not None:
            rows, sightings = {**old.changes.rows, **new.changes.rows}, old.changes.sightings + new.changes.sightings
            new.changes = Changes(rows, sightings)
            new.revisions = old.revisions + new.revisions
            new.decisions = old.decisions + new.decisions
            new.applied = {**old.applied, **new.applied}
            new.health = {**old.health, **new.health}
        self._failed = new
        return new

    def _worth_storing(self, new: Uncommitted) -> bool:
        """Say whether there is more than log time that went by: an idle server's disk may sleep."""
        changed = new.changes.rows.keys() - {("clock", "")}
        if changed or new.changes.sightings or new.revisions or new.decisions or new.applied or new.health:
            return True
        return new.positions != self._stored_positions or time.time() - self.committed_at >= IDLE_S

    def _apply(self, asked: Asked) -> None:
        """Let the engine do what an operator asked for, and note what became of it."""
        try:
            action = Action(**{"by": asked.by, "at": asked.at, **asked.data})
        except TypeError as error:
            self._held.applied[asked.id] = f"refused: {error}"
            return
        if action.kind not in DONE:  # asked by another version: it must not end this one
            self._held.applied[asked.id] = f"refused: no action {action.kind!r}"
            return
        told = next((made for part in self._health if (made := part.act(action))), [])
        effects: list[Effect] = list(told) or self._engine.act(action)
        self.note(effects, 0)
        self._held.applied[asked.id] = "done" if effects else "refused: no open alert with this id"

    async def _run(self) -> None:
        while True:
            try:
                async with asyncio.timeout(until_beat(EVERY_S)):
                    await self._urgent.wait()
            except TimeoutError:
                pass
            else:
                await asyncio.sleep(max(0.0, self._ended_at + URGENT_APART_S - time.monotonic()))
            await self.commit()
