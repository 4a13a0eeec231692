"""Real senders: BIND and Unbound over dnstap, rsyslog and logger over syslog, systemd's own journal."""

import json
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.live.servers import (
    ADDRESS,
    Server,
    Upstream,
    daemon_user,
    dig,
    environment,
    free_port,
    named_with,
    place,
    program,
    unbound_with,
    wait_for,
)
from tests.running import Running, until

NAME = "api.telegram.org"
NAMED = """
options {{ directory "{root}"; pid-file none; session-keyfile none; listen-on port {port} {{ 127.0.0.1; }};
  listen-on-v6 {{ none; }}; recursion yes; allow-query {{ any; }}; allow-recursion {{ any; }}; dnssec-validation no;
  forward only; forwarders {{ 127.0.0.1 port {upstream}; }};
  dnstap {{ client; }}; dnstap-output {output}; dnstap-identity "ns1";
  response-policy {{ zone "any.rpz.dnswatch.internal"; }} break-dnssec yes qname-wait-recurse no; }};
zone "any.rpz.dnswatch.internal" {{ type primary; file "{root}/rpz.db"; allow-query {{ none; }}; }};
controls {{ }};
"""
LOADED = "loaded.test"  # nobody watches it: named may answer before it has its zones
RPZ = f"$TTL 60\n@ SOA localhost. r.localhost. 1 60 60 60 60\n@ NS localhost.\nwebhook.site CNAME .\n{LOADED} CNAME .\n"
UNBOUND = """
server:
  directory: "{root}"
  interface: 127.0.0.1
  port: {port}
  username: ""
  chroot: ""
  pidfile: ""
  use-syslog: no
  do-daemonize: no
  do-not-query-localhost: no
  access-control: 127.0.0.0/8 allow
  module-config: "iterator"
forward-zone:
  name: "."
  forward-addr: 127.0.0.1@{upstream}
dnstap:
  dnstap-enable: yes
  dnstap-bidirectional: {bidirectional}
  {where}
  dnstap-identity: "ns2"
  dnstap-log-client-query-messages: yes
  dnstap-log-client-response-messages: yes
  dnstap-log-resolver-query-messages: yes
remote-control:
  control-enable: no
"""


@contextmanager
def watched(root: Path, source: str) -> Iterator[Running]:
    """A daemon with one way in, in a folder of its own."""
    folder = root / "dnswatch"
    folder.mkdir()
    with Running(folder, "feeds: {mode: enforce}\n", sources=f"sources: [{{{source}}}]") as running:
        yield running


def first_alerts(running: Running, count: int) -> list[dict[str, Any]]:
    """Wait for so many alerts; give their first revisions by client."""

    def opened() -> list[dict[str, Any]]:  # a file is written at least once: after kill -9 perhaps twice
        return list({one["id"]: one for one in running.alerts() if one["rev"] == 1}.values())

    assert wait_for(lambda: len(opened()) >= count, 20), running.said()
    return sorted(opened(), key=lambda one: str(one["client_ip"]))


def shown(running: Running, alert: dict[str, Any]) -> dict[str, Any]:
    """The alert as it stands in the store."""
    return dict(json.loads(running.run("alerts", "show", alert["id"], "--json").stdout))


def named(root: Path, upstream: Upstream, output: str) -> tuple[Server, int]:
    port = free_port()
    (root / "rpz.db").write_text(RPZ)
    return named_with(NAMED.format(root=root, port=port, upstream=upstream.port, output=output), root, port), port


def test_bind_over_dnstap(tmp_path: Path) -> None:
    """Query and answer are one attempt with its addresses; what a zone of ours blocked is known by the zone's SOA."""
    with ExitStack() as stack:
        root, upstream = stack.enter_context(place()), stack.enter_context(Upstream())
        door = root / "tap"
        door.mkdir()
        if user := daemon_user("bind"):  # as docs/sources.md says: setgid, so that the socket gets the server's group
            shutil.chown(door, group=user)
            door.chmod(0o2755)
        running = stack.enter_context(watched(tmp_path, f'type: dnstap, listen: "unix://{door}/sock"'))
        server, port = named(root, upstream, f'unix "{door}/sock"')
        stack.enter_context(server)
        assert wait_for(lambda: dig(port, "127.0.0.10", LOADED).status == "NXDOMAIN")
        assert dig(port, "127.0.0.11", NAME).records == (ADDRESS,)
        assert dig(port, "127.0.0.12", NAME, "A", "+tcp").records == (ADDRESS,)
        assert dig(port, "127.0.0.13", "webhook.site").status == "NXDOMAIN"
        alerts = first_alerts(running, 3)
        assert [(one["client_ip"], one["qname"], one["count"]) for one in alerts] == [
            ("127.0.0.11", NAME, 1), ("127.0.0.12", NAME, 1), ("127.0.0.13", "webhook.site", 1)]  # fmt: skip
        until(lambda: shown(running, alerts[0])["answers"] == [ADDRESS])
        until(lambda: shown(running, alerts[2])["outcome"] == "blocked")
        row = lambda: running.status().get(f"source:unix://{door}/sock", {})  # noqa: E731
        assert wait_for(lambda: row().get("connections") == 1), row()
        assert (row()["samples_bad"], row()["lost"]) == (0, {})


@pytest.mark.parametrize("way", ["unix", "tcp", "one-way"])
def test_unbound_over_dnstap(way: str, tmp_path: Path) -> None:
    """Over a unix socket and TCP, with the handshake and without; what it asks upstream is nobody's lookup."""
    with ExitStack() as stack:
        root, upstream = stack.enter_context(place()), stack.enter_context(Upstream())
        tap = free_port()
        listen = f"tcp://127.0.0.1:{tap}" if way == "tcp" else f"unix://{root}/sock"
        running = stack.enter_context(watched(tmp_path, f'type: dnstap, listen: "{listen}"'))
        where = (f"dnstap-ip: 127.0.0.1@{tap}\n  dnstap-tls: no" if way == "tcp"
                 else f'dnstap-socket-path: "{root}/sock"')  # fmt: skip
        port = free_port()
        text = UNBOUND.format(root=root, port=port, upstream=upstream.port, where=where,
                              bidirectional="no" if way == "one-way" else "yes")  # fmt: skip
        server = unbound_with(text, root, port)
        stack.enter_context(server)
        for last in (21, 22):
            assert dig(port, f"127.0.0.{last}", NAME).records == (ADDRESS,)
        alerts = first_alerts(running, 2)
        assert [(one["client_ip"], one["count"]) for one in alerts] == [("127.0.0.21", 1), ("127.0.0.22", 1)]
        until(lambda: shown(running, alerts[0])["answers"] == [ADDRESS])
        server.stop()
        name = f"source:{listen}"
        until(lambda: running.status()[name]["connections"] == 0)


def test_a_tap_file_of_bind(tmp_path: Path) -> None:
    """The file that BIND writes is followed while it grows, and scanned afterwards, with the same alerts."""
    with ExitStack() as stack:
        root, upstream = stack.enter_context(place()), stack.enter_context(Upstream())
        server, port = named(root, upstream, f'file "{root}/named.tap"')
        running = stack.enter_context(watched(tmp_path, f"type: dnstap, path: {root}/named.tap"))
        with server:
            for last in (31, 32):
                assert dig(port, f"127.0.0.{last}", NAME).records == (ADDRESS,)
        live = first_alerts(running, 2)
        done = running.run("scan", str(root / "named.tap"), "--format", "json")
        assert done.returncode == 0, done.stderr
        scanned = [one for one in map(json.loads, done.stdout.splitlines()) if one["rev"] == 1]
        assert sorted(one["id"] for one in scanned) == sorted(one["id"] for one in live)


# ── Syslog ────────────────────────────────────────────────────────────────────────────────────────────────────────


def rsyslog(root: Path, action: str) -> Server:
    """An rsyslogd that reads a local socket and forwards everything."""
    config, device, pid = root / "rsyslog.conf", root / "log", root / "rsyslogd.pid"
    config.write_text(
        f'global(workDirectory="{root}" maxMessageSize="16k")\n'
        'module(load="imuxsock" SysSock.Use="off")\n'
        f'input(type="imuxsock" Socket="{device}" RateLimit.Interval="0")\n'
        f"*.* {action}\n"
    )
    command = [program("rsyslogd", root), "-n", "-f", str(config), "-i", str(pid)]
    return Server(command, root / "rsyslog.out", lambda: device.is_socket() and pid.exists())


def bind_message(client: str) -> str:
    """What BIND hands to syslog."""
    return f"client @0x7f1c3c001234 {client}#41234 ({NAME}): query: {NAME} IN A +E(0)K (10.0.0.53)"


def log(root: Path, tag: str, message: str) -> None:
    """Log through the local socket, as a resolver does."""
    subprocess.run(["logger", "-u", str(root / "log"), "-t", tag, "-i", "--", message], check=True, timeout=60)


FORWARDS: dict[str, tuple[str, str]] = {
    "udp 3164": ("udp", 'action(type="omfwd" target="127.0.0.1" port="{port}" protocol="udp")'),
    "tcp lines": ("tcp", 'action(type="omfwd" target="127.0.0.1" port="{port}" protocol="tcp")'),
    "tcp counted": ("tcp", 'action(type="omfwd" target="127.0.0.1" port="{port}" protocol="tcp" '
                           'TCP_Framing="octet-counted" template="RSYSLOG_SyslogProtocol23Format")'),
}  # fmt: skip


@pytest.mark.parametrize("form", FORWARDS)
def test_rsyslog_forwards(form: str, tmp_path: Path) -> None:
    """Lines of BIND and of dnsmasq that rsyslog forwards, in each form of header and framing."""
    scheme, action = FORWARDS[form]
    for kind, tag, line in (
        ("bind", "named", bind_message),
        ("dnsmasq", "dnsmasq", lambda client: f"7 {client}/4711 query[A] {NAME} from {client}"),
    ):
        with ExitStack() as stack:
            root, port = stack.enter_context(place()), free_port()
            folder = tmp_path / kind
            folder.mkdir()
            source = f'type: {kind}, timezone: UTC, listen: "{scheme}://127.0.0.1:{port}"'
            running = stack.enter_context(watched(folder, source))
            stack.enter_context(rsyslog(root, action.format(port=port)))
            log(root, tag, line("10.0.0.41"))
            log(root, "cron", line("10.0.0.42"))  # another program's text is not the resolver's
            log(root, tag, line("10.0.0.43"))
            found = [one["client_ip"] for one in first_alerts(running, 2)]
            assert found == ["10.0.0.41", "10.0.0.43"], form


def test_routers_and_logger(tmp_path: Path) -> None:
    """`logger` in both header forms over UDP, and the datagram of OpenWrt's logd: no host, no zone."""
    port = free_port()
    with watched(tmp_path, f'type: dnsmasq, timezone: UTC, listen: "udp://127.0.0.1:{port}"') as running:
        for number, form in ((51, "--rfc3164"), (52, "--rfc5424")):
            client = f"10.0.0.{number}"
            command = ["logger", "-n", "127.0.0.1", "-P", str(port), "-d", form, "-t", "dnsmasq", "--id=1551", "--"]
            subprocess.run([*command, f"query[A] {NAME} from {client}"], check=True, timeout=60, env=environment())
        stamp = datetime.now(UTC).strftime("%b %e %H:%M:%S")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.sendto(f"<30>{stamp} dnsmasq[1551]: query[A] {NAME} from 10.0.0.53".encode(), ("127.0.0.1", port))
        assert [one["client_ip"] for one in first_alerts(running, 3)] == ["10.0.0.51", "10.0.0.52", "10.0.0.53"]


# ── The journal ───────────────────────────────────────────────────────────────────────────────────────────────────

JOURNALD = Path("/lib/systemd/systemd-journald")
NAMESPACE = "dnswatch-test"


@contextmanager
def journal() -> Iterator[Path]:
    """A systemd-journald of its own namespace, in the foreground; gives the socket that programs log to."""
    if os.geteuid() != 0 or not JOURNALD.exists():
        pytest.skip("needs root and systemd-journald")
    device = Path(f"/run/systemd/journal.{NAMESPACE}/dev-log")
    machine = Path("/etc/machine-id").read_text().strip()
    process = subprocess.Popen([JOURNALD, NAMESPACE], stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        if not wait_for(lambda: process.poll() is not None or device.is_socket(), 10) or process.poll() is not None:
            pytest.skip("systemd-journald does not run here")
        yield device
    finally:
        process.terminate()
        process.wait(60)
        for folder in (
            device.parent,
            *(Path(base) / f"{machine}.{NAMESPACE}" for base in ("/run/log/journal", "/var/log/journal")),
        ):
            shutil.rmtree(folder, ignore_errors=True)


def test_systemds_journal(tmp_path: Path) -> None:
    """Lines that a real journald keeps: followed, gone on with after kill -9, each once."""
    with journal() as device:

        def write(client: str) -> None:
            subprocess.run(
                ["logger", "-u", str(device), "-t", "named", "-i", "--", bind_message(client)], check=True, timeout=60
            )

        def kept() -> str:
            command = ["journalctl", f"--namespace={NAMESPACE}", "--no-pager", "-o", "cat", "-t", "named"]
            return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False).stdout

        write("10.0.0.60")
        assert wait_for(lambda: "10.0.0.60" in kept()), "journald has not kept it"
        source = f"type: bind, journald: {{identifier: named, namespace: {NAMESPACE}}}"
        with watched(tmp_path, source) as running:
            write("10.0.0.61")
            first_alerts(running, 1)
            running.stop(9)
            write("10.0.0.62")
            running.start()
            write("10.0.0.63")
            found = [(one["client_ip"], one["count"]) for one in first_alerts(running, 3)]
            assert found == [("10.0.0.61", 1), ("10.0.0.62", 1), ("10.0.0.63", 1)]
            row = json.loads(running.run("status", "--json").stdout)["rows"][
                f"source:journald:identifier=named,namespace={NAMESPACE}"
            ]
            assert (row["lost"], row["samples_bad"]) == ({}, 0)
