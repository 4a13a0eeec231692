"""A log that is rotated or packed just while a start looks for its file: nothing is lost, and nothing said to be."""

import gzip
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from dnswatch.core.model import Position
from dnswatch.io import resume
from dnswatch.io.generation import OpenGeneration
from tests.io.test_tail import add, following, stop_after


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "query.log"


def rotate(log: Path, *lines: str) -> None:
    """Rename as BIND does, the oldest first, and begin a new log."""
    for number in (1, 0):
        old = log.with_name(f"{log.name}.{number}")
        if old.exists():
            old.rename(log.with_name(f"{log.name}.{number + 1}"))
    log.rename(log.with_name(f"{log.name}.0"))
    add(log, *lines)


def once_listed(monkeypatch: pytest.MonkeyPatch, act: Callable[[], object], which: int = 1) -> None:
    """Let something happen between one of the listings of the directory and the looks at its files."""
    listdir, count = os.listdir, 0

    def listing(directory: Path) -> list[str]:
        nonlocal count
        names = listdir(directory)
        count += 1
        if count == which:
            act()
        return names

    monkeypatch.setattr("dnswatch.io.generation.os.listdir", listing)


@pytest.mark.parametrize("which", [1, 2])
async def test_renamed_between_listing_and_look(log: Path, monkeypatch: pytest.MonkeyPatch, which: int) -> None:
    """The oldest file gets a name that was not listed."""
    add(log, "a")
    position = await stop_after(log, "a")
    add(log, "b")
    once_listed(monkeypatch, lambda: rotate(log, "c"), which)
    async with following(log, resume=position) as reader:
        await reader.reads("b", "c")
        assert not reader.tail.losses


@pytest.mark.parametrize("which", [1, 2, 3])
async def test_packed_between_listing_and_look(log: Path, monkeypatch: pytest.MonkeyPatch, which: int) -> None:
    """The plain file was listed, and only the packed one is there."""
    add(log, "a")
    position = await stop_after(log, "a")
    add(log, "b")
    rotate(log, "c")
    plain = log.with_name("query.log.0")

    def pack() -> None:
        log.with_name("query.log.0.gz").write_bytes(gzip.compress(plain.read_bytes()))
        plain.unlink()

    once_listed(monkeypatch, pack, which)
    async with following(log, resume=position) as reader:
        await reader.reads("b", "c")
        assert not reader.tail.losses


async def test_renamed_between_look_and_opening(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Under the name that it had there is another file by now."""
    add(log, "a")
    position = await stop_after(log, "a")
    add(log, "b")
    rotate(log, "c")
    open_at, done = resume.open_at, False

    def opening(path: Path, wanted: Position) -> OpenGeneration | None:
        nonlocal done
        if not done:
            done = True
            rotate(log, "d")
        return open_at(path, wanted)

    monkeypatch.setattr(resume, "open_at", opening)
    async with following(log, resume=position) as reader:
        await reader.reads("b", "c", "d")
        assert not reader.tail.losses


async def test_a_file_left_behind_that_is_renamed_meanwhile(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a late writer added to it while nobody ran is read all the same."""
    add(log, "a")
    before = await stop_after(log, "a")
    rotate(log, "b")
    async with following(log, resume=before) as reader:
        await reader.reads("b")
        position = reader.position
    assert position is not None
    assert position.left
    add(log.with_name("query.log.0"), "late")
    once_listed(monkeypatch, lambda: rotate(log, "c"))
    async with following(log, resume=replace(position)) as reader:
        await reader.until(lambda: len(reader.lines) == 2)
        assert sorted(reader.lines) == ["c", "late"]
        assert not reader.tail.losses


async def test_a_copy_that_is_packed_meanwhile(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """copytruncate, and the copy is compressed while its rest is looked for."""
    add(log, "a")
    async with following(log, start="start") as reader:
        await reader.reads("a")
        reader.gate.clear()
        add(log, "b")
        copy = log.with_name("query.log.1")
        copy.write_bytes(log.read_bytes())

        def pack() -> None:
            log.with_name("query.log.1.gz").write_bytes(gzip.compress(copy.read_bytes()))
            copy.unlink()

        once_listed(monkeypatch, pack)
        os.truncate(log, 0)
        reader.gate.set()
        add(log, "c")
        await reader.reads("b", "c")


@pytest.mark.parametrize("packed", [False, True])
async def test_copied_and_truncated_twice_between_two_looks(log: Path, packed: bool) -> None:
    """Nothing was read of what was copied the second time: the copies are read first, in order."""
    add(log, "a")
    async with following(log, start="start") as reader:
        await reader.reads("a")
        copy_and_truncate(log, packed)
        await reader.until(lambda: reader.tail.generations["truncated"] == 1)
        for text in "bcd":  # in one step of the loop: the reader does not look meanwhile
            add(log, text)
            if text != "d":
                copy_and_truncate(log, packed)
        await reader.reads("b", "c", "d")
        assert set(reader.tail.losses) == {resume.MOMENT}
        add(log, "e")
        await reader.reads("e")


def copy_and_truncate(log: Path, packed: bool) -> None:
    """Do what logrotate does with copytruncate, and compress."""
    ending = ".gz" if packed else ""
    for number in (3, 2, 1):
        old = log.with_name(f"{log.name}.{number}{ending}")
        if old.exists():
            old.rename(log.with_name(f"{log.name}.{number + 1}{ending}"))
    data = log.read_bytes()
    log.with_name(f"{log.name}.1{ending}").write_bytes(gzip.compress(data) if packed else data)
    os.truncate(log, 0)


async def test_a_log_that_stood_empty_and_is_gone(log: Path) -> None:
    """Nobody knows what was written into it: that is said."""
    log.touch()
    async with following(log, start="start") as reader:
        await reader.until(lambda: reader.ends > 0)
        position = reader.position
    add(log, "a")
    log.rename(log.with_name("elsewhere"))  # keeps its inode number from the new one
    add(log, "b")
    async with following(log, resume=position) as reader:
        await reader.reads("b")
        assert reader.tail.losses == {resume.DELETED: 1}
