"""Whether anybody wrote to the store, and when those who wait about a second wake."""

import asyncio
import os
import time
from pathlib import Path

import pytest

from dnswatch.io.beat import EARLY_S, until_beat
from dnswatch.io.store import FILE, Store, Writings
from tests.running import soon


async def quiet(writings: Writings) -> None:
    """Wait until it has seen everything."""
    await soon(lambda: not writings.since())


async def test_a_commit_of_another_connection_is_seen_once_it_is_made(tmp_path: Path) -> None:
    """What a command stores is seen, again and again; silence is silence."""
    async with await Store.open(tmp_path / FILE) as store, await Store.open(tmp_path / FILE) as command:
        writings = Writings(store.path)
        for _ in range(3):
            await quiet(writings)
            await asyncio.sleep(0.02)
            assert not writings.since()
            await command.save_status({"run": {}})
            assert writings.since()


async def test_two_writes_with_the_same_time_are_both_seen(tmp_path: Path) -> None:
    """The clock of files is coarse: soon after a write it says yes again, because there may have been another."""
    async with await Store.open(tmp_path / FILE) as store:
        writings = Writings(store.path)
        await quiet(writings)
        os.utime(f"{store.path}-wal")
        assert writings.since()
        assert writings.since() or time.time() - os.stat(f"{store.path}-wal").st_mtime >= 0.1  # noqa: PTH116


def test_a_store_that_cannot_be_looked_at_may_have_been_written(tmp_path: Path) -> None:
    """Nobody misses an order because a file is not there."""
    writings = Writings(tmp_path / FILE)
    assert writings.since()
    assert writings.since()


@pytest.mark.parametrize(("about_s", "now", "waits"), [
    (1.0, 1000.25, 0.75), (1.0, 1000.0, 1.0), (1.0, 1000.99, 1.01), (2.0, 1000.25, 1.75), (3.0, 1000.5, 2.5),
    (0.25, 1000.9, 0.25), (0.0, 1000.9, 0.0),
])  # fmt: skip
def test_all_wait_for_the_same_second(
    about_s: float, now: float, waits: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whole seconds of the clock, never longer than asked for but for a moment; short pauses stay."""
    monkeypatch.setattr("dnswatch.io.beat.time.time", lambda: now)
    assert until_beat(about_s) == pytest.approx(waits)
    assert until_beat(about_s) <= about_s + EARLY_S
