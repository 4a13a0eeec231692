"""Explanations tell the engine's own values, step by step."""

from __future__ import annotations

import json

from dnswatch.core.detect import explain
from dnswatch.core.detect.engine import Engine
from dnswatch.core.detect.explain import Explanation, Step
from dnswatch.core.model import Notice, Query, Weird
from dnswatch.core.policy import DAY_S, Policy
from tests.core.detection import T0, feed, policy, query, verdict

TELEGRAM = "api.telegram.org"


def told(rules: Policy, client: str, qname: str, *before: Query) -> Explanation:
    engine = Engine(rules)
    feed(engine, before)
    return explain.lookup(engine, client, qname, "A", T0 + 1000)


def step(explanation: Explanation, title: str) -> Step:
    return next(one for one in explanation if one.title == title)


def test_explanation_prints_the_reasons_of_the_alert() -> None:
    """What explain says of a first lookup is, term by term, what its alert says."""
    engine = Engine(policy())
    explanation = explain.lookup(engine, "10.0.10.7", "webhook.site", "A", T0)
    (alert,) = feed(engine, [query(0, "10.0.10.7", "webhook.site")])
    said = {term for one in explanation for term in one.because}
    assert set(alert.because) <= said
    assert dict(step(explanation, "score").facts) == {"points": str(alert.score), "severity": alert.severity}


def test_explaining_remembers_nothing() -> None:
    """Asking twice gives the same answer, and the engine has nothing to store."""
    engine = Engine(policy())
    first = explain.lookup(engine, "10.0.10.7", "webhook.site", "A", T0)
    assert explain.lookup(engine, "10.0.10.7", "webhook.site", "A", T0) == first
    changes = engine.changes()
    assert (changes.rows, changes.sightings) == ({}, [])


def test_expected_client_is_told_on_whose_word() -> None:
    """The expectation, its owner and the place that says so; no score, no alert."""
    explanation = told(policy(("group:build", "slack-webhook")), "10.0.20.5", "hooks.slack.com")
    (why,) = step(explanation, "expectation").because
    assert "so agreed" in why.text
    assert "test.yaml:1" in why.text
    assert dict(step(explanation, "conclusion").facts)["alert"] == "no: expected"
    assert "score" not in [one.title for one in explanation]


def test_name_that_nobody_watches() -> None:
    """An unknown name ends the explanation; a known but unwatched one says how to watch it."""
    explanation = told(policy(), "10.1.0.9", "www.example.org")
    assert step(explanation, "conclusion").facts == (("alert", "no"),)
    rules = policy()
    unwatched = Policy(rules.catalog.select("none"), rules.groups, rules.expectations)
    assert "watch.include" in step(told(unwatched, "10.1.0.9", TELEGRAM), "name").because[0].text
    companion = step(told(policy(), "10.1.0.9", "web.telegram.org"), "name")
    assert companion.facts[1] == ("meets", "[*.]web.telegram.org as companion name of telegram-bot")


def test_open_alert_is_named() -> None:
    """A lookup that an open alert would count says which."""
    explanation = told(policy(), "10.1.0.9", TELEGRAM, query(0, "10.1.0.9", TELEGRAM))
    (label, text), *_ = step(explanation, "conclusion").facts
    assert label == "alert"
    assert text.startswith("counted by ")


def test_feed_step_names_zone_and_rule() -> None:
    """Shadow logs, enforce blocks, collateral names and exempted clients pass, off publishes nothing."""
    shadow = step(told(policy(), "10.1.0.9", TELEGRAM), "feed")
    assert dict(shadow.facts) == {
        "mode": "shadow", "zone": "staff.rpz.dnswatch.internal", "rule": "api.telegram.org -> passthru",
    }  # fmt: skip
    enforce = step(told(policy(mode="enforce"), "192.0.2.7", "x.webhook.site"), "feed")
    assert dict(enforce.facts)["zone"] == "any.rpz.dnswatch.internal"
    assert dict(enforce.facts)["rule"] == "*.webhook.site -> nxdomain"
    collateral = step(told(policy(mode="enforce"), "10.1.0.9", "discord.com"), "feed")
    assert dict(collateral.facts)["rule"] == "none: the name passes"
    assert collateral.because[0].term == "collateral"
    exempt = step(told(policy(("10.1.0.9", "slack-webhook"), mode="enforce"), "10.1.0.9", TELEGRAM), "feed")
    assert exempt.because[0].term == "exempt"
    assert step(told(policy(mode="off"), "10.1.0.9", TELEGRAM), "feed").facts == (("mode", "off"),)


def test_line_step_tells_how_it_was_read() -> None:
    """Queries, verdicts, notices, weird lines, and lines without anything for us; hostile bytes are escaped."""
    asked = explain.line("bind", b"\x1b[31m query", query(0, "10.1.0.9", TELEGRAM))
    assert dict(asked.facts)["text"] == "\\x1b[31m query"
    assert dict(asked.facts)["client"] == "10.1.0.9 port 5353"
    said = explain.line("bind", b"", verdict(0, "10.1.0.9", TELEGRAM, "rewrite", action="nxdomain", disabled=True))
    assert "policy disabled" in dict(said.facts)["applied"]
    assert "overflow" in dict(explain.line("dnsmasq", b"", Notice(T0, "overflow", "", 3, b"", 0)).facts)["says"]
    assert "unprintable" in dict(explain.line("dnsmasq", b"", Weird(T0, "unprintable name", "", b"", 0)).facts)["says"]
    assert "nothing" in dict(explain.line("bind", b"", None).facts)["says"]


def test_verdict_line_says_what_it_means() -> None:
    """A pass in our zone is a block that shadow mode did not make."""
    via = f"{TELEGRAM}.staff.rpz.dnswatch.internal"
    said = verdict(0, "10.1.0.9", TELEGRAM, "rewrite", action="passthru", via=via)
    explanation = explain.lookup(Engine(policy()), "10.1.0.9", TELEGRAM, "A", T0, said)
    assert step(explanation, "outcome").facts == (("this line means", "would-block"),)


def test_stored_alert_is_told_with_its_own_reasons() -> None:
    """An alert prints the reasons it was made with, even when its service has left the catalogue."""
    rules = policy()
    (alert,) = feed(Engine(rules), [query(0, "10.1.0.9", TELEGRAM)])
    explanation = explain.alert(alert, rules)
    assert step(explanation, "score").because == alert.because
    assert step(explanation, "evidence").facts[0][0] == "/var/log/ns1.log:0"
    from dnswatch.core.catalog import Catalog

    gone = explain.alert(alert, Policy(Catalog(), rules.groups, rules.expectations))
    assert step(gone, "service").facts == (("service", "telegram-bot: not in the catalogue any more"),)


def test_forms() -> None:
    """The plain form is JSON; the text form has every step and reason."""
    explanation = told(policy(), "10.1.0.9", TELEGRAM)
    plain = json.loads(json.dumps(explain.to_plain(explanation)))
    assert [one["step"] for one in plain] == [
        "name", "client", "expectation", "facts", "score", "feed", "conclusion",
    ]  # fmt: skip
    text = explain.to_text(explanation)
    assert "  - telegram-bot first seen from 10.1.0.9 (+10)\n" in text


def test_what_a_client_is_like_is_told_with_numbers() -> None:
    """Whole days of samples behind a client show, and that a configured role decides."""
    engine = Engine(policy())
    for hour in range(4 * 24):
        for client in ("10.3.0.5", "10.0.10.7"):
            engine.history.roles.sampled(client, T0 + hour * 3600, f"www.name{hour % 5}.test", "A")
    at = T0 + 5 * DAY_S
    server, known = (
        dict(step(explain.lookup(engine, client, "api.telegram.org", "A", at), "client").facts)["behaves like"]
        for client in ("10.3.0.5", "10.0.10.7")
    )
    assert server.startswith("a server: 96 sampled lookups on ")
    assert server.endswith(": 5 domains, none of type HTTPS, round the clock")
    assert known == f"{server} (the role of its group decides)"
    terms = {
        term.term for term in step(explain.lookup(engine, "10.3.0.5", "api.telegram.org", "A", at), "facts").because
    }
    assert "server-like" in terms
