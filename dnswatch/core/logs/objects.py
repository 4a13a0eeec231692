"""One JSON object per line (AdGuard Home, Zeek, Suricata): bytes → its fields, whatever the bytes are.

Never: raises, or trusts a type: each getter gives a value of the type that it names, or nothing. Names inside are
hostile; quotes cannot be forged, because every producer escapes them. Read next: ``core/logs/parsers/suricata.py``.

Why the prescan misses nothing here: JSON offers two spellings of an ASCII character, itself and ``\\u00XX`` (RFC 8259
§7; the short escapes are of quote, slash, backslash and controls, of which no watched name has one). None of these
producers escapes letters, digits, ``-``, ``_`` or dots, but whoever copies their lines may: `ESCAPE`, which begins each
such spelling, is a literal of these formats, so a line that has one is parsed, whatever it spells.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any

from dnswatch.core.logs import prefixes
from dnswatch.core.logs.timestamps import Stamps

Fields = dict[str, Any]

ESCAPE = b"\\u00"
"""How JSON begins every escape of a byte that a watched name can hold."""

ENDS = (b'",', b'"}', b'"]', b'" ', b'"\t', b'"\r')
"""What may stand behind a string that is a value, on one line. A quote alone says the same, but the pure tier looks at
each: there are thirty on a line."""

MILLISECONDS = 1e11
"""An epoch above this counts milliseconds (as seconds it lies in the year 5138)."""
LAST_EPOCH = 253_402_300_800.0
"""The first second of the year 10000, which no calendar here can write."""

_STAMP = re.compile(rb"(\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d)(\.\d{1,9})?(Z|[+-]\d\d:?\d\d)?\Z")


def _refuse(constant: str) -> None:
    """Refuse what Python reads but JSON does not know: NaN, Infinity."""
    raise ValueError(constant)


_DECODER = json.JSONDecoder(parse_constant=_refuse)  # `json.loads` would make one for each line


def read(line: bytes) -> Fields | None:
    """Give the object of a line, behind a syslog header or not; None when the line holds none."""
    start = 0
    if not line.startswith(b"{"):
        text = line.lstrip(b"\0")
        if not text.startswith(b"{"):
            head = prefixes.header(text)
            if head is None:
                return None
            text = text[head.end :].removeprefix(b"@cee:").lstrip()  # the cookie of structured syslog
        start = len(line) - len(text)
    try:
        found = _DECODER.decode((line[start:] if start else line).decode("utf-8"))
    except (ValueError, RecursionError):  # not JSON, not UTF-8, a number of thousands of digits, nested too deep
        return None
    return found if isinstance(found, dict) else None


def text(value: object) -> bytes | None:
    """Give a string's bytes in UTF-8; None when it is no string. Lone surrogates stay what they are."""
    return value.encode("utf-8", "surrogatepass") if isinstance(value, str) else None


def number(value: object) -> int | None:
    """Give a whole number; None when it is none, or negative."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def port(value: object) -> int:
    """Give a port; 0 when it is none."""
    found = number(value)
    return found if found is not None and found <= 65_535 else 0


def fields(value: object) -> Fields:
    """Give an inner object; an empty one when it is none."""
    return value if isinstance(value, dict) else {}


def items(value: object) -> list[Any]:
    """Give an array; an empty one when it is none."""
    return value if isinstance(value, list) else []


def at(value: object, stamps: Stamps) -> float | None:
    """Read a stamp: RFC 3339 text, Unix seconds, or milliseconds; None when it is none of these."""
    if isinstance(value, str):
        found = _STAMP.match(value.encode("utf-8", "surrogatepass"))
        return stamps.read(*found.groups()) if found else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if not 0 <= value < LAST_EPOCH * 1000 or not math.isfinite(value):
        return None
    seconds = float(value) / 1000 if value > MILLISECONDS else float(value)
    return stamps.known(seconds)
