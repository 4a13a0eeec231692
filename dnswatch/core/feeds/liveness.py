"""Is a published version live in a resolver? What it showed becomes a state, and states become one statement on it.

A copy is a zone in a resolver, or in one view of it. Three things tell of a copy: its canary (the resolver acts by this
very version), its SOA (the resolver has it), and the last transfer (it fetched it from us). Never: asks; times are
passed in. Read next: ``io/canary.py``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from dnswatch.core.clients.who import parse_address
from dnswatch.core.feeds.history import newer
from dnswatch.core.model import Name

State = Literal["live", "old", "idle", "none", "silent"]
SERVFAIL, NOTAUTH = 2, 9
MOST_AHEAD = 1 << 28
"""Seconds, eight years: serials are times, so a larger one was never ours; a reply may be forged."""

WORDS: Mapping[State, str] = {
    "live": "answers from this serial",
    "old": "has another serial",
    "idle": "has this serial and does not act by it: the zone is not in force where it was asked (response-policy)",
    "none": "does not answer for the zone (never loaded, expired, or another key or clock than ours)",
    "silent": "does not answer",
}
_SHOWN = 3  # zones named in a statement; `status` shows all


@dataclass(frozen=True, slots=True)
class Copy:
    """A zone in a resolver.

    ``view``: the name of the key that opens the view it is in, or the address that is asked from; "" without views.
    """

    zone: Name
    view: str = ""


@dataclass(frozen=True, slots=True)
class Seen:
    """What a resolver showed of a copy."""

    canary: bool = False  # of the serial that was published last
    stale: bool = False  # it acts by another version, and nothing tells by which
    serial: int | None = None  # of its SOA, or of the version that it acts by
    rcode: int | None = None  # of the question for the SOA; None = it did not answer at all
    fetched: int | None = None  # serial that it took from us last
    visible: bool = True  # its canary would show, were it live


def state_of(seen: Seen, serial: int) -> State:
    """Judge a copy by what was seen of it, ``serial`` being the one published last."""
    if seen.canary:
        return "live"
    if seen.rcode is None:
        return "silent"
    if seen.serial is not None:
        if seen.serial != serial:
            return "old"
        return "idle" if seen.visible else "live"
    if seen.stale:
        return "old"
    if seen.visible or seen.rcode in (SERVFAIL, NOTAUTH):
        return "none"
    # It cannot be asked for (Unbound's SOA is not for downstream, PowerDNS serves another group): believe the transfer.
    if seen.fetched is None:
        return "none"
    return "live" if seen.fetched == serial else "old"


def is_ahead(theirs: int, ours: int) -> bool:
    """Say whether a resolver has a newer serial than we publish, by no more than `MOST_AHEAD`."""
    return newer(theirs, ours) and (theirs - ours) % (1 << 32) < MOST_AHEAD


@dataclass(slots=True)
class Standing:
    """How a copy stands: by the version of ``serial``, since when it is not live, and what was seen last."""

    serial: int
    since: float  # of the publication, or of the last time it was seen live
    state: State | None = None  # None = not asked yet
    at: float = 0.0  # when it was asked last
    has: int | None = None  # serial that it has, where that is known


def statement(standings: Mapping[Copy, Standing], due: Iterable[Copy], now: float) -> str:
    """Say which copies are not live: zone, serial wanted, serial there, since when."""
    bad = sorted(due, key=lambda copy: (standings[copy].since, copy.zone, copy.view))
    if bad and all(standings[copy].state == "silent" for copy in bad):
        oldest = standings[bad[0]]
        return f"it does not answer since {_span(now - oldest.since)}, so nobody knows whether it blocks"
    parts = []
    for copy in bad[:_SHOWN]:
        one = standings[copy]
        assert one.state is not None
        where = f"{copy.zone} ({_view(copy.view)})" if copy.view else copy.zone
        has = f", {one.has}" if one.state == "old" and one.has is not None else ""
        parts.append(f"{where}: {WORDS[one.state]}{has} instead of serial {one.serial} since {_span(now - one.since)}"
                     if one.state != "idle" else f"{where}: {WORDS['idle']}, serial {one.serial}")  # fmt: skip
    more = f"; and {len(bad) - _SHOWN} more" if len(bad) > _SHOWN else ""
    return "; ".join(parts) + more


def _view(name: str) -> str:
    return f"asked from {name}" if parse_address(name) else f"view of key {name}"


def _span(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.0f} h"
