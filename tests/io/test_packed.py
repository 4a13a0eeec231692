"""Served files on the disk: a reader keeps its version, and only what is whole is served after a restart."""

from __future__ import annotations

import gzip
from pathlib import Path

from dnswatch.core.feeds.publication import Rendered
from dnswatch.io import packed

OLD, NEW = (Rendered("any.zone", b"%s\n" % word * 1000, serial, 1.0) for serial, word in enumerate((b"old", b"new")))


def test_who_began_on_a_version_gets_all_of_it(tmp_path: Path) -> None:
    """A new version has another name; of the old one only the name goes."""
    old = packed.pack(tmp_path, OLD)
    packed.keep(tmp_path, [old])
    with old.path.open("rb") as reader:
        new = packed.pack(tmp_path, NEW)
        packed.keep(tmp_path, [new])
        assert not old.path.exists()
        assert gzip.decompress(reader.read()) == OLD.content
    assert b"".join(packed.content(new)) == NEW.content
    assert packed.load(tmp_path) == (new,)


def test_a_torn_file_is_not_served_after_a_restart(tmp_path: Path) -> None:
    """Nor one that is gone, nor anything without an index."""
    made = [packed.pack(tmp_path, one) for one in (OLD, Rendered("tiny", b"x", 1, 1.0))]
    assert packed.load(tmp_path) == ()
    packed.keep(tmp_path, made)
    assert packed.load(tmp_path) == tuple(made)
    made[0].path.write_bytes(made[0].path.read_bytes()[:-9])
    assert packed.load(tmp_path) == (made[1],)
    made[1].path.unlink()
    assert packed.load(tmp_path) == ()
