"""Syslog headers: who wrote the line is the tag's word alone, and the message begins where the header ends."""

import pytest

from dnswatch.core.logs.prefixes import header
from dnswatch.core.logs.timestamps import Stamps


@pytest.mark.parametrize(
    ("head", "tag", "pid", "relayed"),
    [
        (b"Nov 22 19:18:19 vm named[947]: ", b"named", b"947", True),
        (b"Nov  2 19:18:19 vm named[947]: ", b"named", b"947", True),
        (b"Nov 22 19:18:19 2001:db8::1 named[947]: ", b"named", b"947", True),
        (b"Nov 22 19:18:19 dnsmasq-dhcp[1]: ", b"dnsmasq-dhcp", b"1", False),
        (b"<30>Nov 22 19:26:10 dnsmasq[18957]: ", b"dnsmasq", b"18957", True),
        (b"Nov 22 19:18:19.281 vm named[947]: ", b"named", b"947", True),
        (b"Jan  1 01:00:30 fritz daemon.info dnsmasq[2887]: ", b"dnsmasq", b"2887", True),
        (b"Mon Sep  7 10:17:39 2020 daemon.info dnsmasq[1551]: ", b"dnsmasq", b"1551", True),
        (b"Mon Sep  7 10:17:39 2020 [1599473859.123] daemon.info dnsmasq[1551]: ", b"dnsmasq", b"1551", True),
        (b"2026-11-22T19:18:20.002809+00:00 vm named[947]: ", b"named", b"947", True),
        (b"2026-11-22T19:18:20+0000 vm named[947]: ", b"named", b"947", True),
        (b"2026-11-22T19:18:20.002809Z stdout F dnsmasq[1]: ", b"dnsmasq", b"1", True),
        (b"2026-11-22T19:18:20Z dnsmasq: ", b"dnsmasq", b"", True),
        (b"<166>1 2026-11-22T19:18:20.002809+00:00 vm named 947 - -  ", b"named", b"947", True),
        (b"<166>1 2026-11-22T19:18:20Z vm named - ID47 - ", b"named", b"", True),
        (b'1 2026-11-22T19:18:20Z vm named 1 - [a@1 k="]\\"x"][b@2] \xef\xbb\xbf', b"named", b"1", True),
    ],
)
def test_headers(head: bytes, tag: bytes, pid: bytes, relayed: bool) -> None:
    """Every form names its program, and the message is what follows."""
    found = header(head + b"client x: dnsmasq[1]: text")
    assert found is not None
    assert (found.tag, found.pid, found.relayed) == (tag, pid, relayed)
    assert found.end == len(head)


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"22-Nov-2026 19:18:19.281 queries: info: client",
        b"2026-11-22T19:18:19.281 client @0x7f 192.0.2.7#1 (a.b): query: a.b IN A + (::1)",
        b"dnsmasq[7859]: query[A] a.b from 192.0.2.7",
        b"Nov 22 19:18:19",
        b"nov 22 19:18:19 vm named[947]: x",
        b"<166>1 2026-11-22T19:18:20Z vm named 1 - [broken x",
    ],
)
def test_what_is_no_header(line: bytes) -> None:
    """The servers' own prefixes and fragments are none."""
    assert header(line) is None


def test_the_epoch_of_logread_outranks_the_local_stamp() -> None:
    """``logread -t`` prints the instant itself: no zone is assumed then."""
    stamps = Stamps(None, 0.0)
    found = header(b"Mon Sep  7 12:17:39 2020 [1599473859.123] daemon.info dnsmasq[1551]: x")
    assert found is not None
    assert found.at(stamps) == 1599473859.123
    assert not stamps.zoneless


def test_a_container_prefix_names_no_program() -> None:
    """The runtime's stamp before BIND's own: no tag, the message begins at BIND's stamp."""
    found = header(b"2026-11-22T19:18:20.1Z stderr F 22-Nov-2026 19:18:19.281 general: info: running")
    assert found is not None
    assert (found.tag, found.end) == (b"", len(b"2026-11-22T19:18:20.1Z stderr F "))
