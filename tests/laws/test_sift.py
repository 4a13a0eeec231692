"""The sifter's law: what it leaves of any ranges of a file gives what the file's blocks give."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dnswatch.core.logs.digest import Digest
from dnswatch.core.logs.parsers import PARSERS
from dnswatch.core.logs.prescan import build_prescan
from dnswatch.core.logs.sift import Sifter
from dnswatch.core.logs.stretch import SPARSE_EVERY
from dnswatch.core.logs.timestamps import Stamps
from dnswatch.core.model import Event

NAMES = [("t.me", "exact"), ("webhook.site", "domain"), ("ngrok.io", "subdomains")]
SCANS = {kind: build_prescan(NAMES, parser.literals, tails=parser.tails)  # type: ignore[arg-type]
         for kind, parser in PARSERS.items()}  # fmt: skip

stamp = st.sampled_from([b"22-Nov-2026 19:18:19.281", b"22-Nov-2026 19:18:20.000", b"22-Nov-2026 23:00:00.000"])
name = st.sampled_from([b"t.me", b"T.Me", b"a.webhook.site", b"example.org", b"x.example.org"])
bind = st.tuples(stamp, name).map(
    lambda said: (
        b"%s queries: info: client @0x7f 10.0.0.1#38 (%s): query: %s IN A + (127.0.0.1)" % (said[0], said[1], said[1])
    )
)
other = st.sampled_from([
    b"Nov 22 19:23:16 dnsmasq[7607]: query[A] t.me from 127.0.0.1", b"", b"\r", b"t.me IN\0 t.me IN A",
    b"\0\0x t.me IN ", b"#fields\tts\tid.orig_h", b"[1795375397] unbound[7:0] query: 10.0.0.1 t.me. A IN",
    *(parser.example.replace(b"www.example.test", b"t.me") for parser in PARSERS.values()),
])  # fmt: skip
long = st.sampled_from([1, 300, 9_000, 30_000]).flatmap(
    lambda times: st.sampled_from([b"", b"ordinary line\n" * times])
)
damage = st.sampled_from([b"", b"", b"x" * 70_000, b"\0" * 66_000, b"y" * (SPARSE_EVERY - 1)])
logs = st.lists(st.tuples(long, bind | other, st.sampled_from([b"\n", b"\r\n"]), damage).map(b"".join),
                min_size=1, max_size=12).map(lambda parts: b"\n".join(parts) + b"\n")  # fmt: skip


def digest(kind: str) -> Digest:
    return Digest(PARSERS[kind](Stamps(None, 1795380000.0)), SCANS[kind])


def first_line(data: bytes, at: int) -> int:
    return data.find(b"\n", at - 1) + 1 if at else 0


@pytest.mark.parametrize("kind", ["bind", "zeek", "dnsmasq", "coredns"])
@settings(max_examples=40, deadline=None)
@given(data=logs, ranges=st.integers(1, 3), block=st.sampled_from([100_000, 1 << 19]))
def test_ranges_give_what_blocks_give(kind: str, data: bytes, ranges: int, block: int) -> None:
    """Any log, cut at any multiple of the samples' distance: events, samples and estimates of one block."""
    whole = digest(kind).block(data, 0)
    sifting = digest(kind)
    events: list[Event] = []
    samples: list[object] = []
    at = sampled = 0
    for begin in range(0, len(data), ranges * SPARSE_EVERY):
        start, end = first_line(data, begin), first_line(data, begin + ranges * SPARSE_EVERY)
        if not start and begin:
            break
        end = end or len(data)
        sifter = Sifter(SCANS[kind], begin, start)
        while sifter.plain and sifter.at < end:
            cut = data.rfind(b"\n", sifter.at, min(sifter.at + block, end)) + 1
            sifter.add(data[sifter.at : cut], max(cut - sifter.at, 0))
        sifted = sifter.sifted()
        digested = sifting.sifted(sifted) if sifted is not None else None
        while at < end:
            if digested is None or at != start:
                digested = sifting.block(data[at:], at, end - at)
            events += digested.events
            samples += digested.samples
            sampled += digested.sampled_bytes
            at += digested.consumed
            digested = None
    assert (events, samples, at) == (whole.events, whole.samples, whole.consumed)
    assert sampled == whole.sampled_bytes
