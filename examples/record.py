#!/usr/bin/env python3
"""Record the demonstration's logs from a real named and a real dnsmasq: `sudo python examples/record.py`.

The two servers run in a network namespace of their own, where the clients' addresses are on the loopback interface;
a stub answers every name 192.0.2.1, so no packet leaves the host. `dnswatch demo` replays what this writes:
`bind/recorded/query.log`, `dnsmasq/recorded/dnsmasq.log`. Needs root, iproute2, util-linux, named, dnsmasq, dnslib.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from dnslib import QTYPE, RR, A, DNSHeader, DNSQuestion, DNSRecord

HERE = Path(__file__).resolve().parent
ORDINARY = ["www", "mail", "updates", "git", "wiki", "ntp", "proxy", "registry", "calendar", "static", "login", "files"]
BUILD, SERVER, STEALER, CHATTER, OFFICE = "10.0.20.11", "10.0.10.7", "10.1.4.23", "10.1.4.31", "10.1.4.40"
PRINTER, TILL, NOTEBOOK = "10.3.0.9", "10.2.0.15", "10.2.0.22"
STUB_PORT, BIND_PORT, DNSMASQ_PORT = 5311, 5353, 5354
SECONDS = 14.0

# (second, port, client, name, query types): the story that the demonstration tells.
STORY: list[tuple[float, int, str, str, str]] = [
    (1.5, BIND_PORT, BUILD, "hooks.slack.com", "A AAAA"),  # expected: deploy notifications
    (2.2, BIND_PORT, CHATTER, "updates.discord.com", "HTTPS A AAAA"),  # a person's Discord: the app's other names
    (2.3, BIND_PORT, CHATTER, "discord.com", "HTTPS A AAAA"),
    (2.5, BIND_PORT, CHATTER, "gateway.discord.gg", "HTTPS A AAAA"),
    (2.8, BIND_PORT, CHATTER, "latency.discord.media", "HTTPS A AAAA"),
    (3.4, DNSMASQ_PORT, PRINTER, "hooks.slack.com", "A"),  # a printer has no business there
    (5.0, BIND_PORT, STEALER, "checkip.dyndns.org", "A"),  # the sequence of a stealer: who am I, where, report
    (5.6, BIND_PORT, STEALER, "reallyfreegeoip.org", "A"),
    (6.6, BIND_PORT, STEALER, "api.telegram.org", "A"),
    (7.5, BIND_PORT, BUILD, "hooks.slack.com", "A AAAA"),
    (8.4, BIND_PORT, SERVER, "webhook.site", "A AAAA"),  # a database server posts to a request bin
    (9.5, DNSMASQ_PORT, NOTEBOOK, "api.telegram.org", "A AAAA"),
    (11.0, BIND_PORT, BUILD, "hooks.slack.com", "A AAAA"),
]


def story() -> list[tuple[float, int, str, str, str]]:
    """Mix the story with ordinary names, evenly spread."""
    ordinary = []
    for i in range(96):
        port, clients = (
            (BIND_PORT, [BUILD, SERVER, STEALER, CHATTER, OFFICE])
            if i % 2
            else (DNSMASQ_PORT, [PRINTER, TILL, NOTEBOOK])
        )
        name = f"{ORDINARY[i * 7 % len(ORDINARY)]}.example.test"
        ordinary.append((0.2 + i * SECONDS / 100, port, clients[i // 2 % len(clients)], name, "A"))
    return sorted(ordinary + STORY)


def answer_everything(port: int) -> None:
    """Serve 192.0.2.1 for every A query, an empty answer for every other type."""
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind(("127.0.0.1", port))
    while True:
        data, peer = server.recvfrom(4096)
        query = DNSRecord.parse(data)
        reply = DNSRecord(DNSHeader(id=query.header.id, qr=1, aa=1, ra=1, rd=query.header.rd), q=query.q)
        if query.q.qtype == QTYPE.A:
            reply.add_answer(RR(query.q.qname, QTYPE.A, rdata=A("192.0.2.1"), ttl=60))
        server.sendto(reply.pack(), peer)


def ask(client: str, port: int, name: str, qtype: str) -> None:
    """Send one query from the client's own address and wait for its answer."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind((client, 0))
        sock.settimeout(5)
        question = DNSQuestion(name, getattr(QTYPE, qtype))
        sock.sendto(DNSRecord(DNSHeader(rd=1), q=question).pack(), ("127.0.0.1", port))
        sock.recvfrom(4096)


GROUPS = {"build": "10.0.20.0/24", "servers": "10.0.10.0/24", "staff": "10.1.0.0/16", "any": "any"}
SHADOWED = ["api.telegram.org", "hooks.slack.com", "webhook.site", "*.webhook.site"]


def named(folder: Path) -> list[str]:
    """Write a BIND as `consumer-config bind` sets it up: one view and one shadow zone per group."""
    views = ""
    for group, network in GROUPS.items():
        zone = f"{group}.rpz.dnswatch.internal"
        names = [name for name in SHADOWED if (group, name) != ("build", "hooks.slack.com")]
        (folder / f"{zone}.zone").write_text(
            "$TTL 60\n@ SOA localhost. hostmaster.localhost. 1 60 60 600 60\n@ NS localhost.\n"
            + "".join(f"{name} CNAME rpz-passthru.\n" for name in names)
        )
        views += (
            f'view {group} {{ match-clients {{ {network}; }}; response-policy {{ zone "{zone}"; }} '
            f'qname-wait-recurse no; zone "{zone}" {{ type primary; file "{folder}/{zone}.zone"; }}; }};\n'
        )
    (folder / "named.conf").write_text(f"""\
options {{ directory "{folder}"; pid-file none; listen-on port {BIND_PORT} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }};
  forwarders {{ 127.0.0.1 port {STUB_PORT}; }}; forward only; dnssec-validation no; allow-query {{ any; }};
  recursion yes; allow-recursion {{ any; }}; empty-zones-enable no; }};
logging {{
  channel dnswatch {{ file "{folder}/query.log"; severity info; print-time iso8601-utc; print-category yes;
    print-severity yes; }};
  category queries {{ dnswatch; }}; category rpz {{ dnswatch; }}; category rpz-passthru {{ dnswatch; }};
  category default {{ null; }};
}};
controls {{ }};
{views}""")
    return ["named", "-f", "-n", "1", "-c", str(folder / "named.conf")]


def dnsmasq(folder: Path) -> list[str]:
    (folder / "dnsmasq.conf").write_text(
        f"port={DNSMASQ_PORT}\nlisten-address=127.0.0.1\nbind-interfaces\nno-resolv\nno-hosts\nuser=root\ncache-size=0\n"
        f"server=127.0.0.1#{STUB_PORT}\nlog-queries=extra\nlog-facility={folder}/dnsmasq.log\npid-file=\n"
    )
    return ["dnsmasq", "-k", "-C", str(folder / "dnsmasq.conf")]


def record(folder: Path) -> None:
    """Play the story against the two servers (inside the namespace)."""
    for command in ["ip link set lo up"] + [
        f"ip addr add {a}/32 dev lo" for a in (BUILD, SERVER, STEALER, CHATTER, OFFICE, PRINTER, TILL, NOTEBOOK)
    ]:
        subprocess.run(command.split(), check=True)
    threading.Thread(target=answer_everything, args=(STUB_PORT,), daemon=True).start()
    servers = [
        subprocess.Popen(command, env={**os.environ, "TZ": "UTC"}) for command in (named(folder), dnsmasq(folder))
    ]
    try:
        time.sleep(2)
        begin = time.monotonic()
        for second, port, client, name, types in story():
            time.sleep(max(0.0, begin + second - time.monotonic()))
            for qtype in types.split():
                ask(client, port, name, qtype)
        time.sleep(0.5)
    finally:
        for server in servers:
            server.terminate()
            server.wait(10)


def main() -> None:
    if len(sys.argv) == 2:
        record(Path(sys.argv[1]))
        return
    if os.geteuid() != 0:
        sys.exit("record.py needs root: it makes a network namespace of its own (unshare --net)")
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["unshare", "--net", sys.executable, __file__, folder], check=True)
        for name, target in (("query.log", "bind"), ("dnsmasq.log", "dnsmasq")):
            (HERE / target / "recorded").mkdir(parents=True, exist_ok=True)
            shutil.copyfile(Path(folder) / name, HERE / target / "recorded" / name)


if __name__ == "__main__":
    main()
