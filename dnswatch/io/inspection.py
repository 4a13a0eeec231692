"""Would `run` work here, as this user? Logs, directories, store, ports, hooks, looked at one by one.

Never: changes anything (a free port is bound for a moment), talks to other hosts. Read next: ``cli/check.py``.
"""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
import socket
import zoneinfo
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from dnswatch.config.build import Loaded
from dnswatch.config.model import Config, Dns, FileSink, LeaseFile, Source, SyslogSink
from dnswatch.config.values import split_listen, time_text
from dnswatch.core.clients.leases import detect_lease_format, read_leases
from dnswatch.core.logs.follow import own_path
from dnswatch.core.logs.formats import misfit
from dnswatch.core.logs.parsers import PARSERS
from dnswatch.core.logs.timestamps import Stamps
from dnswatch.core.reading import DNSTAP
from dnswatch.errors import Problem, StateError
from dnswatch.io import doorstep
from dnswatch.io.access import group_name, no_access, refused, user_name
from dnswatch.io.discover import log_files
from dnswatch.io.lock import LOCK, running_pid
from dnswatch.io.primary import tls_context
from dnswatch.io.syslog.security import Security

Level = Literal["ok", "warning", "error"]
SAMPLE = 64 * 1024
"""Bytes looked at from each end of a log: some hundred lines."""
AHEAD_S = 120.0
"""A last line dated later than this after now has a wrong zone; smaller differences are clocks."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at, and what came of it."""

    level: Level
    what: str  # "config", "catalogue", "user", "source", "lease file", "directory", "store", "port", "sink", "hook"
    where: str  # file:line:col, path or address
    message: str


def examine(loaded: Loaded, now: float) -> Iterator[Finding]:
    """Look at everything that `run` will need."""
    config, catalog = loaded.config, loaded.policy.catalog
    yield Finding("ok", "config", str(config.files[0]), counted(len(config.files), "file") + ", valid")
    yield from (finding_of("warning", problem) for problem in config.warnings)
    watched, known = len(catalog.enabled), len(catalog.services)
    yield Finding("ok" if watched else "error", "catalogue", f"profile {config.watch.profile}",
                  f"{watched} of {known} services are watched")  # fmt: skip
    yield _user()
    if not config.sources:
        yield Finding("error", "source", str(config.files[0]), "no sources: `run` has nothing to follow")
    for source in config.sources:
        yield from _source(source, now, config.state_dir)
    yield from _read_twice(config.sources)
    for lease in config.clients.leases:
        yield _lease(lease, now)
    yield _directory(config.state_dir, "state_dir")
    yield from _state(config.state_dir)
    if config.feeds.mode != "off":
        yield _directory(config.feeds_directory, "feeds.directory")
    for sink in config.sinks:
        if isinstance(sink, FileSink):
            yield _directory(sink.path.parent, "of the file sink")
        elif isinstance(sink, SyslogSink):
            for address in (sink.address, *sink.fallback):
                yield from _unix_socket(address)
            yield from _certificates(sink)
    yield from _hooks(config)
    if config.http.listen is not None:
        yield _port(config.http.listen, config.state_dir, "http.listen")
    if config.dns is not None:
        yield from _zone_server(config.dns, config.state_dir)


def finding_of(level: Level, problem: Problem) -> Finding:
    where = f"{problem.file}:{problem.line}:{problem.column}" if problem.line else problem.file
    return Finding(level, "config", where, f"{problem.path}: {problem.message}" if problem.path else problem.message)


def counted(number: int, what: str) -> str:
    return f"{number} {what}{'s' if number != 1 else ''}"


def _user() -> Finding:
    name, groups = user_name(os.geteuid()), sorted(group_name(gid) for gid in {*os.getgroups(), os.getegid()})
    text = f"checked as {name}, in {', '.join(groups)}"
    if os.geteuid() == 0:
        return Finding("warning", "user", name, f"{text}: root may read everything, so this says nothing of the "
                       "service's own user; `dnswatch check --user dnswatch` does")  # fmt: skip
    return Finding("ok", "user", name, text)


def _source(source: Source, now: float, state_dir: Path) -> Iterator[Finding]:
    """Find, read and recognise the logs of one source."""
    if (seen := doorstep.look(source, _running(state_dir))) is not None:
        yield Finding(seen.level, "source", source.id, seen.text)
        return
    paths = [str(path) for path in log_files(source.path)]
    if not paths:
        yield Finding("error", "source", source.path, "the pattern matches no file")
    for path in paths:
        if source.type == DNSTAP:
            seen = doorstep.tap(source, path)
            yield Finding(seen.level, "source", path, seen.text)
            continue
        try:
            head, tail = _ends(path)
        except OSError as error:
            yield Finding("error", "source", path, no_access(Path(path), error, f"is {source.type}'s query log on?"))
            continue
        yield from _log(source, path, head, tail, now)


def _read_twice(sources: Sequence[Source]) -> Iterator[Finding]:
    """Find logs that two sources name, one of them by a pattern, and rotated files beside the log that has them."""
    readers: dict[str, Source] = {}
    for source in sources:
        for path in map(str, log_files(source.path)):
            other = readers.setdefault(path, source)
            if other is not source:
                yield Finding(
                    "error", "source", path, f"both {other.path} and {source.path} name it: one log, one source"
                )
    for path, source in readers.items():
        own = own_path(path)
        if own != path and own in readers:
            yield Finding("error", "source", path, f"a rotated file of {own}, and read with it: {source.path} must not "
                          "name it, or every line counts twice")  # fmt: skip


def _ends(path: str) -> tuple[bytes, bytes]:
    """Read the beginning and the end of a file."""
    with open(path, "rb") as file:  # noqa: PTH123 - the glob gives text
        head = file.read(SAMPLE)
        size = os.fstat(file.fileno()).st_size
        if size <= SAMPLE:
            return head, head
        file.seek(max(size - SAMPLE, 0))
        return head, file.read(SAMPLE).partition(b"\n")[2]


def _log(source: Source, path: str, head: bytes, tail: bytes, now: float) -> Iterator[Finding]:
    """Judge the text of a log: its format, its zone, the time of its last line."""
    if b"\n" not in head:
        yield Finding("warning", "source", path, "readable but empty: its format shows with the first query")
        return
    wrong = misfit(source.type, head)
    if wrong is not None:
        yield Finding("error", "source", path, str(wrong))
        return
    stamps = Stamps(zoneinfo.ZoneInfo(source.timezone) if source.timezone else None, now)
    parser = PARSERS[source.type](stamps)
    times = [event.at for line in tail.split(b"\n")[:-1] if (event := parser.parse(line, 0)) is not None and event.at]
    last = f", last line at {time_text(int(times[-1]))}" if times else ""
    yield Finding("ok", "source", path, f"readable {source.type} query log{last}")
    zone = source.timezone or "UTC (no timezone is set)"
    if times and times[-1] > now + AHEAD_S:
        ahead = (times[-1] - now) / 60
        yield Finding("warning", "source", path, f"its last line lies {ahead:.0f} min in the future: stamps are read "
                      f"as {zone}; set timezone: to the server's zone")  # fmt: skip
    elif stamps.zoneless and source.timezone is None and source.type != "dnsmasq":  # of dnsmasq the config warns
        yield Finding("warning", "source", path, "its stamps carry no zone and are read as UTC: set timezone:, or let "
                      "the server write UTC (BIND: print-time iso8601-utc)")  # fmt: skip


def _lease(lease: LeaseFile, now: float) -> Finding:
    try:
        data = Path(lease.path).read_bytes()
    except OSError as error:
        return Finding("error", "lease file", lease.path, no_access(Path(lease.path), error, "is there a DHCP server?"))
    kind = detect_lease_format(data) if lease.type == "auto" else lease.type
    if kind is None:
        empty = not data.strip()
        return Finding("warning" if empty else "error", "lease file", lease.path,
                       "empty: no names or MACs yet" if empty else
                       "not a lease file of dnsmasq, Kea (memfile) or ISC dhcpd, nor a hosts file")  # fmt: skip
    leases, skipped = read_leases(kind, data, now)
    text = f"{kind}, {counted(len(leases), 'lease')}" + (
        f", {counted(skipped, 'line')} not understood" if skipped else ""
    )
    return Finding("warning" if skipped > len(leases) else "ok", "lease file", lease.path, text)


def _directory(path: Path, what: str) -> Finding:
    """Say whether files can be made in a directory, or the directory where it is missing."""
    above = path
    while not above.exists() and above != above.parent:
        above = above.parent
    user = user_name(os.geteuid())
    if above != path and above.is_dir() and os.access(above, os.W_OK | os.X_OK):
        return Finding("ok", "directory", str(path), f"{what} will be created")
    if not above.is_dir():
        return Finding("error", "directory", str(path), f"{what}: {above} is not a directory")
    if not os.access(above, os.W_OK | os.X_OK):
        fix = f"install -d -o {user} -m 0750 {path}" if above != path else f"chown {user} {path}"
        return Finding("error", "directory", str(path), f"{what} is not writable for {user}: {fix}")
    return Finding("ok", "directory", str(path), f"{what} is writable")


def _state(state_dir: Path) -> Iterator[Finding]:
    """Open the store as `run` would, but read-only; say who holds it at present."""
    from dnswatch.io.store import FILE, Store

    path = state_dir / FILE

    async def look_inside() -> None:
        async with await Store.open(path, readonly=True):
            pass

    try:
        if not path.exists():
            return
        if path.stat().st_size:  # `run` makes a store of an empty file, too
            asyncio.run(look_inside())
        for part in (path, *(state_dir / f"{FILE}{end}" for end in ("-wal", "-shm")), state_dir / LOCK):
            if part.exists() and not os.access(part, os.R_OK | os.W_OK):
                yield Finding("error", "store", str(part), refused(part))
                return
    except PermissionError:
        yield Finding("error", "store", str(path), refused(path))
        return
    except (StateError, OSError) as error:
        yield Finding("error", "store", str(path), str(error))
        return
    pid = _running(state_dir)
    held = f"; in use by the running dnswatch (pid {pid}), so a second `run` would be refused" if pid else ""
    yield Finding("ok", "store", str(path), f"readable, of a layout that this version knows{held}")


def _unix_socket(address: str) -> Iterator[Finding]:
    if address.startswith("unix://"):
        path = Path(address.removeprefix("unix://"))
        there = path.is_socket()
        yield Finding("ok" if there else "warning", "sink", address, "socket" if there else
                      "no such socket: does the syslog daemon run?")  # fmt: skip


def _certificates(sink: SyslogSink) -> Iterator[Finding]:
    """Read the files of ``tls`` as a connection does."""
    if sink.tls is None:
        return
    try:
        Security.of(sink.tls).context()
    except OSError as error:
        yield Finding("error", "sink", sink.id, error.strerror or str(error))
    else:
        yield Finding("ok", "sink", sink.id, "certificates can be read; `dnswatch sink test` tries the receiver")


def _hooks(config: Config) -> Iterator[Finding]:
    """Look for the commands and pid files of feeds.on_change."""
    for hook in config.feeds.on_change if config.feeds.mode != "off" else ():
        if hook.run:
            there = shutil.which(hook.run[0]) is not None
            text = "command found" if there else f"no such command in PATH for {user_name(os.geteuid())}"
            yield Finding("ok" if there else "error", "hook", hook.run[0], text)
        elif hook.pidfile is not None:
            there = os.access(hook.pidfile, os.R_OK)
            text = f"pid file for signal {hook.signal}" if there else "no readable pid file: does the server run?"
            yield Finding("ok" if there else "warning", "hook", str(hook.pidfile), text)


def _zone_server(settings: Dns, state_dir: Path) -> Iterator[Finding]:
    """Try the sockets of zone transfers, and read the certificate."""
    udp_too = (socket.SOCK_STREAM, socket.SOCK_DGRAM)
    for listen in settings.listen:
        yield _port(listen, state_dir, "dns.listen", udp_too)
    if settings.tls is None:
        return
    yield _port(settings.tls.listen, state_dir, "dns.tls.listen", udp_too)
    try:
        tls_context(settings)
    except StateError as error:
        yield Finding("error", "certificate", str(settings.tls.cert), str(error))
    else:
        yield Finding("ok", "certificate", str(settings.tls.cert), "readable, and its key too")


def _port(
    listen: str, state_dir: Path, key: str, kinds: Sequence[socket.SocketKind] = (socket.SOCK_STREAM,)
) -> Finding:
    """Bind the address for a moment; one that our own daemon holds is fine."""
    host, port = split_listen(listen)
    try:
        for kind in kinds:
            found = socket.getaddrinfo(host, port, type=kind)
            with socket.socket(found[0][0], kind) as probe:
                if kind == socket.SOCK_STREAM:
                    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(found[0][4])
    except OSError as error:
        pid = _running(state_dir)
        if error.errno == errno.EADDRINUSE and pid is not None:
            return Finding("ok", "port", listen, f"in use, as expected, while dnswatch runs (pid {pid})")
        fix = {errno.EADDRINUSE: f"another program listens there: choose another port ({key})",
               errno.EADDRNOTAVAIL: "this host has no such address",
               errno.EACCES: "ports below 1024 need a privilege: choose a higher one"}  # fmt: skip
        return Finding("error", "port", listen, fix.get(error.errno or 0, error.strerror or str(error)))
    return Finding("ok", "port", listen, "free")


def _running(state_dir: Path) -> int | None:
    try:
        return running_pid(state_dir)
    except OSError:
        return None
