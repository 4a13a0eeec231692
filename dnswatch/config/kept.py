"""The catalogue as it was compiled the last time: reading 168 files of YAML takes 0.10 s, reading this 0.01 s.

Kept in the user's cache folder under a name that is a hash of everything that makes a catalogue: each file of it, the
public suffix list, the modules that read them, the version of Python. So nothing is ever out of date, only unused.
A folder that is not there and cannot be made, is not ours, or lets others write is not used: then the files are read.

Never: keeps a catalogue with faults, or builds anything but the values named in `KNOWN` from what it reads (a plain
pickle could be told to run programs). Read next: ``catalogue.py``.
"""

from __future__ import annotations

import hashlib
import importlib.util
import io
import os
import pickle
import sys
import sysconfig
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from dnswatch.config.data import data_path
from dnswatch.config.keeping import DIGEST_BYTES, is_ours, keep, load
from dnswatch.core.catalog import Catalog

KNOWN = frozenset((
    ("dnswatch.core.catalog.catalog", "Catalog"),
    ("dnswatch.core.catalog.catalog", "NeverBlock"),
    ("dnswatch.core.catalog.index", "Index"),
    ("dnswatch.core.model", "Indicator"),
    ("dnswatch.core.model", "Service"),
))  # fmt: skip
"""Classes that a catalogue is made of; containers and text need no name."""
MAKERS = ("dnswatch/core/model.py", "dnswatch/core/names.py", "dnswatch/core/catalog", "dnswatch/config")
"""Code that decides what becomes of a file."""
KEPT = 4
"""Catalogues kept: two configurations, before and after a change."""
MAX_BYTES = 64 << 20
"""Not even an operator's list of 100,000 names makes a file of this size; nothing larger is read."""


def kept_catalogue(extra_dirs: Sequence[Path] = ()) -> Catalog:
    """Give what `load_catalogue` gives, sooner where it was asked before. Raises `ConfigError`."""
    folder = cache_folder()
    key = _key(extra_dirs) if folder is not None else None
    if folder is None or key is None:
        return _read(extra_dirs)
    path = folder / f"catalogue-{key}"
    catalog = _load(path)
    if catalog is None:
        catalog = _read(extra_dirs)
        with suppress(OSError):
            keep(path, pickle.dumps(catalog, protocol=5), KEPT)
    return catalog


def _read(extra_dirs: Sequence[Path]) -> Catalog:
    from dnswatch.config.catalogue import load_catalogue  # the parser of YAML is a tenth of a second of its own

    return load_catalogue(extra_dirs)


def cache_folder() -> Path | None:
    """Give the folder to keep things in; None without one that is ours alone to write."""
    named = os.environ.get("XDG_CACHE_HOME", "")
    base = Path(named) if named.startswith("/") else Path(os.path.expanduser("~/.cache"))  # noqa: PTH111
    if not base.is_absolute():
        return None
    folder = base / "dnswatch"
    try:
        if not folder.is_dir():
            if not is_ours(base.stat()):
                return None
            folder.mkdir(mode=0o700)
        return folder if is_ours(folder.lstat()) else None
    except OSError:
        return None


def _key(extra_dirs: Sequence[Path]) -> str | None:
    """Hash what makes the catalogue; None when some of it cannot be read."""
    digest = hashlib.blake2b(digest_size=DIGEST_BYTES)
    digest.update(repr((sys.version, sysconfig.get_platform(), list(map(str, extra_dirs)))).encode())
    try:
        for path in _makers(extra_dirs):
            data = path.read_bytes()
            digest.update(b"%s\0%d\0" % (os.fsencode(path), len(data)))
            digest.update(data)
    except OSError:
        return None
    return digest.hexdigest()


def _makers(extra_dirs: Sequence[Path]) -> Iterator[Path]:
    package = Path(__file__).resolve().parent.parent
    for each in MAKERS:
        found = package.parent / each
        yield from (found,) if found.suffix else sorted(found.glob("*.py"))
    for folder in (data_path("feeds"), *extra_dirs):
        for entry in sorted(folder.iterdir()):
            yield from (path for path in sorted(entry.iterdir()) if path.is_file()) if entry.is_dir() else (entry,)
    suffixes = importlib.util.find_spec("publicsuffixlist")
    if suffixes is None or suffixes.origin is None:
        raise FileNotFoundError("publicsuffixlist")
    yield from (path for path in sorted(Path(suffixes.origin).parent.iterdir()) if path.is_file())


def _load(path: Path) -> Catalog | None:
    """Read what was kept; None if there is nothing, or it is no catalogue."""
    body = load(path, MAX_BYTES)
    if body is None:
        return None
    try:
        catalog = _Unpickler(io.BytesIO(body)).load()
    except pickle.UnpicklingError:  # whole, but with a class that no catalogue has
        return None
    return catalog if isinstance(catalog, Catalog) else None


class _Unpickler(pickle.Unpickler):
    """Knows the classes of a catalogue and no others."""

    def find_class(self, module: str, name: str) -> object:
        if (module, name) not in KNOWN:
            raise pickle.UnpicklingError(f"{module}.{name} is no part of a catalogue")
        return super().find_class(module, name)
