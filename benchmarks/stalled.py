"""The daemon as `dnswatch run` is, with a probe of its event loop that signals turn on and off.

    python -m benchmarks.stalled CONFIG RESULTS

SIGUSR1 begins to probe; SIGUSR2 ends that and adds a line to RESULTS: JSON with milliseconds by which whoever wanted
to run then had to wait, ``p50``, ``p99``, ``max``. A wait of 100 ms counts as everybody's who came during it.
Never: costs anything while it does not probe. Read next: ``live.py``.
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import time
from pathlib import Path

from dnswatch.cli import main

EVERY_S = 0.002


class Probe:
    """Sleeps again and again, and notes by how much too long each time."""

    def __init__(self, results: Path) -> None:
        self._results = results
        self._late: list[float] = []
        self._running: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """Begin anew."""
        self._late = []
        self._running = asyncio.get_running_loop().create_task(self._run())

    def end(self) -> None:
        """Write what was seen."""
        if self._running is not None:
            self._running.cancel()
        late = sorted(1000 * one for one in self._late) or [0.0]
        found = {"p50": late[len(late) // 2], "p99": late[len(late) * 99 // 100], "max": late[-1]}
        with self._results.open("a") as file:
            file.write(json.dumps(found) + "\n")

    async def _run(self) -> None:
        while True:
            before = time.monotonic()
            await asyncio.sleep(EVERY_S)
            late = max(time.monotonic() - before - EVERY_S, 0.0)
            while late >= 0.0:
                self._late.append(late)
                late -= EVERY_S


def obey(results: Path) -> None:
    """Let the daemon heed the probe's signals, too."""
    from dnswatch.daemon import Daemon

    probe, usual = Probe(results), Daemon.obey_signals

    def both(self: Daemon) -> None:
        usual(self)
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGUSR1, probe.begin)
        loop.add_signal_handler(signal.SIGUSR2, probe.end)

    Daemon.obey_signals = both  # type: ignore[method-assign]


if __name__ == "__main__":
    obey(Path(sys.argv[2]))
    main(["--config", sys.argv[1], "run"])
