"""named.conf: statements, includes, and where query logging goes.

Never: validates (``named-checkconf`` does), reads files other than through a `Tree`. Facts: the BIND 9 reference
manual, statements ``logging``, ``options``, ``include``. Read next: ``findings.py``.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise

from dnswatch.core.host.tree import Tree

MAX_INCLUDES = 5000  # files; a host with one file per zone has hundreds
_TOKEN = re.compile(
    r"""\s+ | //[^\n]* | \#[^\n]* | /\*.*?(?:\*/|\Z) | (?P<text>"(?:\\.|[^"\\])*"?) | (?P<mark>[{};]) """
    r""" | (?P<word>[^\s{};"]+)""",
    re.VERBOSE | re.DOTALL,
)
STAMPS = {"yes": "local", "local": "local", "iso8601": "iso8601", "iso8601-utc": "iso8601-utc",
          "iso8601-tzinfo": "iso8601-tzinfo"}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Statement:
    """``category queries { dnswatch; };``: the words before the block, and the block's own statements."""

    words: tuple[str, ...]
    block: tuple[Statement, ...] = ()

    @property
    def key(self) -> str:
        return self.words[0].lower() if self.words else ""


@dataclass(frozen=True, slots=True)
class Channel:
    """One logging channel: where its lines go and how they look."""

    name: str
    kind: str  # file | syslog | stderr | null
    path: str = ""  # as named sees it, made absolute
    stamp: str = "none"  # none | local | iso8601 | iso8601-utc | iso8601-tzinfo
    severity: str = "info"
    versions: bool = False
    size: bool = False
    buffered: bool = False

    @property
    def zoneless(self) -> bool:
        """Stamps are in the local time of named without saying so (log_formats §5)."""
        return self.stamp in ("local", "iso8601")

    @property
    def drops_info(self) -> bool:
        """Query lines are of severity info; a channel for warnings only never gets one."""
        return self.severity in ("notice", "warning", "error", "critical")


BUILT_IN = {name: Channel(name, kind) for name, kind in
            {"default_syslog": "syslog", "default_debug": "debug", "default_stderr": "stderr", "null": "null",
             "default_logfile": "file"}.items()}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Named:
    """What a named.conf says that matters to us."""

    origin: str  # the main configuration file
    files: tuple[str, ...] = ()  # every file read
    unreadable: tuple[str, ...] = ()  # included files that could not be read
    channels: Mapping[str, Channel] = field(default_factory=dict)
    categories: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    querylog: bool | None = None
    logging_in: str = ""  # file holding the logging statement; "" = there is none
    listens: tuple[tuple[str, int], ...] = ()  # (address or "any", port)
    forwarders: tuple[tuple[str, int], ...] = ()
    taps: tuple[tuple[str, ...], ...] = ()  # what ``dnstap`` sends: ("client",), ("client", "query"), …
    tap_output: tuple[str, str] | None = None  # ("unix", socket) or ("file", path)

    def logged(self, category: str) -> tuple[Channel, ...]:
        """Give the channels that a category goes to, the ``default`` category where it has none of its own."""
        names = self.categories.get(category) or self.categories.get("default") or ("default_syslog",)
        known = {**BUILT_IN, **self.channels}
        return tuple(known[name] for name in names if name in known)

    @property
    def query_logging(self) -> bool:
        """``querylog`` decides; without it, query logging is on when category ``queries`` is mentioned."""
        return self.querylog if self.querylog is not None else "queries" in self.categories


def parse(text: str) -> tuple[Statement, ...]:
    """Read statements; a missing semicolon or brace is tolerated, for named itself is the judge."""
    levels: list[list[Statement]] = [[]]
    pending: list[list[str]] = [[]]
    blocks: list[tuple[Statement, ...]] = [()]
    for token in _TOKEN.finditer(text):
        mark = token["mark"]
        if mark == "{":
            levels.append([])
            pending.append([])
            blocks.append(())
        elif mark == "}" and len(levels) > 1:
            _finish(levels, pending, blocks)
            inner = tuple(levels.pop())
            pending.pop()
            blocks.pop()
            blocks[-1] = inner
        elif mark == ";":
            _finish(levels, pending, blocks)
        elif token["text"] is not None:
            pending[-1].append(token["text"].strip('"'))
        elif token["word"] is not None:
            pending[-1].append(token["word"])
    while levels:
        _finish(levels, pending, blocks)
        inner = tuple(levels.pop())
        pending.pop()
        blocks.pop()
        if levels:
            blocks[-1] = inner
    return inner


def _finish(levels: list[list[Statement]], pending: list[list[str]], blocks: list[tuple[Statement, ...]]) -> None:
    """End the statement under way on the innermost level."""
    if pending[-1] or blocks[-1]:
        levels[-1].append(Statement(tuple(pending[-1]), blocks[-1]))
    pending[-1] = []
    blocks[-1] = ()


def read(tree: Tree, origin: str, chroot: str = "") -> Named | None:
    """Read a named.conf with its includes. Paths inside are seen from ``chroot``. None when it cannot be read."""
    text = tree.text(chroot + origin)
    if text is None:
        return None
    files: list[str] = [chroot + origin]
    missing: list[str] = []
    found = list(_included(tree, parse(text), chroot + origin, chroot, files, missing))
    directory = next((words[1] for _, s in found if s.key == "options" for words in _words(s, "directory")), "")
    draft = _Draft(chroot, directory)
    for where, statement in found:
        draft.take(where, statement)
    return Named(origin=chroot + origin, files=tuple(files), unreadable=tuple(missing), channels=draft.channels,
                 categories=draft.categories, querylog=draft.querylog, logging_in=draft.logging_in,
                 listens=tuple(draft.listens), forwarders=tuple(draft.forwarders), taps=tuple(draft.taps),
                 tap_output=draft.tap_output)  # fmt: skip


def _included(tree: Tree, statements: tuple[Statement, ...], where: str, chroot: str,
              files: list[str], missing: list[str]) -> Iterator[tuple[str, Statement]]:  # fmt: skip
    """Yield (file, statement) with every include replaced by what it names."""
    for statement in statements:
        if statement.key != "include" or len(statement.words) < 2:
            yield where, statement
            continue
        pattern = chroot + posixpath.join(posixpath.dirname(where.removeprefix(chroot)), statement.words[1])
        paths = list(tree.glob(pattern)) if any(c in pattern for c in "*?[") else [pattern]
        for path in paths:
            if path in files:  # a loop, or the same file in two views: once is enough for us
                continue
            if len(files) >= MAX_INCLUDES:
                return
            text = tree.text(path)
            if text is None:
                missing.append(path)
                continue
            files.append(path)
            yield from _included(tree, parse(text), path, chroot, files, missing)


def _words(statement: Statement, key: str) -> Iterator[tuple[str, ...]]:
    return (inner.words for inner in statement.block if inner.key == key and len(inner.words) > 1)


class _Draft:
    """Collects what the statements of all files say; later statements win, as in named."""

    def __init__(self, chroot: str, directory: str) -> None:
        self.chroot, self.directory = chroot, directory
        self.channels: dict[str, Channel] = {}
        self.categories: dict[str, tuple[str, ...]] = {}
        self.querylog: bool | None = None
        self.logging_in = ""
        self.listens: list[tuple[str, int]] = []
        self.forwarders: list[tuple[str, int]] = []
        self.taps: list[tuple[str, ...]] = []
        self.tap_output: tuple[str, str] | None = None

    def take(self, where: str, statement: Statement) -> None:
        if statement.key == "logging":
            self.logging_in = where
            for inner in statement.block:
                if inner.key == "channel" and len(inner.words) > 1:
                    self.channels[inner.words[1]] = self._channel(inner)
                elif inner.key == "category" and len(inner.words) > 1:
                    self.categories[inner.words[1].lower()] = tuple(s.words[0] for s in inner.block if s.words)
        elif statement.key == "options":
            for inner in statement.block:
                self._option(inner)
        elif statement.key == "view":
            self.taps += [s.words for inner in statement.block if inner.key == "dnstap" for s in inner.block]

    def _option(self, option: Statement) -> None:
        if option.key == "querylog" and len(option.words) > 1:
            self.querylog = option.words[1].lower() in ("yes", "true", "1")
        elif option.key in ("listen-on", "listen-on-v6"):
            port = _port(option.words)
            self.listens += [(s.words[0], port) for s in option.block if s.words]
        elif option.key == "forwarders":
            default = _port(option.words)
            self.forwarders += [(s.words[0], _port(s.words, default)) for s in option.block if s.words]
        elif option.key == "dnstap":
            self.taps += [s.words for s in option.block if s.words]
        elif option.key == "dnstap-output" and len(option.words) > 2:
            path = posixpath.join(self.directory or "/", option.words[2])
            self.tap_output = option.words[1].lower(), self.chroot + path

    def _channel(self, channel: Statement) -> Channel:
        kind, path, versions, size = "null", "", False, False
        for inner in channel.block:
            if inner.key in ("file", "syslog", "stderr", "null"):
                kind = inner.key
            if inner.key == "file" and len(inner.words) > 1:
                path = self.chroot + posixpath.join(self.directory or "/", inner.words[1])
                versions, size = "versions" in inner.words, "size" in inner.words
        said = {inner.key: inner.words[1].lower() for inner in channel.block if len(inner.words) > 1}
        stamp = STAMPS.get(said.get("print-time", ""), "none")
        return Channel(name=channel.words[1], kind=kind, path=path, stamp=stamp,
                       severity=said.get("severity", "info"), versions=versions, size=size,
                       buffered=said.get("buffered", "") == "yes")  # fmt: skip


def _port(words: tuple[str, ...], default: int = 53) -> int:
    """Read ``port N`` among a statement's words."""
    for key, value in pairwise(words):
        if key.lower() == "port" and value.isdigit():
            return int(value)
    return default
