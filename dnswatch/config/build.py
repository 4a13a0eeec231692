"""Configuration and catalogue → the `Policy` that engine, feeds and explain share.

Never: keeps state; a reload builds a new one. Read next: ``core/policy.py``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_network
from pathlib import Path
from zoneinfo import ZoneInfo

from dnswatch.config.detection import read_options
from dnswatch.config.kept import kept_catalogue
from dnswatch.config.load import read
from dnswatch.config.merge import Tree
from dnswatch.config.model import (
    DAY_S,
    Addresses,
    AutomaticQuarantine,
    BlockEntry,
    Config,
    NameEntry,
    TenantRules,
)
from dnswatch.config.rules import check_references
from dnswatch.config.values import split_listen
from dnswatch.core.catalog import Catalog
from dnswatch.core.clients.expectations import Expectations
from dnswatch.core.clients.groups import Groups
from dnswatch.core.clients.who import parse_address, parse_who
from dnswatch.core.model import Expectation, Group
from dnswatch.core.policy import (
    Automatic,
    Detection,
    Entry,
    FeedPolicy,
    Isolation,
    Limits,
    Policy,
    Tenants,
)
from dnswatch.errors import ConfigError, Problem


@dataclass(frozen=True, slots=True)
class Loaded:
    """Everything that a start or a reload needs."""

    config: Config
    policy: Policy


def load_policy(path: Path, now: float | None = None, overlay: Mapping[Path, str] | None = None) -> Loaded:
    """Read configuration and catalogue; raise `ConfigError` with the problems of both at once.

    ``now`` and ``overlay`` are those of ``load.py``.
    """
    reading = read(path, now, overlay)
    problems = list(reading.problems)
    try:
        catalog = kept_catalogue(_services_dirs(reading.tree))
    except ConfigError as error:
        raise ConfigError((*problems, *error.problems)) from None
    problems += check_references(reading.tree, reading.tree.data, catalog)
    if reading.config is None or problems:
        order = {document.file: i for i, document in enumerate(reading.tree.documents)}
        raise ConfigError(sorted(problems, key=lambda p: (order.get(p.file, len(order)), p.line, p.column)))
    return Loaded(reading.config, build_policy(reading.config, catalog))


def build_policy(config: Config, catalog: Catalog) -> Policy:
    """Bring configuration and catalogue together; raise `ConfigError` for every reference that leads nowhere."""
    problems: list[Problem] = check_references(
        config.tree, config.model_dump(include={"expect", "watch", "feeds"}), catalog
    )
    if problems:
        raise ConfigError(problems)
    groups = groups_of(config)
    expectations = Expectations(
        Expectation(
            who=tuple(dict.fromkeys(parse_who(text) for text in entry.who)),
            services=frozenset().union(*(catalog.resolve(reference) for reference in entry.services)),
            because=entry.because,
            owner=entry.owner,
            until=entry.until,
            origin=config.origin(("expect", i)),
        )
        for i, entry in enumerate(config.expect)
    )
    return Policy(
        catalog=catalog.select(config.watch.profile, config.watch.include, config.watch.exclude),
        groups=groups,
        expectations=expectations,
        detection=Detection(
            learning_s=config.detect.learning.days * DAY_S,
            episode_gap_s=config.detect.episode_gap,
            strangers=config.detect.unknown_clients.lane,
            forwarders={source.path: frozenset(source.forwarders) for source in config.sources if source.forwarders},
            points=config.detect.points,
            options=read_options(config.detect.signals),
            zone=zone_of(config.detect.signals.get("off-hours", {}).get("timezone", "")),
        ),
        feeds=_feed_policy(config, catalog),
    )


def groups_of(config: Config) -> Groups:
    """Give the client groups."""
    return Groups(
        Group(name, tuple(group.networks), group.role, group.owner) for name, group in config.clients.groups.items()
    )


def zone_of(name: str) -> ZoneInfo | None:
    return ZoneInfo(name) if name else None


def _feed_policy(config: Config, catalog: Catalog) -> FeedPolicy:
    feeds, action, cut_off = config.feeds, config.feeds.action, config.feeds.quarantine
    return FeedPolicy(
        zone=feeds.zone,
        mode=feeds.mode,
        action="address" if isinstance(action, Addresses) else action,
        addresses=(*action.a, *action.aaaa) if isinstance(action, Addresses) else (),
        grace_s=feeds.grace,
        block=_entries(config, "block", feeds.block),
        allow=_entries(config, "allow", feeds.allow),
        collateral=frozenset().union(*(catalog.resolve(reference) for reference in feeds.collateral)),
        quarantine=tuple(
            Isolation(parse_who(who), one.because, one.owner, one.until,
                      config.origin(("feeds", "quarantine", "clients", i)))
            for i, one in enumerate(cut_off.clients) for who in dict.fromkeys(one.who)
        ),
        most_quarantined=cut_off.most,
        never_quarantine=_never_quarantine(config),
        automatic=_automatic(cut_off.automatic),
        tenants=_tenants(feeds.tenants),
        limits=Limits(feeds.limits.share, feeds.limits.rules),
    )  # fmt: skip


def _entries(config: Config, key: str, entries: Sequence[NameEntry]) -> tuple[Entry, ...]:
    return tuple(
        Entry(name, one.match, one.because, frozenset(one.audiences), one.owner, one.until,
              frozenset(one.override) if isinstance(one, BlockEntry) else frozenset(),
              config.origin(("feeds", key, i)))
        for i, one in enumerate(entries) for name in dict.fromkeys(one.names)
    )  # fmt: skip


def _never_quarantine(config: Config) -> tuple[str, ...]:
    """Give who is never cut off: this host, forwarders, resolvers that fetch zones, where we listen, who is named."""
    known = ["127.0.0.1", "::1", *config.feeds.quarantine.never]
    known += [address for source in config.sources for address in source.forwarders]
    if config.dns is not None:
        known += [consumer.address for consumer in config.dns.consumers]
        known += [split_listen(text).host for text in config.dns.listen]
    addresses = [text for text in known if "/" in text or parse_address(text) is not None]
    networks = {str(ip_network(text)) for text in addresses}
    return tuple(sorted(networks - {"0.0.0.0/32", "::/128"}))


def _automatic(settings: AutomaticQuarantine | None) -> Automatic | None:
    if settings is None:
        return None
    return Automatic(settings.min_severity, settings.attempts, settings.ttl, settings.most)


def _tenants(settings: TenantRules | None) -> Tenants | None:
    if settings is None:
        return None
    return Tenants(settings.min_severity, settings.min_facts, settings.ttl, settings.most, settings.clients)


def _services_dirs(tree: Tree) -> tuple[Path, ...]:
    """Find ``watch.services_dir`` even where the rest of the configuration is not legal."""
    leaf, known = tree.find(("watch", "services_dir"))
    if leaf is None or known < 2 or not isinstance(leaf.content, str):
        return ()
    return ((tree.base or Path()) / leaf.content,)
