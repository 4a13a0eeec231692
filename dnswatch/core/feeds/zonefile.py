"""The gate for bytes: a zone file read back line by line before any resolver may see it.

Rules are proven by ``guard.py``; this proves that what was written of them is what every resolver takes (research
rpz.md §5.1, §5.2), by a reading of its own that shares nothing with the writer. A file that fails is never written:
PowerDNS would drop the whole policy for one bad line, and Unbound all lines after it.

Never: repairs. Read next: ``formats/rpz.py``, which writes them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence, Set
from ipaddress import ip_address

from dnswatch.core.feeds.guard import Fault
from dnswatch.core.feeds.triggers import CLIENT_IP, name_fault, network_of
from dnswatch.core.model import Name

LEAST_TTL, MOST_TTL = 60, 3600
TARGETS = frozenset({".", "*.", "rpz-passthru."})
_RECORD = re.compile(r"(\S+) (\d{1,10}) IN ([A-Z0-9]+) (\S.*)\Z")
_MAX_OWNER = 253


Sound = dict[str, set[str]]
"""Triggers with a CNAME that were found to be sound, by what stands behind their owner. Zones are alike: most lines of
the second file stood in the first one, too."""


def faults(text: bytes, zone: Name, serial: int, sound: Sound | None = None) -> Iterator[Fault]:
    """Yield what is wrong with the file, by line. ``sound``: kept from one file to the next."""
    found = list(_faults(text, zone, serial, {} if sound is None else sound))
    yield from (Fault("record", f"line {number}: {why}" if number else why) for number, why in found)


def _faults(text: bytes, zone: Name, serial: int, sound: Sound) -> Iterator[tuple[int, str]]:
    if not text.isascii():
        yield 0, "the file is not ASCII"
        return
    if text and not text.endswith(b"\n"):
        yield 0, "the file ends within a line"
    lines = text.decode("ascii").splitlines()
    known = _known(lines, zone, sound)
    yield from _read(lines, zone, serial, sound, known)


def _known(lines: Sequence[str], zone: Name, sound: Sound) -> Set[str]:
    """Give the triggers whose lines need no reading, because they are sound; none where one of them comes twice."""
    end, longest = f".{zone}. ", _MAX_OWNER - len(zone) - 1
    found: set[str] = set()
    count = 0
    for line in lines if sound else ():
        trigger, _, rest = line.partition(end)
        if rest in sound and trigger in sound[rest] and len(trigger) <= longest:
            found.add(trigger)
            count += 1
    return found if len(found) == count else frozenset()


def _read(
    lines: Sequence[str], zone: Name, serial: int, sound: Sound, known: Set[str]
) -> Iterator[tuple[int, str]]:  # fmt: skip
    """Read line by line; those of ``known`` triggers are only held against the others."""
    end = f".{zone}."
    kinds: dict[str, list[str]] = {}  # of the records of an owner, each record once
    seen: set[tuple[str, ...]] = set()
    for number, line in enumerate(lines, 1):
        if known:
            trigger, _, rest = line.partition(end + " ")
            if trigger in known and rest in sound and trigger in sound[rest]:
                continue
        if line.startswith(";") or line in (f"$ORIGIN {zone}.", f"$TTL {LEAST_TTL}"):
            continue
        match = _RECORD.match(line)
        if match is None:
            yield number, f"{line[:80]!r} is not a record"
            continue
        owner, ttl, kind, data = match.groups()
        found = [] if LEAST_TTL <= int(ttl) <= MOST_TTL else [f"TTL {ttl} is not {LEAST_TTL} to {MOST_TTL}"]
        key = (owner.lower(), kind, data.lower())
        if key in seen:
            found.append(f"{owner} {kind} stands there twice")
        else:
            kinds.setdefault(owner.lower(), []).append(kind)
        seen.add(key)
        found += _apex_faults(kind, data, serial) if owner == f"{zone}." else _record_faults(owner, kind, data, zone)
        yield from ((number, why) for why in found)
        if kind == "CNAME" and not found:
            sound.setdefault(f"{ttl} IN {kind} {data}", set()).add(owner.removesuffix(end))
    for owner, listed in kinds.items():
        if ("CNAME" in listed and len(listed) > 1) or owner.removesuffix(end) in known:
            yield 0, f"{owner} has a CNAME and another record"
    apex = [one for one in seen if one[0] == f"{zone}."]
    for kind in ("SOA", "NS"):
        if sum(one[1] == kind for one in apex) != 1:
            yield 0, f"the zone has not exactly one {kind} record at its apex"


def _apex_faults(kind: str, data: str, serial: int) -> Iterator[str]:
    if kind not in ("SOA", "NS"):
        yield f"{kind} at the apex"
    if kind == "SOA" and data.split()[2:3] != [str(serial)]:
        yield f"the SOA does not carry the serial {serial}"


def _record_faults(owner: str, kind: str, data: str, zone: Name) -> Iterator[str]:
    trigger = owner.removesuffix(f".{zone}.")
    if trigger == owner:
        yield f"{owner} is out of the zone"
        return
    if len(owner) - 1 > _MAX_OWNER:
        yield f"{owner[:40]}… is longer than 255 octets on the wire"
    if trigger.endswith("." + CLIENT_IP):
        if network_of(trigger) is None:
            yield f"{trigger} is not a canonical client address"
    elif fault := name_fault(trigger.removeprefix("*.")):
        yield f"{trigger} {fault}"
    if kind == "CNAME":
        if data not in TARGETS:
            yield f"{owner} points to {data}, which is no action that every resolver knows"
    elif kind in ("A", "AAAA"):
        try:
            if (ip_address(data).version == 4) != (kind == "A"):
                raise ValueError
        except ValueError:
            yield f"{owner} has the {kind} record {data}"
    else:
        yield f"{owner} has a record of type {kind}"
