"""A line whose stamp is far ahead of its time does not move the clock; a clock that did move is believed."""

from datetime import UTC, datetime

import pytest

from dnswatch.core.logs.digest import ASTRAY, Digest
from dnswatch.core.logs.parsers import PARSERS
from dnswatch.core.logs.prescan import build_prescan
from dnswatch.core.logs.timestamps import Stamps
from dnswatch.core.model import Query, Weird

AT = datetime(2026, 3, 2, 10, tzinfo=UTC).timestamp()
HOUR = 3600.0


def line(at: float, name: str = "api.telegram.org") -> bytes:
    stamp = datetime.fromtimestamp(at, UTC).strftime("%d-%b-%Y %H:%M:%S.000")
    return (f"{stamp} queries: info: client @0x7f 10.0.0.7#4711 ({name}): query: {name} IN A + (10.0.0.53)\n").encode()


def digest(limit: float | None = None) -> Digest:
    stamps = Stamps(UTC, AT)
    stamps.limit = limit
    return Digest(
        PARSERS["bind"](stamps),
        build_prescan([("api.telegram.org", "exact")], PARSERS["bind"].literals, tails=(b" IN ",)),
    )


@pytest.mark.parametrize("ahead_s", [3 * HOUR, 40 * 86_400.0, 12 * 365 * 86_400.0])
def test_one_line_from_the_future_among_many(ahead_s: float) -> None:
    """It is weird, with its client; the clock stands where it stood; the others are queries."""
    reader = digest()
    data = b"".join(line(AT + n + (ahead_s if n == 5 else 0)) for n in range(10))
    events = reader.block(data, 0).events
    assert [type(one) for one in events] == [Query] * 5 + [Weird] + [Query] * 4
    weird = events[5]
    assert isinstance(weird, Weird)
    assert (weird.why, weird.client, weird.at) == (ASTRAY, "10.0.0.7", 0.0)
    assert reader.clock == AT + 9


def test_a_pause_a_clock_set_forward_and_late_lines_are_believed() -> None:
    """After a night without a line, or once the server's clock was corrected, all lines agree."""
    stamps = [AT, AT + 9 * HOUR, AT + 9 * HOUR + 1, AT + 9 * HOUR - 140, AT + 30 * HOUR, AT + 30 * HOUR - HOUR]
    events = digest().block(b"".join(map(line, stamps)), 0).events
    assert [one.at for one in events] == stamps


def test_the_very_first_line_too() -> None:
    """A file that begins with a line from the future."""
    events = digest().block(line(AT + 99 * HOUR) + line(AT) + line(AT + 1), 0).events
    assert [type(one) for one in events] == [Weird, Query, Query]


def test_no_line_is_later_than_now() -> None:
    """The last line of a block has no neighbour, but more than a day after it was read nothing can be."""
    events = digest(limit=AT + 86_400).block(line(AT) + line(AT + 90_000), 0).events
    assert [type(one) for one in events] == [Query, Weird]
    assert len(digest(limit=AT + 86_400).block(line(AT) + line(AT + 80_000), 0).events) == 2


def test_the_clock_survives_a_restart() -> None:
    """What was believed last is part of the digest's state."""
    first, again = digest(), digest()
    first.block(line(AT), 0)
    again.restore(first.state())
    assert again.clock == AT
