"""The delivering half of a daemon in a process of its own, so that it can be killed: store, courier, sink.

``python -m tests.live.sender STATE SETTINGS ALERTS RATE``: brings the store up to so many alerts at that rate, and ends
when the sink has confirmed them all. Started again after a kill, it goes on.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path

from dnswatch.config.model import SyslogSink as Settings
from dnswatch.io.courier import Courier
from dnswatch.io.sinks import SINKS
from dnswatch.io.store import FILE, Store
from tests.io.making import alert

SHARE = 20  # alerts in one checkpoint


async def feed(store: Store, courier: Courier, first: int, last: int, per_s: float) -> None:
    """Store alerts ``first`` … ``last`` at a rate, a few in each checkpoint, as `run` does."""
    begun = time.monotonic()
    for number in range(first, last + 1, SHARE):
        await store.checkpoint([], None, [alert(each) for each in range(number, min(number + SHARE, last + 1))])
        courier.wake()
        await asyncio.sleep(max(0.0, begun + (number - first + SHARE) / per_s - time.monotonic()))


async def work(state: Path, settings: Settings, alerts: int, per_s: float) -> None:
    """Store and deliver."""
    async with await Store.open(state / FILE) as store:
        courier = Courier(store, "siem", SINKS["syslog"](settings, "ns1"))
        courier.task._most_s = 0.3
        await courier.start()
        stored = await store.count_after(0)
        print("ready", flush=True)
        await feed(store, courier, stored + 1, alerts, per_s)
        while courier.row()["cursor"] < alerts:  # noqa: ASYNC110 (confirmed after the hold)
            await asyncio.sleep(0.05)
        await courier.stop()


if __name__ == "__main__":
    folder, text, alerts, rate = sys.argv[1:]
    asyncio.run(work(Path(folder), Settings(type="syslog", **json.loads(text)), int(alerts), float(rate)))
