"""Files sifted in child processes: one process would make the same, whatever the bytes are or the children suffer."""

from __future__ import annotations

import gzip
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from dnswatch.config.kept import kept_catalogue
from dnswatch.core.logs.sift import Sifted
from dnswatch.core.reading import build_scan
from dnswatch.io import apart
from dnswatch.io.archive import Family, discover
from dnswatch.io.replay import Reading, Replay

CATALOG = kept_catalogue()
LINES = 9_000
"""A megabyte: two blocks and a bit, a dozen ranges."""


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let small files be worth children, and ranges be small."""
    monkeypatch.setattr(apart, "LEAST_BYTES", 1 << 19)
    monkeypatch.setattr(apart, "LEAST_PACKED", 1 << 10)
    monkeypatch.setattr(apart, "RANGE", 64 << 10)


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[apart.Sifting | apart.Rest]:
    """Note what children said and was asked for."""
    noted: list[apart.Sifting | apart.Rest] = []
    siftings = apart.Children.siftings

    def noting(self: apart.Children, path: Path, kind: str) -> Iterator[apart.Sifting | apart.Rest]:
        for each in siftings(self, path, kind):
            noted.append(each)
            yield each

    monkeypatch.setattr(apart.Children, "siftings", noting)
    return noted


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


def replay(folder: Path, *, cores: int) -> Replay:
    prescans: dict[str, object] = {}

    def prescan_of(kind: str) -> object:
        return prescans.setdefault(kind, build_scan(kind, CATALOG))

    families: tuple[Family, ...] = discover([str(folder)]).families
    return Replay(families, Reading(prescan_of, cores=cores))  # type: ignore[arg-type]


def told(replay: Replay) -> list[object]:
    """Give each event and sample with its log, file and place, however they come in pieces."""
    whole: dict[tuple[str, str], list[list[object]]] = {}
    for piece in replay.pieces():
        events, samples = whole.setdefault((piece.source, piece.position.path), [[], []])
        events += piece.digested.events
        samples += piece.digested.samples
    return sorted(whole.items())


def agree(folder: Path) -> None:
    """Read with and without children; everything said, and the tally, must be the same."""
    alone, helped = replay(folder, cores=1), replay(folder, cores=2)
    assert told(helped) == told(alone)
    helped.tally.exact, helped.tally.lines = alone.tally.exact, alone.tally.lines  # children do not count lines
    assert helped.tally == alone.tally
    assert helped._children._running == {}


def test_one_large_file(tmp_path: Path, said: list[apart.Sifting]) -> None:
    """Two children share it."""
    write(tmp_path / "query.log", bind(0) + b"unfinished")
    agree(tmp_path)
    assert len(said) > 10
    assert all(each.sifted for each in said)


def test_rotated_files_and_two_logs(tmp_path: Path, said: list[apart.Sifting]) -> None:
    """Children read ahead; packed files are unpacked by them, to the last line and beyond."""
    write(tmp_path / "query.log.2.gz", gzip.compress(bind(0)))
    write(tmp_path / "query.log.1", bind(LINES))
    write(tmp_path / "query.log", bind(2 * LINES) + b"unfinished")
    write(tmp_path / "other.log.gz", gzip.compress(bind(LINES))[:-2000])
    agree(tmp_path)
    assert sum(isinstance(each, apart.Rest) for each in said) == 2
    assert len(said) > 40


def test_names_do_not_say_what_is_packed(tmp_path: Path, said: list[apart.Sifting]) -> None:
    """A packed file without an ending, large enough for children, and a plain one with the ending."""
    write(tmp_path / "query.log", gzip.compress(bind(0), 0))
    agree(tmp_path)
    assert isinstance(said[-1], apart.Rest)
    write(tmp_path / "query.log", b"")
    write(tmp_path / "plain.gz", bind(0))
    agree(tmp_path)
    assert isinstance(said[-1], apart.Sifting)


def test_stamps_without_a_year_follow_the_file_before(tmp_path: Path, said: list[apart.Sifting]) -> None:
    """A copy's own date is a year off; what the file before says is known here, not in a child."""
    january_2026, november_2026 = 1_768_500_000.0, 1_796_000_000.0
    write(tmp_path / "dnsmasq.log.2", dnsmasq(b"Nov", 20), january_2026)
    write(tmp_path / "dnsmasq.log.1", dnsmasq(b"Nov", 21), january_2026)
    write(tmp_path / "dnsmasq.log", dnsmasq(b"Nov", 22), november_2026)
    agree(tmp_path)
    assert said


def test_damage_on_either_side_of_a_cut(tmp_path: Path, said: list[apart.Sifting]) -> None:
    """Lines too long, holes and stamps far ahead, where ranges meet and elsewhere: as if one process read it."""
    size = 64 << 10
    plain = bind(0)
    for number, damage in enumerate(
        (b"x" * (size + 9), b"\0" * (size + 9), b"y" * 3 * size, b"\0" * 70, b"z" * (size - 5))
    ):
        data = bytearray(plain)
        for place, at in ((1, 4 * size - 100), (2, 9 * size + 7), (3, 14 * size - len(damage))):
            line = data.rfind(b"\n", 0, at) + 1
            data[line:line] = damage if place % 2 else damage + b"\n"
        ahead = data.find(b"\n", 12 * size) + 1
        data[ahead : ahead + 2] = b"29"  # nine days
        write(tmp_path / f"log{number}.log", bytes(data))
    agree(tmp_path)
    assert any(each.sifted is None for each in said)
    assert any(isinstance(each.sifted, Sifted) for each in said)


def test_a_child_that_breaks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it said is kept, the rest is read here, wherever it broke; of packed files, too."""
    write(tmp_path / "query.log.1.gz", gzip.compress(bind(0)))
    write(tmp_path / "query.log", bind(LINES))
    hear = apart._Child.said
    for whole in (0, 1, 2, 7):
        heard: dict[apart._Child, int] = {}

        def breaking(self: apart._Child, whole: int = whole, heard: dict[apart._Child, int] = heard) -> object:
            heard[self] = heard.get(self, 0) + 1
            if heard[self] > whole:
                os.kill(self._process.pid, signal.SIGKILL)
                self._process.wait()
                return None
            return hear(self)

        monkeypatch.setattr(apart._Child, "said", breaking)
        agree(tmp_path)


def test_a_child_that_never_says_a_word(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no child can work, one process does."""
    write(tmp_path / "query.log.1", bind(0))
    write(tmp_path / "query.log", bind(LINES))
    monkeypatch.setattr(apart, "_BOOT", "raise SystemExit(1)")
    agree(tmp_path)


def test_who_stops_early_leaves_nothing_running(tmp_path: Path) -> None:
    """Children end with the reading, even when nobody reads on."""
    write(tmp_path / "query.log.1", bind(0))
    write(tmp_path / "query.log", bind(LINES))
    helped = replay(tmp_path, cores=2)
    pieces = helped.pieces()
    next(pieces)
    processes = [child._process for _, children in helped._children._running.values() for child in children]
    assert len(processes) == 2
    pieces.close()  # type: ignore[attr-defined]
    assert all(process.returncode is not None for process in processes)
