"""Timelines: what a client asked for around an alert, and that nothing else ever gets in."""

from __future__ import annotations

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from dnswatch.core.clients.identity import Identity
from dnswatch.core.detect.engine import Engine
from dnswatch.core.detect.timeline import CLIENTS, FIRST, GAP_S, MOST, TRACES, WINDOW_S, Trails, merge
from dnswatch.core.model import Alert, Event, Indicator, Lease, Query, Trace
from tests.core.detection import T0, catalog, feed, policy, query

CLIENT, BOT, CHECK = "10.1.0.9", "api.telegram.org", "api.ipify.org"
RECON = Indicator(CHECK, "exact", "recon", "recon", "ipify.org")


def told(alert: Alert) -> list[tuple[float, str, str]]:
    return [(round(trace.at - T0, 3), trace.name, trace.role) for trace in alert.timeline]


def run(*events: Event) -> list[Alert]:
    return feed(Engine(policy()), events)


def test_an_alert_tells_what_came_before_it_with_its_lines() -> None:
    """An IP check and a companion within five minutes are there, each with its place in the log; older ones are not."""
    made = run(
        query(0, CLIENT, "webhook.site"), query(400, CLIENT, CHECK, offset=7), query(401, CLIENT, "discord.media"),
        query(410, "10.1.0.8", CHECK), query(420, CLIENT, BOT, offset=9),
    )  # fmt: skip
    assert told(made[-1]) == [(400, CHECK, "recon"), (401, "discord.media", "companion"), (420, BOT, "api")]
    first, last = made[-1].timeline[0], made[-1].timeline[-1]
    assert (first.path, first.offset, first.service) == ("/var/log/ns1.log", 7, "recon")
    assert (last.offset, last.service) == (9, "telegram-bot")


def test_a_later_revision_tells_what_came_after() -> None:
    """The opening revision cannot know it."""
    asked = [query(10 + i * 10, CLIENT, BOT) for i in range(10)]
    made = run(*asked[:1], query(15, CLIENT, "webhook.site"), *asked[1:])
    ours = [alert for alert in made if alert.service == "telegram-bot"]
    assert told(ours[0]) == [(10, BOT, "api")]
    assert told(ours[-1]) == [(10, BOT, "api"), (15, "webhook.site", "api")]
    assert round(ours[-1].timeline[0].last_at - T0) == 70  # of a name that is asked for all the time: to the minute


def test_repeats_are_one_trace_until_a_pause() -> None:
    """A bot that polls fills no timeline; after five minutes of silence it begins another trace."""
    trails = Trails()
    for at in (0.0, 30.0, 61.0, 90.0, 130.0, 130.0 + GAP_S + 1):
        trails.note("/log", query(at, CLIENT, CHECK), RECON)
        (trace,) = trails.table.rows[CLIENT].traces.values()
        if at == 130.0:
            assert (trace.at - T0, trace.last_at - T0) == (0.0, 130.0)
    assert trace.at == trace.last_at == T0 + 130.0 + GAP_S + 1


def test_late_lines_lengthen_a_trace_at_its_beginning_only() -> None:
    """A line that comes late and stood before the first one moves the beginning; a much older one is left alone."""
    trails = Trails()
    for at in (1000.0, 900.0, 950.0, 100.0):
        trails.note("/log", query(at, CLIENT, CHECK, offset=int(at)), RECON)
    (trace,) = trails.table.rows[CLIENT].traces.values()
    assert (trace.at - T0, trace.last_at - T0, trace.offset) == (900.0, 1000.0, 900)


def test_only_names_of_the_last_holder_of_an_address_are_told() -> None:
    """DHCP gave the address to somebody else a minute ago: the IP check before that was not theirs."""
    engine = Engine(policy())
    events: list[Event] = [
        Lease(T0, CLIENT, "laptop-7", "02:00:00:00:00:0a", T0 + 3600), query(10, CLIENT, CHECK),
        Lease(T0 + 60, CLIENT, "phone-2", "02:00:00:00:00:0b", T0 + 7200), query(70, CLIENT, BOT),
    ]  # fmt: skip
    (made,) = feed(engine, events)
    assert told(made) == [(70, BOT, "api")]
    assert (made.client.name, made.client.leased_at, made.client.leased_until) == ("phone-2", T0 + 60, T0 + 7200)


def test_the_next_holder_of_an_address_is_not_blamed_for_the_last_one() -> None:
    """Its lookups open an alert of its own; the other's ends and keeps its name and count."""
    made = run(
        Lease(T0, CLIENT, "laptop-7", "02:00:00:00:00:0a", None), query(10, CLIENT, BOT), query(20, CLIENT, BOT),
        Lease(T0 + 60, CLIENT, "phone-2", "02:00:00:00:00:0b", None), query(70, CLIENT, BOT),
    )  # fmt: skip
    assert [(one.client.name, one.state, one.cause, one.count) for one in made] == [
        ("laptop-7", "open", "opened", 1), ("laptop-7", "closed", "other-host", 2), ("phone-2", "open", "opened", 1),
    ]  # fmt: skip
    assert made[0].id == made[1].id != made[2].id
    assert told(made[2]) == [(70, BOT, "api")]
    assert made[2].client.leased_until is None  # the line of a DHCP log does not tell


def test_a_timeline_keeps_its_beginning_and_its_end() -> None:
    """Of too many traces those between go, counted; they do not come back."""
    traces = [Trace(float(i), float(i), f"{i}.test", "api", "x", "/log", i) for i in range(40)]
    kept, left_out = merge((), traces[:30])
    assert (len(kept), left_out) == (MOST, 10)
    assert [trace.offset for trace in kept] == [*range(FIRST), *range(30 - MOST + FIRST, 30)]
    assert merge(kept, traces[:30]) == (kept, 0)
    more, left_out = merge(kept, traces[30:])
    assert ([trace.offset for trace in more], left_out) == ([*range(FIRST), *range(40 - MOST + FIRST, 40)], 10)


def test_names_of_a_client_are_bounded() -> None:
    """A client keeps its last names."""
    trails = Trails()
    for i in range(2 * TRACES):
        name = f"{i}.test"
        trails.note("/log", query(i, CLIENT, name), Indicator(name, "exact", "recon", "recon", name))
    assert [trace.name for trace in trails.table.rows[CLIENT].traces.values()] == [
        f"{i}.test" for i in range(TRACES, 2 * TRACES)
    ]


def test_who_asked_for_nothing_the_longest_makes_room() -> None:
    """Clients are bounded; one that goes on asking for the same name stays, one that fell silent goes."""
    trails = Trails()
    assert trails.table.limit == CLIENTS
    trails.table.limit = 3
    for at, client in ((0, CLIENT), (1, "10.2.0.1"), (2, "10.2.0.2"), (70, CLIENT), (71, "10.2.0.3")):
        trails.note("/log", query(at, client, CHECK), RECON)
    assert list(trails.table.rows) == ["10.2.0.2", CLIENT, "10.2.0.3"]
    assert trails.table.evicted == 1


def test_a_timeline_does_not_depend_on_who_else_came() -> None:
    """What stood between two revisions far apart is told, however many others came between them."""
    ours = [query(0, CLIENT, BOT), query(20, CLIENT, CHECK), *(query(5_000 + i * 10, CLIENT, BOT) for i in range(9))]
    others = [query(1_000 + i, f"10.1.1.{i}", CHECK) for i in range(50)]
    alone, among = run(*ours), run(*ours[:2], *others, *ours[2:])
    assert (20, CHECK, "recon") in told(alone[-1])
    assert alone == [one for one in among if one.client.address == CLIENT]


def test_dns_over_https_names_are_no_part_of_it() -> None:
    """A timeline holds watched, companion and recon names."""
    made = run(query(0, CLIENT, "dns.google"), query(1, CLIENT, BOT))
    assert told(made[0]) == [(1, BOT, "api")]


LABELS = st.sampled_from(("", "x.", "mail.", "secret-project.", "api."))
NAMES = st.sampled_from((BOT, CHECK, "discord.com", "discord.media", "web.telegram.org", "webhook.site", "dns.google",
                         "ipify.org", "bank.example", "telegram.org", "intra.corp.example"))  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.floats(0, 400), st.sampled_from((CLIENT, "10.0.10.7")), LABELS, NAMES), max_size=40))
def test_nothing_but_watched_companion_and_recon_names_gets_in(asked: list[tuple[float, str, str, str]]) -> None:
    """Whatever a client asks for: each trace is of the alert's client and matches the catalogue in its stated role."""
    engine, known, at = Engine(policy()), catalog(), 0.0
    events: list[Event] = []
    for gap, client, label, name in asked:
        at += gap
        events.append(query(at, client, label + name))
    places = {(one.client, one.qname, one.offset) for one in events if isinstance(one, Query)}
    for alert in [*feed(engine, events), *engine.advance(T0 + 1e7, 0.0)]:
        assert isinstance(alert, Alert)
        assert len(alert.timeline) <= MOST
        assert [trace.at for trace in alert.timeline] == sorted(trace.at for trace in alert.timeline)
        for trace in alert.timeline:
            met = {(one.role, one.service) for one in known.match(trace.name)}
            assert (trace.role, trace.service) in met
            assert trace.role in ("api", "companion", "ambiguous", "recon")
            assert (alert.client.address, trace.name, trace.offset) in places
            assert trace.last_at >= alert.first_at - WINDOW_S
        text = str(alert.timeline)
        assert not any(name in text for name in ("bank.example", "corp.example", "dns.google"))


def test_trails_come_back_as_they_were() -> None:
    """Rows through JSON give the same trails, in the same order of eviction."""
    trails = Trails()
    for i in range(4):
        trails.note("/log", query(i * 100, f"10.2.0.{i % 3}", CHECK), RECON)
    again = Trails()
    again.restore(json.loads(json.dumps([(key, trail.row()) for key, trail in trails.table.rows.items()])))
    assert list(again.table.rows) == list(trails.table.rows)
    assert [trail.traces for trail in again.table.rows.values()] == [t.traces for t in trails.table.rows.values()]
    assert Identity().lease("10.2.0.1", T0) == (None, None)
