"""What one bad line in a zone's file does to resolvers that have a good version of it: research rpz.md §5.2 on reload.

Past our guard on purpose, as `test_poison.py`, which has the same rows at the start; that the guard refuses each is in
`tests/core/test_feeds_rows.py`. In no row does the last good version stay everywhere: so it is we who must not write.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from tests.live.servers import (
    Server,
    Upstream,
    dig,
    environment,
    free_port,
    place,
    wait_for,
)
from tests.live.test_poison import BLOCKED, FILES, HEAD, clause, first, last, server_with

Blocks = tuple[bool, bool, bool, bool]
"""Of the first and the last rule, of one that only the old file has, of one that only the new file has, at its end."""
OLD, NEW, EMPTY = (True, True, True, False), (True, True, False, True), (False, False, False, False)
CUT, HALF = (True, False, False, False), (True, True, False, False)
DEAD = None
ROWS: dict[str, tuple[Blocks, Blocks | None, Blocks]] = {  # BIND, Unbound, PowerDNS
    "good": (NEW, NEW, NEW),
    "syntax": (OLD, CUT, CUT),  # an open bracket: PowerDNS takes it as the end
    "cname-and-a": (OLD, NEW, NEW),
    "exact-duplicate": (NEW, NEW, EMPTY),
    "out-of-zone": (NEW, DEAD, EMPTY),
    "no-ns": (HALF, NEW, NEW),
    "empty": (EMPTY, EMPTY, EMPTY),
    "missing": (OLD, DEAD, EMPTY),
}
KINDS = ["bind", "unbound", "powerdns"]


def blocks(port: int, row: str) -> Blocks:
    """Ask for each of the four rules."""
    one, two, three, four = (dig(port, "127.0.0.1", f"{which}.{row}.bad.test") == BLOCKED
                             for which in ("first", "last", "old", "new"))  # fmt: skip
    return one, two, three, four


def as_told(port: int, wanted: dict[str, Blocks]) -> bool:
    """Say whether every row does what it should."""
    return all(blocks(port, row) == told for row, told in wanted.items())


def write(folder: Path, row: str, bad: bool) -> None:
    """Write the first version of a row's file, or the second one with its bad line; `missing` is taken away."""
    head = HEAD.replace("h.localhost. 1 ", "h.localhost. 2 ") if bad else HEAD
    if bad and row == "no-ns":
        head = head.replace("@ NS localhost.\n", "")
    line = FILES[row][0] if bad and row in FILES else ""
    path = folder / f"{row}.zone"
    if bad and row == "missing":
        path.unlink()
        return
    whole = f"{head}{first(row)} CNAME .\n{line}{last(row)} CNAME .\n{'new' if bad else 'old'}.{row}.bad.test CNAME .\n"
    path.write_text("" if bad and row == "empty" else whole.replace("ZONE", f"{row}.poison.test"))
    changed = path.stat().st_mtime + 5 * bad  # named compares times in seconds
    os.utime(path, (changed, changed))


@contextmanager
def resolver(kind: str, folder: Path) -> Iterator[tuple[int, Server]]:
    """Run the resolver with the first version of every row; give its port."""
    folder.chmod(0o777)
    port = free_port()
    zones = {f"{row}.poison.test": clause(kind, folder / f"{row}.zone") for row in ROWS}
    with Upstream() as upstream:
        server = server_with(kind, folder, port, zones, upstream.port)
        with server:
            yield port, server


def reload(kind: str, folder: Path, server: Server) -> None:
    """Make the resolver read its zones again, as its manual says; PowerDNS calls each of these rows a success."""
    assert server.process
    if kind == "powerdns":
        command = ["rec_control", f"--config-dir={folder}", f"--socket-dir={folder}", "reload-lua-config"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=environment())
        assert done.stdout.startswith("Reloaded"), done.stdout + done.stderr
    else:
        server.process.send_signal(signal.SIGHUP)


@pytest.mark.parametrize("kind", KINDS)
def test_one_bad_line_in_a_file_that_is_reloaded(kind: str) -> None:
    """BIND keeps the old one mostly, Unbound takes what stands before it, PowerDNS drops all; empty blocks nothing."""
    wanted = {row: told for row, (*every,) in ROWS.items() if (told := every[KINDS.index(kind)]) is not DEAD}
    found: dict[str, Blocks] = {}
    with place() as folder:
        for row in ROWS:
            write(folder, row, bad=False)
        with resolver(kind, folder) as (port, server):
            assert wait_for(lambda: all(blocks(port, row) == OLD for row in wanted), 10, 0.3)
            for rows in ([row] for row in wanted) if kind == "powerdns" else [list(wanted)]:
                for row in rows:
                    write(folder, row, bad=True)
                reload(kind, folder, server)
                wait_for(partial(as_told, port, {row: wanted[row] for row in rows}), 6, 0.3)
                found |= {row: blocks(port, row) for row in rows}
                if kind == "powerdns":
                    write(folder, rows[0], bad=False)
                    reload(kind, folder, server)
            assert found == wanted


@pytest.mark.parametrize("row", [row for row, told in ROWS.items() if told[1] is DEAD])
def test_some_files_end_unbound_on_reload(row: str) -> None:
    """Nobody has DNS then, as when it starts with such a file. We remove no file, and write no such line."""
    with place() as folder:
        for one in ROWS:
            write(folder, one, bad=False)
        with resolver("unbound", folder) as (port, server):
            assert wait_for(lambda: blocks(port, row) == OLD, 10, 0.3)
            write(folder, row, bad=True)
            reload("unbound", folder, server)
            process = server.process
            assert process is not None
            assert wait_for(lambda: process.poll() is not None, 10)
