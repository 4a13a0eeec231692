"""The embedded store: one transaction per checkpoint, clear errors, bounded size."""

import asyncio
import errno
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from dnswatch.core.detect.changes import Changes
from dnswatch.core.model import Rule, Snapshot, Zone
from dnswatch.errors import StateError
from dnswatch.io.store import FILE, Backlog, Store, Wanted
from dnswatch.io.store.database import reading
from tests.io.making import AT, alert, sighting, state


async def test_checkpoint_comes_back_whole(tmp_path: Path) -> None:
    """What one checkpoint stored is what the next start loads: positions, rows, revisions, sightings."""
    path = tmp_path / FILE
    async with await Store.open(path) as store:
        changes = Changes({("pair", "a"): {"n": 1}, ("pair", "b"): {"n": 2}}, [sighting(count=2)])
        await store.checkpoint([state(offset=100, last_at=5.0)], changes, [alert(1), alert(1, 2)])
        await store.checkpoint([state(offset=200)], Changes({("pair", "a"): None}, [sighting(count=3)]))
    async with await Store.open(path, create=False) as store:
        saved = await store.load()
        assert saved.rows == [("pair", "b", {"n": 2})]
        assert saved.positions == {"bind": state(offset=200)}
        assert await store.revisions(alert(1).id) == [alert(1), alert(1, 2)]
        assert await store.alerts() == [alert(1, 2)]
        (bucket,) = await store.sightings()
        assert bucket == sighting(count=5)


async def test_sightings_of_one_bucket_add_up(tmp_path: Path) -> None:
    """Increments of one checkpoint and of later ones sum up; first and last widen."""
    async with await Store.open(tmp_path / FILE) as store:
        hour = sighting().hour
        early, late = sighting(first_at=hour + 1.0), sighting(last_at=hour + 99.0)
        await store.checkpoint([], Changes({}, [late, early]))
        await store.checkpoint([], Changes({}, [sighting(), sighting(expected=True), sighting(client="10.0.0.1")]))
        other, mine, expected = await store.sightings()
        assert mine == sighting(count=3, first_at=hour + 1.0, last_at=hour + 99.0)
        assert (other.client, expected.expected) == ("10.0.0.1", True)
        assert await store.sightings(since=hour + 50.0) == [mine]


async def test_revision_is_stored_and_queued_once(tmp_path: Path) -> None:
    """A revision that comes again (lines read twice after a crash) is not stored or delivered again."""
    async with await Store.open(tmp_path / FILE) as store:
        await store.checkpoint([], None, [alert(1), alert(2)])
        await store.checkpoint([], None, [replace(alert(1), score=99), alert(1, 2)])
        assert [(seq, one.id[-1], one.rev) for seq, one in await store.waiting(0, 10)] == [
            (1, "1", 1), (2, "2", 1), (3, "1", 2),
        ]  # fmt: skip
        assert (await store.revisions(alert(1).id))[0].score == alert(1).score


async def test_older_revision_does_not_replace_a_newer(tmp_path: Path) -> None:
    """The list shows the highest revision, whatever the order of arrival."""
    async with await Store.open(tmp_path / FILE) as store:
        await store.checkpoint([], None, [alert(1, 3)])
        await store.checkpoint([], None, [alert(1, 2)])
        assert [one.rev for one in await store.alerts()] == [3]


async def test_list_filters(tmp_path: Path) -> None:
    """Since, severity, client (address, name or group), service or category, state and limit narrow the list."""
    closed = alert(3, state="closed", severity="low", service="slack-webhook", category="chat-webhook")
    async with await Store.open(tmp_path / FILE) as store:
        await store.checkpoint([], None, [alert(1), alert(2, severity="critical"), closed])
        for wanted, numbers in [
            (Wanted(), "321"),
            (Wanted(since=AT + 2.5), "32"),
            (Wanted(severity="high"), "21"),
            (Wanted(severity="critical"), "2"),
            (Wanted(client="db-1"), "321"),
            (Wanted(client="servers"), "321"),
            (Wanted(client="10.0.10.8"), ""),
            (Wanted(service="slack-webhook"), "3"),
            (Wanted(service="bot-api"), "21"),
            (Wanted(states=("closed", "snoozed")), "3"),
            (Wanted(limit=1), "3"),
        ]:
            assert "".join(one.id[-1] for one in await store.alerts(wanted)) == numbers, wanted
        assert await store.alert_ids("0" * 25) == [alert(n).id for n in (1, 2, 3)]
        assert await store.alert_ids("%") == []


async def test_cursors(tmp_path: Path) -> None:
    """A new sink starts at now; a known one where it stood; the backlog counts what waits."""
    async with await Store.open(tmp_path / FILE) as store:
        assert await store.cursors(["old"]) == {"old": 0}
        await store.checkpoint([], None, [alert(1), alert(2)])
        assert await store.cursors(["old", "new"]) == {"old": 0, "new": 2}
        await store.confirm("old", 1)
        await store.confirm("old", 0)
        assert await store.cursors(["old"]) == {"old": 1}
        backlog = await store.backlog()
        assert (backlog["old"].rows, backlog["new"]) == (1, Backlog(0, None))


async def test_prune_keeps_what_is_needed(tmp_path: Path) -> None:
    """Retention deletes old closed alerts and sightings, never what is open or waits; a seq does not come back."""
    path = tmp_path / FILE
    async with await Store.open(path) as store:
        await store.cursors(["siem"])
        gone = alert(1, state="closed")
        await store.checkpoint([], Changes({}, [sighting()]), [gone, alert(2), alert(3, state="closed")])
        await store.confirm("siem", 2)
        with sqlite3.connect(path) as raw:
            raw.execute("UPDATE outbox SET at_wall = 1")
        raw.close()
        removed = await store.prune(alerts_before=AT + 1000, sightings_before=AT + 1e6)
        assert removed == {"outbox": 2, "alert": 1, "alert_rev": 1, "sighting": 1, "action": 0, "surroundings": 0}
        assert [one.id[-1] for one in await store.alerts()] == ["3", "2"]
        await store.confirm("siem", 3)
        await store.prune(AT + 1000, 0)
        assert await store.waiting(0, 10) == []
        assert await store.cursors(["later"]) == {"later": 3}


async def test_actions_wait_for_the_engine(tmp_path: Path) -> None:
    """An action waits until a checkpoint says what became of it."""
    async with await Store.open(tmp_path / FILE) as store:
        number = await store.ask({"kind": "ack", "alert": "X"}, "anna")
        (waiting,) = await store.asked()
        assert (waiting.id, waiting.by, waiting.data) == (number, "anna", {"kind": "ack", "alert": "X"})
        await store.checkpoint([], applied={number: "done"})
        assert await store.asked() == []
        outcome = await store.outcome(number)
        assert outcome
        assert outcome.result == "done"
        assert await store.outcome(99) is None


async def test_snapshots(tmp_path: Path) -> None:
    """Zones come back as published; the last stored one counts, also after the serial has wrapped."""
    rules = (Rule("*.ngrok.io", "nxdomain"), Rule("api.telegram.org", "address", ("192.0.2.1", "2001:db8::1")))
    zone = Zone("any.rpz.dnswatch.internal", "any", rules)
    async with await Store.open(tmp_path / FILE) as store:
        saved = [Snapshot(zone, 2**32 - 1, AT), Snapshot(replace(zone, rules=()), 1, AT + 1)]
        await store.save_snapshots(saved)
        await store.save_snapshots([Snapshot(zone, 1, AT + 2)])
        assert await store.latest_snapshots() == {zone.name: saved[1]}
        assert await store.snapshot(zone.name, 2**32 - 1) == saved[0]
        assert await store.snapshots(zone.name) == saved[::-1]
        await store.prune_snapshots(1)
        assert await store.snapshot(zone.name, 2**32 - 1) is None


async def test_year_anchor_and_status_stay(tmp_path: Path) -> None:
    """The year anchor is the first one ever given; status rows replace each other."""
    async with await Store.open(tmp_path / FILE) as store:
        assert await store.year_anchor("bind", 100.5) == 100.5
        assert await store.year_anchor("bind", 200.0) == 100.5
        await store.save_status({"run": {"pid": 1}, "sink:x": {"sent": 2}})
        await store.save_status({"run": {"pid": 2}})
    async with await Store.open(tmp_path / FILE, readonly=True) as store:
        assert {key: data for key, (_, data) in (await store.status()).items()} == {"run": {"pid": 2}}


async def test_newer_store_is_refused(tmp_path: Path) -> None:
    """A store of a newer layout names both versions and the way on."""
    path = tmp_path / FILE
    await (await Store.open(path)).close()
    raw = sqlite3.connect(path)
    raw.execute("UPDATE meta SET value = '7' WHERE key = 'version'")
    raw.commit()
    raw.close()
    with pytest.raises(StateError, match=r"has layout 7.*knows layouts up to \d\..*install that version"):
        await Store.open(path)


@pytest.mark.parametrize("damage", ["text", "header", "pages", "foreign"])
async def test_damaged_store_is_refused(tmp_path: Path, damage: str) -> None:
    """A file that is not (any more) our database is a StateError that says what to do, never a traceback."""
    path = tmp_path / FILE
    if damage == "text":
        path.write_bytes(b"this is a text file, not a database\n" * 100)
    else:
        async with await Store.open(path) as store:
            await store.checkpoint([], None, [alert(n) for n in range(200)])
        data = bytearray(path.read_bytes())
        data[0:16] = b"\0" * 16 if damage == "header" else data[0:16]
        if damage == "pages":
            data[8192:40960] = b"\xa5" * (40960 - 8192)
        path.write_bytes(data)
        if damage == "foreign":
            path.unlink()
            other = sqlite3.connect(path)
            other.execute("CREATE TABLE meta (key TEXT, value TEXT)")
            other.commit()
            other.close()
    with pytest.raises(StateError, match=r"damaged.*backup"):
        await Store.open(path)


async def test_missing_store(tmp_path: Path) -> None:
    """Reading commands do not make a store."""
    with pytest.raises(StateError, match="has not run"):
        await Store.open(tmp_path / FILE, create=False)
    with pytest.raises(StateError, match="has not run"):
        await Store.open(tmp_path / FILE, readonly=True)
    assert not (tmp_path / FILE).exists()


async def test_full_disk_is_an_oserror_and_stores_nothing(tmp_path: Path) -> None:
    """A checkpoint that does not fit raises ENOSPC, leaves the last one standing, and fits once there is room."""
    path = tmp_path / FILE
    async with await Store.open(path) as store:
        await store.checkpoint([state(offset=1)])
        big = Changes({("pair", str(n)): {"text": "x" * 3000} for n in range(100)})
        with store.write() as connection:
            connection.exec_driver_sql("PRAGMA max_page_count = 40")
        with pytest.raises(OSError, match="no space left") as caught:
            await store.checkpoint([state(offset=2)], big, [alert(1)])
        assert caught.value.errno == errno.ENOSPC
        assert (await store.load()).positions["bind"].position.offset == 1
        assert await store.alerts() == []
        with store.write() as connection:
            connection.exec_driver_sql("PRAGMA max_page_count = 100000")
        await store.checkpoint([state(offset=2)], big, [alert(1)])
        assert (await store.load()).positions["bind"].position.offset == 2


async def test_writers_of_other_processes_wait(tmp_path: Path) -> None:
    """A command that writes at the same time as the daemon delays it, and neither fails."""
    path = tmp_path / FILE
    async with await Store.open(path) as store, await Store.open(path) as other:
        for _ in range(20):
            await asyncio.gather(store.checkpoint([state(offset=1)]), other.ask({"kind": "ack"}, "anna"))
        assert len(await store.asked()) == 20


async def test_cancelled_checkpoint_is_finished(tmp_path: Path) -> None:
    """Whoever is cancelled in the middle of a transaction leaves neither half of it nor a lock behind."""
    path = tmp_path / FILE
    async with await Store.open(path) as store, await Store.open(path) as other:
        for number in range(1, 31):
            rows = Changes({("pair", str(n)): {"n": number} for n in range(50)}, [sighting()])
            task = asyncio.create_task(store.checkpoint([state(offset=number)], rows, [alert(number)]))
            await asyncio.sleep(number / 10_000)
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            async with asyncio.timeout(60):
                await other.ask({"kind": "ack"}, "anna")
        saved = await store.load()
        assert len({row["n"] for _, _, row in saved.rows}) == 1
        done = len(await store.waiting(0, 100))
        assert sum(row.count for row in await store.sightings()) == done
        assert done in (29, 30)  # the first may be cancelled before it begins


WRITER = """
import asyncio, sys
from pathlib import Path
from dnswatch.core.detect.changes import Changes
from dnswatch.io.store import Store
from tests.io.making import alert, sighting, state

async def main():
    async with await Store.open(Path(sys.argv[1])) as store:
        at = (await store.load()).positions.get("bind")
        offset = at.position.offset if at else 0
        while True:  # one "line" = one sighting and, every fifth, one revision
            offset += 1
            revisions = [alert(offset)] if offset % 5 == 0 else []
            changes = Changes({("pair", "x"): {"seen": offset}}, [sighting()])
            await store.checkpoint([state(offset=offset)], changes, revisions)
            print(offset, flush=True)

asyncio.run(main())
"""


def run_and_kill(path: Path) -> int:
    """Let the writer work for a while, kill it; give the last checkpoint that it acknowledged."""
    acknowledged = 0
    with subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout
        for line in writer.stdout:
            acknowledged = int(line)
            if acknowledged % 40 == 39:
                break
        time.sleep(0.003)
        writer.send_signal(signal.SIGKILL)
        return max([acknowledged, *(int(line) for line in writer.stdout if line.endswith("\n"))])


async def test_kill_in_mid_write_counts_every_line_once(tmp_path: Path) -> None:
    """kill -9 at any moment: position, rows, sightings and outbox agree, and no acknowledged checkpoint is lost."""
    path = tmp_path / FILE
    for _ in range(3):
        acknowledged = await asyncio.to_thread(run_and_kill, path)
        async with await Store.open(path) as store:
            saved = await store.load()
            offset = saved.positions["bind"].position.offset
            assert offset in (acknowledged, acknowledged + 1)
            assert saved.rows == [("pair", "x", {"seen": offset})]
            assert sum(row.count for row in await store.sightings()) == offset
            assert [seq for seq, _ in await store.waiting(0, 10_000)] == list(range(1, offset // 5 + 1))


class Read(Store):
    """A store of which somebody reads until told to stop."""

    began, go_on = threading.Event(), threading.Event()

    @reading
    def slowly(self) -> int:
        with self.read() as connection:
            count = connection.exec_driver_sql("SELECT count(*) FROM meta").scalar_one()
            self.began.set()
            self.go_on.wait(10)
            return int(count)


async def test_closing_waits_for_what_is_read(tmp_path: Path) -> None:
    """A connection that was still in use stayed open, and the WAL beside the file."""
    store = await Read.open(tmp_path / FILE)
    slowly = asyncio.create_task(store.slowly())
    await asyncio.to_thread(store.began.wait, 10)
    asyncio.get_running_loop().call_later(0.1, store.go_on.set)
    await store.close()
    assert await slowly > 0
    assert [each.name for each in tmp_path.iterdir()] == [FILE]
