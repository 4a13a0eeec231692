"""The catalogue as one immutable value: every known service, which of them are watched, and the lists beside them.

Never: reads files, guesses names. Read next: ``index.py`` for how a name is matched.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, get_args

from dnswatch.core.catalog.categories import CATEGORIES
from dnswatch.core.catalog.index import Index
from dnswatch.core.model import Indicator, Match, Name, Service
from dnswatch.core.names import parents, within

Profile = Literal["core", "extended", "none"]
"""Which services are watched: ``core`` ones, all of them, or only what ``include`` names."""

EVERY = "all"
"""The reference that means every known service."""


@dataclass(frozen=True, slots=True)
class NeverBlock:
    """A name that no feed may ever contain, whatever policy says."""

    name: Name
    match: Match
    reason: str
    origin: str = ""  # file that says so


@dataclass(frozen=True, slots=True)
class Catalog:
    """Known services, the watched ones among them, the IP-check and DoH names, and the never-block list."""

    services: Mapping[str, Service] = field(default_factory=dict)  # by id, in order of id
    enabled: frozenset[str] = frozenset()  # ids of the watched services
    recon: tuple[Indicator, ...] = ()  # IP-check names of the selected profile
    doh: tuple[Indicator, ...] = ()
    never_block: tuple[NeverBlock, ...] = ()
    recon_extended: tuple[Indicator, ...] = ()  # IP-check names that only the extended profile watches
    _watched: Index = field(init=False, repr=False, compare=False)
    _known: Index = field(init=False, repr=False, compare=False)
    _protected: dict[Name, list[tuple[bool, NeverBlock]]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        lists = (*self.recon, *self.doh)
        known = [i for service in self.services.values() for i in service.indicators]
        watched = [i for i in known if i.service in self.enabled]
        object.__setattr__(self, "_watched", Index((*watched, *lists)))
        missing = set(self.recon_extended) - set(self.recon)
        object.__setattr__(self, "_known", Index((*known, *lists, *missing)))
        protected: dict[Name, list[tuple[bool, NeverBlock]]] = {}
        for entry in self.never_block:
            for parent in parents(entry.name):
                protected.setdefault(parent, []).append((parent == entry.name, entry))
        object.__setattr__(self, "_protected", protected)

    # ── Names ─────────────────────────────────────────────────────────────────────────────────────────────────

    def match(self, name: Name) -> tuple[Indicator, ...]:
        """Give what a canonical name means under the watched services: at most one api indicator, always first."""
        return self._watched.find(name)

    def find(self, name: Name) -> tuple[Indicator, ...]:
        """Give what a canonical name means when every known service counts, watched or not."""
        return self._known.find(name)

    def names(self) -> Iterator[tuple[Name, Match]]:
        """Yield each name that a log must be searched for, once, sorted."""
        lists = (*self.recon, *self.doh)
        watched = (i for service in self.enabled for i in self.services[service].indicators)
        yield from sorted({(i.name, i.match) for i in (*watched, *lists)})

    def protects(self, name: Name, match: Match) -> NeverBlock | None:
        """Give the never-block entry that a rule for ``name`` would hit: its own name, or one below a wildcard."""
        if match != "subdomains":  # the rule blocks the name itself
            for parent in parents(name):
                for at, entry in self._protected.get(parent, ()):
                    if at and entry.match != ("subdomains" if parent == name else "exact"):
                        return entry
        if match != "exact":  # the rule blocks everything below it
            for at, entry in self._protected.get(name, ()):
                if not at or entry.match != "exact":
                    return entry
            for parent in parents(name):
                for at, entry in self._protected.get(parent, ()):
                    if at and entry.match != "exact":
                        return entry
        return None

    def near(self, name: Name, limit: int = 5) -> tuple[tuple[Name, Match], ...]:
        """Give known names that somebody may have meant: of the same registrable domain, then of similar spelling."""
        known = {i.name: i.match for service in self.services.values() for i in service.indicators}
        known.update({i.name: i.match for i in (*self.recon, *self.recon_extended, *self.doh)})
        indicators = [i for service in self.services.values() for i in service.indicators if i.role == "api"]
        related = dict.fromkeys(i.name for i in indicators if within(name, i.domain))
        similar = difflib.get_close_matches(name, known, limit, cutoff=0.8)
        chosen = [*difflib.get_close_matches(name, related, limit, cutoff=0.0), *similar]
        return tuple((found, known[found]) for found in list(dict.fromkeys(chosen))[:limit])

    # ── Choosing services ─────────────────────────────────────────────────────────────────────────────────────

    def select(self, profile: Profile, include: Iterable[str] = (), exclude: Iterable[str] = ()) -> Catalog:
        """Choose what is watched: the profile, plus ``include``, minus ``exclude`` (references as in `resolve`).

        Raises `KeyError` for an unknown reference, `ValueError` for an unknown profile.
        """
        if profile not in get_args(Profile):
            raise ValueError(f"unknown profile {profile!r} (one of {', '.join(get_args(Profile))})")
        chosen = {id_ for id_, s in self.services.items() if profile == "extended" or s.profile == profile}
        for reference in include:
            chosen |= self.resolve(reference)
        for reference in exclude:
            chosen -= self.resolve(reference)
        extended = set(self.recon_extended)
        recon = tuple(i for i in self.recon if i not in extended)
        if profile == "extended":
            recon += self.recon_extended
        return replace(self, enabled=frozenset(chosen), recon=recon)

    def resolve(self, reference: str) -> frozenset[str]:
        """Turn ``slack-webhook``, ``category:tunnel-visit`` or ``all`` into service ids.

        Raises `KeyError` whose only argument is a whole sentence with the closest known reference.
        """
        if reference == EVERY:
            return frozenset(self.services)
        if reference in self.services:
            return frozenset((reference,))
        kind, colon, category = reference.partition(":")
        if colon and kind == "category" and category in CATEGORIES:
            return frozenset(id_ for id_, service in self.services.items() if service.category == category)
        known = [*self.services, *(f"category:{name}" for name in CATEGORIES)]
        meant = f"category:{reference}"
        close = [meant] if meant in known else difflib.get_close_matches(reference, known, 1)
        what = "category" if colon and kind == "category" else "service"
        hint = f"did you mean {close[0]!r}?" if close else "`dnswatch catalog list --all` names them"
        raise KeyError(f"unknown {what} {reference!r} ({hint})")
