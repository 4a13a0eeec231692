"""Finds the lines of a block that mention a watched name, without looking at the other lines: the prescan.

Never: parses a line or decides anything. It may name lines that turn out to be nothing, it never leaves one out.
Two tiers give the same answer: hyperscan (Vectorscan, one automaton over the whole block) and pure Python for machines
without its wheel. Read next: ``digest.py``.

A *mention* is ``left name tail``: the byte before the name ends a label or a field, and the name is followed by one of
the format's tails (what its server prints after a qname: `` IN ``, `` from ``). Watched names are ASCII letters,
digits, ``-``, ``_`` and dots, which every server prints as they are; case does not count.

What hyperscan gets is the name with each byte that may follow it (a short one with the byte before it, too), spelled
out, and both neighbours are tested afterwards: see `_afters`. As character classes inside the patterns they scan no
faster, but take the compiler 0.45 s instead of 0.05 s for 430 names. `HS_FLAG_SINGLEMATCH` would report once per block
and lose lines (performance.md §2).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from itertools import accumulate
from typing import TYPE_CHECKING, Any, Literal, Protocol, cast

from dnswatch.core.logs.stretch import Buffer

if TYPE_CHECKING:
    from dnswatch.core.model import Match, Name

Tier = Literal["auto", "hyperscan", "pure"]

LEFT = b" \"'\t"
"""What may stand before a name, besides the dot of the label before it."""
RIGHT = tuple(bytes((byte,)) for byte in b" ./\"'\t")
"""The tails of a format that names none of its own."""

_KEY = 7
"""Longest name ending that the pure tier looks up first (performance.md §7: at most 8)."""
_LONG = 9
"""Length of a name from which the automaton needs no byte before it: 2.4 GB/s with all names as they are, 2.9 so."""
_NAME = 255
"""Bytes before a name's end that tell what it is: a name has 253 at most (RFC 1035 §2.3.4), one stands before it."""
_TAIL, _CROWD = 8, 200
"""Bytes at the end of a pattern that the automaton tells patterns apart by, and how many names may share them: it goes
through all of those where a text ends so (8 ns each, for each such line; compiling them takes their square), and one
look into a dict costs 2 µs. Operators import lists of tens of thousands of names below one domain."""
_LITERAL, _EXACT, _BELOW, _BOTH, _ALIKE = 0, 1, 2, 3, 4
_KINDS = {"exact": _EXACT, "subdomains": _BELOW, "domain": _BOTH}
_SHIFT = 24  # a report is packed as end << 24 | pattern: one integer is the cheapest thing to append
_PATTERN = (1 << _SHIFT) - 1
_CUTTING = (b".", b" ", b'"', b"'", b"\t")
"""Tails that cut the name itself, or the byte before it, off the piece: the block is looked at instead."""
_FEW, _MANY, _PATTERNS = 100, 5_000, 1_600
"""So many names are looked for with what follows them (fewer scan as fast without, more take too long to compile), and
in at least so many patterns."""
_NEVER = tuple(bytes((byte,)) for byte in (*range(1, 9), *range(14, 27)))
"""What follows no name: in patterns that only fill up."""
_PLAIN = re.compile(r"[a-z0-9_-]+(?:\.[a-z0-9_-]+)*\Z")
_TOKEN = re.compile(rb"[^a-z0-9_.-]")


class Prescan(Protocol):
    """What both tiers offer."""

    tier: str
    why: str
    """Why this tier serves, in a word for the status page; empty when it is the first choice."""

    def find(self, data: Buffer, end: int) -> list[int]:
        """Give ascending offsets inside the lines of ``data[:end]`` that mention something, one or more per line.

        ``data[:end]`` starts at the start of a line and ends after a newline.
        """
        ...


def build_prescan(
    names: Iterable[tuple[Name, Match]],
    literals: Sequence[bytes] = (),
    tier: Tier = "auto",
    tails: Sequence[bytes] = (),
    database: bytes | None = None,
) -> Prescan:
    """Compile the names and literals that make a line worth parsing; choose the fastest tier that passes a self-test.

    ``literals`` are searched as they are, case included. ``tails``: what this format prints after a qname; without
    them any of `RIGHT`. Raises `ValueError` for a name that no log prints literally, and when ``tier="hyperscan"`` is
    asked for but does not work. ``database``: what `compile_database` gave for the same names and literals.
    """
    kinds = _smallest(names)
    pure = PureScan(kinds, literals, tails or RIGHT)
    if tier == "pure":
        return pure
    try:
        fast = HyperScan(kinds, literals, tails or RIGHT, database)
        fault = _self_test(fast, pure, kinds, literals, tails or RIGHT)
    except (ImportError, OSError) as error:
        fault = f"hyperscan cannot be loaded: {error}"
    except RuntimeError as error:
        fault = f"hyperscan does not work here: {error}"
    if not fault:
        return fast
    if tier == "hyperscan":
        raise ValueError(fault)
    pure.why = fault
    return pure


def compile_database(
    names: Iterable[tuple[Name, Match]], literals: Sequence[bytes], tails: Sequence[bytes] = ()
) -> bytes:
    """Give hyperscan's automaton for `build_prescan`, as it writes it; empty where it finds nothing to look for.

    Raises what hyperscan does, and `ImportError` where it is not there.
    """
    state = HyperScan(_smallest(names), literals, tails or RIGHT).__getstate__()
    return bytes(state.get("_database", b""))


def _smallest(names: Iterable[tuple[Name, Match]]) -> dict[bytes, int]:
    """Drop names whose mentions another name reports anyway: a line is found once per name, and once is enough."""
    kinds: dict[str, int] = {}
    for name, match in names:
        if not _PLAIN.match(name) or len(name) > 253:
            raise ValueError(f"{name!r} cannot be searched in logs: letters, digits, - and _ only")
        kinds[name] = kinds.get(name, 0) | _KINDS[match]
    kept = {}
    for name, kind in kinds.items():
        above = name
        while (dot := above.find(".")) != -1:
            above = above[dot + 1 :]
            if kinds.get(above, 0) & _BELOW:
                break
        else:
            kept[name.encode("ascii")] = kind
    return dict(sorted(kept.items()))  # an automaton that was kept knows names by their number


# ── hyperscan ─────────────────────────────────────────────────────────────────────────────────────────────────


class HyperScan:
    """One automaton over the whole block: 2–4 GB/s whatever the number of names."""

    tier = "hyperscan"
    why = ""

    def __init__(
        self, kinds: dict[bytes, int], literals: Sequence[bytes], tails: Sequence[bytes], database: bytes | None = None
    ) -> None:
        import hyperscan  # not on every platform, and 30 ms that `--help` need not pay

        self._tails = tuple(tails)
        alike, self._alike = _alike(kinds)
        bare = [(left + name, len(name), kind) for name, kind in kinds.items() if name not in self._alike
                for left in _lefts(name, kind)]  # fmt: skip
        sought = [(text + after, size, kind, len(after)) for after in _afters(len(bare), self._tails)
                  for text, size, kind in bare]  # fmt: skip
        sought += [(ending, 0, _ALIKE, 0) for ending in alike]
        self._sizes = [*(size for _, size, _, _ in sought), *(0 for _ in literals)]
        self._behind = [*(behind for _, _, _, behind in sought), *(0 for _ in literals)]
        self._kinds = [*(kind for _, _, kind, _ in sought), *(_LITERAL for _ in literals)]
        self._empty = not self._kinds
        if self._empty:
            return
        try:
            if database is not None:
                self._database = hyperscan.loadb(database, hyperscan.HS_MODE_BLOCK)
            else:
                self._database = hyperscan.Database(mode=hyperscan.HS_MODE_BLOCK)
                self._compile([*(text for text, _, _, _ in sought), *literals], len(sought))
            self._scratch = hyperscan.Scratch(self._database)
        except hyperscan.error as error:
            raise RuntimeError(f"{type(error).__name__}: {error}") from error

    def _compile(self, texts: list[bytes], names: int) -> None:
        """Compile ``texts``, of which the first are names: case does not count."""
        import hyperscan

        flags = [hyperscan.HS_FLAG_CASELESS] * names + [0] * (len(texts) - names)
        # Every pattern has an id of its own: patterns that share one are compiled together, and 10 000 names then take
        # 80 s instead of 0.6 s.
        ids = list(range(len(texts)))
        expressions = [re.escape(text) for text in texts]
        self._database.compile(expressions=expressions, ids=ids, elements=len(ids), flags=flags)

    def __getstate__(self) -> dict[str, Any]:
        """Give a form that another process takes: the automaton as hyperscan writes it, not compiled anew."""
        import hyperscan

        state = dict(self.__dict__)
        if not self._empty:
            del state["_scratch"]
            state["_database"] = hyperscan.dumpb(self._database)
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take that form. Raises `hyperscan.error` for one of another version or kind of processor."""
        import hyperscan

        self.__dict__ |= state
        if not self._empty:
            self._database = hyperscan.loadb(state["_database"], hyperscan.HS_MODE_BLOCK)
            self._scratch = hyperscan.Scratch(self._database)

    def find(self, data: Buffer, end: int) -> list[int]:
        """See `Prescan.find`."""
        if self._empty:
            return []
        reports: list[int] = []
        with memoryview(data) as whole, whole[:end] as view:
            self._database.scan(cast(bytes, view), match_event_handler=_report, context=reports, scratch=self._scratch)
        reports.sort()  # hyperscan promises no order
        tails, kinds, sizes, behind = self._tails, self._kinds, self._sizes, self._behind
        found = []
        for report in reports:
            pattern = report & _PATTERN
            to = (report >> _SHIFT) - behind[pattern]
            kind = kinds[pattern]
            if kind == _LITERAL:
                found.append(to - 1)
            elif not data.startswith(tails, to, end):
                continue
            elif kind == _ALIKE:
                if _is_named(self._alike, data[max(0, to - _NAME) : to].lower()):
                    found.append(to - 1)
            else:
                start = to - sizes[pattern]
                left = data[start - 1] if start else 0x0A
                if (kind & _BELOW) if left == 0x2E else (kind & _EXACT and left in LEFT):
                    found.append(to - 1)
        return found


def _alike(kinds: dict[bytes, int]) -> tuple[list[bytes], dict[bytes, int]]:
    """Give what crowds of names end in, each to be looked for in place of its names, and the names."""
    crowds: dict[bytes, list[bytes]] = {}
    for name in kinds:
        if len(name) >= _TAIL:
            crowds.setdefault(name[-_TAIL:], []).append(name)
    endings, names = [], {}
    for crowd in crowds.values():
        if len(crowd) > _CROWD:
            first, last = min(one[::-1] for one in crowd), max(one[::-1] for one in crowd)
            same = next((n for n, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), len(first))
            endings.append(first[:same][::-1])
            names.update({one: kinds[one] for one in crowd})
    return endings, names


def _is_named(kinds: dict[bytes, int], lower: Buffer) -> bool:
    """Say whether text in lower case ends with one of the names, on label boundaries."""
    token = bytes(_TOKEN.split(lower)[-1])  # a name is 253 bytes at most
    start = len(lower) - len(token)
    if kinds.get(token, 0) & _EXACT and start and lower[start - 1] in LEFT:
        return True
    dot = token.find(b".")
    while dot != -1:
        if kinds.get(token[dot + 1 :], 0) & _BELOW:
            return True
        dot = token.find(b".", dot + 1)
    return False


def _lefts(name: bytes, kind: int) -> list[bytes]:
    """Give the bytes that the automaton looks for before a name: none, or for a short one each that may stand there.

    It compares the last bytes of all patterns at once, and the shortest set the pace: a fifth faster than without.
    """
    if len(name) >= _LONG:
        return [b""]
    return [b"."] * bool(kind & _BELOW) + [bytes((left,)) for left in LEFT] * bool(kind & _EXACT)


def _afters(names: int, tails: Sequence[bytes]) -> Sequence[bytes]:
    """Give what the automaton looks for behind a name, each in a pattern of its own.

    It puts patterns into eight heaps by their last bytes, and asks all of a heap where the text ends like one of them.
    ``.com`` and the like end most names in any log; behind them, a space or a quote is found half as often, and what
    is found in a log ends one pattern in three: 0.41 s instead of 0.62 s a GB, reading included, for the 434 names of
    the catalogue, and half as many reports. Below some 1 500 patterns the heaps are others, and all of it is lost.
    """
    if not _FEW <= names <= _MANY:
        return (b"",)
    afters = dict.fromkeys(tail[:2] if tail.startswith(b".") else tail[:1] for tail in tails)
    missing = -(-_PATTERNS // names) - len(afters)
    return (*afters, *_NEVER[: max(missing, 0)])


def _report(pattern: int, _start: int, to: int, _flags: int, reports: Any) -> None:
    """Note one match: the hottest lines of the scan, so nothing else happens here."""
    reports.append(to << _SHIFT | pattern)


# ── pure Python ───────────────────────────────────────────────────────────────────────────────────────────────


class PureScan:
    """The same answer from ``bytes.split`` at each tail and a look at the last bytes of every piece: ~0.4 GB/s."""

    tier = "pure"

    def __init__(self, kinds: dict[bytes, int], literals: Sequence[bytes], tails: Sequence[bytes]) -> None:
        self.why = ""
        self._kinds = kinds
        self._keys = _keys(kinds)
        self._tails = tuple(dict.fromkeys(tails))
        self._sought = tuple(dict.fromkeys(literals))

    def find(self, data: Buffer, end: int) -> list[int]:
        """See `Prescan.find`."""
        block = bytes(data) if end == len(data) else bytes(data[:end])  # slices of bytes can be looked up in sets
        found = self._literals(block)
        if self._kinds:
            lower = block.lower()
            for tail in self._tails:
                ends = [to for to in self._ends(lower, tail) if block.startswith(tail, to)]
                found += [to - 1 for to in ends if _is_named(self._kinds, lower[max(0, to - _NAME) : to])]
        return sorted(set(found))

    def _ends(self, lower: bytes, tail: bytes) -> list[int]:
        """Give each offset where ``tail`` follows what may be the end of a watched name."""
        step = len(tail)
        folded = tail.lower()
        if folded not in lower:  # for a rare byte this is far faster than a split into one piece
            return []
        pieces = lower.split(folded)
        pieces.pop()  # nothing follows the last one
        if tail in _CUTTING:
            ends = [to + i * step for i, to in enumerate(accumulate(map(len, pieces)))]
            return [to for to in ends for size, keys in self._keys if lower[max(0, to - size) : to] in keys]
        if len(self._keys) == 2:  # the usual case in one pass: this is the hot line of this tier
            (size, keys), (short, more) = self._keys
            hits = [i for i, piece in enumerate(pieces) if piece[-size:] in keys or piece[-short:] in more]
        else:
            hits = [i for size, keys in self._keys for i, piece in enumerate(pieces) if piece[-size:] in keys]
        if not hits:
            return []
        sums = list(accumulate(map(len, pieces)))
        return [sums[i] + i * step for i in hits]

    def _literals(self, block: bytes) -> list[int]:
        found = []
        for literal in self._sought:
            at = block.find(literal)
            while at != -1:
                found.append(at + len(literal) - 1)
                at = block.find(literal, at + 1)
        return found


def _keys(kinds: dict[bytes, int]) -> list[tuple[int, frozenset[bytes]]]:
    """Group the last bytes of the names by a few odd sizes: two or three look-ups a piece instead of one per length.

    A name of an even length below the key size takes the byte before it along, in every form it can have.
    """
    groups: dict[int, set[bytes]] = {}
    for name, kind in kinds.items():
        if len(name) >= _KEY:
            groups.setdefault(_KEY, set()).add(name[-_KEY:])
        elif len(name) % 2:
            groups.setdefault(len(name), set()).add(name)
        else:
            lefts = (LEFT if kind & _EXACT else b"") + (b"." if kind & _BELOW else b"")
            groups.setdefault(len(name) + 1, set()).update(bytes((left,)) + name for left in lefts)
    return [(size, frozenset(keys)) for size, keys in sorted(groups.items(), reverse=True)]


# ── choosing ──────────────────────────────────────────────────────────────────────────────────────────────────


def _self_test(
    fast: Prescan, pure: Prescan, kinds: dict[bytes, int], literals: Sequence[bytes], tails: Sequence[bytes]
) -> str:
    """Compare both tiers on a small block made of the real names; say what differs, or nothing."""
    some = [*list(kinds)[:20], *list(kinds)[-20:], b"example.com"]
    forms: list[Callable[[bytes], bytes]] = [
        lambda name: b"query: " + name.upper(), lambda name: b"q a." + name, lambda name: b"q not" + name,
        lambda name: b"q '" + name,
    ]  # fmt: skip
    lines = [form(name) + tail + b"rest\n" for name in some for form in forms for tail in tails]
    lines += [b"\0\0 x " + literal + b" y\r\n" for literal in literals] + [b"nothing here\n"]
    block = b"".join(lines)
    if line_starts(block, fast.find(block, len(block))) != line_starts(block, pure.find(block, len(block))):
        return "hyperscan failed its self-test"
    return ""


def line_starts(data: Buffer, offsets: Iterable[int]) -> list[int]:
    """Give the distinct starts of the lines that ascending offsets lie in."""
    starts: list[int] = []
    next_line = 0
    for offset in offsets:
        if offset >= next_line:
            starts.append(data.rfind(b"\n", 0, offset) + 1)
            newline = data.find(b"\n", offset)
            next_line = newline + 1 if newline != -1 else len(data)
    return starts
