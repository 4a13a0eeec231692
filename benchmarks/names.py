"""The watched names, read straight from ``feeds/`` with PyYAML.

Never: imports the product. The reference and the peers get their names from here, so a mistake in the product's
catalogue reader shows up as a difference instead of being shared. Read next: ``generate.py``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import yaml

FEEDS = Path(__file__).resolve().parent.parent / "feeds"
_LISTS = {"names": "api", "companions": "companion", "ambiguous": "ambiguous"}


class Watched(NamedTuple):
    """One name of the catalogue."""

    name: str
    match: str  # exact, subdomains, domain
    role: str  # api, companion, ambiguous, recon, doh
    service: str


def catalogue(feeds: Path = FEEDS) -> list[Watched]:
    """Give every name of every service, of all profiles, and of the IP-check and DoH lists."""
    found: list[Watched] = []
    for path in sorted(set(feeds.glob("*/*.yaml")) - set(feeds.glob("triage/*"))):
        service = _read(path)
        for key, role in _LISTS.items():
            found += [Watched(*_entry(entry), role, service["id"]) for entry in service.get(key) or ()]
    recon, doh = _read(feeds / "recon.yaml"), _read(feeds / "doh.yaml")
    found += [Watched(*_entry(entry), "recon", "recon") for key in ("core", "extended") for entry in recon[key]]
    found += [Watched(*_entry(entry), "doh", "doh") for entry in doh["names"]]
    return found


def patterns(names: list[Watched]) -> list[str]:
    """Give the fixed strings that find the names label-aligned in a query log: what stands before and after them."""
    wanted = set()
    for name, match, _, _ in names:
        if match != "subdomains":
            wanted.add(f" {name} ")
        if match != "exact":
            wanted.add(f".{name} ")
    return sorted(wanted)


def expression(names: list[Watched], dot: str = r"\.") -> str:
    """Give one regular expression that matches a whole watched name, for tools that take nothing else."""
    exact = sorted({n.name.replace(".", dot) for n in names if n.match != "subdomains"})
    below = sorted({n.name.replace(".", dot) for n in names if n.match != "exact"})
    return f"({'|'.join(exact)}|([^ ]+{dot})({'|'.join(below)}))"


def _read(path: Path) -> dict[str, Any]:
    data: dict[str, Any] = yaml.safe_load(path.read_text("utf-8"))
    return data


def _entry(entry: str | dict[str, str]) -> tuple[str, str]:
    return (entry, "exact") if isinstance(entry, str) else (entry["name"], entry.get("match", "exact"))
