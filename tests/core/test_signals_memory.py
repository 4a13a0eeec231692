"""Signals with a memory: what they count, how big it grows, what a restart keeps."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import replace

import pytest

from dnswatch.core.detect.engine import Engine
from dnswatch.core.detect.signals import SIGNALS
from dnswatch.core.detect.signals.burst import tail
from dnswatch.core.detect.signals.prevalence import Users
from dnswatch.core.detect.signals.volume import Load
from dnswatch.core.model import Alert, Event, Lease, Weird
from dnswatch.core.policy import DAY_S, Detection
from tests.core.detection import T0, alerts, feed, policy, query


def terms(alert: Alert) -> set[str]:
    return {reason.term for reason in alert.because}


def test_the_chance_of_a_burst() -> None:
    """Negative binomial, checked against its definition; small tails keep their digits."""
    shape, rate, span = 2.5, 3.0, 1 / 24
    p = span / (rate + span)
    point = [math.exp(math.lgamma(shape + k) - math.lgamma(shape) - math.lgamma(k + 1)) * (1 - p) ** shape * p**k
             for k in range(60)]  # fmt: skip
    for count in (0, 1, 3, 8):
        assert tail(count, shape, rate, span) == pytest.approx(sum(point[count:]), rel=1e-9)
    assert 0 < tail(20, 0.5, 15.0, 1 / 24) < 1e-40


def test_an_hour_holds_any_number_of_lookups() -> None:
    """A byte an hour is enough for most pairs; what does not fit into it is counted on, through a restart too."""
    load = Load(1000)
    for _ in range(255):
        load.add(1000)
    for _ in range(645):
        load.add(1000)
    load.add(999)
    assert load.count(1000) == 901
    kept = Load.of_row(json.loads(json.dumps(load.row())))
    kept.pass_to(1001)
    kept.add(1001)
    assert kept.count(1001) == 902
    kept.pass_to(1024)
    assert kept.count(1024) == 1


def busy_engine() -> Engine:
    """An engine whose every signal has all it can remember of one client."""
    engine = Engine(policy(learning_days=1.0))
    names = ("api.telegram.org", "hooks.slack.com", "webhook.site", "x.oast.fun", "ntfy.sh", "api.ipify.org")
    feed(engine, [query(i * 700.0, "10.1.0.9", names[i % len(names)]) for i in range(3000)])
    return engine


def test_a_pair_takes_less_than_a_kilobyte() -> None:
    """Every row of a signal's memory stays small however long it runs."""
    sizes: dict[str, int] = {}
    for (kind, _), row in busy_engine().changes().rows.items():
        if kind.startswith("signal:") or kind == "activity":
            sizes[kind] = max(sizes.get(kind, 0), len(json.dumps(row)))
    assert set(sizes) >= {"signal:burst", "signal:regularity", "signal:sequence", "signal:second-category", "activity"}
    assert all(size < 1024 for size in sizes.values()), sizes
    assert sizes["signal:burst"] + sizes["signal:regularity"] < 1024


def stored(engine: Engine) -> Iterator[tuple[str, str, dict[str, object]]]:
    for (kind, key), row in engine.changes().rows.items():
        if row is not None:
            yield kind, key, json.loads(json.dumps(row))


def test_memories_survive_a_restart() -> None:
    """Each signal's rows are as many in a new engine."""
    engine = busy_engine()
    rules = policy(learning_days=1.0)
    again = Engine(rules)
    again.restore(stored(engine))
    remembering = {name: size for name, size in engine.sizes().items() if name.startswith("signal:") and size}
    assert len(remembering) >= 5
    assert {name: again.sizes()[name] for name in remembering} == remembering


def test_judging_remembers_nothing() -> None:
    """`explain` asks the signals as often as it likes."""
    engine = busy_engine()
    engine.changes()
    engine.judge("10.1.0.9", "api.telegram.org", "A", engine.log_now + 1)
    assert not [kind for kind, _ in engine.changes().rows if kind.startswith("signal:")]


def test_a_companion_follows_the_host_that_a_lease_names() -> None:
    """DHCP gives a person another address; the app that was seen before vouches for the host."""
    engine = Engine(policy(learning_days=1.0))
    mac = "10:20:30:40:50:59"
    feed(engine, [Lease(T0, "10.1.0.9", "", mac, T0 + 9 * DAY_S), query(60, "10.1.0.9", "x.discord.media")])
    moved = Lease(T0 + 5 * DAY_S, "10.1.0.20", "", mac, T0 + 9 * DAY_S)
    made = feed(engine, [moved, query(5 * DAY_S + 60, "10.1.0.20", "discord.com")])
    made += feed(engine, [query(5 * DAY_S + 61, "10.1.0.21", "discord.com")])
    made += alerts(engine.advance(T0 + 5 * DAY_S + 600, 0.0))
    known, stranger = (next(a for a in reversed(made) if a.client.address == f"10.1.0.{n}") for n in (20, 21))
    assert "companion-known" in terms(known)
    assert "companion-absent" in terms(stranger)


def test_a_client_with_a_lease_has_a_rhythm_like_any_other() -> None:
    """What is remembered by address and MAC is found by them."""
    engine = Engine(policy())
    leases = [Lease(T0, "10.1.0.9", "", "10:20:30:40:50:59", T0 + DAY_S)]
    made = feed(engine, [*leases, *(query(60 + i * 600.0, f"10.1.0.{n}", "api.telegram.org")
                                    for i in range(12) for n in (8, 9))])  # fmt: skip
    assert {alert.client.address for alert in made if "regular" in terms(alert)} == {"10.1.0.8", "10.1.0.9"}


def test_a_review_that_finds_nothing_makes_no_revision() -> None:
    """Looking again is silent unless severity rises."""
    engine = Engine(policy())
    assert len(feed(engine, [query(0, "10.1.0.9", "discord.com")])) == 1
    assert engine.advance(T0 + 600, 0.0) == []


def test_points_and_options_come_from_the_policy() -> None:
    """An operator's number is used and printed."""
    detection = Detection(points={"segment": 33}, options={"burst": {"lookups": 3}})
    assert SIGNALS["role"](detection).points("segment") == 33
    assert SIGNALS["burst"](detection).options.lookups == 3  # type: ignore[attr-defined]


# ── expected clients ──────────────────────────────────────────────────────────────────────────────────────────


def test_an_expected_client_is_told_of_only_when_it_departs_from_its_habits() -> None:
    """Daily posts for a week say nothing; ten in an hour then do, low and with the expectation named."""
    engine = Engine(policy(("10.1.0.9", "slack-webhook"), learning_days=1.0))
    calm = [query(day * DAY_S + i * 60, "10.1.0.9", "hooks.slack.com") for day in range(8) for i in range(2)]
    assert feed(engine, calm) == []
    made = feed(engine, [query(8 * DAY_S + i * 60, "10.1.0.9", "hooks.slack.com") for i in range(12)])
    assert [(alert.severity, alert.count, alert.score) for alert in made] == [("low", 1, 31)]
    assert {"deviation", "expectation", "burst", "volume"} <= terms(made[0])


def posts(day: float, count: int, client: str = "10.1.0.9") -> list[Event]:
    """Lookups spread evenly over a day."""
    return [query((day + i / count) * DAY_S, client, "hooks.slack.com") for i in range(count)]


def test_a_day_of_five_times_the_usual_is_a_deviation_and_says_its_numbers() -> None:
    """No hour of it is a burst; it is told of once, for the next day's habit knows it."""
    engine = Engine(policy(("10.1.0.9", "slack-webhook"), learning_days=1.0))
    assert feed(engine, [one for day in range(9) for one in posts(day, 12)]) == []
    made = feed(engine, [*posts(9, 60), *posts(10, 60), *posts(11, 60)])
    assert [(alert.severity, alert.score, alert.rev) for alert in made] == [("low", 31, 1), ("low", 31, 2)]
    (text,) = (reason.text for reason in made[0].because if reason.term == "volume")
    assert text.startswith("volume: 36 lookups of slack-webhook in 24 h; the median of 10 earlier days is 12")
    assert made[0].at < T0 + 10 * DAY_S
    told = engine.open_alert("10.1.0.9", "slack-webhook")
    feed(engine, [*posts(12, 60), *posts(13, 60)])
    again = engine.open_alert("10.1.0.9", "slack-webhook")
    assert told is not None
    assert again is not None
    assert told.count == again.count


def test_habits_that_are_no_deviation_in_volume() -> None:
    """Twice as much, a weekly job, a client without five days of past, and one whose days differ anyway."""
    engine = Engine(policy(("10.1.0.0/24", "slack-webhook"), learning_days=0.1))
    feed(engine, posts(0, 1, "10.1.0.1"))  # the permission's first use is another story
    twice = [one for day in range(1, 9) for one in posts(day, 12 if day < 8 else 24, "10.1.0.1")]
    weekly = [one for week in range(8) for one in posts(1 + 7 * week, 40, "10.1.0.2")]
    young = [one for day in range(1, 5) for one in posts(day, 6 if day < 4 else 60, "10.1.0.3")]
    uneven = [one for day in range(1, 12) for one in posts(day, (3, 30, 9, 55, 14)[day % 5], "10.1.0.4")]
    assert feed(engine, sorted([*twice, *weekly, *young, *uneven], key=lambda one: one.at)) == []


def test_volume_weighs_what_the_operator_says() -> None:
    """Points are data: with enough of them a deviation is medium."""
    rules = policy(("10.1.0.9", "slack-webhook"), learning_days=1.0)
    rules = replace(rules, detection=replace(rules.detection, points={"volume": 26}))
    engine = Engine(rules)
    feed(engine, [one for day in range(9) for one in posts(day, 12)])
    assert [alert.severity for alert in feed(engine, posts(9, 40))] == ["medium"]


def test_a_restart_within_a_day_of_much_changes_nothing() -> None:
    """The hours of the day at hand survive, and so does the habit."""
    rules = policy(("10.1.0.9", "slack-webhook"), learning_days=1.0)
    whole, first = Engine(rules), Engine(rules)
    before, after = [one for day in range(9) for one in posts(day, 12)] + posts(9, 60)[:20], posts(9, 60)[20:]
    expected = feed(whole, [*before, *after])
    feed(first, before)
    again = Engine(rules)
    again.restore(stored(first))
    assert [(one.id, one.at) for one in feed(again, after)] == [(one.id, one.at) for one in expected] != []


def test_lines_that_come_late_do_not_disturb_the_volume_of_their_days() -> None:
    """One of an hour ago counts in its hour; one of two days ago counts nowhere."""
    engine = Engine(policy(("10.1.0.9", "slack-webhook"), learning_days=1.0))
    feed(engine, [one for day in range(9) for one in posts(day, 12)])
    late = [query((7 + i / 50) * DAY_S, "10.1.0.9", "hooks.slack.com") for i in range(40)]
    assert feed(engine, [*posts(9, 12), *late]) == []


def test_a_deviation_becomes_an_alert_like_any_other_when_the_expectation_ends() -> None:
    """The same episode goes on, from the service's own base."""
    engine = Engine(policy(("10.1.0.9", "webhook-site"), learning_days=0.1, until=T0 + DAY_S))
    feed(engine, [query(0, "10.1.0.8", "api.ipify.org")])
    (first,) = feed(engine, [query(DAY_S / 2, "10.1.0.9", "webhook.site")])
    (then,) = feed(engine, [query(2 * DAY_S, "10.1.0.9", "webhook.site")])
    assert (first.severity, then.severity, then.id, then.rev) == ("low", "high", first.id, 2)
    assert "first-use" in terms(first)
    assert {"base", "expired", "category"} <= terms(then)
    assert "deviation" not in terms(then)


def test_untrustworthy_lines_of_a_client_add_a_little() -> None:
    """Three of them within a day, and never a fact by themselves."""
    engine = Engine(policy())
    odd = [Weird(T0 + i, "unprintable name", "10.1.0.9", b"?", i) for i in range(3)]
    (alert,) = feed(engine, [*odd, query(60, "10.1.0.9", "api.telegram.org")])
    assert (alert.severity, "hostile-names" in terms(alert)) == ("low", True)
    (other,) = feed(engine, [query(70, "10.1.0.8", "api.telegram.org")])
    assert "hostile-names" not in terms(other)


# ── query types ───────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("qtypes", "told"), [(("A", "AAAA"), True), (("A", "HTTPS"), False)])
def test_a_browsers_missing_query_type_adds_a_little(qtypes: tuple[str, ...], told: bool) -> None:
    """A client that sends type HTTPS all day did not send it beside this name."""
    engine = Engine(policy())
    for i in range(60):
        engine.history.roles.sampled("10.1.0.9", T0 + i, f"www{i}.site.test", ("HTTPS", "A", "AAAA")[i % 3])
    asked = [query(DAY_S + i, "10.1.0.9", "api.telegram.org", qtype) for i, qtype in enumerate(qtypes)]
    feed(engine, asked)
    engine.advance(T0 + DAY_S + 60, 0.0)
    alert = engine.open_alert("10.1.0.9", "telegram-bot")
    assert alert is not None
    assert ("query-type" in terms(alert)) == told


def test_a_row_that_was_taken_knows_nothing_of_what_came_later() -> None:
    """The store writes it in a thread: what comes meanwhile belongs to the next checkpoint."""
    users = Users(day=1)
    users.add(1, expected=False)
    row = users.row()
    users.add(1, expected=False)
    assert (row["unexpected"], users.row()["unexpected"]) == ([[1, 1]], [[1, 2]])
