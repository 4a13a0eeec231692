"""When to checkpoint: at once for a revision, else every second; what the disk refuses is kept, and sources wait."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from dnswatch.core.detect.changes import Action, Changes
from dnswatch.core.model import Alert, Decision
from dnswatch.io import ledger as module
from dnswatch.io.ledger import Ledger
from dnswatch.io.store import FILE, Asked, Queued, SourceState, Store
from tests.io.making import alert, sighting, state


class Engine:
    """Gives prepared changes, and does what it is asked."""

    def __init__(self) -> None:
        self.prepared: list[Changes] = []
        self.asked: list[Action] = []
        self.unsaved = 0

    def changes(self) -> Changes:
        self.unsaved = 0
        return self.prepared.pop(0) if self.prepared else Changes()

    def act(self, action: Action) -> list[Alert]:
        self.asked.append(action)
        return [alert(9, 2, state="acknowledged")] if action.alert == "known" else []


class World:
    """A ledger with its engine, its store and the positions of its sources."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.engine = Engine()
        self.states: dict[str, SourceState] = {}
        self.woken = 0
        self.ledger = Ledger(self.engine, store, self.positions)  # type: ignore[arg-type]
        self.ledger.task._first_s = self.ledger.task._pause_s = 0.001
        self.ledger.task._most_s = 0.005
        self.ledger.on_revision([self.wake])
        self.broken = 0
        self.stored = store.checkpoint
        store.checkpoint = self.checkpoint  # type: ignore[method-assign, assignment]

    def positions(self) -> Iterator[SourceState]:
        yield from self.states.values()

    def wake(self, queued: Queued) -> None:
        self.woken += 1
        self.queued = queued

    async def checkpoint(self, *arguments: Any) -> Queued:
        if self.broken:
            self.broken -= 1
            raise OSError(28, "no space left for the store")
        return await self.stored(*arguments)


@asynccontextmanager
async def world(tmp_path: Path, runs: bool = True) -> AsyncIterator[World]:
    async with await Store.open(tmp_path / FILE) as store:
        made = World(store)
        task = asyncio.create_task(made.ledger.task.run()) if runs else None
        yield made
        if task is not None:
            task.cancel()
            await asyncio.wait([task])


async def soon(true: Any, within_s: float = 60.0) -> None:
    """Wait for something that is about to happen."""
    async with asyncio.timeout(within_s):
        while not true():  # noqa: ASYNC110 (no event to wait for)
            await asyncio.sleep(0.002)


async def test_a_revision_is_committed_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not with the regular checkpoint, and the sinks are woken after it."""
    monkeypatch.setattr(module, "EVERY_S", 1000.0)
    async with world(tmp_path) as made:
        made.states["bind"] = state(offset=100)
        made.ledger.note([alert(1)], 100)
        await soon(lambda: made.woken == 1)
        assert (await made.store.load()).positions["bind"].position.offset == 100
        assert [one for _, one in await made.store.waiting(0, 9)] == [alert(1)]
        assert made.queued == (0, await made.store.waiting(0, 9))
        assert made.ledger.alerts == Counter({"bot-api/high": 1})


async def test_without_revisions_it_waits_for_the_second(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Positions and sightings go with the regular checkpoint, which wakes nobody; then nothing is written any more."""
    monkeypatch.setattr(module, "until_beat", lambda about_s: about_s)  # the next beat may be near
    async with world(tmp_path) as made:
        made.states["bind"] = state(offset=1)
        made.engine.prepared.append(Changes({}, [sighting()]))
        made.ledger.note([], 50)
        await asyncio.sleep(0.1)
        assert made.ledger.commits == 0
        await soon(lambda: made.ledger.commits == 1)
        made.engine.prepared += [Changes({("clock", ""): {"log_now": float(n)}}) for n in range(9)]
        await asyncio.sleep(1.3)
        assert (made.ledger.commits, made.woken) == (1, 0)
    async with world(tmp_path, runs=False) as made:
        made.engine.prepared.append(Changes({("clock", ""): {"log_now": 7.0}}))
        await made.ledger.commit(final=True)
        assert ("clock", "", {"log_now": 7.0}) in (await made.store.load()).rows


async def test_an_idle_store_is_asked_nothing_until_somebody_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Orders of commands are looked for only after a write, by whomever, and then found."""
    monkeypatch.setattr(module, "ASK_S", 0.0)
    async with world(tmp_path, runs=False) as made, await Store.open(tmp_path / FILE) as command:
        looks = 0
        asked = made.store.asked

        async def counted() -> list[Asked]:
            nonlocal looks
            looks += 1
            return await asked()

        made.store.asked = counted  # type: ignore[method-assign]
        await made.ledger.commit()
        await asyncio.sleep(0.2)
        await made.ledger.commit()
        before = looks
        for _ in range(5):
            await made.ledger.commit()
        assert looks == before
        await command.ask({"kind": "ack", "alert": "known"}, "anna")
        await made.ledger.commit()
        assert [one.alert for one in made.engine.asked] == ["known"]


async def test_a_full_disk_keeps_everything_for_the_next_try(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Refused checkpoints are merged with what comes later; each attempt and revision is stored once."""
    monkeypatch.setattr(module, "EVERY_S", 0.05)
    async with world(tmp_path) as made:
        made.broken = 4
        made.states["bind"] = state(offset=10)
        made.engine.prepared += [
            Changes({("pair", "a"): {"n": 1}, ("pair", "b"): {"n": 1}}, [sighting()]),
            Changes({("pair", "a"): {"n": 2}, ("pair", "b"): None}, [sighting()]),
        ]
        made.ledger.note([alert(1)], 10)
        await soon(lambda: made.ledger.task.failures == 1)
        made.states["bind"] = state(offset=20)
        made.ledger.note([alert(2), Decision("x.example", "nxdomain", "", "tenant", None)], 10)
        await soon(lambda: made.ledger.commits == 1)
        assert made.ledger.task.error == ""
        saved = await made.store.load()
        assert (saved.positions["bind"].position.offset, saved.rows) == (20, [("pair", "a", {"n": 2})])
        assert [row.count for row in await made.store.sightings()] == [2]
        assert [one for _, one in await made.store.waiting(0, 9)] == [alert(1), alert(2)]


async def test_sources_wait_while_too_much_is_uncommitted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Back-pressure: a source may go on only after a commit made room."""
    monkeypatch.setattr(module, "EVERY_BYTES", 1000)
    monkeypatch.setattr(module, "EVERY_S", 0.05)
    async with world(tmp_path) as made:
        made.broken = 3
        await made.ledger.room()
        made.states["bind"] = state(offset=5)
        made.ledger.note([], 1200)
        waiting = asyncio.create_task(made.ledger.room())
        await soon(lambda: made.ledger.task.failures == 1)
        assert not waiting.done()
        async with asyncio.timeout(60):
            await waiting
        assert made.ledger.commits == 1
        await made.ledger.room()


async def test_many_attempts_are_stored_before_more_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A flood of made-up names is little log and many rows: these bound what is uncommitted, too."""
    monkeypatch.setattr(module, "MOST_ATTEMPTS", 10)
    async with world(tmp_path, runs=False) as made:
        made.engine.unsaved = 10
        made.engine.prepared.append(Changes({("attempt", "10.1.0.9 x.webhook.site 7"): {"n": 7}}))
        made.ledger.note([], 1)
        waiting = asyncio.create_task(made.ledger.room())
        await asyncio.sleep(0)
        assert not waiting.done()
        await made.ledger.commit()
        async with asyncio.timeout(60):
            await waiting


async def test_actions_are_applied_once(tmp_path: Path) -> None:
    """What an operator asked for is done once, also when its checkpoint has to be tried again; nonsense is refused."""
    async with world(tmp_path, runs=False) as made:
        ids = [
            await made.store.ask({"kind": "ack", "alert": "known", "note": "on it"}, "anna"),
            await made.store.ask({"kind": "close", "alert": "unknown"}, "ben"),
            await made.store.ask({"nonsense": 1}, "carl"),
            await made.store.ask({"kind": "escalate", "alert": "known"}, "a newer dnswatch"),
        ]
        made.broken = 1
        with pytest.raises(OSError, match="no space"):
            await made.ledger.commit()
        await made.ledger.commit()
        await made.ledger.commit()
        assert [(one.kind, one.by, one.note) for one in made.engine.asked] == [
            ("ack", "anna", "on it"), ("close", "ben", ""),
        ]  # fmt: skip
        results = [found.result for number in ids if (found := await made.store.outcome(number))]
        assert results[0] == "done"
        assert results[1].startswith("refused: no open alert")
        assert results[2].startswith("refused: ")
        assert results[3] == "refused: no action 'escalate'"
        assert [one for _, one in await made.store.waiting(0, 9)] == [alert(9, 2, state="acknowledged")]


async def test_cancelled_commit_is_not_repeated(tmp_path: Path) -> None:
    """Whoever ends the ledger in the middle of a commit, and then makes the last one, counts nothing twice."""
    async with world(tmp_path, runs=False) as made:
        for number in range(20):
            made.engine.prepared.append(Changes({}, [sighting()]))
            made.states["bind"] = state(offset=number + 1)
            task = asyncio.create_task(made.ledger.commit())
            await asyncio.sleep(number / 5000)
            task.cancel()
            await asyncio.wait([task])
            await made.ledger.commit(final=True)
        assert [row.count for row in await made.store.sightings()] == [20]
