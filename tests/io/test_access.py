"""Why a file cannot be read: the user, the mode, and the command that helps."""

import os
from pathlib import Path

import pytest

from dnswatch.io.access import no_access

NOBODY = 65534


def said_to_nobody(path: Path) -> str:
    """What `no_access` says in a process of user nobody."""
    read, write = os.pipe()
    child = os.fork()
    if not child:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
        try:
            path.read_bytes()
            text = "readable"
        except OSError as error:
            text = no_access(path, error, "is it there?")
        os.write(write, text.encode())
        os._exit(0)
    os.close(write)
    os.waitpid(child, 0)
    with os.fdopen(read) as answer:
        return answer.read()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may become nobody")
def test_unreadable_file_says_how_to_fix_it(tmp_path: Path) -> None:
    """A file of another group names that group; so does a closed directory; a closed file asks for chmod."""
    for folder in (tmp_path, *tmp_path.parents):
        if folder.owner() == "root" and folder != folder.parent and folder.stat().st_mode & 0o777 == 0o700:
            folder.chmod(0o755)  # pytest's own directories, one more of them when tests run side by side
    log = tmp_path / "query.log"
    log.write_text("x")
    log.chmod(0o644)
    assert said_to_nobody(log) == "readable"
    log.chmod(0o640)
    os.chown(log, 0, 4)
    assert "may not read" in said_to_nobody(log)
    assert "usermod -aG" in said_to_nobody(log)
    log.chmod(0o600)
    assert f"chmod g+r {log}" in said_to_nobody(log)
    tmp_path.chmod(0o700)
    assert f"chmod g+x {tmp_path}" in said_to_nobody(log)
    tmp_path.chmod(0o755)


def test_other_reasons(tmp_path: Path) -> None:
    """A missing file gets the caller's guess; other errors their own words."""
    assert no_access(tmp_path / "x", FileNotFoundError(2, "No such file"), "is it on?") == "no such file: is it on?"
    assert no_access(tmp_path, IsADirectoryError(21, "Is a directory"), "") == "Is a directory"
