"""The guard of the clock does not depend on the cutting: outliers at every cut, interrupted anywhere, to the last line.

A line far ahead of its time may be the last one that has come so far. Then it waits for one behind it, or for the end.
"""

import math
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dnswatch.core.logs.digest import ASTRAY, ASTRAY_S, NEIGHBOURS, Digest
from dnswatch.core.logs.parsers import PARSERS
from dnswatch.core.logs.prescan import build_prescan
from dnswatch.core.logs.stretch import MAX_LINE
from dnswatch.core.logs.timestamps import Stamps
from dnswatch.core.model import Event, Weird

AT = datetime(2026, 3, 2, 10, tzinfo=UTC).timestamp()
FORMS = {
    "bind": "{:%d-%b-%Y %H:%M:%S}.000 queries: info: client @0x7f 10.0.0.7#4711 (t.me): query: t.me IN A + (10.0.0.53)",
    "dnsmasq": "{:%b %e %H:%M:%S} dnsmasq[7607]: query[A] t.me from 10.0.0.7",
    "unbound": "<30>{:%b %e %H:%M:%S} unbound: [7:0] info: 10.0.0.7 t.me. A IN",
}
SCANS = {
    kind: build_prescan([("t.me", "exact")], PARSERS[kind].literals, "pure", PARSERS[kind].tails) for kind in FORMS
}
NOISE = [b"", b"garbage", b"t.me IN A", b"\0" * 9, b"x" * 300, b"dnsmasq[7607]: reply t.me is 192.0.2.1"]
"""Lines without a stamp of their own."""
LONG = [b"x" * (MAX_LINE + 9), b"\0" * (MAX_LINE + 9), b"y" * (MAX_LINE - 5)]

step = st.sampled_from([0, 1, 60, 7199, 7200, 7201, 3 * 3600, 9 * 3600, -3600, -3 * 3600, 30 * 86_400])
entry = st.tuples(step, st.booleans()) | st.sampled_from(NOISE)


def log(kind: str, entries: list[tuple[int, bool] | bytes]) -> bytes:
    """Write lines: each so much after the last one, for good (a pause), or alone (an outlier)."""
    at, lines = AT, []
    for one in entries:
        if isinstance(one, bytes):
            lines.append(one)
        else:
            lines.append(FORMS[kind].format(datetime.fromtimestamp(at + one[0], UTC)).encode())
            at += one[0] if one[1] else 1
    return b"".join(line + b"\n" for line in lines)


def digest(kind: str, sample: str = "all") -> Digest:
    return Digest(PARSERS[kind](Stamps(UTC, AT)), SCANS[kind], sample)  # type: ignore[arg-type]


def whole(kind: str, data: bytes, sample: str) -> tuple[list[Event], list[object]]:
    done = digest(kind, sample).block(data, 0)
    assert done.consumed == len(data)
    return done.events, done.samples


def fed(
    kind: str, data: bytes, sizes: Iterator[int], sample: str, *, restarts: bool
) -> tuple[list[Event], list[object]]:
    """Feed it as the tail does, in a new digest from stored state after each block if it is interrupted."""
    subject = digest(kind, sample)
    events: list[Event] = []
    samples: list[object] = []
    start = end = 0
    while start < len(data):
        ended = end == len(data)
        end = min(end + next(sizes), len(data))
        subject.parser.stamps.alone = math.inf if ended else -math.inf
        done = subject.block(data[start:end], start)
        events += done.events
        samples += done.samples
        start += done.consumed
        if restarts:
            state, stamps = subject.state(), subject.parser.stamps.state()
            subject = digest(kind, sample)
            subject.restore(state)
            subject.parser.stamps.restore(stamps)
        assert not ended or start == len(data), "nothing is left at the end"
        assert end - start <= 3 * MAX_LINE, "a block of the tail holds what waits"
    return events, samples


@pytest.mark.parametrize("kind", FORMS)
@pytest.mark.parametrize("sample", ["all", "position"])
@settings(max_examples=60, deadline=None)
@given(
    entries=st.lists(entry, max_size=30),
    sizes=st.lists(st.sampled_from([1, 10, 60, 99, 130, 400, 3000]), min_size=1, max_size=5),
    restarts=st.booleans(),
)
@example(entries=[(0, True), (3 * 3600, False), *[b"noise"] * NEIGHBOURS, (0, True)], sizes=[60], restarts=True)
@example(entries=[(0, True), (3 * 3600, False), *[b"noise"] * (NEIGHBOURS - 1), (0, True)], sizes=[7], restarts=False)
def test_outliers_at_any_cut(
    kind: str, sample: str, entries: list[tuple[int, bool] | bytes], sizes: list[int], restarts: bool
) -> None:
    """Lines ahead, back and without a stamp, cut anywhere, interrupted or not: what the whole gives."""

    def cycle() -> Iterator[int]:
        while True:
            yield from sizes

    data = log(kind, entries)
    assert fed(kind, data, cycle(), sample, restarts=restarts) == whole(kind, data, sample)


@pytest.mark.parametrize("kind", FORMS)
def test_an_outlier_with_a_cut_behind_every_byte(kind: str) -> None:
    """However the bytes around it come, it is weird, once, and all others are what they are."""
    data = log(kind, [(0, True), (1, True), (3 * 3600, False), b"noise", (1, True), (0, True)])
    expected = whole(kind, data, "all")
    assert [one.why for one in expected[0] if isinstance(one, Weird) and one.why == ASTRAY] == [ASTRAY]
    for cut in range(1, len(data)):
        assert fed(kind, data, iter([cut, len(data), 1]), "all", restarts=bool(cut % 2)) == expected


@pytest.mark.parametrize("damage", LONG)
@pytest.mark.parametrize("place", range(4))
def test_damage_beside_an_outlier(damage: bytes, place: int) -> None:
    """A line too long to be one, or a hole, before, behind or instead of the neighbour: no cut matters."""
    entries: list[tuple[int, bool] | bytes] = [(0, True), (3 * 3600, False), (1, True), (1, True)]
    entries.insert(place, damage)
    data = log("bind", entries)
    expected = whole("bind", data, "all")
    for size in (100, 1000, 5000, MAX_LINE - 1, MAX_LINE, MAX_LINE + 1, 2 * MAX_LINE):
        sizes = iter(lambda size=size: size, 0)  # type: ignore[misc]
        assert fed("bind", data, sizes, "all", restarts=False) == expected


def test_what_waits_and_what_does_not() -> None:
    """Only a line more than two hours ahead waits, up to `Stamps.alone`; then it is a query like any other."""
    first = log("bind", [(0, True)])
    near, far = (log("bind", [(0, True), (int(ASTRAY_S) + more, True)])[len(first) :] for more in (0, 1))
    subject = digest("bind")
    subject.parser.stamps.alone = -math.inf
    assert subject.block(first, 0).consumed == 0  # nothing is known of the very first line either
    subject.parser.stamps.alone = AT
    assert subject.block(first + near, 0).consumed == len(first + near)
    again = digest("bind")
    again.parser.stamps.alone = AT + ASTRAY_S
    held = again.block(first + far, 0)
    assert (held.consumed, len(held.events), len(held.samples)) == (len(first), 1, 1)
    again.parser.stamps.alone = AT + ASTRAY_S + 1
    taken = again.block(far, len(first))
    assert (taken.consumed, [one.at for one in taken.events]) == (len(far), [AT + ASTRAY_S + 1])
