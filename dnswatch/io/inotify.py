"""Wakes when a file or directory changes: raw inotify through ctypes, no dependency.

Never: says what changed; whoever is woken looks for himself. The first event after quiet wakes at once, and so does one
right behind it, because a server's write is seldom alone; the next ones are gathered for 5 ms: 100 000 single writes
per second cost 2.9 % of a core instead of 8.8 %. Who knows that much comes may gather longer.
Where there is no inotify (other systems, network mounts, no watches left) the caller's safety poll remains.
Read next: ``tail.py``.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import struct

PAUSE_S = 0.005

_MODIFY, _ATTRIB, _MOVED_FROM, _MOVED_TO, _CREATE, _DELETE = 0x2, 0x4, 0x40, 0x80, 0x100, 0x200
_DELETE_SELF, _MOVE_SELF = 0x400, 0x800
FILE = _MODIFY | _ATTRIB | _MOVE_SELF | _DELETE_SELF
DIRECTORY = _CREATE | _MOVED_TO | _MOVED_FROM | _DELETE | _ATTRIB
_EVENT = struct.Struct("iIII")


class Inotify:
    """A set of watched paths and one way to wait for any of them."""

    def __init__(self) -> None:
        """Raises `OSError` where there is no inotify or no instance left (fs.inotify.max_user_instances)."""
        library = ctypes.CDLL(None, use_errno=True)
        if not hasattr(library, "inotify_init1"):
            raise OSError("this system has no inotify")
        self._library = library
        self._fd = library.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if self._fd < 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        self._watches: dict[str, int] = {}
        self._woken_at = -PAUSE_S
        self._was_quiet = False  # until then

    def watch(self, paths: dict[str, int]) -> bool:
        """Watch exactly these paths with these masks; say whether any of them was not watched before.

        What cannot be watched is left to the safety poll.
        """
        before, self._watches = self._watches, {}
        for path, mask in paths.items():
            # Adding again is cheap, and follows a path that names another file by now.
            number = self._library.inotify_add_watch(self._fd, os.fsencode(path), mask)
            if number >= 0:
                self._watches[path] = number
        for number in set(before.values()) - set(self._watches.values()):
            self._library.inotify_rm_watch(self._fd, number)
        return not set(self._watches.values()) <= set(before.values())

    async def wait(self, timeout_s: float, gather_s: float = PAUSE_S) -> bool:
        """Wait until something happens (True) or ``timeout_s`` is over; events ``gather_s`` after the last are one.

        But not where the last one came after quiet: half of what an alert took, at 100 writes a second, was this pause.
        """
        loop = asyncio.get_running_loop()
        until = loop.time() + timeout_s
        pause = self._woken_at + gather_s - loop.time()
        paused = pause > 0 and (gather_s > PAUSE_S or not self._was_quiet)
        if paused:
            await asyncio.sleep(pause)
        waits = self._drain()
        happened = waits or await self._event(loop, until)
        if happened:  # else there is nothing to gather, and an idle daemon would wake once more for each look
            now = loop.time()
            self._was_quiet = now - self._woken_at >= PAUSE_S and not (paused and waits)
            self._woken_at = now
        return happened

    async def _event(self, loop: asyncio.AbstractEventLoop, until: float) -> bool:
        """Wait for an event until then, and take what there is."""
        woken: asyncio.Future[bool] = loop.create_future()

        def wake(value: bool) -> None:
            if not woken.done():
                woken.set_result(value)

        loop.add_reader(self._fd, wake, True)
        timer = loop.call_at(until, wake, False)
        try:
            happened = await woken
        finally:
            timer.cancel()
            loop.remove_reader(self._fd)
        if happened:
            self._drain()
        return happened

    def _drain(self) -> bool:
        """Take what there is; say whether there was anything."""
        found = False
        try:
            while len(os.read(self._fd, 64 << 10)) > (64 << 10) - _EVENT.size - 256:
                found = True
            found = True
        except BlockingIOError:
            pass
        return found

    def close(self) -> None:
        """Give the instance back."""
        os.close(self._fd)
