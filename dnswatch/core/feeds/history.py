"""Versions of a zone: serials that only grow, one content per serial, differences between versions.

Never: a clock, a disk; the caller stores a snapshot before anybody sees it (research rpz.md §5.4). Read next:
``publication.py``.
"""

from __future__ import annotations

from dataclasses import replace

from dnswatch.core.feeds.audiences import BY_CLIENT
from dnswatch.core.model import Delta, Snapshot, Zone

_SPAN = 1 << 32  # serials are 32 bits and compare by RFC 1982
_HALF = 1 << 31


def next_serial(last: int | None, at: float) -> int:
    """Give the serial after ``last``: Unix time, but always newer than ``last``, also when the clock was set back.

    BIND and Unbound ignore a lower serial for ever (rpz.md §5.4), so growth is by RFC 1982 arithmetic.
    """
    wanted = int(at) % _SPAN
    if last is None:
        return wanted or 1
    following = (last + 1) % _SPAN
    return wanted if newer(wanted, following) else following


def newer(serial: int, than: int) -> bool:
    """Say whether ``serial`` comes after ``than`` (RFC 1982 §3.2)."""
    return 0 < (serial - than) % _SPAN < _HALF


def advance(last: Snapshot | None, zone: Zone, at: float, data: frozenset[str] = frozenset()) -> Snapshot:
    """Give the zone's next version, or ``last`` itself when nothing changed: same serial, same bytes."""
    if last is not None and last.zone == zone:
        return last
    return Snapshot(zone, next_serial(last.serial if last else None, at), at, data)


def lift(last: Snapshot, above: int, at: float) -> Snapshot:
    """Give the same content under a serial newer than ``above``, where it is not newer already.

    A resolver that has a newer serial than we publish ignores ours for ever: our store was restored from an older copy.
    """
    return last if newer(last.serial, above) else replace(last, serial=next_serial(above, at), at=at)


def outline(one: Snapshot) -> Snapshot:
    """Give a version without its rules for names: enough to serve pages, to ask consumers and to tell. Those for
    clients stay, for they say who sees a canary."""
    zone = one.zone
    rules = zone.rules if zone.audience in BY_CLIENT else ()
    return Snapshot(Zone(zone.name, zone.audience, rules), one.serial, one.at)


def diff(old: Snapshot, new: Snapshot) -> Delta:
    """Give what was removed from and added to a zone between two versions; a changed action is both."""
    before, after = set(old.zone.rules), set(new.zone.rules)
    return Delta(
        zone=new.zone.name,
        from_serial=old.serial,
        to_serial=new.serial,
        removed=tuple(sorted(before - after)),
        added=tuple(sorted(after - before)),
    )
