"""What one bad record does to real resolvers: the rows of research rpz.md §5.1 and §5.2, past our guard on purpose.

`tests/core/test_feeds_rows.py` holds that we refuse each; this holds that we are right to. A raw primary sends each
zone with one good rule before the bad record and one after it; files are loaded in the same way. An upgrade of a
resolver that changes a row is seen here.
"""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dnswatch.core.names import to_wire
from tests.live.servers import (
    ADDRESS,
    Answer,
    NotReady,
    Server,
    Upstream,
    dig,
    free_port,
    named_with,
    place,
    program,
    unbound_with,
    wait_for,
)

BLOCKED, PASSED = Answer("NXDOMAIN", ()), Answer("NOERROR", (ADDRESS,))
SOA, NS, CNAME, A, TXT, DNAME, AXFR, IXFR = 6, 2, 5, 1, 16, 39, 252, 251
Record = tuple[str, int, int, bytes]  # owner, type, TTL, data
BOTH, FIRST, NONE = (True, True), (True, False), (False, False)
ROOT = b"\0"


def soa(serial: int = 1) -> bytes:
    return to_wire("localhost") + to_wire("h.localhost") + struct.pack("!5I", serial, 300, 60, 86400, 60)


def below(owner: str, kind: int = CNAME, data: bytes = ROOT, ttl: int = 60) -> list[Record]:
    return [(f"{owner}.ZONE", kind, ttl, data)]


CLIENT = "rpz-client-ip"
Blocks = tuple[bool, bool]
TRANSFERS: dict[str, tuple[list[Record], Blocks, Blocks, Blocks]] = {
    # row: records, BIND, Unbound and PowerDNS: do the first and the last rule still block?
    "good": (below("x.test"), BOTH, BOTH, BOTH),
    "exact-duplicate": (below("x.test") * 2, BOTH, BOTH, NONE),
    "two-cnames": (below("x.test") + below("x.test", data=to_wire("y.test")), NONE, BOTH, BOTH),
    "cname-and-a": (below("x.test") + below("x.test", A, b"\xc0\0\2\1"), NONE, BOTH, BOTH),
    "cname-and-txt": (below("x.test") + below("x.test", TXT, b"\1x"), NONE, BOTH, BOTH),
    "apex-cname": ([("ZONE", CNAME, 60, ROOT)], NONE, BOTH, BOTH),
    "out-of-zone": ([("x.other.invalid", CNAME, 60, ROOT)], BOTH, FIRST, NONE),
    "no-ns": ([], NONE, BOTH, BOTH),
    "soa-inside": (below("x.test", SOA, soa()), NONE, NONE, BOTH),
    "client-33": (below(f"33.3.2.1.10.{CLIENT}"), BOTH, BOTH, NONE),
    "client-word": (below(f"32.x.2.1.10.{CLIENT}"), BOTH, BOTH, NONE),
    "client-short": (below(f"32.2.1.10.{CLIENT}"), BOTH, BOTH, NONE),
    "client-host-bits": (below(f"24.3.2.1.10.{CLIENT}"), BOTH, BOTH, BOTH),
    "client-prefix-0": (below(f"0.zz.{CLIENT}"), BOTH, BOTH, BOTH),
    "dname": (below("x.test", DNAME, to_wire("y.test")), BOTH, BOTH, BOTH),
    "ttl": (below("x.test", ttl=2**31), BOTH, BOTH, BOTH),
    "unknown-type": (below("x.test", 65280, b"\0"), BOTH, BOTH, BOTH),
}
HEAD = "$ORIGIN ZONE.\n$TTL 60\n@ SOA localhost. h.localhost. 1 300 60 86400 60\n@ NS localhost.\n"
DEAD = None
FILES: dict[str, tuple[str, Blocks, Blocks | None, Blocks, Blocks]] = {  # BIND, Unbound, PowerDNS, Knot
    "good": ("x.test CNAME .\n", BOTH, BOTH, BOTH, BOTH),
    "syntax": ("x.test CNAME (\n", NONE, FIRST, FIRST, FIRST),
    "cname-and-a": ("x.test CNAME .\nx.test A 192.0.2.1\n", NONE, BOTH, BOTH, BOTH),
    "exact-duplicate": ("x.test CNAME .\nx.test CNAME .\n", BOTH, BOTH, NONE, BOTH),
    "out-of-zone": ("x.other.invalid. CNAME .\n", BOTH, DEAD, NONE, BOTH),
    "no-ns": ("", NONE, BOTH, BOTH, BOTH),
    "empty": ("", NONE, NONE, NONE, NONE),
}


def first(row: str) -> str:
    return f"first.{row}.bad.test"


def last(row: str) -> str:
    return f"last.{row}.bad.test"


def records(row: str) -> list[Record]:
    """Give a whole zone in the order in which it is sent."""
    bad = TRANSFERS[row][0]
    apex: list[Record] = [("ZONE", SOA, 60, soa())]
    apex += [] if row == "no-ns" else [("ZONE", NS, 60, to_wire("localhost"))]
    return [*apex, *below(first(row)), *bad, *below(last(row)), apex[0]]


class RawPrimary:
    """Answers SOA, AXFR and IXFR for every row's zone with what the row says, right or wrong."""

    def __init__(self) -> None:
        self.port = free_port()
        self._udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._udp.bind(("127.0.0.1", self.port))
        self._tcp = socket.create_server(("127.0.0.1", self.port))
        self._threads = [threading.Thread(target=work, daemon=True) for work in (self._ask_udp, self._ask_tcp)]

    def __enter__(self) -> RawPrimary:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._tcp.shutdown(socket.SHUT_RDWR)
        self._tcp.close()
        self._udp.close()

    def _ask_udp(self) -> None:
        while True:
            try:
                packet, peer = self._udp.recvfrom(4096)
                self._udp.sendto(self._reply(packet), peer)
            except OSError:
                return

    def _ask_tcp(self) -> None:
        while True:
            try:
                connection, _ = self._tcp.accept()
            except OSError:
                return
            threading.Thread(target=self._converse, args=(connection,), daemon=True).start()

    def _converse(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rb") as stream:
            while len(head := stream.read(2)) == 2:
                reply = self._reply(stream.read(int.from_bytes(head)))
                connection.sendall(len(reply).to_bytes(2) + reply)

    @staticmethod
    def _reply(packet: bytes) -> bytes:
        end = packet.index(b"\0", 12) + 5
        row = packet[13 : 13 + packet[12]].decode()
        kind = int.from_bytes(packet[end - 4 : end - 2])
        sent = records(row) if kind in (AXFR, IXFR) else records(row)[:1]
        body = b"".join(
            to_wire(owner.replace("ZONE", f"{row}.poison.test")) + struct.pack("!HHIH", type_, 1, ttl, len(data)) + data
            for owner, type_, ttl, data in sent
        )
        return packet[:2] + struct.pack("!5H", 0x8400, 1, len(sent), 0, 0) + packet[12:end] + body


def named_conf(folder: Path, port: int, zones: dict[str, str], upstream: int) -> str:
    policy = "".join(f'zone "{name}"; ' for name in zones)
    clauses = "".join(f'zone "{name}" {{ {text} allow-query {{ none; }}; }};\n' for name, text in zones.items())
    return f"""
options {{
  directory "{folder}"; pid-file none; session-keyfile none; lock-file none;
  listen-on port {port} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }};
  recursion yes; dnssec-validation no; forward only; forwarders {{ 127.0.0.1 port {upstream}; }};
  response-policy {{ {policy}}} break-dnssec yes qname-wait-recurse no min-update-interval 1;
}};
controls {{ }};
{clauses}"""


def unbound_conf(folder: Path, port: int, zones: dict[str, str], upstream: int) -> str:
    clauses = "".join(f'rpz:\n  name: "{name}"\n  {text}\n' for name, text in zones.items())
    return f"""
server:
  directory: "{folder}"
  chroot: ""
  username: ""
  pidfile: ""
  interface: 127.0.0.1@{port}
  do-ip6: no
  local-zone: "test." nodefault
  do-not-query-localhost: no
  module-config: "respip iterator"
  use-syslog: no
  verbosity: 1
forward-zone:
  name: "."
  forward-addr: 127.0.0.1@{upstream}
{clauses}"""


def recursor_with(lua: str, folder: Path, port: int, upstream: int) -> Server:
    """Give a PowerDNS Recursor with these policy zones."""
    (folder / "zones.lua").write_text(lua)
    (folder / "recursor.conf").write_text(f"""
lua-config-file={folder}/zones.lua
local-address=127.0.0.1
local-port={port}
socket-dir={folder}
dnssec=off
dont-query=
forward-zones-recurse=.=127.0.0.1:{upstream}
threads=1
hint-file=no
security-poll-suffix=
disable-syslog=yes
disable-packetcache=yes
daemon=no
write-pid=no
""")
    command = [program("pdns_recursor", folder), f"--config-dir={folder}"]
    return Server(command, folder / "recursor.out", lambda: dig(port, "127.0.0.1", "ready.test").status)


def kresd_with(lua: str, folder: Path, port: int, upstream: int) -> Server:
    """Give a Knot Resolver with these policies."""
    (folder / "kresd.conf").write_text(f"""
net.listen('127.0.0.1', {port})
cache.size = 10 * MB
trust_anchors.remove('.')
policy.special_names = {{}}      -- it blocks .test by itself
{lua}
policy.add(policy.all(policy.STUB('127.0.0.1@{upstream}')))
""")
    command = [program("kresd", folder), "-n", "-c", f"{folder}/kresd.conf", str(folder)]
    return Server(command, folder / "kresd.out", lambda: dig(port, "127.0.0.1", "ready.test").status)


def server_with(kind: str, folder: Path, port: int, zones: dict[str, str], upstream: int) -> Server:
    """Give a resolver that has zones by clauses of its own configuration."""
    lua = "\n".join(zones.values())
    match kind:
        case "bind":
            return named_with(named_conf(folder, port, zones, upstream), folder, port)
        case "unbound":
            return unbound_with(unbound_conf(folder, port, zones, upstream), folder, port)
        case "powerdns":
            return recursor_with(lua, folder, port, upstream)
        case _:
            return kresd_with(lua, folder, port, upstream)


@contextmanager
def resolver(kind: str, folder: Path, zones: dict[str, str]) -> Iterator[int]:
    """Start the resolver with these zones; give its port."""
    folder.chmod(0o777)
    port = free_port()
    with Upstream() as upstream, server_with(kind, folder, port, zones, upstream.port):
        yield port


def still_blocked(port: int, row: str) -> tuple[bool, bool]:
    return dig(port, "127.0.0.1", first(row)) == BLOCKED, dig(port, "127.0.0.1", last(row)) == BLOCKED


KINDS = ["bind", "unbound", "powerdns", "knot"]


@pytest.mark.parametrize("kind", KINDS[:3])
def test_one_bad_record_in_a_transfer(kind: str) -> None:
    """§5.1: BIND and PowerDNS lose the whole zone, Unbound what comes after it, each for other records."""
    column = 1 + KINDS.index(kind)
    with place() as folder, RawPrimary() as primary:
        source = {
            "bind": f"type secondary; primaries {{ 127.0.0.1 port {primary.port}; }};",
            "unbound": f"primary: 127.0.0.1@{primary.port}",
            "powerdns": f'rpzPrimary({{"127.0.0.1:{primary.port}"}}, "ZONE", {{refresh=60}})',
        }[kind]
        zones = {f"{row}.poison.test": source.replace("ZONE", f"{row}.poison.test") for row in TRANSFERS}
        with resolver(kind, folder, zones) as port:
            wanted = {row: told[column] for row, told in TRANSFERS.items()}
            wait_for(lambda: {row: still_blocked(port, row) for row in TRANSFERS} == wanted, 15, 0.5)
            assert {row: still_blocked(port, row) for row in TRANSFERS} == wanted


@pytest.mark.parametrize("kind", KINDS)
def test_one_bad_line_in_a_file(kind: str) -> None:
    """§5.2: BIND does not load the zone; an empty file blocks nothing, and says nothing."""
    column = 1 + KINDS.index(kind)
    wanted = {row: told[column] for row, told in FILES.items() if told[column] is not DEAD}
    with place() as folder, resolver(kind, folder, {f"{row}.poison.test": written(kind, folder, row) for row in wanted}
                                     ) as port:  # fmt: skip
        wait_for(lambda: {row: still_blocked(port, row) for row in wanted} == wanted, 8, 0.5)
        assert {row: still_blocked(port, row) for row in wanted} == wanted


@pytest.mark.parametrize("row", [row for row, told in FILES.items() if told[2] is DEAD])
def test_some_lines_keep_unbound_from_starting(row: str) -> None:
    """Nobody has DNS then: worse than a zone that is lost."""
    with place() as folder:
        zones = {f"{row}.poison.test": written("unbound", folder, row)}
        with pytest.raises(NotReady, match="auth_zones could not be setup"), resolver("unbound", folder, zones):
            pass


def written(kind: str, folder: Path, row: str) -> str:
    """Write a row's file; give the clause that loads it."""
    head = HEAD.replace("@ NS localhost.\n", "") if row == "no-ns" else HEAD
    whole = f"{head}{first(row)} CNAME .\n{FILES[row][0]}{last(row)} CNAME .\n".replace("ZONE", f"{row}.poison.test")
    path = folder / f"{row}.zone"
    path.write_text("" if row == "empty" else whole)
    return clause(kind, path)


def clause(kind: str, path: Path) -> str:
    """Say how a resolver loads a zone's file; its name is that of the zone's first label."""
    return {
        "bind": f'type primary; file "{path}";',
        "unbound": f'zonefile: "{path}"',
        "powerdns": f'rpzFile("{path}", {{policyName="{path.stem}"}})',
        "knot": f"policy.add(policy.rpz(policy.DENY, '{path}', false))",
    }[kind]
