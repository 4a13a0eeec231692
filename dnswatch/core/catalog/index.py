"""From a looked-up name to the indicators it meets, one dict look-up per label.

Never: substrings; a match begins and ends on label boundaries, so ``api.telegram.org.evil.test`` and
``notdiscord.com`` meet nothing. Read next: ``catalog.py``.
"""

from __future__ import annotations

from collections.abc import Iterable

from dnswatch.core.model import Indicator, IndicatorRole, Name
from dnswatch.core.names import parents

CACHE_SIZE = 16_384
"""Names remembered. Hostile names (one label per lookup under a watched suffix) fill it, so it is emptied when full:
at 255 octets a name this stays below 10 MB."""

_RANK: dict[IndicatorRole, int] = {"api": 0, "ambiguous": 1, "companion": 2, "recon": 3, "doh": 4}
_Slot = tuple[tuple[Indicator, ...], tuple[Indicator, ...]]  # what matches the name itself; what matches below it


class Index:
    """An immutable set of indicators, searchable by name, with a bounded cache."""

    __slots__ = ("_cache", "_slots")

    def __init__(self, indicators: Iterable[Indicator]) -> None:
        by_name: dict[Name, list[Indicator]] = {}
        for indicator in indicators:
            by_name.setdefault(indicator.name, []).append(indicator)
        self._slots: dict[Name, _Slot] = {}
        self._cache: dict[Name, tuple[Indicator, ...]] = {}
        for name, here in by_name.items():
            here.sort(key=lambda i: (_RANK[i.role], i.service))
            self._slots[name] = (
                tuple(i for i in here if i.match != "subdomains"),
                tuple(i for i in here if i.match != "exact"),
            )

    def find(self, name: Name) -> tuple[Indicator, ...]:
        """Give the indicators that the canonical ``name`` meets: the api one first, then the others.

        Of several api indicators the most specific wins (the longest name). The others stand most specific first, one
        per service and role. A companion that also covers an api or ambiguous name of its own service
        (``*.zoom.us`` over ``api.zoom.us``) does not count there: a lookup must not exonerate itself.
        """
        found = self._cache.get(name)
        if found is None:
            if len(self._cache) >= CACHE_SIZE:
                self._cache.clear()
            found = self._cache[name] = self._look_up(name)
        return found

    def _look_up(self, name: Name) -> tuple[Indicator, ...]:
        hits: list[Indicator] = []
        below = 0  # 0: the name itself, 1: one of its ancestors
        for parent in parents(name):
            slot = self._slots.get(parent)
            if slot is not None:
                hits += slot[below]
            below = 1
        if len(hits) < 2:
            return tuple(hits)
        spoken_for = {hit.service for hit in hits if hit.role in ("api", "ambiguous")}
        api: list[Indicator] = []
        others: dict[tuple[str, str], Indicator] = {}
        for hit in hits:
            if hit.role == "api":
                api = api or [hit]
            elif hit.role != "companion" or hit.service not in spoken_for:
                others.setdefault((hit.service, hit.role), hit)
        return (*api, *others.values())
