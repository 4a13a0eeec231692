"""Every signal: when it speaks, what it says, and what all registered ones must do."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from dnswatch.core.detect.engine import Engine
from dnswatch.core.detect.history import History
from dnswatch.core.detect.judgement import sight
from dnswatch.core.detect.score import POINTS
from dnswatch.core.detect.signals import SIGNALS
from dnswatch.core.detect.signals.first_seen import FirstSeen
from dnswatch.core.model import Client, Sighting
from dnswatch.core.policy import DAY_S, Detection
from tests.core.detection import T0, feed, policy, query

STAFF = Client("10.1.0.9", "staff", "workstation")
SERVER = Client("10.0.10.7", "servers", "server")
PRINTER = Client("10.5.0.3", "things", "iot")


def sighting(client: Client, qname: str, at: float = 0.0) -> Sighting:
    rules = policy()
    (indicator, *_) = rules.catalog.match(qname)
    return sight(rules, f"{client.address} {indicator.service}", client, indicator, qname, "A", T0 + at)


def past(*seen: Sighting, began: float = -100 * DAY_S) -> History:
    history = History()
    history.began_at = T0 + began
    for one in seen:
        history.record(one)
    return history


@pytest.mark.parametrize(("learning_days", "began", "words"), [
    (0.0, 0.0, "telegram-bot first seen on this network (learning is off)"),
    (0.5, -0.6, "telegram-bot first seen on this network, in less than a day of log"),
    (1.0, -1.2, "telegram-bot first seen on this network, in 1 day of log"),
    (14.0, -14.0, "telegram-bot first seen on this network, in 14 days of log"),
])  # fmt: skip
def test_a_first_time_says_how_much_log_it_rests_on(learning_days: float, began: float, words: str) -> None:
    """Whole days, and no zero days where nothing was to be learnt."""
    signal = FirstSeen(Detection(learning_s=learning_days * DAY_S))
    found = signal.judge(sighting(STAFF, "api.telegram.org"), past(began=began * DAY_S))
    assert found is not None
    assert found.because[0].text == words


def test_first_use_of_an_expectation_needs_a_learning_period() -> None:
    """With `learning.days: 0` nobody has habits, so an expected lookup is no deviation."""
    one = sighting(STAFF, "api.telegram.org")
    assert FirstSeen(Detection()).deviate(one, past()) is not None
    assert FirstSeen(Detection(learning_s=0.0)).deviate(one, past()) is None


def test_registry_is_sorted_by_the_signals_names() -> None:
    """The registry's key is the signal's name; the order is that of the terms in alerts."""
    assert list(SIGNALS) == sorted(SIGNALS)
    assert all(kind.name == name for name, kind in SIGNALS.items())


@pytest.mark.parametrize("name", SIGNALS)
@pytest.mark.parametrize("client", [STAFF, SERVER, PRINTER, Client("192.0.2.1")])
@pytest.mark.parametrize("qname", ["api.telegram.org", "webhook.site", "x.oast.fun", "ntfy.sh"])
def test_every_signal_explains_its_points(name: str, client: Client, qname: str) -> None:
    """A finding carries reasons whose points add up to its own, and judging twice says the same."""
    one = sighting(client, qname)
    for history in (past(), past(one), past(began=0.0)):
        signal = SIGNALS[name](Detection())
        found = signal.judge(one, history)
        assert found == signal.judge(one, history)
        if found is not None:
            assert found.signal == name
            assert found.because
            assert sum(reason.points for reason in found.because) == found.points
            assert all(reason.text.isprintable() for reason in found.because)


@pytest.mark.parametrize("name", SIGNALS)
def test_every_signal_survives_a_restart(name: str) -> None:
    """What a signal remembers is JSON, and a new one takes it back as it was."""
    signal, again = SIGNALS[name](Detection()), SIGNALS[name](Detection())
    if signal.memory is None or again.memory is None:
        return
    one = sighting(STAFF, "api.telegram.org")
    tunnel = replace(one.service, category="tunnel-agent", multi_tenant=True)
    tenant = replace(one.indicator, match="subdomains")
    for expected in (False, True):
        hosted = one._replace(service=tunnel, indicator=tenant, qname="acme.api.telegram.org")
        for attempt in (one._replace(expected=expected), hosted._replace(expected=expected)):
            if signal.remembers(attempt.service, expected):
                signal.observe(attempt, past())
    for indicator in policy().catalog.match("api.ipify.org"):
        signal.note(STAFF.address, indicator, T0)
    rows = json.loads(json.dumps(signal.memory.rows_changed()))
    assert rows
    again.memory.restore([(key, signal.row_type.of_row(row)) for key, row in rows])
    assert {key: row.row() for key, row in again.memory.rows.items()} == dict(rows)


# ── first seen ────────────────────────────────────────────────────────────────────────────────────────────────


def test_first_seen_counts_its_widest_scope() -> None:
    """New to the network, to the group, to the client only, or not new at all."""
    one, signal = sighting(STAFF, "api.telegram.org"), FirstSeen(Detection())
    by_server = sighting(SERVER, "api.telegram.org", -50)
    by_colleague = sighting(Client("10.1.0.8", "staff"), "api.telegram.org", -40)
    for history, term, fact in (
        (past(), "first-seen-network", True),
        (past(by_server), "first-seen-group", True),
        (past(by_server, by_colleague), "first-seen-client", False),
    ):
        found = signal.judge(one, history)
        assert found is not None
        assert (found.because[0].term, found.points, found.fact) == (term, POINTS[term], fact)
    assert signal.judge(one, past(sighting(STAFF, "api.telegram.org", -DAY_S))) is None


def test_first_seen_on_the_network_counts_after_learning_only() -> None:
    """During learning only the client's own first time counts, and the alert says which day it is."""
    one = sighting(STAFF, "api.telegram.org")
    found = FirstSeen(Detection()).judge(one, past(began=-2.5 * DAY_S))
    assert found is not None
    assert (found.points, found.fact) == (POINTS["first-seen-client"], False)
    assert found.because[1].text == "learning: day 3 of 14; first seen on this network does not count yet"
    over = FirstSeen(Detection(learning_s=2 * DAY_S)).judge(one, past(began=-2 * DAY_S))
    assert over is not None
    assert over.because[0].text == "telegram-bot first seen on this network, in 2 days of log (+15)"[:-6]


# ── category, role ────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("client", "qname", "severity"),
    [
        ("10.1.0.9", "api.telegram.org", "low"),  # base medium, held
        ("10.1.0.9", "hooks.slack.com", "low"),
        ("10.1.0.9", "ntfy.sh", "info"),
        ("10.1.0.9", "webhook.site", "high"),  # nobody looks it up by accident
        ("10.0.10.7", "api.telegram.org", "medium"),  # 47 + 10 first seen + 10 server
        ("10.0.10.7", "webhook.site", "critical"),  # 73 + 10 + 10
        ("10.0.10.7", "x.oast.fun", "critical"),  # 73 + 10 + 15
        ("fd00:10::7", "hooks.slack.com", "low"),  # 21 + 10 + 10
    ],
)
def test_severity_of_a_first_lookup(client: str, qname: str, severity: str) -> None:
    """Category, role and the lid together, on the first day of a log."""
    (alert,) = feed(Engine(policy()), [query(0, client, qname)])
    assert alert.severity == severity
    points = min(100, sum(reason.points for reason in alert.because))
    assert alert.score == points


def test_first_seen_on_the_network_lifts_an_alert_above_low() -> None:
    """After the learning period a service that nobody here ever met is a fact by itself."""
    engine = Engine(policy())
    feed(engine, [query(0, "10.1.0.1", "unwatched.test")])
    (alert,) = feed(engine, [query(20 * DAY_S, "10.1.0.9", "api.telegram.org")])
    assert (alert.severity, alert.score) == ("medium", 62)
    (second,) = feed(engine, [query(20 * DAY_S + 60, "10.1.0.8", "api.telegram.org")])
    assert (second.severity, second.score) == ("low", 57)


def test_severity_rises_within_an_episode_and_never_falls() -> None:
    """A client that moves into a server segment raises its alert; leaving it again lowers nothing."""
    engine = Engine(policy())
    (first,) = feed(engine, [query(0, "10.1.0.9", "api.telegram.org")])
    engine.reconfigure(_moved(policy(), "10.1.0.0/16"))
    (raised,) = feed(engine, [query(60, "10.1.0.9", "api.telegram.org")])
    assert (first.severity, raised.severity, raised.rev, raised.cause) == ("low", "medium", 2, "severity")
    engine.reconfigure(policy())
    assert feed(engine, [query(120, "10.1.0.9", "api.telegram.org")]) == []


def _moved(rules: object, network: str) -> object:

    from dnswatch.core.clients.groups import Groups
    from dnswatch.core.model import Group

    return replace(rules, groups=Groups((Group("servers", (network,), "server"),)))
