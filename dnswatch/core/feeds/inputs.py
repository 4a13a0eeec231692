"""What a publication depends on beside the policy as it was configured: time, leases and decisions, as one value.

Two moments with the same policy and equal inputs give the same zones and the same files, so the second publication can
be left out. A clock alone changes nothing; that something has ended does. A test holds this against publishing always,
so whoever makes zones depend on something new says it here.

Never: looks at what was published. Read next: ``publication.py``.
"""

from __future__ import annotations

from collections.abc import Iterator

from dnswatch.core.clients.identity import Identity
from dnswatch.core.feeds.clients import networks_of
from dnswatch.core.model import Decision, Who
from dnswatch.core.policy import Policy

Inputs = tuple[tuple[bool, ...], tuple[Decision, ...], tuple[tuple[Who, tuple[str, ...]], ...]]
"""What has ended, which decisions hold, and who has which address."""


def inputs(policy: Policy, identity: Identity | None, at: float) -> Inputs:
    """Give what zones and files of ``policy`` depend on at ``at``."""
    decisions = tuple(one for one in policy.feeds.decisions if one.expires_at is None or at < one.expires_at)
    held = tuple((who, networks_of(who, identity, at)) for who in sorted(set(by_lease(policy)), key=str))
    return tuple(_ended(policy, at)), decisions, held


def by_lease(policy: Policy) -> Iterator[Who]:
    """Yield everybody in the policy whose addresses leases tell."""
    for expectation in policy.expectations.all:
        yield from (who for who in expectation.who if who.kind in ("name", "mac"))
    yield from (one.who for one in policy.feeds.quarantine if one.who.kind in ("name", "mac"))


def _ended(policy: Policy, at: float) -> Iterator[bool]:
    """Say of everything that has an end whether it is over; the feed's grace after it is an end of its own."""
    for expectation in policy.expectations.all:
        if expectation.until is not None:
            yield expectation.until <= at
            yield not at < expectation.until + policy.feeds.grace_s  # as `Expectations` reckons
    for entry in (*policy.feeds.block, *policy.feeds.allow):
        if entry.until is not None:
            yield not entry.holds(at)
    for isolation in policy.feeds.quarantine:
        if isolation.until is not None:
            yield isolation.until <= at
