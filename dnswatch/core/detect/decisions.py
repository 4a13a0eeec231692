"""What the engine adds to the feeds by itself, where the operator lets it: a client to cut off, a tenant to block.

A client is cut off after several attempts over TCP of a grave alert: the source of a UDP packet is anybody's word, and
cutting off whom an attacker names would be their work done. A tenant of a service that cannot be blocked whole is
blocked when a grave alert rests on further facts, nobody expected has met it, and few clients have at all.

Both expire, are capped, and are renewed only by new attempts. Never: blocks (``core/feeds/`` does, after its guard).
Read next: ``core/feeds/clients.py``, ``core/feeds/verdicts.py``.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from dnswatch.core.clients.who import parse_network
from dnswatch.core.detect.changes import Row, Table
from dnswatch.core.detect.episodes import Episode
from dnswatch.core.feeds.clients import CUT_OFF, never_cut_off
from dnswatch.core.feeds.verdicts import TENANT, tenant_of
from dnswatch.core.model import SEVERITIES, Decision, Name, Severity, Sighting
from dnswatch.core.policy import Policy

MADE = 20_000
"""Decisions remembered; twice what both settings may allow for."""
MET = 50_000
"""Tenants of which it is known who met them; some 200 bytes each."""
CLIENTS_KNOWN = 16
"""Clients remembered of a tenant: more than any setting of "few"."""
LONE = 32
"""Tenants remembered that one client alone met, unexpectedly: whoever makes up labels pushes out its own. The thousand
unknown clients that a flood lets in (``flood.py``) do not fill the table so."""


class Made:
    """A decision in its table."""

    __slots__ = ("decision", "lifted", "n")

    def __init__(self, decision: Decision, lifted: bool = False, n: int = 0) -> None:
        self.decision = decision
        self.lifted = lifted  # by an operator: not made again before it would have ended
        self.n = n

    def row(self) -> Row:
        """Give the plain form."""
        one = self.decision
        return {"n": self.n, "trigger": one.trigger, "action": one.action, "scope": one.scope, "reason": one.reason,
                "expires_at": one.expires_at, "alert": one.alert, "lifted": self.lifted}  # fmt: skip


class Met:
    """Who met a tenant."""

    __slots__ = ("clients", "expected", "n")

    def __init__(self, clients: Iterable[str] = (), expected: bool = False, n: int = 0) -> None:
        self.clients = list(clients)
        self.expected = expected
        self.n = n

    @property
    def lone(self) -> bool:
        """Say whether one client alone met it, and was not expected to."""
        return len(self.clients) == 1 and not self.expected

    def row(self) -> Row:
        """Give the plain form."""
        return {"n": self.n, "clients": list(self.clients), "expected": self.expected}


class Decisions:
    """The tables of what was decided, and of what decisions rest on."""

    def __init__(self) -> None:
        self.made: Table[Made] = Table("decided", MADE)
        self.met: Table[Met] = Table("tenant-met", MET, self._not_lone)
        self._lone: dict[str, tuple[Name, ...]] = {}  # by client: the tenants that it alone met, in order
        self.capped = 0

    # ── Deciding ──────────────────────────────────────────────────────────────────────────────────────────────

    def cut_off(self, policy: Policy, episode: Episode, server: str, role: str, at: float) -> Decision | None:
        """Decide on the client of an episode after an attempt over TCP; ``server``: the address that it asked."""
        settings = policy.feeds.automatic
        client = episode.client
        if settings is None or episode.tcp < settings.attempts or not _at_least(episode.severity, settings.severity):
            return None
        if client.role in ("server", "forwarder") or role or client.address == server:
            return None
        if never_cut_off(policy, parse_network(client.address)) is not None:
            return None
        reason = (f"{episode.tcp} attempts over TCP to reach {episode.service}, severity {episode.severity}: "
                  f"alert {episode.id}")  # fmt: skip
        made = Decision(client.address, CUT_OFF, "", reason, at + settings.ttl_s, episode.id)
        return self._make(made, settings.most, settings.ttl_s, at)

    def block_tenant(self, policy: Policy, episode: Episode, sighting: Sighting) -> Decision | None:
        """Decide on the tenant that an attempt met."""
        settings = policy.feeds.tenants
        if settings is None or sighting.expected:
            return None
        tenant = _tenant(sighting)
        facts = sum(one.fact for one in episode.findings.values())
        if not tenant or facts < settings.facts or not _at_least(episode.severity, settings.severity):
            return None
        met = self.met.rows.get(tenant)
        if met is not None and (met.expected or len(met.clients) > settings.clients):
            return None
        if tenant_of(policy, tenant) != sighting.service.id or policy.catalog.protects(tenant, "domain"):
            return None
        reason = (f"{sighting.client.address} asked for it, severity {episode.severity}, {facts} further facts: "
                  f"alert {episode.id}")  # fmt: skip
        made = Decision(tenant, TENANT, "", reason, sighting.at + settings.ttl_s, episode.id)
        return self._make(made, settings.most, settings.ttl_s, sighting.at)

    def observe(self, sighting: Sighting) -> None:
        """Remember who met which tenant."""
        tenant = _tenant(sighting)
        if not tenant:
            return
        address = sighting.client.address
        met = self.met.rows.get(tenant)
        if met is None:
            met = Met([address], sighting.expected)
            self.met.put(tenant, met)
            if met.lone:
                self._keep_lone(address, tenant)
            return
        if sighting.expected or address not in met.clients:
            self._not_lone(tenant, met)
        if address not in met.clients and len(met.clients) < CLIENTS_KNOWN:
            met.clients.append(address)
            self.met.changed.add(tenant)
        if sighting.expected and not met.expected:
            met.expected = True
            self.met.changed.add(tenant)

    def _keep_lone(self, address: str, tenant: Name) -> None:
        """Count a tenant that one client alone met; the first of too many goes."""
        tenants = (*self._lone.get(address, ()), tenant)
        for gone in tenants[:-LONE]:
            self.met.drop(gone)
            self.met.evicted += 1
        self._lone[address] = tenants[-LONE:]

    def _not_lone(self, tenant: Name, met: Met) -> None:
        """Count a tenant no longer: it is forgotten, or somebody else met it."""
        if met.lone:
            address = met.clients[0]
            rest = tuple([one for one in self._lone[address] if one != tenant])
            if rest:
                self._lone[address] = rest
            else:
                del self._lone[address]

    def lift(self, action: str, trigger: str, at: float, why: str) -> Decision | None:
        """End a decision by an operator's word; it is not made again before it would have ended by itself."""
        made = self.made.rows.get(f"{action} {trigger}")
        if made is None or made.lifted or _ended(made.decision, at):
            return None
        self.made.put(f"{action} {trigger}", Made(made.decision, lifted=True))
        return replace(made.decision, expires_at=at, reason=why)

    def _make(self, new: Decision, most: int, ttl_s: float, at: float) -> Decision | None:
        """Take a decision, unless it stands, was lifted, or there are too many; renew it in its second half."""
        key = f"{new.action} {new.trigger}"
        known = self.made.rows.get(key)
        if known is not None and not _ended(known.decision, at):
            assert known.decision.expires_at is not None
            if known.lifted or known.decision.expires_at - at > ttl_s / 2:
                return None
        elif sum(one.decision.action == new.action and not one.lifted and not _ended(one.decision, at)
                 for one in self.made.rows.values()) >= most:  # fmt: skip
            self.capped += 1
            return None
        self.made.put(key, Made(new))
        return new

    # ── State ─────────────────────────────────────────────────────────────────────────────────────────────────

    def take_changes(self, into: dict[tuple[str, str], Row | None]) -> None:
        """Hand over the rows that changed since the last call."""
        self.made.take_changes(into)
        self.met.take_changes(into)

    def restore(self, kinds: dict[str, list[tuple[str, Row]]]) -> None:
        """Take stored rows back, out of ``kinds``."""
        self.made.restore([
            (key, Made(Decision(r["trigger"], r["action"], r["scope"], r["reason"], r["expires_at"], r["alert"]),
                       r["lifted"], r["n"]))
            for key, r in kinds.pop(self.made.kind, [])
        ])  # fmt: skip
        self.met.restore([(key, Met(r["clients"], r["expected"], r["n"])) for key, r in kinds.pop(self.met.kind, [])])
        for tenant, met in list(self.met.rows.items()):
            if met.lone:
                self._keep_lone(met.clients[0], tenant)


def _tenant(sighting: Sighting) -> Name:
    """Give the tenant's name: the label left of the service's own, and that; "" where there is none."""
    own = sighting.indicator
    if not sighting.service.multi_tenant or own.match == "exact" or sighting.qname == own.name:
        return ""
    label = sighting.qname[: -len(own.name) - 1].rpartition(".")[2]
    return f"{label}.{own.name}"


def _at_least(severity: Severity, wanted: Severity) -> bool:
    return SEVERITIES.index(severity) >= SEVERITIES.index(wanted)


def _ended(decision: Decision, at: float) -> bool:
    return decision.expires_at is not None and decision.expires_at <= at
