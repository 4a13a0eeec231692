"""What stands before a server's own message: syslog in its forms (RFC 3164, ISO, RFC 5424), OpenWrt's logread.

Never: looks for a program's name in the text. A shared syslog file holds lines of other programs that may print
anything; only the tag field says whose line it is (log_formats §6). Read next: ``core/logs/parsers/``.

Forms, all seen in log_formats §1.7, §2.5, §2.7::

    Nov 22 19:18:19 vm named[947]: …                                      RFC 3164 as rsyslog writes it to files
    <30>Nov 22 19:26:10 dnsmasq[18957]: …                                 a raw datagram; dnsmasq's files have no <30>
    2026-11-22T19:18:20.002809+00:00 vm named[947]: …                     rsyslog ISO; journalctl -o short-iso
    <166>1 2026-11-22T19:18:20.002809+00:00 vm named 947 - -  …           RFC 5424
    Mon Sep  7 10:17:39 2020 daemon.info dnsmasq[1551]: …                 OpenWrt logread; with -t also [1599473859.123]
    Jan  1 01:00:30 fritz daemon.info dnsmasq[2887]: …                    busybox syslogd
    2026-11-22T19:18:20.002809Z stdout F dnsmasq[1]: …                    container runtimes (CRI)
"""

from __future__ import annotations

import re
from typing import NamedTuple

from dnswatch.core.logs.timestamps import Stamps

_BSD = rb"[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d"
_ISO = rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d"
_OFFSET = rb"Z|[+-]\d\d:?\d\d"
_DATA = rb'(?:-|(?:\[(?:[^\]\\"]|"(?:[^"\\]|\\.)*+")*+\])++)'  # structured data (RFC 5424 §6.3)
_RFC5424 = re.compile(
    rb"(?:<\d{1,3}>)?1 (" + _ISO + rb")(\.\d{1,9})?(" + _OFFSET + rb") ([^ ]++) ([^ ]++) ([^ ]++) [^ ]++ " + _DATA
    + rb" {0,2}(?:\xef\xbb\xbf)?"  # rsyslog's own template writes two spaces; a BOM may lead the message (§6.4)
)  # fmt: skip
_HEADER = re.compile(
    rb"(?:<\d{1,3}>)?(?:(" + _BSD + rb"|[A-Z][a-z]{2} " + _BSD + rb" \d{4}|" + _ISO + rb")(\.\d{1,9})?(" + _OFFSET
    + rb")?(?: \[(\d{1,12}\.\d{1,9})\])? )"  # logread -t: seconds since the epoch
    rb"(?:(?:stdout|stderr) F )?"
    rb"(?:([^ ]++) )??(?:[a-z]++[0-9]?\.[a-z]++ )?([A-Za-z_][\w./-]*+)(?:\[(\d++)\])?: ?"
)  # fmt: skip

_CONTAINER = re.compile(rb"(" + _ISO + rb")(\.\d{1,9})?(Z) (?:(?:stdout|stderr) F )?(?=\d\d-[A-Z])")


class Header(NamedTuple):
    """A syslog header: the parts of its stamp (see `Stamps.read`), who wrote the line, where the message begins."""

    second: bytes
    fraction: bytes | None
    offset: bytes | None
    epoch: bytes | None  # logread -t: the same instant as Unix seconds
    tag: bytes  # empty: a container runtime's prefix, which names no program
    pid: bytes
    end: int  # of the header: the message starts here
    relayed: bool  # by a syslog daemon; False only for the host-less form that dnsmasq itself writes to its file

    def at(self, stamps: Stamps) -> float | None:
        """Give the time of the line, None when the stamp cannot be read."""
        if self.epoch is not None:
            return stamps.known(float(self.epoch))
        return stamps.read(self.second, self.fraction, self.offset)


def header(line: bytes) -> Header | None:
    """Read the syslog header at the start of a line; None when there is none."""
    if found := _HEADER.match(line):
        second, fraction, offset, epoch, host, tag, pid = found.groups()
        relayed = host is not None or offset is not None or line.startswith(b"<") or len(second) != 15
        return Header(second, fraction, offset, epoch, tag, pid or b"", found.end(), relayed)
    if found := _RFC5424.match(line):
        second, fraction, offset, _, tag, pid = found.groups()
        return Header(second, fraction, offset, None, tag, b"" if pid == b"-" else pid, found.end(), True)
    if found := _CONTAINER.match(line):  # the runtime's stamp before a line that BIND wrote to stderr
        second, fraction, offset = found.groups()
        return Header(second, fraction, offset, None, b"", b"", found.end(), True)
    return None
