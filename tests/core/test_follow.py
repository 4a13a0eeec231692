"""Rotation decisions as a table: what happened, told from facts."""

from dataclasses import replace

import pytest

from dnswatch.core.logs.follow import (
    Facts,
    Generation,
    decide,
    fingerprint,
    fits,
    newer,
    siblings,
    split_rotation,
    unread,
)
from dnswatch.core.model import Position

SELF, OTHER = (1, 10), (1, 11)


@pytest.mark.parametrize(
    ("facts", "step"),
    [
        (Facts(SELF, SELF, 100, 100, True), "wait"),
        (Facts(SELF, SELF, 150, 100, True), "read"),
        (Facts(SELF, SELF, 50, 100, True), "restart"),  # truncated
        (Facts(SELF, SELF, 150, 100, False), "restart"),  # truncated, and has grown past our offset again
        (Facts(SELF, SELF, 100, 100, False), "restart"),  # … to exactly our offset
        (Facts(None, SELF, 100, 100, True), "wait"),  # renamed, the server has not opened its log yet
        (Facts(None, SELF, 150, 100, True), "read"),  # … and writes on
        (Facts(OTHER, SELF, 150, 100, True), "read"),  # rotated, but not read to its end
        (Facts(OTHER, SELF, 100, 100, True), "next"),  # rotated
        (Facts(OTHER, SELF, 50, 100, True), "restart"),  # copied, truncated, and replaced as well
        (Facts(SELF, SELF, 0, 0, True), "wait"),  # empty
    ],
)
def test_decide(facts: Facts, step: str) -> None:
    """Every combination that servers and logrotate produce."""
    assert decide(facts) == step


def test_a_position_fits_the_content_it_was_taken_in() -> None:
    """Head and tail decide; a shorter file, another head or another tail does not fit; an empty head fits nothing."""
    position = Position("q", "log", 100, 1, 10, fingerprint(b"head"), 4, fingerprint(b"tail"), 4)
    assert fits(position, 100, b"head", b"tail")
    assert fits(position, 5000, b"head", b"tail")
    assert not fits(position, 99, b"head", b"tail")
    assert not fits(position, 100, b"HEAD", b"tail")
    assert not fits(position, 100, b"head", b"TAIL")
    assert not fits(replace(position, head_hash="", head_size=0), 100, b"", b"tail")


def generation(name: str, inode: int, changed: int) -> Generation:
    return Generation(name, 1, inode, 100, changed)


def test_the_next_generation_follows_the_one_held() -> None:
    """By name order behind the file we hold; a file without a name any more is followed by what was written later."""
    files = [generation("log.1", 20, 1000), generation("log.0", 10, 2000), generation("log", 30, 3000)]
    assert newer(files, SELF, 2000) == files[2]
    assert newer(files, (1, 20), 1000) == files[1]
    assert newer(files, (1, 30), 3000) is None, "we hold the newest"
    assert newer(files, (1, 99), 1500) == files[1], "compressed or deleted"
    assert newer(files, (1, 99), 9000) == files[2], "nothing is newer: what the path names"
    assert newer([], (1, 99), 0) is None
    assert newer(files, (1, 99), 2000) == files[1], "filled within one tick of the clock of the file system"
    assert newer(files, (1, 99), 2000, read={(1, 10)}) == files[2], "unless it is known to be read"


def test_what_is_unread_when_ours_is_gone() -> None:
    """The oldest file that was written since and is not known; empty ones tell nothing."""
    files = [generation("log.1", 20, 1000), generation("log.0", 10, 2000), generation("log", 30, 3000)]
    assert unread(files, 1500, ()) == files[1]
    assert unread(files, 1500, {(1, 10)}) == files[2]
    assert unread(files, 3001, ()) is None
    assert unread([files[0]._replace(size=0), files[1]], 500, ()) == files[1]


@pytest.mark.parametrize(
    ("names", "ordered"),
    [
        (["log", "log.0", "log.1", "log.10", "log.2"], ["log.10", "log.2", "log.1", "log.0"]),
        (["log", "log.2.gz", "log.1", "log.3.gz"], ["log.3.gz", "log.2.gz", "log.1"]),
        (["log", "log.1", "log.1.gz"], ["log.1"]),  # being compressed
        (["log-20261122.xz", "log-20261121"], ["log-20261121", "log-20261122.xz"]),
        (["log.20261122191938353", "log.20261122191938001"], ["log.20261122191938001", "log.20261122191938353"]),
        (["log-2026-11-22", "log-2026-11-21_1200", "log-2026-11-21"],
         ["log-2026-11-21", "log-2026-11-21_1200", "log-2026-11-22"]),
        (["log-1795375535.zst", "log-1795275535.zst"], ["log-1795275535.zst", "log-1795375535.zst"]),
        (["log", "log.bak", "log.swp", "other.log.1", "log.1.tmp", "mylog.1"], []),
    ],
)  # fmt: skip
def test_rotated_names(names: list[str], ordered: list[str]) -> None:
    """Numbers (the higher the older), dates, BIND's stamps, epochs; compressed or not; nothing else."""
    assert siblings("log", names) == ordered


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("query.log.3.gz", "query.log"),
        ("query.log-20261122", "query.log"),
        ("query-2026-11-22.log", "query-*.log"),
        ("query.log", "query.log"),
        ("dns1.log", "dns1.log"),
        ("query.log.xz", "query.log"),
    ],
)
def test_the_log_that_a_file_belongs_to(name: str, stem: str) -> None:
    """A rotated file's name leads to its log's."""
    assert split_rotation(name)[0] == stem


def test_a_date_before_the_ending_is_of_the_same_log() -> None:
    """Zeek's rotated files and those of logrotate's ``extension``; another log's, and the log itself, are not."""
    names = ["dns.log", "dns-2026-11-22-20-00-00.log", "dns-2026-11-22-19-00-00.log.gz", "dns-20261121.log",
             "conn-2026-11-22-19-00-00.log", "dns-old.log", "dns.log.1"]  # fmt: skip
    assert siblings("dns.log", names) == [
        "dns-20261121.log", "dns-2026-11-22-19-00-00.log.gz", "dns-2026-11-22-20-00-00.log", "dns.log.1"
    ]  # fmt: skip
