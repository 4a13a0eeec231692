"""What commands say to a user who may not: who they are, which place stops them, whose it is, whom to be."""

import asyncio
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from dnswatch.io.store import FILE, Store
from tests.io.making import alert

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root may become nobody")
DAEMON = 1
CONFIG = "state_dir: state\nsources: [{type: bind, path: query.log}]\nhttp: {listen: off}\n"


@pytest.fixture
def place() -> Iterator[Path]:
    """An installation that belongs to the user daemon; its configuration may be read by all."""
    with tempfile.TemporaryDirectory() as name:  # pytest's own directories are closed to other users
        folder = Path(name)
        folder.chmod(0o755)
        (folder / "dnswatch.yaml").write_text(CONFIG)
        (folder / "conf.d").mkdir()
        (folder / "state").mkdir()
        asyncio.run(fill(folder / "state" / FILE))
        for path in (folder / "state", *(folder / "state").iterdir(), folder / "conf.d"):
            os.chown(path, DAEMON, DAEMON)
        (folder / "state" / FILE).chmod(0o640)
        yield folder


async def fill(path: Path) -> None:
    async with await Store.open(path) as store:
        await store.checkpoint([], None, [alert(1)])


BECOME_NOBODY = """
import contextlib, importlib, io, os, pkgutil, sys
import dnswatch
from dnswatch.cli import main
"b\u00fccher.example".encode("idna")  # what Python reads for it is perhaps closed to others, too
# A checkout may be closed to others: everything is imported, and asked once, before we become nobody.
for module in pkgutil.walk_packages(dnswatch.__path__, "dnswatch."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
for command in (["alerts", "list"], ["explain", "10.1.2.3", "webhook.site"], ["expect", "propose"]):
    with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()), \\
            contextlib.redirect_stderr(io.StringIO()):
        main([*sys.argv[1:3], *command])
os.setgroups([])
os.setgid(65534)
os.setuid(65534)
for command in sys.argv[3:]:
    sys.stderr.write("$\\n")
    try:
        main([*sys.argv[1:3], *command.split()])
    except SystemExit as exit:
        sys.stderr.write(f"exit {exit.code}\\n")
"""


def as_nobody(folder: Path, *commands: str) -> list[tuple[str, str]]:
    """Give what each command wrote to stderr, and its exit."""
    command = [sys.executable, "-c", BECOME_NOBODY, "--config", str(folder / "dnswatch.yaml"), *commands]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert "Traceback" not in done.stderr
    assert "Errno" not in done.stderr
    assert done.returncode == 0, done.stderr
    said = [text.rpartition("exit ") for text in done.stderr.split("$\n")[1:]]
    return [(code.strip(), text) for text, _, code in said]


@pytest.mark.parametrize("closed", ["directory", "file"])
def test_reading_the_store(place: Path, closed: str) -> None:
    """Whether state_dir or only the store is closed: the first place that stops us is named with its owner."""
    stop = place / "state"
    stop.chmod(0o750 if closed == "directory" else 0o755)
    stop = stop if closed == "directory" else stop / FILE
    for code, said in as_nobody(place, "status", "alerts list", "expect propose", "feed show"):
        assert code == "1", said
        assert said.startswith("dnswatch: permission denied: this runs as user nobody (group nogroup), which may not ")
        assert f" {stop} (" in said
        assert "daemon:daemon): run it as daemon (sudo -u daemon …) or root, or join its group: usermod" in said


def test_writing(place: Path) -> None:
    """A command that changes something says which directory or file it may not write; reading goes on."""
    (place / "state").chmod(0o755)
    (place / "state" / FILE).chmod(0o644)
    add, ack, read = as_nobody(place, "expect add 10.0.0.1 --service slack-webhook --because x",
                               f"alerts ack {alert(1).id}", "alerts list")  # fmt: skip
    assert (add[0], f"which may not write in {place}/conf.d (" in add[1]) == ("1", True)
    assert (ack[0], f"which may not write {place}/state/{FILE} (" in ack[1]) == ("1", True)
    assert read[0] == "0"


def test_run_and_explain(place: Path) -> None:
    """`run` names user and owner and the command that helps; `explain` goes on without history."""
    (place / "state").chmod(0o750)
    (code, said), explained = as_nobody(place, "run", "explain 10.1.2.3 webhook.site")
    assert (code, "cannot use state_dir" in said) == ("1", True)
    assert "this runs as user nobody (group nogroup), which may not enter" in said
    assert f"install -d -o nobody -m 0750 {place}/state" in said
    assert explained[0] == "0"
    assert "is not readable for you: explaining without history" in explained[1]
