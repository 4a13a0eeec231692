"""Floods: made-up names and clients bound every table and the store, and real alerts still come by themselves."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace

import pytest

from dnswatch.core.detect import flood, state, strangers, tally
from dnswatch.core.detect.attempts import LIMIT as ATTEMPTS
from dnswatch.core.detect.changes import Action
from dnswatch.core.detect.engine import Engine
from dnswatch.core.logs.digest import Digested
from dnswatch.core.model import Alert, Position, Query
from dnswatch.core.policy import Lane, Policy
from tests.core.detection import T0, policy

PER_S = 5_000
REAL = "10.0.10.7"
KIND = strangers.KIND


def query(at: float, client: str, qname: str, transport: str = "udp") -> Query:
    return Query(at, client, 4711, qname, "A", transport, "", 0, b"x" * 120, 0)  # type: ignore[arg-type]


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
    """An engine and the rows of its store."""

    def __init__(self, judged_by: Policy | None = None) -> None:
        self.policy = judged_by or policy()
        self.engine = Engine(self.policy)
        self.rows: dict[tuple[str, str], object] = {}
        self.sightings: set[tuple[object, ...]] = set()
        self.alerts: list[Alert] = []

    def feed(self, load: Iterator[list[Query]]) -> None:
        for events in load:
            digested = Digested(list(events), [], 0, len(events))
            effects = self.engine.receive("front", digested, Position("front", "/log", 0))
            self.take([one for one in effects if isinstance(one, Alert)])

    def take(self, alerts: list[Alert]) -> None:
        self.alerts += alerts
        changes = self.engine.changes()
        for key, row in changes.rows.items():
            if row is None:
                self.rows.pop(key, None)
            else:
                self.rows[key] = row
        self.sightings |= {(one.hour, one.client, one.qname, one.qtype, one.expected) for one in changes.sightings}

    def restart(self) -> None:
        """Go on as a process that was killed after the last checkpoint."""
        self.engine = Engine(self.policy)
        self.engine.restore([(kind, key, row) for (kind, key), row in self.rows.items()])  # type: ignore[misc]

    def know(self, address: str, at: float) -> None:
        """Let a sampled line show that a client is there."""
        self.engine.history.roles.sampled(address, at, "www.example.test", "A")

    def told(self) -> list[Alert]:
        """Give the revisions of the alert of all who are held back."""
        return [one for one in self.alerts if one.service == KIND]

    def single(self) -> list[Alert]:
        """Give the alerts of clients."""
        return [one for one in self.alerts if one.client.address and one.cause == "opened"]


@pytest.fixture
def eighth(monkeypatch: pytest.MonkeyPatch) -> float:
    """The load at an eighth, bounds so that a few seconds reach them."""
    monkeypatch.setattr(tally, "ROWS", tally.ROWS // 8)
    monkeypatch.setattr(state, "EPISODES", state.EPISODES // 8)
    monkeypatch.setattr("dnswatch.core.detect.attempts.LIMIT", ATTEMPTS // 40)
    monkeypatch.setattr("dnswatch.core.detect.decisions.MET", 2_000)
    return 1 / 8


def bounded(share: float, load: object, seconds: int) -> Kept:
    """Feed a load three times as long; tables, rows and memory must not grow in the last third."""
    kept = Kept()
    assert callable(load)
    kept.know(REAL, T0 - 3600)
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
    kept.feed(iter([[query(T0 + 3 * seconds, REAL, "x.oast.fun")]]))
    assert [(one.client.address, one.qname) for one in kept.alerts] == [(REAL, "x.oast.fun")]
    return kept


def test_made_up_names_of_a_watched_suffix(eighth: float) -> None:
    """One client and service is one alert, whatever the names; reports keep a few hundred of them."""
    kept = bounded(eighth, names, 6)
    assert len({one.id for one in kept.alerts}) == 1
    assert any(qname == "*.webhook.site" for _, _, qname, _, _ in kept.sightings)


def test_made_up_clients(eighth: float) -> None:
    """The first thousand get their alert, the others are one; what is remembered of real clients is not pushed out."""
    kept = bounded(eighth, clients, 6)
    assert kept.engine.counters["flood"] > 5_000
    assert kept.engine.evicted()["pair"] == 0
    assert kept.engine.sizes()["activity"] <= policy().detection.strangers.at_once + 2


TENTH = 1 / 50
"""Of a load that uses up a tenth of the allowance in a second."""


def tenth() -> Policy:
    """Give a policy with a tenth of the allowance."""
    whole = policy()
    return replace(whole, detection=replace(whole.detection, strangers=Lane(100, 1.0)))


# ── The one alert ─────────────────────────────────────────────────────────────────────────────────────────────


def test_a_flood_is_one_alert_that_says_who_and_what() -> None:
    """How many lookups and clients, which services and networks; grave, with lines to look at; it ends by itself."""
    kept = Kept()
    kept.feed(clients(1 / 5, 3))
    assert 1_000 <= len(kept.single()) <= 1_002
    assert [(one.cause, one.count, one.severity) for one in kept.told()] == [
        ("opened", 1, "high"), ("count", 10, "high"), ("count", 100, "high"), ("count", 1_000, "high"),
    ]  # fmt: skip
    assert len({one.id for one in kept.told()}) == 1
    last = kept.told()[-1]
    text = " ".join(str(one) for one in last.because)
    assert "1000 lookups by some 9" in text or "1000 lookups by some 10" in text
    assert "telegram-bot 1000" in text
    assert "2001:db8:0::/48" in text
    assert "a real client that was never seen before may hide among them" in text
    assert len(last.evidence) == 10
    assert kept.engine.blind_spots() == [(KIND, "unknown clients")]
    kept.take([one for one in kept.engine.advance(T0 + 700, 0.0) if isinstance(one, Alert)])
    ended = kept.alerts[-1]
    assert (ended.state, ended.cause, ended.count) == ("closed", "ended", 3_000 - len(kept.single()))
    assert kept.engine.blind_spots() == []
    assert ("strangers", "") not in kept.rows


def test_the_alert_of_a_flood_can_be_closed_and_snoozed() -> None:
    """An operator's word counts for it as for any alert; closed while it lasts, it comes again after a day."""
    kept = Kept()
    kept.feed(clients(1 / 5, 3))
    alert_id = kept.told()[-1].id
    (snoozed,) = kept.engine.act(Action("snooze", alert_id, T0 + 5, "ann", until=T0 + 50))
    assert isinstance(snoozed, Alert)
    assert (snoozed.state, snoozed.rev) == ("snoozed", 5)
    (awake,) = kept.engine.advance(T0 + 60, 0.0)
    assert isinstance(awake, Alert)
    assert (awake.state, awake.at) == ("open", T0 + 50)
    (closed,) = kept.engine.act(Action("close", alert_id, T0 + 61, "ann", "ours"))
    assert isinstance(closed, Alert)
    assert "closed by ann: ours" in str(closed.because[-1])
    kept.alerts.clear()
    for n in range(1, 1_740):  # it goes on for a day
        kept.feed(iter([[query(T0 + 50 * n, f"203.0.{n >> 8}.{n & 255}", "api.telegram.org")]]))
    assert kept.told()[0].cause == "opened"
    assert kept.told()[0].at >= T0 + 86_400


def test_interrupted_or_not_a_flood_is_the_same() -> None:
    """Restored after every second, the same clients have alerts of their own and the one alert has the same counts."""
    whole, torn = Kept(tenth()), Kept(tenth())
    load = [*clients(TENTH, 4), *clients(TENTH / 10, 3, T0 + 90), *clients(TENTH, 2, T0 + 900)]
    whole.feed(iter(load))
    for second in load:
        torn.feed(iter([second]))
        torn.restart()
    assert torn.alerts == whole.alerts
    assert len(whole.told()) > 4


def test_a_flood_does_not_depend_on_blocks() -> None:
    """The same lines in one block or in many: the same alerts."""
    load = [*clients(TENTH, 4), *clients(TENTH / 10, 3, T0 + 90)]
    whole, single = Kept(tenth()), Kept(tenth())
    whole.feed(iter([[one for second in load for one in second]]))
    single.feed(iter([[one] for second in load for one in second]))
    assert whole.alerts == single.alerts


# ── Who floods to hide ────────────────────────────────────────────────────────────────────────────────────────


def test_a_known_client_is_told_of_by_itself() -> None:
    """Who was seen a minute before the flood has its alert at once, of whatever severity, also after hours of it."""
    kept = Kept()
    kept.know(REAL, T0 - 61)
    kept.know("10.1.4.23", T0 - 7200)
    kept.feed(clients(1 / 5, 3))
    kept.feed(clients(1 / 500, 600, T0 + 10))
    kept.alerts.clear()
    kept.feed(iter([[query(T0 + 700, REAL, "hooks.slack.com"), query(T0 + 701, "10.1.4.23", "x.oast.fun")]]))
    assert [(one.client.address, one.service) for one in kept.alerts] == [
        (REAL, "slack-webhook"), ("10.1.4.23", "interactsh")
    ]  # fmt: skip


def test_who_looks_known_only_since_the_flood_is_held_back() -> None:
    """Made-up clients that let ordinary and companion lookups go ahead do not become known by that."""
    kept = Kept()
    kept.feed(clients(1 / 5, 2))
    kept.alerts.clear()
    for n in range(200):
        kept.know(f"198.51.100.{n}", T0 + 3)
        kept.feed(iter([[query(T0 + 3, f"198.51.101.{n}", "web.telegram.org")]]))
    kept.feed(clients(1 / 500, 100, T0 + 3))
    kept.feed(iter([[query(T0 + 103, f"198.51.{100 + n % 2}.{n}", "api.telegram.org") for n in range(200)]]))
    assert kept.single() == []


def test_made_up_clients_do_not_push_out_who_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """So many addresses are remembered at all; what is known of real ones, and their apps, stays."""
    monkeypatch.setattr(flood, "SILENT", {**flood.SILENT, flood.NEWCOMER: Lane(50, 1.0)})
    kept = Kept()
    kept.feed(iter([[query(T0 - 3600, REAL, "web.telegram.org")]]))
    made_up = [query(T0 + n / 5000, f"198.18.{n >> 8}.{n & 255}", "web.telegram.org") for n in range(5_000)]
    kept.feed(iter([made_up]))
    assert kept.engine.sizes()["activity"] <= 51
    assert kept.engine.sizes()["note"] <= 51
    assert kept.engine.counters["flood-forgotten"] >= 4_949
    assert kept.engine.history.note(REAL, "companion", "telegram-bot") is not None


@pytest.mark.parametrize(
    ("qname", "transport"), [("x.oast.fun", "udp"), ("api.telegram.org", "tcp")], ids=["severe", "tcp"]
)
def test_a_mild_flood_leaves_room_for_what_is_graver_or_surer(qname: str, transport: str) -> None:
    """An unknown client that asks for a request bin, or over TCP, does not need what forged mild lookups used up."""
    kept = Kept()
    kept.feed(clients(1 / 5, 3))
    kept.alerts.clear()
    kept.feed(iter([[query(T0 + 4, "10.9.9.9", qname, transport)]]))
    assert [one.client.address for one in kept.alerts] == ["10.9.9.9"]


def test_a_client_that_stays_is_told_of_when_the_flood_is_over() -> None:
    """What was held back is not settled: the next lookup after the flood opens its alert."""
    kept = Kept()
    kept.feed(clients(1 / 5, 2))
    kept.feed(iter([[query(T0 + 3, "10.9.9.9", "api.telegram.org")]]))
    assert "10.9.9.9" not in [one.client.address for one in kept.alerts]
    kept.feed(iter([[query(T0 + 120, "10.9.9.9", "api.telegram.org")]]))
    assert kept.alerts[-1].client.address == "10.9.9.9"


def test_a_flood_at_the_front_explains_its_forwarder() -> None:
    """A held lookup still says why our forwarder asked: the forwarder has no alert of its own."""
    kept = Kept(policy(forwarders={"back": frozenset({"127.0.0.1"})}))
    kept.feed(clients(1 / 5, 2))
    kept.alerts.clear()
    kept.feed(iter([[query(T0 + 3, "10.9.9.9", "api.telegram.org")]]))
    behind = Digested([query(T0 + 3.1, "127.0.0.1", "api.telegram.org")], [], 0, 1)
    made = kept.engine.receive("back", behind, Position("back", "/log", 0))
    assert [one for one in [*made, *kept.engine.advance(T0 + 60, 0.0)] if isinstance(one, Alert)] == []
    assert kept.engine.counters["forwarded"] == 1


# ── Its parts ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_allowance_survives_a_restart() -> None:
    """Interrupted or not, the same clients are let in; a lane that refused is filled again after a calm minute only."""
    one, rows = flood.Openings(Lane(10, 1.0)), {}
    admitted = sum(one.admit(flood.MILD, T0) for _ in range(19))
    one.take_changes(rows)
    again = flood.Openings(Lane(10, 1.0))
    again.restore([("", row) for row in rows.values() if row])
    assert admitted == 10
    for openings in (one, again):
        said = [openings.admit(flood.MILD, T0 + after) for after in (0, 30, 80, 141.5, 141.6)]
        assert said == [False, False, False, True, False]
        assert openings.admit(flood.SEVERE, T0)


@pytest.mark.parametrize("count", [1, 10, 1_000, 50_000])
def test_different_clients_are_counted_within_a_tenth(count: int) -> None:
    """In a kilobyte, whatever their number, each once."""
    distinct = strangers.Distinct()
    for n in range(count):
        for _ in range(1 + n % 2):
            distinct.add(f"198.18.{n >> 8}.{n & 255}")
    assert count * 0.9 <= distinct.estimate() <= count * 1.1


def test_what_is_met_most_is_named_whatever_else_comes() -> None:
    """Thousands of networks met once do not hide the two met often; the space is bounded."""
    most = strangers.Most()
    for n in range(5_000):
        most.add(f"net-{n}")
        most.add("often")
        if n % 2:
            most.add("half")
    assert len(most.counts) == strangers.COUNTED
    assert str(most).startswith("often 5000, half 25")


@pytest.mark.parametrize(
    ("address", "network"),
    [("198.18.7.9", "198.18.0.0/16"), ("2001:db8:7:8::1", "2001:db8:7::/48"), ("2001:db8::1", "2001:db8:0::/48"),
     ("::1", "0:0:0::/48"), ("fe80::1:2", "fe80:0:0::/48")],
)  # fmt: skip
def test_networks_of_addresses(address: str, network: str) -> None:
    """A site's addresses are one network."""
    assert strangers.network(address) == network


@pytest.mark.torture
@pytest.mark.timeout(600)
@pytest.mark.parametrize("load", [names, clients], ids=["names", "clients"])
def test_at_full_size(load: object) -> None:
    """5 000 a second for three minutes."""
    bounded(1.0, load, 60)
