"""The engine opens, raises, counts and closes alerts as DESIGN §3-§5 says."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dnswatch.core.detect.attempts import Attempt, Attempts
from dnswatch.core.detect.engine import Action, Engine, SightingRow
from dnswatch.core.detect.episodes import alert_id
from dnswatch.core.model import Lease, Notice, Weird
from dnswatch.core.policy import DAY_S, Lane
from tests.core.detection import T0, alerts, brief, feed, policy, query, verdict

TELEGRAM = "api.telegram.org"


def test_unexpected_lookup_opens_an_alert() -> None:
    """One lookup by a client that nobody expects is one alert at rev 1, with its reasons and its line."""
    (alert,) = feed(Engine(policy()), [query(0, "10.1.0.9", TELEGRAM)])
    assert (alert.rev, alert.state, alert.severity, alert.count, alert.cause) == (1, "open", "low", 1, "opened")
    assert alert.id == alert_id("10.1.0.9", "telegram-bot", T0, TELEGRAM)
    assert alert.client.group == "staff"
    assert [reason.term for reason in alert.because][:2] == ["base", "unexpected"]
    assert alert.evidence[0].path == "/var/log/ns1.log"
    assert alert.evidence[0].line == f"0.000 10.1.0.9#5353 {TELEGRAM} A"
    assert alert.rule_id == "DNSW-bot-api"
    assert alert.domain == "telegram.org"


def test_expected_lookup_is_remembered_and_raises_nothing() -> None:
    """Whoever is expected to use a service leaves a sighting row and no alert."""
    engine = Engine(policy(("group:build", "slack-webhook")))
    assert feed(engine, [query(0, "10.0.20.5", "hooks.slack.com")]) == []
    assert engine.changes().sightings == [
        SightingRow(int(T0) // 3600 * 3600, "10.0.20.5", "hooks.slack.com", "A", "slack-webhook", True, T0, T0, 1)
    ]
    assert engine.counters["expected"] == 1


def test_lookups_within_five_seconds_are_one_attempt() -> None:
    """A, AAAA, HTTPS and a resend at exactly 5 s count once; the next one counts again."""
    engine = Engine(policy())
    lines = [query(0, "10.1.0.9", TELEGRAM, "HTTPS"), query(0.1, "10.1.0.9", TELEGRAM, "A"),
             query(0.1, "10.1.0.9", TELEGRAM, "AAAA"), query(5.0, "10.1.0.9", TELEGRAM, "A")]  # fmt: skip
    assert len(feed(engine, lines)) == 1
    feed(engine, [query(5.1, "10.1.0.9", TELEGRAM)])
    alert = engine.alert(alert_id("10.1.0.9", "telegram-bot", T0, TELEGRAM))
    assert alert is not None
    assert alert.count == 2
    assert alert.last_at == T0 + 5.1
    assert len(alert.evidence) == 5


def test_other_names_and_clients_are_other_attempts() -> None:
    """The same name by another client, or another name of the service, is an attempt of its own."""
    engine = Engine(policy())
    made = feed(engine, [
        query(0, "10.1.0.9", "webhook.site"), query(1, "10.1.0.9", "abc.webhook.site"),
        query(2, "10.1.0.8", "webhook.site"),
    ])  # fmt: skip
    assert [(alert.client.address, alert.count) for alert in made] == [("10.1.0.9", 1), ("10.1.0.8", 1)]
    now = engine.alert(made[0].id)
    assert now is not None
    assert (now.count, now.qnames) == (2, ("webhook.site", "abc.webhook.site"))


def test_count_makes_revisions_at_powers_of_ten() -> None:
    """Revisions come at 10, 100 and 1000 attempts, not in between."""
    made = feed(Engine(policy()), [query(6 * i, "10.1.0.9", TELEGRAM) for i in range(1000)])
    assert [(alert.rev, alert.count, alert.cause) for alert in made] == [
        (1, 1, "opened"), (2, 10, "count"), (3, 100, "count"), (4, 1000, "count"),
    ]  # fmt: skip


def test_evidence_is_the_first_and_last_five_lines() -> None:
    """An alert of many lines keeps ten of them."""
    made = feed(Engine(policy()), [query(6 * i, "10.1.0.9", TELEGRAM) for i in range(100)])
    assert [line.offset // 6000 for line in made[-1].evidence] == [0, 1, 2, 3, 4, 95, 96, 97, 98, 99]


def test_episode_ends_after_a_quiet_week_at_its_deadline() -> None:
    """The alert closes at the seventh quiet day, before the event that follows, and the next lookup opens another."""
    engine = Engine(policy())
    (first,) = feed(engine, [query(0, "10.1.0.9", TELEGRAM)])
    closed, opened = feed(engine, [query(8 * DAY_S, "10.1.0.9", TELEGRAM)])
    assert (closed.id, closed.rev, closed.state, closed.cause) == (first.id, 2, "closed", "ended")
    assert closed.at == T0 + 7 * DAY_S
    assert (opened.rev, opened.count, opened.state) == (1, 1, "open")
    assert opened.id != first.id


def test_an_attempt_at_the_deadline_still_belongs_to_the_episode() -> None:
    """Seven days to the second is not yet more than seven days."""
    engine = Engine(policy())
    feed(engine, [query(0, "10.1.0.9", TELEGRAM)])
    assert feed(engine, [query(7 * DAY_S, "10.1.0.9", TELEGRAM)]) == []
    assert engine.advance(T0 + 14 * DAY_S, 0.0) == []
    (closed,) = alerts(engine.advance(T0 + 14 * DAY_S + 1, 0.0))
    assert closed.at == T0 + 14 * DAY_S
    assert closed.count == 2


def test_timers_fire_in_time_order() -> None:
    """Two episodes end in the order of their deadlines, whatever the order of their keys."""
    engine = Engine(policy())
    feed(engine, [query(0, "10.1.0.9", TELEGRAM), query(1, "10.1.0.1", TELEGRAM), query(2, "10.1.0.5", TELEGRAM)])
    closed = alerts(engine.advance(T0 + 30 * DAY_S, 0.0))
    assert [alert.client.address for alert in closed] == ["10.1.0.9", "10.1.0.1", "10.1.0.5"]


def test_late_lines_are_judged_at_their_own_stamp() -> None:
    """A line older than log time is counted as late and opens its own attempt, without disturbing the newer one."""
    engine = Engine(policy())
    feed(engine, [query(60, "10.1.0.9", TELEGRAM)])
    feed(engine, [query(40, "10.1.0.9", TELEGRAM), query(41, "10.1.0.9", TELEGRAM, "AAAA")])
    feed(engine, [query(61, "10.1.0.9", TELEGRAM, "AAAA")])
    (alert,) = (engine.alert(a) for a in [alert_id("10.1.0.9", "telegram-bot", T0 + 60, TELEGRAM)])
    assert alert is not None
    assert (alert.count, alert.first_at, alert.last_at) == (2, T0 + 40, T0 + 61)
    assert engine.counters["late"] == 2


def test_late_line_joins_the_first_of_several_attempts() -> None:
    """A client's three attempts stay three when a late line of the first comes at the end."""
    engine = Engine(policy())
    feed(engine, [query(at, "10.1.0.9", TELEGRAM) for at in (0, 10, 20)])
    feed(engine, [query(0.5, "10.1.0.9", TELEGRAM, "AAAA")])
    alert = engine.open_alert("10.1.0.9", "telegram-bot")
    assert alert is not None
    assert alert.count == 3


def test_source_that_is_behind_is_counted_exactly() -> None:
    """A and AAAA of one attempt are one, however far the source that tells of them is behind another one."""
    engine = Engine(policy())
    feed(engine, [query(3600, "10.1.0.1", TELEGRAM)], "ns1")
    for at in range(0, 300, 20):
        feed(engine, [query(at, "10.1.0.9", TELEGRAM)], "ns2")
        feed(engine, [query(at + 1, "10.1.0.9", TELEGRAM, "AAAA")], "ns2")
    alert = engine.open_alert("10.1.0.9", "telegram-bot")
    assert alert is not None
    assert alert.count == 15


def test_interleaved_sources_are_not_late() -> None:
    """A source with whole seconds beside one with fractions is not late; a line is, behind its own source or by far."""
    engine = Engine(policy())
    for at in range(5):
        feed(engine, [query(at + 0.9, "10.1.0.9", "a.example")], "bind")
        feed(engine, [query(at, "10.1.0.9", "a.example")], "dnsmasq")
    assert engine.counters["late"] == 0
    feed(engine, [query(4.5, "10.1.0.9", "a.example")], "bind")
    feed(engine, [query(1, "10.1.0.9", "a.example")], "third")
    assert engine.counters["late"] == 2


def test_recon_and_companion_names_are_noted_only() -> None:
    """Names that are no sighting raise nothing and stay in history for later signals."""
    engine = Engine(policy())
    assert feed(engine, [query(0, "10.1.0.9", "api.ipify.org"), query(1, "10.1.0.9", "web.telegram.org")]) == []
    noted = engine.history.note("10.1.0.9", "recon", "recon")
    assert noted is not None
    assert noted.last_at == T0
    assert engine.history.note("10.1.0.9", "companion", "telegram-bot") is not None


def test_expired_expectation_alerts_at_once() -> None:
    """From `until` on the same client is unexpected, and the alert says whose permission ended."""
    engine = Engine(policy(("10.1.0.9", "telegram-bot"), until=T0 + 100))
    assert feed(engine, [query(99, "10.1.0.9", TELEGRAM)]) == []
    (alert,) = feed(engine, [query(110, "10.1.0.9", TELEGRAM)])
    assert "expired" in [reason.term for reason in alert.because]


def test_lease_names_the_client_at_event_time() -> None:
    """A lease in the log gives the alert its host name, and an expectation on that name holds."""
    engine = Engine(policy(("name:printer-3", "telegram-bot")))
    lease = Lease(T0, "10.1.0.9", "printer-3", "10:20:30:40:50:59", None)
    assert feed(engine, [lease, query(1, "10.1.0.9", TELEGRAM)]) == []
    (alert,) = feed(engine, [query(2, "10.1.0.9", "webhook.site")])
    assert (alert.client.name, alert.client.mac) == ("printer-3", "10:20:30:40:50:59")


def test_weird_lines_and_notices_are_counted() -> None:
    """What cannot be trusted is counted by kind, and per client."""
    engine = Engine(policy())
    feed(engine, [
        Weird(0.0, "unreadable stamp", "", b"x", 0), Weird(T0, "unprintable name", "10.1.0.9", b"y", 2),
        Notice(T0, "overflow", "lost", 17, b"z", 4), Notice(T0, "anchor", "said", 1_790_000_000, b"z", 6),
    ])  # fmt: skip
    assert engine.counters["weird:unreadable stamp"] == 1
    assert (engine.counters["notice:overflow"], engine.counters["notice:anchor"]) == (17, 1)
    seen = engine.history.weird("10.1.0.9")
    assert seen is not None
    assert seen.count == 1


# ── Operators ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_acknowledged_alert_stays_acknowledged_and_says_by_whom() -> None:
    """An operator's word makes a revision and stands in the reasons from then on."""
    engine = Engine(policy())
    (alert,) = feed(engine, [query(0, "10.1.0.9", TELEGRAM)])
    (acked,) = alerts(engine.act(Action("ack", alert.id, T0 + 5, by="mara", note="known test")))
    assert (acked.rev, acked.state, acked.cause) == (2, "acknowledged", "acknowledged")
    assert acked.because[-1].text == "acknowledged by mara: known test"
    later = feed(engine, [query(10 * i, "10.1.0.9", TELEGRAM) for i in range(1, 10)])
    assert [(one.state, one.cause) for one in later] == [("acknowledged", "count")]


def test_closed_alert_is_over_and_the_next_lookup_opens_another() -> None:
    """Closing ends the episode; an action on a closed alert changes nothing and is counted."""
    engine = Engine(policy())
    (alert,) = feed(engine, [query(0, "10.1.0.9", TELEGRAM)])
    (closed,) = alerts(engine.act(Action("close", alert.id, T0 + 5)))
    assert closed.state == "closed"
    assert engine.act(Action("ack", alert.id, T0 + 6)) == []
    assert engine.counters["action-unknown-alert"] == 1
    (again,) = feed(engine, [query(10, "10.1.0.9", TELEGRAM)])
    assert (again.rev, again.id == alert.id) == (1, False)


def test_snoozed_alert_is_open_again_when_its_time_has_come() -> None:
    """A snooze ends at its deadline in log time."""
    engine = Engine(policy())
    (alert,) = feed(engine, [query(0, "10.1.0.9", TELEGRAM)])
    (snoozed,) = alerts(engine.act(Action("snooze", alert.id, T0 + 5, until=T0 + 100)))
    assert snoozed.state == "snoozed"
    (reopened,) = feed(engine, [query(200, "10.1.0.8", "unwatched.test")])
    assert (reopened.state, reopened.at, reopened.rev) == ("open", T0 + 100, 3)


def test_comment_leaves_a_snooze_as_it_is() -> None:
    """Who only writes something down does not make a snooze endless."""
    engine = Engine(policy())
    (alert,) = feed(engine, [query(0, "10.1.0.9", TELEGRAM)])
    engine.act(Action("snooze", alert.id, T0 + 5, until=T0 + 100))
    (commented,) = alerts(engine.act(Action("comment", alert.id, T0 + 6, note="asked the owner")))
    assert commented.state == "snoozed"
    assert [one.state for one in alerts(engine.advance(T0 + 200, 0.0))] == ["open"]


# ── Bounds ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_tables_stay_bounded_under_a_flood(monkeypatch: pytest.MonkeyPatch) -> None:
    """Random clients and names fill the tables to their limits, no further, and what had to go is counted."""
    monkeypatch.setattr("dnswatch.core.detect.state.EPISODES", 50)
    monkeypatch.setattr("dnswatch.core.detect.attempts.LIMIT", 40)
    monkeypatch.setattr("dnswatch.core.detect.history.PAIRS", 30)
    monkeypatch.setattr("dnswatch.core.detect.timers.SLACK", 10)
    judged_by = policy()
    engine = Engine(replace(judged_by, detection=replace(judged_by.detection, strangers=Lane(5_000, 1.0))))
    made = feed(engine, [query(i * 0.01, f"10.1.{i // 250}.{i % 250}", f"x{i}.webhook.site") for i in range(2000)])
    sizes, evicted = engine.sizes(), engine.evicted()
    assert sizes["episodes"] == 50
    assert sizes["attempts"] == 40
    assert sizes["pair"] == 30
    assert sizes["timers"] <= 2 * (50 + 40) + 11
    assert evicted["episodes"] == 1950
    assert evicted["attempts"] == 1960
    assert len([alert for alert in made if alert.cause == "evicted"]) == 1950
    engine.changes()
    assert engine.counters["evicted:episodes"] == 1950


def test_tables_stay_bounded_while_log_time_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    """A source that is days behind another one opens attempts by the thousand within one moment of log time."""
    monkeypatch.setattr("dnswatch.core.detect.attempts.LIMIT", 50)
    monkeypatch.setattr("dnswatch.core.detect.timers.SLACK", 50)
    engine = Engine(policy(mode="enforce"))
    feed(engine, [verdict(at, "10.1.0.8", "webhook.site", "rewrite", via="x.any.rpz.dnswatch.internal",
                          action="nxdomain") for at in (0, 9000)])  # fmt: skip
    for n in range(1000):
        feed(engine, [query(8 * n, "10.1.0.9", TELEGRAM)])
    assert engine.counters["unexpected"] == 1002
    assert len(engine._attempts._queue) <= 101
    assert engine.sizes()["timers"] < 200


def test_answer_without_client_is_joined_at_once_in_a_flood() -> None:
    """A name asked for by thousands of forged clients does not make each of its answers a search among them."""
    table = Attempts()
    for n in range(5000):
        at = T0 + n / 100
        table.open(Attempt(f"10.9.{n >> 8}.{n & 255}", TELEGRAM, at, "ns1", "telegram-bot", False), at)
    assert next(table.recent(TELEGRAM, T0 + 50)).client == "10.9.19.135"  # the last one first
    assert table.only(TELEGRAM, T0 + 50) is None


def test_revisions_are_the_same_when_nothing_is_known_of_the_source() -> None:
    """Two engines fed the same lines say the same."""
    lines = [query(i, f"10.1.0.{i % 3}", TELEGRAM) for i in range(50)]
    assert brief(feed(Engine(policy()), lines)) == brief(feed(Engine(policy()), lines))


def test_rewrite_line_of_an_unwatched_name_is_counted_only() -> None:
    """Third-party zones rewrite names that are none of ours."""
    engine = Engine(policy())
    made = feed(engine, [verdict(0, "10.1.0.9", "ads.test", "rewrite", action="nxdomain", via="ads.test.rpz.vendor")])
    assert made == []
    assert engine.counters["unwatched"] == 1
