"""The embedded store: alerts, engine rows, positions, outbox, status and zone snapshots in one SQLite file.

Never: decides anything, knows a sink or a source. Read next: ``schema.py`` (the tables), ``database.py`` (connections
and errors), ``checkpoint.py`` (the one transaction that matters).
"""

from __future__ import annotations

from dnswatch.io.store.book import Asked, Book, Wanted
from dnswatch.io.store.checkpoint import Checkpoints, Queued, Saved, SourceState
from dnswatch.io.store.database import FILE
from dnswatch.io.store.dead_letters import DeadLetter, DeadLetters
from dnswatch.io.store.feeds import Feeds
from dnswatch.io.store.outbox import Backlog, Outbox, Place, Unreadable
from dnswatch.io.store.surroundings import Surroundings
from dnswatch.io.store.upkeep import Upkeep
from dnswatch.io.store.writings import Writings

__all__ = ["FILE", "Asked", "Backlog", "DeadLetter", "Place", "Queued", "Saved", "SourceState", "Store", "Unreadable",
           "Wanted", "Writings"]  # fmt: skip


class Store(Checkpoints, Book, Outbox, DeadLetters, Feeds, Surroundings, Upkeep):
    """The store as one thing; each part says in its own module what it offers. Open with ``await Store.open(path)``."""
