"""One mapping of a catalogue file, read field by field; what is wrong is collected, never raised.

Never: files, lines, columns (a fault names a path in the data; ``config/catalogue.py`` knows where that stands).
Read next: ``schema.py``.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import get_args

from dnswatch.core.model import Match, Name
from dnswatch.core.names import canonical, parents, within

Path = tuple[str | int, ...]
Registrable = Callable[[Name], Name | None]
"""Gives the registrable domain of a name; None for a public suffix."""
Entry = tuple[Name, Match]

MAX_NAMES = 2000
"""Names in one list. The longest shipped one has about 80; a blocklist of millions is another product."""


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong, and where in the data: ``key`` when it is the field's own name."""

    path: Path
    message: str
    key: bool = False


@dataclass(slots=True)
class Fields:
    """A reader of one mapping. A field that is wrong gives its default, so that reading goes on to the next fault."""

    data: Mapping[str, object]
    faults: list[Fault]
    at: Path = ()
    used: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, data: object, faults: list[Fault], at: Path = (), *, known: Iterable[str]) -> Fields:
        """Begin to read ``data``; anything but a mapping, and every field not in ``known``, is a fault."""
        if not isinstance(data, Mapping):
            faults.append(Fault(at, f"expected a mapping of fields, found {kind(data)}"))
            return cls({}, faults, at, used={"*"})
        names = sorted(known)
        for key in data:
            if key not in names:
                close = difflib.get_close_matches(key, names, 1)
                hint = f"did you mean {close[0]!r}?" if close else f"known: {', '.join(names)}"
                faults.append(Fault((*at, key), f"unknown field ({hint})", key=True))
        return cls(data, faults, at)

    def fault(self, name: str | None, message: str) -> None:
        """Note that the field (None: the mapping as a whole) is wrong."""
        self.faults.append(Fault((*self.at, name) if name is not None else self.at, message))

    def raw(self, name: str, *, required: bool = False) -> object:
        """Give the value as it is, None when absent."""
        value = self.data.get(name)
        if value is None and required and "*" not in self.used:
            self.fault(None if name not in self.data else name, f"{name} is missing")
        return value

    def text(self, name: str, default: str = "", *, required: bool = False) -> str:
        """Give one non-empty text."""
        value = self.raw(name, required=required)
        if value is None:
            return default
        if not isinstance(value, str):
            self.fault(name, f"expected text, found {kind(value)}: quote it")
            return default
        value = value.strip()
        if not value or not value.isprintable():
            self.fault(name, "expected one line of printable text (long text: `note: >-` folds lines into one)")
            return default
        return value

    def choice(self, name: str, choices: Iterable[str], default: str, *, required: bool = False) -> str:
        """Give one of ``choices``."""
        value = self.text(name, default, required=required)
        allowed = tuple(choices)
        if value in allowed or name not in self.data:
            return value
        close = difflib.get_close_matches(value, allowed, 1)
        hint = f"did you mean {close[0]!r}?" if close else f"one of {', '.join(allowed)}"
        self.fault(name, f"unknown {name.replace('_', ' ')} {value!r} ({hint})")
        return default

    def flag(self, name: str) -> bool:
        """Give true or false; absent is false."""
        value = self.raw(name)
        if value is None or isinstance(value, bool):
            return bool(value)
        self.fault(name, f"expected true or false, found {kind(value)}")
        return False

    def items(self, name: str, *, required: bool = False) -> list[object]:
        """Give the elements of a list."""
        value = self.raw(name, required=required)
        if value is None:
            return []
        if not isinstance(value, list):
            self.fault(name, f"expected a list, found {kind(value)}")
            return []
        if required and not value:
            self.fault(name, f"{name} is empty: name at least one")
        if len(value) > MAX_NAMES:
            self.fault(name, f"{len(value)} entries, more than {MAX_NAMES}")
        return value[:MAX_NAMES]

    def texts(self, name: str, pattern: re.Pattern[str], what: str) -> tuple[str, ...]:
        """Give a list of texts that each match ``pattern``."""
        found = []
        for i, value in enumerate(self.items(name)):
            if not isinstance(value, str) or not pattern.fullmatch(value):
                self.faults.append(Fault((*self.at, name, i), f"{value!r} is not {what}"))
            elif value in found:
                self.faults.append(Fault((*self.at, name, i), f"{value!r} stands here twice"))
            else:
                found.append(value)
        return tuple(found)

    def names(self, name: str, registrable: Registrable | None, *, required: bool = False) -> tuple[Entry, ...]:
        """Give a list of DNS names: ``{name: hooks.slack.com, match: exact}``, or bare text, which means exact.

        With ``registrable``, names at or above a public suffix are faults. So is a name that another one in the same
        list already covers.
        """
        found: dict[Entry, None] = {}
        above: dict[Name, Entry] = {}  # each ancestor of a found name → that name
        for i, value in enumerate(self.items(name, required=required)):
            entry = self._name((*self.at, name, i), value, registrable)
            if entry is None:
                continue
            near = [(parent, match) for parent in parents(entry[0]) for match in get_args(Match)]
            other = next((e for e in near if e in found and (covers(e, entry) or covers(entry, e))), None)
            if other is None and entry[1] != "exact":
                other = above.get(entry[0])
            if other is not None:
                message = f"{entry[0]} ({entry[1]}) and {other[0]} ({other[1]}) overlap: keep the wider one"
                self.faults.append(Fault((*self.at, name, i), message))
                continue
            found[entry] = None
            above.update((parent, entry) for parent in parents(entry[0]) if parent != entry[0])
        return tuple(found)

    def _name(self, at: Path, value: object, registrable: Registrable | None) -> Entry | None:
        before = len(self.faults)
        if isinstance(value, str):
            text, match = value, "exact"
        else:
            fields = Fields.of(value, self.faults, at, known=("name", "match"))
            text = fields.text("name", required=True)
            match = fields.choice("match", get_args(Match), "exact", required=True)
        if len(self.faults) > before:
            return None
        where = at if isinstance(value, str) else (*at, "name")
        try:
            name = canonical(text)
        except ValueError as error:
            self.faults.append(Fault(where, str(error)))
            return None
        if name.replace(".", "").isdigit():
            self.faults.append(Fault(where, f"{name} is an address: the catalogue holds names"))
            return None
        if registrable is not None and registrable(name) is None:
            self.faults.append(Fault(where, f"{name} is a public suffix: name a domain below it"))
            return None
        return name, next(m for m in get_args(Match) if m == match)


def covers(one: Entry, other: Entry) -> bool:
    """Say whether every name that ``other`` matches is also matched by ``one``."""
    (name, match), (inner, inner_match) = one, other
    if name == inner:
        return match in ("domain", inner_match)
    return match != "exact" and within(inner, name)


def meet(one: Entry, other: Entry) -> bool:
    """Say whether two entries of the same name match one name in common, so that neither is more specific."""
    return one[0] == other[0] and {one[1], other[1]} != {"exact", "subdomains"}


def kind(value: object) -> str:
    """Name a value's kind in the words of YAML."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return f"the boolean {str(value).lower()}"
    if isinstance(value, int | float):
        return f"the number {value}"
    return "a mapping" if isinstance(value, Mapping) else "a list" if isinstance(value, list) else "text"
