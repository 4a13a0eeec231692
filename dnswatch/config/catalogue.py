"""The files of the watch catalogue → a `Catalog`: what ships in ``feeds/``, then the operator's own folders.

A folder holds ``<category>/<service>.yaml`` (or ``<service>.yaml`` that says its category) and, if wanted,
``recon.yaml``, ``doh.yaml`` and ``never-block.yaml``, which add to the shipped lists. A service that is already known
is replaced only by an entry that says ``override: true``.

Never: repairs or skips; every fault of every file is one `Problem`, and all of them are raised together.
Read next: ``core/catalog/schema.py`` for what an entry must say.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from dnswatch.config.data import data_path
from dnswatch.config.suffixes import Suffixes
from dnswatch.config.yaml import Marked, load_marked
from dnswatch.core.catalog import CATEGORIES, Catalog, NeverBlock, schema
from dnswatch.core.catalog.fields import Fault
from dnswatch.core.model import Indicator, Service
from dnswatch.errors import ConfigError, Problem

SUFFIXES = (".yaml", ".yml", ".json")
LISTS = ("recon", "doh", "never-block")
BESIDE = frozenset(("triage",))
"""Folders of ``feeds/`` that hold something else than services."""

MAX_BYTES = 1 << 20
"""Largest file read. The largest shipped one has 5 kB."""


def load_catalogue(extra_dirs: Sequence[Path] = ()) -> Catalog:
    """Read the shipped catalogue and the operator's folders; the core profile is selected.

    Raises `ConfigError` with every problem of every file.
    """
    loader = _Loader()
    loader.folder(data_path("feeds"), shipped=True)
    for folder in extra_dirs:
        loader.folder(folder, shipped=False)
    return loader.catalog()


class _Loader:
    """Collects services, lists and problems over all folders."""

    def __init__(self) -> None:
        self.registrable = Suffixes().registrable
        self.problems: list[Problem] = []
        self.services: dict[str, Service] = {}
        self.marked: dict[str, Marked] = {}  # service id → its document, for faults that show only in the end
        self.recon: list[Indicator] = []
        self.recon_extended: list[Indicator] = []
        self.doh: list[Indicator] = []
        self.never_block: list[NeverBlock] = []

    def folder(self, folder: Path, *, shipped: bool) -> None:
        """Read every file of a catalogue folder, in order of path."""
        try:
            entries = sorted(folder.iterdir())
        except OSError as error:
            self.problems.append(Problem(str(folder), 0, 0, "", f"cannot be read: {error.strerror}"))
            return
        for entry in entries:
            if entry.name.startswith(".") or (shipped and entry.name in BESIDE):
                continue
            if entry.is_dir():
                self.category(entry, shipped)
            elif entry.suffix in SUFFIXES:
                self.file(entry, "", shipped)

    def category(self, folder: Path, shipped: bool) -> None:
        """Read the services in a folder that is named by their category."""
        files = [entry for entry in sorted(folder.iterdir()) if _is_entry(entry)]
        if folder.name in CATEGORIES:
            for path in files:
                self.file(path, folder.name, shipped)
        elif files:
            close = difflib.get_close_matches(folder.name, CATEGORIES, 1)
            hint = f"did you mean {close[0]!r}?" if close else f"one of {', '.join(CATEGORIES)}"
            self.problems.append(Problem(str(folder), 0, 0, "", f"no category has this folder's name ({hint})"))

    def file(self, path: Path, category: str, shipped: bool) -> None:
        """Read one file, a service or a list."""
        origin = f"feeds/{category}/{path.name}".replace("//", "/") if shipped else str(path)
        marked = self.load(path)
        if marked is None:
            return
        if not category and path.stem in LISTS:
            self.note(marked, self.list(path.stem, marked.data, origin))
            return
        source = schema.Source(path.stem, category, origin)
        service, faults = schema.read_service(marked.data, source, self.registrable)
        self.note(marked, faults)
        if service is not None:
            self.add(service, marked)

    def load(self, path: Path) -> Marked | None:
        """Read a document; None, and a problem, when there is no data to look at."""
        try:
            size = path.stat().st_size
            if size > MAX_BYTES:
                message = f"{size} bytes, more than {MAX_BYTES}: one service a file"
                self.problems.append(Problem(str(path), 0, 0, "", message))
                return None
            marked = load_marked(path)
        except OSError as error:
            self.problems.append(Problem(str(path), 0, 0, "", f"cannot be read: {error.strerror}"))
            return None
        self.problems += marked.problems
        if marked.data is None and not marked.problems:
            self.problems.append(Problem(str(path), 0, 0, "", "the file is empty"))
        return None if marked.data is None else marked

    def list(self, kind: str, data: object, origin: str) -> Iterable[Fault]:
        """Add the names of ``recon.yaml``, ``doh.yaml`` or ``never-block.yaml``."""
        if kind == "recon":
            core, extended, faults = schema.read_recon(data, self.registrable)
            self.recon += core
            self.recon_extended += extended
        elif kind == "doh":
            names, faults = schema.read_doh(data, self.registrable)
            self.doh += names
        else:
            entries, faults = schema.read_never_block(data, origin)
            self.never_block += entries
        return faults

    def add(self, service: Service, marked: Marked) -> None:
        """Take a service in, or replace the one it overrides."""
        override = marked.data.get("override") is True
        known = self.services.get(service.id)
        if known is not None and not override:
            message = f"{service.id!r} is already defined by {known.origin}: say `override: true` to replace it"
            self.problems.append(marked.problem(("id",), message))
        elif known is None and override:
            message = f"there is no {service.id!r} to override: {self.hint(service.id)}"
            self.problems.append(marked.problem(("override",), message))
        else:
            self.services[service.id] = service
            self.marked[service.id] = marked

    def hint(self, id_: str) -> str:
        close = difflib.get_close_matches(id_, self.services, 1)
        return f"did you mean {close[0]!r}?" if close else "leave `override` out"

    def note(self, marked: Marked, faults: Iterable[Fault]) -> None:
        """Turn faults into problems that know their place."""
        self.problems += [marked.problem(fault.path, fault.message, key=fault.key) for fault in faults]

    def catalog(self) -> Catalog:
        """Make the catalogue, or raise everything that was wrong."""
        for id_, fault in schema.conflicts(self.services):
            self.note(self.marked[id_], (fault,))
        if self.problems:
            raise ConfigError(sorted(set(self.problems)))
        return Catalog(
            services=dict(sorted(self.services.items())),
            recon=tuple(dict.fromkeys((*self.recon, *self.recon_extended))),
            recon_extended=tuple(dict.fromkeys(_beyond(self.recon_extended, self.recon))),
            doh=tuple(dict.fromkeys(self.doh)),
            never_block=tuple(self.never_block),
        ).select("core")


def _is_entry(path: Path) -> bool:
    return path.suffix in SUFFIXES and not path.name.startswith(".")


def _beyond(extended: Iterable[Indicator], core: Iterable[Indicator]) -> Iterator[Indicator]:
    """Leave out what the operator's own list has already put into core."""
    known = set(core)
    return (indicator for indicator in extended if indicator not in known)
