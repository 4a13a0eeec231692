"""Real servers rotate their logs under the daemon: every query that was answered is counted."""

import json
import os
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dnslib

from tests.live.servers import Server, dig, free_port, named_with, place, program, wait_for
from tests.running import Running, until

NAMED = """
options {{ directory "{root}"; pid-file none; session-keyfile none; listen-on port {port} {{ 127.0.0.1; }};
  listen-on-v6 {{ none; }}; recursion no; allow-query {{ any; }}; }};
controls {{ }};
logging {{
  channel q {{ file "{root}/query.log" versions 12 size 20k; print-time iso8601-utc; print-category yes;
    print-severity yes; }};
  category queries {{ q; }};
}};
"""
DNSMASQ = """
port={port}
listen-address=127.0.0.1
bind-interfaces
no-resolv
no-hosts
pid-file=
user=root
log-queries=extra
log-facility={root}/query.log
address=/#/192.0.2.1
"""


@contextmanager
def watched(root: Path, kind: str) -> Iterator[Running]:
    """A daemon on the log of a server."""
    folder = root / "dnswatch"
    folder.mkdir()
    source = f"{{type: {kind}, path: {root}/query.log, timezone: UTC, drain: 3s, from: start}}"
    with Running(folder, "feeds: {mode: off}\n", sources=f"sources: [{source}]") as running:
        yield running


def ask(port: int, client: str, name: str) -> None:
    """Ask over UDP and wait for the answer."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.settimeout(30)
        udp.bind((client, 0))
        udp.sendto(dnslib.DNSRecord.question(name).pack(), ("127.0.0.1", port))
        udp.recv(4096)


def load(port: int, clients: range, pause_s: float = 0.0) -> set[str]:
    """Ask for a watched name once from each client, with other names in between."""
    asked = set()
    for number in clients:
        client = f"127.7.{number // 250}.{number % 250 + 1}"
        ask(port, client, "api.telegram.org")
        ask(port, client, f"www{number}.example.org")
        asked.add(client)
        time.sleep(pause_s)
    return asked


def test_bind_rotates_by_size_under_load() -> None:
    """``versions 12 size 20k``: some 10 rotations a second, kill -9 in between; each answered query counts once."""
    with place() as root:
        port = free_port()
        with named_with(NAMED.format(root=root, port=port), root, port), watched(root, "bind") as running:
            asked = load(port, range(400), 0.002)
            running.stop(signal.SIGKILL)
            asked |= load(port, range(400, 700))  # fewer than twelve files hold
            running.start()
            asked |= load(port, range(700, 1000), 0.002)
            until(lambda: {one["client_ip"] for one in running.alerts()} >= asked, 15)
            assert running.stop() == 0
            assert len(list(root.glob("query.log.*"))) == 12
            shown = json.loads(running.run("alerts", "list", "--json", "--limit", "5000").stdout)
            assert sorted((one["client_ip"], one["count"]) for one in shown) == sorted((one, 1) for one in asked)
            assert "lost" not in running.said()


class Stream:
    """A TCP connection to a name server, which dnsmasq serves by a child that keeps its log open."""

    def __init__(self, port: int, client: str) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), 30, (client, 0))

    def ask(self, name: str) -> None:
        """Ask and wait for the answer."""
        packet = dnslib.DNSRecord.question(name).pack()
        self._socket.sendall(len(packet).to_bytes(2) + packet)
        size = int.from_bytes(self._socket.recv(2, socket.MSG_WAITALL))
        assert len(self._socket.recv(size, socket.MSG_WAITALL)) == size

    def __enter__(self) -> "Stream":
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()


def test_dnsmasq_child_writes_into_the_renamed_log() -> None:
    """Renamed and SIGUSR2: a TCP child's late lines are read from the old file, also those written while killed."""
    with place() as root:
        port = free_port()
        config, log = root / "dnsmasq.conf", root / "query.log"
        config.write_text(DNSMASQ.format(root=root, port=port))
        command = [program("dnsmasq", root), "-k", "-C", str(config)]
        server = Server(command, root / "dnsmasq.out", lambda: dig(port, "127.0.0.1", "ready.test").status)
        with server, watched(root, "dnsmasq") as running, Stream(port, "127.7.0.1") as stream:

            def told(client: str, service: str) -> bool:
                return any((one["client_ip"], one["service"]) == (client, service) for one in running.alerts())

            stream.ask("api.telegram.org")
            until(lambda: told("127.7.0.1", "telegram-bot"))
            log.rename(root / "query.log.1")
            assert server.process is not None
            os.kill(server.process.pid, signal.SIGUSR2)
            assert wait_for(log.exists)
            ask(port, "127.7.0.2", "api.telegram.org")
            until(lambda: told("127.7.0.2", "telegram-bot"))
            stream.ask("hooks.slack.com")
            until(lambda: told("127.7.0.1", "slack-webhook"))
            assert b"hooks.slack.com" not in log.read_bytes(), "it went to the old file"
            running.stop(signal.SIGKILL)
            stream.ask("webhook.site")
            ask(port, "127.7.0.3", "api.telegram.org")
            assert b"webhook.site" not in log.read_bytes()
            running.start()
            until(lambda: told("127.7.0.1", "webhook-site"))
            until(lambda: told("127.7.0.3", "telegram-bot"))
            assert running.stop() == 0
            shown = json.loads(running.run("alerts", "list", "--json").stdout)
            assert {(one["client_ip"], one["service"], one["count"]) for one in shown} == {
                ("127.7.0.1", "telegram-bot", 1), ("127.7.0.1", "slack-webhook", 1), ("127.7.0.1", "webhook-site", 1),
                ("127.7.0.2", "telegram-bot", 1), ("127.7.0.3", "telegram-bot", 1),
            }  # fmt: skip
