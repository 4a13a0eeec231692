"""What a digest makes of a block: events, samples, and how much is consumed. Laws: ``tests/laws/test_digest.py``."""

import pytest

from dnswatch.core.logs.digest import Digest
from dnswatch.core.logs.parsers import PARSERS
from dnswatch.core.logs.prescan import build_prescan
from dnswatch.core.logs.stretch import DENSE_BYTES, HOLE, LONG, MAX_LINE, SAMPLE_EVERY, SPARSE_EVERY
from dnswatch.core.logs.timestamps import Stamps
from dnswatch.core.model import Query, Weird

BIND = PARSERS["bind"]
PRESCAN = build_prescan([("t.me", "exact")], BIND.literals, tails=BIND.tails)


def query(name: str, second: int = 0) -> bytes:
    return (f"22-Nov-2026 19:18:{second:02}.281 queries: info: client @0x7f 10.0.0.1#38510 ({name}): "
            f"query: {name} IN A + (127.0.0.1)\n").encode()  # fmt: skip


def digest(sample: str = "position") -> Digest:
    return Digest(BIND(Stamps(None, 0.0)), PRESCAN, sample)  # type: ignore[arg-type]


def test_candidates_become_events_and_other_lines_do_not() -> None:
    """Only the watched name is an event, with its line and offset; the first line is a sample."""
    data = query("a.test") + query("t.me") + query("b.test")
    done = digest().block(data, 0)
    assert [(event.qname, event.offset) for event in done.events if isinstance(event, Query)] == [
        ("t.me", len(query("a.test")))
    ]
    assert done.events[0].line == query("t.me").rstrip()
    assert (done.consumed, done.candidates, len(done.samples)) == (len(data), 1, 1)


def test_an_unfinished_line_is_left_for_the_next_call() -> None:
    """Without its newline a line is not an event yet."""
    data = query("t.me") + query("t.me")[:-1]
    done = digest().block(data, 0)
    assert (len(done.events), done.consumed) == (1, len(query("t.me")))
    assert digest().block(data[:10], 0).consumed == 0
    assert digest().block(b"", 0).consumed == 0


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_takes_any_buffer(kind: type) -> None:
    """bytes, bytearray and memoryview read alike, and events hold copies."""
    source = bytearray(query("t.me"))
    done = digest().block(kind(source), 0)
    source[:] = b"x" * len(source)
    assert done.events[0].line == query("t.me").rstrip()


def test_a_glance_at_more_lines_changes_nothing() -> None:
    """Some lines spread over the block, none that is a sample, not the unfinished one; digesting goes on as without."""
    data = b"".join(query(f"n{number:04}.test", number % 60) for number in range(300)) + query("t.me")[:-9]
    one, other = digest(), digest()
    done = one.block(data, 0)
    assert done == other.block(data, 0)
    more = one.glance(done, data, 0, 40)
    assert len(more) == 40 - 1  # the first line is a sample
    assert all(isinstance(event, Query) and event.offset == offset for offset, event in more)
    assert one.state() == other.state()
    assert one.parser.stamps.state() == other.parser.stamps.state()
    assert len(one.glance(done, data, 0, 10_000)) == 300 - len(done.samples)
    assert one.glance(one.block(b"", 0), b"", 0, 40) == []


def test_samples_are_taken_by_position() -> None:
    """The first line that starts at or after each 8 KiB multiple, and the estimate of lines that follows from them."""
    data = b"".join(query(f"n{number:04}.test") for number in range(1000))
    size = len(query("n0000.test"))
    done = digest().block(data, 0)
    expected = [-(-due // size) * size for due in range(0, len(data) - size, SAMPLE_EVERY)]
    assert [offset for offset, _ in done.samples] == expected
    assert done.lines == pytest.approx(1000)
    assert digest("all").block(data, 0).lines == 1000
    assert len(digest("all").block(data, 0).samples) == 1000


@pytest.mark.parametrize("cut", [1 << 20, 10_000])
def test_deep_in_a_large_file_samples_are_sparse(cut: int) -> None:
    """Past 16 MiB one line in 64 KiB is enough, wherever the blocks were cut."""
    size = len(query("n0000.test"))
    data = b"".join(query(f"n{number:04}.test") for number in range(3000))
    start = DENSE_BYTES // size * size - 100 * size
    subject, at, found = digest(), 0, []
    while at < len(data):
        done = subject.block(data[at : at + cut], start + at)
        found += [offset for offset, _ in done.samples]
        at += done.consumed
    end = start + len(data) - size
    dues = [*range(-(-start // SAMPLE_EVERY) * SAMPLE_EVERY, DENSE_BYTES, SAMPLE_EVERY),
            *range(DENSE_BYTES, end, SPARSE_EVERY)]  # fmt: skip
    assert found == [-(-due // size) * size for due in dues]


def test_a_line_that_is_too_long_is_dropped_and_counted_once() -> None:
    """Over 64 KiB: no event of it, one Weird where it begins, and the line after it is read."""
    long = b"x t.me IN " * 10_000 + b"\n"
    subject = digest()
    first = subject.block(query("t.me") + long[:70_000], 0)
    assert first.consumed == len(query("t.me")) + 70_000, "the buffer never fills up with it"
    rest = subject.block(long[70_000:] + query("t.me"), first.consumed)
    assert [type(event) for event in first.events + rest.events] == [Query, Weird, Query]
    assert first.events[1].why == LONG
    assert first.events[1].offset == len(query("t.me"))
    at_limit = b"y" * MAX_LINE + b"\n"
    assert digest().block(at_limit, 0).events == []


def test_a_hole_is_passed_over() -> None:
    """NUL bytes before a line (copytruncate): counted, and the line behind them is read, at its own offset."""
    for size in (5, 200_000):
        done = digest().block(query("a.test") + b"\0" * size + query("t.me"), 0)
        hole, found = done.events
        assert isinstance(hole, Weird)
        assert hole.why == HOLE
        assert isinstance(found, Query)
        assert found.offset == len(query("a.test")) + size
        assert found.line == query("t.me").rstrip()


def test_crlf_is_a_line_end() -> None:
    """A carriage return before the newline is not part of the line."""
    done = digest().block(query("t.me")[:-1] + b"\r\n", 0)
    assert done.events[0].line == query("t.me")[:-1]


def test_another_file_starts_afresh() -> None:
    """An unexpected offset is another file: nothing of the old one sticks."""
    subject = digest()
    subject.block(b"x" * 70_000, 0)
    done = subject.block(query("t.me"), 0)
    assert len(done.events) == len(done.samples) == 1


def test_a_foreign_state_is_ignored() -> None:
    """restore() takes what fits and never fails."""
    subject = digest()
    subject.restore({"at": "nonsense"})
    assert len(subject.block(query("t.me"), 0).events) == 1
