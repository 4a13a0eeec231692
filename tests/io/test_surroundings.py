"""The job that reads the log again around grave alerts: once, five minutes after they began."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from dnswatch.core.detect.engine import Engine
from dnswatch.core.detect.episodes import escape
from dnswatch.core.model import Evidence
from dnswatch.io.around import MOST
from dnswatch.io.housekeeping import Housekeeping
from dnswatch.io.store import FILE, Store
from tests.core.detection import policy
from tests.io.making import alert

LINE = "{stamp}.000 queries: info: client @0x7f 10.0.10.7#4000 ({name}): query: {name} IN A +E(0)K (10.0.0.53)\n"
UNUSED: Any = None


def written(log: Path, at: int) -> Evidence:
    """Write a log with a lookup each second, ten minutes around the watched one; give the place of that."""
    with log.open("w") as file:
        for second in range(at - 600, at + 300):
            if second == at:
                offset = file.tell()
                line = LINE.format(stamp=time.strftime("%d-%b-%Y %H:%M:%S", time.gmtime(second)), name="webhook.site")
                file.write(line)
            stamp = time.strftime("%d-%b-%Y %H:%M:%S", time.gmtime(second))
            file.write(LINE.format(stamp=stamp, name=f"n{second}.example"))
    return Evidence(str(log), offset, escape(line.rstrip("\n").encode()))


async def test_grave_alerts_are_read_around_once_and_in_time(tmp_path: Path) -> None:
    """High ones, five minutes to a day old; at most 200 lookups each; a log that is gone is said, not tried again."""
    now = int(time.time())
    log = tmp_path / "query.log"
    here, gone = written(log, now - 400), Evidence(str(tmp_path / "gone.log"), 7, "x")
    raised = [
        alert(1, first_at=now - 400.0, evidence=(here,)),
        alert(2, first_at=now - 400.0, evidence=(gone,)),
        alert(3, first_at=now - 200.0, evidence=(here,)),  # too young: what follows is not written yet
        alert(4, first_at=now - 400.0, evidence=(here,), severity="medium"),
        alert(5, first_at=now - 90_000.0, evidence=(here,)),
    ]
    async with await Store.open(tmp_path / FILE) as store:
        await store.checkpoint([], None, raised)
        keeping = Housekeeping(UNUSED, Engine(policy()), store, UNUSED, UNUSED, UNUSED, UNUSED)
        await keeping.keep_surroundings()
        kept = [await store.surroundings(one.id) for one in raised]
        assert kept[0] is not None
        assert (len(kept[0].lookups), kept[0].problem) == (MOST, "")
        assert kept[0].left_out > 0
        assert max(abs(one.at - (now - 400)) for one in kept[0].lookups) <= 300
        assert kept[1] is not None
        assert f"no longer at {tmp_path / 'gone.log'}:7" in kept[1].problem
        assert kept[2:] == [None, None, None]
        log.unlink()
        await keeping.keep_surroundings()
        assert await store.surroundings(raised[0].id) == kept[0]
