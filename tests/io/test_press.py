"""Publications made in a child: the same as those made here, refused the same; nothing is lost when it breaks."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dnswatch.config.build import load_policy
from dnswatch.core.clients.identity import Identity
from dnswatch.core.feeds.pages import records
from dnswatch.core.feeds.xfr import Version
from dnswatch.core.model import Lease, Snapshot
from dnswatch.errors import FeedRefused
from dnswatch.io import packed, press, press_child, publishing
from dnswatch.io.primary import Primary
from dnswatch.io.publish import rebuild
from dnswatch.io.publishing import Publishing
from dnswatch.io.store import FILE, Store
from dnswatch.io.web.feeds import PublishedFeeds
from tests.io.test_publishing import Told

CONFIG = """\
state_dir: {place}/state
clients: {{groups: {{staff: {{networks: [10.1.0.0/16]}}, build: {{networks: [10.2.0.0/16]}}}}}}
expect:
  - {{who: ["name:printer"], services: [telegram-bot], because: toner}}
  - {{who: ["group:build"], services: [slack-webhook], because: deploys}}
feeds:
  mode: enforce
  directory: {place}/feeds
  limits: {{share: 0, rules: 2}}
  on_change: [{{run: [{python}, -c, "open('{place}/ran', 'a').write('x')"]}}]
dns: {{listen: "127.0.0.1:0"}}
"""


class World:
    """A daemon's publishing, all of it in children."""

    def __init__(self, place: Path, store: Store) -> None:
        self.place, self.store = place, store
        path = place / "dnswatch.yaml"
        path.write_text(CONFIG.format(place=place, python=sys.executable))
        self.loaded = load_policy(path)
        self.identity, self.told, self.feeds = Identity(), Told(), PublishedFeeds()
        self.primary = Primary(store, self.told)
        self.publishing = self.anew()

    def anew(self) -> Publishing:
        return Publishing(lambda: self.loaded, self.identity, self.store, self.feeds, self.primary, self.told)

    def block(self, name: str) -> None:
        path = self.place / "dnswatch.yaml"
        text = path.read_text().replace("feeds:\n", f"feeds:\n  block: [{{names: [{name}], because: test}}]\n", 1)
        path.write_text(text)
        self.loaded = load_policy(path)

    def files(self) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in (self.place / "feeds").iterdir()}

    def served(self) -> dict[str, tuple[int, list[bytes]]]:
        zones = self.primary._responder.zones
        return {name: (one.serial, list(records(one.axfr()))) for name, one in zones.items()}


@pytest.fixture
async def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    """Zones are small, and yet made in a child."""
    monkeypatch.setattr(press, "LARGE", 1)
    (tmp_path / "state").mkdir()
    async with await Store.open(tmp_path / "state" / FILE) as store:
        made = World(tmp_path, store)
        await made.primary.configure(made.loaded.config, later=True)
        yield made
        await made.publishing.stop()
        await made.primary.stop()


async def test_a_child_makes_what_would_be_made_here(world: World, tmp_path: Path) -> None:
    """Files, serials, records and hooks; then a change; then nothing, for nothing has changed."""
    await world.publishing.publish()
    assert (tmp_path / "ran").read_text() == "x"
    assert set(world.served()) == {f"{one}.rpz.dnswatch.internal" for one in
                                                 ("quarantine", "exempt", "staff", "build", "any")}  # fmt: skip
    before, had = world.served(), await world.store.heads()
    world.block("evil.example.com")
    await world.publishing.publish()
    after = await world.store.latest_snapshots()
    changed = {name for name, one in after.items() if had[name] != (one.serial, one.at)}
    assert changed == {f"{one}.rpz.dnswatch.internal" for one in ("staff", "build", "any", "everyone")}
    assert {name for name, one in world.served().items() if one != before[name]} == changed - {
        "everyone.rpz.dnswatch.internal"}  # fmt: skip
    any_ = world.primary._responder.zones["any.rpz.dnswatch.internal"]
    assert any_.ixfr(had["any.rpz.dnswatch.internal"][0]) is not None
    at = max(one.at for one in after.values())
    here = await rebuild(world.loaded.policy, world.identity, at, world.store, tmp_path / "here", [])
    assert here.publication.changed == ()
    assert {path.name: path.read_bytes() for path in (tmp_path / "here").iterdir()} == world.files()
    here_served = Primary(world.store, world.told)
    await here_served.configure(world.loaded.config)
    assert {name: sorted(one[1]) for name, one in world.served().items()} == {
        name: sorted(records(one.axfr())) for name, one in here_served._responder.zones.items()}  # fmt: skip
    await here_served.stop()
    assert world.publishing.skipped == 0
    await world.publishing.publish()
    assert world.publishing.skipped == 1


@pytest.mark.parametrize("damage", ["changed", "removed", "served", "spoilt"])
async def test_a_file_that_somebody_touched_is_made_right(world: World, damage: str) -> None:
    """In the feeds' directory, or where HTTP serves from: a publication is not left out then."""
    await world.publishing.publish()
    name = "any.rpz.dnswatch.internal.zone"
    path = world.place / "feeds" / name
    content, size = path.read_bytes(), path.stat().st_size
    if damage == "changed":
        times = path.stat()
        path.write_bytes(b"x" * size)
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    elif damage == "removed":
        path.unlink()
    elif damage == "spoilt":
        for one in (world.place / "state" / "served").glob("*.gz"):
            one.write_bytes(b"x" * one.stat().st_size)
    else:
        for one in (world.place / "state" / "served").glob("*.gz"):
            one.unlink()
    await world.publishing.publish()
    assert world.publishing.skipped == 0
    assert path.read_bytes() == content
    assert len(list((world.place / "state" / "served").glob("*.gz"))) > 5
    assert set(packed.load(world.place / "state" / "served")) == set(world.feeds.files)
    await world.publishing.publish()
    assert world.publishing.skipped == 1


async def test_what_the_guard_refuses_changes_nothing(world: World) -> None:
    """Told as ever; the last good version stays stored, written and served."""
    await world.publishing.publish()
    before = world.files(), world.served(), await world.store.heads()
    now = time.time()
    for i in range(3):
        world.identity.learn(Lease(now - 60, f"10.1.0.{i}", f"printer.x{i}.test", "", now + 900))
    with pytest.raises(FeedRefused, match="would change 3 rules at once"):
        await world.publishing.publish()
    assert ("feed-refused", "rpz.dnswatch.internal") in world.told.open
    assert (world.files(), world.served(), await world.store.heads()) == before


async def test_a_refused_publication_is_not_made_again_each_minute(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """But at once when anything it depends on has changed, and after a while; it is told all the same."""
    await world.publishing.publish()
    begun: list[press.Task] = []
    make = world.publishing._press.publish

    async def count(task: press.Task, *given: Any) -> Any:
        begun.append(task)
        return await make(task, *given)

    async def refused() -> int:
        world.told.open.clear()
        with pytest.raises(FeedRefused, match="rules at once"):
            await world.publishing.publish()
        assert ("feed-refused", "rpz.dnswatch.internal") in world.told.open
        return len(begun)

    monkeypatch.setattr(world.publishing._press, "publish", count)
    now = time.time()
    for i in range(3):
        world.identity.learn(Lease(now - 60, f"10.1.0.{i}", f"printer.x{i}.test", "", now + 900))
    assert [await refused(), await refused()] == [1, 1]
    world.identity.learn(Lease(now - 60, "10.1.0.3", "printer.x3.test", "", now + 900))
    assert [await refused(), await refused()] == [2, 2]
    assert world.publishing._refused is not None
    world.publishing._refused = replace(world.publishing._refused, until=time.monotonic())
    assert await refused() == 3
    await world.store.order({"force": True, "by": "ann", "because": "new floor"})
    await world.publishing.publish()
    assert not world.told.open


async def test_a_child_that_is_killed_is_a_failed_publication(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was served stays; the next publication is whole."""
    await world.publishing.publish()
    before = world.files(), world.served()
    world.block("evil.example.com")
    serve = world.primary.serve_made

    async def kill(versions: list[Version], written: bool) -> None:
        process = world.publishing._press._process
        assert process is not None
        process.kill()
        await process.wait()
        await serve(versions, written)

    with monkeypatch.context() as patched:
        patched.setattr(world.primary, "serve_made", kill)
        with pytest.raises(OSError, match=r"broke \(signal 9\)"):
            await world.publishing.publish()
    assert world.files() == before[0]  # serials are stored, files are not written yet
    served = {path.name for path in (world.place / "state" / "served").iterdir()}
    assert served == {"index.json", *(one.path.name for one in world.feeds.files)}  # what it had made is gone
    await world.publishing.publish()
    assert b"evil.example.com" in world.files()["any.rpz.dnswatch.internal.zone"]


async def test_a_child_that_cannot_work_says_why(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its last words are in the error; stored versions are served all the same."""
    await world.publishing.publish()
    stored = world.served()
    world.primary._responder.zones = {}
    world.publishing = world.anew()
    monkeypatch.setattr(press, "_BOOT", "raise MemoryError('no room')")
    with pytest.raises(OSError, match="MemoryError: no room"):
        await world.publishing.publish()
    assert {name: sorted(one[1]) for name, one in world.served().items()} == {
        name: sorted(one[1]) for name, one in stored.items()}  # fmt: skip


async def test_a_full_disk_is_told_as_one(world: World) -> None:
    """The error of the child is the error of the publication."""
    (world.place / "feeds").write_text("not a directory")
    with pytest.raises(NotADirectoryError):
        await world.publishing.publish()


async def test_the_end_ends_the_child(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """At once, in the middle of its work; that is no failure."""
    monkeypatch.setattr(press, "_BOOT", "import time; time.sleep(60)")
    work = asyncio.create_task(world.publishing.publish())
    while world.publishing._press._process is None:  # noqa: ASYNC110  # it tells nobody
        await asyncio.sleep(0.01)
    pid = world.publishing._press._process.pid
    await world.publishing.stop()
    with pytest.raises(asyncio.CancelledError):
        await work
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


async def test_a_child_ends_with_its_parent(tmp_path: Path) -> None:
    """Also when the parent was killed, and the child is busy."""
    boot = ("import sys; sys.path[:] = sys.argv[1:]; from dnswatch.io import press_child; import time; "
            "press_child._Parent(); print('ready', flush=True); t = time.monotonic()\n"
            "while time.monotonic() < t + 30: pass")  # fmt: skip
    middle = ("import subprocess, sys; child = subprocess.Popen([sys.executable, '-S', '-c', *sys.argv[1:]], "
              "stdin=subprocess.PIPE); print(child.pid, flush=True); child.wait()")  # fmt: skip
    parent = await asyncio.create_subprocess_exec(sys.executable, "-c", middle, boot, *sys.path, stdout=-1)
    assert parent.stdout is not None
    said = [await parent.stdout.readline(), await parent.stdout.readline()]
    pid = int(next(line for line in said if line != b"ready\n"))
    parent.send_signal(signal.SIGKILL)
    await parent.wait()
    for _ in range(1000):
        if not _runs(pid):
            break
        await asyncio.sleep(0.01)
    assert not _runs(pid)


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


async def test_a_restart_serves_what_was_served(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Over HTTP from the index; over DNS from the child, with the versions before, ahead of the publication."""
    await world.publishing.publish()
    world.block("evil.example.com")
    await world.publishing.publish()
    names, before = world.feeds.names(), world.served()
    serials = {name: set(one.past) for name, one in world.primary._responder.zones.items()}
    world.feeds.replace(())
    world.primary._responder.zones = {}
    world.publishing = world.anew()
    await world.publishing.begin()
    assert world.feeds.names() == names
    seen: list[Iterable[str]] = []
    serve = world.primary.serve_made

    async def note(versions: list[Version], written: bool) -> None:
        await serve(versions, written)
        seen.append(sorted(world.served()))

    monkeypatch.setattr(world.primary, "serve_made", note)
    await world.publishing.publish()
    assert seen == [sorted(before), sorted(before)]
    assert {name: set(one.past) for name, one in world.primary._responder.zones.items()} == serials
    assert {name: sorted(one[1]) for name, one in world.served().items()} == {
        name: sorted(one[1]) for name, one in before.items()}  # fmt: skip


async def test_a_serial_that_somebody_gave_meanwhile_is_not_given_twice(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The child begins anew from what is stored now."""
    await world.publishing.publish()
    world.block("evil.example.com")
    heads = world.store.heads
    once: list[Snapshot] = []

    async def lifted() -> dict[str, tuple[int, float]]:
        if len(once) == 0:
            one = (await world.store.latest_snapshots())["any.rpz.dnswatch.internal"]
            once.append(replace(one, serial=one.serial + 100))
            await world.store.save_snapshots(once)
        return await heads()

    monkeypatch.setattr(world.store, "heads", lifted)
    monkeypatch.setattr(publishing.Publishing, "_is_same", _never)
    await world.publishing.publish()
    latest = (await world.store.latest_snapshots())["any.rpz.dnswatch.internal"]
    assert latest.serial > once[0].serial
    assert world.served()["any.rpz.dnswatch.internal"][0] == latest.serial


async def _never(*_: object) -> bool:
    return False


async def test_a_file_that_is_touched_while_hooks_run_is_made_right(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was right when it was written, and is not when the publication ends."""
    path = world.place / "feeds" / "any.rpz.dnswatch.internal.zone"
    run = publishing.hooks.run

    async def touch(*given: Any) -> list[publishing.hooks.Failed]:
        path.write_bytes(b"; mine\n")
        return await run(*given)

    with monkeypatch.context() as patched:
        patched.setattr(publishing.hooks, "run", touch)
        await world.publishing.publish()
    assert path.read_bytes() == b"; mine\n"
    await world.publishing.publish()
    assert b"SOA" in path.read_bytes()


async def test_a_child_that_says_nothing_is_ended(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also one that does not even take what it is told; the error says what happened."""
    monkeypatch.setattr(press, "_BOOT", "import time; time.sleep(60)")
    monkeypatch.setattr(press, "PATIENCE_S", 0.2)
    with pytest.raises(OSError, match=r"said nothing for 0\.2 s and was ended"):
        await world.publishing.publish()
    assert world.publishing._press._process is None


async def test_the_end_ends_a_child_that_is_just_begun(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The end came while the system made the process."""
    monkeypatch.setattr(press, "_BOOT", "import time; time.sleep(60)")
    begin = asyncio.create_subprocess_exec
    begun: list[asyncio.subprocess.Process] = []

    async def slowly(*given: Any, **options: Any) -> asyncio.subprocess.Process:
        begun.append(await begin(*given, **options))
        await world.publishing.stop()
        return begun[0]

    monkeypatch.setattr(asyncio, "create_subprocess_exec", slowly)
    with pytest.raises(asyncio.CancelledError):
        await world.publishing.publish()
    assert begun[0].returncode == -signal.SIGKILL


def test_a_child_steps_back_in_every_unit() -> None:
    """Its being nicer is no reason for the sandbox to kill it, nor its death one for systemd to end the daemon."""
    root = Path(__file__).parents[2]
    for unit in ("examples/bind/dnswatch.service", "examples/dnsmasq/dnswatch.service"):
        lines = (root / unit).read_text().splitlines()
        assert lines.index("SystemCallFilter=setpriority") > lines.index("SystemCallFilter=~@privileged @resources")
        assert "OOMPolicy=continue" in lines
        assert f"OOMScoreAdjust={int(press_child.FIRST_TO_GO) - 300}" in lines
