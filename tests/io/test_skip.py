"""Catching up is bounded by time or size where that is configured; what is left out is counted and told."""

import os
import time
from pathlib import Path

import pytest

from dnswatch.config.values import Extent, extent
from tests.running import InLoop, bind_line, soon

NOW = time.time()
HOUR = 3600.0


def source(folder: Path, more: str) -> str:
    return f"sources: [{{type: bind, path: {folder}/query.log, timezone: UTC, from: start{more}}}]"


async def caught_up(folder: Path, more: str) -> tuple[InLoop, set[str]]:
    """Run, stop; write three files of an hour each, ten hours apart, meanwhile; run again and give who was seen."""
    place = InLoop(folder, sources=source(folder, more))
    place.write(bind_line("api.telegram.org", "10.9.9.9", NOW - 40 * HOUR))
    async with place:
        await soon(place.alerts)
    for number in range(3):
        at = NOW - (30 - 10 * number) * HOUR
        name = folder / ("query.log" if number == 2 else f"query.log.{2 - number}")
        if number < 2 and number == 0:
            place.log.rename(folder / "query.log.2")
            os.utime(folder / "query.log.2", (NOW - 40 * HOUR, NOW - 40 * HOUR))
            for old in range(3, 2, -1):
                (folder / "query.log.2").rename(folder / f"query.log.{old}")
        lines = [bind_line("www.example.org", f"10.0.{number}.{n}", at + n) for n in range(100)]
        lines += [bind_line("api.telegram.org", f"10.0.{number}.{n}", at + 200 + n) for n in range(3)]
        name.write_text("".join(lines))
        os.utime(name, (at + 300, at + 300))
    async with place:
        reader = place.daemon.following.readers[str(place.log)]
        await soon(lambda: reader.at_end and place.daemon.ledger.commits)
        await soon(lambda: any(one["client_ip"] == "10.0.2.2" for one in place.alerts()))
    return place, {one["client_ip"] for one in place.alerts() if one["client_ip"]} - {"10.9.9.9"}


def clients(*numbers: int) -> set[str]:
    return {f"10.0.{number}.{n}" for number in numbers for n in range(3)}


def skipped(place: InLoop) -> list[str]:
    return [one["reason"] for one in place.alerts() if one["service"] == "lines-skipped" and one["rev"] == 1]


async def test_without_a_bound_everything_is_read(tmp_path: Path) -> None:
    """The default: nothing is left out."""
    place, seen = await caught_up(tmp_path, "")
    assert seen == clients(0, 1, 2)
    assert skipped(place) == []


async def test_by_time(tmp_path: Path) -> None:
    """Of the last fifteen hours: the newest file; a blind spot tells how much was left out."""
    place, seen = await caught_up(tmp_path, ", catch_up: {most: 15h}")
    assert seen == clients(2)
    assert len(skipped(place)) == 1
    assert "dnswatch scan" in skipped(place)[0]


async def test_by_size(tmp_path: Path) -> None:
    """The newest bytes, from the start of a line on."""
    place, seen = await caught_up(tmp_path, ", catch_up: {most: 20kB}")
    assert seen == clients(2) | (seen & clients(1))
    assert not seen & clients(0)
    (reason,) = skipped(place)
    total = sum(path.stat().st_size for path in tmp_path.glob("query.log*") if path.name != "query.log.3")
    said = int(reason.split(": ")[2].split(" ")[0])
    assert 0 <= 20_000 - (total - said) + 200 <= 400


async def test_within_the_bound_nothing_is_left_out(tmp_path: Path) -> None:
    """A week is farther back than anything here."""
    place, seen = await caught_up(tmp_path, ", catch_up: {most: 7d}")
    assert seen == clients(0, 1, 2)
    assert skipped(place) == []


@pytest.mark.parametrize(
    ("text", "found"),
    [("2d", Extent(seconds=172_800.0)), ("10GB", Extent(size=10**10)), ("1.5 MB", Extent(size=1_500_000))],
)
def test_times_and_sizes(text: str, found: Extent) -> None:
    """One key takes both."""
    assert extent(text) == found
    assert extent(str(found)) == found


@pytest.mark.parametrize("wrong", ["much", "10 apples", 5, "0s", "0B"])
def test_what_is_neither(wrong: object) -> None:
    """The message says what would be right."""
    with pytest.raises(ValueError, match=r"neither a time .* nor a size|more than nothing"):
        extent(wrong)
