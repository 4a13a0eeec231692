"""Resolvers that read the files: one that was not told of a new version is told of, until it has read it."""

from __future__ import annotations

import pwd
import re
import signal
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import dnslib
import pytest

from tests.live.servers import (
    Server,
    Upstream,
    daemon_user,
    dig,
    free_port,
    named_with,
    place,
    program,
    unbound_with,
    wait_for,
)
from tests.running import Running

PARENT = "rpz.dnswatch.internal"
ZONES = ("quarantine", "exempt", "any")


def dnsmasq(root: Path, files: Path, port: int, upstream: int) -> Server:
    command = [program("dnsmasq", root), "-k", "-C", "/dev/null", "-p", str(port), "--listen-address=127.0.0.1"]
    command += ["--bind-interfaces", "--no-resolv", f"--server=127.0.0.1#{upstream}", "--pid-file="]
    command += [f"--servers-file={files}/dnsmasq.servers", "-u"]
    command += [daemon_user("dnsmasq") or pwd.getpwuid(0).pw_name]
    return Server(command, root / "dnsmasq.out", lambda: dig(port, "127.0.0.1", "ready.test").status)


def bind(root: Path, files: Path, port: int, upstream: int) -> Server:
    zones = "".join(
        f'zone "{one}.{PARENT}" {{ type primary; file "{files}/{one}.{PARENT}.zone"; }};\n' for one in ZONES
    )
    policy = " ".join(f'zone "{one}.{PARENT}";' for one in ZONES)
    text = f"""options {{ directory "{root}"; pid-file none; session-keyfile none; lock-file none;
    listen-on-v6 {{ none; }};
    listen-on port {port} {{ 127.0.0.1; }}; dnssec-validation no; forward only;
    forwarders {{ 127.0.0.1 port {upstream}; }};
    response-policy {{ {policy} }} break-dnssec yes qname-wait-recurse no min-update-interval 0; }};
controls {{ }};
{zones}"""
    return named_with(text, root, port)


def unbound(root: Path, files: Path, port: int, upstream: int) -> Server:
    zones = "".join(f'rpz:\n name: "{one}.{PARENT}"\n zonefile: "{files}/{one}.{PARENT}.zone"\n' for one in ZONES)
    text = f"""server:
 interface: 127.0.0.1
 port: {port}
 directory: "{root}"
 chroot: ""
 username: ""
 pidfile: ""
 num-threads: 1
 do-not-query-localhost: no
 module-config: "respip validator iterator"
 local-zone: canary.dnswatch.invalid. transparent
forward-zone:
 name: "."
 forward-addr: 127.0.0.1@{upstream}
{zones}"""
    return unbound_with(text, root, port)


SERVERS = {"dnsmasq": dnsmasq, "bind": bind, "unbound": unbound}


class Denying(Upstream):
    """Denies names below ``.invalid``, as the root does."""

    def _reply(self, packet: bytes) -> bytes:
        request = dnslib.DNSRecord.parse(packet)
        if not str(request.q.qname).endswith(".invalid."):
            return super()._reply(packet)
        reply = request.reply()
        reply.header.rcode = dnslib.RCODE.NXDOMAIN
        soa = dnslib.SOA("a.root.test.", "hostmaster.root.test.", (1, 60, 60, 60, 30))
        reply.add_auth(dnslib.RR(".", dnslib.QTYPE.SOA, ttl=30, rdata=soa))
        return bytes(reply.pack())


def feeds(files: Path, port: int, kind: str, exclude: str = "") -> str:
    """Give dnswatch's configuration: no section `dns`, and nothing that reloads the resolver."""
    return (f"watch: {{exclude: [{exclude}]}}\n"
            f"feeds:\n  mode: enforce\n  directory: {files}\n  canary: {{every: 1s, grace: 2s}}\n"
            f"  resolvers: [{{name: r1, address: 127.0.0.1, port: {port}, type: {kind}}}]\n")  # fmt: skip


@pytest.mark.parametrize("kind", sorted(SERVERS))
def test_a_resolver_that_has_not_read_the_newest_files_is_told(kind: str) -> None:
    """By the serial that it lacks, until it has read them."""
    with ExitStack() as stack:
        root, upstream = stack.enter_context(place()), stack.enter_context(Denying())
        folder, files, port = root / "dnswatch", root / "files", free_port()
        folder.mkdir()
        running = Running(folder, feeds(files, port, kind))
        running.write("")
        stack.callback(lambda: print(running.said()))
        stack.enter_context(running)
        assert wait_for(lambda: (files / "quarantine.rpz.dnswatch.internal.zone").exists(), 20)
        server = stack.enter_context(SERVERS[kind](root, files, port, upstream.port))

        def told() -> list[dict[str, Any]]:
            return [one for one in running.alerts() if one["service"] == "feed-not-live"]

        def live() -> bool:
            row = running.status().get("consumer:r1", {})
            return len(row.get("copies", ())) == (1 if kind == "dnsmasq" else 3) and not row["missing"]

        assert wait_for(live, 20), running.status()
        assert wait_for(lambda: [one["state"] for one in told()][-1:] != ["open"], 20)  # it had to start first
        before = len(told())
        running.configure(feeds(files, port, kind, "webhook-site"))
        running.send(signal.SIGHUP)

        def behind() -> bool:
            newest = max(re.findall(r"has serial (\d+)", running.said()))
            text = rf"has another serial(, \d+)? instead of serial {newest}"
            return (
                told()[before:] != [] and told()[-1]["state"] == "open" and bool(re.search(text, told()[-1]["reason"]))
            )

        assert wait_for(behind, 30), told()
        assert server.process
        server.process.send_signal(signal.SIGHUP)
        assert wait_for(lambda: told()[-1]["state"] == "closed", 30), told()
        assert wait_for(live, 10)
