"""Time stamps of log lines → Unix seconds in UTC, whatever the form: BIND, ISO 8601, RFC 3164, ctime, none at all.

Never: reads a clock or the machine's zone. What a stamp leaves out comes from outside (``zone``, ``anchor``,
``arrival``) or from the order of the lines in the file (year, DST fold). Facts: log_formats §5. Read next:
``core/logs/prefixes.py``.

One `Stamps` serves one source, in file order. Lines of one second share one conversion, so the usual cost of a
stamp is a comparison of bytes and one addition.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import Any

FOLD_SLACK_S = 60.0
"""A local stamp this far back is a late line (TCP children of dnsmasq, log_formats §2.3), farther back a DST fold."""

DAY_S = 86_400.0
AHEAD_S = DAY_S
"""The first year-less stamp lies at most this far after the anchor (log_formats §5)."""

UNSET_JUMP_S = 31 * DAY_S
"""A year-less 1 January (31 December west of Greenwich) this far from the line before is a clock nobody has set."""

UNSET_BEFORE = 946_684_800.0
"""2000-01-01: no log of a set clock is older; routers without a battery boot in 1970 (log_formats §2.7)."""

FRACTIONS = 4_096
"""Fractions of a second remembered: all the milliseconds BIND prints; syslog's microseconds just come and go."""

NO_STAMP = "no stamp"
"""Why a `Weird` is one: a line of the server that has lost its stamp."""

SILENT_LINES = 100
"""So many server lines in a row without a stamp are no torn heads: the server was told to print none any more."""

_MONTHS = {
    name: number
    for number, name in enumerate(
        (b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"), 1
    )
}
_BIND = re.compile(rb"(\d\d)-([A-Z][a-z]{2})-(\d{4}) (\d\d):(\d\d):(\d\d)\Z")
_ISO = re.compile(rb"(\d{4})-(\d\d)-(\d\d)[T ](\d\d):(\d\d):(\d\d)\Z")
_BSD = re.compile(rb"([A-Z][a-z]{2}) ([ \d]\d) (\d\d):(\d\d):(\d\d)\Z")
_CTIME = re.compile(rb"[A-Z][a-z]{2} ([A-Z][a-z]{2}) ([ \d]\d) (\d\d):(\d\d):(\d\d) (\d{4})\Z")
_OFFSET = re.compile(rb"([+-])(\d\d):?(\d\d)\Z")

Fields = tuple[int, int, int, int, int, int]


class Stamps:
    """Reads the stamps of one source in file order.

    ``zone`` is that of stamps which do not name one (None: UTC; `zoneless` becomes True once such a stamp was
    read, so that the caller can say which assumption was made). ``anchor`` dates the first year-less stamp: the
    latest year that puts it at most a day after the anchor.

    ``arrival`` is the time given to the lines of a source that prints no stamps (BIND ``print-time no``, dnsmasq on
    stderr); the caller sets it when bytes arrive, until then the anchor is used. Once a source has shown a stamp
    (`stamped`), a line without one has lost it, most often with its torn head, and has no time: arrival would throw
    the clock of the whole log ahead to now. Only `SILENT_LINES` in a row mean that the server stopped printing them.
    """

    __slots__ = (
        "_at", "_fractions", "_last", "_offset", "_second", "_silent", "alone", "anchor", "arrival", "limit", "stamped",
        "zone", "zoneless",
    )  # fmt: skip

    def __init__(self, zone: tzinfo | None, anchor: float) -> None:
        self.zone: tzinfo = UTC if zone is None else zone
        self.anchor = anchor
        self.arrival: float | None = None
        self.limit: float | None = None  # no line can be later: the caller's clock, or the last write to the file
        self.alone = float("inf")
        """Up to here a line is believed that is far ahead of its time and has none behind it yet; else it waits."""
        self.zoneless = False
        self.stamped = False
        self._silent = 0  # lines without a stamp since the last one with
        self._last: float | None = None  # the last stamp that could be trusted
        self._second: bytes | None = None  # text, offset and value of the second converted last
        self._offset: bytes | None = None
        self._at = 0.0
        self._fractions: dict[bytes, float] = {}

    def read(self, second: bytes | None, fraction: bytes | None = None, offset: bytes | None = None) -> float | None:
        """Give the time of a stamp: its text to the second, ``.281`` or None, ``Z``/``+01:00`` or None.

        None when the stamp cannot be read. ``second`` None: the line has no stamp; see `arrival` and `stamped`.
        """
        if second is None:
            return self._unstamped()
        if second != self._second or offset != self._offset:
            at = self._convert(second, offset)
            if at is None:
                return None
            self._second, self._offset, self._at = second, offset, at
            self.stamped = True
        self._silent = 0
        if fraction is None:
            return self._at
        part = self._fractions.get(fraction)
        if part is None:
            if len(self._fractions) >= FRACTIONS:
                self._fractions.clear()
            part = self._fractions[fraction] = float(fraction)
        return self._at + part

    def known(self, epoch: float) -> float:
        """Take a stamp in seconds since the epoch, which needs no reading."""
        self.stamped = True
        self._silent = 0
        if epoch >= UNSET_BEFORE:
            self._last = epoch
        return epoch

    def settle(self, epoch: float) -> None:
        """Take the known instant of this line to date what follows: dnsmasq prints ``time N`` on SIGUSR1."""
        if self._last is None or abs(self._last - epoch) > DAY_S:  # within a day only the zone can be wrong
            self._last = epoch
            self._second = None

    def back(self, at: float) -> None:
        """Date what follows by ``at`` (0.0: by nothing): the stamp read last was not to be believed."""
        self._last = at or None
        self._second = None

    def state(self) -> dict[str, Any]:
        """Give what must survive a restart, as plain data."""
        return {
            "anchor": self.anchor, "last": self._last, "zoneless": self.zoneless, "stamped": self.stamped,
            "silent": self._silent,
        }  # fmt: skip

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue from what `state` gave."""
        last = state.get("last")
        self.anchor = float(state.get("anchor", self.anchor))
        self._last = None if last is None else float(last)
        self.zoneless = bool(state.get("zoneless", False))
        self.stamped = bool(state.get("stamped", self._last is not None))
        self._silent = int(state.get("silent", 0))
        self._second = None

    def _unstamped(self) -> float | None:
        """Give the time of a line without a stamp; None where such a line is damage."""
        if self.stamped:
            self._silent += 1
            if self._silent < SILENT_LINES:
                return None
        if self.arrival is not None:
            return self.arrival
        return self._last if self.stamped and self._last is not None else self.anchor

    def _convert(self, second: bytes, offset: bytes | None) -> float | None:
        if found := _BSD.match(second):
            month, *rest = found.groups()
            return self._yearless(month, *(int(part) for part in rest))
        fields = _dated(second)
        if fields is None:
            return None
        at = self._local(fields) if not offset else _zoned(fields, offset)
        if at is None:
            return None
        if at < UNSET_BEFORE:
            return at if self._last is None else self._last
        self._last = at
        return at

    def _local(self, fields: Fields) -> float | None:
        """Convert a stamp without a zone. Of the two readings at a DST fold the order of the lines picks one."""
        self.zoneless = True
        try:
            first = datetime(*fields, tzinfo=self.zone).timestamp()
            again = datetime(*fields, tzinfo=self.zone, fold=1).timestamp()
        except (ValueError, OverflowError):
            return None
        if first < again and self._last is not None and first < self._last - FOLD_SLACK_S:
            return again
        return first

    def _yearless(self, month_name: bytes, day: int, hour: int, minute: int, second: int) -> float | None:
        month = _MONTHS.get(month_name)
        if month is None:
            return None
        reference = self.anchor if self._last is None else self._last
        fields = (month, day, hour, minute, _whole(second))
        readings = [at for year in _years(reference, fields) if (at := self._local((year, *fields))) is not None]
        if not readings:
            return None
        boot_day = (month, day) in ((1, 1), (12, 31))
        if self._last is None:
            at = max((at for at in readings if at <= reference + AHEAD_S), default=min(readings))
            if not boot_day or abs(at - reference) <= UNSET_JUMP_S:  # else the anchor dates the next line, too
                self._last = at
            return at
        at = min(readings, key=lambda at: abs(at - reference))
        if boot_day and abs(at - reference) > UNSET_JUMP_S:
            return self._last
        self._last = at
        return at


def _years(reference: float, fields: tuple[int, ...]) -> Iterator[int]:
    """The years to try: the neighbours, or for 29 February every leap year within eight (1900 and 2100 are none)."""
    year = (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=min(max(reference, 0.0), 2.5e11))).year
    reach = 8 if fields[:2] == (2, 29) else 1
    return (near for near in range(max(year - reach, 1), year + reach + 1))


def _dated(second: bytes) -> Fields | None:
    """Split a stamp that names its year."""
    if found := _ISO.match(second):
        year, month, day, hour, minute, sec = (int(part) for part in found.groups())
    elif found := _BIND.match(second):
        month = _MONTHS.get(found[2], 0)
        day, year, hour, minute, sec = (int(part) for part in found.group(1, 3, 4, 5, 6))
    elif found := _CTIME.match(second):
        month = _MONTHS.get(found[1], 0)
        day, hour, minute, sec, year = (int(part) for part in found.group(2, 3, 4, 5, 6))
    else:
        return None
    return (year, month, day, hour, minute, _whole(sec))


def _whole(second: int) -> int:
    """A leap second counts as its predecessor; Unix time has no place for it."""
    return 59 if second == 60 else second


def _zoned(fields: Fields, offset: bytes) -> float | None:
    try:
        if offset == b"Z":
            return datetime(*fields, tzinfo=UTC).timestamp()
        found = _OFFSET.match(offset)
        if found is None:
            return None
        span = timedelta(hours=int(found[2]), minutes=int(found[3]))
        return datetime(*fields, tzinfo=timezone(-span if found[1] == b"-" else span)).timestamp()
    except (ValueError, OverflowError):
        return None
