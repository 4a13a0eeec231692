"""Lease and hosts files in their real forms, whole and half-written."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dnswatch.core.clients.leases import (
    LEASE_FORMATS,
    NEVER,
    LeaseFormat,
    detect_lease_format,
    parse_leases,
    read_leases,
)
from dnswatch.core.model import Lease

NOW = 1_795_375_535.0  # 2026-11-22T19:25:35Z

DNSMASQ = b"""\
1795380000 b0:19:21:83:77:bf 192.168.1.7 Archer 01:b0:19:21:83:77:bf
0 06-10:20:30:40:50:59 192.168.1.8 * *
1795380000 52:54:00:12:34:56 192.168.1.9 evil<script> ff:00:01
1795370000 b0:19:21:83:77:b0 192.168.1.10 gone *
duid 00:01:00:01:2c:5f:00:00:52:54:00:12:34:56
1795380000 12345 fd00::7 laptop 00:01:00:01:2c:5f:00:00:52:54:00:12:34:57
1795380000 T12345 fd00::8 * 00:03:00:01:52:54:00:12:34:58
1795380000 77 fd00::9 phone 00:04:11:22:33:44:55:66:77:88:99:aa:bb:cc:dd:ee:ff:00
"""
KEA4 = b"""\
address,hwaddr,client_id,valid_lifetime,expire,subnet_id,fqdn_fwd,fqdn_rev,hostname,state,user_context,pool_id
10.0.0.10,08:00:27:aa:bb:cc,01:08:00:27:aa:bb:cc,3600,1795378000,1,0,0,laptop-7.example.,0,,0
10.0.0.10,08:00:27:aa:bb:cc,01:08:00:27:aa:bb:cc,3600,1795379000,1,0,0,laptop-7.example.,0,,0
10.0.0.11,08:00:27:aa:bb:cd,,3600,1795379000,1,0,0,released,0,,0
10.0.0.11,08:00:27:aa:bb:cd,,0,1795379000,1,0,0,released,0,,0
10.0.0.12,,,3600,1795379000,1,0,0,,1,,0
10.0.0.13,08:00:27:aa:bb:ce,,4294967295,6090346830,1,0,0,a&#x2cb,0,{ "x": 1 },0
"""
KEA6 = b"""\
address,duid,valid_lifetime,expire,subnet_id,pref_lifetime,lease_type,iaid,prefix_len,fqdn_fwd,fqdn_rev,hostname,hwaddr,state
2001:db8::10,00:01:00:01:2c:5f:00:00:52:54:00:12:34:57,4000,1795379000,1,3000,0,1,128,0,0,host6,,0
2001:db8:1::,00:03:00:01:52:54:00:12:34:58,4000,1795379000,1,3000,2,1,56,0,0,router,,0
"""
ISC = rb"""# The format of this file is documented in the dhcpd.leases(5) manual page.
# This lease file was written by isc-dhcp-4.4.3-P1

# authoring-byte-order entry is generated, DO NOT DELETE
authoring-byte-order little-endian;

server-duid "\000\001\000\001{;}\"";

lease 192.168.1.10 {
  starts 0 2026/11/22 10:00:00;
  ends 0 2026/11/22 22:00:00;
  cltt 0 2026/11/22 10:00:00;
  binding state active;
  next binding state free;
  rewind binding state free;
  hardware ethernet 00:11:22:33:44:55;
  uid "\001\000\021\"3DU{";
  set vendor-class-identifier = "MSFT 5.0";
  client-hostname "DESKTOP-1";
}
lease 192.168.1.11 {
  starts epoch 1795370000; # Sun Nov 22 17:53:20 2026
  ends never;
  binding state active;
  hardware ethernet 00:11:22:33:44:56;
}
lease 192.168.1.12 {
  starts 0 2026/11/22 10:00:00;
  ends 0 2026/11/22 22:00:00;
  binding state active;
  hardware ethernet 00:11:22:33:44:57;
}
lease 192.168.1.12 {
  starts 0 2026/11/22 10:00:00;
  ends 0 2026/11/22 12:00:00;
  binding state free;
  hardware ethernet 00:11:22:33:44:57;
}
lease 192.168.1.13 {
  starts 0 2026/11/22 10:00:00;
  ends 0 2026/11/22 22:00:00;
  binding state abandoned;
}
ia-na "\001\000\000\000\000\003\000\001RT\000\0224X" {
  cltt 0 2026/11/22 10:00:00;
  iaaddr 2001:db8::20 {
    binding state active;
    preferred-life 375;
    max-life 600;
    ends 0 2026/11/22 23:00:00;
  }
}
"""
HOSTS = b"""\
# static table
127.0.0.1\tlocalhost
ff02::1 ip6-allnodes
0.0.0.0 ads.example
10.0.0.5  Printer-3.lan printer-3 # second floor
fd00::5%eth0 nas
2001:db8::1
10.0.0.300 nobody
10.0.0.6 last"""
SAMPLES: dict[LeaseFormat, bytes] = {"dnsmasq": DNSMASQ, "kea": KEA4, "isc": ISC, "hosts": HOSTS}


def test_dnsmasq_leases() -> None:
    """MACs of v4, DUIDs of v6, names or ``*``; an infinite lease has no end, one that is over is left out."""
    assert parse_leases("dnsmasq", DNSMASQ, NOW) == [
        Lease(NOW, "192.168.1.7", "archer", "b0:19:21:83:77:bf", 1_795_380_000.0),
        Lease(NOW, "192.168.1.8", "", "10:20:30:40:50:59", NEVER),
        Lease(NOW, "192.168.1.9", "", "52:54:00:12:34:56", 1_795_380_000.0),
        Lease(NOW, "fd00::7", "laptop", "52:54:00:12:34:57", 1_795_380_000.0),
        Lease(NOW, "fd00::8", "", "52:54:00:12:34:58", 1_795_380_000.0),
        Lease(NOW, "fd00::9", "phone", "", 1_795_380_000.0),
    ]


def test_kea_leases() -> None:
    """The journal's last row counts; a lease begins when it was given; declined, deleted and prefixes are none."""
    assert parse_leases("kea", KEA4, NOW) == [
        Lease(1_795_375_400.0, "10.0.0.10", "laptop-7.example", "08:00:27:aa:bb:cc", 1_795_379_000.0),
        Lease(NOW, "10.0.0.13", "", "08:00:27:aa:bb:ce", NEVER),
    ]
    assert parse_leases("kea", KEA6, NOW) == [
        Lease(1_795_375_000.0, "2001:db8::10", "host6", "52:54:00:12:34:57", 1_795_379_000.0)]  # fmt: skip


def test_isc_leases() -> None:
    """Only active leases, the last block of each address; braces and quotes within strings mislead nobody."""
    assert parse_leases("isc", ISC, NOW) == [
        Lease(1_795_341_600.0, "192.168.1.10", "desktop-1", "00:11:22:33:44:55", 1_795_384_800.0),
        Lease(1_795_370_000.0, "192.168.1.11", "", "00:11:22:33:44:56", NEVER),
        Lease(NOW, "2001:db8::20", "", "52:54:00:12:34:58", 1_795_388_400.0),
    ]


def test_hosts_files() -> None:
    """The first name of a line; blocklists and multicast are no hosts; what does not parse is counted."""
    leases, skipped = read_leases("hosts", HOSTS, NOW)
    assert [(lease.at, lease.address, lease.name, lease.until) for lease in leases] == [
        (0.0, "127.0.0.1", "localhost", None), (0.0, "10.0.0.5", "printer-3.lan", None), (0.0, "fd00::5", "nas", None),
        (0.0, "10.0.0.6", "last", None)]  # fmt: skip
    assert skipped == 2


@pytest.mark.parametrize(("kind", "data"), [*SAMPLES.items(), ("kea", KEA6)])
def test_formats_are_told_by_content(kind: LeaseFormat, data: bytes) -> None:
    """No name or path is needed."""
    assert detect_lease_format(data) == kind


@pytest.mark.parametrize("data", [b"", b"\n\n", b"# only a comment\n", b"\0\1\2", b"10.0.0.1\n",
                                  b"22-Nov-2026 19:18:19.281 queries: x\n"])  # fmt: skip
def test_what_is_no_lease_file(data: bytes) -> None:
    """Nothing is guessed."""
    assert detect_lease_format(data) is None


def test_a_half_written_line_is_left_for_the_next_time() -> None:
    """A cut address or name would be somebody else's: dnsmasq and Kea lines count only with their newline."""
    cut = DNSMASQ[: DNSMASQ.index(b" Archer") - 1]
    assert read_leases("dnsmasq", cut, NOW) == ([], 1)
    leases, skipped = read_leases("kea", KEA4 + b"10.0.0.1,08:00:27", NOW)
    assert (len(leases), skipped) == (2, 1)
    leases, skipped = read_leases("isc", ISC[: ISC.index(b"  binding state free;")], NOW)
    assert ([lease.address for lease in leases], skipped) == (["192.168.1.10", "192.168.1.11", "192.168.1.12"], 1)


@given(st.sampled_from(LEASE_FORMATS), st.integers(0, 2000), st.integers(0, 2000), st.binary(max_size=40))
@settings(max_examples=150, deadline=None)
def test_damage_never_raises(kind: LeaseFormat, begin: int, length: int, noise: bytes) -> None:
    """Any cut of a file and any bytes in it give leases with canonical addresses, or nothing."""
    data = SAMPLES[kind]
    for damaged in (data[:begin], data[:begin] + noise + data[begin + length :], noise):
        detect_lease_format(damaged)
        for reader in LEASE_FORMATS:
            for lease in parse_leases(reader, damaged, NOW):
                assert lease.address
                assert lease.until is None or lease.until >= 0
