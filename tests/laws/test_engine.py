"""The law (DESIGN §4): same lines, same order ⇒ same (id, rev, severity, count), however cut, however interrupted."""

from __future__ import annotations

import json
from unittest.mock import patch

from hypothesis import given, settings
from hypothesis import strategies as st

from dnswatch.core.detect.engine import Engine, SightingRow
from dnswatch.core.logs.digest import Digested
from dnswatch.core.model import Alert, Event, Lease, Position, Query, Verdict, Weird
from dnswatch.core.policy import DAY_S, Policy
from tests.core.detection import T0, alerts, policy

CLIENTS = ("10.1.0.9", "10.0.10.7", "10.0.20.5", "127.0.0.1", "fd00:10::7")
NAMES = (
    "api.telegram.org", "hooks.slack.com", "x.webhook.site", "y.webhook.site", "web.telegram.org", "api.ipify.org",
    "ntfy.sh", "discord.com", "x.discord.media", "dns.google",
)  # fmt: skip
GAPS = (0.0, 0.004, 0.5, 1.9, 2.0, 2.1, 4.9, 5.0, 5.1, 60.0, 3600.0, DAY_S, 7 * DAY_S, 8 * DAY_S, -1.0, -30.0)

Step = tuple[float, str, str, str, int]


@st.composite
def logs(draw: st.DrawFn) -> list[tuple[str, Event]]:
    """A log of two sources: mostly close together, now and then a pause, sometimes a late line."""
    steps: list[Step] = draw(
        st.lists(
            st.tuples(
                st.sampled_from(GAPS), st.sampled_from(CLIENTS), st.sampled_from(NAMES),
                st.sampled_from(("query", "query", "query", "rewrite", "shadow", "answer", "plain", "lease", "weird")),
                st.integers(0, 3),
            ),
            max_size=60,
        )
    )  # fmt: skip
    at, events = T0, []
    for i, (gap, client, name, kind, number) in enumerate(steps):
        stamp = at + gap
        at = max(at, stamp)
        events.append(("back" if number == 3 else "front", event(stamp, client, name, kind, number, i)))
    return events


def event(at: float, client: str, name: str, kind: str, number: int, i: int) -> Event:
    line = f"{i} {kind} \x1b[31m {client} {name}".encode()
    if kind == "query":
        return Query(
            at, client, 5000 + number, name, ("A", "HTTPS", "AAAA", "A")[number], "udp", "", number, line, i * 100
        )
    if kind == "lease":
        return Lease(at, client, f"host-{number}", f"10:20:30:40:50:5{number}", None, i * 100)
    if kind == "weird":
        return Weird(at, "unprintable name", client, line, i * 100)
    if kind in ("answer", "plain"):
        asked = "" if kind == "plain" else client
        return Verdict(
            at, asked, 5000 + number, name, "A", number, "answer", "", False, "", ("192.0.2.1",), line, i * 100
        )
    action = "passthru" if kind == "shadow" else "nxdomain"
    via = f"{name}.any.rpz.dnswatch.internal"
    return Verdict(at, client, 5000 + number, name, "A", 0, "rewrite", action, False, via, (), line, i * 100)


def feed(engine: Engine, events: list[Event], source: str) -> list[Alert]:
    """Let the engine receive a block; every third line is a sample too, as position in a file would have it."""
    samples = [(one.offset, one) for one in events if one.offset % 300 == 0]
    block = Digested(list(events), samples, 0, 0)
    return alerts(engine.receive(source, block, Position(source, f"/var/log/{source}.log", 0)))


EAGER = {
    "burst": {"lookups": 2, "days": 0, "expected_days": 0, "p": 0.5, "z": 0.1},
    "companion": {"wait_s": 3.0},
    "query-type": {"samples": 1, "share": 0.1},
    "prevalence": {"clients": 2, "users": 1, "rare": 0.3},
    "regularity": {"lookups": 3, "score": 0.5},
    "sequence": {"habit_hours": 1, "repeats": 2},
    "volume": {"times": 0.5, "lookups": 1, "z": 0.0, "days": 1},
}
"""Settings under which every signal speaks often, so that the law is about something."""
RULES = (
    policy(("group:build", "telegram-bot"), ("name:host-1", "slack-webhook")),
    policy(("group:build", "telegram-bot"), mode="enforce", learning_days=1.0, options=EAGER),
    policy(("127.0.0.1", "ntfy"), mode="enforce", forwarders={"back": frozenset({"127.0.0.1"})}),
    policy(forwarders={"front": frozenset({"127.0.0.1", "10.0.20.5"})}),
    policy(("group:build", "telegram-bot"), ("10.1.0.9", "webhook-site"), ("10.1.0.9", "discord"),
           until=T0 + 9 * DAY_S, learning_days=0.01, options=EAGER),
)  # fmt: skip
POLICIES = st.integers(0, len(RULES) - 1)


class Store:
    """What a checkpoint keeps, as JSON text."""

    def __init__(self) -> None:
        self.rows: dict[tuple[str, str], str] = {}
        self.sightings: dict[tuple[object, ...], int] = {}

    def take(self, engine: Engine) -> None:
        changes = engine.changes()
        for key, row in changes.rows.items():
            if row is None:
                self.rows.pop(key, None)
            else:
                self.rows[key] = json.dumps(row)
        for row in changes.sightings:
            self.add(row)

    def add(self, row: SightingRow) -> None:
        key = (row.hour, row.client, row.qname, row.qtype, row.service, row.expected)
        self.sightings[key] = self.sightings.get(key, 0) + row.count

    def engine(self, rules: Policy) -> Engine:
        engine = Engine(rules)
        engine.restore([(kind, key, json.loads(row)) for (kind, key), row in sorted(self.rows.items())])
        return engine


def said(made: list[Alert]) -> list[tuple[object, ...]]:
    """What the law holds, and more than it asks: outcome, cause, time, reasons and timeline too."""
    return [(a.id, a.rev, a.severity, a.count, a.outcome, a.cause, a.at, a.client, a.because, a.evidence, a.timeline,
             a.left_out) for a in made]  # fmt: skip


def undisturbed(rules: Policy, log: list[tuple[str, Event]]) -> tuple[list[Alert], Store]:
    engine, store, made = Engine(rules), Store(), []
    for source, one in log:
        made += feed(engine, [one], source)
    made += alerts(engine.advance(T0 + 1000 * DAY_S, 0.0))
    store.take(engine)
    return made, store


def check(rules: Policy, log: list[tuple[str, Event]], cuts: set[int], stops: set[int]) -> None:
    """Compare one engine fed line by line with blocks cut at ``cuts`` and new engines from the store at ``stops``."""
    expected, kept = undisturbed(rules, log)
    engine, store, made = Engine(rules), Store(), []
    block: list[Event] = []
    for i, (source, one) in enumerate(log):
        block.append(one)
        last = i + 1 == len(log) or log[i + 1][0] != source
        if last or i in cuts or i in stops:
            made += feed(engine, block, source)
            block = []
        if i in stops:
            store.take(engine)
            engine = store.engine(rules)
    made += alerts(engine.advance(T0 + 1000 * DAY_S, 0.0))
    store.take(engine)
    assert said(made) == said(expected)
    assert store.sightings == kept.sightings
    assert store.rows == kept.rows


PLACES = st.sets(st.integers(0, 60))


@settings(max_examples=150, deadline=None)
@given(number=POLICIES, log=logs(), cuts=PLACES, stops=PLACES)
def test_chunking_and_restarts_change_nothing(
    number: int, log: list[tuple[str, Event]], cuts: set[int], stops: set[int]
) -> None:
    """Blocks of any size, and a new engine from the stored rows at any point, say the same as one engine."""
    check(RULES[number], log, cuts, stops)


@settings(max_examples=100, deadline=None)
@given(number=POLICIES, log=logs(), cuts=PLACES, stops=PLACES)
def test_the_law_holds_with_full_tables(
    number: int, log: list[tuple[str, Event]], cuts: set[int], stops: set[int]
) -> None:
    """What has to go for others goes in the same order after a restart."""
    detect = "dnswatch.core.detect"
    signals = f"{detect}.signals"
    with (
        patch(f"{detect}.state.EPISODES", 2), patch(f"{detect}.attempts.LIMIT", 3), patch(f"{detect}.holds.LIMIT", 1),
        patch.multiple(f"{detect}.history", PAIRS=3, NOTES=2, WEIRD_CLIENTS=2), patch(f"{detect}.timers.SLACK", 2),
        patch("dnswatch.core.clients.roles.CLIENTS", 2), patch(f"{signals}.burst.PAIRS", 2),
        patch(f"{signals}.prevalence.SERVICES", 2), patch(f"{signals}.regularity.SERIES", 4),
        patch(f"{signals}.second_category.CLIENTS", 2), patch(f"{signals}.sequence.CLIENTS", 2),
        patch.multiple(f"{detect}.timeline", CLIENTS=2, TRACES=2, FIRST=1, MOST=3),
        patch(f"{signals}.tenant.SERVICES", 1), patch(f"{signals}.tenant.LABELS", 1),
    ):  # fmt: skip
        check(RULES[number], log, cuts, stops)


@settings(max_examples=60, deadline=None)
@given(number=POLICIES, log=logs(), cuts=PLACES)
def test_rows_that_were_taken_stay_as_they_were(number: int, log: list[tuple[str, Event]], cuts: set[int]) -> None:
    """The store writes rows in its own thread while the engine goes on: later lines must not be in them."""
    engine, taken = Engine(RULES[number]), []
    for i, (source, one) in enumerate(log):
        feed(engine, [one], source)
        if i in cuts:
            rows = engine.changes().rows
            taken.append((rows, json.dumps(list(rows.values()))))
    for rows, text in taken:
        assert json.dumps(list(rows.values())) == text


@settings(max_examples=60, deadline=None)
@given(number=POLICIES, log=logs())
def test_revisions_of_an_alert_are_numbered_and_grow(number: int, log: list[tuple[str, Event]]) -> None:
    """rev counts 1, 2, 3 …; severity, count and outcome never fall; only the last revision may be closed."""
    made, _ = undisturbed(RULES[number], log)
    order = ("info", "low", "medium", "high", "critical")
    for id_ in {alert.id for alert in made}:
        revisions = [alert for alert in made if alert.id == id_]
        assert [alert.rev for alert in revisions] == list(range(1, len(revisions) + 1))
        assert [order.index(a.severity) for a in revisions] == sorted(order.index(a.severity) for a in revisions)
        assert [alert.count for alert in revisions] == sorted(alert.count for alert in revisions)
        assert [alert.state == "closed" for alert in revisions] == [False] * (len(revisions) - 1) + [True]
