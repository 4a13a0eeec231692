"""What an export is made of, and the ids that stay the same from one export to the next.

Never: reads the store or the configuration (``cli/export.py`` does). Read next: ``sigma.py``.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from dnswatch.core.clients.expectations import Expectations
from dnswatch.core.clients.groups import Groups
from dnswatch.core.detect.changes import SightingRow
from dnswatch.core.model import Indicator, Service

NAMESPACE = uuid.UUID("6f1d1c3e-5f0b-5c55-9d7e-2b7c0a6b9d10")
"""Of every id that we derive (RFC 9562 §5.5); made once, never changed."""


@dataclass(frozen=True, slots=True)
class Seen:
    """Unexpected lookups of one service, as a total."""

    first_at: float
    last_at: float
    count: int
    clients: tuple[str, ...]  # sorted addresses


@dataclass(frozen=True, slots=True)
class Share:
    """Everything that an export may tell."""

    services: tuple[Service, ...]  # by id
    expectations: Expectations
    groups: Groups
    at: float  # Unix seconds: when the export is made
    seen: Mapping[str, Seen]  # service id → what was seen; a service without sightings is not in it
    sensor: str = ""
    clients: bool = False  # tell addresses of clients too


def total(rows: Iterable[SightingRow]) -> dict[str, Seen]:
    """Add the hourly rows of unexpected lookups up, by service."""
    found: dict[str, list[SightingRow]] = {}
    for row in rows:
        if not row.expected:
            found.setdefault(row.service, []).append(row)
    return {
        service: Seen(
            min(row.first_at for row in of), max(row.last_at for row in of), sum(row.count for row in of),
            tuple(sorted({row.client for row in of})),
        )
        for service, of in sorted(found.items())
    }  # fmt: skip


def watched(service: Service) -> list[Indicator]:
    """Give the names that mean this service and nothing else."""
    return [indicator for indicator in service.indicators if indicator.role == "api"]


def derived(*parts: str) -> str:
    """Give the UUID that stands for these words."""
    return str(uuid.uuid5(NAMESPACE, "\n".join(parts)))


def links(service: Service) -> list[tuple[str, str]]:
    """Give the references of a catalogue entry that are pages: kind and address."""
    pairs = (reference.partition(":") for reference in service.references)
    return [(kind, rest) for kind, _, rest in pairs if rest.startswith("https://")]


def date(at: float) -> str:
    """Write a day."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d")
