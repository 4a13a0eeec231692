"""What the operator decided, as one immutable value that engine, feeds and explain share.

Never: reads configuration (``config/`` builds this), keeps state. Read next: ``core/detect/engine.py``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import tzinfo
from typing import Any

from dnswatch.core.catalog import Catalog
from dnswatch.core.clients.expectations import Expectations
from dnswatch.core.clients.groups import Groups
from dnswatch.core.model import Mode, Name

DAY_S = 86400.0


@dataclass(frozen=True, slots=True)
class Detection:
    """Settings of the engine."""

    learning_s: float = 14 * DAY_S
    """Log time during which first-seen (group, network), prevalence and companion absence do not count yet."""
    episode_gap_s: float = 7 * DAY_S
    """An episode ends after this much log time without an attempt."""
    forwarders: dict[str, frozenset[str]] = field(default_factory=dict)
    """Source id → client addresses that are other resolvers of ours: their lookups are joined with front lookups."""
    points: Mapping[str, int] = field(default_factory=dict)
    """Points of a term that the operator weighs differently from ``core/detect/score.py``."""
    options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Signal → option → value, where the operator departs from the signal's own defaults."""
    zone: tzinfo | None = None
    """Where the people are (option ``timezone`` of the signal ``off-hours``)."""


@dataclass(frozen=True, slots=True)
class FeedPolicy:
    """Settings of the published zones."""

    zone: Name = "rpz.dnswatch.internal"
    mode: Mode = "shadow"
    action: str = "nxdomain"  # nxdomain | nodata | address
    addresses: tuple[str, ...] = ()  # for action ``address``
    grace_s: float = 7 * DAY_S
    """After an expectation ends, the feed allows its clients for this much longer."""


@dataclass(frozen=True, slots=True)
class Policy:
    """Catalogue, groups, expectations and settings: everything a judgement depends on but the lines themselves."""

    catalog: Catalog
    groups: Groups
    expectations: Expectations
    detection: Detection = field(default_factory=Detection)
    feeds: FeedPolicy = field(default_factory=FeedPolicy)
