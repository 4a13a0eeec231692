"""Zone transfers: what a question about a zone is answered with, as reply messages, made one at a time.

AXFR (RFC 5936) and IXFR (RFC 1995) condensed from two real snapshots: a difference that does not fit what the client
has wedges PowerDNS for ever (research rpz.md §0.9). A serial that is not kept gets the whole zone in the same reply.
Both read one immutable snapshot, so a publication never tears a transfer. Never: signs, judges who asks. Read next:
``responder.py``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain

from dnswatch.core.feeds import wire
from dnswatch.core.feeds.history import newer
from dnswatch.core.feeds.request import Request
from dnswatch.core.model import Snapshot

KEPT_VERSIONS = 50
"""Versions of a zone that an IXFR can begin from; the store keeps as many for `feed diff`."""
KEPT_RULES = 500_000
"""Rules of all kept versions of a zone together: about 100 MB (rpz.md §1 measured 105 MB for a million records)."""


class Served:
    """A zone as it is served: its version, and those before it, for differences."""

    def __init__(self, current: Snapshot, past: Sequence[Snapshot] = ()) -> None:
        """``past``: the newest first. Bounded here; what is too much is forgotten, and costs an AXFR."""
        self.current = current
        self.past: dict[int, Snapshot] = {}
        room = KEPT_RULES - len(current.zone.rules)
        for one in [one for one in past if one.serial != current.serial][:KEPT_VERSIONS]:
            room -= len(one.zone.rules)
            if room < 0 and self.past:  # the version before is always kept: most consumers have that one
                break
            self.past[one.serial] = one
        self._changes: dict[int, tuple[bytes, ...] | None] = {}  # of kept versions only, so as bounded as they are

    def followed_by(self, snapshot: Snapshot) -> Served:
        """Give the zone with a new version."""
        if snapshot == self.current:
            return self
        return Served(snapshot, [self.current, *self.past.values()])

    @property
    def serial(self) -> int:
        """Give the serial of the version that is served."""
        return self.current.serial

    def axfr(self) -> Iterator[bytes]:
        """Yield the whole zone, framed by its SOA."""
        soa = wire.soa(self.serial)
        return chain([soa], wire.content(self.current), [soa])

    def ixfr(self, serial: int) -> tuple[bytes, ...] | None:
        """Give the records that lead from ``serial`` to now; None when that is not kept, or no shorter than AXFR."""
        old = self.past.get(serial)
        if old is None:
            return None
        if serial not in self._changes:
            self._changes[serial] = self._difference(old)
        return self._changes[serial]

    def _difference(self, old: Snapshot) -> tuple[bytes, ...] | None:
        before, after = tuple(wire.content(old)), tuple(wire.content(self.current))
        had, has = set(before), set(after)
        first, last = wire.soa(old.serial), wire.soa(self.serial)
        removed = [record for record in before if record not in has]
        added = [record for record in after if record not in had]
        records = (last, first, *removed, last, *added, last)
        return records if sum(map(len, records)) < sum(map(len, after)) + 2 * len(last) else None


def answers(request: Request, served: Served, *, stream: bool) -> tuple[str, Iterator[bytes]]:
    """Give what the reply is (``soa``, ``ns``, ``axfr``, ``ixfr``, ``current``) and its records.

    ``stream``: over TCP or TLS. IXFR over UDP gets our SOA, which sends the client to TCP (RFC 1995 §2). Raises
    `ValueError` for AXFR over UDP (RFC 5936 §4.2), `KeyError` for a type that we do not answer.
    """
    soa = wire.soa(served.serial)
    if request.qtype == wire.SOA:
        return "soa", iter((soa,))
    if request.qtype == wire.NS:
        return "ns", iter((wire.ns(),))
    if request.qtype == wire.AXFR:
        if not stream:
            raise ValueError("AXFR over UDP")
        return "axfr", served.axfr()
    if request.qtype != wire.IXFR or request.serial is None:
        raise KeyError(request.qtype)
    if not stream:
        return "soa", iter((soa,))
    if request.serial == served.serial or newer(request.serial, served.serial):
        return "current", iter((soa,))
    changes = served.ixfr(request.serial)
    return ("axfr", served.axfr()) if changes is None else ("ixfr", iter(changes))


def messages(request: Request, records: Iterator[bytes]) -> Iterator[bytes]:
    """Yield the reply messages, unsigned, none built before it is wanted. OPT is in the first (RFC 5936 §2.2.5)."""
    flags = wire.QR | wire.AA | request.head.flags & wire.RD
    extra = [] if request.payload is None else [wire.opt()]
    for chunk in wire.chunks(records):
        yield wire.message(request.head.id, flags, request.asked, chunk, extra)
        extra = []
