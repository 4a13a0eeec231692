"""The stdout sink: one message a line, for containers and for looking.

Never: anything else on stdout; logs go to stderr. Read next: ``io/deliver.py``.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Sequence

from dnswatch import __version__
from dnswatch.config.model import StdoutSink as Settings
from dnswatch.core.alerts import Context
from dnswatch.core.alerts.triage import Triage
from dnswatch.io.deliver import Acknowledgement, Delivery, Render, renderer


def build(settings: Settings, sensor: str, triage: Triage | None = None) -> StdoutSink:
    """Make the sink that the configuration asks for."""
    return StdoutSink(renderer(settings.format, Context(sensor, host=sensor, version=__version__, triage=triage)))


class StdoutSink:
    """Writes to file descriptor 1, in a thread: a pipe that nobody reads must not stop the loop."""

    acknowledgement: Acknowledgement = "none"

    def __init__(self, render: Render) -> None:
        self._render = render

    async def send(self, batch: Sequence[Delivery]) -> None:
        data = b"".join(self._render(one) + b"\n" for one in batch)
        await asyncio.to_thread(_write, data)

    async def close(self) -> None:
        return


def _write(data: bytes) -> None:
    file = sys.stdout.fileno()
    left = memoryview(data)
    while left:
        left = left[os.write(file, left) :]
