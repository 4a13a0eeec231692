"""Automata of long watch lists: compiled in a child, kept, loaded; always what a compilation here would find."""

from __future__ import annotations

import asyncio
import os
from dataclasses import replace
from pathlib import Path

import pytest

from dnswatch.config.kept import kept_catalogue
from dnswatch.core.catalog import Catalog
from dnswatch.core.logs import prescan
from dnswatch.core.reading import build_scan
from dnswatch.io import automata
from dnswatch.io.automata import LARGE, scan_of

BLOCK = b"".join(
    b"22-Nov-2026 19:18:19.281 queries: info: client @0x7f 10.0.0.1#3 (x): query: %s IN A + (10.0.0.53)\n" % name
    for name in (b"n7.example.test", b"a.n1999.example.test", b"n9x.example.test", b"api.telegram.org", b"plain.test")
)
pytest.importorskip("hyperscan")


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    """A catalogue with an imported list."""
    known = kept_catalogue()
    service = known.services["webhook-site"]
    names = [
        replace(service.indicators[0], name=f"n{n}.example.test", match="domain", service="imported")
        for n in range(LARGE + 100)
    ]
    services = {**known.services, "imported": replace(service, id="imported", indicators=tuple(names))}
    return replace(known, services=services, enabled=known.enabled | {"imported"})


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Count the children."""
    asked: list[str] = []
    compile_ = automata._compiled

    def counted(kind: str, names: list[tuple[str, str]]) -> bytes | None:
        asked.append(kind)
        return compile_(kind, names)

    monkeypatch.setattr(automata, "_compiled", counted)
    return asked


def found(scan: object) -> list[int]:
    return prescan.line_starts(BLOCK, scan.find(BLOCK, len(BLOCK)))  # type: ignore[attr-defined]


def test_compiled_once_and_kept(tmp_path: Path, catalog: Catalog, compiled: list[str]) -> None:
    """The second time it is loaded; what it finds is what one compiled here finds, without a word of complaint."""
    folder = tmp_path / "automata"
    expected = found(build_scan("bind", catalog))
    assert len(expected) == 3
    for _ in range(2):
        scan = scan_of("bind", catalog, folder)
        assert (found(scan), getattr(scan, "tier", ""), scan.why) == (expected, "hyperscan", "")
    assert compiled == ["bind"]
    (kept,) = folder.iterdir()
    assert kept.stat().st_mode & 0o777 == 0o600
    scan_of("dnsmasq", catalog, folder)
    assert compiled == ["bind", "dnsmasq"]


@pytest.mark.parametrize("damage", ["cut", "flipped", "open", "foreign"])
def test_what_cannot_be_trusted_is_compiled_anew(
    tmp_path: Path, catalog: Catalog, compiled: list[str], damage: str
) -> None:
    """A file that is not whole, that others may write, or that hyperscan does not take."""
    expected = found(scan_of("bind", catalog, tmp_path))
    (kept,) = tmp_path.iterdir()
    data = kept.read_bytes()
    if damage == "cut":
        kept.write_bytes(data[:-1])
    elif damage == "flipped":
        kept.write_bytes(data[:5000] + bytes([data[5000] ^ 1]) + data[5001:])
    elif damage == "open":
        kept.chmod(0o666)
    else:
        body = b"of another time"
        kept.write_bytes(automata.hashlib.blake2b(body, digest_size=16).digest() + body)
    scan = scan_of("bind", catalog, tmp_path)
    assert (found(scan), getattr(scan, "tier", "")) == (expected, "hyperscan")
    assert len(compiled) == (1 if damage == "foreign" else 2)


def test_short_lists_and_places_that_cannot_be_written(tmp_path: Path, catalog: Catalog, compiled: list[str]) -> None:
    """The catalogue alone makes no file; without a folder, or a child, everything is found all the same."""
    scan_of("bind", kept_catalogue(), tmp_path)
    assert not list(tmp_path.iterdir())
    assert len(found(scan_of("bind", catalog, None))) == 3
    assert len(found(scan_of("bind", catalog, Path(os.devnull) / "x"))) == 3


def test_without_a_child(catalog: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no process can be started it is compiled here."""
    monkeypatch.setattr(automata, "_BOOT", "raise SystemExit(1)")
    assert len(found(scan_of("bind", catalog, None))) == 3


async def test_the_loop_goes_on_meanwhile(tmp_path: Path, catalog: Catalog) -> None:
    """While a child compiles, the event loop turns as it does otherwise."""
    build = asyncio.create_task(asyncio.to_thread(scan_of, "bind", catalog, tmp_path))
    turns = 0
    while not build.done():
        await asyncio.sleep(0.005)
        turns += 1
    assert turns >= 10
    assert found(await build)
