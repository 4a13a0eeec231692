"""Who asks at all."""

import gzip
from pathlib import Path

import pytest

from dnswatch.io import population
from dnswatch.io.population import active_clients

LINE = "2026-11-22T00:00:00.000Z queries: info: client @0x7fa4 {client}#5 (a.test): query: a.test IN A + (10.0.0.53)\n"
DNSMASQ = "Nov 22 19:23:16 dnsmasq[7607]: query[A] www.example.test from {client}\n"


def test_clients_of_every_format_are_found(tmp_path: Path) -> None:
    """BIND, dnsmasq, plain and packed; answers and other lines count for nobody."""
    (tmp_path / "bind.log").write_text(LINE.format(client="10.0.0.1") + LINE.format(client="fd00::1"))
    (tmp_path / "dnsmasq.log").write_text(DNSMASQ.format(client="10.0.0.2") + "Nov 22 19:23:16 dnsmasq[7]: started\n")
    (tmp_path / "bind.log.1.gz").write_bytes(gzip.compress(LINE.format(client="10.0.0.3").encode()))
    assert active_clients(tmp_path.iterdir()) == {"10.0.0.1", "fd00::1", "10.0.0.2", "10.0.0.3"}


def test_only_the_end_of_a_long_log_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first line of the part is cut and left out."""
    monkeypatch.setattr(population, "PART", 250)
    (tmp_path / "bind.log").write_text("".join(LINE.format(client=f"10.0.0.{i}") for i in range(9)))
    assert active_clients([tmp_path / "bind.log"]) == {"10.0.0.7", "10.0.0.8"}


def test_what_cannot_be_read_is_nobody(tmp_path: Path) -> None:
    """A missing file, an empty one, and one of another kind give no client."""
    (tmp_path / "empty").write_text("")
    (tmp_path / "other").write_text("hello world\n" * 5)
    assert active_clients([tmp_path / "none", tmp_path / "empty", tmp_path / "other"]) == set()
