"""What whole days say of a client: crowd, scanner, habits; bounded, the same after a restart."""

from __future__ import annotations

import json

import pytest

from dnswatch.core.clients.roles import BUSY_SERVICES, DAY_S, Roles

D = 20_000 * DAY_S  # some midnight


def day_of(roles: Roles, address: str, start: float, samples: int, names: int = 500) -> None:
    for i in range(samples):
        roles.sampled(address, start + i, f"www.site{i % names}.test", "HTTPS" if i % 2 else "A")


def network(start: float) -> Roles:
    roles = Roles()
    for i in range(20):
        day_of(roles, f"10.1.0.{i}", start, 5)
    return roles


def test_a_crowd_shows_after_its_day_is_over() -> None:
    """Sampled far more often than the others, for many domains: NAT or forwarder, from the next day on."""
    roles = network(D)
    day_of(roles, "10.9.0.1", D, 300)
    assert not roles.behaviour("10.9.0.1", D + 400).crowd
    tomorrow = roles.behaviour("10.9.0.1", D + DAY_S)
    assert (tomorrow.crowd, tomorrow.samples, tomorrow.https) == (True, 300, 150)
    assert not roles.behaviour("10.1.0.1", D + DAY_S).crowd


def test_a_chatty_client_of_few_domains_is_no_crowd() -> None:
    """A monitoring server asks often, but for the same names."""
    roles = network(D)
    day_of(roles, "10.9.0.2", D, 300, names=10)
    assert not roles.behaviour("10.9.0.2", D + DAY_S).crowd


def test_a_scanner_takes_two_busy_days() -> None:
    """One day of many services may be an attack; what a client does today never excuses today."""
    roles = Roles()
    for day in range(2):
        for i in range(BUSY_SERVICES):
            roles.met("10.1.0.1", D + day * DAY_S, f"service-{i}")
        assert not roles.behaviour("10.1.0.1", D + day * DAY_S + 60).scanner
    assert roles.behaviour("10.1.0.1", D + 2 * DAY_S).scanner
    assert not roles.behaviour("10.1.0.1", D + 12 * DAY_S).scanner


def test_a_scanner_that_reads_less_takes_a_week_of_several_services_a_day() -> None:
    """Enrichment of a SIEM resolves a handful a day; ten services over and over are a rotation, not a scanner."""
    roles = Roles()
    for day in range(4):
        for i in range(4):
            roles.met("10.1.0.1", D + day * DAY_S, f"service-{day * 4 + i}")
            roles.met("10.1.0.2", D + day * DAY_S, f"service-{(day * 4 + i) % 10}")
        roles.met("10.1.0.3", D + day * DAY_S, f"service-{day}")
        assert roles.behaviour("10.1.0.1", D + day * DAY_S + 60).scanner == (day > 2)
    assert [roles.behaviour(f"10.1.0.{n}", D + 4 * DAY_S).scanner for n in (1, 2, 3)] == [True, False, False]
    assert not roles.behaviour("10.1.0.1", D + 12 * DAY_S).scanner
    again = Roles()
    again.restore("activity", [(key, json.loads(json.dumps(row.row()))) for key, row in roles.clients.rows.items()])
    again.restore("activity-day", [(key, row.row()) for key, row in roles.days.rows.items()])
    assert again.behaviour("10.1.0.1", D + 4 * DAY_S).scanner


def test_active_clients_are_those_of_a_whole_day() -> None:
    """In the morning the day before counts, later the day itself if it is bigger."""
    roles = network(D)
    assert roles.active(D + 100) == 20
    roles.saw("10.2.0.1", D + DAY_S)
    assert roles.active(D + DAY_S + 1) == 20
    assert roles.active(D + 2 * DAY_S) == 1


def test_roles_survive_a_restart() -> None:
    """Rows are JSON, below a kilobyte, and a new table says the same."""
    roles = network(D)
    day_of(roles, "10.9.0.1", D, 300)
    roles.met("10.9.0.1", D, "telegram-bot")
    again = Roles()
    for table in (roles.clients, roles.days):
        rows = [(key, json.loads(json.dumps(row.row()))) for key, row in table.rows.items()]
        assert all(len(json.dumps(row)) < 1024 for _, row in rows)
        assert again.restore(table.kind, rows)
    assert not again.restore("other", [])
    for at in (D + 1, D + DAY_S):
        assert again.behaviour("10.9.0.1", at) == roles.behaviour("10.9.0.1", at)
        assert again.active(at) == roles.active(at)


# ── habits ────────────────────────────────────────────────────────────────────────────────────────────────────


def habits(days: int, hours: range, names: int, qtype: str = "A", each: int = 1, browsed: bool = False) -> Roles:
    """A client that is sampled in these hours of every day."""
    roles = Roles()
    for day in range(days):
        for hour in hours:
            at = D + day * DAY_S + hour % 24 * 3600
            for i in range(each):
                roles.sampled("10.1.0.1", at + i, f"www.site{(day * 31 + hour * each + i) % names}.test", qtype)
        if browsed:
            roles.browsed("10.1.0.1", D + day * DAY_S + 60)
    return roles


@pytest.mark.parametrize(("like", "roles"), [
    ("server", habits(3, range(24), 6)),
    ("", habits(2, range(24), 6)),  # two days are no habit
    ("", habits(5, range(0, 24, 8), 6)),  # fifteen samples show no rhythm
    ("", habits(5, range(8, 18), 6)),  # few names, but a night
    ("", habits(5, range(24), 6, browsed=True)),  # an app, or a browser
    ("", habits(5, range(24), 6, "HTTPS")),  # a browser's type
    ("human", habits(5, range(8, 18), 60, each=2)),  # no type HTTPS at all, as many desktops
    ("human", habits(5, range(24), 60, "HTTPS")),  # its machine is never switched off
    ("human", habits(5, range(20, 30), 60, each=2)),  # a working day that spans midnight in UTC
    ("", habits(5, range(24), 60)),  # many names round the clock without a browser: a crawler, a mail server
    ("", habits(5, range(8, 18), 25)),
])  # fmt: skip
def test_what_a_client_is_like_shows_in_whole_days(like: str, roles: Roles) -> None:
    """Server-like, human-like, or nothing certain; never from the day at hand."""
    last = max(activity.day for activity in roles.clients.rows.values())
    assert roles.behaviour("10.1.0.1", (last + 1) * DAY_S + 60).like == like
    if like and last - D // DAY_S == 2:
        assert roles.behaviour("10.1.0.1", last * DAY_S + 3600).like == ""


def test_old_habits_are_forgotten() -> None:
    """After a fortnight's silence an address may be somebody else's; two weeks speak at most."""
    roles = habits(30, range(24), 6)
    habit = roles.behaviour("10.1.0.1", D + 30 * DAY_S).habit
    assert 7 <= habit.days <= 14
    assert habit.samples == 24 * habit.days
    assert roles.behaviour("10.1.0.1", D + 50 * DAY_S).like == ""
    roles.sampled("10.1.0.1", D + 50 * DAY_S, "www.example.test", "A")
    assert roles.behaviour("10.1.0.1", D + 51 * DAY_S).habit.days == 1


def test_habits_survive_a_restart_and_rows_of_before_are_read() -> None:
    """The same habit from rows; a row without habits begins anew."""
    roles, again, older = habits(10, range(24), 6), Roles(), Roles()
    rows = [(key, json.loads(json.dumps(one.row()))) for key, one in roles.clients.rows.items()]
    network_rows = [(key, json.loads(json.dumps(one.row()))) for key, one in roles.days.rows.items()]
    for table in (again, older):
        table.restore("activity-day", network_rows)
    again.restore("activity", rows)
    at = D + 10 * DAY_S
    assert again.behaviour("10.1.0.1", at) == roles.behaviour("10.1.0.1", at)
    assert all(len(json.dumps(row)) < 1024 for _, row in rows)
    older.restore("activity", [(k, {n: v for n, v in r.items() if n not in NEW}) for k, r in rows])
    assert older.behaviour("10.1.0.1", at).habit.days == 1


NEW = ("hours", "apps", "stretch", "grows")
