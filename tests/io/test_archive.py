"""Archives are opened by content, damaged ones as far as they go; directories and patterns become ordered families."""

import bz2
import gzip
import io
import lzma
import os
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from dnswatch.io.archive import LogStream, discover, open_log

DATA = b"".join(b"line %06d\n" % number for number in range(50_000))
zstd = zstandard.ZstdCompressor(write_checksum=True).compress  # as the zstd command does
PACKERS: list[Callable[[bytes], bytes]] = [bytes, gzip.compress, lzma.compress, zstd, bz2.compress]


def read(stream: LogStream, size: int = 100_000) -> bytes:
    view = memoryview(bytearray(size))
    data = b""
    while count := stream.readinto(view):
        data += view[:count]
    return data


@pytest.mark.parametrize("pack", PACKERS)
@pytest.mark.parametrize("data", [DATA, b"short\n"])
def test_unpacks_by_content(tmp_path: Path, pack: Callable[[bytes], bytes], data: bytes) -> None:
    """Whatever the file is called; several members one after the other are one stream."""
    path = tmp_path / "anything"
    path.write_bytes(pack(data) + pack(b"more\n"))
    stream = open_log(path)
    assert read(stream) == data + b"more\n"
    assert stream.problem == ""
    assert stream.raw_bytes == path.stat().st_size
    stream.close()


@pytest.mark.parametrize("pack", PACKERS[1:])
def test_a_truncated_archive_gives_what_is_there(pack: Callable[[bytes], bytes]) -> None:
    """The download broke off: the beginning is read, and the stream says so."""
    noise = os.urandom(3000).hex().encode()  # does not pack well, so that half of it is there early
    data = b"".join(noise[i : i + 50] + b"\n" for i in range(0, 6000, 50)) * 20
    packed = pack(data)
    stream = LogStream(io.BytesIO(packed[:-20]))
    got = read(stream)
    assert data.startswith(got)
    assert "ends early" in stream.problem


@pytest.mark.parametrize("pack", PACKERS[1:])
def test_a_damaged_archive_says_where(pack: Callable[[bytes], bytes]) -> None:
    """Bytes in the middle are wrong: no exception, a problem with its place."""
    packed = bytearray(pack(os.urandom(200_000).hex().encode()))
    packed[len(packed) // 2 : len(packed) // 2 + 40] = b"\xff" * 40
    stream = LogStream(io.BytesIO(bytes(packed)))
    read(stream)
    assert "damaged near byte" in stream.problem or "ends early" in stream.problem


def test_skip_passes_over_bytes() -> None:
    """As a seek, for streams."""
    stream = LogStream(io.BytesIO(gzip.compress(DATA)))
    assert stream.skip(len(DATA) - 12) == len(DATA) - 12
    assert read(stream) == DATA[-12:]
    assert stream.skip(5) == 0


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    for name in ("query.log", "query.log.1", "query.log.2.gz", "query.log.10.gz", "dnsmasq.log", ".hidden"):
        (tmp_path / name).write_text(name)
    (tmp_path / "below").mkdir()
    return tmp_path


def test_a_directory_becomes_families_in_time_order(logs: Path) -> None:
    """One family per log, its files oldest first; hidden files and empty directories are left alone."""
    found = discover([str(logs)])
    assert {Path(family.name).name: [file.name for file in family.files] for family in found.families} == {
        "dnsmasq.log": ["dnsmasq.log"],
        "query.log": ["query.log.10.gz", "query.log.2.gz", "query.log.1", "query.log"],
    }
    assert not found.skipped


def test_directories_below_are_searched_family_by_family(logs: Path) -> None:
    """Each directory has its own families; what is left out is told, and nothing leads round in circles."""
    deep = logs / "below" / "/".join("abcdefghi")
    for directory in (logs / "below" / "ns1", logs / ".git", deep):
        directory.mkdir(parents=True)
        (directory / "query.log").write_text("x")
        (directory / "query.log.1").write_text("x")
    (logs / "below" / "up").symlink_to(logs)
    (logs / "below" / "round").symlink_to("round")
    found = discover([str(logs)])
    assert [str(Path(family.name).relative_to(logs)) for family in found.families] == [
        "below/ns1/query.log", "dnsmasq.log", "query.log",
    ]  # fmt: skip
    assert len(found.families[0].files) == 2
    assert {Path(path).name: why.partition(";")[0] for path, why in found.skipped} == {
        ".git": "a hidden directory", "up": "a link to a directory", "h": "more than 8 directories deep",
        "round": "Too many levels of symbolic links",
    }  # fmt: skip
    assert discover([str(logs / "below" / "n*")]).families[0] == found.families[0]


def test_a_file_is_that_file_and_its_siblings_are_mentioned(logs: Path) -> None:
    """Who names one file gets one file; the others are told, or taken where that is asked for."""
    path = str(logs / "query.log")
    found = discover([path])
    assert [file.name for family in found.families for file in family.files] == ["query.log"]
    assert len(found.beside) == 3
    everything = discover([path], with_siblings=True)
    assert len(everything.families[0].files) == 4
    assert not everything.beside


def test_patterns_and_doubles(logs: Path) -> None:
    """A pattern is expanded; a file named twice, or under a second name, is read once."""
    (logs / "link.log").symlink_to(logs / "query.log")
    found = discover([str(logs / "query*"), str(logs / "query.log"), str(logs / "link.log")])
    assert sum(len(family.files) for family in found.families) == 4
    assert [why for _, why in found.skipped] == ["the same file under another name"]


def test_what_is_not_there_is_told(tmp_path: Path) -> None:
    """A missing path, a pattern without a match, a dead link."""
    (tmp_path / "dead").symlink_to(tmp_path / "nowhere")
    found = discover([str(tmp_path / "none"), str(tmp_path / "*.log"), str(tmp_path)])
    assert not found.families
    assert [why for _, why in found.skipped] == [
        "no such file or directory", "no file matches", "No such file or directory",
    ]  # fmt: skip
