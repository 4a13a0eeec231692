"""Publishing: atomic files, hooks that may fail, serials stored before anybody sees them."""

import asyncio
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from dnswatch.core.detect.changes import SightingRow
from dnswatch.core.feeds.zones import with_mode
from dnswatch.core.model import Group, Name, Snapshot
from dnswatch.errors import FeedRefused
from dnswatch.io.publish import Hook, files, hooks, rebuild
from tests.core.feed_worlds import AT, ZONE, policy, service

WORLD = policy([service("slack", ("hooks.slack.test", "exact"))], [Group("build", ("10.0.20.0/24",))])


class Memory:
    """A history that notes whether files were there when a serial was stored."""

    def __init__(self, directory: Path) -> None:
        self.latest: dict[Name, Snapshot] = {}
        self.directory = directory
        self.seen: list[bool] = []
        self.attempts: list[SightingRow] = []

    async def latest_snapshots(self) -> Mapping[Name, Snapshot]:
        return self.latest

    async def save_snapshots(self, snapshots: Sequence[Snapshot]) -> None:
        self.seen.append(any(self.directory.glob("*.zone")) if self.directory.exists() else False)
        self.latest |= {one.zone.name: one for one in snapshots}

    async def sightings(self, since: float = 0.0) -> Sequence[SightingRow]:
        return [one for one in self.attempts if one.last_at >= since]


async def warned(run: Sequence[Hook], zones: Sequence[str] = (), timeout_s: float = 20.0) -> list[str]:
    return [one.warning for one in await hooks.run(run, zones, timeout_s)]


def test_files_are_replaced_whole_and_only_when_they_change(tmp_path: Path) -> None:
    """Who holds the old file keeps the old version; an unchanged file keeps its mtime; nothing is left over."""
    target = tmp_path / "deep" / "feeds"
    assert files.write(target, [("a", b"1\n"), ("b", b"2\n")]) == [target / "a", target / "b"]
    os.utime(target / "b", (1, 1))
    with (target / "a").open("rb") as reader:
        assert files.write(target, [("a", b"3\n"), ("b", b"2\n")]) == [target / "a"]
        assert reader.read() == b"1\n"
    assert (target / "a").read_bytes() == b"3\n"
    assert (target / "b").stat().st_mtime == 1
    assert sorted(path.name for path in target.iterdir()) == ["a", "b"]


def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path) -> None:
    """Neither the file nor its neighbours change, and no half file stays behind."""
    files.write(tmp_path, [("a", b"1\n")])
    (tmp_path / ".a.new").mkdir()
    with pytest.raises(OSError, match="Is a directory"):
        files.write(tmp_path, [("a", b"2\n")])
    assert (tmp_path / "a").read_bytes() == b"1\n"


def test_a_planted_symlink_is_not_followed(tmp_path: Path) -> None:
    """The temporary file is never somebody else's target: what stands in its place goes, its target stays."""
    (tmp_path / "target").write_text("precious")
    (tmp_path / ".a.new").symlink_to(tmp_path / "target")
    files.write(tmp_path, [("a", b"2\n")])
    assert (tmp_path / "target").read_text() == "precious"
    assert (tmp_path / "a").read_bytes() == b"2\n"
    assert not (tmp_path / "a").is_symlink()


def test_files_obey_the_umask(tmp_path: Path) -> None:
    """Another user's resolver reads them; `UMask=0027` in a unit narrows that to the group."""
    before = os.umask(0o027)
    try:
        files.write(tmp_path, [("a", b"1\n")])
    finally:
        os.umask(before)
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o640


def note(path: Path) -> tuple[str, ...]:
    """Give a command that writes its arguments into a file."""
    return (sys.executable, "-c", f"import sys; open({str(path)!r}, 'a').write(' '.join(sys.argv[1:]) + '\\n')")


async def test_commands_run_without_a_shell_once_for_each_zone(tmp_path: Path) -> None:
    """`{zone}` is replaced inside arguments; without it the command runs once; nothing is interpreted."""
    out = tmp_path / "out"
    run = [Hook((*note(out), "reload", "{zone}")), Hook((*note(out), "$HOME; `id` > x"))]
    assert await hooks.run(run, ["any.z.test", "build.z.test"]) == []
    assert out.read_text() == "reload any.z.test\nreload build.z.test\n$HOME; `id` > x\n"


async def test_failing_commands_are_warnings_in_their_own_words() -> None:
    """Exit code and what was said; a command that is missing or hangs is told too; later hooks still run."""
    fails = Hook((sys.executable, "-c", "import sys; sys.stderr.write('rndc: connect failed\\n'); sys.exit(3)"))
    hangs = Hook((sys.executable, "-c", "import time; time.sleep(60)"))
    said = await warned([fails, Hook(("/nonexistent/rndc",)), hangs], [], timeout_s=0.5)
    assert "exit code 3: rndc: connect failed" in said[0]
    assert said[1] == "cannot run `/nonexistent/rndc`: No such file or directory"
    assert "did not finish in 0.5 s" in said[2]


async def test_signals_go_to_the_process_of_the_pid_file(tmp_path: Path) -> None:
    """HUP reaches it; a missing file, nonsense and a dead process are warnings."""
    code = "import signal, sys; signal.sigwait([signal.SIGHUP])"
    prepared = "import signal; signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGHUP]); print('ready', flush=True); "
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", prepared + code, stdout=-1)
    assert process.stdout is not None
    assert await process.stdout.readline() == b"ready\n"
    pidfile = tmp_path / "pid"
    pidfile.write_text(f"{process.pid}\n")
    assert await warned([Hook(signal="HUP", pidfile=pidfile)], []) == []
    assert await asyncio.wait_for(process.wait(), 10) == 0
    said = await warned([Hook(signal="HUP", pidfile=pidfile)], [])
    assert said == [f"cannot send HUP to the process of {pidfile}: No such process"]
    for text in ("", "rubbish", "-1", "0", "1"):
        pidfile.write_text(text)
        assert await warned([Hook(signal="HUP", pidfile=pidfile)], []) == [f"{pidfile} does not hold a process id"]
    missing = await warned([Hook(signal="HUP", pidfile=tmp_path / "none")], [])
    assert "No such file" in missing[0]


async def test_serials_are_stored_before_files_and_hooks_follow(tmp_path: Path) -> None:
    """Store, write, reload; and nothing at all when nothing changed."""
    out, feeds = tmp_path / "out", tmp_path / "feeds"
    history, run = Memory(feeds), [Hook((*note(out), "{zone}"))]
    first = await rebuild(WORLD, None, AT, history, feeds, run)
    assert history.seen == [False]
    assert len(first.written) == 11
    assert first.warnings == ()
    assert out.read_text().split() == [f"{audience}.{ZONE}" for audience in ("quarantine", "build", "any", "exempt")]
    again = await rebuild(WORLD, None, AT + 60, history, feeds, run)
    assert (again.written, again.publication.changed) == ((), ())
    assert len(out.read_text().split()) == 4


async def test_hooks_follow_a_write_that_was_interrupted(tmp_path: Path) -> None:
    """Files that were replaced before the disk failed, or before we were killed, are reloaded with the rest."""
    out, feeds = tmp_path / "out", tmp_path / "feeds"
    history, run = Memory(feeds), [Hook((*note(out), "{zone}"))]
    last = feeds / f".exempt.{ZONE}.zone.new"
    last.mkdir(parents=True)  # its new content cannot be written
    with pytest.raises(OSError, match="directory"):
        await rebuild(WORLD, None, AT, history, feeds, run)
    assert (feeds / f"any.{ZONE}.zone").exists()
    assert not out.exists()
    last.rmdir()
    await rebuild(WORLD, None, AT + 60, history, feeds, run)
    assert out.read_text().split() == [f"{audience}.{ZONE}" for audience in ("quarantine", "build", "any", "exempt")]
    await rebuild(WORLD, None, AT + 120, history, feeds, run)
    assert len(out.read_text().split()) == 4
    assert len(list(feeds.iterdir())) == 11


async def test_a_refused_zone_changes_nothing(tmp_path: Path) -> None:
    """The last good serial stays in the store and in the files."""
    feeds = tmp_path / "feeds"
    history = Memory(feeds)
    await rebuild(WORLD, None, AT, history, feeds, [])
    before = {path.name: path.read_bytes() for path in feeds.iterdir()}
    bad = policy([service("bad", ("Not-Canonical.test", "exact"))])
    with pytest.raises(FeedRefused, match="Not-Canonical"):
        await rebuild(bad, None, AT + 60, history, feeds, [])
    assert {path.name: path.read_bytes() for path in feeds.iterdir()} == before
    assert len(history.seen) == 1


async def test_switching_off_empties_what_was_published(tmp_path: Path) -> None:
    """Nobody goes on blocking by yesterday's policy."""
    feeds = tmp_path / "feeds"
    history = Memory(feeds)
    await rebuild(WORLD, None, AT, history, feeds, [])
    off = await rebuild(with_mode(WORLD, "off"), None, AT + 60, history, feeds, [])
    assert len(off.written) == 9  # the exempt zone was empty before and keeps its serial
    lines = [line for path in feeds.iterdir() for line in path.read_bytes().splitlines() if b".canary." not in line]
    assert not any(sign in line for line in lines for sign in (b"CNAME", b"server=", b"||", b"local-", b"0.0.0.0 "))
