"""Would a way in work here, as this user? The journal, sockets, pipes and dnstap files, looked at for `check`.

Never: reads a log's lines, or leaves a socket behind. Read next: ``inspection.py``.
"""

from __future__ import annotations

import errno
import os
import shutil
import socket
import subprocess
from pathlib import Path
from typing import Literal, NamedTuple

from dnswatch.config.model import Journal, Source
from dnswatch.config.ways import STDIN, Door, split_door
from dnswatch.core.dnstap.frames import is_tap
from dnswatch.core.logs import journal
from dnswatch.core.reading import DNSTAP
from dnswatch.io.access import no_access
from dnswatch.io.archive import first_bytes
from dnswatch.io.listener import cannot_listen
from dnswatch.io.sources.pipe import is_fifo

HEAD = 1 << 10
ANSWER_S = 20.0


class Seen(NamedTuple):
    """What was found."""

    level: Literal["ok", "warning", "error"]
    text: str


def look(source: Source, pid: int | None) -> Seen | None:
    """Look at a source that is no log file; None where it is one. ``pid``: of our daemon, if it runs."""
    if source.journald:
        return _journal(source.journald)
    if source.listen:
        return _door(split_door(source.listen), pid)
    if source.path == STDIN:
        return Seen("ok", "standard input: what is piped into `dnswatch run`; it cannot be read again after a crash")
    return _fifo(source.path) if is_fifo(source.path) else None


def tap(source: Source, path: str) -> Seen:
    """Look at a file of dnstap."""
    assert source.type == DNSTAP
    try:
        head = first_bytes(Path(path), HEAD)
    except OSError as error:
        return Seen("error", no_access(Path(path), error, "is dnstap on? (dnstap-output in BIND)"))
    if not head:
        return Seen("warning", "readable but empty")
    if is_tap(head):
        return Seen("ok", "readable dnstap file")
    return Seen("error", "not a dnstap file: it does not begin with a START frame")


def _fifo(path: str) -> Seen:
    if os.access(path, os.R_OK):
        return Seen("ok", "a FIFO; what was read of it cannot be read again after a crash")
    return Seen("error", "a FIFO that this user may not read")


def _journal(wanted: Journal) -> Seen:
    """Ask for the newest entry."""
    program = shutil.which("journalctl")
    if program is None:
        return Seen("error", "there is no journalctl: is systemd running here?")
    command = [program, "--no-pager", "--quiet", "-n", "1", "-o", "json"]
    command += [f"--namespace={wanted.namespace}"] if wanted.namespace else []
    command += [f"_SYSTEMD_UNIT={wanted.unit}"] if wanted.unit else []
    command += [f"SYSLOG_IDENTIFIER={wanted.identifier}"] if wanted.identifier else []
    try:
        done = subprocess.run(command, capture_output=True, timeout=ANSWER_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return Seen("error", f"journalctl does not answer: {error}")
    if done.returncode:
        said = done.stderr.decode("utf-8", "replace").strip().splitlines()
        hint = " (the group systemd-journal may read it)" if any("permission" in one for one in said) else ""
        return Seen("error", f"journalctl: {said[-1] if said else f'exit code {done.returncode}'}{hint}")
    if journal.read(done.stdout.strip()) is None:
        return Seen("warning", "the journal can be read, but has nothing of it: is its name right, and queries logged?")
    return Seen("ok", "the journal can be read, and has entries of it")


def _door(door: Door, pid: int | None) -> Seen:
    """Bind for a moment; a socket that our own daemon holds is fine."""
    if door.scheme == "unix":
        folder = Path(door.path).parent
        if not folder.is_dir():
            return Seen("error", f"there is no directory {folder}: RuntimeDirectory= in the unit makes one in /run")
        if not os.access(folder, os.W_OK | os.X_OK):
            return Seen("error", f"this user may not make a socket in {folder}")
        return Seen("ok", "a socket can be made there; its group may send")
    kind = socket.SOCK_DGRAM if door.scheme == "udp" else socket.SOCK_STREAM
    try:
        family, _, _, _, address = socket.getaddrinfo(door.host, door.port, type=kind)[0]
        with socket.socket(family, kind) as probe:
            if kind == socket.SOCK_STREAM:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        if error.errno == errno.EADDRINUSE and pid is not None:
            return Seen("ok", f"in use, as expected, while dnswatch runs (pid {pid})")
        return Seen("error", str(cannot_listen(door, error).strerror))
    return Seen("ok", "free to listen at")
