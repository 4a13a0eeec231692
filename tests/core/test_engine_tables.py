"""The engine's tables: bounded, ordered, the same after a restart."""

from __future__ import annotations

import base64
import gc
import hashlib
import tracemalloc

from dnswatch.core.detect.attempts import CHAIN, KEEP_S, Attempt, Attempts
from dnswatch.core.detect.changes import GAPS, Table
from dnswatch.core.detect.engine import Engine
from dnswatch.core.detect.episodes import alert_id, escape
from dnswatch.core.detect.history import REFRESH_S, Seen
from dnswatch.core.detect.signal import Signal
from dnswatch.core.detect.signals import SIGNALS
from dnswatch.core.detect.timers import SLACK, Timers
from tests.core.detection import feed, policy, query


def test_table_evicts_what_was_put_in_first_also_after_a_restart() -> None:
    """The order of eviction is that of putting in; putting in again moves a row to the end."""
    table: Table[Seen] = Table("t", 3)
    for key in "abc":
        table.put(key, Seen(0.0, REFRESH_S))
    table.put("a", table.rows["a"])
    again: Table[Seen] = Table("t", 3)
    again.restore([(key, table.rows[key]) for key in "cab"])
    again.put("d", Seen(0.0, 0.0))
    assert list(again.rows) == ["c", "a", "d"]
    assert again.evicted == 1


def test_table_evicts_in_order_however_many_went_before() -> None:
    """Copying a table whose first rows are gone changes nothing but the time that the next eviction takes."""
    table: Table[Seen] = Table("t", 500)
    for number in range(4 * (GAPS + 500)):
        table.put(str(number), Seen(0.0, 0.0))
        if number % 3 == 0:
            table.put(str(number), table.rows[str(number)])
    assert list(table.rows) == [str(number) for number in range(4 * GAPS + 1500, 4 * GAPS + 2000)]
    assert table.evicted == 4 * GAPS + 1500


def test_a_pair_is_one_string_in_every_table_also_after_a_restart() -> None:
    """What is remembered of a client and a service stands under one key object: each further one would be 72 bytes."""
    one = Engine(policy())
    for at in (0.0, 3700.0, 90_000.0):  # a row that is put in again keeps it, too
        feed(one, [query(at, "10.1.0.9", "api.telegram.org")])
    again = Engine(policy())
    again.restore([(kind, key, row) for (kind, key), row in one.changes().rows.items() if row is not None])
    for engine in (one, again):
        assert engine.history.pair("10.1.0.9", "telegram-bot") == "10.1.0.9 telegram-bot"
        tables = (
            engine.history._pairs,
            engine._episodes,
            *(table for signal in engine._panel.signals for table in vars(signal).values() if isinstance(table, Table)),
        )
        keys = [key for table in tables for key in table.rows if key == "10.1.0.9 telegram-bot"]
        assert len(keys) == 4
        assert len({id(key) for key in keys}) == 1


def test_a_pair_takes_little_memory() -> None:
    """An expected client and service take some 1.2 kB after a day, all tables and reasons included (2026: 1.26 kB)."""
    clients = [f"10.0.20.{number}" for number in range(250)]
    tracemalloc.start()
    engine = Engine(policy(("group:build", "telegram-bot"), ("group:build", "slack-webhook")))
    feed(engine, (query(7200.0 * n + 25.0 * i, client, qname) for n in range(12) for i, client in enumerate(clients)
                  for qname in ("api.telegram.org", "hooks.slack.com")))  # fmt: skip
    engine.forget_changes()
    gc.collect()
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert engine.sizes()["pair"] == 500
    assert size / 500 < 1700


def test_table_tells_changes_once() -> None:
    """A dropped row is told as None, an untouched one not at all."""
    table: Table[Seen] = Table("t", 3)
    table.put("a", Seen(1.0, 2.0))
    rows: dict[tuple[str, str], object] = {}
    table.take_changes(rows)
    assert rows == {("t", "a"): {"n": 0, "first_at": 1.0, "last_at": 2.0, "count": 1}}
    rows.clear()
    table.take_changes(rows)
    assert rows == {}
    table.drop("a")
    table.take_changes(rows)
    assert rows == {("t", "a"): None}


def test_timers_fire_by_deadline_kind_and_key() -> None:
    """Ties are broken by what and whom, never by the order of setting; the bound itself is not due."""
    timers = Timers()
    for one in ((2.0, "leak", "b"), (1.0, "leak", "a"), (2.0, "hold", "z"), (2.0, "leak", "a"), (3.0, "hold", "a")):
        timers.push(*one)
    fired = []
    while timers.next_at < 3.0:
        fired.append(tuple(timers.pop()))
    assert fired == [(1.0, "leak", "a"), (2.0, "hold", "z"), (2.0, "leak", "a"), (2.0, "leak", "b")]
    assert not timers.overgrown(0)
    for i in range(SLACK):
        timers.push(float(i), "episode", "x")
    assert timers.overgrown(0)


def test_attempts_are_forgotten_after_a_minute() -> None:
    """An attempt that nothing can join any more leaves the table when another one opens."""
    attempts = Attempts()
    attempts.open(Attempt("10.0.0.1", "a.test", 0.0, "s", "x", False), 0.0)
    attempts.open(Attempt("10.0.0.1", "b.test", KEEP_S + 1, "s", "x", False), KEEP_S + 1)
    assert attempts.size == 1
    assert attempts.find("10.0.0.1", "a.test", 1.0) is None
    rows: dict[tuple[str, str], object] = {}
    attempts.take_changes(rows)
    assert rows["attempt", "10.0.0.1 a.test 0"] is None


def test_late_source_keeps_its_attempts() -> None:
    """An attempt of a source that is far behind is kept for a minute after it was opened, not after its own stamp."""
    attempts = Attempts()
    late = Attempt("10.0.0.1", "a.test", 0.0, "s", "x", False)
    attempts.open(late, 1000.0)
    attempts.open(Attempt("10.0.0.1", "b.test", 1001.0, "s", "x", False), 1001.0)
    assert attempts.find("10.0.0.1", "a.test", 4.0) is late
    attempts.open(Attempt("10.0.0.1", "c.test", 1061.0, "s", "x", False), 1000.0 + KEEP_S + 1)
    assert (attempts.find("10.0.0.1", "a.test", 4.0), attempts.evicted) == (None, 0)


def test_attempts_of_one_client_are_kept_by_stamp() -> None:
    """Late lines find their place among many attempts of one client and name; the first opened goes when it is full."""
    attempts = Attempts()
    for at in (12.0, 0.0, 24.0, 6.0):
        attempts.open(Attempt("c", "a.test", at, "s", "x", False), 24.0)
    found = [attempts.find("c", "a.test", at) for at in (0.5, 6.5, 12.5, 24.0)]
    assert [one and one.at for one in found] == [0.0, 6.0, 12.0, 24.0]
    for number in range(CHAIN):
        attempts.open(Attempt("c", "a.test", 30.0 + 6 * number, "s", "x", False), 30.0)
    assert attempts.size == CHAIN == len(list(attempts.all()))
    assert attempts.find("c", "a.test", 0.5) is None


def test_alert_id_is_fixed() -> None:
    """Identities are stored and sent to SIEMs: they never change between versions."""
    made = alert_id("10.1.0.9", "telegram-bot", 1_790_000_000.1234, "api.telegram.org")
    assert made == alert_id("10.1.0.9", "telegram-bot", 1_790_000_000.123, "api.telegram.org")
    assert made == "DLTRBN2SMDVCGXA4YHWVQEW4PK"


def test_alert_id_is_base32() -> None:
    """The quick way of writing an id gives what the standard library gives."""
    for number in range(200):
        text = f"10.1.0.{number}\ntelegram-bot\n{number * 1000}\napi.telegram.org"
        made = base64.b32encode(hashlib.sha256(text.encode()).digest())[:26].decode()
        assert alert_id(f"10.1.0.{number}", "telegram-bot", float(number), "api.telegram.org") == made


def test_signals_that_hear_of_notes_say_of_which() -> None:
    """`Signal.note` is called for `note_roles` only: one without the other would be silent."""
    for kind in SIGNALS.values():
        assert (kind.note is not Signal.note) == bool(kind.note_roles)


def test_evidence_lines_are_escaped() -> None:
    """Control and 8-bit bytes of a log line become \\xNN."""
    assert escape(b"a\x1b[31m\xc3\xa4\\") == "a\\x1b[31m\\xc3\\xa4\\"
