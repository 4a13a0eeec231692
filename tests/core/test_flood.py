"""Floods: made-up names and made-up clients bound every table and the store, and real alerts still come."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Iterator

import pytest

from dnswatch.core.detect import flood, state, tally
from dnswatch.core.detect.attempts import LIMIT as ATTEMPTS
from dnswatch.core.detect.engine import Engine
from dnswatch.core.logs.digest import Digested
from dnswatch.core.model import Alert, Position, Query
from tests.core.detection import T0, policy

PER_S = 5_000


def query(at: float, client: str, qname: str) -> Query:
    return Query(at, client, 4711, qname, "A", "udp", "", 0, b"x" * 120, 0)


def names(share: float, seconds: int, start: float = T0) -> Iterator[list[Query]]:
    """New names below a watched one, by few clients: one list a second."""
    count = int(PER_S * share)
    for second in range(seconds):
        yield [query(start + second + n / count, f"10.1.0.{n % 10}", f"{second}-{n}-{start:.0f}.webhook.site")
               for n in range(count)]  # fmt: skip


def clients(share: float, seconds: int, start: float = T0) -> Iterator[list[Query]]:
    """New clients, IPv4 and IPv6: one list a second."""
    count = int(PER_S * share)
    for second in range(seconds):
        made = []
        for n in range(count):
            number = int(start) % 1000 * 1_000_000 + second * count + n
            address = (
                f"198.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}" if n % 2 else f"2001:db8::{number:x}"
            )
            made.append(query(start + second + n / count, address.replace("::", f"::{second:x}:"), "api.telegram.org"))
        yield made


class Kept:
    """The rows of a store."""

    def __init__(self) -> None:
        self.engine = Engine(policy())
        self.rows: dict[tuple[str, str], object] = {}
        self.sightings: set[tuple[object, ...]] = set()
        self.alerts: list[Alert] = []

    def feed(self, load: Iterator[list[Query]]) -> None:
        for events in load:
            digested = Digested(list(events), [], 0, len(events))
            effects = self.engine.receive("front", digested, Position("front", "/log", 0))
            self.alerts += [one for one in effects if isinstance(one, Alert)]
            changes = self.engine.changes()
            for key, row in changes.rows.items():
                if row is None:
                    self.rows.pop(key, None)
                else:
                    self.rows[key] = None
            self.sightings |= {(one.hour, one.client, one.qname, one.qtype, one.expected) for one in changes.sightings}


@pytest.fixture
def eighth(monkeypatch: pytest.MonkeyPatch) -> float:
    """The load at an eighth, bounds so that a few seconds reach them."""
    monkeypatch.setattr(flood, "AT_ONCE", flood.AT_ONCE // 16)
    monkeypatch.setattr(tally, "ROWS", tally.ROWS // 8)
    monkeypatch.setattr(state, "EPISODES", state.EPISODES // 8)
    monkeypatch.setattr("dnswatch.core.detect.attempts.LIMIT", ATTEMPTS // 40)
    monkeypatch.setattr("dnswatch.core.detect.decisions.MET", 2_000)
    return 1 / 8


def bounded(share: float, load: object, seconds: int) -> Kept:
    """Feed a load three times as long; tables, rows and memory must not grow in the last third."""
    kept = Kept()
    assert callable(load)
    kept.feed(load(share, seconds))
    kept.feed(load(share, seconds, T0 + seconds))
    sizes, rows, seen = kept.engine.sizes(), len(kept.rows), len(kept.sightings)
    made = len(kept.alerts)
    kept.alerts.clear()
    gc.collect()
    tracemalloc.start()
    kept.feed(load(share, seconds, T0 + 2 * seconds))
    gc.collect()
    grown, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    later = kept.engine.sizes()
    slack = PER_S * share * 2
    assert {name: size for name, size in later.items() if size > sizes[name] + slack} == {}
    assert len(kept.rows) <= rows + slack
    assert len(kept.sightings) <= seen + slack
    assert len(kept.alerts) <= made
    assert grown < 400e6 * share, f"{grown / 1e6:.1f} MB"
    kept.alerts.clear()
    real = query(T0 + 3 * seconds, "10.0.10.7", "x.oast.fun")
    kept.engine.history.roles.sampled("10.0.10.7", T0, "www.example.test", "A")
    kept.feed(iter([[real]]))
    assert [(one.client.address, one.qname) for one in kept.alerts] == [("10.0.10.7", "x.oast.fun")]
    return kept


def test_made_up_names_of_a_watched_suffix(eighth: float) -> None:
    """One client and service is one alert, whatever the names; reports keep a few hundred of them."""
    kept = bounded(eighth, names, 6)
    assert len({one.id for one in kept.alerts}) == 1
    assert any(qname == "*.webhook.site" for _, _, qname, _, _ in kept.sightings)


def test_made_up_clients(eighth: float) -> None:
    """A great many get their alert, the others are counted; what is remembered of real clients is not pushed out."""
    kept = bounded(eighth, clients, 6)
    assert kept.engine.counters["flood"] > 5_000
    assert kept.engine.evicted()["pair"] == 0


def test_the_allowance_survives_a_restart() -> None:
    """Interrupted or not, the same clients are let in."""
    one, rows = flood.Openings(), {}
    admitted = sum(one.admit(False, T0) for _ in range(flood.AT_ONCE + 9))
    one.take_changes(rows)
    again = flood.Openings()
    again.restore([("", row) for row in rows.values() if row])
    assert admitted == flood.AT_ONCE
    assert [again.admit(False, T0), again.admit(True, T0), again.admit(False, T0 + 1)] == [False, True, True]


@pytest.mark.torture
@pytest.mark.parametrize("load", [names, clients], ids=["names", "clients"])
def test_at_full_size(load: object) -> None:
    """5 000 a second for three minutes."""
    bounded(1.0, load, 60)
