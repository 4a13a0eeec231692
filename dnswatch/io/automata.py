"""The automata of long watch lists: compiled in a child process, kept in a folder, loaded the next time.

Hyperscan takes 8 s of CPU for 100 000 names, with the interpreter at a standstill, and 3 ms to load what it made. A
file is named by a hash of all that makes an automaton, so nothing is ever out of date, only unused; what hyperscan does
not take is compiled here instead. Short lists are compiled where they are needed: the catalogue takes 15 ms.

Never: decides what is looked for. Read next: ``core/logs/prescan.py``.
"""

from __future__ import annotations

import hashlib
import os
import pickle
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from dnswatch.config.keeping import DIGEST_BYTES, keep, load
from dnswatch.core.catalog import Catalog
from dnswatch.core.logs.parsers import PARSERS
from dnswatch.core.logs.prescan import compile_database
from dnswatch.core.model import Match, Name
from dnswatch.core.reading import DNSTAP, Scan, build_scan

LARGE = 2_000
"""From so many names on: fewer are compiled in a third of a second."""
KEPT = 8
"""Automata kept in a folder: of four formats, before and after a change."""
MAX_BYTES = 256 << 20
"""Nothing larger is read: 100 000 names make 13 MB."""
PATIENCE_S = 600.0
"""A child that takes longer has gone wrong; a million names take two minutes."""

_BOOT = "import sys; sys.path[:] = sys.argv[1:]; from dnswatch.io.automata import serve; serve()"


def scan_of(kind: str, catalog: Catalog, folder: Path | None) -> Scan:
    """Give what `build_scan` gives, sooner where ``folder`` has its automaton. May take long: not for an event loop."""
    names = sorted(catalog.names())
    if kind == DNSTAP or len(names) < LARGE:
        return build_scan(kind, catalog)
    path = folder / f"automaton-{_key(kind, names)}" if folder is not None else None
    database = load(path, MAX_BYTES) if path is not None else None
    if database is None:
        database = _compiled(kind, names)
        if path is not None and database is not None:
            with suppress(OSError):
                path.parent.mkdir(mode=0o700, exist_ok=True)
                keep(path, database, KEPT)
    scan = build_scan(kind, catalog, database)
    if database is not None and scan.why:  # of another processor, or damaged where no hash can tell
        scan = build_scan(kind, catalog)
    return scan


def serve() -> None:
    """Compile what standard input asks for, and write it to standard output: the child process."""
    kind, names = pickle.load(sys.stdin.buffer)  # noqa: S301  # from our own parent
    sys.stdout.buffer.write(compile_database(names, PARSERS[kind].literals, PARSERS[kind].tails))


def _compiled(kind: str, names: Sequence[tuple[Name, Match]]) -> bytes | None:
    """Compile in a child; None where that does not work, and `build_scan` is to say why."""
    with tempfile.TemporaryFile() as told:
        pickle.dump((kind, names), told)
        told.seek(0)
        try:
            done = subprocess.run(
                [sys.executable, "-c", _BOOT, *sys.path], stdin=told, stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL, timeout=PATIENCE_S, check=True,
            )  # fmt: skip
        except (OSError, subprocess.SubprocessError):
            return None
    return done.stdout or None


def _key(kind: str, names: Sequence[tuple[Name, Match]]) -> str:
    """Hash what makes an automaton."""
    import hyperscan

    digest = hashlib.blake2b(digest_size=DIGEST_BYTES)
    digest.update(repr((sys.version, os.uname().machine, getattr(hyperscan, "__version__", ""))).encode())
    digest.update(Path(sys.modules[compile_database.__module__].__file__ or "").read_bytes())
    digest.update(repr((PARSERS[kind].literals, PARSERS[kind].tails, names)).encode())
    return digest.hexdigest()
