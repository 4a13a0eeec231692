"""What the engine knows, in bounded tables, and as plain rows that a store keeps and gives back.

Same rows, same engine: `restore` of every row that `changes` ever gave goes on as if nothing had happened, timers
included. Never: judges. Read next: ``engine.py``, which works on it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from dnswatch.core.clients.identity import Identity
from dnswatch.core.detect.attempts import Attempts
from dnswatch.core.detect.changes import Changes, Row, Table
from dnswatch.core.detect.decisions import Decisions
from dnswatch.core.detect.episodes import Episode
from dnswatch.core.detect.flood import Openings
from dnswatch.core.detect.history import History
from dnswatch.core.detect.holds import Holds
from dnswatch.core.detect.panel import Panel
from dnswatch.core.detect.sources import Sources
from dnswatch.core.detect.strangers import KIND, SUBJECT, Strangers
from dnswatch.core.detect.tally import Tally
from dnswatch.core.detect.timeline import Trails
from dnswatch.core.detect.timers import Timers
from dnswatch.core.model import Alert, Effect
from dnswatch.core.policy import Policy

EPISODES = 50_000
"""Open episodes; some 4 KB each. Sources spoofed over UDP cannot grow this further."""


class State:
    """The tables, their rows and their timers."""

    def __init__(self, policy: Policy, identity: Identity | None = None) -> None:
        self.identity = identity if identity is not None else Identity()
        self.history = History()
        self.counters: Counter[str] = Counter()
        self.log_now = 0.0
        self._panel = Panel(policy.detection)
        self._attempts = Attempts()
        self._holds = Holds()
        self._sources = Sources()
        self._episodes: Table[Episode] = Table("episode", EPISODES, self._evict_episode)
        self._by_id: dict[str, Episode] = {}
        self._timers = Timers()
        self._tally = Tally()
        self._decisions = Decisions()
        self._openings = Openings(policy.detection.strangers)
        self._strangers = Strangers()
        self._trails = Trails()
        self._effects: list[Effect] = []
        self._clock_changed = False
        self.policy = policy

    def alert(self, alert_id: str) -> Alert | None:
        """Give an open alert as it stands now, without making a revision."""
        if self._strangers.about(alert_id):
            return self._strangers.snapshot(self.log_now, "now")
        episode = self._by_id.get(alert_id)
        return episode.snapshot(self.log_now, "now") if episode is not None else None

    def open_alert(self, address: str, service: str) -> Alert | None:
        """Give the open alert of a client and a service as it stands now."""
        episode = self._episodes.rows.get(f"{address} {service}")
        return episode.snapshot(self.log_now, "now") if episode is not None else None

    def blind_spots(self) -> list[tuple[str, str]]:
        """Give (kind, subject) of what the engine itself does not see, as `BlindSpots.open` does."""
        return [(KIND, SUBJECT)] if self._strangers.lasts else []

    # ── Rows ──────────────────────────────────────────────────────────────────────────────────────────────────

    def changes(self) -> Changes:
        """Give what changed since the last call; `restore` of all rows ever given continues from here."""
        changes = Changes(sightings=self._tally.take())
        self._attempts.take_changes(changes.rows)
        for table in (self._sources.table, self._episodes, self._holds.table, self._trails.table):
            table.take_changes(changes.rows)
        self.history.take_changes(changes)
        changes.rows.update({("identity", address): row for address, row in self.identity.changes().items()})
        self._panel.take_changes(changes.rows)
        self._decisions.take_changes(changes.rows)
        self._openings.take_changes(changes.rows)
        self._strangers.take_changes(changes.rows)
        for name, gone in self.evicted().items():
            if gone:
                self.counters[f"evicted:{name}"] = gone
        if self._clock_changed:
            changes.rows["clock", ""] = {"log_now": self.log_now, "began_at": self.history.began_at}
            self._clock_changed = False
        return changes

    @property
    def unsaved(self) -> int:
        """How many attempts changed since the last call of `changes`: what making and storing the rows costs goes by
        these."""
        return len(self._attempts.changed)

    def forget_changes(self) -> None:
        """Drop what `changes` would give, where nobody keeps it: making the rows takes an eighth of a scan's time."""
        self._tally.take()
        self._attempts.changed.clear()
        for table in (self._sources.table, self._episodes, self._holds.table, self._trails.table):
            table.changed.clear()
        self.history.forget_changes()
        self.identity.changes()
        self._panel.forget_changes()
        self._decisions.take_changes({})
        self._openings.take_changes({})
        self._strangers.take_changes({})

    def restore(self, rows: Iterable[tuple[str, str, Row]]) -> None:
        """Take the rows of `changes` back into a new engine. Rows of unknown kinds are counted and left alone."""
        kinds: dict[str, list[tuple[str, Row]]] = {}
        keys: dict[str, str] = {}  # one string a pair, as `History.pair` gives it, however many tables have it
        for kind, key, row in rows:
            kinds.setdefault(kind, []).append((keys.setdefault(key, key), row))
        clock = kinds.pop("clock", [("", {"log_now": 0.0, "began_at": None})])[0][1]
        self.log_now, self.history.began_at = clock["log_now"], clock["began_at"]
        self._episodes.restore([(key, Episode.of_row(row)) for key, row in kinds.pop("episode", [])])
        self._by_id = {episode.id: episode for episode in self._episodes.rows.values()}
        self._attempts.restore([row for _, row in kinds.pop("attempt", [])], self._by_id)
        self._holds.restore(kinds.pop("hold", []))
        self._sources.restore(kinds.pop("source", []))
        self._trails.restore(kinds.pop("trail", []))
        self.identity.restore(dict(kinds.pop("identity", [])))
        self._openings.restore(kinds.pop("openings", []))
        self._strangers.restore(kinds.pop("strangers", []))
        self._panel.restore(kinds)
        self._decisions.restore(kinds)
        for kind, found in kinds.items():
            if not self.history.restore(kind, found):
                self.counters["unknown-row"] += len(found)
        self._set_timers()

    def _set_timers(self) -> None:
        """Set every timer anew from the rows that need one."""
        gap_s = self.policy.detection.episode_gap_s
        timers = [(e.attempt_at + gap_s, "episode", key) for key, e in self._episodes.rows.items()]
        timers += [(e.snoozed_until, "snooze", key) for key, e in self._episodes.rows.items()
                   if e.snoozed_until is not None]  # fmt: skip
        timers += [(at, "review", key) for key, e in self._episodes.rows.items() for at in e.reviews]
        timers += [(a.deadline, "leak", f"{a.client} {a.qname}") for a in self._attempts.all() if a.deadline]
        timers += [(hold.deadline, "hold", key) for key, hold in self._holds.table.rows.items()]
        if (due_at := self._strangers.due_at()) is not None:
            timers.append((due_at, "strangers", ""))
        self._timers = Timers(timers)

    def _drop_void_timers(self) -> None:
        """Set the timers anew when most of them are about rows that are gone."""
        if self._timers.overgrown(len(self._episodes.rows) + self._attempts.size + len(self._holds.table.rows)):
            self._set_timers()

    # ── Bounds ────────────────────────────────────────────────────────────────────────────────────────────────

    def sizes(self) -> dict[str, int]:
        """Give the number of rows in every table."""
        return {
            "attempts": self._attempts.size, "episodes": len(self._episodes.rows), "holds": len(self._holds.table.rows),
            "decisions": len(self._decisions.made.rows), "tenants-met": len(self._decisions.met.rows),
            "sources": len(self._sources.table.rows), "timers": len(self._timers),
            "trails": len(self._trails.table.rows), **self.history.sizes(), **self._panel.sizes(),
        }  # fmt: skip

    def evicted(self) -> dict[str, int]:
        """Give how many rows had to go for others, by table."""
        return {
            "attempts": self._attempts.evicted, "episodes": self._episodes.evicted, "holds": self._holds.table.evicted,
            "decisions": self._decisions.made.evicted, "tenants-met": self._decisions.met.evicted,
            "sightings": self._tally.dropped, "trails": self._trails.table.evicted, **self.history.evicted(),
            **self._panel.evicted(),
        }  # fmt: skip

    def _evict_episode(self, key: str, episode: Episode) -> None:
        episode.state = "closed"
        self._trails.tell(episode, self.identity)
        self._effects.append(episode.revise(self.log_now, "evicted"))
        self._forget(episode)

    def _forget(self, episode: Episode) -> None:
        self._by_id.pop(episode.id, None)
        episode.closed = True
