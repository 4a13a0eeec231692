"""Waking for changes of a file: at once after quiet, gathered when more comes."""

import time
from pathlib import Path

import pytest

from dnswatch.io import inotify
from dnswatch.io.inotify import FILE, Inotify


async def test_what_comes_right_behind_is_not_gathered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first event after quiet and the one right behind it wake at once; those after them wait for each other."""
    monkeypatch.setattr(inotify, "PAUSE_S", 0.6)
    log = tmp_path / "query.log"
    log.touch()
    events = Inotify()
    try:
        events.watch({str(log): FILE})
        woken = []
        for _ in range(4):
            with log.open("a") as file:
                file.write("x")
            assert await events.wait(30.0, 0.6)
            woken.append(time.monotonic())
        assert woken[1] - woken[0] < 0.5
        assert woken[2] - woken[1] >= 0.59
        assert woken[3] - woken[2] >= 0.59
        assert not await events.wait(0.01, 0.0)
    finally:
        events.close()
