"""What was found around alerts when their logs were read again.

Never: reads a log (``io/around.py``). Read next: ``book.py``.
"""

from __future__ import annotations

import json
import time
from dataclasses import asdict

from sqlalchemy import select
from sqlalchemy.dialects.sqlite import insert

from dnswatch.core.model import SEVERITIES, Alert, Severity
from dnswatch.io.around import Around, Lookup
from dnswatch.io.store import schema
from dnswatch.io.store.book import current
from dnswatch.io.store.database import Database, reading, writing


class Surroundings(Database):
    """Keeping surroundings; finding alerts that have none yet."""

    @writing
    def save_surroundings(self, alert_id: str, around: Around) -> None:
        """Keep what was found around an alert, in place of what was kept before."""
        data = json.dumps(asdict(around), separators=(",", ":"))
        row = {"alert_id": alert_id, "at_wall": time.time(), "data": data}
        statement = insert(schema.surroundings).values(**row)
        with self.write() as connection:
            connection.execute(statement.on_conflict_do_update(index_elements=["alert_id"], set_=row))

    @reading
    def surroundings(self, alert_id: str) -> Around | None:
        """Give what was kept; None when nothing was."""
        table = schema.surroundings
        with self.read() as connection:
            data = connection.scalar(select(table.c.data).where(table.c.alert_id == alert_id))
        if data is None:
            return None
        plain = json.loads(data)
        return Around(tuple(Lookup(*one) for one in plain.pop("lookups")), **plain)

    @reading
    def without_surroundings(self, severity: Severity, since: float, before: float, most: int) -> list[Alert]:
        """Give alerts, at least so severe and first seen between two times, around which nothing was read yet."""
        alert, kept = schema.alert, schema.surroundings
        statement = (
            select(alert.c.data, alert.c.last_at, alert.c.attempts)
            .where(
                alert.c.severity >= SEVERITIES.index(severity),
                alert.c.first_at >= since,
                alert.c.first_at <= before,
                alert.c.client != "",
                alert.c.id.not_in(select(kept.c.alert_id)),
            )
            .order_by(alert.c.first_at)
            .limit(most)
        )
        with self.read() as connection:
            return [current(row) for row in connection.execute(statement)]
