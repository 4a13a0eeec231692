"""What whole days say of a client: crowd, scanner, habits; bounded, the same after a restart."""

from __future__ import annotations

import json

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
