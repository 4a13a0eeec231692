"""Which files a source means."""

from pathlib import Path

from dnswatch.io.discover import log_files


def test_a_path_is_taken_as_it_is(tmp_path: Path) -> None:
    """Also when the file does not exist yet."""
    assert log_files(str(tmp_path / "query.log")) == [tmp_path / "query.log"]


def test_a_pattern_leaves_the_past_out(tmp_path: Path) -> None:
    """Rotated siblings of a log that matches, compressed files and directories are not logs to follow."""
    names = ["a.log", "a.log.1", "a.log.2.gz", "a.log-20261122", "b.log", "c.log.xz", "d.log.1"]
    for name in names:
        (tmp_path / name).write_text("")
    (tmp_path / "e.log").mkdir()
    assert [path.name for path in log_files(f"{tmp_path}/*.log*")] == ["a.log", "b.log", "d.log.1"]
    assert log_files(f"{tmp_path}/none*") == []
