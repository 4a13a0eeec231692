"""Frame Streams, the envelope of dnstap in files and on sockets: data frames by length, control frames after a zero.

Never: reads, or knows what is in a data frame. Read next: ``protobuf.py``.

A data frame is its length (32 bits, big-endian) and so many octets. A length of zero escapes a control frame: its own
length, a type, and fields (type, length, value) of which only the content type is defined. A file, or a sender that
cannot hear us, begins with START; one that can asks READY and waits for ACCEPT. It ends with STOP, answered by FINISH.
"""

from __future__ import annotations

from typing import NamedTuple

ACCEPT, START, STOP, READY, FINISH = 1, 2, 3, 4, 5
CONTENT_TYPE = b"protobuf:dnstap.Dnstap"
MOST_CONTROL = 512
"""Octets of a control frame, as fstrm itself bounds them (FSTRM_CONTROL_FRAME_LENGTH_MAX)."""
MOST_FRAME = 192 << 10
"""Octets of a data frame: a query and a response message of 64 KiB each and what is said about them."""

_FIELD_CONTENT_TYPE = 1


class Control(NamedTuple):
    """A control frame."""

    kind: int
    content_types: tuple[bytes, ...]

    @property
    def fits(self) -> bool:
        """Whether dnstap is meant; a sender need not say."""
        return not self.content_types or CONTENT_TYPE in self.content_types


def read_control(data: bytes) -> Control | None:
    """Read what stands behind the length of a control frame; None when it is none."""
    if not 4 <= len(data) <= MOST_CONTROL:
        return None
    at, types = 4, []
    while at < len(data):
        kind, size = _u32(data, at), _u32(data, at + 4)
        end = at + 8 + size
        if at + 8 > len(data) or end > len(data):
            return None
        if kind == _FIELD_CONTENT_TYPE:
            types.append(data[at + 8 : end])
        at = end
    return Control(_u32(data, 0), tuple(types))


def control(kind: int) -> bytes:
    """Make a control frame, with its escape; the ones that agree on a content type name dnstap's."""
    body = kind.to_bytes(4, "big")
    if kind in (ACCEPT, START, READY):
        body += _FIELD_CONTENT_TYPE.to_bytes(4, "big") + len(CONTENT_TYPE).to_bytes(4, "big") + CONTENT_TYPE
    return b"\0\0\0\0" + len(body).to_bytes(4, "big") + body


def _u32(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 4], "big")
