"""Runs the product on a directory of logs, the way ``dnswatch scan --config policy.yaml`` does, and notes what it says.

The only module here that imports the product. Never: reads labels. Read next: ``judge.py``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from dnswatch.config.build import load_policy
from dnswatch.core.detect.signals import SIGNALS
from dnswatch.core.feeds.claims import Lookup
from dnswatch.core.feeds.zones import compile_zones, with_mode
from dnswatch.core.policy import Policy
from dnswatch.io.archive import discover
from dnswatch.scan import Options, Scan, bare_policy

YEAR = 2026
GRADES = ("info", "low", "medium", "high", "critical")


@dataclass(frozen=True, slots=True)
class Revision:
    """What an analyst gets at one moment."""

    id: str
    at: float
    client: str
    mac: str
    service: str
    grade: int
    score: int
    terms: tuple[str, ...]
    count: int


def revisions(logs: Path, policy: Path, without: Sequence[str] = ()) -> list[Revision]:
    """Scan the logs; ``without`` names signals that are left out (ablation)."""
    with _panel_without(without):
        return _said(load_policy(policy).policy, logs, YEAR)


def bare_revisions(logs: Path, year: int) -> list[Revision]:
    """Scan logs as ``dnswatch scan`` does without a configuration: nobody is expected to do anything."""
    return _said(bare_policy(), logs, year)


def _said(policy: Policy, logs: Path, year: int) -> list[Revision]:
    scan = Scan(policy, discover([str(logs)]).families, Options(year=year))
    return [
        Revision(
            alert.id,
            alert.at,
            alert.client.address,
            alert.client.mac,
            alert.service,
            GRADES.index(alert.severity),
            alert.score,
            tuple(reason.term for reason in alert.because),
            alert.count,
        )
        for alert in scan.revisions()
    ]


@contextmanager
def _panel_without(names: Sequence[str]) -> Iterator[None]:
    taken = {name: SIGNALS.pop(name) for name in names}
    try:
        yield
    finally:
        SIGNALS.update(taken)


def blocked(policy: Path, names: Sequence[str], at: float) -> list[tuple[str, str]]:
    """Give (audience, name) for each of the names that the published zones would block, were they enforced."""
    zones = compile_zones(with_mode(load_policy(policy).policy, "enforce"), None, at)
    return [
        (zone.audience, name)
        for zone in zones
        for lookup in [Lookup(zone.rules)]
        for name in names
        if (rule := lookup.rule(name)) is not None and rule.action != "passthru"
    ]


def catalogue_hash(root: Path) -> str:
    """Give a short fingerprint of the catalogue that was used."""
    digest = hashlib.sha256()
    for path in sorted((root / "feeds").rglob("*.yaml")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]
