"""Looking for reference cycles without standing still: what has stayed for a while is not looked through again.

The interpreter's own full search goes through every object there is: 0.1 s with an empty state, more with each client,
and nothing is read meanwhile. Almost everything here is freed when its last reference goes, and what survived one
search survives the next. Never: turned off for good; once a day everything is looked through. Read next: ``daemon.py``.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Mapping
from typing import Any

THRESHOLDS = (2_000, 10, 5)
"""A full search after 100 000 objects more, of which it looks through only those: some 10 ms."""
DAY_S = 86_400.0


async def tend(started: asyncio.Event) -> None:
    """From the start on: look through what is new, now and then, and once a day through everything. Does not return."""
    await started.wait()
    settle()
    while True:
        await asyncio.sleep(DAY_S)
        gc.unfreeze()
        gc.collect()


def settle() -> None:
    """Leave out what there is, and from now on what has survived a full search."""
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)
    if _keep not in gc.callbacks:
        gc.callbacks.append(_keep)
    gc.enable()


def _keep(phase: str, info: Mapping[str, Any]) -> None:
    if phase == "stop" and info["generation"] == 2:
        gc.freeze()
