"""Protocol Buffers, as much as dnstap needs: the fields of one message, by number.

The encoding is https://protobuf.dev/programming-guides/encoding/; no generated code, no library, because five field
types of two messages are read, and hostile octets must cost as little as good ones. Never: raises.
Read next: ``message.py``.
"""

from __future__ import annotations

Fields = dict[int, int | bytes]
"""Field number → its value; of a field that occurs twice the last one counts, as the encoding wants it."""

_MOST_VARINT = 10
"""Octets of a 64-bit number."""


def read(data: bytes) -> Fields | None:
    """Read a message: varints and fixed-width numbers as integers, the rest as octets; None when it is malformed."""
    fields: Fields = {}
    at, end = 0, len(data)
    while at < end:
        tag, at = _varint(data, at)
        kind = tag & 7
        if at < 0 or tag < 8:
            return None
        value: int | bytes
        if kind == 0:
            value, at = _varint(data, at)
            if at < 0:
                return None
        elif kind == 2:
            size, at = _varint(data, at)
            if at < 0 or at + size > end:
                return None
            value = data[at : at + size]
            at += size
        elif kind in (1, 5):
            size = 8 if kind == 1 else 4
            if at + size > end:
                return None
            value = int.from_bytes(data[at : at + size], "little")
            at += size
        else:  # groups, which nobody uses any more
            return None
        fields[tag >> 3] = value
    return fields


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """Give a number and where it ends, -1 when it does not."""
    value = data[at] if at < len(data) else 0x80
    if value < 0x80:
        return value, at + 1
    value &= 0x7F
    for i, byte in enumerate(data[at + 1 : at + _MOST_VARINT], 1):
        value |= (byte & 0x7F) << (7 * i)
        if byte < 0x80:
            return value, at + i + 1
    return 0, -1
