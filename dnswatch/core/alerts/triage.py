"""What an analyst does with an alert: escalate or not and why, what to ask, look at and contain. Texts are data.

The rows of the SOC's triage table for T1567.004 become values here; the words come from ``feeds/triage/`` in the
operator's language. What DNS can answer is answered (how often, since when, with which addresses), what it cannot is
said. Never: reads files (``config/triage.py`` does), changes a severity. Read next: ``flat.py``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from dnswatch.core.alerts.flat import BLIND_SPOT, rfc3339
from dnswatch.core.model import Alert, Service

ESCALATED = ("medium", "high", "critical")
"""Severities that go to Tier 2 once a reason of the table holds; below them a lookup stands alone."""
ALONE = ("high", "critical")
"""Severities that go there without one."""
UNVERIFIED = frozenset({"oob-interaction", "request-bin", "tunnel-agent", "tunnel-visit"})
"""Categories whose names anybody makes in a second: who is behind one is unknown by nature."""
DESTINATION = frozenset({"first-seen-group", "first-seen-network", "prevalence-low", "tenant-unknown"})
BASELINE = frozenset({
    "burst", "companion-absent", "deviation", "off-hours", "query-type", "regular", "regular-long", "second-category",
    "sequence", "sequence-close", "sequence-repeated", "volume",
})  # fmt: skip
SEGMENT = frozenset({"segment", "server-tunnel"})
VALUES = ("who", "client", "service", "qname", "count", "times", "first_seen", "last_seen", "answers")
"""What texts may say of an alert: ``{who}``."""
SENSITIVE_ROLES = frozenset({"iot", "server"})


@dataclass(frozen=True, slots=True)
class Texts:
    """One language of ``feeds/triage/``: the file's own shape."""

    lang: str
    escalation: Mapping[str, Any]  # tier1, tier2, reasons{}
    questions: Mapping[str, Mapping[str, str]]
    steps: Mapping[str, tuple[str, ...]]  # l1, t2
    containment: tuple[str, ...]
    mitigations: Mapping[str, str]  # ATT&CK mitigation id → text
    look_next: tuple[str, ...]
    block: Mapping[str, str]
    categories: Mapping[str, Mapping[str, str]]  # category → ask, contain


@dataclass(frozen=True, slots=True)
class Advice:
    """What to do with one alert, in words."""

    tier2: bool
    escalation: str
    questions: tuple[tuple[str, str], ...]  # question, and what DNS can say to it ("" = nothing)
    l1: tuple[str, ...]
    t2: tuple[str, ...]
    containment: tuple[str, ...]
    mitigations: tuple[str, ...]
    look_next: tuple[str, ...]
    block: str


class Sort(NamedTuple):
    """What decides which texts an alert gets. A network has some dozen sorts of alerts."""

    category: str
    tier2: bool
    escalation: str
    expected: str  # "expected", "expired", "unexpected"
    answered: str  # "answer", "none"
    block_safety: str


@dataclass(frozen=True, slots=True)
class Triage:
    """The texts of one language, and the services that they speak of."""

    texts: Texts
    services: Mapping[str, Service]
    drafts: dict[Sort, str] = field(default_factory=dict, repr=False, compare=False)
    """What ``json.py`` has made of the texts of a sort, for the next alert of it."""

    def of(self, alert: Alert) -> Advice | None:
        """Give advice on an alert; None for a blind spot, which says itself what to do."""
        sort = self.sort(alert)
        return self.write(sort, values_of(alert)) if sort is not None else None

    def sort(self, alert: Alert) -> Sort | None:
        """Say which texts an alert gets; None for a blind spot."""
        if alert.category == BLIND_SPOT:
            return None
        terms = {reason.term for reason in alert.because}
        service = self.services.get(alert.service)
        return Sort(
            alert.category,
            *_escalation(alert, self.texts),
            "expected" if "deviation" in terms else "expired" if "expired" in terms else "unexpected",
            "answer" if alert.answers else "none",
            service.block_safety if service is not None else "unknown",
        )

    def write(self, sort: Sort, values: Mapping[str, str]) -> Advice:
        """Write the advice on alerts of a sort with these values in it.

        Values come from logs: they are inserted, never read as a pattern.
        """

        def fill(text: str) -> str:
            return text.format_map(values) if "{" in text or "}" in text else text

        texts = self.texts
        special = texts.categories.get(sort.category, {})
        return Advice(
            sort.tier2,
            sort.escalation,
            tuple((question, fill(answer)) for question, answer in _questions(sort, texts, special)),
            tuple(fill(step) for step in texts.steps["l1"]),
            tuple(fill(step) for step in texts.steps["t2"]),
            tuple(fill(text) for text in (*_own(special, "contain"), *texts.containment)),
            tuple(f"{id_} {text}" for id_, text in texts.mitigations.items()),
            texts.look_next,
            texts.block[sort.block_safety],
        )


def values_of(alert: Alert) -> dict[str, str]:
    """Give what texts may say of an alert."""
    count, client = alert.count, alert.client
    values = (
        f"{client.name} ({client.address})" if client.name else client.address, client.address, alert.service,
        alert.qname, str(count), f"{count}×", rfc3339(alert.first_at), rfc3339(alert.last_at), ", ".join(alert.answers),
    )  # fmt: skip
    return dict(zip(VALUES, values, strict=True))


def _own(special: Mapping[str, str], key: str) -> tuple[str, ...]:
    return (special[key],) if key in special else ()


def _escalation(alert: Alert, texts: Texts) -> tuple[bool, str]:
    """Decide by the table: unknown destination, departure from the baseline, sensitive segment."""
    terms = {reason.term for reason in alert.because if reason.points > 0 or reason.term == "deviation"}
    held = {
        "destination": alert.category in UNVERIFIED or not terms.isdisjoint(DESTINATION),
        "baseline": not terms.isdisjoint(BASELINE),
        "segment": not terms.isdisjoint(SEGMENT) or alert.client.role in SENSITIVE_ROLES,
        "leaked": alert.outcome == "leaked",
    }
    why = [name for name, holds in held.items() if holds]
    if alert.severity in ALONE and not why:
        why = ["severity"]
    if not why or alert.severity not in ESCALATED:
        return False, str(texts.escalation["tier1"])
    words = "; ".join(str(texts.escalation["reasons"][name]) for name in why)
    return True, str(texts.escalation["tier2"]).format(why=words)


def _questions(sort: Sort, texts: Texts, special: Mapping[str, str]) -> list[tuple[str, str]]:
    """Ask what the table asks; the category's own question follows."""
    asked = texts.questions
    return [
        (asked["legitimate"]["ask"], asked["legitimate"][sort.expected]),
        (asked["volume"]["ask"], asked["volume"]["answer"]),
        (asked["authorised"]["ask"], asked["authorised"]["answer"]),
        (asked["answered"]["ask"], asked["answered"][sort.answered]),
        *((text, "") for text in _own(special, "ask")),
    ]
