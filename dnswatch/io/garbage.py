"""Memory that is not needed any more: found without standing still, and given back.

The interpreter's own full search goes through every object there is: 0.1 s with an empty state, more with each client,
and nothing is read meanwhile. Almost everything here is freed when its last reference goes, and what survived one
search survives the next; so that is not looked through again, but for once a day. What the C library keeps of freed
memory goes back each hour: 6 MB after the start, in under a millisecond. Read next: ``daemon.py``.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import itertools
from collections.abc import Mapping
from typing import Any

THRESHOLDS = (2_000, 10, 5)
"""A full search after 100 000 objects more, of which it looks through only those: some 10 ms."""
HOUR_S, DAY_HOURS = 3600.0, 24


async def tend(started: asyncio.Event) -> None:
    """From the start on: look through what is new, now and then, and once a day through everything. Does not return."""
    await started.wait()
    settle()
    for hours in itertools.count(1):
        give_back()
        await asyncio.sleep(HOUR_S)
        if hours % DAY_HOURS == 0:
            gc.unfreeze()
            gc.collect()


def settle() -> None:
    """Leave out what there is, and from now on what has survived a full search."""
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)
    if _keep not in gc.callbacks:
        gc.callbacks.append(_keep)
    gc.enable()


def give_back() -> None:
    """Give freed memory back to the system, where the C library can (glibc)."""
    if hasattr(library := ctypes.CDLL(None), "malloc_trim"):
        library.malloc_trim(0)


def _keep(phase: str, info: Mapping[str, Any]) -> None:
    if phase == "stop" and info["generation"] == 2:
        gc.freeze()
