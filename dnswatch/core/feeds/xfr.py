"""Zone transfers: what a question about a zone is answered with, as reply messages, made one at a time.

AXFR (RFC 5936) and IXFR (RFC 1995) condensed from two real snapshots: a difference that does not fit what the client
has wedges PowerDNS for ever (research rpz.md §0.9). A serial that is not kept gets the whole zone in the same reply.
Both read pages that nothing changes, so a publication never tears a transfer. Never: signs, judges who asks. Read next:
``responder.py``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

from dnswatch.core.feeds import wire
from dnswatch.core.feeds.history import newer
from dnswatch.core.feeds.pages import Page, Pages, difference, single
from dnswatch.core.feeds.request import Request
from dnswatch.core.model import Snapshot

KEPT_VERSIONS = 50
"""Versions of a zone that an IXFR can begin from; the store keeps as many for `feed diff`."""
KEPT_OCTETS = 16 << 20
"""Of records that only versions before the current one have: a rule more or less is a page of 10 KiB, a promotion the
whole zone (45 MB for a million rules). Beyond that the oldest are forgotten, and cost an AXFR."""


@dataclass(frozen=True, slots=True)
class Version:
    """A version as another process made it."""

    snapshot: Snapshot  # an outline (``history.py``)
    pages: tuple[Page, ...] | None  # None: they are as they were
    past: tuple[tuple[int, tuple[Page, ...]], ...] = ()  # serials and pages of versions before it, the newest first


class Served:
    """A zone as it is served: its version, and the pages of those before it, for differences."""

    def __init__(self, current: Snapshot, past: Iterable[Snapshot] = (), pages: Pages | None = None) -> None:
        """``past``: the newest first. Bounded here; what is too much is forgotten, and costs an AXFR."""
        pages = pages or Pages()
        self.current = current
        self.pages = pages.of(current)
        self.past = _bounded(self.pages, ((one.serial, pages.of(one)) for one in past if one.serial != current.serial))
        self._changes: dict[int, tuple[Page, ...] | None] = {}  # of kept versions only, so as bounded as they are

    @classmethod
    def made(cls, version: Version, before: Served | None = None) -> Served:
        """Give a version whose pages were made elsewhere; ``before``: the zone as it was served until now."""
        assert version.pages is not None
        served = cls.__new__(cls)
        served.current, served.pages, served._changes = version.snapshot, version.pages, {}
        served._follow(version.past if before is None else chain([(before.serial, before.pages)], before.past.items()))
        return served

    def followed_by(self, snapshot: Snapshot, pages: Pages | None = None) -> Served:
        """Give the zone with a new version."""
        if snapshot == self.current:
            return self
        following = Served(snapshot, (), pages or Pages(self.pages))
        following._follow(chain([(self.serial, self.pages)], self.past.items()))
        return following

    def _follow(self, past: Iterable[tuple[int, tuple[Page, ...]]]) -> None:
        self.past = _bounded(self.pages, ((serial, one) for serial, one in past if serial != self.serial))

    @property
    def serial(self) -> int:
        """Give the serial of the version that is served."""
        return self.current.serial

    def axfr(self) -> Iterator[Page]:
        """Yield the whole zone, framed by its SOA."""
        soa = single(wire.soa(self.serial))
        return chain([soa], self.pages, [soa])

    def ixfr(self, serial: int) -> tuple[Page, ...] | None:
        """Give the records that lead from ``serial`` to now; None when that is not kept, or no shorter than AXFR."""
        old = self.past.get(serial)
        if old is None:
            return None
        if serial not in self._changes:
            self._changes[serial] = self._difference(serial, old)
        return self._changes[serial]

    def _difference(self, serial: int, old: tuple[Page, ...]) -> tuple[Page, ...] | None:
        first, last = wire.soa(serial), wire.soa(self.serial)
        removed, added = difference(old, self.pages)
        records = (last, first, *removed, last, *added, last)
        whole = sum(len(page.octets) for page in self.pages) + 2 * len(last)
        return tuple(map(single, records)) if sum(map(len, records)) < whole else None


def _bounded(current: Sequence[Page], past: Iterable[tuple[int, tuple[Page, ...]]]) -> dict[int, tuple[Page, ...]]:
    """Keep the newest versions: as many as are asked for, and as their pages have room."""
    kept: dict[int, tuple[Page, ...]] = {}
    room, known = KEPT_OCTETS, set(current)
    for serial, pages in past:
        room -= sum(len(page.octets) for page in pages if page not in known)
        if kept and room < 0:  # the version before is always kept: most consumers have that one
            break
        kept[serial] = pages
        known.update(pages)
        if len(kept) == KEPT_VERSIONS:
            break
    return kept


def answers(request: Request, served: Served, *, stream: bool) -> tuple[str, Iterator[Page]]:
    """Give what the reply is (``soa``, ``ns``, ``axfr``, ``ixfr``, ``current``) and its records.

    ``stream``: over TCP or TLS. IXFR over UDP gets our SOA, which sends the client to TCP (RFC 1995 §2). Raises
    `ValueError` for AXFR over UDP (RFC 5936 §4.2), `KeyError` for a type that we do not answer.
    """
    soa = single(wire.soa(served.serial))
    if request.qtype == wire.SOA:
        return "soa", iter((soa,))
    if request.qtype == wire.NS:
        return "ns", iter((single(wire.ns()),))
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


def messages(request: Request, records: Iterable[Page]) -> Iterator[bytes]:
    """Yield the reply messages, unsigned, none built before it is wanted. OPT is in the first (RFC 5936 §2.2.5)."""
    flags = wire.QR | wire.AA | request.head.flags & wire.RD
    extra = b"" if request.payload is None else wire.opt()
    for count, parts in chunks(records):
        head = wire.HEADER.pack(request.head.id, flags, 1, count, 0, bool(extra))
        yield b"".join([head, request.asked, *parts, extra])
        extra = b""


def chunks(records: Iterable[Page], most: int = wire.BODY) -> Iterator[tuple[int, list[bytes]]]:
    """Cut pages into what one message holds, lazily: number of records, and octets. Every page fits one."""
    chunk: list[bytes] = []
    count = size = 0
    for page in records:
        if chunk and size + len(page.octets) > most:
            yield count, chunk
            chunk, count, size = [], 0, 0
        chunk.append(page.octets)
        count += page.records
        size += len(page.octets)
    if chunk:
        yield count, chunk
