"""The configuration as values: every key an operator can write, its default, and what is legal for it alone.

The keys are a contract (README, examples, packages). Never: reads files, looks at two places at once: what only shows
across values (a prefix in two groups, an unknown service) is ``rules.py``. One file per section of the configuration.
Read next: ``fields.py``, ``../load.py``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, PrivateAttr

from dnswatch.config.merge import Tree
from dnswatch.config.model.clients import Clients, Expect, LeaseFile
from dnswatch.config.model.detect import Detect, Watch
from dnswatch.config.model.feeds import (
    Addresses,
    AutomaticQuarantine,
    BlockEntry,
    Canary,
    Feeds,
    FileReader,
    NameEntry,
    TenantRules,
)
from dnswatch.config.model.fields import DAY_S, File, Section
from dnswatch.config.model.servers import Consumer, Dns, DnsKey, Http
from dnswatch.config.model.sinks import (
    DOCUMENTATION_PEN,
    FACILITIES,
    AlertFormat,
    FileSink,
    Sink,
    SplunkHecSink,
    StdoutSink,
    SyslogSink,
    WebhookSink,
)
from dnswatch.config.model.sources import Journal, Source
from dnswatch.config.yaml import Step
from dnswatch.errors import ConfigError, Problem

__all__ = [
    "DAY_S",
    "DOCUMENTATION_PEN",
    "FACILITIES",
    "Addresses",
    "AlertFormat",
    "AutomaticQuarantine",
    "BlockEntry",
    "Canary",
    "Config",
    "Consumer",
    "Dns",
    "DnsKey",
    "Expect",
    "Feeds",
    "FileReader",
    "FileSink",
    "Journal",
    "LeaseFile",
    "NameEntry",
    "Sink",
    "Source",
    "SplunkHecSink",
    "StdoutSink",
    "SyslogSink",
    "TenantRules",
    "WebhookSink",
]


class Config(Section):
    """The whole configuration. Everything but ``sources`` has a safe default."""

    state_dir: File = Path("/var/lib/dnswatch")
    sensor: Annotated[str, Field(max_length=255, pattern=r"^[!-~]*$")] = Field(
        default="", description="Name of this sensor in alerts; default: the host's name."
    )
    lang: Literal["en", "ru"] = Field(default="en", description="Language of triage texts.")
    sources: list[Source] = []
    clients: Clients = Clients()
    expect: list[Expect] = []
    watch: Watch = Watch()
    detect: Detect = Detect()
    sinks: list[Sink] = []
    feeds: Feeds = Feeds()
    dns: Dns | None = None
    http: Http = Http()

    _tree: Tree = PrivateAttr(default_factory=Tree)
    _warnings: tuple[Problem, ...] = PrivateAttr(default=())

    @property
    def warnings(self) -> tuple[Problem, ...]:
        """What is legal but probably not meant: ended expectations, the documentation enterprise number …"""
        return self._warnings

    @property
    def files(self) -> tuple[Path, ...]:
        """The files that this configuration was read from, the main one first; empty for the defaults."""
        return tuple(Path(document.file) for document in self._tree.documents)

    @property
    def tree(self) -> Tree:
        """The merged documents: which file said what."""
        return self._tree

    @property
    def feeds_directory(self) -> Path:
        """Where feeds are written."""
        return self.feeds.directory or self.state_dir / "feeds"

    def problem(self, path: tuple[Step, ...], message: str, *, key: bool = False) -> Problem:
        """Make a `Problem` about the value (or key) at ``path``, with the file and line that say it."""
        return self._tree.problem(path, message, key=key)

    def origin(self, path: tuple[Step, ...]) -> str:
        """Say where the value at ``path`` was written, as ``conf.d/10-ci.yaml:4``; "" for a default."""
        return self._tree.origin(path)

    def require_sources(self) -> None:
        """Raise `ConfigError` when there is nothing to follow: only `run` needs that."""
        if not self.sources:
            example = "sources: [{type: bind, path: /var/log/named/query.log}]"
            raise ConfigError([self.problem((), f"no sources: name a query log, e.g. {example}")])
