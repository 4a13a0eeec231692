"""Alerts as people read them: the list, one alert with its history, and what operators ask the engine to do.

Never: changes an alert; only a checkpoint does, and `ask` merely leaves a row for the engine. Read next:
``checkpoint.py``.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import ColumnElement, insert, or_, select

from dnswatch.core.alerts.plain import from_plain
from dnswatch.core.model import SEVERITIES, Alert, Severity
from dnswatch.io.store import schema
from dnswatch.io.store.checkpoint import encode
from dnswatch.io.store.database import Database, reading, writing
from dnswatch.io.store.fixed import Fixed


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which alerts to list; empty fields do not filter."""

    since: float = 0.0  # last attempt not before, log time
    severity: Severity = "info"  # at least
    client: str = ""  # address, name or group
    service: str = ""  # service or category id
    states: tuple[str, ...] = ()
    limit: int | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """A row of the action table: what somebody asked for and what became of it."""

    id: int
    at: float
    by: str
    data: dict[str, Any]
    applied_at: float | None = None
    result: str = ""


class Book(Database):
    """Reading alerts; leaving and taking actions."""

    @reading
    def alerts(self, wanted: Wanted | None = None) -> list[Alert]:
        """Give every alert that is wanted, the last seen first: its latest revision, with the attempts made since."""
        wanted = wanted or Wanted()
        table = schema.alert
        terms: list[ColumnElement[bool]] = [
            table.c.last_at >= wanted.since,
            table.c.severity >= SEVERITIES.index(wanted.severity),
        ]
        if wanted.client:
            terms.append(
                or_(table.c.client == wanted.client, table.c.name == wanted.client, table.c.grouping == wanted.client)
            )
        if wanted.service:
            terms.append(or_(table.c.service == wanted.service, table.c.category == wanted.service))
        if wanted.states:
            terms.append(table.c.state.in_(wanted.states))
        statement = select(table.c.data, table.c.last_at, table.c.attempts).where(*terms)
        statement = statement.order_by(table.c.last_at.desc(), table.c.id).limit(wanted.limit)
        with self.read() as connection:
            return [current(row) for row in connection.execute(statement)]

    @reading
    def alert(self, alert_id: str) -> Alert | None:
        """Give the latest revision of one alert, with the attempts made since."""
        table = schema.alert
        statement = select(table.c.data, table.c.last_at, table.c.attempts).where(table.c.id == alert_id)
        with self.read() as connection:
            row = connection.execute(statement).first()
            return None if row is None else current(row)

    @reading
    def alert_ids(self, prefix: str, most: int = 6) -> list[str]:
        """Give the ids that begin with ``prefix`` (case does not matter), at most ``most``."""
        table = schema.alert
        statement = select(table.c.id).where(table.c.id.istartswith(prefix, autoescape=True)).order_by(table.c.id)
        with self.read() as connection:
            return list(connection.scalars(statement.limit(most)))

    @reading
    def revisions(self, alert_id: str) -> list[Alert]:
        """Give every stored revision of one alert, the first first; empty when there is no such alert."""
        table = schema.alert_rev
        with self.read() as connection:
            rows = connection.scalars(select(table.c.data).where(table.c.id == alert_id).order_by(table.c.rev))
            return [from_plain(json.loads(data)) for data in rows]

    @writing
    def ask(self, data: dict[str, Any], by: str) -> int:
        """Leave an action for the engine; give its id. ``data`` is what the engine's `Action` is made of."""
        with self.write() as connection:
            row = connection.execute(insert(schema.action).values(at_wall=time.time(), by=by, data=encode(data)))
            (number,) = row.inserted_primary_key or (0,)
            return int(number)

    @reading
    def asked(self) -> list[Asked]:
        """Give the actions that wait for the engine, the oldest first."""
        with self.read() as connection:
            return [_asked(row) for row in _ASKED.run(connection)]

    @reading
    def outcome(self, number: int) -> Asked | None:
        """Give one action and what became of it."""
        found = self._actions(schema.action.c.id == number)
        return found[0] if found else None

    @reading
    def orders(self, since: float = 0.0) -> list[Asked]:
        """Give every action that was asked for since (wall time), the oldest first."""
        return self._actions(schema.action.c.at_wall >= since)

    def _actions(self, which: ColumnElement[bool]) -> list[Asked]:
        table = schema.action
        with self.read() as connection:
            return [_asked(row) for row in connection.execute(select(table).where(which).order_by(table.c.id))]


_ASKED = Fixed(select(schema.action).where(schema.action.c.applied_wall.is_(None)).order_by(schema.action.c.id))


def _asked(row: Any) -> Asked:
    number, at, by, data, applied, result = row
    return Asked(number, at, by, json.loads(data), applied, result)


def current(row: Any) -> Alert:
    """Bring a revision up to date with what was counted since."""
    alert = from_plain(json.loads(row.data))
    return replace(alert, last_at=max(alert.last_at, row.last_at), count=max(alert.count, row.attempts))
