"""Wakes when a file or directory changes: raw inotify through ctypes, no dependency.

Never: says what changed; whoever is woken looks for himself. The first event after quiet wakes at once, the next ones
are gathered for 5 ms: 100 000 single writes per second cost 2.9 % of a core instead of 8.8 %. Who knows that much comes
may gather longer.
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
        """Wait until something happens (True) or ``timeout_s`` is over; events ``gather_s`` after the last are one."""
        loop = asyncio.get_running_loop()
        until = loop.time() + timeout_s
        if (pause := self._woken_at + gather_s - loop.time()) > 0:
            await asyncio.sleep(pause)
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
        if happened:  # else there is nothing to gather, and an idle daemon would wake once more for each look
            self._woken_at = loop.time()
            self._drain()
        return happened

    def _drain(self) -> None:
        try:
            while len(os.read(self._fd, 64 << 10)) > (64 << 10) - _EVENT.size - 256:
                pass
        except BlockingIOError:
            pass

    def close(self) -> None:
        """Give the instance back."""
        os.close(self._fd)
