"""What became of a lookup, read from what the resolver says: would-block, blocked, leaked (DESIGN §6).

Never: joins a verdict to its lookup (``attempts.py`` does). Read next: ``engine.py``.
"""

from __future__ import annotations

from dnswatch.core.clients.expectations import covers
from dnswatch.core.clients.who import parse_address
from dnswatch.core.feeds.audiences import PROBE
from dnswatch.core.feeds.claims import Verdicts
from dnswatch.core.feeds.zones import ANY, BY_CLIENT, EVERYONE, verdicts_of
from dnswatch.core.model import Client, Name, Outcome, Verdict
from dnswatch.core.names import within
from dnswatch.core.policy import Policy

BLOCKING = frozenset({"nxdomain", "nodata", "refused", "drop", "local-data", "cname"})
"""Rewrites after which the client has no way to the service. ``tcp-only`` makes it ask again."""
SINKHOLES = frozenset({"0.0.0.0", "::", "127.0.0.1", "::1"})
"""Answers that lead nowhere: blocklists give them instead of NXDOMAIN."""
HOURS_CACHED = 3
"""Of every audience, `ANY` and `EVERYONE` among them: late lines belong to the hour before, and sources lie apart."""


def ours(verdict: Verdict, policy: Policy) -> bool:
    """Say whether a rewrite comes from a zone that we publish."""
    return verdict.kind == "rewrite" and bool(verdict.via) and within(verdict.via, policy.feeds.zone)


def of_rewrite(verdict: Verdict, policy: Policy) -> Outcome:
    """Give the outcome that a rewrite means: a pass of ours in shadow mode is a block that did not happen."""
    return Blocks(policy).of_rewrite(verdict)


class Blocks:
    """Which names our zones block for a client, as the feed compiler says; cached by audience and hour."""

    __slots__ = ("_cache", "_policy")

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._cache: dict[tuple[str, int], Verdicts] = {}

    def for_client(self, client: Client, qname: Name, at: float) -> bool:
        """Say whether a resolver with one view per audience blocks the name for this client."""
        policy = self._policy
        if policy.feeds.mode != "enforce" or not self._blocked(client.group or ANY, qname, at):
            return False
        return not any(covers(who, client) for who, _ in policy.expectations.individual(at, policy.feeds.grace_s))

    def of_rewrite(self, verdict: Verdict) -> Outcome:
        """Give the outcome that a rewrite means.

        A pass of ours is a block that did not happen where the rule blocks, in shadow mode or with `policy disabled`.
        It is nothing where the rule lets pass: an exempted client, or a name that is carved out of a wildcard.
        """
        if ours(verdict, self._policy):
            if verdict.action == "passthru":
                return "would-block" if self._would_block(verdict) else "observed"
            if verdict.disabled:
                return "would-block"
        if verdict.disabled or verdict.action not in BLOCKING:
            return "observed"
        return "blocked"

    def _would_block(self, verdict: Verdict) -> bool:
        """Say whether the rule that matched carries a block, whatever action it was published with."""
        trigger, _, audience = verdict.via.removesuffix("." + self._policy.feeds.zone).rpartition(".")
        if audience in BY_CLIENT or not trigger:
            return False
        if audience != ANY and self._policy.groups.get(audience) is None:
            return True  # a group that is gone: its zone blocked, or it would not have had the rule
        asked = f"{PROBE}.{trigger[2:]}" if trigger.startswith("*.") else trigger
        return self._blocked(audience, asked, verdict.at)

    def for_everyone(self, qname: Name, at: float) -> bool:
        """Say whether a resolver that cannot tell clients apart blocks the name."""
        return self._policy.feeds.mode == "enforce" and self._blocked(EVERYONE, qname, at)

    def leaks(self, addresses: tuple[str, ...]) -> bool:
        """Say whether an answer leads to the service: an address that is none of our own or a sinkhole's."""
        block = {*SINKHOLES, *self._policy.feeds.addresses}
        return any(data not in block and parse_address(data) is not None for data in addresses)

    def _blocked(self, audience: str, qname: Name, at: float) -> bool:
        hour = int(at // 3600)
        verdicts = self._cache.get((audience, hour))
        if verdicts is None:
            most = HOURS_CACHED * (len(self._policy.groups.all) + 2)
            while len(self._cache) >= most:  # the first ones: hours that are over
                del self._cache[next(iter(self._cache))]
            verdicts = self._cache[audience, hour] = verdicts_of(self._policy, audience, float(hour * 3600))
        return verdicts.blocked(qname)
