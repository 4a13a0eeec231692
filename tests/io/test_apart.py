"""Files digested in child processes: one process would make the same, whatever the children guess or suffer."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from dnswatch.config.kept import kept_catalogue
from dnswatch.core.reading import build_scan
from dnswatch.io import apart
from dnswatch.io.archive import Family, discover
from dnswatch.io.replay import Piece, Reading, Replay

CATALOG = kept_catalogue()
LINES = 9_000
"""A megabyte: two blocks and a bit."""


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let small files be worth a child."""
    monkeypatch.setattr(apart, "LEAST_BYTES", 1 << 19)
    monkeypatch.setattr(apart, "LEAST_PACKED", 1 << 10)


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Note of each file that a child had whether its blocks were taken."""
    said: list[bool] = []
    rest = apart.Children.rest

    def noted(self: apart.Children, path: Path, *args: object) -> object:
        had = path in self._running
        found = rest(self, path, *args)  # type: ignore[arg-type]
        if had:
            said.append(found is not None)
        return found

    monkeypatch.setattr(apart.Children, "rest", noted)
    return said


def bind(begin: int) -> bytes:
    """Write a log of BIND; one line in 50 is watched."""
    names = [b"example.org" if n % 50 else b"api.telegram.org" for n in range(LINES)]
    return b"".join(
        b"%02d-Nov-2026 %02d:%02d:%02d.000 client @0x7f1 10.0.%d.%d#5353 (%s): query: %s IN A +E(0)K (10.0.0.53)\n"
        % (20 + (begin + n) // 86400, (begin + n) // 3600 % 24, (begin + n) // 60 % 60, (begin + n) % 60,
           n % 3, n % 200, name, name)
        for n, name in enumerate(names)
    )  # fmt: skip


def dnsmasq(month: bytes, day: int) -> bytes:
    """Write a log of dnsmasq, whose stamps have no year."""
    return b"".join(
        b"%s %2d %02d:%02d:%02d dnsmasq[7]: %d 10.0.0.%d/4711 query[A] %s from 10.0.0.%d\n"
        % (month, day, n // 3600 % 24, n // 60 % 60, n % 60, n, n % 200,
           b"a-longer-ordinary-name.example.org" if n % 50 else b"api.telegram.org", n % 200)
        for n in range(LINES)
    )  # fmt: skip


def write(path: Path, data: bytes, mtime: float = 1_795_000_000.0) -> None:
    path.write_bytes(data)
    os.utime(path, (mtime, mtime))


def replay(folder: Path, *, help_: bool) -> Replay:
    prescans: dict[str, object] = {}

    def prescan_of(kind: str) -> object:
        return prescans.setdefault(kind, build_scan(kind, CATALOG))

    families: tuple[Family, ...] = discover([str(folder)]).families
    made = Replay(families, Reading(prescan_of, catalog=CATALOG if help_ else None))  # type: ignore[arg-type]
    made._children._free = 2 * help_
    return made


def said(pieces: Iterator[Piece]) -> list[Piece]:
    return list(pieces)


def agree(folder: Path) -> None:
    """Read with and without children; everything said, and the tally, must be the same."""
    alone, helped = replay(folder, help_=False), replay(folder, help_=True)
    assert said(helped.pieces()) == said(alone.pieces())
    assert helped.tally == alone.tally
    assert helped._children._running == {}


def test_rotated_files_and_two_logs(tmp_path: Path, taken: list[bool]) -> None:
    """Children read ahead; the pieces and the tally are those of one process."""
    write(tmp_path / "query.log.2", bind(0))
    write(tmp_path / "query.log.1", bind(LINES))
    write(tmp_path / "query.log", bind(2 * LINES) + b"unfinished")
    write(tmp_path / "other.log", bind(LINES))
    agree(tmp_path)
    assert taken.count(True) >= 2


def test_stamps_without_a_year_follow_the_file_before(tmp_path: Path, taken: list[bool]) -> None:
    """A copy's own date is a year off: the child guesses another year than the file before says, in vain."""
    january_2026, november_2026 = 1_768_500_000.0, 1_796_000_000.0
    write(tmp_path / "dnsmasq.log.2", dnsmasq(b"Nov", 20), january_2026)
    write(tmp_path / "dnsmasq.log.1", dnsmasq(b"Nov", 21), january_2026)
    write(tmp_path / "dnsmasq.log", dnsmasq(b"Nov", 22), november_2026)
    agree(tmp_path)
    assert True in taken
    assert False in taken


def test_a_child_that_breaks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it said is kept, the rest is read here, wherever it broke."""
    write(tmp_path / "query.log.1", bind(0))
    write(tmp_path / "query.log", bind(LINES))
    blocks = apart._Child.blocks
    for whole in (0, 1, 2):

        def breaking(self: apart._Child, whole: int = whole) -> Iterator[apart.Block | apart.End]:
            for number, block in enumerate(blocks(self)):
                if number == whole:
                    os.kill(self._process.pid, signal.SIGKILL)
                    return
                yield block

        monkeypatch.setattr(apart._Child, "blocks", breaking)
        agree(tmp_path)


def test_a_child_that_never_says_a_word(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, taken: list[bool]) -> None:
    """Where no child can work, one process does."""
    write(tmp_path / "query.log.1", bind(0))
    write(tmp_path / "query.log", bind(LINES))
    monkeypatch.setattr(apart, "_BOOT", "raise SystemExit(1)")
    agree(tmp_path)
    assert taken
    assert not any(taken)


def test_who_stops_early_leaves_nothing_running(tmp_path: Path) -> None:
    """Children end with the reading, even when nobody reads on."""
    write(tmp_path / "query.log.1", bind(0))
    write(tmp_path / "query.log", bind(LINES))
    helped = replay(tmp_path, help_=True)
    pieces = helped.pieces()
    next(pieces)
    processes = [child._process for child in helped._children._running.values()]
    assert len(processes) == 2
    pieces.close()  # type: ignore[attr-defined]
    assert all(process.returncode is not None for process in processes)
