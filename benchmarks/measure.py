"""Runs one program to its end and says what it took: CPU and wall seconds, peak memory, and what it printed.

Output is read through a pipe, never thrown at ``/dev/null``: grep stops at the first match when it sees that nobody
reads. CPU seconds come from `os.wait4`, children included. Its peak memory would be at least the runner's own, which a
child begins as; so the kernel's mark for the program itself is read while it runs. Never: more than one program at a
time.
"""

from __future__ import annotations

import compileall
import os
import re
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

LIMIT_S = 600.0
"""A program that takes longer is stopped, and its run is no result."""


class Run(NamedTuple):
    """One run of one program."""

    cpu_s: float
    wall_s: float
    rss_mb: float
    lines: int  # lines on stdout
    out: bytes  # stdout, where it was asked for
    err: bytes
    status: int


class _Peak(threading.Thread):
    """Watches the peak memory of a process until it ends."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self.mb = 0.0
        self._status = Path(f"/proc/{pid}/status")
        self._parent = _mark(Path("/proc/self/status"))
        self._ended = threading.Event()
        self.start()

    def run(self) -> None:
        """Look every 20 ms; what is as large as the runner is still the runner's image."""
        while not self._ended.wait(0.02):
            mark = _mark(self._status)
            if mark != self._parent:
                self.mb = max(self.mb, mark)

    def stop(self, otherwise: float) -> float:
        """Give the peak in MB; what `os.wait4` said where the program was too quick to be seen."""
        self._ended.set()
        self.join()
        return self.mb or otherwise


def _mark(status: Path) -> float:
    try:
        found = re.search(r"VmHWM:\s+(\d+) kB", status.read_text("ascii", "replace"))
    except OSError:
        return 0.0
    return int(found[1]) / 1024 if found else 0.0


def compile_product() -> None:
    """Write the byte code that an installation has: where Python may not write it, each start would compile again."""
    compileall.compile_dir(Path(__file__).resolve().parent.parent / "dnswatch", quiet=1)


def run(command: Sequence[str], *, keep: bool = False, env: Mapping[str, str] | None = None) -> Run:
    """Run a program and read all that it prints."""
    started = time.monotonic()
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=dict(os.environ, **env or {})
    )
    assert process.stdout is not None
    assert process.stderr is not None
    errors: list[bytes] = []
    reader = threading.Thread(target=lambda pipe: errors.append(pipe.read()), args=(process.stderr,))
    watchdog = threading.Timer(LIMIT_S, process.kill)
    reader.start()
    watchdog.start()
    peak = _Peak(process.pid)
    kept, lines = [], 0
    while data := os.read(process.stdout.fileno(), 1 << 20):
        lines += data.count(b"\n")
        if keep:
            kept.append(data)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    wall_s = time.monotonic() - started
    watchdog.cancel()
    reader.join()
    process.stdout.close()
    process.stderr.close()
    cpu_s = usage.ru_utime + usage.ru_stime
    rss_mb = peak.stop(usage.ru_maxrss / 1024)
    return Run(cpu_s, wall_s, rss_mb, lines, b"".join(kept), errors[0][-4096:], process.returncode)


def serve(command: Sequence[str], output: Path, done: Callable[[], bool], env: Mapping[str, str] | None = None) -> Run:
    """Run a daemon until ``done`` says that its output file is complete, or nothing was added for a while."""
    started = time.monotonic()
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL,
        env=dict(os.environ, **env or {}),
    )  # fmt: skip
    peak = _Peak(process.pid)
    size, changed = -1, time.monotonic()
    while not done() and time.monotonic() - changed < 15 and time.monotonic() - started < LIMIT_S:
        now = output.stat().st_size if output.exists() else 0
        if now != size:
            size, changed = now, time.monotonic()
        time.sleep(0.05)
    wall_s = time.monotonic() - started
    rss_mb = peak.stop(0.0)
    os.kill(process.pid, signal.SIGTERM)  # not `send_signal`: that may reap it, and its usage is lost
    watchdog = threading.Timer(10, process.kill)
    watchdog.start()
    _, status, usage = os.wait4(process.pid, 0)
    watchdog.cancel()
    process.returncode = os.waitstatus_to_exitcode(status)
    lines = output.read_bytes().count(b"\n") if output.exists() else 0
    return Run(usage.ru_utime + usage.ru_stime, wall_s, rss_mb, lines, b"", b"", process.returncode)
