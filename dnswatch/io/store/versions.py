"""Versions of zones as the store keeps them: packed JSON, a rule a list.

Never: touches the database. Read next: ``feeds.py``.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable
from typing import NamedTuple

from dnswatch.core.model import Name, Rule, Snapshot, Zone

_SLICE = 500
"""Rules packed at once, 1 ms: a thread that does it all in one call keeps everybody else from running."""
_BETWEEN = "],["
"""What stands between two rules. No trigger, action or address has such characters (``core/feeds/guard.py``)."""


class Packed(NamedTuple):
    """One version, as a row."""

    zone: Name
    audience: str
    serial: int
    at: float
    rules: bytes


class Rules(dict[str, Rule]):
    """Rules by their text; one that several versions or zones have is there once."""

    def __init__(self, known: Iterable[Snapshot] = ()) -> None:
        super().__init__()
        same = {id(rule): rule for one in known for rule in one.zone.rules}
        self.update((text_of(rule), rule) for rule in same.values())

    def __missing__(self, text: str) -> Rule:
        trigger, action, *addresses = json.loads(f"[{text}]")
        rule = self[text] = Rule(trigger, action, tuple(addresses))
        return rule


def text_of(rule: Rule) -> str:
    """Write a rule as it stands in a list of rules, without its brackets."""
    return json.dumps([rule.trigger, rule.action, *rule.addresses], separators=(",", ":"))[1:-1]


def pack(one: Snapshot, texts: dict[int, str] | None = None) -> Packed:
    """Write a version, its rules and which of them come from data.

    ``texts``: of rules by their `id`, to be written once for all zones; the caller keeps the rules.
    """
    packer, rules = zlib.compressobj(), one.zone.rules
    texts = {} if texts is None else texts
    parts = [packer.compress(b'{"rules":[' if one.data else b"[")]
    for at in range(0, len(rules), _SLICE):
        part = []
        for rule in rules[at : at + _SLICE]:
            text = texts.get(id(rule))
            if text is None:
                text = texts[id(rule)] = text_of(rule)
            part.append(text)
        parts.append(packer.compress(f"{',' * bool(at)}[{_BETWEEN.join(part)}]".encode()))
    end = f'],"data":{json.dumps(sorted(one.data), separators=(",", ":"))}}}' if one.data else "]"
    body = b"".join([*parts, packer.compress(end.encode()), packer.flush()])
    return Packed(one.zone.name, one.zone.audience, one.serial, one.at, body)


def unpack(row: Packed, shared: Rules) -> Snapshot:
    """Read a version; a list alone is what earlier versions of dnswatch wrote, and is still read."""
    text = zlib.decompress(row.rules).decode()
    listed, data = text, []
    if text.startswith("{"):
        listed, _, rest = text.removeprefix('{"rules":').rpartition(',"data":')
        data = json.loads(rest[:-1])
    texts = listed[2:-2].split(_BETWEEN) if len(listed) > 2 else []
    rules = tuple(map(shared.__getitem__, texts))
    return Snapshot(Zone(row.zone, row.audience, rules), row.serial, row.at, frozenset(data))
