"""The prescan finds mentions on label boundaries, whichever tier serves."""

import sys
from typing import Any

import pytest

from dnswatch.core.logs.parsers import PARSERS
from dnswatch.core.logs.prescan import HyperScan, build_prescan, line_starts
from dnswatch.core.model import Match

NAMES: list[tuple[str, Match]] = [("api.telegram.org", "exact"), ("ngrok.io", "subdomains"), ("t.me", "domain")]
TIERS = ["pure", "hyperscan"]
pytest.importorskip("hyperscan")


def found(tier: Any, line: bytes, tails: tuple[bytes, ...] = (), literals: tuple[bytes, ...] = ()) -> bool:
    prescan = build_prescan(NAMES, literals, tier, tails)
    assert prescan.tier == tier
    return bool(prescan.find(line + b"\n", len(line) + 1))


@pytest.mark.parametrize("tier", TIERS)
@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b"query: api.telegram.org IN A", True),
        (b"query: API.teleGRAM.org IN A", True),
        (b"127.0.0.1 api.telegram.org. A IN", True),
        (b"query (cache) 'api.telegram.org/A/IN' denied", True),
        (b'qname="api.telegram.org" qtype="A"', True),
        (b"x\tapi.telegram.org\tA", True),
        (b"query: www.api.telegram.org IN A", False),  # exact
        (b"query: notapi.telegram.org IN A", False),
        (b"query: api.telegram.orgx IN A", False),
        (b"query: api-telegram.org IN A", False),
        (b"client 1.2.3.4 (api.telegram.org): query", False),
        (b"query: ngrok.io IN A", False),  # only below
        (b"query: a.ngrok.io IN A", True),
        (b"query: a.b.ngrok.io IN A", True),
        (b"query: t.me IN A", True),
        (b"query: a.t.me IN A", True),
        (b"query: at.me IN A", False),
        (b"t.me IN A", False),  # no format begins a line with a name
        (b"", False),
    ],
)
def test_mentions_stand_on_label_boundaries(tier: str, line: bytes, expected: bool) -> None:
    """Exact, subdomains and domain, in any case, in every quoting that the formats use."""
    assert found(tier, line) is expected


@pytest.mark.parametrize("tier", TIERS)
def test_tails_narrow_what_counts(tier: str) -> None:
    """With the format's tails only a name followed by one of them counts, case included."""
    tails = (b" from ", b" is ")
    assert found(tier, b"query[A] api.telegram.org from 127.0.0.1", tails)
    assert found(tier, b"reply api.telegram.org is 192.0.2.1", tails)
    assert not found(tier, b"forwarded api.telegram.org to 9.9.9.9", tails)
    assert not found(tier, b"query[A] api.telegram.org FROM 127.0.0.1", tails)


@pytest.mark.parametrize("tier", TIERS)
def test_literals_are_found_as_they_are(tier: str) -> None:
    """A literal makes a line a candidate wherever it stands, in its own case."""
    assert found(tier, b"x rewrite y", literals=(b" rewrite ",))
    assert not found(tier, b"x REWRITE y", literals=(b" rewrite ",))
    assert found(tier, b"dnsmasq-dhcp: DHCPACK(eth0) 1.2.3.4", literals=(b"DHCPACK(",))


@pytest.mark.parametrize("tier", TIERS)
def test_every_line_of_a_block_is_found_once(tier: Any) -> None:
    """Several mentions on a line and in a block: offsets ascend and lead to each line's start; other lines stay out."""
    lines = [b"a t.me IN t.me IN", b"nothing", b"b a.ngrok.io IN x", b"\0\0 c t.me IN", b"d t.me I"]
    block = b"\n".join(lines) + b"\n"
    prescan = build_prescan(NAMES, (), tier, (b" IN",))
    for data in (block, bytearray(block)):
        offsets = prescan.find(data, len(data))
        assert offsets == sorted(offsets)
        assert [bytes(data[start : start + 1]) for start in line_starts(data, offsets)] == [b"a", b"b", b"\0"]
    assert prescan.find(block + b"e t.me IN", len(block)) == prescan.find(block, len(block)), "the end is a limit"


@pytest.mark.parametrize("tier", TIERS)
def test_nothing_to_look_for(tier: Any) -> None:
    """No names and no literals: nothing is found, nothing fails."""
    assert build_prescan([], (), tier).find(b"query: t.me IN A\n", 17) == []


@pytest.mark.parametrize("tier", TIERS)
def test_many_names(tier: Any) -> None:
    """Ten thousand names of all lengths compile quickly and are all found."""
    names: list[tuple[str, Match]] = [(f"{'x' * (n % 9)}{n}.net", "domain") for n in range(10_000)]
    block = b"".join(b"query: %s IN A\n" % name.encode() for name, _ in names)
    prescan = build_prescan([*names, *NAMES], (), tier, (b" IN ",))
    assert len(line_starts(block, prescan.find(block, len(block)))) == 10_000


@pytest.mark.parametrize("kind", sorted(PARSERS))
@pytest.mark.parametrize("count", [97, 150, 1700])
def test_a_catalogue_of_names(kind: str, count: int) -> None:
    """From a hundred names on the automaton looks for what follows them, too: it finds what the pure tier finds."""
    matches: list[Match] = ["exact", "subdomains", "domain"]
    many = [(f"{'x' * (n % 7)}{n:x}.{'comnetorg'[n % 3 * 3 :][:3]}", matches[n % 3]) for n in range(count)]
    parser = PARSERS[kind]
    fast, pure = (build_prescan([*many, *NAMES], parser.literals, tier, parser.tails) for tier in ("hyperscan", "pure"))
    assert (fast.tier, pure.tier) == ("hyperscan", "pure")
    afters = [*parser.tails, *(tail[:1] for tail in parser.tails), b"", b".", b"): ", b"\1", b" I", b".x "]
    lines = [left + (name.upper() if n % 4 else name).encode() + after + b"A\n"
             for n, (name, _) in enumerate([*many[::9], *NAMES])
             for left in (b"query: ", b"q (", b'"', b"a.", b"1 b.", b"not") for after in afters]  # fmt: skip
    block = b"".join(lines)
    starts = line_starts(block, pure.find(block, len(block)))
    assert starts
    assert line_starts(block, fast.find(block, len(block))) == starts


@pytest.mark.parametrize("kind", sorted(PARSERS))
def test_crowds_of_names_below_one_domain(kind: str) -> None:
    """Where hundreds of names end alike their ending is looked for, and only the names are found."""
    matches: list[Match] = ["exact", "subdomains", "domain"]
    names: list[tuple[str, Match]] = [(f"n{n}.pages.example", matches[n % 3]) for n in range(600)]
    names += [(f"x{n:03}blog.test", "domain") for n in range(300)] + [("pages.example", "exact"), *NAMES]
    parser = PARSERS[kind]
    fast = build_prescan(names, parser.literals, "hyperscan", parser.tails)
    pure = build_prescan(names, parser.literals, "pure", parser.tails)
    asked = [f"{below}{name}" for below in ("", "a.", "A.b.", "no") for name, _ in names[::7] + names[-5:]]
    asked += ["n601.pages.example", "pages.exampl", "blog.test", "x300blog.test", "N12.PAGES.EXAMPLE", "x001blog.testy"]
    lines = [b"q%c%s%s" % (left, name.encode(), tail) for name in asked for left in b" '(" for tail in parser.tails]
    block = b"\n".join(lines) + b"\n"
    seen = line_starts(block, fast.find(block, len(block)))
    assert seen == line_starts(block, pure.find(block, len(block)))
    assert len(lines) // 10 < len(seen) < len(lines)


def test_names_that_no_log_prints_are_refused() -> None:
    """Escapes and spaces cannot be searched literally: a bug of the caller, said clearly."""
    with pytest.raises(ValueError, match="cannot be searched"):
        build_prescan([("a\\032b.net", "exact")])


def test_without_hyperscan_the_pure_tier_serves(monkeypatch: pytest.MonkeyPatch) -> None:
    """No wheel: the pure tier, and why; asking for the fast one explicitly fails."""
    monkeypatch.setitem(sys.modules, "hyperscan", None)
    prescan = build_prescan(NAMES)
    assert prescan.tier == "pure"
    assert "cannot be loaded" in prescan.why
    with pytest.raises(ValueError, match="cannot be loaded"):
        build_prescan(NAMES, tier="hyperscan")


def test_a_failing_self_test_selects_the_pure_tier(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hyperscan that finds something else than the pure tier is not trusted."""
    monkeypatch.setattr(HyperScan, "find", lambda self, data, end: [])
    prescan = build_prescan(NAMES, (b" rewrite ",))
    assert prescan.tier == "pure"
    assert "self-test" in prescan.why
