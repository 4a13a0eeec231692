"""A hand-made catalogue, policies and events for the tests of detection: small, readable, independent of ``feeds/``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

from dnswatch.core.catalog import Catalog
from dnswatch.core.clients.expectations import Expectations
from dnswatch.core.clients.groups import Groups
from dnswatch.core.clients.who import parse_who
from dnswatch.core.detect.engine import Engine
from dnswatch.core.logs.digest import Digested
from dnswatch.core.model import (
    Alert,
    Event,
    Expectation,
    Group,
    Indicator,
    Position,
    Query,
    Service,
    Severity,
    Verdict,
)
from dnswatch.core.policy import DAY_S, Detection, FeedPolicy, Policy

T0 = 1_790_000_000.0
"""A time within 2026 at which the tests' logs begin."""


def service(id_: str, category: str, base: Severity, *names: str, **more: Any) -> Service:
    """Make a service whose api names match exactly (``*.x``: subdomains of x)."""
    indicators = tuple(
        Indicator(name.removeprefix("*."), "subdomains" if name.startswith("*.") else "exact", "api", id_,
                  ".".join(name.split(".")[-2:]))
        for name in names
    )  # fmt: skip
    companions = tuple(Indicator(name, "domain", "companion", id_, name) for name in more.pop("companions", ()))
    made = Service(
        id_, id_, category, "core", (*indicators, *companions), "none", False, False, "safe", base, "",
        ("T1567.004",), (), "high",
    )  # fmt: skip
    return replace(made, **more)


SERVICES = (
    service("telegram-bot", "bot-api", "medium", "api.telegram.org", companions=("web.telegram.org",)),
    service("slack-webhook", "chat-webhook", "low", "hooks.slack.com"),
    service("discord", "chat-webhook", "low", "discord.com", block_safety="collateral", shared=True,
            companion_effect="exonerates", companions=("discord.media",)),
    service("webhook-site", "request-bin", "high", "webhook.site", "*.webhook.site", multi_tenant=True),
    service("interactsh", "oob-interaction", "high", "*.oast.fun"),
    service("ntfy", "push-notification", "info", "ntfy.sh"),
)  # fmt: skip
GROUPS = (
    Group("servers", ("10.0.10.0/24", "fd00:10::/64"), "server"),
    Group("build", ("10.0.20.0/24",), "ci"),
    Group("staff", ("10.1.0.0/16",), "workstation"),
)


def catalog(*services: Service) -> Catalog:
    """Make a catalogue in which everything is watched."""
    chosen = services or SERVICES
    recon = (Indicator("api.ipify.org", "exact", "recon", "recon", "ipify.org"),)
    doh = (Indicator("dns.google", "domain", "doh", "doh", "dns.google"),)
    return Catalog({one.id: one for one in chosen}, frozenset(one.id for one in chosen), recon, doh)


def policy(
    *expected: tuple[str, str],
    forwarders: dict[str, frozenset[str]] | None = None,
    learning_days: float = 14,
    until: float | None = None,
    options: Mapping[str, Mapping[str, Any]] | None = None,
    **feeds: Any,
) -> Policy:
    """Make a policy; ``expected``: (who, service) pairs."""
    expectations = [
        Expectation((parse_who(who),), frozenset({name}), "so agreed", "ops", until, "test.yaml:1")
        for who, name in expected
    ]
    detection = Detection(learning_s=learning_days * DAY_S, forwarders=forwarders or {}, options=options or {})
    return Policy(catalog(), Groups(GROUPS), Expectations(expectations), detection, FeedPolicy(**feeds))


def query(at: float, client: str, qname: str, qtype: str = "A", **more: Any) -> Query:
    """Make a query event at T0 + ``at``; its line tells the same."""
    port, serial, offset = more.get("port", 5353), more.get("serial", 0), more.get("offset", int(at * 1000))
    line = f"{at:.3f} {client}#{port} {qname} {qtype}".encode()
    return Query(T0 + at, client, port, qname, qtype, "udp", "10.0.0.53", serial, line, offset)


def verdict(at: float, client: str, qname: str, kind: str, **more: Any) -> Verdict:
    """Make a verdict event at T0 + ``at``."""
    return Verdict(
        T0 + at, client, more.get("port", 5353), qname, more.get("qtype", "A"), more.get("serial", 0),
        cast(Any, kind), more.get("action", ""), more.get("disabled", False), more.get("via", ""),
        tuple(more.get("data", ())), f"{at:.3f} verdict {kind} {qname}".encode(), more.get("offset", int(at * 1000)),
    )  # fmt: skip


def feed(engine: Engine, events: Iterable[Event], source: str = "ns1") -> list[Alert]:
    """Let the engine receive events as one block."""
    digested = Digested(list(events), [], 0, 0)
    return alerts(engine.receive(source, digested, Position(source, f"/var/log/{source}.log", 0)))


def alerts(effects: Sequence[object]) -> list[Alert]:
    """Give the alerts among effects."""
    return [effect for effect in effects if isinstance(effect, Alert)]


def brief(revisions: Iterable[Alert]) -> list[tuple[str, int, str, int]]:
    """Give what the law is about: id, rev, severity, count."""
    return [(alert.id, alert.rev, alert.severity, alert.count) for alert in revisions]
