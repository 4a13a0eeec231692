"""What the operator decided, as one immutable value that engine, feeds and explain share.

Never: reads configuration (``config/`` builds this), keeps state. Read next: ``core/detect/engine.py``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import tzinfo
from typing import Any, Literal, NamedTuple

from dnswatch.core.catalog import Catalog
from dnswatch.core.clients.expectations import Expectations
from dnswatch.core.clients.groups import Groups
from dnswatch.core.model import Decision, Match, Mode, Name, Severity, Who

DAY_S = 86400.0


class Lane(NamedTuple):
    """How many of one kind may come: so many at once, then so many a second of log time."""

    at_once: int
    per_s: float


STRANGERS = Lane(1_000, 1.0)
"""Two batches of a sink, so that what comes behind them waits for seconds; then 60 a minute: a network of 4 000 that
comes up within an hour, and more than anybody reads."""


@dataclass(frozen=True, slots=True)
class Detection:
    """Settings of the engine."""

    learning_s: float = 14 * DAY_S
    """Log time during which first-seen (group, network), prevalence and companion absence do not count yet."""
    episode_gap_s: float = 7 * DAY_S
    """An episode ends after this much log time without an attempt."""
    strangers: Lane = STRANGERS
    """How many clients that nobody knows may open alerts: mild ones, grave ones, and over TCP each."""
    forwarders: dict[str, frozenset[str]] = field(default_factory=dict)
    """Source id → client addresses that are other resolvers of ours: their lookups are joined with front lookups."""
    points: Mapping[str, int] = field(default_factory=dict)
    """Points of a term that the operator weighs differently from ``core/detect/score.py``."""
    options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Signal → option → value, where the operator departs from the signal's own defaults."""
    zone: tzinfo | None = None
    """Where the people are (option ``timezone`` of the signal ``off-hours``)."""


Override = Literal["never-block", "expected"]
"""What a manual block may be stronger than, when its entry says so in this word."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A name that an operator blocks or allows by hand (``feeds.block``, ``feeds.allow``)."""

    name: Name
    match: Match
    because: str
    audiences: frozenset[str] = frozenset()  # groups and "any"; empty = everybody
    owner: str = ""
    until: float | None = None  # valid before this instant
    override: frozenset[Override] = frozenset()  # of a block
    origin: str = ""

    def holds(self, at: float) -> bool:
        """Say whether the entry has not ended."""
        return self.until is None or at < self.until

    def is_for(self, audience: str) -> bool:
        """Say whether the entry speaks of the audience."""
        return not self.audiences or audience in self.audiences


@dataclass(frozen=True, slots=True)
class Isolation:
    """A client that an operator cuts off (``feeds.quarantine.clients``)."""

    who: Who
    because: str
    owner: str = ""
    until: float | None = None
    origin: str = ""


@dataclass(frozen=True, slots=True)
class Automatic:
    """When dnswatch cuts a client off by itself."""

    severity: Severity = "critical"
    attempts: int = 3  # over TCP: a source address over UDP is anybody's word
    ttl_s: float = DAY_S
    most: int = 20


@dataclass(frozen=True, slots=True)
class Tenants:
    """When single tenants of a service that cannot be blocked as a whole are blocked."""

    severity: Severity = "high"
    facts: int = 2  # further facts that the alert rests on
    ttl_s: float = 7 * DAY_S
    most: int = 200
    clients: int = 3  # a tenant that more clients than this met is in common use


@dataclass(frozen=True, slots=True)
class Limits:
    """How much of a zone leases and decisions may change at once; what an operator orders is not limited."""

    share: float = 0.2
    rules: int = 200


@dataclass(frozen=True, slots=True)
class FeedPolicy:
    """Settings of the published zones."""

    zone: Name = "rpz.dnswatch.internal"
    mode: Mode = "shadow"
    action: str = "nxdomain"  # nxdomain | nodata | address
    addresses: tuple[str, ...] = ()  # for action ``address``
    grace_s: float = 7 * DAY_S
    """After an expectation ends, the feed allows its clients for this much longer."""
    block: tuple[Entry, ...] = ()
    allow: tuple[Entry, ...] = ()
    collateral: frozenset[str] = frozenset()
    """Services that the operator blocks although that breaks people's use of them, too."""
    quarantine: tuple[Isolation, ...] = ()
    most_quarantined: int = 100
    never_quarantine: tuple[str, ...] = ("127.0.0.1/32", "::1/128")
    """Networks whose members are never cut off: forwarders, resolvers, this host."""
    automatic: Automatic | None = None
    tenants: Tenants | None = None
    limits: Limits = Limits()
    decisions: tuple[Decision, ...] = ()
    """What the engine has decided; each counts only while the setting that it rests on is there."""


@dataclass(frozen=True, slots=True)
class Policy:
    """Catalogue, groups, expectations and settings: everything a judgement depends on but the lines themselves."""

    catalog: Catalog
    groups: Groups
    expectations: Expectations
    detection: Detection = field(default_factory=Detection)
    feeds: FeedPolicy = field(default_factory=FeedPolicy)
