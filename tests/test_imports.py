"""Only what is on is imported: start-up time and memory are mostly that of libraries."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.running import Place, bind_line

HEAVY = {
    "aiohttp", "aiosqlite", "alembic", "apscheduler", "dnslib", "greenlet", "jinja2", "multiprocessing",
    "prometheus_client", "pydantic", "rich", "sqlalchemy", "sqlalchemy.ext.asyncio", "sqlalchemy.orm", "zstandard",
}  # fmt: skip

COMMAND = """
import sys
from dnswatch.cli import main
try:
    main(sys.argv[1:])
except SystemExit:
    pass
print("imported", *sorted(HEAVY & set(sys.modules)), file=sys.stderr)
"""

DAEMON = """
import asyncio, sys, time
from pathlib import Path
from dnswatch.daemon import Daemon

async def run(config, alerts):
    daemon = Daemon(Path(config))
    running = asyncio.create_task(daemon.run())
    until = time.monotonic() + 60
    while not (Path(alerts).exists() and Path(alerts).read_text()) and not running.done():
        assert time.monotonic() < until
        await asyncio.sleep(0.01)
    daemon.end()
    await running

asyncio.run(run(*sys.argv[1:]))
print("imported", *sorted(HEAVY & set(sys.modules)), file=sys.stderr)
"""


def imported(program: str, *arguments: str) -> set[str]:
    """Run a program and give the heavy libraries that it has imported."""
    done = subprocess.run(
        [sys.executable, "-c", f"HEAVY = {HEAVY!r}\n{program}", *arguments], capture_output=True, text=True, check=False
    )
    last = done.stderr.strip().splitlines()[-1].split()
    assert last[0] == "imported", done.stderr
    return set(last[1:])


@pytest.mark.parametrize(
    ("command", "allowed"),
    [
        (["--help"], set()),
        (["scan", "LOG", "--format", "json"], set()),
        (["--config", "CONFIG", "scan", "LOG", "--format", "json"], {"pydantic"}),
        (["--config", "CONFIG", "check"], {"pydantic", "dnslib", "sqlalchemy"}),
        (["--config", "CONFIG", "status"], {"pydantic", "sqlalchemy"}),
    ],
)
def test_commands_import_what_they_use(tmp_path: Path, command: list[str], allowed: set[str]) -> None:
    """A scan needs neither a server nor a store, its configuration only the library that reads it."""
    place = Place(tmp_path, "feeds: {mode: off}\n")
    place.write(bind_line("webhook.site"))
    names = {"LOG": str(place.log), "CONFIG": str(place.config)}
    assert imported(COMMAND, *(names.get(one, one) for one in command)) <= allowed


def test_a_daemon_without_http_has_no_http_library(tmp_path: Path) -> None:
    """From the start to the first alert: no server, no metrics, no object-relational mapper, no unpacker."""
    place = Place(tmp_path, "feeds: {mode: off}\n", sources=f"sources: [{{type: bind, path: {tmp_path}/query.log, "
                                                            "timezone: UTC, from: start}]")  # fmt: skip
    place.write(bind_line("webhook.site"))
    found = imported(DAEMON, str(place.config), str(place.alerts_file))
    assert found <= {"apscheduler", "dnslib", "multiprocessing", "pydantic", "sqlalchemy"}
