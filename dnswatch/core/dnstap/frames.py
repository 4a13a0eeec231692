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


def is_tap(data: bytes) -> bool:
    """Say whether a file that begins like this holds dnstap: its first frame is START, and names it."""
    length = _u32(data, 4)
    told = read_control(data[8 : 8 + length]) if data[:4] == b"\0\0\0\0" and length <= MOST_CONTROL else None
    return told is not None and told.kind == START and CONTENT_TYPE in told.content_types


def control(kind: int) -> bytes:
    """Make a control frame, with its escape; the ones that agree on a content type name dnstap's."""
    body = kind.to_bytes(4, "big")
    if kind in (ACCEPT, START, READY):
        body += _FIELD_CONTENT_TYPE.to_bytes(4, "big") + len(CONTENT_TYPE).to_bytes(4, "big") + CONTENT_TYPE
    return b"\0\0\0\0" + len(body).to_bytes(4, "big") + body


def _u32(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 4], "big")


class Conversation:
    """The receiving side of one connection: what to keep of what comes, and what to answer."""

    def __init__(self) -> None:
        self.problem = ""
        """Why the other side cannot be listened to any more."""
        self.started = False
        self.ended = False
        """It has said that nothing more comes."""
        self._asked = False  # it waits for answers
        self._rest = b""

    def feed(self, data: bytes) -> tuple[bytes, bytes]:
        """Take what came; give whole data frames, as they were, and what to send back."""
        data, at, kept_from = self._rest + data, 0, 0
        frames, reply = b"", b""
        while not (self.problem or self.ended) and len(data) - at >= 4:
            length = _u32(data, at)
            escape = not length
            head = at + 8 if escape else at + 4
            length = _u32(data, at + 4) if escape and len(data) >= head else length
            if length > (MOST_CONTROL if escape else MOST_FRAME):
                self.problem = f"a frame of {length} octets"
            if self.problem or len(data) < head + length or (escape and len(data) < head):
                break
            if escape:
                frames += data[kept_from:at]
                reply += self._told(read_control(data[head : head + length]))
                kept_from = head + length
            elif not self.started:
                self.problem = "data before START"
                break
            at = head + length
        frames += data[kept_from:at]
        self._rest = data[at:]
        return frames, reply

    @property
    def unfinished(self) -> int:
        """Octets of a frame that has not come whole."""
        return len(self._rest)

    def _told(self, told: Control | None) -> bytes:
        """Take a control frame; give the answer."""
        if told is None:
            self.problem = "a control frame that cannot be read"
        elif told.kind == READY and not self._asked and not self.started:
            if told.fits:
                self._asked = True
                return control(ACCEPT)
            self.problem = f"it offers {_shown(told.content_types)}, not dnstap"
        elif told.kind == START and not self.started:
            self.started = True
            self.problem = "" if told.fits else f"it sends {_shown(told.content_types)}, not dnstap"
        elif told.kind == STOP and self.started:
            self.ended = True
            return control(FINISH) if self._asked else b""
        else:
            self.problem = f"control frame {told.kind} out of turn"
        return b""


def _shown(types: tuple[bytes, ...]) -> str:
    return ", ".join(one[:60].decode("ascii", "backslashreplace") for one in types[:4])
