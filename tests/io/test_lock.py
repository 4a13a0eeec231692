"""The lock on state_dir: one holder, named by pid, gone with its process."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from dnswatch.errors import StateError
from dnswatch.io.lock import StateLock, request_reload, running_pid

HOLD = """
import sys
from pathlib import Path
from dnswatch.io.lock import StateLock
with StateLock(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_second_run_is_refused_with_the_pid(tmp_path: Path) -> None:
    """A second lock on one directory fails and names the process that holds it; the kernel frees it on kill -9."""
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with holder:
        assert holder.stdout
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(StateError, match=f"pid {holder.pid}"):
            StateLock(tmp_path).acquire()
        assert running_pid(tmp_path) == holder.pid
        holder.kill()
        holder.wait()
    assert running_pid(tmp_path) is None
    with StateLock(tmp_path):
        assert running_pid(tmp_path) == os.getpid()


def test_nothing_runs(tmp_path: Path) -> None:
    """Without a lock file, or with one that nobody holds, nothing runs and nothing is signalled."""
    assert running_pid(tmp_path / "missing") is None
    lock = StateLock(tmp_path)
    lock.acquire()
    lock.release()
    lock.release()
    assert running_pid(tmp_path) is None
    assert request_reload(tmp_path) is False


def test_reload_signals_the_holder(tmp_path: Path) -> None:
    """A reload request is SIGHUP to the process that holds the lock."""
    seen = threading.Event()
    before = signal.signal(signal.SIGHUP, lambda number, frame: seen.set())
    try:
        with StateLock(tmp_path):
            assert request_reload(tmp_path) is True
        assert seen.wait(2)
    finally:
        signal.signal(signal.SIGHUP, before)


def test_state_dir_that_cannot_be(tmp_path: Path) -> None:
    """A state_dir that is a file is refused with its path."""
    (tmp_path / "file").write_text("")
    with pytest.raises(StateError, match="cannot use state_dir"):
        StateLock(tmp_path / "file").acquire()
