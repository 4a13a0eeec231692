"""Following real files: growth, rotation, truncation, restart, waiting. What is written once is read once."""

import asyncio
import bz2
import contextlib
import gzip
import lzma
import os
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import pytest
import zstandard

from dnswatch.core.model import Position
from dnswatch.io import tail as tail_module
from dnswatch.io.inotify import Inotify
from dnswatch.io.tail import Block, FileTail


class Reader:
    """Runs a tail and keeps what it read; ``take`` limits how much a call consumes."""

    def __init__(self, tail: FileTail) -> None:
        self.tail = tail
        self.lines: list[str] = []
        self.position: Position | None = None
        self.ends = 0
        self.news = asyncio.Event()
        self.gate = asyncio.Event()
        self.gate.set()

    async def consume(self, block: Block) -> int:
        await self.gate.wait()
        consumed = bytes(block.data).rfind(b"\n") + 1
        self.lines += bytes(block.data[:consumed]).decode().split("\n")[:-1]
        self.position = block.after(consumed)
        self.ends += block.at_end
        self.news.set()
        return consumed

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(60):
            while not condition():
                self.news.clear()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self.news.wait(), 0.02)

    async def reads(self, *lines: str) -> None:
        await self.until(lambda: len(self.lines) >= len(lines))
        assert self.lines == list(lines)
        self.lines.clear()


@contextlib.asynccontextmanager
async def following(path: Path, **options: object) -> AsyncIterator[Reader]:
    tail = FileTail("q", path, **options)  # type: ignore[arg-type]
    reader = Reader(tail)
    task = asyncio.create_task(tail.run(reader.consume))
    await asyncio.sleep(0)
    try:
        yield reader
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "query.log"


def add(path: Path, *lines: str, end: str = "\n") -> None:
    with path.open("a") as file:
        file.write("\n".join(lines) + end)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tail_module, "POLL_S", 0.1)


async def test_reads_what_is_there_and_what_comes(log: Path) -> None:
    """From the start, then line by line as they are written; an unfinished line waits for its newline."""
    add(log, "a", "b")
    async with following(log, start="start") as reader:
        await reader.reads("a", "b")
        add(log, "c", "hal", end="")
        await reader.reads("c")
        add(log, "f")
        await reader.reads("half")
        assert reader.tail.lag == 0
        assert reader.tail.offset == log.stat().st_size


async def test_begins_at_the_end_but_not_inside_a_line(log: Path) -> None:
    """``start: end`` skips old lines, and a line that is being written is read whole."""
    add(log, "old", "unfini", end="")
    async with following(log) as reader:
        await reader.until(lambda: reader.ends > 0)
        add(log, "shed", "new")
        await reader.reads("unfinished", "new")


async def test_tells_the_end_of_a_quiet_file(log: Path) -> None:
    """A consumer learns that the end is reached even when nothing is read."""
    add(log, "old")
    async with following(log) as reader:
        await reader.until(lambda: reader.tail.at_end)
        assert (reader.ends, reader.lines) == (1, [])


async def test_follows_rename_and_create(log: Path) -> None:
    """Rotation by rename: the old file is read to its end first, late lines of it are read too."""
    add(log, "a")
    async with following(log, start="start") as reader:
        await reader.reads("a")
        log.rename(log.with_name("query.log.1"))
        add(log.with_name("query.log.1"), "b")
        await reader.reads("b")
        add(log, "c")
        await reader.reads("c")
        stood = reader.position
        add(log.with_name("query.log.1"), "late")
        await reader.reads("late")
        assert stood is not None
        assert reader.position is not None
        assert replace(reader.position, left=()) == replace(stood, left=()), "a late line does not move us"
        assert [left.offset for left in reader.position.left] == [len("a\nb\nlate\n")], "but is stored as read"
        add(log, "d")
        await reader.reads("d")
        assert reader.tail.generations["rotated"] == 1
        assert not reader.tail.losses


async def test_a_file_left_behind_is_closed_after_its_time(log: Path) -> None:
    """After ``drain_s`` without a line the old file is let go, and its unfinished line counted."""
    add(log, "a", "cut", end="")
    async with following(log, start="start", drain_s=0.05) as reader:
        await reader.reads("a")
        log.rename(log.with_name("query.log.1"))
        add(log, "b")
        await reader.reads("b")
        await reader.until(lambda: bool(reader.tail.losses))
        assert reader.tail.losses == {"unfinished last line": 1}


async def test_says_that_the_server_writes_on_into_the_old_file(log: Path) -> None:
    """logrotate ``create`` without telling the server: the new file stays empty, and `waiting` says why."""
    add(log, "a")
    async with following(log, start="start") as reader:
        await reader.reads("a")
        log.rename(log.with_name("query.log.1"))
        log.touch()
        await reader.until(lambda: reader.tail.generations["rotated"] == 1)
        add(log.with_name("query.log.1"), "b")
        await reader.reads("b")
        await reader.until(lambda: "has not opened it anew" in reader.tail.waiting)


async def test_reads_generations_that_passed_while_it_was_busy(log: Path) -> None:
    """Several rotations between two looks: every generation is read, in order, once."""
    add(log, "a")
    async with following(log, start="start") as reader:
        await reader.reads("a")
        reader.gate.clear()
        add(log, "b")
        await asyncio.sleep(0.02)
        for number, line in enumerate(("c", "d", "e")):
            for old in range(number, -1, -1):
                name = log if old == 0 else log.with_name(f"query.log.{old - 1}")
                name.rename(log.with_name(f"query.log.{old}"))
            add(log, line)
        reader.gate.set()
        await reader.reads("b", "c", "d", "e")


async def test_counts_generations_that_were_deleted_unread(log: Path) -> None:
    """The server keeps too few files: what is left is read in order, and the gap is counted."""
    add(log, "a")
    async with following(log, start="start") as reader:
        await reader.reads("a")
        reader.gate.clear()
        add(log, "b")
        await asyncio.sleep(0.02)
        log.unlink()  # and its successor, which nobody saw
        add(log.with_name("query.log.0"), "d")
        add(log, "e")
        reader.gate.set()
        await reader.reads("b", "d", "e")
        assert reader.tail.losses == {"rotated away before it was read": 1}


@pytest.mark.parametrize("regrown", [["x"], ["x" * 40, "y" * 40, "z" * 40]])
async def test_follows_copytruncate(log: Path, regrown: list[str]) -> None:
    """The log is copied and truncated, and may have grown past our offset again: it starts anew."""
    add(log, "some line", "another line")
    async with following(log, start="start") as reader:
        await reader.reads("some line", "another line")
        log.with_name("query.log.1").write_bytes(log.read_bytes())
        log.write_text("\n".join(regrown) + "\n")
        await reader.reads(*regrown)
        assert reader.tail.generations["truncated"] == 1


async def test_finishes_the_copy_of_a_truncated_log(log: Path) -> None:
    """What was not read before copytruncate is read from the copy."""
    add(log, "a")
    async with following(log, start="start") as reader:
        await reader.reads("a")
        reader.gate.clear()
        add(log, "b")
        await asyncio.sleep(0.02)  # block with "b" is on its way
        add(log, "c")
        log.with_name("query.log.1").write_bytes(log.read_bytes())
        log.write_text("d\n")
        reader.gate.set()
        await reader.reads("b", "c", "d")


async def test_counts_what_truncation_took(log: Path) -> None:
    """Truncated without a copy while lines were unread: counted as a loss, and read on."""
    add(log, "a" * 10)
    async with following(log, start="start") as reader:
        await reader.reads("a" * 10)
        add(log, "unfinished", end="")
        await reader.until(lambda: reader.tail.size == 21)
        log.write_text("b\n")
        await reader.reads("b")
        assert reader.tail.losses == {"truncated before it was read": 1}


async def test_follows_a_swapped_symlink(tmp_path: Path, log: Path) -> None:
    """The path is a symlink that is pointed at another file."""
    first, second = tmp_path / "one", tmp_path / "two"
    add(first, "a")
    add(second, "b")
    log.symlink_to(first)
    async with following(log, start="start") as reader:
        await reader.reads("a")
        new = tmp_path / "new"
        new.symlink_to(second)
        new.rename(log)
        await reader.reads("b")


async def test_waits_for_a_file_that_appears_late(log: Path) -> None:
    """A missing file is a state with a reason; when it appears it is read from its first line."""
    async with following(log) as reader:
        await reader.until(lambda: bool(reader.tail.waiting))
        assert "no such file" in reader.tail.waiting
        add(log, "first")
        await reader.reads("first")
        assert reader.tail.waiting == ""


async def test_survives_removal(log: Path) -> None:
    """The file is removed: the open one is read on, then the one created in its place."""
    add(log, "a")
    async with following(log, start="start") as reader:
        await reader.reads("a")
        log.unlink()
        await reader.until(lambda: "still reading" in reader.tail.waiting)
        add(log, "b")
        await reader.reads("b")


async def test_an_unreadable_file_names_user_and_group(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Permission denied: says who may not read what, and goes on by itself once it may."""
    add(log, "a")
    denied = True
    really = os.open

    def guarded(path: object, flags: int, *rest: object, **more: object) -> int:
        if denied and str(path) == str(log):
            raise PermissionError(13, "Permission denied")
        return really(path, flags, *rest, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "open", guarded)
    monkeypatch.setattr(os, "access", lambda path, mode: str(path) != str(log))
    async with following(log, start="start") as reader:
        await reader.until(lambda: "may not read" in reader.tail.waiting)
        denied = False
        await reader.reads("a")
        assert reader.tail.waiting == ""


# ── Restart ───────────────────────────────────────────────────────────────────────────────────────────────────


async def stop_after(log: Path, *lines: str) -> Position:
    async with following(log, start="start") as reader:
        await reader.reads(*lines)
        assert reader.position is not None
        return reader.position


async def test_resumes_where_it_stopped(log: Path) -> None:
    """Same file: goes on behind the last consumed line."""
    add(log, "a")
    position = await stop_after(log, "a")
    add(log, "b")
    async with following(log, resume=position) as reader:
        await reader.reads("b")
        assert reader.tail.generations["resumed"] == 1


@pytest.mark.parametrize("pack", [None, gzip.compress, lzma.compress, zstandard.compress, bz2.compress])
async def test_resumes_in_a_rotated_file(log: Path, pack: Callable[[bytes], bytes] | None) -> None:
    """Rotated twice while not running, the old files perhaps compressed: finished first, in order."""
    add(log, "a")
    position = await stop_after(log, "a")
    ending = {None: "", gzip.compress: ".gz", lzma.compress: ".xz", zstandard.compress: ".zst"}.get(pack, ".bz2")
    for number, data in ((2, "a\nb\nc\n"), (1, "d\n")):
        packed = data.encode() if pack is None else pack(data.encode())
        if pack is None and number == 2:
            log.rename(log.with_name("query.log.2"))  # a copy would be called copytruncate
        log.with_name(f"query.log.{number}{ending}").write_bytes(packed)
    log.unlink(missing_ok=True)
    add(log, "e")
    async with following(log, resume=position) as reader:
        await reader.reads("b", "c", "d", "e")
        assert not reader.tail.losses


async def test_resumes_after_copytruncate(log: Path) -> None:
    """Copied and truncated while not running: the copy's rest, then the log from its start, same inode or not."""
    add(log, "a")
    position = await stop_after(log, "a")
    add(log, "b")
    log.with_name("query.log.1").write_bytes(log.read_bytes())
    log.write_text("c\n")
    async with following(log, resume=position) as reader:
        await reader.reads("b", "c")


async def test_tells_what_it_cannot_find_again(log: Path) -> None:
    """The file we were in is gone: the current one from its start, and the loss is counted."""
    add(log, "a")
    position = await stop_after(log, "a")
    log.write_text("b\n")
    async with following(log, resume=position) as reader:
        await reader.reads("b")
        assert reader.tail.losses == {"rotated away while not running": 1}


async def test_resumes_in_a_file_that_was_empty(log: Path) -> None:
    """Stopped in an empty file, which then grew and was rotated: nothing is lost."""
    log.touch()
    async with following(log, start="start") as reader:
        await reader.until(lambda: reader.ends > 0)
        position = reader.position
    add(log, "a")
    log.rename(log.with_name("query.log.0"))
    add(log, "b")
    async with following(log, resume=position) as reader:
        await reader.reads("a", "b")


@pytest.mark.parametrize("ending", ["", ".gz"])
async def test_late_lines_are_read_after_a_restart(log: Path, ending: str) -> None:
    """What late writers add to a file left behind while nobody runs is read, once, compressed meanwhile or not."""
    add(log, "a")
    old = log.with_name("query.log.1")
    async with following(log, start="start") as reader:
        await reader.reads("a")
        log.rename(old)
        add(log, "b")
        await reader.reads("b")
        position = reader.position
    add(old, "late")
    add(log, "c")
    if ending:
        old.with_name("query.log.1.gz").write_bytes(gzip.compress(old.read_bytes()))
        old.unlink()
    async with following(log, resume=position) as reader:
        await reader.reads("late", "c")
        if not ending:
            add(old, "later")
            await reader.reads("later")
        assert not reader.tail.losses
        position = reader.position
    async with following(log, resume=position) as reader:
        add(log, "d")
        await reader.reads("d")


async def test_unread_files_come_first_when_ours_is_gone(log: Path) -> None:
    """The file we were in was overwritten: what came after it is read in order, what was read before it is not."""
    add(log.with_name("query.log.3"), "old")
    os.utime(log.with_name("query.log.3"), (1000, 1000))
    add(log.with_name("query.log.2"), "before")
    add(log, "a")
    async with following(log, start="start") as reader:
        await reader.reads("old", "before", "a")
        position = reader.position
    log.unlink()
    add(log.with_name("query.log.1"), "b")
    add(log.with_name("query.log.0"), "c")
    add(log, "d")
    async with following(log, resume=position) as reader:
        await reader.reads("b", "c", "d")
        assert reader.tail.losses == {"rotated away while not running": 1}


async def test_what_appears_while_nobody_runs_is_new(log: Path) -> None:
    """There was no log yet when we stopped: what it holds now is read from the first line, rotated files too."""
    async with following(log) as reader:
        await reader.until(lambda: reader.position is not None)
        position = reader.position
    add(log.with_name("query.log.0"), "a")
    add(log, "b")
    async with following(log, resume=position) as reader:
        await reader.reads("a", "b")
        assert not reader.tail.losses


async def test_begins_at_the_end_of_rotated_files_too(log: Path) -> None:
    """Renamed, but the server writes on into the old file: what it holds already is old, what comes is new."""
    add(log.with_name("query.log.1"), "old")
    log.touch()
    async with following(log) as reader:
        await reader.until(lambda: reader.ends > 0)
        add(log.with_name("query.log.1"), "new")
        await reader.reads("new")
        position = reader.position
    add(log.with_name("query.log.1"), "newer")
    async with following(log, resume=position) as reader:
        await reader.reads("newer")


async def test_a_file_packed_while_it_is_read_is_not_read_again(log: Path) -> None:
    """Rotated and compressed while we are busy with it: the packed one is known by its content."""
    add(log, "a")
    async with following(log, start="start") as reader:
        await reader.reads("a")
        reader.gate.clear()
        add(log, "b")
        await asyncio.sleep(0.02)
        log.with_name("query.log.2.gz").write_bytes(gzip.compress(log.read_bytes()))
        log.unlink()
        add(log.with_name("query.log.1"), "c")
        add(log, "d")
        reader.gate.set()
        await reader.reads("b", "c", "d")
        assert not reader.tail.losses


async def test_looks_for_rotated_files_in_olddir(log: Path) -> None:
    """logrotate ``olddir``: several rotations are caught up with there."""
    add(log, "a")
    position = await stop_after(log, "a")
    old = log.parent / "old"
    old.mkdir()
    add(log, "b")
    log.rename(old / "query.log.2")
    (old / "query.log.1.gz").write_bytes(gzip.compress(b"c\n"))
    add(log, "d")
    async with following(log, resume=position, olddir=old) as reader:
        await reader.reads("b", "c", "d")
        assert not reader.tail.losses


async def test_finds_what_a_symbolic_link_pointed_at(tmp_path: Path, log: Path) -> None:
    """Swapped while nobody ran: the rest of the old file first. Swapped back: it goes on where it was."""
    first, second, third = (tmp_path / f"query-2026-11-2{day}.log" for day in (1, 2, 3))
    new = tmp_path / "new"
    add(first, "a")
    log.symlink_to(first)
    position = await stop_after(log, "a")
    add(first, "b")
    add(second, "c")
    add(third, "d")
    new.symlink_to(third)
    new.rename(log)
    async with following(log, resume=position) as reader:
        await reader.reads("b", "c", "d")
        new.symlink_to(first)
        new.rename(log)
        add(first, "e")
        await reader.reads("e")
        assert not reader.tail.losses


async def test_says_when_a_file_is_where_nobody_looks(tmp_path: Path, log: Path) -> None:
    """A symbolic link pointed from one name to another that says nothing: perhaps to a third in between."""
    first, second, new = tmp_path / "one", tmp_path / "two", tmp_path / "new"
    add(first, "a")
    log.symlink_to(first)
    position = await stop_after(log, "a")
    add(first, "b")
    add(second, "c")
    new.symlink_to(second)
    new.rename(log)
    async with following(log, resume=position) as reader:
        await reader.reads("b", "c")
        assert [why for why in reader.tail.losses if "not looked for" in why]


async def test_says_that_a_rotation_deleted_the_log(log: Path) -> None:
    """``versions 0``: nobody can know whether one generation went or several; what was open is read to its end."""
    add(log, "a")
    async with following(log, start="start") as reader:
        await reader.reads("a")
        reader.gate.clear()
        add(log, "b")
        await asyncio.sleep(0.02)
        add(log, "c")
        log.unlink()
        add(log, "d")
        reader.gate.set()
        await reader.reads("b", "c", "d")
        assert [why for why in reader.tail.losses if why.startswith("deleted at its rotation")]


async def test_begins_with_rotated_files(log: Path) -> None:
    """``start: start`` takes rotated and compressed files first; a time leaves out what is older."""
    log.with_name("query.log.2.gz").write_bytes(gzip.compress(b"a\n"))
    add(log.with_name("query.log.1"), "b")
    add(log, "c")
    os.utime(log.with_name("query.log.2.gz"), (1000, 1000))
    async with following(log, start="start") as reader:
        await reader.reads("a", "b", "c")
    async with following(log, start=2000.0) as reader:
        await reader.reads("b", "c")


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("number", [1, 4999, 5000, 30_000, 59_998])
async def test_begins_at_a_time(log: Path, packed: bool, number: int) -> None:
    """``start: TIME`` with a way to read stamps begins at the first line of that time, in a large file too."""
    text = "".join(f"{each:07} line\n" for each in range(60_000))
    if packed:
        log.with_name("query.log.1.gz").write_bytes(gzip.compress(text.encode()))
    log.write_text("" if packed else text)

    def stamp(line: bytes) -> float | None:
        return float(line[:7]) if len(line) == 12 else None

    async with following(log, start=float(number), stamp_of=stamp) as reader:
        await reader.until(lambda: len(reader.lines) == 60_000 - number)
        assert reader.lines[0] == f"{number:07} line"


async def test_waits_for_the_consumer(log: Path) -> None:
    """Back-pressure: nothing is read ahead while a block is being dealt with, and nothing is dropped."""
    log.write_bytes(b"".join(b"%07d\n" % number for number in range(100_000)))
    async with following(log, start="start") as reader:
        await reader.until(lambda: len(reader.lines) == 100_000)
        assert reader.lines == [f"{number:07}" for number in range(100_000)]


async def test_works_without_inotify(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No inotify on this system, or no watch left: polling finds the lines as well."""
    monkeypatch.setattr(tail_module, "POLL_ALONE_S", 0.01)

    def refuse(_self: Inotify) -> None:
        raise OSError(24, "no inotify instance left")

    monkeypatch.setattr(Inotify, "__init__", refuse)
    async with following(log, start="start") as reader:
        add(log, "a")
        await reader.reads("a")
        add(log, "b")
        await reader.reads("b")


async def test_leaves_no_descriptor_behind(log: Path) -> None:
    """Stopping closes everything."""
    before = len(list(Path("/proc/self/fd").iterdir()))
    add(log, "a")
    await stop_after(log, "a")
    assert len(list(Path("/proc/self/fd").iterdir())) == before


class Doubting(Reader):
    """Leaves a last line that ends in ``?`` until it has stood for a while, or until nothing comes behind it."""

    patience_s = 0.0

    async def consume(self, block: Block) -> int:
        last = bytes(block.data).rfind(b"\n") + 1
        if bytes(block.data[:last]).endswith(b"?\n") and block.stood_s < self.patience_s:
            data = bytes(block.data[: last - 1])
            kept = data[: data.rfind(b"\n") + 1]
            await super().consume(replace(block, data=kept))
            return len(kept)
        return await super().consume(block)


@contextlib.asynccontextmanager
async def doubting(path: Path, patience_s: float, resume: Position | None = None) -> AsyncIterator[Doubting]:
    reader = Doubting(FileTail("q", path, start="start", resume=resume))
    reader.patience_s = patience_s
    task = asyncio.create_task(reader.tail.run(reader.consume))
    try:
        yield reader
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def test_hands_on_again_what_was_left(log: Path) -> None:
    """Whole lines that the consumer left come again with what is behind them, or once they have stood for a while."""
    add(log, "a", "b?")
    async with doubting(log, 60) as reader:
        await reader.reads("a")
        add(log, "c")
        await reader.reads("b?", "c")
    async with doubting(log, 0.01) as reader:
        add(log, "d?")
        await reader.reads("a", "b?", "c", "d?")
        assert reader.tail.lag == 0


@pytest.mark.parametrize("way", ["renamed", "packed", "truncated", "stopped"])
async def test_loses_nothing_that_was_left(log: Path, way: str) -> None:
    """Rotated, truncated or stopped while the last line waits: it is read before what follows it, and no loss."""
    add(log, "a", "b?")
    async with doubting(log, 60) as reader:
        await reader.reads("a")
        position = reader.position
        if way == "truncated":
            os.truncate(log, 0)
            await reader.until(lambda: reader.tail.generations["truncated"] > 0)
            add(log, "c")
        elif way == "renamed":
            log.rename(log.with_name("query.log.1"))
            add(log, "c")
        if way in ("truncated", "renamed"):
            await reader.reads("b?", "c")
            assert not {why for why in reader.tail.losses if ", if any" not in why}
            return
    if way == "packed":
        log.with_name("query.log.1.gz").write_bytes(gzip.compress(log.read_bytes()))
        log.unlink()
        add(log, "c")
    else:
        add(log, "c")
    async with doubting(log, 60, position) as reader:
        await reader.reads("b?", "c")
        assert not reader.tail.losses
