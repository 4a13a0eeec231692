"""Syslog messages as they are received → lines as they stand in a log, so that the same parsers read both.

Headers in the forms of RFC 3164 and RFC 5424 (and none at all) become one: ``STAMP HOST TAG[PID]: MESSAGE``, the stamp
in UTC, the host the address that it came from, because a name in a message is anybody's word. A message is one line:
newlines and NULs inside it become ``#012`` and ``#000``, as rsyslog writes them. Never: raises, or reads a clock.
Read next: ``prefixes.py``.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, tzinfo

from dnswatch.core.logs import prefixes
from dnswatch.core.logs.timestamps import Stamps

MOST = 60_000
"""Octets of a message: far above any server's longest line, below `digest.MAX_LINE` with a header before it."""
CLOCK_OFF_S = 86_400.0
"""A stamp further from its arrival says more of the sender's clock than of the time (1970, another century): routers
without a battery start like that. A whole day, because a wrong time zone shifts by up to 14 hours and is to be seen."""

_PRI = re.compile(rb"<\d{1,3}>")
_NIL_STAMP = re.compile(rb"(?:<\d{1,3}>)?1 (-) ")  # RFC 5424 §6.2.3: no clock
_TAGGED = re.compile(rb" ?([A-Za-z_][\w./-]*+)(?:\[(\d++)\])?: ?")
_TAG = re.compile(rb"[A-Za-z_][\w./-]*+\Z")
_NOT_TAG = re.compile(rb"[^\w./-]")
_COUNT = re.compile(rb"[1-9]\d{0,6} ?")


class Lines:
    """Makes lines of what one sender says. Remembers its last stamp, to tell the year of the next one."""

    def __init__(self, host: str, zone: tzinfo | None, arrival: float) -> None:
        self.clock_off = 0
        """Messages whose stamp was replaced by their arrival."""
        self._host = host.encode("ascii", "replace") or b"-"
        self._stamps = Stamps(zone, arrival)

    def line(self, message: bytes, arrival: float) -> bytes:
        """Give the line of a message, with its newline; b"" for an empty one."""
        text = message.rstrip(b"\r\n\0")
        if b"\n" in text or b"\0" in text:
            text = text.replace(b"\n", b"#012").replace(b"\0", b"#000")
        if found := _NIL_STAMP.match(text):
            text = text[: found.start(1)] + _stamp(arrival) + text[found.end(1) :]
        head = prefixes.header(text)
        if head is not None:
            at, tag, pid, body = head.at(self._stamps), head.tag, head.pid, text[head.end :]
            if at is None or abs(at - arrival) > CLOCK_OFF_S:
                self.clock_off += 1
                at = arrival
        else:
            pri = _PRI.match(text)
            body = text[pri.end() :] if pri else text
            tagged = _TAGGED.match(body)
            if tagged is None:
                return body + b"\n" if body else b""
            at, tag, pid, body = arrival, tagged[1], tagged[2] or b"", body[tagged.end() :]
        if body.startswith(b"{"):  # JSON has its own time, and no parser expects something before it
            return body + b"\n"
        return line(at, self._host, tag, pid, body) if body else b""


def line(at: float, host: bytes, tag: bytes, pid: bytes, message: bytes) -> bytes:
    """Write a line as a syslog daemon would, with its newline. ``message`` holds none."""
    if not _TAG.match(tag):
        tag = b"_" + _NOT_TAG.sub(b"_", tag)
    number = b"[%b]" % pid if pid.isdigit() else b""
    return b"%b %b %b%b: %b\n" % (_stamp(at), host, tag, number, message)


def _stamp(at: float) -> bytes:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ").encode("ascii")


class Framing:
    """Takes a TCP stream apart (RFC 6587): messages with their length before them, or up to a newline each.

    Which of the two is told apart for every message (§3.4): a length is digits, a space and then ``<``.
    """

    def __init__(self) -> None:
        self.problem = ""
        """Why the stream cannot be taken apart any more."""
        self._rest = b""

    @property
    def unfinished(self) -> int:
        """Octets of a message that has not come whole."""
        return len(self._rest)

    def feed(self, data: bytes) -> list[bytes]:
        """Take what came; give the messages that are whole."""
        data, at, messages = self._rest + data, 0, []
        while at < len(data) and not self.problem:
            start, end, then = self._next(data, at)
            if then < 0:
                break
            messages.append(data[start:end])
            at = then
        self._rest = data[at:]
        if len(self._rest) > MOST + 10 and not self.problem:
            self.problem = f"a message longer than {MOST} octets"
        return messages

    def last(self) -> bytes:
        """Give what came without its newline before the end of the connection."""
        data, self._rest = self._rest, b""
        return b"" if _COUNT.match(data) else data

    def _next(self, data: bytes, at: int) -> tuple[int, int, int]:
        """Give where the message at ``at`` starts and ends, and where the next one starts: -1 while it is not whole."""
        count = _COUNT.match(data, at)
        if count is not None:
            if count.end() == len(data):
                return at, at, -1  # it may still become a length
            if data[count.end() - 1 : count.end() + 1] == b" <":
                size = int(count[0])
                if size > MOST:
                    self.problem = f"a message of {size} octets"
                end = count.end() + size
                return count.end(), end, end if end <= len(data) else -1
        end = data.find(b"\n", at)
        return at, end, end + 1 if end != -1 else -1
