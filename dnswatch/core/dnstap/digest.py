"""Turns a block of Frame Streams into events and samples, as ``core/logs/digest.py`` does for lines.

Same contract: the same bytes at the same offsets give the same events and samples, whatever the chunking and whichever
tier searches. A stream whose frames cannot be right any more has no place to go on from, as a line would have: the rest
of it is left out and counted once. Never: reads files. Read next: ``message.py``, ``scan.py``.
"""

from __future__ import annotations

from dnswatch.core.dnstap import message
from dnswatch.core.dnstap.frames import MOST_CONTROL, MOST_FRAME
from dnswatch.core.dnstap.scan import WireScan
from dnswatch.core.logs.digest import Digested, Sampling
from dnswatch.core.logs.stretch import spacing
from dnswatch.core.logs.timestamps import Stamps
from dnswatch.core.model import Event, Lease, Query, Verdict, Weird

DAMAGED = "damaged frame stream"
AHEAD = "time in the future"


class FrameDigest:
    """Digests one stream after the other, block by block."""

    def __init__(self, prescan: WireScan, sample: Sampling = "position", stamps: Stamps | None = None) -> None:
        self.prescan = prescan
        self.stamps = stamps
        """Holds the latest time that is believed: a server whose clock is wrong must not drag log time along."""
        self.sample = sample
        self._at = 0  # offset that the next block should start at, else it is another stream
        self._sample_at = 0
        self._damaged = False

    def block(self, data: bytes | bytearray, offset: int) -> Digested:
        """Digest ``data``, which starts at stream offset ``offset`` at the start of a frame."""
        if offset != self._at:
            self._damaged = False
            every = spacing(offset)
            self._sample_at = -(-offset // every) * every
        if self.sample == "all":
            self._sample_at = offset
        if self._damaged:
            self._at = offset + len(data)
            return Digested([], [], len(data), 0)
        digested = self._frames(data, offset)
        self._at = offset + digested.consumed
        return digested

    def _frames(self, data: bytes | bytearray, offset: int) -> Digested:
        found = self.prescan.find(data)
        marks = [] if found is None else found
        mark = 0  # the next one that lies behind the start of the frame
        events: list[Event] = []
        samples: list[tuple[int, Event | None]] = []
        candidates = sampled = at = 0
        due = self._sample_at - offset
        while (end := _frame_end(data, at)) > 0:
            start = at + 4
            while mark < len(marks) and marks[mark] <= start:
                mark += 1
            named = found is None or (mark < len(marks) and marks[mark] <= end)
            if (named or at >= due) and data[at:start] != b"\0\0\0\0":
                said = message.read(bytes(data[start:end]), offset + at)
                watched = said is not None and named and self._watches(said)
                said = self._believed(said)
                if watched and said is not None:
                    candidates += 1
                    events.append(said)
                if at >= due:
                    samples.append((offset + at, said))
                    sampled += end - at
                    every = 1 if self.sample == "all" else spacing(offset + at)
                    due = at + every - (offset + at) % every
            at = end
        self._sample_at = due + offset
        if end < 0:
            events.append(Weird(0.0, DAMAGED, "", bytes(data[at : at + 64]), offset + at))
            self._damaged = True
            at = len(data)
        return Digested(events, samples, at, candidates, sampled)

    def _believed(self, event: Event | None) -> Event | None:
        limit = self.stamps.limit if self.stamps is not None else None
        if event is None or limit is None or event.at <= limit:
            return event
        return Weird(0.0, AHEAD, "", event.line if not isinstance(event, Lease) else b"", event.offset)

    def _watches(self, event: Event) -> bool:
        return isinstance(event, Query | Verdict) and self.prescan.watches(event.qname)

    def state(self) -> dict[str, object]:
        """Give what a restart must know, as plain data."""
        return {"at": self._at, "sample_at": self._sample_at, "inside": "damage" if self._damaged else ""}

    def restore(self, state: dict[str, object]) -> None:
        """Go on from `state`. Raises nothing: a state that does not fit is the state of another stream."""
        at, sample_at = state.get("at"), state.get("sample_at")
        if isinstance(at, int) and isinstance(sample_at, int):
            self._at, self._sample_at, self._damaged = at, sample_at, state.get("inside") == "damage"


def _frame_end(data: bytes | bytearray, at: int) -> int:
    """Give where the frame at ``at`` ends; 0: not all of it is here; -1: it cannot be one."""
    head, limit = at + 4, MOST_FRAME
    if head > len(data):
        return 0
    length = int.from_bytes(data[at:head], "big")
    if not length:
        head, limit = at + 8, MOST_CONTROL
        if head > len(data):
            return 0
        length = int.from_bytes(data[at + 4 : head], "big")
        if length < 4:
            return -1
    if length > limit:
        return -1
    return head + length if head + length <= len(data) else 0
