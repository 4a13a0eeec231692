"""The host's file system as discovery asks it."""

import os
from pathlib import Path

import pytest

from dnswatch.core.host.findings import discover
from dnswatch.io.host import MAX_CONFIG, HostTree


@pytest.fixture
def tree(tmp_path: Path) -> HostTree:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/a.conf").write_bytes(b"caf\xe9\n")
    (tmp_path / "etc/b.conf").write_text("b")
    (tmp_path / "etc/folder.conf").mkdir()
    return HostTree(tmp_path)


def test_text_survives_any_bytes_and_absence(tree: HostTree) -> None:
    """Undecodable bytes are replaced; a missing file and a directory are None."""
    assert tree.text("/etc/a.conf") == "caf�\n"
    assert tree.text("/etc/none") is None
    assert tree.text("/etc/folder.conf") is None


def test_a_huge_file_is_read_in_part(tree: HostTree) -> None:
    """No configuration file fills the memory."""
    tree.real("/etc/big").write_bytes(b"x" * (MAX_CONFIG + 10))
    assert len(tree.text("/etc/big") or "") == MAX_CONFIG


def test_a_pipe_or_device_is_not_read(tree: HostTree) -> None:
    """state() calls anything but a regular file absent, so that nothing waits on a pipe."""
    os.mkfifo(tree.real("/etc/pipe"))
    assert tree.state("/etc/pipe") == "absent"


def test_glob_gives_paths_of_the_host(tree: HostTree) -> None:
    """Matches are files only, sorted, without the root in front."""
    assert tree.glob("/etc/*.conf") == ["/etc/a.conf", "/etc/b.conf"]


def test_tail_gives_the_end(tree: HostTree) -> None:
    """The last bytes, all of a short file, nothing of a missing one."""
    tree.real("/etc/c").write_bytes(b"0123456789")
    assert (tree.tail("/etc/c", 3), tree.tail("/etc/c", 99), tree.tail("/etc/none", 3)) == (b"789", b"0123456789", b"")


def test_access_names_owner_group_and_mode(tree: HostTree) -> None:
    """What an operator needs to grant access."""
    path = tree.real("/etc/b.conf")
    path.chmod(0o640)
    assert tree.access("/etc/b.conf").endswith(" 0640")
    assert tree.access("/etc/none") == ""


@pytest.mark.parametrize("said", ["file", "link", "nothing"])
def test_the_time_zone_of_the_host(tree: HostTree, said: str) -> None:
    """Debian writes /etc/timezone, others link /etc/localtime."""
    if said == "file":
        tree.real("/etc/timezone").write_text("Europe/Berlin\n")
    elif said == "link":
        tree.real("/etc/localtime").symlink_to("/usr/share/zoneinfo/Asia/Tokyo")
    assert tree.zone() == {"file": "Europe/Berlin", "link": "Asia/Tokyo", "nothing": ""}[said]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_an_ordinary_user_learns_what_is_hidden(tree: HostTree, tmp_path: Path) -> None:
    """As nobody: a log of mode 0600 is reported unreadable, with its owner; nothing raises."""
    for folder in (tmp_path, *tmp_path.parents):
        if folder != Path("/") and str(folder).startswith("/tmp/"):
            folder.chmod(0o755)
    (tmp_path / "var/log").mkdir(parents=True)
    (tmp_path / "var/log/dnsmasq.log").write_text("")
    (tmp_path / "var/log/dnsmasq.log").chmod(0o600)
    os.seteuid(65534)
    try:
        notes = [note.text for note in discover(tree).notes]
    finally:
        os.seteuid(0)
    assert any("/var/log/dnsmasq.log (root:root 0600) may not be read by this user" in note for note in notes)
