"""Several documents → one tree whose every value still knows the file and line that said it.

Mappings merge, lists concatenate, a single value of a later file wins, a key without a value counts as not written.
Never: judges values. Read next: ``load.py``.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dnswatch.config.yaml import Marked, Step, dotted
from dnswatch.errors import Problem


@dataclass(slots=True)
class Leaf:
    """A value of the merged tree: ``content`` is a dict or list of leaves, or a scalar."""

    content: Any
    document: Marked
    path: tuple[Step, ...]  # in its document


@dataclass(frozen=True, slots=True)
class Tree:
    """The merged documents."""

    root: Leaf | None = None
    documents: tuple[Marked, ...] = ()
    base: Path | None = None  # directory of the main file: origins are written relative to it
    label: str = field(default="configuration")

    @classmethod
    def merge(cls, documents: Sequence[Marked], base: Path | None = None) -> Tree:
        """Merge documents in order; ones that are not mappings are left out (``load.py`` says so)."""
        root: Leaf | None = None
        for document in documents:
            if isinstance(document.data, dict):
                leaf = _grow(document.data, document, ())
                root = leaf if root is None else _merge(root, leaf)
        return cls(root, tuple(documents), base)

    @property
    def data(self) -> Any:
        """The merged tree as plain data."""
        return _plain(self.root) if self.root is not None else {}

    def find(self, path: Sequence[Step]) -> tuple[Leaf | None, int]:
        """Give the leaf at ``path``, or its nearest known ancestor, and how many steps were known."""
        leaf = self.root
        for i, step in enumerate(path):
            below: Leaf | None = None
            if leaf is not None and isinstance(leaf.content, dict) and isinstance(step, str):
                below = leaf.content.get(step)
            elif leaf is not None and isinstance(leaf.content, list) and isinstance(step, int):
                below = leaf.content[step] if 0 <= step < len(leaf.content) else None
            if below is None:
                return leaf, i
            leaf = below
        return leaf, len(path)

    def problem(self, path: Sequence[Step], message: str, *, key: bool = False) -> Problem:
        """Make a `Problem` about the value (or its key) at ``path``."""
        leaf, known = self.find(path)
        if leaf is None:
            return Problem(self.documents[0].file if self.documents else self.label, 0, 0, dotted(path), message)
        if not path or (leaf is self.root and not known):
            return Problem(self.documents[0].file, 0, 0, dotted(path), message)
        mark = leaf.document.mark(leaf.path, key=key and known == len(path))
        # The path within its own file, so that sinks[0] is the first sink that a reader of that file sees.
        return Problem(leaf.document.file, mark.line, mark.column, dotted((*leaf.path, *path[known:])), message)

    def origin(self, path: Sequence[Step]) -> str:
        """Say where the value at ``path`` was written, as ``conf.d/10-ci.yaml:4``; "" when nowhere."""
        leaf, known = self.find(path)
        if leaf is None or known < len(path):
            return ""
        name = leaf.document.file
        if self.base is not None and name.startswith(f"{self.base}{os.sep}"):
            name = name[len(str(self.base)) + 1 :]
        return f"{name}:{leaf.document.mark(leaf.path).line}"


def _grow(data: Any, document: Marked, path: tuple[Step, ...]) -> Leaf:
    if isinstance(data, dict):
        content: Any = {k: _grow(v, document, (*path, k)) for k, v in data.items() if v is not None}
    elif isinstance(data, list):
        content = [_grow(v, document, (*path, i)) for i, v in enumerate(data)]
    else:
        content = data
    return Leaf(content, document, path)


def _merge(first: Leaf, then: Leaf) -> Leaf:
    if isinstance(first.content, dict) and isinstance(then.content, dict):
        merged = dict(first.content)
        for key, leaf in then.content.items():
            merged[key] = _merge(merged[key], leaf) if key in merged else leaf
        return Leaf(merged, first.document, first.path)
    if isinstance(first.content, list) and isinstance(then.content, list):
        return Leaf(first.content + then.content, first.document, first.path)
    return then


def _plain(leaf: Leaf) -> Any:
    if isinstance(leaf.content, dict):
        return {key: _plain(value) for key, value in leaf.content.items()}
    if isinstance(leaf.content, list):
        return [_plain(value) for value in leaf.content]
    return leaf.content
