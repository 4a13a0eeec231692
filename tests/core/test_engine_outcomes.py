"""What resolvers say of lookups becomes an outcome: joined right, never guessed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dnswatch.core.clients.groups import Groups
from dnswatch.core.detect.engine import Engine
from dnswatch.core.detect.outcomes import Blocks
from dnswatch.core.logs.digest import Digested
from dnswatch.core.model import Client, Group, Position
from dnswatch.core.policy import DAY_S
from tests.core.detection import T0, alerts, feed, policy, query, verdict

TELEGRAM = "api.telegram.org"
OURS = f"{TELEGRAM}.staff.rpz.dnswatch.internal"
CLIENT = "10.1.0.9"


def rewrite(at: float, client: str = CLIENT, qname: str = TELEGRAM, **more: object) -> object:
    return verdict(at, client, qname, "rewrite", **{"via": OURS, "action": "nxdomain", **more})


@pytest.mark.parametrize(
    ("said", "outcome"),
    [
        ({"action": "passthru"}, "would-block"),
        ({"action": "nxdomain", "disabled": True}, "would-block"),
        ({"action": "nxdomain"}, "blocked"),
        ({"action": "local-data"}, "blocked"),
        ({"action": "drop"}, "blocked"),
        ({"action": "nxdomain", "via": ""}, "blocked"),  # dnsmasq: config NAME is NXDOMAIN
        ({"action": "nxdomain", "via": "x.rpz.vendor.example"}, "blocked"),
    ],
)
def test_rewrite_sets_the_outcome_once(said: dict[str, object], outcome: str) -> None:
    """A rewrite makes one revision; its repetition makes none."""
    engine = Engine(policy())
    made = feed(engine, [query(0, CLIENT, TELEGRAM), rewrite(0.01, **said), rewrite(0.02, **said)])
    assert [(alert.rev, alert.outcome, alert.cause) for alert in made] == [
        (1, "observed", "opened"), (2, outcome, "outcome"),
    ]  # fmt: skip
    assert made[1].evidence[-1].line.startswith("0.010 verdict rewrite")


@pytest.mark.parametrize(
    "said",
    [
        {"action": "passthru", "via": "x.rpz.vendor.example"},
        {"action": "nxdomain", "disabled": True, "via": "x.rpz.vendor.example"},
        {"action": "tcp-only"},
        {"action": "passthru", "via": "32.9.0.1.10.rpz-client-ip.exempt.rpz.dnswatch.internal"},
        {"action": "nxdomain", "disabled": True, "via": "x.notrpz.dnswatch.internal"},
    ],
)
def test_rewrites_that_block_nothing_are_no_outcome(said: dict[str, object]) -> None:
    """Passes of other people's zones, of the exempt zone, and TCP-only are not blocks."""
    made = feed(Engine(policy()), [query(0, CLIENT, TELEGRAM), rewrite(0.01, **said)])
    assert [alert.outcome for alert in made] == ["observed"]


@pytest.mark.parametrize("mode", ["shadow", "enforce"])
@pytest.mark.parametrize(
    ("via", "outcome"),
    [
        (OURS, "would-block"),  # also just after a promotion, when the resolver still has the shadow
        ("discord.com.staff.rpz.dnswatch.internal", "observed"),  # carved out
        (OURS.replace(".staff.", ".build."), "observed"),  # expected there: carved out
        (OURS.replace(".staff.", ".gone."), "would-block"),  # a group that is no more
        (OURS.replace(".staff.", ".quarantine."), "observed"),
    ],
)
def test_a_pass_of_ours_is_a_block_that_did_not_happen_only_where_the_rule_blocks(
    via: str, outcome: str, mode: str
) -> None:
    """A name carved out of a wildcard passes in every mode, and nothing would have blocked it."""
    world = policy(("group:build", "telegram-bot"), mode=mode)
    made = feed(Engine(world), [query(0, CLIENT, TELEGRAM), rewrite(0.01, action="passthru", via=via)])
    assert made[-1].outcome == outcome


def test_many_audiences_do_not_make_each_other_forgotten() -> None:
    """The cache holds all audiences of some hours: a hundred groups must not compile anew for every line."""
    world = policy(mode="enforce")
    groups = Groups(Group(f"g{i}", (f"10.9.{i}.0/24",)) for i in range(100))
    blocks = Blocks(replace(world, groups=groups))
    for _ in range(2):
        for i in range(100):
            assert blocks.for_client(Client(f"10.9.{i}.1", f"g{i}"), TELEGRAM, 1.0)
    assert len(blocks._cache) == 100
    for hour in range(50):
        blocks.for_client(Client("10.9.0.1", "g0"), TELEGRAM, hour * 3600.0)
    assert ("g99", 0) in blocks._cache
    assert len(blocks._cache) <= 3 * 102


def test_verdict_of_another_client_or_too_late_is_not_joined() -> None:
    """A verdict counts for its own client and within two seconds of the last lookup."""
    engine = Engine(policy())
    made = feed(engine, [
        query(0, CLIENT, TELEGRAM), rewrite(0.1, client="10.1.0.8"), rewrite(2.1), rewrite(0.1, qname="webhook.site"),
    ])  # fmt: skip
    assert [alert.outcome for alert in made] == ["observed"]
    assert engine.counters["verdict-unjoined"] == 3


def test_verdict_counts_as_attempt_where_queries_are_not_logged() -> None:
    """A source with RPZ lines only still alerts, once, with the outcome in its first revision."""
    engine = Engine(policy())
    made = feed(engine, [rewrite(0, action="passthru"), rewrite(0.1, action="passthru"), rewrite(7)], "rpz")
    assert [(alert.rev, alert.outcome, alert.count) for alert in made] == [
        (1, "would-block", 1), (2, "blocked", 2),
    ]  # fmt: skip
    feed(engine, [query(8, "10.1.0.1", "unwatched.test")], "rpz")
    assert feed(engine, [rewrite(20, client="10.1.0.7")], "rpz") == []
    assert len(feed(engine, [rewrite(8.5 + DAY_S, client="10.1.0.7")], "rpz")) == 1


def test_query_line_joins_the_attempt_that_its_verdict_opened() -> None:
    """With query log and RPZ log in two files, whichever is read first, one lookup is one attempt."""
    engine = Engine(policy())
    made = feed(engine, [rewrite(0.01)], "rpz") + feed(engine, [query(0, CLIENT, TELEGRAM)], "queries")
    assert [(alert.rev, alert.count, alert.outcome) for alert in made] == [(1, 1, "blocked")]


def test_answers_are_collected() -> None:
    """Distinct answers stand in later revisions, at most eight."""
    engine = Engine(policy())
    (alert,) = feed(engine, [query(0, CLIENT, TELEGRAM, serial=7)])
    data = [f"192.0.2.{i % 9}" for i in range(12)]
    feed(engine, [verdict(0.1, CLIENT, TELEGRAM, "answer", serial=7, data=[one]) for one in data])
    now = engine.alert(alert.id)
    assert now is not None
    assert now.answers == tuple(f"192.0.2.{i}" for i in range(8))


def test_answer_under_another_name_is_joined_by_its_serial() -> None:
    """dnsmasq prints a CNAME's target with the serial of the query."""
    engine = Engine(policy())
    (alert,) = feed(engine, [query(0, CLIENT, TELEGRAM, serial=7)])
    feed(engine, [verdict(0.1, CLIENT, "edge.test", "answer", serial=7, data=["192.0.2.1"]),
                  verdict(0.1, CLIENT, "edge.test", "answer", serial=8, data=["192.0.2.2"])])  # fmt: skip
    now = engine.alert(alert.id)
    assert now is not None
    assert now.answers == ("192.0.2.1",)


def test_answer_without_client_is_joined_only_when_one_lookup_is_open() -> None:
    """dnsmasq without `extra` names no client: with two clients waiting, nobody gets the answer."""
    engine = Engine(policy())
    (first,) = feed(engine, [query(0, CLIENT, TELEGRAM)])
    feed(engine, [verdict(0.1, "", TELEGRAM, "answer", data=["192.0.2.1"])])
    (second,) = feed(engine, [query(1, "10.1.0.8", TELEGRAM)])
    feed(engine, [verdict(1.1, "", TELEGRAM, "answer", data=["192.0.2.2"])])
    feed(engine, [query(30, "10.1.0.8", TELEGRAM), verdict(30.1, "", TELEGRAM, "answer", data=["192.0.2.3"])])
    answers = [now.answers for alert in (first, second) if (now := engine.alert(alert.id))]
    assert answers == [("192.0.2.1",), ("192.0.2.3",)]


# ── Leaks ─────────────────────────────────────────────────────────────────────────────────────────────────────


def enforcing(*expected: tuple[str, str]) -> Engine:
    """An engine in enforce mode whose source has just shown a rewrite of ours."""
    engine = Engine(policy(*expected, mode="enforce"))
    feed(engine, [query(-10, "10.1.0.1", "webhook.site"), rewrite(-9.9, client="10.1.0.1", qname="webhook.site")])
    return engine


def test_lookup_without_a_rewrite_leaks_after_two_seconds() -> None:
    """Where rewrites are seen, a lookup without one is told at its deadline, before the next event."""
    made = feed(enforcing(), [query(0, CLIENT, TELEGRAM), query(60, CLIENT, "webhook.site")])
    assert [(alert.service, alert.outcome, alert.at - T0) for alert in made] == [
        ("telegram-bot", "observed", 0.0), ("telegram-bot", "leaked", 2.0), ("webhook-site", "observed", 60.0),
    ]  # fmt: skip


def test_source_that_is_behind_gets_its_time_too() -> None:
    """A late lookup's rewrite is late as well: another source's line in between makes no leak of it."""
    engine = enforcing()
    made = feed(engine, [query(600, "10.1.0.8", "unwatched.test")], "ns2")
    made += feed(engine, [query(0, CLIENT, TELEGRAM)])
    made += feed(engine, [query(601, "10.1.0.8", "unwatched.test")], "ns2")
    made += feed(engine, [rewrite(0.1)])
    assert [alert.outcome for alert in made] == ["observed", "blocked"]
    (late,) = feed(engine, [query(20, "10.1.0.7", TELEGRAM)])
    assert [(alert.id, alert.outcome) for alert in alerts(engine.advance(T0 + 700, 0.0))] == [(late.id, "leaked")]


@pytest.mark.parametrize("kind", ["rewrite", "denied", "failed"])
def test_lookup_that_the_resolver_stopped_does_not_leak(kind: str) -> None:
    """A rewrite, a refusal or a failure within two seconds settles it."""
    engine = enforcing()
    said = {"via": OURS, "action": "nxdomain"} if kind == "rewrite" else {}
    made = feed(engine, [query(0, CLIENT, TELEGRAM), verdict(1.9, CLIENT, TELEGRAM, kind, **said)])
    made += alerts(engine.advance(T0 + 100, 0.0))
    assert "leaked" not in [alert.outcome for alert in made]


def test_nothing_leaks_where_nothing_is_to_be_blocked() -> None:
    """Not in shadow mode, not for collateral names, not for exempt clients, not at sources that show no rewrites."""
    late = T0 + 100
    shadow = Engine(policy())
    feed(shadow, [query(-10, "10.1.0.1", "webhook.site"), rewrite(-9, client="10.1.0.1", qname="webhook.site"),
                  query(0, CLIENT, TELEGRAM)])  # fmt: skip
    assert alerts(shadow.advance(late, 0.0)) == []
    collateral = enforcing()
    feed(collateral, [query(0, CLIENT, "discord.com")])
    assert alerts(collateral.advance(late, 0.0)) == []
    exempt = enforcing((CLIENT, "slack-webhook"))
    feed(exempt, [query(0, CLIENT, TELEGRAM)])
    assert alerts(exempt.advance(late, 0.0)) == []
    silent = Engine(policy(mode="enforce"))
    feed(silent, [query(0, CLIENT, TELEGRAM)])
    assert alerts(silent.advance(late, 0.0)) == []
    stale = enforcing()
    feed(stale, [query(DAY_S, CLIENT, TELEGRAM)])
    assert alerts(stale.advance(T0 + DAY_S + 100, 0.0)) == []


def test_answer_with_an_address_leaks_at_once_in_enforce_mode() -> None:
    """Seeing an address handed out for a name that the zones block needs no timer; a sinkhole is no leak."""
    engine = Engine(policy(mode="enforce"))
    made = feed(engine, [query(0, CLIENT, TELEGRAM), verdict(0.1, CLIENT, TELEGRAM, "answer", data=["0.0.0.0"]),
                         verdict(0.2, CLIENT, TELEGRAM, "answer", data=["149.154.166.110"])])  # fmt: skip
    assert [alert.outcome for alert in made] == ["observed", "leaked"]
    somebody_may = Engine(policy(("group:build", "telegram-bot"), mode="enforce"))
    made = feed(somebody_may, [query(0, CLIENT, TELEGRAM),
                               verdict(0.1, CLIENT, TELEGRAM, "answer", data=["149.154.166.110"])])  # fmt: skip
    assert [alert.outcome for alert in made] == ["observed"]  # dnsmasq cannot block for some clients only


def test_expected_client_that_is_blocked_is_counted() -> None:
    """A block of an expected client is a fault of the feed, and visible."""
    engine = Engine(policy((CLIENT, "telegram-bot")))
    assert feed(engine, [query(0, CLIENT, TELEGRAM), rewrite(0.1)]) == []
    assert engine.counters["expected-blocked"] == 1


# ── Forwarders ────────────────────────────────────────────────────────────────────────────────────────────────

FORWARDERS = {"back": frozenset({"127.0.0.1"})}


def test_forwarded_lookup_is_not_counted_again() -> None:
    """The front lookup explains the forwarder's, whichever log is read first."""
    for first_front in (True, False):
        engine = Engine(policy(forwarders=FORWARDERS))
        front, back = query(0, CLIENT, TELEGRAM), query(0.5, "127.0.0.1", TELEGRAM)
        order = [("front", front), ("back", back)] if first_front else [("back", back), ("front", front)]
        made = [alert for source, event in order for alert in feed(engine, [event], source)]
        made += alerts(engine.advance(T0 + 100, 0.0))
        assert [(alert.client.address, alert.count) for alert in made] == [(CLIENT, 1)]
        assert engine.counters["forwarded"] == 1
        assert engine.sizes()["holds"] == 0


def test_unexplained_lookup_of_a_forwarder_is_its_own() -> None:
    """Nobody asked at the front within two seconds: the forwarder's host did, and its alert opens at the deadline."""
    engine = Engine(policy(forwarders=FORWARDERS))
    held = [query(0, "127.0.0.1", TELEGRAM), query(0.1, "127.0.0.1", TELEGRAM, "AAAA")]
    assert feed(engine, held, "back") == []
    (alert,) = feed(engine, [query(5, CLIENT, "unwatched.test")], "front")
    assert (alert.client.address, alert.first_at, alert.at, alert.count) == ("127.0.0.1", T0, T0 + 2, 1)
    assert len(alert.evidence) == 1


def test_what_the_back_resolver_says_concerns_the_front_client() -> None:
    """A block behind the forwarder is the outcome of the front lookup, before and after that one is read."""
    engine = Engine(policy(forwarders=FORWARDERS))
    feed(engine, [query(0, CLIENT, TELEGRAM)], "front")
    (blocked,) = feed(engine, [query(0.1, "127.0.0.1", TELEGRAM), rewrite(0.1, client="127.0.0.1")], "back")
    assert (blocked.client.address, blocked.outcome) == (CLIENT, "blocked")
    engine = Engine(policy(forwarders=FORWARDERS))
    assert feed(engine, [query(0.1, "127.0.0.1", TELEGRAM), rewrite(0.1, client="127.0.0.1")], "back") == []
    opened, blocked = feed(engine, [query(0, CLIENT, TELEGRAM)], "front")
    assert (opened.outcome, blocked.outcome, blocked.count) == ("observed", "blocked", 1)


def test_back_resolver_that_logs_rewrites_only_is_joined_too() -> None:
    """An RPZ log behind a forwarder counts nobody twice."""
    engine = Engine(policy(forwarders=FORWARDERS))
    made = feed(engine, [rewrite(0.1, client="127.0.0.1")], "back") + feed(engine, [query(0, CLIENT, TELEGRAM)])
    assert [(alert.client.address, alert.outcome) for alert in made] == [(CLIENT, "observed"), (CLIENT, "blocked")]


def test_a_log_of_answers_only_tells_of_apps_and_crowds_too() -> None:
    """Without query lines an answer is a lookup: companions are noted, and samples count for the client's role."""
    engine = Engine(policy())
    feed(engine, [verdict(0, CLIENT, "web.telegram.org", "answer", action="NOERROR")])
    assert engine.history.note(CLIENT, "companion", "telegram-bot") is not None
    sampled = Digested([], [(n, verdict(n, CLIENT, "www.example.test", "answer")) for n in range(1, 4)], 0, 0)
    engine.receive("ns1", sampled, Position("ns1", "/x", 0))
    assert engine.history.roles.clients.rows[CLIENT].samples == 3


def test_answers_beside_queries_are_no_further_lookups() -> None:
    """Once a source shows a query line, sampled answers count for nothing."""
    engine = Engine(policy())
    samples = [(1, query(1, CLIENT, "www.example.test")), (2, verdict(2, CLIENT, "www.example.test", "answer"))]
    engine.receive("ns1", Digested([], samples, 0, 0), Position("ns1", "/x", 0))
    assert engine.history.roles.clients.rows[CLIENT].samples == 1
