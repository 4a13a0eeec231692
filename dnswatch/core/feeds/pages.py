"""A version of a zone as pages: its records in wire form, some two hundred at a time, in the order of the zone.

A page ends where its last rule's hash says so, not after a number of rules, so one rule more or less changes the
page that it is in and hardly another. Equal pages are one object in all versions and zones that were made together:
a zone is a list of references, a transfer takes pages as they are, and differences are looked for where pages differ.

Never: knows who asks, or what a record means. Read next: ``xfr.py``.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from zlib import crc32

from dnswatch.core.feeds import wire
from dnswatch.core.feeds.triggers import canaries
from dnswatch.core.model import Rule, Snapshot

LEAST = 8 * 1024
"""Octets before a page may end: with pages below half of a message (`wire.BODY`) there would only be more messages."""
_ENDS = 1 << 27
"""A rule ends its page when its hash is below this: one in 32, so pages have about 10 KiB."""
_MIX = 0x9E3779B1
"""Spreads a checksum over all bits (Knuth's multiplicative hashing): that of numbered names has hardly two alike."""
ENCODED = 1 << 17
"""Rules whose records are remembered while zones are made, 40 MB: what all groups together have, next to always."""
_MOST = 1024
"""Rules of a page: the shortest record has 17 octets."""
_SIZE = struct.Struct("!H")
_BEFORE_SIZE = 2 + 2 + 2 + 4  # the pointer to the zone's name, type, class, TTL


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Page:
    """Records one after the other, and the rules that they say (none where another process made it). Compared by
    identity."""

    records: int
    octets: bytes
    rules: tuple[Rule, ...] = ()


class Pages:
    """Makes pages of zones; each rule is encoded once, and each page there once."""

    def __init__(self, known: Iterable[Page] = ()) -> None:
        """``known``: pages to share, of other zones and of versions before."""
        self._beginning: dict[str, list[Page]] = {}  # by trigger of the first rule
        self._encoded: dict[str, tuple[Rule, int, bytes]] = {}
        for page in known:
            self._note(page)

    def of(self, snapshot: Snapshot) -> tuple[Page, ...]:
        """Give every record of a version but its SOA: the same ones that the zone file has."""
        rules, at = snapshot.zone.rules, 0
        found = [single(wire.ns())]
        while at < len(rules):
            found.append(self._known(rules, at) or self._next(rules, at))
            at += len(found[-1].rules)
        return (*found, _joined(canaries(snapshot.zone.audience, snapshot.serial)))

    def _note(self, page: Page) -> None:
        if page.rules:
            same = self._beginning.setdefault(page.rules[0].trigger, [])
            if not any(page is other for other in same):
                same.append(page)

    def _known(self, rules: tuple[Rule, ...], at: int) -> Page | None:
        for page in self._beginning.get(rules[at].trigger, ()):
            if rules[at : at + len(page.rules)] == page.rules:
                return page
        return None

    def _next(self, rules: tuple[Rule, ...], at: int) -> Page:
        """Make the page that begins with a rule."""
        taken: list[bytes] = []
        count = size = 0
        for rule in rules[at : at + _MOST]:
            known = self._encoded.get(rule.trigger)
            if known is None or (known[0] is not rule and known[0] != rule):
                known = self._encode(rule)
            _, records, octets = known
            if size + len(octets) > wire.BODY:
                break
            taken.append(octets)
            count += records
            size += len(octets)
            if size >= LEAST and crc32(octets) * _MIX & 0xFFFFFFFF < _ENDS:
                break
        page = Page(count, b"".join(taken), rules[at : at + len(taken)])
        self._note(page)
        return page

    def _encode(self, rule: Rule) -> tuple[Rule, int, bytes]:
        found = wire.encode(rule)
        made = (rule, len(found), found[0] if len(found) == 1 else b"".join(found))
        if len(self._encoded) < ENCODED:
            self._encoded[rule.trigger] = made
        return made


def single(record: bytes) -> Page:
    """Give a page of one record."""
    return Page(1, record)


def _joined(rules: tuple[Rule, ...]) -> Page:
    encoded = [record for rule in rules for record in wire.encode(rule)]
    return Page(len(encoded), b"".join(encoded), rules)


def records(pages: Iterable[Page]) -> Iterator[bytes]:
    """Yield the records of pages, one by one: labels, a pointer, and data of the length that it names."""
    for page in pages:
        octets, at = page.octets, 0
        for _ in range(page.records):
            start = at
            while octets[at] < 0xC0:
                at += octets[at] + 1
            at += _BEFORE_SIZE
            at += _SIZE.size + _SIZE.unpack_from(octets, at)[0]
            yield octets[start:at]


def difference(before: Sequence[Page], after: Sequence[Page]) -> tuple[list[bytes], list[bytes]]:
    """Give the records that only the one or only the other has, each in its order."""
    had, has = set(before), set(after)
    gone = list(records(page for page in before if page not in has))
    new = list(records(page for page in after if page not in had))
    old, now = set(gone), set(new)
    return [record for record in gone if record not in now], [record for record in new if record not in old]
