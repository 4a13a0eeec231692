"""The last line of a log, far ahead of the one before: told at once when the clock agrees, else not believed yet."""

import gzip
import os
import time
from pathlib import Path

from dnswatch.core.logs.digest import ASTRAY
from tests.running import InLoop, bind_line, soon

HOUR = 3600.0


def place(folder: Path, start: str = "start") -> InLoop:
    return InLoop(folder, sources=f"sources: [{{type: bind, path: {folder}/query.log, timezone: UTC, from: {start}}}]")


async def test_the_first_lookup_of_a_night_is_told_at_once(tmp_path: Path) -> None:
    """Hours after the last line, one line and nothing behind it: an alert within two seconds."""
    running, now = place(tmp_path), time.time()
    running.write(bind_line("www.example.org", at=now - 9 * HOUR), bind_line("www.example.org", at=now - 9 * HOUR))
    async with running:
        reader = running.daemon.following.readers[str(running.log)]
        await soon(lambda: reader.at_end and reader.position and reader.position.offset == running.log.stat().st_size)
        running.write(bind_line("api.telegram.org"))
        await soon(running.alerts, 2.0)


async def test_a_line_from_the_future_waits_and_is_not_believed(tmp_path: Path) -> None:
    """Five hours ahead of the clock: no alert, log time stands. The next line is back: then it is weird, once."""
    running, now = place(tmp_path), time.time()
    running.write(bind_line("www.example.org", at=now - 1), bind_line("www.example.org", at=now - 1))
    running.write(bind_line("api.telegram.org", "10.0.0.8", at=now + 5 * HOUR))
    whole = running.log.stat().st_size
    for _ in range(2):  # interrupted while it waits
        async with running:
            reader = running.daemon.following.readers[str(running.log)]
            await soon(lambda: reader.at_end and reader.position)  # noqa: B023
            assert reader.position is not None
            assert reader.position.offset < whole
            assert reader.last_at < now
            assert reader.row()["lag_bytes"] == whole - reader.position.offset
    async with running:
        reader = running.daemon.following.readers[str(running.log)]
        running.write(bind_line("api.telegram.org", "10.0.0.9", at=now))
        await soon(running.alerts)
        assert reader.weird == {ASTRAY: 1}
    assert {one["client_ip"] for one in running.alerts()} == {"10.0.0.9"}


async def test_a_log_in_another_time_zone_does_not_wait(tmp_path: Path) -> None:
    """All lines are five and a half hours ahead (`timezone:` is wrong): so is one after a restart and a pause."""
    running, ahead = place(tmp_path), time.time() + 2.5 * HOUR
    running.write(bind_line("www.example.org", at=ahead), bind_line("www.example.org", at=ahead))
    async with running:
        reader = running.daemon.following.readers[str(running.log)]
        await soon(lambda: reader.ahead_s)
        reader._digest.clock -= 3 * HOUR  # type: ignore[union-attr]  # as if the line had come long ago
    async with running:
        running.write(bind_line("api.telegram.org", at=ahead + 1))
        await soon(running.alerts, 3.0)


async def test_begins_at_a_time_inside_a_packed_file(tmp_path: Path) -> None:
    """``from: TIME``: rotated and compressed files from that very line on, older files not at all."""
    now = time.time()

    def lines(number: int, hours: float) -> str:
        early = [bind_line("api.telegram.org", f"10.0.{number}.1", now - (hours + 1) * HOUR + n) for n in range(3)]
        late = [bind_line("api.telegram.org", f"10.0.{number}.2", now - hours * HOUR + n) for n in range(3)]
        return "".join(early + late)

    running = place(tmp_path, start=time.strftime("'%Y-%m-%dT%H:%M:%SZ'", time.gmtime(now - 20.5 * HOUR)))
    packed = [(3, 30.0, ".3.gz"), (2, 20.0, ".2.gz")]
    for number, hours, ending in packed:
        path = tmp_path / f"query.log{ending}"
        path.write_bytes(gzip.compress(lines(number, hours).encode()))
        os.utime(path, (now - hours * HOUR + 3, now - hours * HOUR + 3))
    rotated = tmp_path / "query.log.1"
    rotated.write_text(lines(1, 10.0))
    os.utime(rotated, (now - 10 * HOUR + 3, now - 10 * HOUR + 3))
    running.write(lines(0, 0.1))
    async with running:
        await soon(lambda: any(one["client_ip"] == "10.0.0.2" for one in running.alerts()))
    assert {one["client_ip"] for one in running.alerts()} == {
        "10.0.2.2", "10.0.1.1", "10.0.1.2", "10.0.0.1", "10.0.0.2",
    }  # fmt: skip


async def test_begins_at_the_end(tmp_path: Path) -> None:
    """``from: end``: rotated files and what is there already are old."""
    running = place(tmp_path, "end")
    (tmp_path / "query.log.1").write_text(bind_line("api.telegram.org", "10.0.0.1"))
    running.write(bind_line("api.telegram.org", "10.0.0.2"))
    async with running:
        running.write(bind_line("api.telegram.org", "10.0.0.3"))
        await soon(running.alerts)
    assert {one["client_ip"] for one in running.alerts()} == {"10.0.0.3"}
