"""Which bound on cutting off and on blocking tenants is reached: further ones pass, and somebody has to know.

Never: applies a bound (``clients.py``, ``verdicts.py`` and the engine's decisions do). Read next: ``lint.py``.
"""

from __future__ import annotations

from collections.abc import Iterator

from dnswatch.core.clients.identity import Identity
from dnswatch.core.feeds.clients import CUT_OFF, isolated
from dnswatch.core.feeds.verdicts import live, tenants
from dnswatch.core.policy import Policy

SETTINGS = ("feeds.quarantine.most", "feeds.quarantine.automatic.most", "feeds.tenants.most")
"""The bounds, by their key in the configuration."""


def caps(policy: Policy, identity: Identity | None, at: float) -> Iterator[tuple[str, str]]:
    """Yield (setting, what it means) of each bound that is reached at ``at``."""
    feeds = policy.feeds
    if feeds.mode == "off":
        return
    cut_off = sum(one.kept is None for one in isolated(policy, identity, at))
    if feeds.mode == "enforce" and cut_off >= feeds.most_quarantined:  # in shadow nobody is cut off
        yield SETTINGS[0], f"{_clients(cut_off)} cut off, as many as {SETTINGS[0]} allows: further ones are not"
    if feeds.automatic is not None and (count := len(live(policy, CUT_OFF, at))) >= feeds.automatic.most:
        text = f"dnswatch has cut {count} client{'s'[: count != 1]} off, as many as {SETTINGS[1]} allows"
        yield SETTINGS[1], f"{text}: further ones it does not"
    if feeds.tenants is not None and (count := len(tenants(policy, at))) >= feeds.tenants.most:
        text = f"{count} tenant{'s are' if count != 1 else ' is'} blocked, as many as {SETTINGS[2]} allows"
        yield SETTINGS[2], f"{text}: further ones pass"


def _clients(count: int) -> str:
    return f"{count} client{'s are' if count != 1 else ' is'}"
