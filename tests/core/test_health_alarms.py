"""Open blind spots: one alert an episode, flapping damped, operators obeyed, nothing forgotten or told twice."""

import pytest

from dnswatch.core.alerts import FORMATS, Context, render
from dnswatch.core.alerts.flat import FIELDS, flat
from dnswatch.core.detect.changes import Action
from dnswatch.core.health.alarms import MUTED_S, SUBJECTS, Alarms
from dnswatch.core.health.kinds import KINDS, SETTLE_S
from dnswatch.core.model import Alert

AT = 1_700_000_000.0
LOG = "/var/log/named/query.log"


def opened(kind: str = "parse-drop", subject: str = LOG) -> tuple[Alarms, Alert]:
    alarms = Alarms()
    (alert,) = alarms.report(kind, subject, "31 % of the sampled lines parse, it was 100 %", AT)
    return alarms, alert


def restarted(alarms: Alarms) -> Alarms:
    again = Alarms()
    again.restore(row for row in alarms.take_changes().values() if row)
    return again


def test_a_condition_is_told_once_and_closed_when_it_stays_over() -> None:
    """However often it is reported, there is one opening revision and one closing one."""
    alarms, first = opened()
    assert (first.rev, first.state, first.severity, first.service) == (1, "open", "high", "parse-drop")
    assert alarms.report("parse-drop", LOG, "30 %", AT + 2) == []
    assert alarms.clear("parse-drop", LOG, "", AT + 10) == []
    assert alarms.due(AT + 9 + SETTLE_S) == []
    (last,) = alarms.due(AT + 10 + SETTLE_S)
    assert (last.id, last.rev, last.state, last.cause, last.last_at) == (first.id, 2, "closed", "ended", AT + 10)
    assert alarms.due(AT + 9999) == []
    assert len(alarms) == 0


def test_flapping_is_one_alert_with_a_count() -> None:
    """What comes and goes every ten seconds stays one episode; revisions come at 10, 100 … times."""
    alarms, first = opened()
    made: list[Alert] = []
    for step in range(1, 120):
        made += alarms.clear("parse-drop", LOG, "", AT + 10 * step)
        made += alarms.report("parse-drop", LOG, "again", AT + 10 * step + 5)
        made += alarms.due(AT + 10 * step + 6)
    assert [(one.id, one.rev, one.count) for one in made] == [(first.id, 2, 10), (first.id, 3, 100)]


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_restart_neither_repeats_nor_forgets(kind: str) -> None:
    """Restored from its rows the table goes on: the same report makes nothing, the same end closes the same id."""
    alarms, first = opened(kind)
    again = restarted(alarms)
    assert again.report(kind, LOG, "as before", AT + 5) == []
    made = again.clear(kind, LOG, "", AT + 6) + again.due(AT + 7 + KINDS[kind].settle_s)
    assert [(one.id, one.rev, one.state) for one in made] == [(first.id, 2, "closed")]
    assert list(again.take_changes().values()) == [None]


def test_what_was_over_before_a_restart_still_closes() -> None:
    """The wait for staying over survives as well."""
    alarms, _ = opened()
    alarms.clear("parse-drop", LOG, "", AT + 1)
    assert [one.state for one in restarted(alarms).due(AT + 1 + SETTLE_S)] == ["closed"]


def test_an_operators_close_silences_it_for_a_day_while_it_lasts() -> None:
    """Closed and still there: nothing until a day has gone. Closed, over, and there again: a new alert."""
    alarms, first = opened()
    (closed,) = alarms.act(Action("close", first.id, AT + 60, "anna", "planned work"))
    assert (closed.state, closed.cause) == ("closed", "closed")
    assert "planned work" in str(closed.because[-1])
    alarms = restarted(alarms)
    assert alarms.report("parse-drop", LOG, "still", AT + 3600) == []
    (late,) = alarms.report("parse-drop", LOG, "still", AT + 61 + MUTED_S)
    assert late.id != first.id
    alarms.act(Action("close", late.id, AT + 70 + MUTED_S))
    assert alarms.clear("parse-drop", LOG, "", AT + 80 + MUTED_S) == []
    assert alarms.due(AT + 999 + MUTED_S) == []
    assert alarms.report("parse-drop", LOG, "anew", AT + 1000 + MUTED_S)[0].rev == 1


def test_acknowledge_snooze_and_unknown_ids() -> None:
    """The actions of any alert; an id of another alert is left to the engine."""
    alarms, first = opened()
    assert alarms.act(Action("ack", "A" * 26, AT)) == []
    assert alarms.act(Action("ack", first.id, AT + 1, "anna"))[0].state == "acknowledged"
    assert alarms.act(Action("snooze", first.id, AT + 2, until=AT + 100))[0].state == "snoozed"
    assert alarms.due(AT + 99) == []
    assert [(one.state, one.cause) for one in alarms.due(AT + 100)] == [("open", "snooze-ended")]


def test_a_thousand_subjects_are_bounded_and_counted() -> None:
    """A glob over thousands of logs cannot flood the sinks."""
    alarms = Alarms()
    made = [one for n in range(SUBJECTS + 50) for one in alarms.report("source-silent", f"/log/{n}", "", AT)]
    assert (len(made), alarms.dropped) == (SUBJECTS, 50)
    assert len({one.id for one in made}) == SUBJECTS


@pytest.mark.parametrize("name", sorted(FORMATS))
@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_format_renders_every_kind(name: str, kind: str) -> None:
    """In each format a blind spot says what, where, what it means and what to do."""
    _, alert = opened(kind)
    text = render(name, alert, Context(sensor="ns1")).decode()
    for part in ("query.log", KINDS[kind].title.split("'")[0]):
        assert part in text
    assert kind in text or name == "text"


def test_the_flat_fields_stay_the_contract() -> None:
    """Same names, same types as any alert; no client, a name only where a zone is concerned."""
    _, alert = opened("feed-refused", "any.rpz.test")
    fields = flat(alert, "ns1")
    assert tuple(fields) == FIELDS
    assert (fields["client_ip"], fields["qname"], fields["category"]) == ("", "any.rpz.test", "blind-spot")
    assert (fields["rule_id"], fields["service"], fields["mitre"]) == ("DNSW-blind-spot", "feed-refused", [])
    _, other = opened("disk-full", "/var/lib/dnswatch")
    assert flat(other, "")["qname"] == ""
    assert "What to do" in flat(other, "")["reason"]
