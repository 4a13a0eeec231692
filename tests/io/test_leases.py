"""Lease files into the table of who holds what: read when they change, told once when they cannot be."""

import os
from pathlib import Path

import pytest

from dnswatch.config.model import LeaseFile
from dnswatch.core.clients.identity import Identity
from dnswatch.io.leases import LeaseFiles

NOW = 1_795_000_000.0


def dnsmasq(address: str, name: str, until: float = NOW + 3600) -> str:
    return f"{until:.0f} 10:20:30:40:50:59 {address} {name} *\n"


async def test_changed_files_are_read_again(tmp_path: Path) -> None:
    """A file is read once per state of it; a new lease changes who holds the address."""
    path = tmp_path / "dnsmasq.leases"
    path.write_text(dnsmasq("10.0.0.5", "laptop"))
    files, identity = LeaseFiles([LeaseFile(path=str(path))]), Identity()
    assert await files.refresh(identity, NOW)
    assert identity.of("10.0.0.5", NOW + 1)[0] == "laptop"
    assert not await files.refresh(identity, NOW + 30)
    assert files.read == 1
    path.write_text(dnsmasq("10.0.0.5", "printer"))
    os.utime(path, ns=(1, 1))
    assert await files.refresh(identity, NOW + 60)
    assert identity.of("10.0.0.5", NOW + 61)[0] == "printer"
    assert identity.of("10.0.0.5", NOW + 1)[0] == "laptop"


async def test_hosts_files_are_replaced_as_a_whole(tmp_path: Path) -> None:
    """A line that was removed is forgotten, and the other hosts file stays."""
    one, two = tmp_path / "hosts", tmp_path / "hosts.d"
    one.write_text("10.0.0.1 alpha\n10.0.0.2 beta\n")
    two.write_text("10.0.0.3 gamma\n")
    files = LeaseFiles([LeaseFile(path=str(tmp_path / "hosts*"), type="hosts")])
    identity = Identity()
    assert await files.refresh(identity, NOW)
    one.write_text("10.0.0.1 alpha\n")
    assert await files.refresh(identity, NOW)
    assert [identity.of(f"10.0.0.{n}", NOW)[0] for n in (1, 2, 3)] == ["alpha", "", "gamma"]


async def test_hosts_file_that_is_no_longer_configured_is_forgotten(tmp_path: Path) -> None:
    """A reload without it takes its names away, and with them what they were expected to do."""
    path = tmp_path / "hosts"
    path.write_text("10.0.0.1 alpha\n")
    identity = Identity()
    assert await LeaseFiles([LeaseFile(path=str(path), type="hosts")]).refresh(identity, NOW)
    none = LeaseFiles([])
    assert await none.refresh(identity, NOW)
    assert identity.of("10.0.0.1", NOW)[0] == ""
    assert not await none.refresh(identity, NOW)


async def test_what_cannot_be_read_is_told_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A missing or foreign file is a warning, once, and works when it is right."""
    path = tmp_path / "leases"
    files, identity = LeaseFiles([LeaseFile(path=str(path))]), Identity()
    for _ in range(3):
        assert not await files.refresh(identity, NOW)
    path.write_text("<html>not leases</html>\n")
    for _ in range(2):
        assert not await files.refresh(identity, NOW)
    told = [record.getMessage() for record in caplog.records]
    assert len(told) == 2
    assert "no such file" in told[0]
    assert "not a lease file" in told[1]
    path.write_text(dnsmasq("10.0.0.5", "laptop"))
    assert await files.refresh(identity, NOW)
