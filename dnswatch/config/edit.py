"""Files of ``conf.d`` that commands write: read as plain data, replaced whole and atomically.

Never: edits what a person wrote (the main file, other parts). Who calls this checks the outcome first: `read` and
`load_policy` take the new text as an overlay. Read next: ``cli/expect.py``.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from dnswatch.config.load import CONF_D
from dnswatch.config.yaml import load_marked
from dnswatch.errors import ConfigError

EXPECT_PART = "90-expect.yaml"
"""Where `expect add` and `expect propose --apply` write."""
EXPECT_WRITER = "dnswatch expect"
FEEDS_PART = "90-feeds.yaml"
"""Where `feed block`, `feed allow` and `feed quarantine` write."""
FEEDS_WRITER = "dnswatch feed"


def part(main: Path, name: str) -> Path:
    """Give the path of a part: ``conf.d/NAME`` beside the main file."""
    return main.absolute().parent / CONF_D / name


def read_part(path: Path) -> dict[str, Any]:
    """Read a part as plain data; one that does not exist is empty. Raises `ConfigError` when it is not YAML."""
    try:
        document = load_marked(path)
    except FileNotFoundError:
        return {}
    if document.problems:
        raise ConfigError(document.problems)
    if document.data is None:
        return {}
    if not isinstance(document.data, dict):
        raise ConfigError([document.problem((), "a configuration is a mapping (key: value)")])
    return dict(document.data)


def render_part(data: dict[str, Any], writer: str) -> str:
    """Write a part as text, headed by which command keeps it."""
    head = f"# Kept by `{writer}`, which rewrites this file: comments are lost, entries are not.\n"
    return head + yaml.safe_dump(data, sort_keys=False, allow_unicode=True, width=110)


@contextlib.contextmanager
def only_writer(main: Path) -> Iterator[None]:
    """Hold the only right to change parts, so that two commands at once do not lose each other's change."""
    directory = os.open(main.absolute().parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(directory, fcntl.LOCK_EX)
        yield
    finally:
        os.close(directory)


def write_part(main: Path, path: Path, text: str) -> None:
    """Replace a part atomically; owner, group and mode follow the main file, so that the daemon can read it."""
    like = main.stat()
    if not path.parent.is_dir():
        path.parent.mkdir(mode=0o755)
        _own(path.parent, like)
    file, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(file, "w", encoding="utf-8") as out:
            out.write(text)
            out.flush()
            os.fchmod(out.fileno(), like.st_mode & 0o666)
            _own(Path(temporary), like)
            os.fsync(out.fileno())
        Path(temporary).replace(path)
    finally:
        Path(temporary).unlink(missing_ok=True)  # there only when something failed
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _own(path: Path, like: os.stat_result) -> None:
    """Give a file the main file's owner where we may; as another user than root, ours is the best there is."""
    if os.geteuid() == 0:
        os.chown(path, like.st_uid, like.st_gid)
