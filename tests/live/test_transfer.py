"""Zone transfers to real clients: dig and kdig ask, BIND with views and Unbound follow by NOTIFY and IXFR."""

from __future__ import annotations

import base64
import json
import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.live.servers import (
    ADDRESS,
    Answer,
    NotReady,
    Server,
    Upstream,
    applies,
    dig,
    environment,
    free_port,
    named_with,
    place,
    seconds_until,
    unbound_with,
    version,
    wait_for,
)
from tests.running import Running, quickest

BLOCKED, PASSED = Answer("NXDOMAIN", ()), Answer("NOERROR", (ADDRESS,))
SECRET = {name: base64.b64encode(name.encode() * 8).decode() for name in ("k-servers", "k-any", "k-dig")}
PARENT = "rpz.dnswatch.internal"
CHANGED = "hooks.slack.com"  # what a reload lets pass and blocks again
STEADY = "api.telegram.org"


@dataclass
class World:
    """dnswatch with a resolver that has its zones by transfer."""

    running: Running
    root: Path
    dns: int  # ports: our server, our server over TLS, the resolver
    tls: int
    resolver: int
    upstream: Upstream

    def configure(self, *, passing: bool = False) -> None:
        """Write dnswatch's configuration; ``passing``: `CHANGED` is not watched."""
        keys = ", ".join(f'{name}: {{secret: "file:{self.root}/{name}"}}' for name in SECRET)
        self.running.configure(f"""
clients: {{groups: {{servers: {{networks: [127.0.10.0/24], role: server}}}}}}
expect: [{{who: [group:servers], services: [telegram-bot], because: bot}}]
watch: {{exclude: [{"slack-webhook" if passing else ""}]}}
feeds: {{mode: enforce}}
dns:
  listen: 127.0.0.1:{self.dns}
  tls: {{listen: "127.0.0.1:{self.tls}", cert: {self.root}/cert.pem, key: {self.root}/key.pem}}
  keys: {{{keys}}}
  consumers:
    - {{name: ns1, address: 127.0.0.1, port: {self.resolver}, type: bind, views: {{servers: k-servers, any: k-any}}}}
    - {{name: ns2, address: 127.0.0.1, port: {self.resolver}, type: unbound}}
    - {{name: dig, address: 127.0.0.9, type: other, key: k-dig, notify: false}}
""")

    def reload(self, *, passing: bool) -> int:
        """Change the zones; give the new serial of the zone ``any`` once it is published."""
        self.configure(passing=passing)
        before = len(self.running.said())
        self.running.send(signal.SIGHUP)
        pattern = rf"any\.{re.escape(PARENT)} has serial (\d+)"
        assert wait_for(lambda: re.search(pattern, self.running.said()[before:]), 20), self.running.said()
        found = re.search(pattern, self.running.said()[before:])
        assert found
        return int(found[1])

    def kind(self, consumer: str, zone: str) -> str:
        """Say how the consumer was last brought up to date, once it is; else nothing. Rows are 2 s old at most."""
        row = self.consumer(consumer)
        return "" if row["behind"] else str(row["zones"].get(f"{zone}.{PARENT}", {}).get("kind", ""))

    def consumer(self, name: str) -> dict[str, Any]:
        """Give what dnswatch knows of a consumer."""
        row: dict[str, Any] = json.loads(self.running.run("status", "--json").stdout)["rows"][f"consumer:{name}"]
        return row


def answers(made: World, client: str, wanted: Answer) -> bool:
    """Say whether the resolver answers the client so on `CHANGED`."""
    return dig(made.resolver, client, CHANGED) == wanted


BOTH_WAYS = ((True, PASSED), (False, BLOCKED))


def live(made: World, passing: bool, wanted: Answer, clients: tuple[str, ...], tells: bool, attempt: int) -> float:
    """Change the zones and wait until clients are answered by them; give the seconds from publication on."""
    if attempt:
        made.reload(passing=not passing)
        other = PASSED if wanted == BLOCKED else BLOCKED
        assert wait_for(lambda: all(answers(made, client, other) for client in clients))
    serial = made.reload(passing=passing)
    took = seconds_until(lambda: all(answers(made, client, wanted) for client in clients))
    if tells:  # this Unbound hides what is below .invalid
        assert wait_for(partial(applies, made.resolver, clients[-1], f"{serial}.any"))
    return took


@contextmanager
def world() -> Iterator[World]:
    """Start dnswatch in a place of its own."""
    with ExitStack() as stack:
        root = stack.enter_context(place())
        for name, secret in SECRET.items():
            (root / name).write_text(secret + "\n")
        command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                   "-keyout", f"{root}/key.pem", "-out", f"{root}/cert.pem", "-days", "2", "-subj", "/CN=feed.test",
                   "-addext", "subjectAltName=DNS:feed.test"]  # fmt: skip
        subprocess.run(command, check=True, capture_output=True)
        (root / "dnswatch").mkdir()
        running = Running(root / "dnswatch")
        made = World(running, root, free_port(), free_port(), free_port(), stack.enter_context(Upstream()))
        made.configure()
        running.write("")
        try:
            stack.enter_context(running)
            ready = f"feeds: any.{PARENT} has serial"
            assert wait_for(lambda: ready in running.said(), 20), running.said()
            yield made
        finally:
            print(running.said())


@pytest.fixture(scope="module")
def shared() -> Iterator[World]:
    """One dnswatch for all who only ask."""
    with world() as made:
        yield made


def ask(program: str, shared: World, kind: str, *options: str, zone: str = "any." + PARENT) -> str:
    command = [program, "@127.0.0.1", "-p", str(shared.dns), "-b", "127.0.0.9", zone, kind, "+time=3", "+tries=1"]
    if program == "kdig":
        options = (*options, "+noidn")
        command = [word.replace("+time", "+timeout").replace("+tries", "+retry") for word in command]
    done = subprocess.run([*command, *options], capture_output=True, text=True, timeout=120, check=False)
    return done.stdout + done.stderr


def signed(name: str = "k-dig", secret: str = SECRET["k-dig"]) -> tuple[str, str]:
    return "-y", f"hmac-sha256:{name}:{secret}"


def soa(said: str) -> list[int]:
    """Give the serials of the SOA records that were printed."""
    return [int(serial) for serial in re.findall(r"\sSOA\s+localhost\. hostmaster\.localhost\. (\d+)", said)]


@pytest.mark.parametrize("program", ["dig", "kdig"])
def test_a_key_gets_soa_and_the_whole_zone(shared: World, program: str) -> None:
    """AXFR verified by the client, message by message; the file has the same records."""
    [serial] = soa(ask(program, shared, "SOA", *signed()))
    said = ask(program, shared, "AXFR", *signed())
    assert soa(said)[0] == soa(said)[-1] == serial
    file = (shared.running.folder / "state/feeds" / f"any.{PARENT}.zone").read_text()
    in_file = {line.split()[0] for line in file.splitlines() if " CNAME " in line}
    in_transfer = {line.split()[0] for line in said.splitlines() if "CNAME" in line and not line.startswith(";")}
    assert in_transfer == in_file
    assert len(in_file) > 100
    assert not re.search(r"(?i)verify|warning|; transfer failed", said), said


@pytest.mark.parametrize("program", ["dig", "kdig"])
def test_without_the_right_key_nothing_is_given(shared: World, program: str) -> None:
    """REFUSED without one; NOTAUTH with an unknown one or a wrong secret."""
    for kind in ("SOA", "AXFR", "IXFR=1"):
        said = ask(program, shared, kind)
        assert not soa(said), said
    assert "REFUSED" in ask(program, shared, "SOA")
    for key in (signed("k-none"), signed(secret=SECRET["k-any"])):
        said = ask(program, shared, "SOA", *key)
        assert re.search("NOTAUTH|BADKEY|BADSIG", said), said  # kdig shows the error of the TSIG record
        assert not soa(said)
    assert "REFUSED" in ask(program, shared, "A", *signed(), zone=f"{STEADY}.any.{PARENT}")
    assert "REFUSED" in ask(program, shared, "SOA", *signed(name="k-any", secret=SECRET["k-any"]),
                            zone=f"servers.{PARENT}")  # fmt: skip


@pytest.mark.parametrize("program", ["dig", "kdig"])
def test_ixfr_gives_what_changed(shared: World, program: str) -> None:
    """From the version before to this one; the current serial gets one SOA, an unknown one the zone."""
    [old] = soa(ask("dig", shared, "SOA", *signed()))
    new = shared.reload(passing=True)
    said = ask(program, shared, f"IXFR={old}", *signed())
    assert soa(said) == [new, old, new, new], said
    assert CHANGED in said
    assert STEADY not in said
    assert soa(ask(program, shared, f"IXFR={new}", *signed())) == [new]
    assert soa(ask(program, shared, "IXFR=1", *signed())) == [new, new]
    shared.reload(passing=False)


def test_kdig_transfers_over_tls(shared: World) -> None:
    """With the certificate checked by name."""
    said = subprocess.run(
        ["kdig", "@127.0.0.1", "-p", str(shared.tls), "-b", "127.0.0.9", "any." + PARENT, "AXFR", "+tls",
         f"+tls-ca={shared.root}/cert.pem", "+tls-hostname=feed.test", "-d", *signed()],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert "TLS, The certificate is trusted" in said.stdout, said
    assert len(soa(said.stdout)) == 2
    assert STEADY in said.stdout


# ── BIND ──────────────────────────────────────────────────────────────────────────────────────────────────────


def bind(made: World) -> str:
    """Write a named.conf with a view for each group, which loads its zones by transfer."""
    keys = "".join(
        f'key "{name}" {{ algorithm hmac-sha256; secret "{secret}"; }};\n' for name, secret in SECRET.items()
    )
    return f"""
options {{
  directory "{made.root}/bind"; pid-file none; session-keyfile none; lock-file none;
  listen-on port {made.resolver} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }};
  recursion yes; dnssec-validation no; forward only; forwarders {{ 127.0.0.1 port {made.upstream.port}; }};
}};
controls {{ }};
logging {{ channel log {{ stderr; print-category yes; severity debug 1; }}; category default {{ log; }}; }};
{keys}
{view("servers", "key k-servers; !key k-any; 127.0.10.0/24;", "k-servers", made)}
{view("any", "key k-any; any;", "k-any", made)}
"""


def view(name: str, clients: str, key: str, made: World) -> str:
    zones = "".join(
        f'  zone "{zone}.{PARENT}" {{ type secondary; primaries {{ 127.0.0.1 port {made.dns} key {key}; }};\n'
        f'    file "{name}-{zone}.db"; allow-query {{ none; }}; masterfile-format text; }};\n'
        for zone in ("quarantine", "exempt", name)
    )
    return f"""
view "{name}" {{
  match-clients {{ {clients} }};
  response-policy {{ zone "quarantine.{PARENT}"; zone "exempt.{PARENT}"; zone "{name}.{PARENT}"; }}
    break-dnssec yes qname-wait-recurse no min-update-interval 1;
{zones}}};
"""


@contextmanager
def resolver(made: World, kind: str) -> Iterator[Server]:
    """Start BIND or Unbound as a secondary."""
    folder = made.root / kind
    folder.mkdir(exist_ok=True)
    folder.chmod(0o777)  # named writes there as its own user
    if kind == "bind":
        server = named_with(bind(made), folder, made.resolver)
    else:
        server = unbound_with(unbound(made, tls=kind == "unbound-tls"), folder, made.resolver)
    try:
        with server:
            yield server
    except NotReady:
        print(made.running.said())
        raise
    finally:
        for said in folder.glob("*.out"):
            print(said.read_text(errors="replace")[-6000:])


def test_bind_with_views_follows_by_notify_and_ixfr() -> None:
    """Each view has its group's zone by its own key; an update is live within 2 s of NOTIFY, by IXFR, both ways."""
    assert version("named", "-v").startswith("BIND 9.")
    with world() as made, resolver(made, "bind"):
        server, other = "127.0.10.1", "127.0.0.1"
        assert wait_for(lambda: dig(made.resolver, other, STEADY) == BLOCKED, 10)
        assert wait_for(lambda: dig(made.resolver, server, CHANGED) == BLOCKED, 10)
        assert dig(made.resolver, server, STEADY) == PASSED  # the group is expected to
        assert dig(made.resolver, other, CHANGED) == BLOCKED
        for passing, wanted in BOTH_WAYS:
            quickest(2, partial(live, made, passing, wanted, (server, other), True))
            assert dig(made.resolver, other, STEADY) == BLOCKED
        for zone in ("any", "servers"):
            assert wait_for(lambda zone=zone: made.kind("ns1", zone) == "ixfr", 10)
        assert wait_for(lambda: made.consumer("ns1")["error"] == "")


def test_bind_goes_on_from_its_file_and_catches_up() -> None:
    """dnswatch down: a restarted BIND still blocks; dnswatch back with newer zones: BIND has them at its start."""
    with world() as made:
        with resolver(made, "bind"):
            assert wait_for(lambda: dig(made.resolver, "127.0.0.1", CHANGED) == BLOCKED, 10)
            # a secondary writes its file a little after the transfer, and when it ends
        assert made.running.stop() == 0
        with resolver(made, "bind"):
            assert wait_for(lambda: dig(made.resolver, "127.0.0.1", CHANGED) == BLOCKED, 10)
            made.configure(passing=True)
            made.running.start()
            assert wait_for(lambda: dig(made.resolver, "127.0.0.1", CHANGED) == PASSED, 15)


# ── Unbound ───────────────────────────────────────────────────────────────────────────────────────────────────


def unbound(made: World, *, tls: bool) -> str:
    """Write an unbound.conf that loads the zones by transfer."""
    primary = f"127.0.0.1@{made.tls}#feed.test" if tls else f"127.0.0.1@{made.dns}"
    folder = made.root / ("unbound-tls" if tls else "unbound")
    zones = "".join(
        f'rpz:\n  name: "{zone}.{PARENT}"\n  primary: {primary}\n  zonefile: "{folder}/{zone}.zone"\n'
        f'  rpz-log: yes\n  rpz-log-name: "{zone}"\n'
        for zone in ("exempt", "any")
    )
    return f"""
server:
  directory: "{folder}"
  chroot: ""
  username: ""
  pidfile: ""
  use-syslog: no
  logfile: ""
  verbosity: 2
  num-threads: 1
  interface: 127.0.0.1@{made.resolver}
  access-control: 127.0.0.0/8 allow
  do-not-query-localhost: no
  module-config: "respip iterator"
  tls-cert-bundle: "{made.root}/cert.pem"
remote-control:
  control-enable: no
{zones}
forward-zone:
  name: "."
  forward-addr: 127.0.0.1@{made.upstream.port}
"""


@pytest.mark.parametrize("kind", ["unbound", "unbound-tls"])
def test_unbound_follows_by_notify(kind: str) -> None:
    """Without TSIG, known by its address; also over TLS, where it probes SOA by UDP on the same port."""
    assert re.search(r"Version 1\.\d+", version("unbound", "-V"))
    with world() as made, resolver(made, kind):
        assert wait_for(lambda: dig(made.resolver, "127.0.0.1", CHANGED) == BLOCKED, 10)
        for passing, wanted in BOTH_WAYS:
            quickest(2, partial(live, made, passing, wanted, ("127.0.0.1",), False))
        assert dig(made.resolver, "127.0.0.1", STEADY) == BLOCKED
        assert wait_for(lambda: made.kind("ns2", "any") == "ixfr", 10)


def test_the_programs_are_the_ones_that_we_claim() -> None:
    """Debian's dig and kdig."""
    assert version("dig", "-v").startswith("DiG 9.")
    done = subprocess.run(["kdig", "--version"], capture_output=True, text=True, check=False, env=environment())
    assert "Knot DNS" in done.stdout
