"""Every blind spot of a log, provoked in a running daemon with real files: told to the sink, over when it is over.

What it takes a real server to provoke is in ``tests/live/test_blind_spots.py``. Waiting times are shortened; that they
are as long as they say is the unit tests' (``tests/core/test_health_*.py``).
"""

import asyncio
import errno
import os
import shutil
import socket
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from dnswatch import daemon
from dnswatch.core.detect import strangers
from dnswatch.core.health import monitor, parsing
from dnswatch.core.health.kinds import KINDS
from dnswatch.core.health.monitor import HOST
from dnswatch.io.ingest import Reader
from dnswatch.io.ledger import Ledger
from tests.io.receivers import tcp_receiver
from tests.running import PATIENCE, InLoop, Place, Running, bind_line, soon, until

KIB, MIB = 1 << 10, 1 << 20
UNBOUND = "[1795375648] unbound[20803:0] query: 192.0.2.7 www.example.test. A IN\n"
OWN_STAMP = "23-Nov-2026 07:00:00.123 LOOKUP src=10.0.0.7 name=a.example.test\n"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look often; shorten what a condition lasts before it is told, and before it is over."""
    monkeypatch.setattr(daemon, "STATUS_S", 0.1)
    monkeypatch.setattr(monitor, "READABLE_S", 0.5)
    monkeypatch.setattr(monitor, "LAG_S", 0.1)
    monkeypatch.setattr(parsing, "LASTS_S", 0.5)
    for name in ("GAPS", "OTHER_GAPS"):
        monkeypatch.setattr(parsing, name, 0.0)
    for name, kind in KINDS.items():
        monkeypatch.setitem(KINDS, name, kind._replace(settle_s=min(kind.settle_s, 0.3)))


def told(place: Place, kind: str) -> list[str]:
    """The states that the sink was told of one kind, in order."""
    return [one["state"] for one in place.alerts() if one["service"] == kind]


def reason(place: Place, kind: str) -> str:
    return next(str(one["reason"]) for one in place.alerts() if one["service"] == kind)


def place(folder: Path, more: str = "", kind: str = "bind") -> InLoop:
    source = f"{{type: {kind}, path: {folder}/query.log, timezone: UTC, from: start{more}}}"
    return InLoop(folder, "feeds: {mode: off}\n", sources=f"sources: [{source}]")


def shown(running: InLoop) -> dict[str, Any]:
    """The source's row of `status`."""
    return dict(running.daemon.rows()[f"source:{running.log}"])


def reads(reader: Reader, least: int) -> Callable[[], bool]:
    return lambda: reader.reads >= least


async def opens_and_closes(running: InLoop, kind: str, mend: Callable[[], object]) -> None:
    """Wait until it is told, mend what is wrong, wait until it is over; nothing else was told."""
    await soon(lambda: told(running, kind), 20)
    mend()
    await soon(lambda: told(running, kind)[-1] == "closed", 20)
    assert told(running, kind) == ["open", "closed"]
    assert {one["service"] for one in running.alerts() if one["category"] == "blind-spot"} == {kind}


# ── The lines ─────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("sample", ["all", "position"])
@pytest.mark.parametrize("line", [UNBOUND, OWN_STAMP], ids=["another server", "nobody knows"])
async def test_a_log_changes_its_format(tmp_path: Path, line: str, sample: str) -> None:
    """No such line holds a watched name. The alert shows one and its place, `status` that nothing parses."""
    running = place(tmp_path, f", sample: {sample}")
    many = 400 if sample == "all" else 40_000  # so many lines are 300 samples
    running.write(*[bind_line("www.example.org")] * 12_000)
    async with running:
        await soon(lambda: shown(running)["parse_ratio"] == 1.0)
        running.write(*[line] * many)
        await soon(lambda: told(running, "parse-drop"), 20)
        said = reason(running, "parse-drop")
        assert line.strip() in said
        assert f"of {running.log}: " in said
        assert ("`type: unbound`?" in said) == (line == UNBOUND)
        assert shown(running)["parse_ratio"] == 0.0
        mend = [bind_line("www.example.org")] * 12_000
        await opens_and_closes(running, "parse-drop", lambda: running.write(*mend))
        assert shown(running)["parse_ratio"] == 1.0


async def test_a_shared_syslog_is_no_blind_spot(tmp_path: Path) -> None:
    """First other programs' lines only, then three in ten are lookups, then others' alone: nothing is told."""
    running = place(tmp_path, ", sample: all")
    stamp = time.strftime("%b %e %H:%M:%S", time.gmtime())
    cron = f"{stamp} vm CRON[4711]: (root) CMD (test -x /usr/sbin/anacron)\n"
    named = f"{stamp} vm named[947]: client @0x7fa484f14098 10.0.0.7#3851 (a.test): query: a.test IN A + (192.0.2.53)\n"
    async with running:
        for lines in ([cron] * 300, [named, named, named, *[cron] * 7] * 50, [cron] * 1000):
            running.write(*lines)
            await asyncio.sleep(1.2)  # longer than it takes to be told
        assert shown(running)["samples_foreign"] == 1650
    assert running.alerts() == []


async def test_a_log_that_is_silent_against_its_habit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hundred lines a second at this hour of the week, and then none."""
    monkeypatch.setattr(monitor, "LEAST_S", 1.0)
    running = place(tmp_path)
    running.write(bind_line("www.example.org"))
    async with running:
        await soon(lambda: running.daemon.watch._monitor.remembered(str(running.log)))
        known = running.daemon.watch._monitor._sources[str(running.log)]
        known.profile.slots = [[360_000] * 4 for _ in known.profile.slots]

        def mend() -> None:
            known.profile.slots = [[] for _ in known.profile.slots]  # or it would be silent again
            running.write(bind_line("www.example.org"))

        await opens_and_closes(running, "source-silent", mend)
        assert "at this time of the week at least" in reason(running, "source-silent")


async def test_a_server_loses_lines(tmp_path: Path) -> None:
    """dnsmasq's own word; over when none is lost any more."""
    running = place(tmp_path, kind="dnsmasq")
    async with running:
        running.write("Nov 22 19:26:10 dnsmasq[18957]: overflow: 114 log entries lost\n")
        await opens_and_closes(running, "overflow", lambda: None)
        assert "it lost 114 lines" in reason(running, "overflow")


async def test_stamps_of_another_zone(tmp_path: Path) -> None:
    """Lines of now stamped two hours ago; right ones end it."""
    running = place(tmp_path, ", sample: all")
    async with running:
        reader = running.daemon.following.readers[str(running.log)]
        for number in range(monitor.CLOCK_BLOCKS + 2):
            running.write(bind_line("www.example.org", at=time.time() - 7230 + number / 10))
            await soon(reads(reader, number + 1))
        await opens_and_closes(running, "clock-jump", lambda: running.write(bind_line("www.example.org")))
        assert "2 h behind our clock" in reason(running, "clock-jump")


async def test_a_flood_of_unknown_clients(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Thirteen at once where five may: one alert for the others, over when no more come."""
    monkeypatch.setattr(strangers, "QUIET_S", 1.0)
    running = place(tmp_path)
    running.configure("feeds: {mode: off}\ndetect: {unknown_clients: {at_once: 5, per_minute: 0}}\n")
    async with running:
        running.write(*[bind_line("api.telegram.org", f"198.18.0.{n}") for n in range(13)])
        await opens_and_closes(running, "client-flood", lambda: None)
        assert "telegram-bot 8" in running.alerts()[-1]["reason"]


async def test_our_own_clock_is_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It goes on by an hour at once: told once, and over."""
    running, clock = place(tmp_path), time.time
    running.write(bind_line("www.example.org"))
    async with running:
        await soon(lambda: running.daemon.watch._monitor._offset is not None)
        monkeypatch.setattr(time, "time", lambda: clock() + 3600)
        await soon(lambda: told(running, "clock-jump")[-1:] == ["closed"], 20)
        assert HOST in reason(running, "clock-jump")
        monkeypatch.setattr(time, "time", clock)


# ── The file ──────────────────────────────────────────────────────────────────────────────────────────────────


def dangling(log: Path) -> None:
    log.unlink()
    log.symlink_to(log.parent / "not-there")


def loop(log: Path) -> None:
    log.unlink()
    log.symlink_to(log)


def directory(log: Path) -> None:
    log.unlink()
    log.mkdir()


def device(log: Path) -> None:
    log.unlink()
    log.symlink_to(os.devnull)


SPOILT: dict[str, tuple[Callable[[Path], object], Callable[[Path], object], str]] = {
    "dangling": (dangling, Path.unlink, "not-there, which is not there"),
    "loop": (loop, Path.unlink, os.strerror(errno.ELOOP)),
    "directory": (directory, Path.rmdir, "not a regular file"),
    "device": (device, Path.unlink, "not a regular file"),
    "removed": (Path.unlink, lambda log: None, "no such file"),
}


@pytest.mark.parametrize("began", [True, False], ids=["while read", "from the start"])
async def test_a_path_without_a_log(tmp_path: Path, began: bool) -> None:
    """Told with the reason, each; the log that comes in its place is read from its first line on."""
    logs = {name: tmp_path / name / "query.log" for name in SPOILT}
    sources = [f"{{type: bind, path: {log}, timezone: UTC, from: start}}" for log in logs.values()]
    running = InLoop(tmp_path, "feeds: {mode: off}\n", sources=f"sources: [{', '.join(sources)}]")

    def states(log: Path) -> list[str]:
        return [one["state"] for one in running.alerts() if f" {log}: " in one["reason"]]

    def seen(client: str) -> bool:
        return len([one for one in running.alerts() if one["client_ip"].startswith(client)]) == len(logs)

    def spoil() -> None:
        for name, log in logs.items():
            SPOILT[name][0](log)

    for number, log in enumerate(logs.values()):
        log.parent.mkdir()
        log.write_text(bind_line("api.telegram.org", f"10.0.1.{number}"))
    if not began:
        spoil()
    async with running:
        if began:
            await soon(lambda: seen("10.0.1."))
            spoil()
        await soon(lambda: all(states(log) for log in logs.values()), 20)
        for number, (name, log) in enumerate(logs.items()):
            SPOILT[name][1](log)
            log.write_text(bind_line("api.telegram.org", f"10.0.2.{number}"))
        await soon(lambda: all(states(log)[-1] == "closed" for log in logs.values()), 20)
        await soon(lambda: seen("10.0.2."))
    spots = [one for one in running.alerts() if one["category"] == "blind-spot"]
    assert {one["service"] for one in spots} == {"log-unreadable"}
    for name, log in logs.items():
        assert states(log) == ["open", "closed"]
        assert any(f" {log}: " in one["reason"] and SPOILT[name][2] in one["reason"] for one in spots)


async def test_a_rotation_is_no_blind_spot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The path names nothing for longer than between two looks, but not for as long as it may."""
    monkeypatch.setattr(monitor, "READABLE_S", 30.0)
    running = place(tmp_path)
    running.write(bind_line("api.telegram.org", "10.0.0.1"))
    async with running:
        await soon(running.alerts)
        running.log.rename(tmp_path / "query.log.1")
        await asyncio.sleep(1)
        running.write(bind_line("api.telegram.org", "10.0.0.2"))
        await soon(lambda: len(running.alerts()) == 2)
        await asyncio.sleep(0.5)
        assert [one["service"] for one in running.alerts()] == ["telegram-bot"] * 2


async def test_a_server_writes_on_into_what_was_removed(tmp_path: Path) -> None:
    """The path names nothing, what is open grows: stuck, not unreadable; every line of it is read."""
    running = place(tmp_path)
    running.write(bind_line("www.example.org"))
    async with running:
        await soon(lambda: shown(running)["lines"])
        with running.log.open("a") as log:
            running.log.unlink()
            for number in range(200 * PATIENCE):
                log.write(bind_line("api.telegram.org", f"10.0.{number // 250}.{number % 250}"))
                log.flush()
                await asyncio.sleep(0.1)
                if told(running, "log-stuck"):
                    break
        running.write(bind_line("www.example.org"))
        await soon(lambda: told(running, "log-stuck")[-1:] == ["closed"], 20)
        assert "still reading what was" in reason(running, "log-stuck")
    assert len({one["client_ip"] for one in running.alerts() if one["client_ip"]}) == number + 1


QUICK = """
import sys
from dnswatch import daemon
from dnswatch.core.health import kinds, monitor
daemon.STATUS_S, monitor.READABLE_S = 0.1, 0.5
kinds.KINDS["log-unreadable"] = kinds.KINDS["log-unreadable"]._replace(settle_s=0.3)
from dnswatch.cli import main
main(sys.argv[1:])
"""


def test_a_log_that_may_not_be_read(tmp_path: Path) -> None:
    """The new file after a rotation has the wrong permissions; nobody restarts anything when it has the right ones."""
    running = Running(tmp_path, "feeds: {mode: off}\n")
    running.program = (sys.executable, "-c", QUICK)
    if os.geteuid() == 0:  # root without the right to read everything
        if shutil.which("setpriv") is None:
            pytest.skip("root reads everything, and there is no setpriv (util-linux) to take that away")
        running.program = ("setpriv", "--bounding-set", "-dac_override,-dac_read_search", *running.program)
    running.write(bind_line("www.example.org"))
    with running:
        running.log.rename(tmp_path / "query.log.1")
        running.log.touch(0o000)
        if os.access(running.log, os.R_OK) and os.geteuid():
            pytest.skip("permissions mean nothing on this file system")
        until(lambda: told(running, "log-unreadable"), 20)
        assert "may not read" in reason(running, "log-unreadable") or "permission" in reason(running, "log-unreadable")
        running.log.chmod(0o600)
        running.write(bind_line("api.telegram.org"))
        until(lambda: told(running, "log-unreadable")[-1] == "closed", 20)
        until(lambda: told(running, "telegram-bot"))


# ── Keeping up ────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_log_grows_faster_than_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A slow disk: each block waits for it. Told with both sizes; over when it is fast again."""
    slow = True
    room: Callable[[Ledger], Awaitable[None]] = Ledger.room

    async def waits(self: Ledger) -> None:
        await room(self)
        while slow and running.log.stat().st_size > 2 * MIB:  # noqa: ASYNC110 (a disk has no event)
            await asyncio.sleep(0.05)

    monkeypatch.setattr(Ledger, "room", waits)
    running = place(tmp_path)
    lines = bind_line("www.example.org") * (MIB // 150)
    async with running:
        for _ in range(200):  # ten MiB a second
            if running.log.exists() and running.log.stat().st_size > 200 * MIB:
                break
            running.write(lines)
            await asyncio.sleep(0.1)
            if told(running, "lag-growing"):
                break
        row = shown(running)
        assert row["lag_bytes"] > 4 * MIB
        assert row["lag_s"] > 0
        slow = False
        await opens_and_closes(running, "lag-growing", lambda: None)
        assert "MiB are unread" in reason(running, "lag-growing")
        await soon(lambda: shown(running)["lag_bytes"] == 0)


async def test_a_disk_is_nearly_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Told with what is free; over when there is room."""
    running = place(tmp_path)
    running.write(bind_line("www.example.org"))
    async with running:
        monkeypatch.setattr(monitor, "FULL_BYTES", 1 << 60)
        monkeypatch.setattr(monitor, "FULL_SHARE", 2.0)
        await opens_and_closes(running, "disk-full", lambda: monkeypatch.setattr(monitor, "FULL_BYTES", 0))
        assert "MiB are free" in reason(running, "disk-full")


@pytest.mark.parametrize("most", ["1h", "2kB"])
async def test_catching_up_is_cut_short(tmp_path: Path, most: str) -> None:
    """By time or by size, as configured: told once, and over."""
    running = place(tmp_path, f", catch_up: {{most: {most}}}")
    running.write(bind_line("www.example.org", at=time.time() - 9000))
    async with running:
        await soon(lambda: shown(running)["lines"])
    running.write(*[bind_line("www.example.org", at=time.time() - 7200)] * 100)
    running.write(*[bind_line("www.example.org")] * 5)
    async with running:
        await opens_and_closes(running, "lines-skipped", lambda: None)
        assert "bytes were left out" in reason(running, "lines-skipped")


async def test_a_log_is_gone_before_it_was_read(tmp_path: Path) -> None:
    """Lines were written and removed while nobody ran: told with why, counted in `status`."""
    running = place(tmp_path)
    running.write(bind_line("www.example.org"))
    async with running:
        await soon(lambda: shown(running)["lines"])
    running.log.unlink()
    running.write(bind_line("www.example.net"))
    async with running:
        await opens_and_closes(running, "lines-lost", lambda: None)
        assert "while not running" in reason(running, "lines-lost")
        assert shown(running)["lost"] == {"rotated away while not running": 1}


# ── What dnswatch itself does ─────────────────────────────────────────────────────────────────────────────────

FEEDS = """\
clients: {{leases: [{place}/leases]}}
expect: [{{who: ["name:printer"], services: [telegram-bot], because: toner}}]
feeds:
  limits: {{share: 0, rules: 2}}
  on_change: [{{run: [test, -e, {place}/up]}}]
"""


def printers(folder: Path, count: int) -> None:
    """Let so many hosts of the name that may more have leases."""
    until_ = time.time() + 9999
    lines = [f"{until_:.0f} 10:20:30:40:50:{n:02x} 10.1.0.{n} printer *\n" for n in range(1, count + 1)]
    (folder / "leases").write_text("".join(lines))


async def test_a_hook_fails(tmp_path: Path) -> None:
    """A command of ``on_change`` that fails is tried again until it works."""
    running = InLoop(tmp_path, FEEDS.format(place=tmp_path))
    printers(tmp_path, 1)
    running.write(bind_line("www.example.org"))
    async with running:
        await opens_and_closes(running, "hook-failed", (tmp_path / "up").touch)


async def test_a_feed_is_refused(tmp_path: Path) -> None:
    """Leases that change too much at once; an order with a reason lets them pass."""
    running = InLoop(tmp_path, FEEDS.format(place=tmp_path))
    printers(tmp_path, 1)
    (tmp_path / "up").touch()
    running.write(bind_line("www.example.org"))
    zone = tmp_path / "state" / "feeds" / "exempt.rpz.dnswatch.internal.zone"
    async with running:
        await soon(lambda: zone.exists() and "32.1.0.1.10.rpz-client-ip" in zone.read_text(), 20)
        printers(tmp_path, 9)
        running.daemon.jobs.now("leases")
        await soon(lambda: told(running, "feed-refused") == ["open"], 20)
        await running.daemon.store.order({"force": True, "by": "ann", "because": "new floor"})
        running.daemon.jobs.now("feeds")
        await soon(lambda: told(running, "feed-refused") == ["open", "closed"], 20)


async def test_alerts_pile_up_for_a_sink(tmp_path: Path) -> None:
    """Nobody listens: the other sink is told at 80 % of what may wait; over when they are gone."""
    running = place(tmp_path)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    silent = f"{{type: syslog, address: 'tcp://127.0.0.1:{port}', max_rows: 100}}"
    running.config.write_text(running.config.read_text().replace("sinks: [", f"sinks: [{silent}, "))
    async with running:
        running.write(*[bind_line("api.telegram.org", f"10.0.0.{n}") for n in range(1, 90)])
        await soon(lambda: told(running, "outbox-full") == ["open"], 20)
        async with tcp_receiver(port):
            await soon(lambda: told(running, "outbox-full")[-1] == "closed", 40)
        assert "alerts wait" in reason(running, "outbox-full")
