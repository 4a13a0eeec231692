"""An entry of the systemd journal, as `journalctl -o json` prints it → a line as it stands in a log.

The format is https://systemd.io/JOURNAL_EXPORT_FORMATS (JSON): a field is text, or an array of octets where it is not
UTF-8, or an array of those where it occurs several times. Never: raises for any bytes, or trusts what a program says of
itself where the journal knows better (time, host, process). Read next: ``syslog.py``.
"""

from __future__ import annotations

import json
import re
from typing import Any, NamedTuple

from dnswatch.core.logs.syslog import MOST, line

FIELDS = ("MESSAGE", "MESSAGE_ID", "N_DROPPED", "SYSLOG_IDENTIFIER", "SYSLOG_PID", "_COMM", "_HOSTNAME", "_PID",
          "_SOURCE_REALTIME_TIMESTAMP", "_SYSTEMD_UNIT")  # fmt: skip
"""Fields that are asked for; the cursor and the journal's own time come in any case."""
SUPPRESSED = "a596d6fe7bfa4994828e72309e95d61e"
"""MESSAGE_ID of the journal's notice that a unit wrote more than its rate limit allows (sd-messages.h)."""

_SUPPRESSED = re.compile(rb"Suppressed (\d{1,9}) messages from (\S{1,300})")


class Entry(NamedTuple):
    """One entry."""

    cursor: str
    line: bytes  # with its newline; b"" where there is no message
    suppressed: int  # messages that the journal did not take
    unit: str  # of `suppressed`


def read(text: bytes) -> Entry | None:
    """Read one line of `journalctl -o json`; None when it is none."""
    try:
        fields = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(fields, dict):
        return None
    cursor, message = fields.get("__CURSOR"), octets(fields.get("MESSAGE"))
    at = _time(fields)
    if not isinstance(cursor, str) or at is None:
        return None
    if fields.get("MESSAGE_ID") == SUPPRESSED:
        found = _SUPPRESSED.match(message)
        count = int(found[1]) if found else 0
        return Entry(cursor, b"", count, found[2].decode("ascii", "replace") if found else "")
    message = message.rstrip(b"\r\n\0").replace(b"\n", b"#012").replace(b"\0", b"#000")[:MOST]
    if not message:
        return Entry(cursor, b"", 0, "")
    if message.startswith(b"{"):  # as ``syslog.py``: JSON has its own time
        return Entry(cursor, message + b"\n", 0, "")
    host = octets(fields.get("_HOSTNAME")).replace(b" ", b"_") or b"-"
    tag = octets(fields.get("SYSLOG_IDENTIFIER")) or octets(fields.get("_COMM"))
    pid = octets(fields.get("_PID")) or octets(fields.get("SYSLOG_PID"))
    return Entry(cursor, line(at, host.replace(b"\n", b"_"), tag, pid, message), 0, "")


def octets(value: Any) -> bytes:
    """Give the octets of a field; of one that occurs several times the first, of one that is none nothing."""
    if isinstance(value, str):
        return value.encode("utf-8", "surrogatepass")
    if isinstance(value, list) and value:
        if all(type(one) is int and 0 <= one <= 255 for one in value):
            return bytes(value)
        return octets(value[0])
    return b""


def _time(fields: dict[str, Any]) -> float | None:
    """Give when the message was sent, else when the journal took it."""
    for key in ("_SOURCE_REALTIME_TIMESTAMP", "__REALTIME_TIMESTAMP"):
        text = fields.get(key)
        if isinstance(text, str) and text.isascii() and text.isdigit() and len(text) <= 17:  # µs: till the year 5138
            return int(text) / 1e6
    return None
