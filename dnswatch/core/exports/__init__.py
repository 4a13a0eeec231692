"""What others can take over: the watched names, who may use them and what was seen, in the formats of other tools.

    EXPORTS["sigma"](share) -> documents: plain data, written as YAML or JSON by the caller

Never: names clients unless asked (``share.clients``): indicators leave the house, the people of the house do not. Ids
are derived from what they stand for, so a second export updates the first. Read next: ``share.py``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dnswatch.core.exports import misp, sigma, stix
from dnswatch.core.exports.share import Share

__all__ = ["EXPORTS", "Share"]

EXPORTS: dict[str, Callable[[Share], list[dict[str, Any]]]] = {
    "misp": misp.documents,
    "sigma": sigma.documents,
    "stix": stix.documents,
}
"""Name → exporter, sorted by name. A new format is one file and one line here."""
