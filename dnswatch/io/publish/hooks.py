"""What is done after files changed: run a command, or signal a server through its pid file.

Never: a shell, a retry, an exception for a hook that fails. A resolver that did not reload still serves its old zone,
so a failure is a value with the command's own words, and the caller says it and tries again. Read next:
``../publishing.py``.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

TIMEOUT_S = 20.0
"""`rndc reload` answers in milliseconds; a command that takes this long hangs."""
ZONE = "{zone}"
"""An argument that holds this is run once for each changed zone, with the zone's name in its place."""
_SHOWN = 500  # bytes of a failing command's words that a warning repeats


@dataclass(frozen=True, slots=True)
class Hook:
    """One entry of ``feeds.on_change``: a command, or a signal name with the pid file of whom to send it."""

    run: tuple[str, ...] = ()
    signal: str = ""
    pidfile: Path | None = None


@dataclass(frozen=True, slots=True)
class Failed:
    """A hook that did not do what it should, for these zones, and why."""

    hook: Hook
    zones: tuple[str, ...]
    warning: str

    @property
    def name(self) -> str:
        """Give the hook as it is configured."""
        return " ".join(self.hook.run) or f"{self.hook.signal} to {self.hook.pidfile}"


async def run(hooks: Sequence[Hook], zones: Sequence[str], timeout_s: float = TIMEOUT_S) -> list[Failed]:
    """Run the hooks in order for the changed ``zones``; give what failed, each command with its zone."""
    failed: list[Failed] = []
    for hook in hooks:
        if hook.run:
            for command, about in _commands(hook.run, zones):
                failed.extend(Failed(hook, about, text) for text in await _execute(command, timeout_s))
        elif hook.pidfile:
            failed.extend(Failed(hook, tuple(zones), text) for text in _signal(hook.signal, hook.pidfile))
    return failed


async def again(failed: Sequence[Failed], timeout_s: float = TIMEOUT_S) -> list[Failed]:
    """Run what failed once more; give what fails still."""
    return [left for one in failed for left in await run([one.hook], one.zones, timeout_s)]


def _commands(arguments: tuple[str, ...], zones: Sequence[str]) -> list[tuple[list[str], tuple[str, ...]]]:
    if not any(ZONE in argument for argument in arguments):
        return [(list(arguments), tuple(zones))]
    return [([argument.replace(ZONE, zone) for argument in arguments], (zone,)) for zone in zones]


async def _execute(command: list[str], timeout_s: float) -> list[str]:
    said = " ".join(command)
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
        )
    except OSError as error:
        return [f"cannot run `{said}`: {error.strerror}"]
    try:
        words, _ = await asyncio.wait_for(process.communicate(), timeout_s)
    except TimeoutError:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
        return [f"`{said}` did not finish in {timeout_s:g} s and was stopped"]
    if process.returncode:
        text = words[:_SHOWN].decode("utf-8", "backslashreplace").strip()
        return [f"`{said}` failed with exit code {process.returncode}: {text or 'it said nothing'}"]
    return []


def _signal(name: str, pidfile: Path) -> list[str]:
    try:
        pid = int(pidfile.read_text().split()[0])
        if pid < 2:
            raise ValueError
        os.kill(pid, signal.Signals[f"SIG{name.removeprefix('SIG')}"])
    except (ValueError, IndexError):
        return [f"{pidfile} does not hold a process id"]
    except OSError as error:
        return [f"cannot send {name} to the process of {pidfile}: {error.strerror}"]
    return []
