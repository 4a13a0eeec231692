"""A server that writes a query log and rotates it, in every way that servers, logrotate and people do.

`Writer` knows what it wrote; each rotation of `ROTATIONS` says where lines may be lost to every reader. Read next:
``test_rotation.py``.
"""

import bz2
import gzip
import lzma
import os
import shutil
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import zstandard

from tests.running import bind_line

CLIENTS = 40
APART_S = 7.0
"""Log time between two attempts: more than the 5 s that make two lookups of one client one attempt."""
PADDING = 2
"""Lines of no interest between two attempts."""


class Writer:
    """Writes as a server does: one O_APPEND write per line. Attempts go round among the clients of a network."""

    def __init__(self, log: Path) -> None:
        self.log = log
        self.lines: list[str] = []
        """Attempts, in the order of writing."""
        self.counts: Counter[str] = Counter()  # attempts by client
        self.fd = -1
        self._at = datetime(2026, 11, 20, tzinfo=UTC).timestamp()

    def open(self) -> None:
        """Open the log by its name, and create it, as a server does when told to."""
        if self.fd >= 0:
            os.close(self.fd)
        self.fd = os.open(self.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)

    def write(self, attempts: int = 10, network: str = "10.0.11", fd: int = -1) -> None:
        """Write attempts, and lines of no interest between them."""
        for _ in range(attempts):
            number = len(self.lines)
            client = f"{network}.{number % CLIENTS + 1}"
            line = bind_line("api.telegram.org", client, self._at + number * APART_S, 1024 + number)
            self.lines.append(line)
            self.counts[client] += 1
            os.write(fd if fd >= 0 else self.fd, line.encode())
            for n in range(PADDING):
                other = bind_line(f"www{number}.example.org", client, self._at + number * APART_S + n, 2048 + number)
                os.write(fd if fd >= 0 else self.fd, other.encode())

    def end(self, client: str) -> None:
        """Write a line that tells whoever waits for it that everything before was read."""
        os.write(self.fd, bind_line("api.telegram.org", client, self._at + len(self.lines) * APART_S).encode())

    def close(self) -> None:
        """Close the log."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


class Rotation:
    """Renamed and created by a server that then writes into the new file: nothing can be lost."""

    pause_s = 0.08
    rounds = 15
    lossy: frozenset[str] = frozenset()
    """Ways to run it in which lines may be lost to every reader; those must be said."""
    window = ""
    """Network whose attempts may be lost at any rotation."""
    late = ""
    """Network whose attempts are written out of order."""

    def begin(self, writer: Writer) -> None:
        """Make what is there before the reader starts."""
        writer.open()

    def rotate(self, writer: Writer) -> None:
        """Rotate once."""
        shift(writer.log, 1)
        writer.log.rename(numbered(writer.log, 1))
        writer.open()

    def end(self, writer: Writer) -> None:
        """Do what is left to do before the last line."""


def numbered(log: Path, number: int, ending: str = "") -> Path:
    """Give the name of a rotated file."""
    return log.with_name(f"{log.name}.{number}{ending}")


def shift(log: Path, first: int, ending: str = "", keep: int = 1000) -> None:
    """Rename ``.k`` to ``.k+1``, the oldest first, as BIND and logrotate do."""
    last = first
    while numbered(log, last, ending).exists():
        last += 1
    for number in range(last - 1, first - 1, -1):
        if number - first + 1 >= keep:
            numbered(log, number, ending).unlink()
        else:
            numbered(log, number, ending).rename(numbered(log, number + 1, ending))


class Drained(Rotation):
    """Renamed, and late writers go on with the old file for a while (dnsmasq's TCP children)."""

    late = "10.0.12"

    def __init__(self) -> None:
        self._old: list[int] = []

    def rotate(self, writer: Writer) -> None:
        self._old.append(os.dup(writer.fd))
        super().rotate(writer)
        writer.write(2)
        for fd in self._old[-4:]:
            writer.write(1, self.late, fd)

    def end(self, writer: Writer) -> None:
        for fd in self._old:
            os.close(fd)


class Copied(Rotation):
    """Copied, then truncated (logrotate copytruncate): what is written in between is in no file."""

    window = "10.0.13"

    def rotate(self, writer: Writer) -> None:
        shift(writer.log, 1)
        shutil.copyfile(writer.log, numbered(writer.log, 1))
        writer.write(1, self.window)
        os.truncate(writer.log, 0)


class Regrown(Rotation):
    """Truncated without a copy, and grown past where it was within one write."""

    lossy = frozenset({"running", "terminated", "killed", "down"})

    def rotate(self, writer: Writer) -> None:
        size = writer.log.stat().st_size
        os.truncate(writer.log, 0)
        lines, network = len(writer.lines), "10.0.11"
        memory = os.memfd_create("regrown")
        while os.fstat(memory).st_size < min(size + 500, 40_000):
            writer.write(1, network, memory)
        assert len(writer.lines) > lines
        os.write(writer.fd, os.pread(memory, 1 << 20, 0))
        os.close(memory)


class Reused(Rotation):
    """Packed and removed at once, so that the new file gets the inode number of the old one."""

    def __init__(self) -> None:
        self.reused = 0

    def rotate(self, writer: Writer) -> None:
        inode = writer.log.stat().st_ino
        shift(writer.log, 1, ".gz")
        writer.close()
        numbered(writer.log, 1, ".gz").write_bytes(gzip.compress(writer.log.read_bytes(), 1))
        writer.log.unlink()
        writer.open()
        self.reused += writer.log.stat().st_ino == inode


class Swapped(Rotation):
    """The log is a symbolic link that is pointed at a new file, with the time in its name (cronolog, multilog)."""

    def begin(self, writer: Writer) -> None:
        self._point(writer)

    def rotate(self, writer: Writer) -> None:
        self._point(writer)

    def name(self) -> str:
        """Give the name of the next file."""
        return f"query-{datetime.now(UTC):%Y%m%dT%H%M%S%f}"[:24] + ".log"

    def _point(self, writer: Writer) -> None:
        target, link = writer.log.with_name(self.name()), writer.log.with_name("link")
        target.touch()
        link.symlink_to(target)
        link.rename(writer.log)
        writer.open()


class SwappedAnywhere(Swapped):
    """The same with names that say nothing: what was named between two looks cannot be found."""

    lossy = frozenset({"running", "terminated", "killed", "down"})

    def __init__(self) -> None:
        self._number = 0

    def name(self) -> str:
        self._number += 1
        return f"file{self._number}"


class Numbered(Rotation):
    """BIND ``versions 1000 size S`` under load: one rotation every 40 ms."""

    pause_s = 0.04
    rounds = 100

    def rotate(self, writer: Writer) -> None:
        shift(writer.log, 0)
        writer.log.rename(numbered(writer.log, 0))
        writer.open()


class Few(Numbered):
    """BIND ``versions 2``: generations are overwritten while nobody reads."""

    rounds = 15
    pause_s = 0.08
    lossy = frozenset({"terminated", "killed", "down"})

    def rotate(self, writer: Writer) -> None:
        shift(writer.log, 0, keep=2)
        writer.log.rename(numbered(writer.log, 0))
        writer.open()


class Stamped(Numbered):
    """BIND ``suffix timestamp``."""

    pause_s = 0.05
    rounds = 40

    def rotate(self, writer: Writer) -> None:
        stamp = f"{datetime.now(UTC):%Y%m%d%H%M%S%f}"[:17]
        writer.log.rename(writer.log.with_name(f"{writer.log.name}.{stamp}"))
        writer.open()
        time.sleep(0.002)


class Unlinked(Rotation):
    """BIND ``versions 0 size S``: removed and created; what was not read is gone."""

    lossy = frozenset({"running", "terminated", "killed", "down"})

    def rotate(self, writer: Writer) -> None:
        writer.log.unlink()
        writer.open()


class Packed(Rotation):
    """Renamed, and compressed at once, without keeping the time of the last write."""

    def __init__(self, ending: str, pack: Callable[[bytes], bytes]) -> None:
        self._ending = ending
        self._pack = pack

    def rotate(self, writer: Writer) -> None:
        shift(writer.log, 1, self._ending)
        plain, packed = numbered(writer.log, 1), numbered(writer.log, 1, self._ending)
        writer.log.rename(plain)
        writer.open()
        writer.write(2)
        data = self._pack(plain.read_bytes())
        packed.write_bytes(data[: len(data) // 2])
        with packed.open("ab") as rest:
            rest.write(data[len(data) // 2 :])
        plain.unlink()


class Removed(Rotation):
    """Removed by hand; the server writes on into the removed file until it opens its log again."""

    lossy = frozenset({"running", "terminated", "killed", "down"})

    def rotate(self, writer: Writer) -> None:
        writer.log.unlink()
        writer.write(2)
        time.sleep(self.pause_s)
        writer.open()


class Late(Rotation):
    """There is no log at first."""

    def begin(self, writer: Writer) -> None:
        pass

    def rotate(self, writer: Writer) -> None:
        if writer.fd < 0:
            writer.open()
        else:
            super().rotate(writer)


class Replaced(Rotation):
    """The directory is moved away and made anew."""

    lossy = frozenset({"terminated", "killed", "down"})
    pause_s = 0.5  # a reader that stalls for as long misses a whole directory, and says so
    rounds = 6

    def __init__(self) -> None:
        self._number = 0

    def rotate(self, writer: Writer) -> None:
        self._number += 1
        folder = writer.log.parent
        folder.rename(folder.with_name(f"old{self._number}"))
        folder.mkdir()
        writer.write(2)
        time.sleep(self.pause_s)
        writer.open()


class Elsewhere(Rotation):
    """logrotate ``olddir``."""

    def rotate(self, writer: Writer) -> None:
        old = writer.log.parent / "old"
        old.mkdir(exist_ok=True)
        shift(old / writer.log.name, 1)
        writer.log.rename(numbered(old / writer.log.name, 1))
        writer.open()


ROTATIONS: dict[str, Callable[[], Rotation]] = {
    "appearing late": Late,
    "bz2": lambda: Packed(".bz2", bz2.compress),
    "copytruncate": Copied,
    "directory replaced": Replaced,
    "gz": lambda: Packed(".gz", gzip.compress),
    "inode reuse": Reused,
    "late writes": Drained,
    "olddir": Elsewhere,
    "removed": Removed,
    "rename": Rotation,
    "suffix timestamp": Stamped,
    "symlink": Swapped,
    "symlink anywhere": SwappedAnywhere,
    "truncate and regrow": Regrown,
    "versions 0": Unlinked,
    "versions 1000": Numbered,
    "versions 2": Few,
    "xz": lambda: Packed(".xz", lzma.compress),
    "zst": lambda: Packed(".zst", zstandard.compress),
}
