"""Work that is finished once it was begun: a cancellation waits for it.

A database call runs in a thread that nobody can cancel: leaving it would leave a transaction open, and the store locked
for everybody. Never: holds a cancellation back for longer than the work takes. Read next: ``store/database.py``.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Coroutine
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


def uncancelled(work: Callable[P, Coroutine[Any, Any, T]]) -> Callable[P, Coroutine[Any, Any, T]]:
    """Make a coroutine function whose work always runs to its end; a cancellation is raised after it."""

    @functools.wraps(work)
    async def to_the_end(*args: P.args, **kwargs: P.kwargs) -> T:
        task = asyncio.ensure_future(work(*args, **kwargs))
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            while not task.done():
                try:
                    await asyncio.wait([task])
                except asyncio.CancelledError:
                    continue
            if not task.cancelled():
                task.exception()  # whoever was cancelled does not hear of it
            raise

    return to_the_end
