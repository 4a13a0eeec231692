"""The kept catalogue: what was compiled before is used again, and never when it could be anything else."""

from __future__ import annotations

import hashlib
import pickle
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path

import pytest

from dnswatch.config import kept
from dnswatch.config.catalogue import load_catalogue
from dnswatch.config.keeping import DIGEST_BYTES
from dnswatch.config.kept import KEPT, kept_catalogue
from dnswatch.core.catalog import Catalog

SERVICE = """\
id: {id}
name: Mine
names:
  - {{name: hooks.mine.test, match: exact}}
block_safety: safe
base_severity: medium
severity_reason: Takes hooks only.
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the folder of an empty cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "dnswatch"


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Note each time that the files are read."""
    seen: list[object] = []
    read = kept._read

    def noted(dirs: Sequence[Path]) -> Catalog:
        seen.append(dirs)
        return read(dirs)

    monkeypatch.setattr(kept, "_read", noted)
    return seen


def test_the_second_load_gives_the_same_without_reading_a_file(folder: Path, reads: list[object]) -> None:
    """What was kept equals what is read, in every field and in what names mean."""
    first, second, read = kept_catalogue(), kept_catalogue(), load_catalogue()
    assert len(reads) == 1
    assert first == second == read
    assert list(second.names()) == list(read.names())
    for name, _ in read.names():
        assert second.match(name) == read.match(name)
        assert second.find(f"x.{name}") == read.find(f"x.{name}")
    assert [path.stat().st_mode & 0o777 for path in folder.iterdir()] == [0o600]


def test_a_changed_file_is_read_again(folder: Path, reads: list[object], tmp_path: Path) -> None:
    """An operator's folder counts by what its files say, not by when they were written."""
    own = tmp_path / "own" / "chat-webhook"
    own.mkdir(parents=True)
    before = None
    for each in range(KEPT + 2):
        for old in own.iterdir():
            old.unlink()
        (own / f"mine{each}.yaml").write_text(SERVICE.format(id=f"mine{each}"))
        now = kept_catalogue([tmp_path / "own"])
        assert now != before
        assert f"mine{each}" in now.services
        before = now
    assert len(reads) == KEPT + 2
    assert len(list(folder.iterdir())) == KEPT


@pytest.mark.parametrize("mode", [0o770, 0o707])
def test_a_folder_that_others_write_is_not_used(folder: Path, reads: list[object], mode: int) -> None:
    """Who can write there could switch off detection."""
    folder.mkdir()
    folder.chmod(mode)
    kept_catalogue()
    kept_catalogue()
    assert len(reads) == 2
    assert not list(folder.iterdir())


def test_without_a_folder_the_files_are_read(reads: list[object], monkeypatch: pytest.MonkeyPatch) -> None:
    """A home that is not there is no reason to fail."""
    monkeypatch.setenv("XDG_CACHE_HOME", "/dev/null")
    assert kept_catalogue() == load_catalogue()
    assert len(reads) == 1


def test_what_is_not_a_catalogue_is_not_believed(folder: Path, reads: list[object]) -> None:
    """A torn file, another class and a link are each as good as nothing, and replaced or left alone."""
    kept_catalogue()
    (path,) = folder.iterdir()
    whole = path.read_bytes()
    other = pickle.dumps(OrderedDict(a=1))
    for bad in (b"", whole[:-1], hashlib.blake2b(other, digest_size=DIGEST_BYTES).digest() + other):
        path.write_bytes(bad)
        assert kept_catalogue().services
        assert path.read_bytes() == whole
    elsewhere = folder.parent / "elsewhere"
    path.rename(elsewhere)
    path.symlink_to(elsewhere)
    reads.clear()
    assert kept_catalogue().services
    assert len(reads) == 1
