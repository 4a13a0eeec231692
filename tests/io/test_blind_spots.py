"""Blind spots through the daemon: checkpoint, outbox, sink, commands; over restarts and kill -9."""

import json
import signal
from collections import namedtuple
from pathlib import Path

import pytest

from tests.running import InLoop, Running, bind_line, soon, until


def told(place: InLoop | Running) -> list[tuple[str, int, str]]:
    return [(one["service"], one["rev"], one["state"]) for one in place.alerts() if one["category"] == "blind-spot"]


async def test_reported_stored_delivered_once_and_over_a_restart(tmp_path: Path) -> None:
    """One alert at the sink; the next process knows that it is open, and closes that very one."""
    place = InLoop(tmp_path)
    async with place:
        for _ in range(5):
            place.daemon.blind_spots.report("querylog-off", str(place.log), "named said so at 03:12")
        await soon(lambda: told(place))
    async with place:
        place.daemon.blind_spots.report("querylog-off", str(place.log), "named said so at 03:12")
        assert ("querylog-off", str(place.log)) in place.daemon.blind_spots.open()
        place.daemon.blind_spots.clear("querylog-off", str(place.log))
        await soon(lambda: len(told(place)) > 1)
    assert told(place) == [("querylog-off", 1, "open"), ("querylog-off", 2, "closed")]
    assert len({one["id"] for one in place.alerts()}) == 1


async def test_least_severity_of_a_sink_is_respected(tmp_path: Path) -> None:
    """A sink that wants high ones only is not told of a medium one."""
    place = InLoop(tmp_path)
    place.config.write_text(place.config.read_text().replace("alerts.jsonl}", "alerts.jsonl, min_severity: high}"))
    async with place:
        place.daemon.blind_spots.report("overflow", str(place.log), "7 lines lost")
        place.daemon.blind_spots.report("size-stop", str(place.log), "100 MiB")
        await soon(lambda: told(place))
    assert told(place) == [("size-stop", 1, "open")]


def test_the_commands_show_it_and_take_an_operators_word(tmp_path: Path) -> None:
    """`alerts list|show|ack|close` and `explain ID` while the daemon runs; a kill -9 forgets nothing."""
    source = f"{{type: bind, path: {tmp_path}/query.log, timezone: UTC, silent_after: 1s}}"
    place = Running(tmp_path, sources=f"sources: [{source}]")
    place.write()
    with place:
        until(lambda: told(place), 20)
        place.stop(signal.SIGKILL)
        place.start()
        assert len({(one["id"], one["rev"]) for one in place.alerts()}) == 1  # killed before it was noted: sent twice
        alert = place.alerts()[0]
        assert (alert["service"], alert["client_ip"]) == ("source-silent", "")
        listed = place.run("alerts", "list").stdout
        assert alert["id"][:10] in listed
        assert f"source {place.log}" in listed
        shown = place.run("alerts", "show", alert["id"]).stdout
        assert "What to do" in shown
        assert "blind spot: " in place.run("status").stdout
        assert "expect add" not in shown
        explained = place.run("explain", alert["id"]).stdout
        assert "what to do" in explained
        assert json.loads(place.run("alerts", "show", "--json", alert["id"]).stdout)["service"] == "source-silent"
        assert "is acknowledged" in place.run("alerts", "ack", alert["id"]).stdout
        assert "is closed" in place.run("alerts", "close", alert["id"], "--note", "no log here yet").stdout
        until(lambda: ("source-silent", 3, "closed") in told(place))
    assert sorted(set(told(place)), key=lambda one: one[1]) == [
        ("source-silent", 1, "open"), ("source-silent", 2, "acknowledged"), ("source-silent", 3, "closed")
    ]  # fmt: skip


async def test_what_a_server_lost_is_counted_over_restarts(tmp_path: Path) -> None:
    """dnsmasq's overflow notices: an alert, and a count that the next process goes on with."""
    sources = f"sources: [{{type: dnsmasq, path: {tmp_path}/query.log, timezone: UTC, from: start}}]"
    place = InLoop(tmp_path, sources=sources)
    line = "Nov 22 19:26:10 dnsmasq[18957]: overflow: 114 log entries lost\n"
    for total in (114, 228):
        place.write(line)
        async with place:
            await soon(lambda total=total: place.daemon.rows()[f"source:{place.log}"]["lost_lines"] == total)
            await soon(lambda: told(place))
    assert told(place)[0] == ("overflow", 1, "open")
    assert len({one["id"] for one in place.alerts()}) == 1


async def test_a_quiet_start_a_rotation_and_a_restart_raise_nothing(tmp_path: Path) -> None:
    """What happens every day on every server."""
    place = InLoop(tmp_path)
    for _ in range(2):
        async with place:
            place.write(bind_line("api.telegram.org"))
            await soon(place.alerts)
            place.log.rename(tmp_path / "query.log.1")
            place.write(bind_line("api.telegram.org"))
            for _ in range(3):
                place.daemon.watch.look([tmp_path])
    assert told(place) == []


async def test_a_full_disk_is_told_while_there_is_room_to_store_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file system of the store, the feeds and the log is one subject."""
    place = InLoop(tmp_path)
    room = namedtuple("room", "f_bavail f_frsize f_blocks")
    async with place:
        monkeypatch.setattr("os.statvfs", lambda path: room(10, 1 << 20, 1 << 14))
        await soon(lambda: told(place), 15)
        monkeypatch.setattr("os.statvfs", lambda path: room(1 << 13, 1 << 20, 1 << 14))
        await soon(lambda: not place.daemon.blind_spots.open(), 15)
    ((kind, _, _),) = told(place)
    assert kind == "disk-full"
    assert str(tmp_path) in place.alerts()[0]["reason"]
    assert "10 MiB of 16384 MiB are free" in place.alerts()[0]["reason"]
