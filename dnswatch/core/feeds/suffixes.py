"""What a plain list of names can say of the zone for everyone, and what it must leave out.

Such lists know names and "everything below", no exceptions. A name is left out where the list would take along
something that must pass. Never: writes a file. Read next: ``formats/dnsmasq.py``, ``formats/adblock.py``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from dnswatch.core.model import Name, Snapshot
from dnswatch.core.names import parents

NOBODY = "Written by dnswatch from its catalogue and the operator's expectations; changes made here are lost."

NOWHERE = ("0.0.0.0", "::")
"""No host answers at the unspecified addresses (RFC 1122 §3.2.1.3, RFC 4291 §2.5.2): a connection fails at once."""


@dataclass(frozen=True, slots=True)
class Listing:
    """Names that a list of names blocks, and triggers that it cannot say, each with why."""

    names: tuple[Name, ...]
    left_out: dict[str, str]


def split(snapshot: Snapshot) -> tuple[list[str], list[str]]:
    """Give the triggers that are blocked, and those that pass."""
    rules = snapshot.zone.rules
    return [r.trigger for r in rules if r.action != "passthru"], [r.trigger for r in rules if r.action == "passthru"]


def taken_along(blocked: list[str], passing: list[str]) -> dict[str, str]:
    """Give each trigger that cannot be blocked with all below it, with a passing one that it would take along."""
    below: dict[Name, str] = {}
    for trigger in passing:
        names = parents(trigger)  # "*.ok.d" itself, then ok.d and d
        next(names)
        for name in names:
            below.setdefault(name, trigger)
    names_blocked, names_passing = set(blocked), set(passing)
    found: dict[str, str] = {}
    for trigger in blocked:
        name = trigger.removeprefix("*.")
        taken = below.get(name) or (_wildcard_above(name, names_blocked, names_passing) if name == trigger else None)
        if taken:
            found[trigger] = taken
    return found


def listing(snapshot: Snapshot) -> Listing:
    """Give what a list says in which a name stands for itself, or for itself and everything below it.

    Readers differ in that, so the list is right both ways: nothing that must pass is below a name of it. What is
    blocked only below a name cannot be said.
    """
    blocked, passing = split(snapshot)
    left_out = {trigger: f"would block {other} with it" for trigger, other in taken_along(blocked, passing).items()}
    names = [trigger for trigger in blocked if trigger not in left_out and not trigger.startswith("*.")]
    kept = set(names)
    for trigger in blocked:
        if trigger.startswith("*.") and trigger[2:] not in kept:
            left_out.setdefault(trigger, f"would block {trigger[2:]}, too")
    return Listing(tuple(names), left_out)


def header(snapshot: Snapshot, count: int, empty: str = "this format cannot pass and log at once") -> Iterator[str]:
    """Yield the first lines of a list, without the sign that makes them comments."""
    made = datetime.fromtimestamp(int(snapshot.at), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    yield NOBODY
    yield f"Names that nobody is expected to use: {count}. Version {snapshot.serial}, made {made}."
    if not snapshot.zone.rules:
        yield f"Empty: feeds.mode is shadow, or nothing is left to block; {empty}."


def _wildcard_above(name: Name, blocked: set[str], passing: set[str]) -> str | None:
    """Give the passing wildcard that decides on what is below an exact ``name``, if it is one."""
    for parent in parents(name):
        wildcard = "*." + parent
        if wildcard in blocked or wildcard in passing:
            return wildcard if wildcard in passing else None
    return None
