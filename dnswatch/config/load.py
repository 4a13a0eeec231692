"""The configuration file and its ``conf.d`` → one `Config`, or every problem at once.

Never: starts anything, needs the catalogue (``build.py`` brings both together; read it next).
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from dnswatch.config.faults import explain
from dnswatch.config.merge import Tree
from dnswatch.config.model import Config
from dnswatch.config.rules import LATER_KEYS, check_rules, warnings
from dnswatch.config.yaml import Marked, load_marked
from dnswatch.errors import ConfigError, Problem

CONF_D = "conf.d"
_SUFFIXES = (".yaml", ".yml", ".json")


@dataclass(frozen=True, slots=True)
class Reading:
    """What was read, legal or not. ``config`` is None when there are problems."""

    tree: Tree
    config: Config | None
    problems: tuple[Problem, ...]


def load(path: Path, now: float | None = None) -> Config:
    """Read a configuration with its ``conf.d/*.yaml``; raise `ConfigError` holding every problem.

    ``now`` decides which expectations have ended (a warning); None asks the clock. Without ``sources`` it is legal too:
    see `Config.require_sources`.
    """
    reading = read(path, now)
    if reading.config is None:
        raise ConfigError(reading.problems)
    return reading.config


def read(path: Path, now: float | None = None, overlay: Mapping[Path, str] | None = None) -> Reading:
    """Read a configuration and collect what is wrong with it; a missing or unreadable file is a problem too.

    ``overlay`` gives text that counts instead of what a file holds, to try a change before it is written.
    """
    path, overlay = path.absolute(), overlay or {}
    documents: list[Marked] = []
    problems: list[Problem] = []
    parts = {file for file in overlay if file.parent == path.parent / CONF_D} | set(_parts(path))
    for file in (path, *sorted(parts)):
        try:
            document = load_marked(overlay[file], str(file)) if file in overlay else load_marked(file)
        except OSError as error:
            problems.append(Problem(str(file), 0, 0, "", _unreadable(error, file == path)))
            continue
        documents.append(document)
        problems += document.problems
        if document.data is not None and not isinstance(document.data, dict):
            problems.append(document.problem((), "a configuration is a mapping (key: value), not a list or a word"))
    tree = Tree.merge(documents, path.parent)
    problems += check_rules(tree)
    config: Config | None = None
    try:
        data = {key: value for key, value in tree.data.items() if key not in LATER_KEYS or key in Config.model_fields}
        config = Config.model_validate(data, context={"base": path.parent})
    except ValidationError as error:
        problems += explain(error, tree)
    if config is None or problems:
        return Reading(tree, None, _in_order(problems, documents))
    config._tree = tree
    config._warnings = _in_order(warnings(config, time.time() if now is None else now), documents)
    return Reading(tree, config, ())


def _parts(path: Path) -> list[Path]:
    """List the files that are merged into the main one (in the order of their names)."""
    directory = path.parent / CONF_D
    try:
        found = [file for file in directory.iterdir() if file.suffix in _SUFFIXES and not file.name.startswith(".")]
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError:
        return [directory]  # reading it as a file fails in the same way, and becomes a problem with its reason
    return found


def _unreadable(error: OSError, main: bool) -> str:
    if isinstance(error, FileNotFoundError) and main:
        return "no such file: `dnswatch init` writes one for this host, --config FILE names another"
    if isinstance(error, PermissionError):
        return "permission denied: run as the user that dnswatch runs as, or let its group read the file"
    return f"cannot be read: {error.strerror}"


def _in_order(problems: list[Problem], documents: list[Marked]) -> tuple[Problem, ...]:
    """Sort by file as merged, line and column; each once."""
    order = {document.file: i for i, document in enumerate(documents)}
    return tuple(sorted(dict.fromkeys(problems), key=lambda p: (order.get(p.file, len(order)), p.line, p.column)))
