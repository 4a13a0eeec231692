"""The short way of a noted name that comes again leaves the engine as the long way would."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

from hypothesis import given, settings
from hypothesis import strategies as st

from dnswatch.core.detect.engine import Engine
from dnswatch.core.detect.notes import Notes
from dnswatch.core.logs.digest import Digested
from dnswatch.core.model import Effect, Event, Lease, Position, Query
from dnswatch.core.policy import DAY_S, Policy
from tests.core.detection import T0, policy

CLIENTS = ("10.1.0.9", "10.0.10.7", "10.0.20.5", "fd00:10::7")
NAMES = ("web.telegram.org", "api.ipify.org", "dns.google", "x.discord.media", "discord.com", "api.telegram.org")
GAPS = (0.0, 0.0, 0.5, 0.5, 1.0, 2.0, 4.0, 6.0, 20.0, 59.0, 61.0, 3601.0, DAY_S, -0.5, -30.0, -70.0)
SMALL = {"timeline.CLIENTS": 2, "timeline.TRACES": 2, "history.NOTES": 5, "notes.LIMIT": 3}
POLICY = policy()

Steps = list[tuple[float, int, int, str, int]]
steps = st.lists(
    st.tuples(
        st.sampled_from(GAPS), st.sampled_from((0, 0, 0, 1, 2, 3)), st.sampled_from((0, 0, 1, 2, 2, 3, 4, 5)),
        st.sampled_from(("query",) * 9 + ("lease", "end")), st.integers(1, 4),
    ),
    max_size=50,
)  # fmt: skip
"""Pause, client, name, what comes, how often with half a second in between."""


@contextmanager
def bounds(small: bool) -> Iterator[None]:
    with ExitStack() as stack:
        if small:
            for name, limit in SMALL.items():
                stack.enter_context(patch(f"dnswatch.core.detect.{name}", limit))
            stack.enter_context(patch("dnswatch.core.clients.roles.CLIENTS", 3))
        yield


def log(made: Steps) -> list[Event]:
    at = T0
    events: list[Event] = []
    again = [(gap if n == 0 else 0.5, c, name, kind) for gap, c, name, kind, times in made for n in range(times)]
    for i, (gap, client, name, kind) in enumerate(again):
        stamp = at + gap
        at = max(at, stamp)
        if kind == "query":
            events.append(Query(stamp, CLIENTS[client], 5000, NAMES[name], "A", "udp", "", 0, b"line", i))
        else:
            until = stamp + (30.0 if kind == "end" else 300.0)
            events.append(Lease(stamp, CLIENTS[client], f"host-{name}", f"10:20:30:40:50:5{name}", until, i))
    return events


def run(events: list[Event], by: Policy) -> tuple[list[Effect], dict[Any, Any], dict[str, int]]:
    """Give what happened, every row that was ever changed as it was last, and the counts."""
    one = Engine(by)
    effects: list[Effect] = []
    rows: dict[Any, Any] = {}
    for i in range(0, len(events), 7):
        effects += one.receive("s", Digested(events[i : i + 7], [], 0, 0), Position("s", "/var/log/s.log", 0))
        rows |= one.changes().rows
    return effects, rows, dict(one.counters)


@settings(deadline=None, max_examples=150)
@given(steps, st.booleans())
def test_the_short_way_is_the_long_way(made: Steps, small: bool) -> None:
    """Repeats, late lines, leases that come and end, midnight, tables that overflow: rows, alerts and counts agree."""
    events = log(made)
    with bounds(small):
        short = run(events, POLICY)
        with patch.object(Notes, "again", lambda self, query: False):
            long = run(events, POLICY)
    assert short == long


def test_the_short_way_is_taken() -> None:
    """A companion, an IP check and a DNS-over-HTTPS name each second: all but the first of a minute."""
    taken = []
    again = Notes.again

    def spied(self: Notes, query: Query) -> bool:
        taken.append(again(self, query))
        return taken[-1]

    with patch.object(Notes, "again", spied):
        for name in NAMES[:3]:
            taken.clear()
            run(log([(1.0, 0, NAMES.index(name), "query", 1)] * 50), POLICY)
            assert taken.count(True) >= 47, name
