"""Blind spots through the daemon: checkpoint, outbox, sink, over a restart."""

from pathlib import Path

from tests.running import InLoop, soon


def told(place: InLoop) -> list[tuple[str, int, str]]:
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
