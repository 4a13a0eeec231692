"""Whom zones are for: the names of audiences, what each is expected to use, and what may be blocked at all.

Never: rules. Read next: ``verdicts.py``.
"""

from __future__ import annotations

from collections.abc import Iterator

from dnswatch.core.catalog import Catalog
from dnswatch.core.model import Indicator, Name, Service
from dnswatch.core.policy import Policy

ANY, EXEMPT, EVERYONE, QUARANTINE = "any", "exempt", "everyone", "quarantine"
"""Audiences that are no group: clients in no group; single exempted clients; outputs that cannot tell clients apart;
clients that are cut off. No group may have these names (``RESERVED_GROUPS``)."""
BY_CLIENT = frozenset({QUARANTINE, EXEMPT})
"""Zones whose triggers are client addresses. Every resolver has both, in this order, before the audience's own zone."""
PROBE = "probe-of-dnswatch"
"""A label that no catalogue entry has: stands for any name below another one."""


def zone_name(policy: Policy, audience: str) -> Name:
    """Name the zone of an audience."""
    return f"{audience}.{policy.feeds.zone}"


def audiences(policy: Policy) -> tuple[str, ...]:
    """Give the audiences that are told apart by name: every group, then `ANY`."""
    return (*(group.name for group in policy.groups.all), ANY)


def enabled(catalog: Catalog) -> Iterator[Service]:
    """Yield the services that are watched, in the order of their ids."""
    return (catalog.services[name] for name in sorted(catalog.enabled))


def api_names(service: Service) -> Iterator[Indicator]:
    """Yield the names whose lookup is a sighting of the service."""
    return (indicator for indicator in service.indicators if indicator.role == "api")


def service_of(catalog: Catalog, name: Name) -> str:
    """Give the watched service that a lookup of the name is a sighting of, or ""."""
    met = catalog.match(name)
    return met[0].service if met and met[0].role == "api" else ""


def blockable(policy: Policy, service: Service) -> bool:
    """Say whether the service may be blocked as a whole: it is safe to, or the operator said so (collateral)."""
    return service.block_safety == "safe" or service.id in policy.feeds.collateral


def expected_services(policy: Policy, audience: str, at: float) -> frozenset[str]:
    """Give the services that every member of the audience may use, grace included.

    For `EVERYONE` it is what anybody at all may use: a group, a network, one printer.
    """
    grace_s = policy.feeds.grace_s
    known = policy.catalog.enabled
    if audience == ANY or audience in BY_CLIENT:
        return frozenset()
    if audience == EVERYONE:
        return frozenset(s for s in known if policy.expectations.allowing(s, at, grace_s))
    return frozenset(s for s in known if policy.expectations.of_group(audience, s, at, grace_s))
