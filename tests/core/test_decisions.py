"""What the engine decides for the feeds: whom it cuts off, which tenants it blocks, and whom and what never."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dnswatch.core.detect.changes import Action
from dnswatch.core.detect.decisions import LONE
from dnswatch.core.detect.engine import Engine
from dnswatch.core.feeds.clients import CUT_OFF
from dnswatch.core.feeds.verdicts import TENANT
from dnswatch.core.logs.digest import Digested
from dnswatch.core.model import Decision, Effect, Position, Query
from dnswatch.core.policy import Automatic, FeedPolicy, Policy, Tenants
from tests.core.detection import T0, policy, query

CLIENT = "10.1.0.9"
BIN = "webhook.site"


def world(**feeds: object) -> Policy:
    base = policy()
    return replace(base, feeds=replace(base.feeds, mode="enforce", **feeds))


def decided(engine: Engine, *events: object) -> list[Decision]:
    digested = Digested(list(events), [], 0, 0)
    effects: list[Effect] = engine.receive("ns1", digested, Position("ns1", "q.log", 0))
    return [one for one in effects if isinstance(one, Decision)]


def asked(at: float, client: str = CLIENT, qname: str = BIN, qtype: str = "A", **more: str) -> Query:
    return query(at, client, qname, qtype)._replace(**{"transport": "tcp", **more})


def attempts(count: int, transport: str = "tcp", client: str = CLIENT, start: float = 0.0) -> list[Query]:
    return [asked(start + i * 10, client, transport=transport) for i in range(count)]


AUTOMATIC = Automatic("high", attempts=3, ttl_s=3600.0, most=2)


def test_a_client_is_cut_off_after_three_attempts_over_tcp() -> None:
    """Not before, not over UDP however often, not without the operator's word, not below the severity."""
    engine = Engine(world(automatic=AUTOMATIC))
    assert decided(engine, *attempts(2)) == []
    (made,) = decided(engine, *attempts(1, start=20))
    assert (made.trigger, made.action, made.expires_at) == (CLIENT, CUT_OFF, T0 + 20 + 3600)
    assert "3 attempts over TCP" in made.reason
    assert decided(Engine(world(automatic=AUTOMATIC)), *attempts(9, "udp")) == []
    assert decided(Engine(world()), *attempts(9)) == []
    assert decided(Engine(world(automatic=replace(AUTOMATIC, severity="critical"))), *attempts(3)) == []


def test_one_attempt_counts_once_and_its_retry_over_tcp_counts() -> None:
    """A truncated answer makes the same lookup come again over TCP: one attempt."""
    engine = Engine(world(automatic=AUTOMATIC))
    assert decided(engine, *attempts(2)) == []
    again = [query(20, CLIENT, BIN), asked(20.1), asked(20.2, qtype="AAAA")]
    assert len(decided(engine, *again)) == 1


@pytest.mark.parametrize("client", ["127.0.0.1", "::1", "192.0.2.53", "10.0.10.7"])
def test_some_are_never_cut_off(client: str) -> None:
    """This host, who is named, and servers."""
    engine = Engine(world(automatic=AUTOMATIC, never_quarantine=("127.0.0.1/32", "::1/128", "192.0.2.0/24")))
    assert decided(engine, *attempts(9, client=client)) == []


def test_the_resolver_that_asks_itself_is_not_cut_off() -> None:
    """The address that was asked is the server's own."""
    engine = Engine(world(automatic=AUTOMATIC))
    assert decided(engine, *[asked(i * 10, server=CLIENT) for i in range(5)]) == []


def test_decisions_are_capped_renewed_and_survive_a_restart() -> None:
    """Two at once; the third waits; in its second half a new attempt renews one; state goes on as it was."""
    engine = Engine(world(automatic=AUTOMATIC))
    for i in (9, 8):
        assert decided(engine, *attempts(3, client=f"10.1.0.{i}", start=i))
    assert decided(engine, *attempts(3, client="10.1.0.7", start=100)) == []
    rows = [(kind, key, row) for (kind, key), row in engine.changes().rows.items() if row is not None]
    other = Engine(engine.policy)
    other.restore(rows)
    assert decided(other, *attempts(1, client="10.1.0.9", start=1000)) == []
    (renewed,) = decided(other, *attempts(1, client="10.1.0.9", start=2500))
    assert renewed.expires_at == T0 + 2500 + 3600


def test_an_operator_lifts_a_decision_for_as_long_as_it_would_have_held() -> None:
    """The effect ends it in the store; new attempts do not bring it back at once."""
    engine = Engine(world(automatic=AUTOMATIC))
    assert decided(engine, *attempts(3))
    (ended,) = engine.act(Action("lift", f"{CUT_OFF} {CLIENT}", T0 + 30, by="ann", note="false alarm"))
    assert isinstance(ended, Decision)
    assert ended.expires_at is not None
    assert ended.expires_at <= T0 + 30
    assert "false alarm" in ended.reason
    assert engine.act(Action("lift", f"{CUT_OFF} {CLIENT}", T0 + 31)) == []
    assert decided(engine, *attempts(3, start=100)) == []
    assert decided(engine, *attempts(1, start=5000))


def test_a_tenant_is_blocked_on_further_facts_and_not_what_anybody_expected_met() -> None:
    """Severity, facts, prevalence and expected use gate it."""
    name = "evil.webhook.site"
    settings = Tenants("info", facts=0, ttl_s=3600.0, most=5, clients=2)
    engine = Engine(world(tenants=settings))
    (made,) = decided(engine, query(0, CLIENT, f"deep.{name}"))
    assert (made.trigger, made.action) == (name, TENANT)
    assert decided(Engine(world(tenants=replace(settings, facts=9))), query(0, CLIENT, name)) == []
    assert decided(Engine(world(tenants=replace(settings, severity="critical"))), query(0, CLIENT, name)) == []
    common = Engine(world(tenants=replace(settings, clients=1, facts=9)))
    decided(common, *[query(i, f"10.1.0.{i}", name) for i in range(1, 5)])
    common.reconfigure(world(tenants=replace(settings, clients=1)))
    assert decided(common, query(100, CLIENT, name)) == []


def test_made_up_tenants_push_out_only_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """One client's labels take so many places; what an expected client met, or two others, stays known."""
    monkeypatch.setattr("dnswatch.core.detect.decisions.MET", 4 * LONE)
    settings = Tenants("info", facts=0, ttl_s=3600.0, most=500, clients=1)
    judged_by = replace(policy(("10.1.0.7", "webhook-site")), feeds=world(tenants=replace(settings, facts=9)).feeds)
    engine, rows = Engine(judged_by), {}
    met = engine._decisions.met.rows
    decided(engine, query(0, "10.1.0.7", "ours.webhook.site"))
    decided(engine, query(1, CLIENT, "shared.webhook.site"), query(2, "10.1.0.8", "shared.webhook.site"))
    for i in range(10 * LONE):
        decided(engine, query(10 + i, CLIENT, f"{i}.webhook.site"))
        rows |= engine.changes().rows
        if i % 50 == 0:  # interrupted or not
            engine = Engine(judged_by)
            engine.restore([(kind, key, row) for (kind, key), row in rows.items() if row is not None])
            met = engine._decisions.met.rows
    assert list(met) == ["ours.webhook.site", "shared.webhook.site",
                         *(f"{i}.webhook.site" for i in range(9 * LONE, 10 * LONE))]  # fmt: skip
    engine.reconfigure(replace(judged_by, feeds=world(tenants=settings).feeds))
    assert decided(engine, query(9000, CLIENT, "a.ours.webhook.site"), query(9001, CLIENT, "shared.webhook.site")) == []


def test_a_tenant_that_others_meet_no_longer_goes_for_its_first_clients_next_ones() -> None:
    """Nor one that is expected later, nor one of a client whose own have gone by the limit of all."""
    decisions = Engine(policy(("10.1.0.7", "webhook-site")))
    decided(decisions, query(0, CLIENT, "a.webhook.site"), query(1, CLIENT, "b.webhook.site"))
    decided(decisions, query(10, "10.1.0.8", "a.webhook.site"), query(11, "10.1.0.7", "b.webhook.site"))
    decided(decisions, *(query(20 + i, CLIENT, f"{i}.webhook.site") for i in range(LONE + 1)))
    met = decisions._decisions.met
    assert {"a.webhook.site", "b.webhook.site"} <= set(met.rows)
    assert (len(met.rows), met.evicted) == (LONE + 2, 1)
    met.limit = len(met.rows)
    decided(decisions, *(query(200 + i, f"10.1.1.{i}", f"x{i}.webhook.site") for i in range(LONE + 2)))
    decided(decisions, query(300, CLIENT, "z.webhook.site"))
    assert CLIENT in met.rows["z.webhook.site"].clients
    assert len(met.rows) == met.limit


def test_without_settings_a_feed_policy_decides_nothing() -> None:
    """Both are opt-in."""
    assert (FeedPolicy().automatic, FeedPolicy().tenants) == (None, None)
