"""Small worlds for tests of feeds: services, groups and expectations in a line each, and random ones."""

from __future__ import annotations

from collections.abc import Iterable

from hypothesis import strategies as st

from dnswatch.core.catalog import Catalog, NeverBlock
from dnswatch.core.clients.expectations import Expectations
from dnswatch.core.clients.groups import Groups
from dnswatch.core.clients.who import parse_who
from dnswatch.core.model import Expectation, Group, Indicator, Match, Mode, Service
from dnswatch.core.policy import FeedPolicy, Policy

AT = 1_795_000_000.0  # 2026-11-18T11:06:40Z
ZONE = "rpz.test.invalid"


def service(name: str, *names: tuple[str, Match], safe: bool = True) -> Service:
    """Make a service whose names are all api ones."""
    indicators = tuple(Indicator(n, match, "api", name, ".".join(n.split(".")[-2:])) for n, match in names)
    return Service(
        id=name, name=name.title(), category="bot-api", profile="core", indicators=indicators,
        companion_effect="none", shared=False, multi_tenant=False, block_safety="safe" if safe else "collateral",
        base_severity="medium", severity_reason="", attack=(), references=(), confidence="high",
    )  # fmt: skip


def policy(
    services: Iterable[Service],
    groups: Iterable[Group] = (),
    expect: Iterable[tuple[str, str] | tuple[str, str, float]] = (),
    never_block: Iterable[NeverBlock] = (),
    mode: Mode = "enforce",
    feeds: FeedPolicy | None = None,
) -> Policy:
    """Bring a world together; ``expect`` holds (who, service) or (who, service, until)."""
    known = {one.id: one for one in services}
    expectations = (
        Expectation((parse_who(entry[0]),), frozenset({entry[1]}), "test", until=entry[2] if len(entry) > 2 else None)
        for entry in expect
    )
    return Policy(
        Catalog(known, frozenset(known), never_block=tuple(never_block)),
        Groups(groups),
        Expectations(expectations),
        feeds=feeds or FeedPolicy(zone=ZONE, mode=mode),
    )


LABELS = st.sampled_from(["a", "b", "c", "ok", "x", "hooks"])
NAMES = st.builds(lambda labels: ".".join([*labels, "base.test"]), st.lists(LABELS, max_size=3))
MATCHES: st.SearchStrategy[Match] = st.sampled_from(["exact", "subdomains", "domain"])


# Worlds whose files are kept as golden files.
_SLACK = service("slack", ("hooks.slack.test", "exact"))
_TUNNEL = service("tunnel", ("tunnel.test", "subdomains"))
_BIN = service("bin", ("bin.test", "domain"))
_AGENT = service("agent", ("agent.tunnel.test", "exact"))
_GROUPS = [Group("build", ("10.0.20.0/24",))]
_GARDEN = FeedPolicy(zone=ZONE, mode="enforce", action="address", addresses=("192.0.2.9", "2001:db8::9"))
MANY = [service(f"s{i:05}", (f"s{i:05}.many.test", ("exact", "subdomains", "domain")[i % 3])) for i in range(6000)]

WORLDS: dict[str, Policy] = {
    "empty": policy([]),
    "one": policy([_SLACK], _GROUPS),
    "wildcard": policy([_TUNNEL, _BIN, _AGENT], _GROUPS, [("group:build", "agent"), ("10.9.0.7", "bin")]),
    "shadow": policy([_SLACK, _BIN], _GROUPS, [("10.9.0.7", "bin")], mode="shadow"),
    "nodata": policy([_SLACK], feeds=FeedPolicy(zone=ZONE, mode="enforce", action="nodata")),
    "garden": policy([_SLACK], feeds=_GARDEN),
}
