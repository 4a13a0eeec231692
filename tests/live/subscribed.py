"""A resolver that runs on exactly what `consumer-config` prints, with dnswatch beside it: for the live tests.

Two things of the output are changed: paths below /etc, /var and /run get a directory as prefix (``servers.PREFIXED``),
and timers where a test says so. What is the operator's stands in files of its own: BIND's named.conf.options and a file
of unbound.conf.d name a forwarder and ports. Debian's own files of the package are there too.
"""

from __future__ import annotations

import base64
import os
import pwd
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dnslib

from tests.live.servers import (
    ADDRESS,
    PREFIXED,
    Answer,
    Server,
    Upstream,
    applies,
    daemon_user,
    dig,
    free_port,
    place,
    program,
    wait_for,
)
from tests.running import Running

BLOCKED, PASSED = Answer("NXDOMAIN", ()), Answer("NOERROR", (ADDRESS,))
PARENT = "rpz.dnswatch.internal"
GROUPS = {
    "staff": ["127.1.0.0/16"],
    "servers": ["127.1.10.0/24", "127.2.0.0/16"],  # the first lies in staff
    "build": ["127.1.10.128/25", "::1/128"],  # the first lies in servers
}
KEYS = ("k-staff", "k-servers", "k-build", "k-any")
SLACK, TELEGRAM, BIN, OTHER = "hooks.slack.com", "api.telegram.org", "webhook.site", "www.example.net"
EXPECT = [("group:build", "slack-webhook"), ("group:servers", "telegram-bot"), ("127.1.0.7", "webhook-site")]
QUARANTINED = "127.1.10.200"  # one of build
VIEWS = {"127.1.2.3": "staff", "127.2.0.9": "servers", "::1": "build", "127.0.0.1": "any"}
"""One client of each."""
READERS = ("dnsdist", "knot")
"""They fetch nothing and look at the files: feeds.resolvers names them."""
INSTALL = re.compile(r"(?://|#|--) install: (/\S+)\n")
_FILE = re.compile(r"^(?://|#|--) file: \S+\n", re.MULTILINE)


class SignedUpstream(Upstream):
    """Signs its answers for who asks with DO=1: resolvers treat rewriting a signed answer differently."""

    def _reply(self, packet: bytes) -> bytes:
        reply = dnslib.DNSRecord.parse(super()._reply(packet))
        request = dnslib.DNSRecord.parse(packet)
        wants = any(one.rtype == dnslib.QTYPE.OPT and one.edns_do for one in request.ar)
        if wants and reply.rr:
            name = str(request.q.qname)
            labels = len([label for label in name.split(".") if label])
            sig = dnslib.RRSIG(dnslib.QTYPE.A, 13, labels, 30, 4102444800, 1577836800, 1, "example.net", b"s" * 64)
            reply.add_answer(dnslib.RR(name, dnslib.QTYPE.RRSIG, ttl=30, rdata=sig))
            reply.add_ar(dnslib.EDNS0(flags="do", udp_len=1232))
        return bytes(reply.pack())


@dataclass
class World:
    """dnswatch, and a resolver that gets its zones."""

    kind: str
    running: Running
    root: Path
    upstream: Upstream
    dns: int = field(default_factory=free_port)
    tls: int = field(default_factory=free_port)
    resolver: int = field(default_factory=free_port)
    has_tls: bool = False
    replaced: Mapping[str, str] = field(default_factory=dict)  # in the resolver's files, beside the prefix
    grace_s: int = 120
    mode: str = "enforce"

    # ── dnswatch ──────────────────────────────────────────────────────────────────────────────────────────────

    def configure(self, *, mode: str = "", exclude: str = "", secrets: str = "s", also: str = "") -> None:
        """Write dnswatch's configuration and keys."""
        for name in KEYS:
            (self.root / name).write_text(base64.b64encode((name + secrets).encode() * 4).decode())
        groups = ", ".join(f'{name}: {{networks: ["{chr(34).join(nets).replace(chr(34), chr(34) + ", " + chr(34))}"]}}'
                           for name, nets in GROUPS.items())  # fmt: skip
        known = [*EXPECT, (also, "slack-webhook")] if also else EXPECT
        expect = ", ".join(f'{{who: ["{who}"], services: [{service}], because: test}}' for who, service in known)
        keys = ", ".join(f'{name}: {{secret: "file:{self.root}/{name}"}}' for name in KEYS)
        views = ", ".join(f"{name}: k-{name}" for name in (*GROUPS, "any"))
        kind = "other" if self.kind == "dnsmasq" else self.kind  # it fetches nothing
        consumer = f"name: ns1, address: 127.0.0.1, port: {self.resolver}, type: {kind}"
        canary = f"canary: {{every: 1s, grace: {self.grace_s}s}}"
        readers, is_reader = "", self.kind in READERS
        if is_reader:
            ours = ", ".join(one for one in [*VIEWS, "127.1.10.130"] if ":" not in one)
            readers = f"  resolvers: [{{{consumer}, ask_from: [{ours}]}}]\n  {canary}\n"
        consumer += {"bind": f", views: {{{views}}}", "powerdns": ", key: k-any"}.get(self.kind, "")
        tls = (f'  tls: {{listen: "127.0.0.1:{self.tls}", cert: {self.root}/cert.pem, key: {self.root}/key.pem, '
               f"name: feed.test, ca: {self.root}/cert.pem}}\n") if self.has_tls else ""  # fmt: skip
        cut_off = f"quarantine: {{clients: [{{who: [{QUARANTINED}], because: test}}]}}"
        self.running.configure(
            f"clients: {{groups: {{{groups}}}}}\nexpect: [{expect}]\nwatch: {{exclude: [{exclude}]}}\n"
            f"feeds:\n  mode: {mode or self.mode}\n  {cut_off}\n  directory: {self.root}/feeds\n{readers}"
            f"dns:\n  listen: 127.0.0.1:{self.dns}\n{tls}  keys: {{{keys}}}\n"
            f"  {canary}\n  consumers: [{'' if is_reader else '{' + consumer + '}'}]\n"
        )

    def reload(self, zone: str = "any", **changes: str) -> int:
        """Change the zones; give the new serial of the zone ``any``, or of another one, once it is published."""
        self.configure(**changes)
        before = len(self.running.said())
        self.running.send(signal.SIGHUP)
        pattern = rf"{zone}\.{re.escape(PARENT)} has serial (\d+)"
        assert wait_for(lambda: re.search(pattern, self.running.said()[before:]), 20), self.running.said()
        found = re.search(pattern, self.running.said()[before:])
        assert found
        return int(found[1])

    def status(self) -> dict[str, Any]:
        """Give what dnswatch knows of the consumer, at most 2 s old."""
        return self.running.status()["consumer:ns1"]

    def whole(self) -> bool:
        """Say whether dnswatch has asked for every copy of every zone, and all were live."""
        row = self.running.status().get("consumer:ns1", {})  # none before the first second is over
        return bool(row.get("copies")) and not row["missing"]

    def blind_spots(self) -> list[dict[str, Any]]:
        """Give the alerts on feeds that are not live, every revision, oldest first."""
        return [one for one in self.running.alerts() if one["service"] == "feed-not-live"]

    def outcomes(self, client: str, service: str) -> list[str]:
        """Give the outcomes of a client's alert on a service, revision by revision."""
        return [one["outcome"] for one in self.running.alerts()
                if (one["client_ip"], one["service"]) == (client, service)]  # fmt: skip

    # ── The resolver ──────────────────────────────────────────────────────────────────────────────────────────

    def path(self, shipped: str) -> Path:
        """Give our path for one of the resolver's host."""
        return self.root / shipped.lstrip("/")

    def install(self) -> None:
        """Put what `consumer-config` prints in its place, and the files of Debian and of the operator beside it."""
        done = self.running.run("consumer-config", self.kind)
        assert done.returncode == 0, done.stderr
        for old in self.replaced:
            assert old in done.stdout
        for text in _FILE.split(done.stdout)[1:]:
            target = INSTALL.match(text)
            assert target, text[:100]
            for old, new in self.replaced.items():
                text = text.replace(old, new)
            self.write(target[1], text)
        _OPERATOR[self.kind](self)

    def write(self, shipped: str, text: str) -> None:
        """Write a file of the resolver's host."""
        path = self.path(shipped)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(PREFIXED.sub(f"{self.root}/", text))

    def server(self) -> Server:
        """Give the resolver, not started; ready when it answers."""
        return _SERVERS[self.kind](self)

    def ask(self, client: str, name: str, *options: str) -> Answer:
        """Ask the resolver for an address; signatures are left out of the answer."""
        found = dig(self.resolver, client, name, "A", *options)
        return Answer(found.status, tuple(one for one in found.records if one[0].isdigit() and " " not in one))

    def is_live(self, serial: int, audience: str = "any", client: str = "127.0.0.1") -> bool:
        """Say whether a client is answered from this version of its audience's zone."""
        return applies(self.resolver, client, f"{serial}.{audience}")

    def loaded(self) -> bool:
        """Say whether every client is answered from every zone that is for it.

        A resolver may answer before it has them, also those that it reads from its disk, and they come in any order.
        Canaries tell, so that no cache holds a name that a test asks for.
        """
        return all(applies(self.resolver, client, audience) for client, own in VIEWS.items()
                   for audience in ("quarantine", "exempt", own))  # fmt: skip


@contextmanager
def world(kind: str, program: type[Running] = Running, **settings: Any) -> Iterator[World]:
    """Start dnswatch with a consumer of this type, and install the consumer's files."""
    with ExitStack() as stack:
        root = stack.enter_context(place())
        upstream = stack.enter_context(SignedUpstream())
        folder = root / "dnswatch"
        folder.mkdir()
        folder.chmod(0o777)  # the resolver logs there as its own user: dnswatch reads what it says
        sources = f"sources: [{{type: {kind}, path: {folder}/query.log, timezone: UTC}}]"
        if kind in READERS:  # their logs name no client
            sources = f'sources: [{{type: dnstap, listen: "unix://{folder}/tap"}}]'
        made = World(kind, program(folder, sources=sources), root, upstream, **settings)
        if made.has_tls:
            _certificate(root)
        made.configure()
        made.running.write("")
        made.running.log.chmod(0o666)
        try:
            stack.enter_context(made.running)
            ready = f"feeds: any.{PARENT} has serial"
            assert wait_for(lambda: ready in made.running.said(), 20), made.running.said()
            made.install()
            yield made
        finally:
            print(made.running.said())
            for said in root.glob("*.out"):
                print(said.read_text(errors="replace")[-6000:])


@contextmanager
def resolver(made: World) -> Iterator[Server]:
    """Run the resolver until the end of the test."""
    with made.server() as server:
        yield server


def _certificate(root: Path) -> None:
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
               "-keyout", f"{root}/key.pem", "-out", f"{root}/cert.pem", "-days", "2", "-subj", "/CN=feed.test",
               "-addext", "subjectAltName=DNS:feed.test"]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True)


# ── BIND ──────────────────────────────────────────────────────────────────────────────────────────────────────


def _bind_operator(made: World) -> None:
    for shipped in Path("/etc/bind").glob("*"):
        if shipped.name.startswith("db.") or shipped.name in ("named.conf.default-zones", "named.conf.local"):
            made.write(str(shipped), shipped.read_text())
    made.write("/etc/bind/named.conf.options", f"""
options {{
    directory "/var/cache/bind";
    pid-file none; session-keyfile none; lock-file none;
    listen-on port {made.resolver} {{ 127.0.0.1; }};
    listen-on-v6 port {made.resolver} {{ ::1; }};
    dnssec-validation no; forward only; forwarders {{ 127.0.0.1 port {made.upstream.port}; }};
}};
controls {{ }};
""")  # fmt: skip


def _bind(made: World) -> Server:
    folders = [made.path(folder) for folder in ("/etc/bind", "/var/cache/bind")]
    user = daemon_user("bind")
    for folder in folders:
        folder.mkdir(parents=True, exist_ok=True)
        if user:
            for path in (folder, *folder.iterdir()):
                shutil.chown(path, user)
    command = [program("named", made.root), "-f", "-n", "1", "-c", str(made.path("/etc/bind/named.conf"))]
    command += ["-u", user] if user else []
    return Server(command, made.root / "named.out", lambda: made.ask("127.0.0.1", "localhost").status)


# ── Unbound ───────────────────────────────────────────────────────────────────────────────────────────────────


def _unbound_operator(made: World) -> None:
    made.write("/etc/unbound/unbound.conf", 'include-toplevel: "/etc/unbound/unbound.conf.d/*.conf"\n')
    made.write("/etc/unbound/unbound.conf.d/upstream.conf", f"""
server:
    directory: "/etc/unbound"
    username: ""
    pidfile: ""
    num-threads: 1
    do-not-query-localhost: no
forward-zone:
    name: "."
    forward-addr: 127.0.0.1@{made.upstream.port}
""")  # fmt: skip


def _unbound(made: World) -> Server:
    made.path("/var/lib/unbound").mkdir(parents=True, exist_ok=True)
    command = [program("unbound", made.root), "-d", "-p", "-c", str(made.path("/etc/unbound/unbound.conf"))]
    return Server(command, made.root / "unbound.out", lambda: made.ask("127.0.0.1", "localhost").status)


# ── PowerDNS Recursor ─────────────────────────────────────────────────────────────────────────────────────────


def _powerdns_operator(made: World) -> None:
    made.write("/etc/powerdns/recursor.conf", Path("/etc/powerdns/recursor.conf").read_text())
    made.write("/etc/powerdns/recursor.d/upstream.conf", f"""
local-address=127.0.0.1, ::1
local-port={made.resolver}
socket-dir={made.root}
dnssec=off
threads=1
forward-zones-recurse=.=127.0.0.1:{made.upstream.port}
""")  # fmt: skip


def _powerdns(made: World) -> Server:
    made.path("/var/lib/pdns-recursor").mkdir(parents=True, exist_ok=True)
    command = [program("pdns_recursor", made.root), f"--config-dir={made.path('/etc/powerdns')}", "--daemon=no",
               "--write-pid=no", "--disable-syslog"]  # fmt: skip
    return Server(command, made.running.log, lambda: made.ask("127.0.0.1", "localhost").status)


# ── dnsmasq ───────────────────────────────────────────────────────────────────────────────────────────────────


def _dnsmasq_operator(made: World) -> None:
    made.write("/etc/dnsmasq.d/upstream.conf", f"""
listen-address=127.0.0.1,::1
bind-interfaces
port={made.resolver}
no-resolv
server=127.0.0.1#{made.upstream.port}
pid-file=/run/dnsmasq/dnsmasq.pid
""")  # fmt: skip


def _dnsmasq(made: World) -> Server:
    made.path("/run/dnsmasq").mkdir(parents=True, exist_ok=True)
    command = [program("dnsmasq", made.root), "-k", "-C", "/dev/null", "-7", str(made.path("/etc/dnsmasq.d"))]
    command += ["-u", daemon_user("dnsmasq") or pwd.getpwuid(os.geteuid()).pw_name]
    return Server(command, made.root / "dnsmasq.out", lambda: made.ask("127.0.0.1", "localhost").status)


# ── Knot Resolver ─────────────────────────────────────────────────────────────────────────────────────────────


def _knot_operator(made: World) -> None:
    made.write("/etc/knot-resolver/kresd.conf", f"""
net.listen('127.0.0.1', {made.resolver})
net.listen('::1', {made.resolver})
cache.size = 10 * MB
trust_anchors.remove('.')
modules.load('dnstap')
dnstap.config({{socket_path = '{made.running.folder}/tap', client = {{log_queries = true, log_responses = true}}}})
policy.add(policy.all(policy.STUB('127.0.0.1@{made.upstream.port}')))
dofile('/etc/knot-resolver/dnswatch.lua')
""")  # fmt: skip


def _knot(made: World) -> Server:
    cache = made.root / "cache"
    shutil.rmtree(cache, ignore_errors=True)  # it keeps answers on the disk
    cache.mkdir()
    command = [program("kresd", made.root), "-n", "-c", str(made.path("/etc/knot-resolver/kresd.conf")), str(cache)]
    return Server(command, made.root / "kresd.out", lambda: made.ask("127.0.0.1", "localhost").status)


# ── dnsdist ───────────────────────────────────────────────────────────────────────────────────────────────────


def _dnsdist_operator(made: World) -> None:
    """A packet cache, as dnsdist is mostly run: it must not tell one client what another was told."""
    made.write("/etc/dnsdist/dnsdist.conf", f"""
setSecurityPollSuffix("")
setLocal("127.0.0.1:{made.resolver}")
addLocal("[::1]:{made.resolver}")
newServer({{address = "127.0.0.1:{made.upstream.port}", healthCheckMode = "up"}})
getPool(""):setCache(newPacketCache(1000))
local tap = newFrameStreamUnixLogger("{made.running.folder}/tap")
addResponseAction(AllRule(), DnstapLogResponseAction("dnsdist", tap))
addCacheHitResponseAction(AllRule(), DnstapLogResponseAction("dnsdist", tap))
addSelfAnsweredResponseAction(AllRule(), DnstapLogResponseAction("dnsdist", tap))
dofile("/etc/dnsdist/dnswatch.lua")
""")  # fmt: skip


def _dnsdist(made: World) -> Server:
    command = [program("dnsdist", made.root), "--supervised", "--disable-syslog", "--config",
               str(made.path("/etc/dnsdist/dnsdist.conf"))]  # fmt: skip
    ready = lambda: made.ask("127.0.0.1", "any.canary.dnswatch.invalid").status  # noqa: E731 - it answers that itself
    return Server(command, made.root / "dnsdist.out", ready)


_OPERATOR = {
    "bind": _bind_operator,
    "dnsdist": _dnsdist_operator,
    "dnsmasq": _dnsmasq_operator,
    "knot": _knot_operator,
    "powerdns": _powerdns_operator,
    "unbound": _unbound_operator,
}
_SERVERS = {
    "bind": _bind,
    "dnsdist": _dnsdist,
    "dnsmasq": _dnsmasq,
    "knot": _knot,
    "powerdns": _powerdns,
    "unbound": _unbound,
}
