"""Fact: nobody here has ever met this tenant of a service that gives each customer a name of their own.

The label left of ``webhook.office.com`` is somebody's organisation. A network uses a few of them for years; a new one
is a stranger's, and it is so for a client that may use the service, too. Services whose labels change with every
session have too many to know any; there the signal is silent.

While learning every tenant becomes known, later only those that an expected client meets.

Never: counts while learning. Read next: ``first_seen.py``.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from dnswatch.core.detect.changes import Row, Table
from dnswatch.core.detect.signal import Past, Signal
from dnswatch.core.model import Finding, Reason, Service, Sighting
from dnswatch.core.policy import Detection

SERVICES = 1_000
LABELS = 32
"""Labels remembered per service, as checksums; one more, and the service counts as having no steady tenants."""


@dataclass(frozen=True, slots=True)
class Options:
    """Settings."""

    known: int = 1
    """So many tenants must be known before another one is news."""


class Tenants:
    """The tenants of one service that were met here."""

    __slots__ = ("labels", "n")

    def __init__(self, labels: Iterable[str] = (), n: int = 0) -> None:
        self.n = n
        self.labels = list(labels)

    def row(self) -> Row:
        """Give the plain form."""
        return {"n": self.n, "labels": list(self.labels)}

    @classmethod
    def of_row(cls, row: Row) -> Tenants:
        """Take a stored row."""
        return cls(row["labels"], row["n"])


class Tenant(Signal):
    """A tenant label never met before."""

    name: ClassVar[str] = "tenant"
    options_type = Options
    options: Options
    memory: Table[Tenants]
    row_type = Tenants

    def __init__(self, detection: Detection) -> None:
        super().__init__(detection)
        self.memory = Table("signal:tenant", SERVICES)

    def concerns(self, service: Service) -> bool:
        """Speak of services with tenants."""
        return service.multi_tenant

    def judge(self, sighting: Sighting, past: Past) -> Finding | None:
        """Say that the tenant is new here."""
        text = self._news(sighting, past)
        return self.finding("tenant-unknown", text) if text else None

    def deviate(self, sighting: Sighting, past: Past) -> Finding | None:
        """Say the same of a client that may use the service."""
        text = self._news(sighting, past)
        return Finding(self.name, 0, (Reason("tenant-unknown", text),)) if text else None

    def remembers(self, service: Service, expected: bool) -> bool:
        """Remember what is spoken of."""
        return self.concerns(service)

    def observe(self, sighting: Sighting, past: Past) -> None:
        """Remember the tenant."""
        label = _label(sighting)
        if not label:
            return
        if not sighting.expected and not past.learning(sighting.at, self.detection.learning_s).active:
            return
        tenants = self.memory.rows.get(sighting.service.id)
        if tenants is None:
            tenants = Tenants()
            self.memory.put(sighting.service.id, tenants)
        mark = _mark(label)
        if mark not in tenants.labels and len(tenants.labels) <= LABELS:
            tenants.labels.append(mark)
            self.memory.changed.add(sighting.service.id)

    def _news(self, sighting: Sighting, past: Past) -> str:
        label, tenants = _label(sighting), self.memory.rows.get(sighting.service.id)
        if not label or tenants is None or not self.options.known <= len(tenants.labels) <= LABELS:
            return ""
        if _mark(label) in tenants.labels or past.learning(sighting.at, self.detection.learning_s).active:
            return ""
        known = "one is" if len(tenants.labels) == 1 else f"{len(tenants.labels)} are"
        return f"tenant {label} of {sighting.service.id} was never met here; {known} known"


def _label(sighting: Sighting) -> str:
    """Give the label that names the tenant, or "" where there is none."""
    if not sighting.service.multi_tenant or sighting.indicator.match != "subdomains":
        return ""
    return sighting.qname[: -len(sighting.indicator.name) - 1].rpartition(".")[2]


def _mark(label: str) -> str:
    return f"{zlib.crc32(label.encode('ascii', 'backslashreplace')):08x}"
