"""Which frames of a block may be about a watched name, without decoding them.

A watched name stands in a question as its labels with their lengths, never compressed, and ends with the root: so one
search for these octets finds all of them, case aside (a length octet is no letter). Never: decides; it may name a frame
that is about something else. Without hyperscan every frame is named, and the result is the same. Read next:
``digest.py``.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

from dnswatch.core import names
from dnswatch.core.model import Match, Name


class WireScan:
    """Finds watched names in wire form, and knows which decoded names are meant."""

    def __init__(self, watched: Iterable[tuple[Name, Match]], *, fast: bool = True) -> None:
        self.names = frozenset(name for name, _ in watched)
        self.tier = "pure"
        self.why = ""
        """Why every frame is decoded, in a word for the status page."""
        self._database: Any = None
        if fast:
            self._compile()

    def _compile(self) -> None:
        wires = [names.to_wire(name) for name in sorted(self.names)]
        expressions = ["".join(f"\\x{byte:02x}" for byte in wire).encode("ascii") for wire in wires]
        if not expressions:
            return
        try:
            import hyperscan  # not on every platform, and 30 ms that `--help` need not pay

            database = hyperscan.Database(mode=hyperscan.HS_MODE_BLOCK)
            flags = [hyperscan.HS_FLAG_CASELESS] * len(expressions)
            database.compile(
                expressions=expressions, ids=list(range(len(expressions))), elements=len(expressions), flags=flags
            )
            self._scratch = hyperscan.Scratch(database)
        except (ImportError, OSError) as error:
            self.why = f"hyperscan cannot be loaded: {error}"
            return
        except RuntimeError as error:  # hyperscan.error and its kin derive from it
            self.why = f"hyperscan does not work here: {error}"
            return
        self._database = database
        if self.find(wires[0].upper()) != [len(wires[0])]:
            self._database, self.why = None, "hyperscan does not find what it should"
            return
        self.tier = "hyperscan"

    def find(self, data: bytes | bytearray) -> list[int] | None:
        """Give ascending offsets behind a watched name's octets; None: look at every frame."""
        if self._database is None:
            return None if self.names else []
        found: list[int] = []
        with memoryview(data) as view:
            self._database.scan(cast(bytes, view), match_event_handler=_report, context=found, scratch=self._scratch)
        return sorted(set(found))

    def watches(self, qname: Name) -> bool:
        """Say whether a name is a watched one or below it. The catalogue judges which of them count."""
        return any(name in self.names for name in names.parents(qname))


def _report(_pattern: int, _start: int, end: int, _flags: int, found: list[int]) -> None:
    found.append(end)
