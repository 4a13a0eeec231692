"""Real Unbound and PowerDNS Recursor, set up as docs/sources.md says: what dnswatch reads is what was asked.

And the whole circle: zones published by `dnswatch run`, applied by the resolver, their hits read back from its log.
"""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from dnswatch.core import names
from dnswatch.core.host import advice
from dnswatch.core.logs import formats
from dnswatch.core.logs.parsers import PARSERS
from dnswatch.core.logs.timestamps import Stamps
from dnswatch.core.model import Event, Query, Verdict, Weird
from tests.live.servers import (
    ADDRESS,
    Answer,
    NotReady,
    Server,
    Upstream,
    dig,
    environment,
    free_port,
    place,
    program,
    unbound_with,
    version,
    wait_for,
)
from tests.running import Running

BLOCKED, PASSED = Answer("NXDOMAIN", ()), Answer("NOERROR", (ADDRESS,))
ZONE = "any.rpz.dnswatch.internal"
LONG = ".".join(["a" * 63] * 3)  # 192 octets of a name on the wire
KINDS = ["unbound", "powerdns"]
ASKED = [  # client, name as dig takes it, type, TCP
    ("127.0.1.2", "api.telegram.org", "A", False),
    ("127.0.1.2", "api.telegram.org", "AAAA", False),
    ("127.0.1.3", "HoOkS.sLaCk.CoM", "A", False),
    ("127.0.1.3", "c0ffee.webhook.site", "HTTPS", True),
    ("127.0.1.4", "a_b.c-d.ngrok.io", "A", True),
    ("127.0.1.4", "www.example.net", "TYPE65280", False),
    ("127.0.1.5", r"hello\032world.webhook.site", "A", False),
    ("127.0.1.5", r"dot\.inside.example.net", "A", False),
    ("127.0.1.5", r"quo\"te\010\255.example.net", "A", True),
    ("127.0.1.5", r"x\|a:\032RPZ\032Hit\;.example.net", "A", False),
    ("127.0.1.6", f"{LONG}.{'b' * 40}.webhook.site", "A", False),
    ("127.0.1.6", ".", "NS", False),
    ("127.0.1.6", "1.0.0.127.in-addr.arpa", "PTR", False),
    ("127.0.1.7", "www.example.net", "A", False),
    ("127.0.1.8", "www.example.net", "A", False),  # from a cache
]
WATCHED = {
    ("127.0.1.2", "telegram-bot"): 1, ("127.0.1.3", "slack-webhook"): 1, ("127.0.1.3", "webhook-site"): 1,
    ("127.0.1.4", "ngrok-url"): 1, ("127.0.1.5", "webhook-site"): 1, ("127.0.1.6", "webhook-site"): 1,
}  # fmt: skip


class AnyName(Upstream):
    """An upstream that copies the question's octets, whatever they are."""

    def _reply(self, packet: bytes) -> bytes:
        end = 12
        while packet[end]:
            end += 1 + packet[end]
        question = packet[12 : end + 5]
        answers = [b"\xc0\x0c" + question[-4:] + (30).to_bytes(4) + b"\0\4" + bytes(map(int, ADDRESS.split(".")))]
        answers = answers if question[-4:-2] == b"\0\1" else []
        counts = [1, len(answers), 0, 0]
        return packet[:2] + b"\x81\x80" + b"".join(n.to_bytes(2) for n in counts) + question + b"".join(answers)


@dataclass
class World:
    """A resolver and the dnswatch that reads its log and publishes its zones."""

    kind: str
    root: Path
    running: Running
    upstream: Upstream
    port: int

    @property
    def log(self) -> Path:
        return self.root / f"{self.kind}.log"

    @property
    def zone(self) -> Path:
        return self.root / "feeds" / f"{ZONE}.zone"

    def configure(self, mode: str) -> None:
        """Write dnswatch's configuration."""
        self.running.configure(f"feeds: {{mode: {mode}, directory: {self.root}/feeds}}\n")

    def events(self) -> list[Event]:
        """Everything that dnswatch reads in the log."""
        parser = PARSERS[self.kind](Stamps(None, time.time()))
        return [event for line in self.log.read_bytes().split(b"\n") if (event := parser.parse(line, 0)) is not None]

    def outcomes(self, client: str) -> set[str]:
        return {alert["outcome"] for alert in self.running.alerts() if alert["client_ip"] == client}

    def ask(self, client: str, name: str, kind: str = "A", *options: str) -> Answer:
        return dig(self.port, client, name, kind, "+tries=1", *options)


def unbound(made: World) -> Server:
    """Give an Unbound with the page's settings and a policy zone from dnswatch's file."""
    lines = "\n".join(f"    {line}" for line in advice.UNBOUND_LINES).replace(advice.UNBOUND_LOG, str(made.log))
    return unbound_with(
        f"""
server:
    directory: "{made.root}"
    chroot: ""
    username: ""
    pidfile: ""
    num-threads: 1
    interface: 127.0.0.1@{made.port}
    access-control: 127.0.0.0/8 allow
    do-not-query-localhost: no
    module-config: "respip iterator"
    local-zone: invalid. transparent
    local-zone: "refused.test." always_refuse
{lines}
remote-control:
    control-enable: no
rpz:
    name: "{ZONE}"
    zonefile: "{made.zone}"
    rpz-log: yes
    rpz-log-name: "{ZONE}"
forward-zone:
    name: "."
    forward-addr: 127.0.0.1@{made.upstream.port}
""",
        made.root,
        made.port,
    )


def recursor(made: World, structured: bool = True) -> Server:
    """Give a PowerDNS Recursor with the page's settings and a policy zone from dnswatch's file."""
    folder = made.root / "powerdns"
    folder.mkdir(exist_ok=True)
    hook = folder / "hook.lua"
    hook.write_text(advice.POWERDNS_HOOK)
    (folder / "zones.lua").write_text(f'rpzFile("{made.zone}", {{policyName="{ZONE}"}})\n')
    lines = "\n".join(advice.POWERDNS_LINES).replace(advice.POWERDNS_HOOK_FILE, str(hook))
    if not structured:
        lines = lines.replace("structured-logging=yes", "structured-logging=no")
    (folder / "recursor.conf").write_text(f"""
{lines}
lua-config-file={folder}/zones.lua
local-address=127.0.0.1
local-port={made.port}
socket-dir={folder}
dnssec=off
dont-query=
forward-zones-recurse=.=127.0.0.1:{made.upstream.port}
threads=1
hint-file=no
security-poll-suffix=
disable-syslog=yes
daemon=no
write-pid=no
""")
    command = [program("pdns_recursor", folder), f"--config-dir={folder}"]
    return Server(command, made.log, lambda: dig(made.port, "127.0.0.1", "ready.test").status)


def reload(made: World, server: Server) -> None:
    """Make the resolver read its zone again."""
    assert server.process
    if made.kind == "unbound":
        server.process.send_signal(signal.SIGHUP)
        return
    command = ["rec_control", f"--config-dir={made.root / 'powerdns'}", f"--socket-dir={made.root / 'powerdns'}"]
    done = subprocess.run([*command, "reload-lua-config"], capture_output=True, text=True, timeout=60, check=False,
                          env=environment())  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


@contextmanager
def world(kind: str, mode: str = "shadow", structured: bool = True) -> Iterator[tuple[World, Server]]:
    """Run dnswatch, then the resolver with the zones that it published; once more when a port was taken meanwhile."""
    for attempt in (1, 2):
        with ExitStack() as stack:
            root = stack.enter_context(place())
            running = Running(root, sources=f"sources: [{{type: {kind}, path: {root}/{kind}.log, from: start}}]")
            made = World(kind, root, running, stack.enter_context(AnyName()), free_port())
            made.log.touch()
            made.configure(mode)
            running.start()
            stack.callback(running.stop)
            assert wait_for(made.zone.exists, 10), running.said()
            server = unbound(made) if kind == "unbound" else recursor(made, structured)
            try:
                stack.enter_context(server)
            except NotReady:
                if attempt == 2:
                    raise
                continue
            yield made, server
            return


@pytest.fixture(scope="module", params=KINDS)
def shadow(request: pytest.FixtureRequest) -> Iterator[World]:
    """A resolver that was asked everything of `ASKED`, in shadow mode."""
    with world(request.param) as (made, _):
        for client, name, kind, tcp in ASKED:
            made.ask(client, name, kind, *(["+tcp"] if tcp else []))
        assert wait_for(
            lambda: sum(isinstance(event, Query) and event.client == "127.0.1.8" for event in made.events())
        )
        yield made


def canonical(text: str, kind: str) -> str:
    """The name that the log of such a server can tell."""
    name = names.from_escaped(text.encode("ascii"))
    assert name is not None
    if kind == "unbound" and name != ".":
        lossy = [re.sub(rb"[^A-Za-z0-9*_-]", b"?", label) for label in names.to_labels(name)]
        name = names.from_labels(lossy)
        assert name is not None
    return name


def test_every_query_is_read_as_it_was_asked(shadow: World) -> None:
    """Client, name, type and, where the log tells, the transport; nothing is left over and nothing distrusted."""
    told = shadow.kind == "powerdns"
    wanted = Counter((client, canonical(name, shadow.kind), kind, ("tcp" if tcp else "udp") if told else "")
                     for client, name, kind, tcp in ASKED)  # fmt: skip
    events = shadow.events()
    read = Counter((event.client, event.qname, event.qtype, event.transport) for event in events
                   if isinstance(event, Query) and event.client.startswith("127.0.1."))  # fmt: skip
    assert read == wanted
    assert not [event for event in events if isinstance(event, Weird)]
    assert all(event.at > time.time() - 120 for event in events)


def test_every_query_has_its_answer(shadow: World) -> None:
    """Each has an answer with a result code; the Recursor's packet cache logs none."""

    def answered() -> set[tuple[str, str, str]]:
        return {(event.client, event.qname, event.qtype) for event in shadow.events()
                if isinstance(event, Verdict) and event.kind == "answer" and event.action}  # fmt: skip

    asked = {(client, canonical(name, shadow.kind), kind) for client, name, kind, _ in ASKED}
    cached = {("127.0.1.8", "www.example.net", "A")} if shadow.kind == "powerdns" else set()
    assert wait_for(lambda: asked - cached <= answered()), asked - cached - answered()


def test_what_is_alerted_on_is_what_was_asked(shadow: World) -> None:
    """The daemon's alerts, by client and service, each counted once; the log is recognised."""
    assert wait_for(lambda: {(a["client_ip"], a["service"]) for a in shadow.running.alerts()} >= set(WATCHED), 10)
    counts = {(a["client_ip"], a["service"]): a["count"] for a in shadow.running.alerts()
              if a["client_ip"].startswith("127.0.1.")}  # fmt: skip
    assert counts == WATCHED
    assert formats.detect(shadow.log.read_bytes()) == shadow.kind


def test_a_scan_finds_the_same_without_being_told_the_format(shadow: World) -> None:
    """`scan` of the folder's log names clients and services as the daemon does."""
    done = subprocess.run([sys.executable, "-m", "dnswatch", "scan", "--format", "json", str(shadow.log)],
                          capture_output=True, text=True, timeout=240, check=False)  # fmt: skip
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    counts = {(row["client_ip"], row["service"]): row["count"] for row in rows}
    assert {key: count for key, count in counts.items() if key[0].startswith("127.0.1.")} == WATCHED


def test_shadow_shows_what_would_have_been_blocked(shadow: World) -> None:
    """The zone's pass rules are applied, logged with the zone's name, and read back."""
    assert shadow.ask("127.0.4.9", "hooks.slack.com") == PASSED
    assert wait_for(lambda: "would-block" in shadow.outcomes("127.0.4.9"), 10), shadow.log.read_text()[-2000:]
    (hit, *_) = [event for event in shadow.events()
                 if isinstance(event, Verdict) and event.kind == "rewrite" and event.client == "127.0.4.9"]  # fmt: skip
    assert (hit.action, hit.via) == ("passthru", f"hooks.slack.com.{ZONE}")


def blocked(made: World, client: str) -> bool:
    return "blocked" in made.outcomes(client)


@pytest.mark.parametrize("kind", KINDS)
def test_promoted_zones_block_and_the_log_says_so(kind: str) -> None:
    """Blocked names are NXDOMAIN and their alerts `blocked`, again and again; others pass, and none is `leaked`."""
    with world(kind) as (made, server):
        assert made.ask("127.0.2.2", "hooks.slack.com") == PASSED
        assert wait_for(lambda: "would-block" in made.outcomes("127.0.2.2"), 10)
        before = made.zone.read_bytes()
        made.configure("enforce")
        made.running.send(signal.SIGHUP)
        assert wait_for(lambda: made.zone.read_bytes() != before, 10), made.running.said()
        reload(made, server)
        assert wait_for(lambda: made.ask("127.0.2.3", "api.telegram.org") == BLOCKED, 10)
        for client in ("127.0.2.4", "127.0.2.5"):  # the second time from whatever cache there is
            assert made.ask(client, "c0ffee.webhook.site") == BLOCKED
            assert made.ask(client, "www.example.net") == PASSED
        for client in ("127.0.2.3", "127.0.2.4", "127.0.2.5"):
            assert wait_for(partial(blocked, made, client), 10), made.log.read_text()[-3000:]
        time.sleep(2.5)  # an attempt without a rewrite for 2 s would be called leaked
        assert not [alert for alert in made.running.alerts() if alert["outcome"] == "leaked"]


def test_a_name_that_a_local_zone_refuses_is_a_denial(shadow: World) -> None:
    """Unbound with `log-local-actions` says so, with the client; the Recursor has no such zone."""
    refuses = shadow.kind == "unbound"
    assert (shadow.ask("127.0.3.2", "x.refused.test").status == "REFUSED") is refuses
    wanted = {("127.0.3.2", "x.refused.test")} if refuses else set()

    def denied() -> set[tuple[str, str]]:
        return {(e.client, e.qname) for e in shadow.events() if isinstance(e, Verdict) and e.kind == "denied"}

    assert wait_for(lambda: denied() == wanted), denied()


def test_the_classic_form_of_the_recursor_misses_only_what_its_packet_cache_answers() -> None:
    """`structured-logging=no`: every first lookup is read; one answered from the packet cache names no question."""
    assert re.search(r"PowerDNS Recursor [45]\.", version("pdns_recursor", "--version"))
    with world("powerdns", structured=False) as (made, _):
        for client, name, kind, tcp in ASKED:
            made.ask(client, name, kind, *(["+tcp"] if tcp else []))
        wanted = {(client, canonical(name, "powerdns"), kind) for client, name, kind, _ in ASKED} - {
            ("127.0.1.8", "www.example.net", "A")
        }

        def read() -> set[tuple[str, str, str]]:
            return {(event.client, event.qname, event.qtype) for event in made.events()
                    if isinstance(event, Query) and event.client.startswith("127.0.1.")}  # fmt: skip

        assert wait_for(lambda: read() == wanted), read() ^ wanted
        assert not [event for event in made.events() if isinstance(event, Weird)]
        assert wait_for(lambda: "would-block" in made.outcomes("127.0.1.2"), 10)
