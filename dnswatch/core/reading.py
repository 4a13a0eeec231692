"""From the name of a format to what reads it: lines by a parser and a prescan, dnstap by frames.

Never: reads. Read next: ``logs/digest.py``, ``dnstap/digest.py``, which have the same contract.
"""

from __future__ import annotations

from dnswatch.core.catalog import Catalog
from dnswatch.core.dnstap.digest import FrameDigest
from dnswatch.core.dnstap.scan import WireScan
from dnswatch.core.logs.digest import Digest, Sampling
from dnswatch.core.logs.parsers import PARSERS
from dnswatch.core.logs.prescan import Prescan, build_prescan
from dnswatch.core.logs.timestamps import Stamps

DNSTAP = "dnstap"
"""The one format that is not text."""

Scan = Prescan | WireScan
AnyDigest = Digest | FrameDigest


def formats() -> list[str]:
    """Give every format, sorted."""
    return sorted([*PARSERS, DNSTAP])


def build_scan(kind: str, catalog: Catalog, database: bytes | None = None) -> Scan:
    """Compile what finds the catalogue's names in a log of this format; ``database``: as `compile_database` gave it."""
    if kind == DNSTAP:
        return WireScan(catalog.names())
    parser = PARSERS[kind]
    return build_prescan(catalog.names(), parser.literals, tails=parser.tails, database=database)


def build_digest(kind: str, stamps: Stamps, scan: Scan, sample: Sampling) -> AnyDigest:
    """Make a digest of this format's logs. ``scan`` comes of `build_scan` for the same format."""
    if isinstance(scan, WireScan):
        return FrameDigest(scan, sample, stamps)
    return Digest(PARSERS[kind](stamps), scan, sample)


def rescan(digest: AnyDigest, scan: Scan) -> None:
    """Look for other names from the next block on; a scan of another kind is not for this digest, and left out."""
    if isinstance(digest, FrameDigest):
        if isinstance(scan, WireScan):
            digest.prescan = scan
    elif not isinstance(scan, WireScan):
        digest.prescan = scan
