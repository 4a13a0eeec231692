"""YAML (and so JSON) text → plain data in which every value and key still knows its line and column.

Never: knows what the keys mean, builds Python objects from tags, repairs. Scalars follow the YAML 1.2 core schema, not
PyYAML's 1.1: a MAC address stays text instead of a sexagesimal integer, ``on``, ``off``, ``yes`` and ``no`` stay words,
``017`` is seventeen, a date stays text. Duplicate keys are problems (PyYAML silently keeps the last one).
Read next: ``config/load.py``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from yaml.resolver import BaseResolver

from dnswatch.errors import Problem

Step = str | int
"""One step into a document: a key or a list index."""

MAX_NODES = 200_000
"""Values a document may expand to. A whole catalogue in one file is about 15,000; nested aliases ("billion laughs")
reach billions within a kilobyte."""

MAX_DEPTH = 64
"""Levels of nesting; the deepest thing we read has eight."""

_STR, _INT, _FLOAT, _BOOL, _NULL = (f"tag:yaml.org,2002:{tag}" for tag in ("str", "int", "float", "bool", "null"))
_MAP, _SEQ = "tag:yaml.org,2002:map", "tag:yaml.org,2002:seq"


class _CoreResolver(BaseResolver):
    """Implicit tags of the YAML 1.2 core schema (YAML 1.2.2 §10.3.2) and nothing else."""


for _tag, _pattern, _first in (
    (_BOOL, r"(?:true|True|TRUE|false|False|FALSE)\Z", "tTfF"),
    (_NULL, r"(?:~|null|Null|NULL|)\Z", ["~", "n", "N", ""]),
    (_INT, r"(?:[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+)\Z", "-+0123456789"),
    (_FLOAT, r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?\Z", "-+.0123456789"),
    (_FLOAT, r"(?:[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))\Z", "-+."),
):  # fmt: skip
    _CoreResolver.add_implicit_resolver(_tag, re.compile(_pattern), list(_first))


if yaml.__with_libyaml__:
    from yaml.cyaml import CParser  # type: ignore[attr-defined]

    class _Composer(CParser, _CoreResolver):
        """libyaml's parser: about ten times as fast as the Python one, with the same marks."""

        def __init__(self, text: str) -> None:
            CParser.__init__(self, text)
            _CoreResolver.__init__(self)

        def dispose(self) -> None:
            """Nothing to release: the parser goes with its object."""
else:
    from yaml.composer import Composer
    from yaml.parser import Parser
    from yaml.reader import Reader
    from yaml.scanner import Scanner

    class _Composer(Reader, Scanner, Parser, Composer, _CoreResolver):  # type: ignore[no-redef]
        """PyYAML's own parser, where there is no libyaml."""

        def __init__(self, text: str) -> None:
            Reader.__init__(self, text)
            Scanner.__init__(self)
            Parser.__init__(self)
            Composer.__init__(self)
            _CoreResolver.__init__(self)


@dataclass(frozen=True, slots=True)
class Mark:
    """Where a value stands; both numbers begin at 1, 0 means the file as a whole."""

    line: int = 0
    column: int = 0


@dataclass(frozen=True, slots=True)
class Marked:
    """A document: its plain data, its problems, and the way back from a path to a place in the text."""

    file: str
    data: Any  # dict (keys are always text), list, str, int, float, bool, None
    problems: tuple[Problem, ...]
    root: Node | None

    def mark(self, path: Sequence[Step], *, key: bool = False) -> Mark:
        """Say where the value at ``path`` (with ``key``: its key) stands; its nearest known ancestor if absent."""
        node = found = self.root
        for i, step in enumerate(path):
            name: Node | None = None
            if isinstance(node, MappingNode):
                pair = next((p for p in node.value if isinstance(p[0], ScalarNode) and p[0].value == step), None)
                name, node = pair or (None, None)
            elif isinstance(node, SequenceNode) and isinstance(step, int) and 0 <= step < len(node.value):
                node = node.value[step]
            else:
                node = None
            if node is None:
                break
            found = name if key and name is not None and i == len(path) - 1 else node
        return Mark(found.start_mark.line + 1, found.start_mark.column + 1) if found is not None else Mark()

    def problem(self, path: Sequence[Step], message: str, *, key: bool = False) -> Problem:
        """Make a `Problem` about the value (or the key) at ``path``."""
        mark = self.mark(path, key=key)
        return Problem(self.file, mark.line, mark.column, dotted(path), message)


def dotted(path: Sequence[Step]) -> str:
    """Write a path as people do: ``sinks[0].format``."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text


def load_marked(source: Path | str | bytes, name: str = "") -> Marked:
    """Read a YAML or JSON document from a file (`Path`) or from its text; ``name`` replaces the file name in messages.

    Faults of the text become ``problems``; an empty document is ``None``. Only an unreadable file raises (`OSError`).
    """
    file = name or (str(source) if isinstance(source, Path) else "<text>")
    raw = source.read_bytes() if isinstance(source, Path) else source
    if isinstance(raw, str):
        text = raw
    else:
        try:
            text = raw.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            line = raw.count(b"\n", 0, error.start) + 1
            column = error.start - raw.rfind(b"\n", 0, error.start)
            message = f"not UTF-8 text (byte 0x{raw[error.start]:02x})"
            return Marked(file, None, (Problem(file, line, column, "", message),), None)
    try:
        composer = _Composer(text)
        try:
            root = composer.get_single_node()
        finally:
            composer.dispose()
    except yaml.YAMLError as error:
        if text.lstrip()[:1] in ("{", "["):
            # JSON is YAML but for a few escapes (surrogate pairs) that libyaml refuses.
            try:
                return Marked(file, json.loads(text), (), None)
            except ValueError:
                pass
        return Marked(file, None, (_syntax(file, text, error),), None)
    except RecursionError:
        return Marked(file, None, (Problem(file, 0, 0, "", "nested too deeply to be a configuration"),), None)
    if root is None:
        return Marked(file, None, (), None)
    reader = _Reader(file)
    data = reader.value(root, ())
    return Marked(file, data, tuple(reader.problems), root)


def _syntax(file: str, text: str, error: yaml.YAMLError) -> Problem:
    """Turn the parser's complaint into a problem with a place."""
    if isinstance(error, yaml.MarkedYAMLError):
        mark = error.problem_mark or error.context_mark
        message = error.problem or "not YAML"
        rest = text.split("\n")[mark.line][mark.column :] if mark is not None and mark.line <= text.count("\n") else ""
        if rest.startswith("\t"):
            message = "a tab cannot indent YAML: use spaces"
        elif message == "found unexpected ':'":
            message = "found unexpected ':': quote an address that ends in ':'"
        elif "another document" in message or "single document" in str(error.context):
            message = "more than one YAML document in this file: remove the extra '---'"
        elif error.context:
            message = f"{message} ({error.context})"
        if mark is not None:
            return Problem(file, mark.line + 1, mark.column + 1, "", message)
        return Problem(file, 0, 0, "", message)
    return Problem(file, 0, 0, "", f"not YAML: {' '.join(str(error).split())}")


class _Reader:
    """Turns composed nodes into plain data and collects what is wrong with them."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.problems: list[Problem] = []
        self.count = 0
        self.open: set[int] = set()  # containers we are inside of: an alias to one of them is endless

    def complain(self, node: Node, path: tuple[Step, ...], message: str) -> None:
        mark = node.start_mark
        self.problems.append(Problem(self.file, mark.line + 1, mark.column + 1, dotted(path), message))

    def value(self, node: Node, path: tuple[Step, ...]) -> Any:
        """Give the plain data of a node; ``path`` is for messages only."""
        self.count += 1
        if self.count > MAX_NODES:
            if self.count == MAX_NODES + 1:
                self.complain(node, (), f"more than {MAX_NODES} values: nested aliases?")
            return None
        if isinstance(node, ScalarNode):
            return self.scalar(node, path)
        if id(node) in self.open:
            self.complain(node, path, "an alias points at a value that contains it")
            return None
        if len(self.open) >= MAX_DEPTH:
            self.complain(node, (), f"nested more than {MAX_DEPTH} levels deep")
            return None
        self.open.add(id(node))
        data: Any = self.mapping(node, path) if isinstance(node, MappingNode) else self.sequence(node, path)
        self.open.remove(id(node))
        return data

    def scalar(self, node: ScalarNode, path: tuple[Step, ...]) -> Any:
        tag, text = node.tag, node.value
        if tag == _STR:
            return text
        if tag == _INT and len(text) < 400:  # beyond that Python refuses to convert, and nobody counts that far
            return int(text, 0) if text[1:2] in ("o", "x") else int(text)
        if tag == _BOOL and text.lower() in ("true", "false"):
            return text.lower() == "true"
        if tag == _NULL:
            return None
        if tag in (_FLOAT, _INT):
            try:
                return float(re.sub(r"\.(?=inf|nan)", "", text.lower()))
            except ValueError:
                pass
        self.complain(node, path, f"unknown tag {_short(tag)}: tags are not used here")
        return text

    def sequence(self, node: Node, path: tuple[Step, ...]) -> list[Any]:
        if node.tag != _SEQ:
            self.complain(node, path, f"unknown tag {_short(node.tag)}: tags are not used here")
        return [self.value(child, (*path, i)) for i, child in enumerate(node.value)]

    def mapping(self, node: Node, path: tuple[Step, ...]) -> dict[str, Any]:
        if node.tag != _MAP:
            self.complain(node, path, f"unknown tag {_short(node.tag)}: tags are not used here")
        data: dict[str, Any] = {}
        first: dict[str, int] = {}
        for name, child in node.value:
            if not isinstance(name, ScalarNode):
                self.complain(name, path, "a key must be a word, not a list or mapping")
                continue
            key = name.value
            if key == "<<" and not name.style:
                self.complain(name, path, "merge keys (<<) are not supported: write the keys out")
            elif key in data:
                self.complain(name, (*path, key), f"duplicate key {key!r} (first on line {first[key]})")
            else:
                first[key] = name.start_mark.line + 1
                data[key] = self.value(child, (*path, key))
        return data


def _short(tag: str) -> str:
    return repr(tag.replace("tag:yaml.org,2002:", "!!"))
