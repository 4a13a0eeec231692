"""Consumers are asked for the versions published last; what is not live within the grace is told, once."""

from __future__ import annotations

import base64
import socket
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from dnslib import AAAA, QTYPE, RR, SOA, A, DNSRecord

from dnswatch.config.build import groups_of
from dnswatch.config.load import load
from dnswatch.config.model import FileReader
from dnswatch.core.clients.groups import Groups
from dnswatch.core.feeds.history import advance, lift, newer
from dnswatch.core.feeds.triggers import CANARY_ADDRESS, canaries, client_trigger
from dnswatch.core.model import Group, Rule, Snapshot, Zone
from dnswatch.io import canary
from dnswatch.io.canary import Canary, World
from dnswatch.io.consumers import Consumers

PARENT = "rpz.dnswatch.internal"
HERE = "127.0.0.1"


class Resolver:
    """Has versions of zones, and may act by them or not."""

    def __init__(self) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((HERE, 0))
        self.port: int = self.socket.getsockname()[1]
        self.has: dict[str, int] = {}  # audience → serial
        self.acts = self.tells = True  # canaries, SOA
        self.lists = False
        self.asked = 0
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while (received := self.socket.recvfrom(4096))[0]:
            request = DNSRecord.parse(received[0])
            labels = str(request.q.qname).removesuffix(".").split(".")
            reply = request.reply()
            self.asked += 1
            if self.lists:  # dnsmasq: it denies what it has, upstream the rest, with its SOA
                reply.header.rcode = 3
                if labels[1:-3] not in ([str(self.has.get("everyone")), "everyone"], ["every", "everyone"]):
                    reply.add_auth(RR(".", QTYPE.SOA, rdata=SOA("l.", "h.", (1, 1, 1, 1, 1))))
                self.socket.sendto(reply.pack(), received[1])
                continue
            if request.q.qtype == QTYPE.SOA:
                serial = self.has.get(labels[0])
                if serial and self.tells:
                    reply.add_answer(RR(request.q.qname, QTYPE.SOA, rdata=SOA("l.", "h.", (serial, 1, 1, 1, 1))))
                else:
                    reply.header.rcode = 5
            else:
                audience = labels[-4]
                known = self.acts and audience in self.has
                if known and labels[0] == audience and request.q.qtype == QTYPE.AAAA:
                    said = next(rule for rule in canaries(audience, self.has[audience]) if len(rule.addresses) > 1)
                    reply.add_answer(RR(request.q.qname, QTYPE.AAAA, rdata=AAAA(said.addresses[1])))
                elif known and labels[0] in (audience, str(self.has[audience])):
                    reply.add_answer(RR(request.q.qname, rdata=A(CANARY_ADDRESS)))
                else:
                    reply.header.rcode = 3
            self.socket.sendto(reply.pack(), received[1])

    def close(self) -> None:
        self.socket.sendto(b"", (HERE, self.port))
        self._thread.join()
        self.socket.close()


@pytest.fixture
def resolver() -> Iterator[Resolver]:
    one = Resolver()
    yield one
    one.close()


class Told:
    """Keeps what is said of blind spots."""

    def __init__(self) -> None:
        self.spots: dict[tuple[str, str], str] = {}

    def report(self, kind: str, subject: str, text: str, at: float | None = None) -> None:
        self.spots[kind, subject] = text

    def clear(self, kind: str, subject: str, text: str = "") -> None:
        self.spots.pop((kind, subject), None)

    def open(self) -> list[tuple[str, str]]:
        return sorted(self.spots)


class Clock:
    now = 1_795_000_000.0

    def __call__(self) -> float:
        return self.now


def world(folder: Path, port: int, kind: str = "unbound", more: str = "") -> World:
    (folder / "k").write_text(base64.b64encode(b"k" * 32).decode())
    path = folder / "dnswatch.yaml"
    path.write_text(
        "clients: {groups: {build: {networks: [10.0.20.0/24]}}}\n"
        "dns: {listen: '127.0.0.1:5300', keys: {k: {secret: file:k}}, canary: {every: 60s, grace: 30s}, consumers: ["
        f"{{name: ns1, address: {HERE}, port: {port}, type: {kind}{more}}}]}}\n"
    )
    config = load(path)
    assert config.dns
    zones = [Zone(f"{name}.{PARENT}", name, ()) for name in ("quarantine", "exempt", "build", "any")]
    snapshots = {zone.name: advance(None, zone, Clock.now) for zone in zones}
    return World(Consumers(config.dns, PARENT), snapshots, groups_of(config), lambda *_: None, lambda _: HERE)


def serial(made: World) -> int:
    return next(iter(made.snapshots.values())).serial


def states(one: Canary) -> dict[str, str | None]:
    return {copy.zone.partition(".")[0]: standing.state for copy, standing in one.standings["ns1"].items()}


async def test_a_version_that_is_live_is_no_news(resolver: Resolver, tmp_path: Path) -> None:
    """Every zone is asked for; what is live is asked for again after `every`, not before."""
    told, clock = Told(), Clock()
    one, made = Canary(told, clock), world(tmp_path, resolver.port)
    resolver.has = dict.fromkeys(("quarantine", "exempt", "build", "any"), serial(made))
    gone = Zone(f"gone.{PARENT}", "gone", ())  # of a group that was removed: served empty, and not missed anywhere
    made = replace(made, snapshots={**made.snapshots, gone.name: advance(None, gone, Clock.now)})
    await one.look(made)
    assert set(states(one).values()) == {"live"}
    asked = resolver.asked
    clock.now += 59
    await one.look(made)
    assert resolver.asked == asked
    clock.now += 1
    await one.look(made)
    assert resolver.asked > asked
    assert one.row("ns1")["live"] == 4
    assert not told.spots


async def test_an_old_version_is_told_after_the_grace_and_cleared_when_live(resolver: Resolver, tmp_path: Path) -> None:
    """With the zone, both serials and since when; a newer version meanwhile does not start the grace again."""
    told, clock = Told(), Clock()
    one, made = Canary(told, clock), world(tmp_path, resolver.port)
    new = serial(made)
    resolver.has = {"quarantine": new, "exempt": new, "build": new, "any": new - 5}
    await one.look(made)
    assert states(one) == {"quarantine": "live", "exempt": "live", "build": "live", "any": "old"}
    clock.now += 20
    name = f"any.{PARENT}"
    newer = Snapshot(made.snapshots[name].zone, new + 20, clock.now)
    made = replace(made, snapshots={**made.snapshots, name: newer})
    await one.look(made)
    assert not told.spots
    clock.now += 11
    await one.look(made)
    assert told.spots == {
        (canary.KIND, "ns1"): f"unbound at 127.0.0.1 port {resolver.port}: {name}: has another serial, {new - 5} "
                              f"instead of serial {new + 20} since 31 s"
    }  # fmt: skip
    resolver.has["any"] = new + 20
    clock.now += 5
    await one.look(made)
    assert not told.spots


async def test_one_that_does_not_answer_is_asked_once_a_round(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Silence is one statement; a consumer that is not configured any more is not missing."""
    told, clock = Told(), Clock()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as closed:
        closed.bind((HERE, 0))
        port = closed.getsockname()[1]
    asked = []

    async def refuse(*args: object, **_: object) -> tuple[int, int | None]:
        asked.append(args)
        raise ConnectionRefusedError

    monkeypatch.setattr(canary, "ask_serial", refuse)
    one, made = Canary(told, clock), world(tmp_path, port)
    await one.look(made)
    assert len(asked) == 1
    assert set(states(one).values()) == {"silent"}
    clock.now += 31
    await one.look(made)
    assert "it does not answer since 31 s" in told.spots[canary.KIND, "ns1"]
    one.forget()
    assert not told.spots
    assert one.row("ns1")["copies"] == []


async def test_what_has_a_version_and_does_not_act_by_it_is_told(resolver: Resolver, tmp_path: Path) -> None:
    """The SOA alone proves nothing for a zone that our own address is served with; for others it must do."""
    told, clock = Told(), Clock()
    one, made = Canary(told, clock), world(tmp_path, resolver.port)
    resolver.has, resolver.acts = dict.fromkeys(("quarantine", "exempt", "build", "any"), serial(made)), False
    await one.look(made)
    assert states(one) == {"quarantine": "idle", "exempt": "idle", "build": "live", "any": "idle"}
    # An exemption of our own address hides every canary: then the SOA must do everywhere.
    exempt = Zone(f"exempt.{PARENT}", "exempt", (Rule(client_trigger(HERE), "passthru"),))
    snapshot = Snapshot(exempt, serial(made), clock.now)
    await one.look(replace(made, snapshots={**made.snapshots, exempt.name: snapshot}))
    assert set(states(one).values()) == {"live"}


async def test_a_consumer_that_shows_nothing_is_believed_by_its_transfers(resolver: Resolver, tmp_path: Path) -> None:
    """Another group's zone in a resolver that refuses SOA: what it fetched is all that is known."""
    told, clock = Told(), Clock()
    one, made = Canary(told, clock), world(tmp_path, resolver.port, "powerdns", ", key: k")
    new = serial(made)
    resolver.has, resolver.tells = dict.fromkeys(("quarantine", "exempt", "build", "any"), new), False
    resolver.has["build"] = 1
    for fetched, state in ((None, "old"), (new, "old")):
        resolver.has["build"] = 1
        await one.look(replace(made, fetched=lambda *_, fetched=fetched: fetched))  # type: ignore[misc]
        assert states(one)["build"] == state  # its canary shows another version
    del resolver.has["build"]
    for fetched, state in ((None, "none"), (new - 1, "old"), (new, "live")):
        await one.look(replace(made, fetched=lambda *_, fetched=fetched: fetched))  # type: ignore[misc]
        assert states(one) == {"quarantine": "live", "exempt": "live", "build": state, "any": "live"}


async def test_a_consumer_with_a_newer_serial_is_noticed(resolver: Resolver, tmp_path: Path) -> None:
    """It ignores ours for ever, so the next version must be newer than its own; what was never ours counts not."""
    told, clock = Told(), Clock()
    one, made = Canary(told, clock), world(tmp_path, resolver.port)
    new = serial(made)
    resolver.has = {"quarantine": new, "exempt": new - 1, "build": new + 2**29, "any": new + 7}
    await one.look(made)
    assert one.ahead == {f"any.{PARENT}": new + 7}
    lifted = lift(made.snapshots[f"any.{PARENT}"], new + 7, clock.now)
    assert newer(lifted.serial, new + 7)
    assert lifted.zone == made.snapshots[f"any.{PARENT}"].zone
    assert lift(lifted, new + 7, clock.now) == lifted


@pytest.mark.parametrize(
    ("kind", "more", "asked"),
    [("other", "", False), ("other", ", canary: true", True), ("unbound", ", canary: false", False)],
)
async def test_who_is_asked(resolver: Resolver, tmp_path: Path, kind: str, more: str, asked: bool) -> None:
    """A secondary that is no resolver answers nothing, and is not asked unless the operator says so."""
    one = Canary(Told(), Clock())
    await one.look(world(tmp_path, resolver.port, kind, more))
    assert (resolver.asked > 0) == asked
    assert ("ns1" in one.standings) == asked


def readers(made: World, port: int, kind: str, *ask_from: str) -> World:
    """The same, read from files by one resolver."""
    snapshots = dict(made.snapshots)
    everyone = Zone(f"everyone.{PARENT}", "everyone", ())
    snapshots[everyone.name] = Snapshot(everyone, serial(made), Clock.now)
    reader = FileReader(name="ns1", address=HERE, port=port, type=kind, ask_from=list(ask_from))  # type: ignore[arg-type]
    return World(None, {}, made.groups, made.fetched, made.source, [reader], snapshots)


@pytest.mark.parametrize("kind", ["bind", "dnsmasq"])
async def test_who_reads_files_and_has_not_read_the_newest_is_told(
    resolver: Resolver, tmp_path: Path, kind: str
) -> None:
    """Of the zones that we are served with; dnsmasq has one list, which can only deny names."""
    told, clock = Told(), Clock()
    one, made = Canary(told, clock), readers(world(tmp_path, resolver.port), resolver.port, kind)
    new = next(iter(made.written.values())).serial
    zones = ("everyone",) if kind == "dnsmasq" else ("any", "exempt", "quarantine")
    resolver.lists = kind == "dnsmasq"
    resolver.has = dict.fromkeys(zones, new)
    await one.look(made)
    assert states(one) == dict.fromkeys(zones, "live")
    newest = {name: replace(snapshot, serial=new + 9) for name, snapshot in made.written.items()}
    await one.look(replace(made, written=newest))
    assert states(one) == dict.fromkeys(zones, "old")
    assert not told.spots
    assert not one.behind  # nobody to send NOTIFY to
    assert not one.ahead
    clock.now += 121
    await one.look(replace(made, written=newest))
    has = f", {new}" if kind == "bind" else ""  # a list that only denies does not tell
    assert f"has another serial{has} instead of serial {new + 9} since 2 min" in told.spots[canary.KIND, "ns1"]
    resolver.has = dict.fromkeys(zones, new + 9)
    clock.now += 5
    await one.look(replace(made, written=newest))
    assert not told.spots


async def test_a_reader_is_asked_from_every_address_that_is_given(resolver: Resolver, tmp_path: Path) -> None:
    """Its views go by the address; each address asks for the zone of its own group."""
    one, made = Canary(Told(), Clock()), world(tmp_path, resolver.port)
    made = readers(
        replace(made, groups=Groups([Group("build", ("127.0.9.0/24",))])), resolver.port, "bind", HERE, "127.0.9.1"
    )
    resolver.has = dict.fromkeys(("quarantine", "exempt", "build", "any"), next(iter(made.written.values())).serial)
    await one.look(made)
    found = {
        (copy.zone.partition(".")[0], copy.view): standing.state for copy, standing in one.standings["ns1"].items()
    }
    assert found.keys() == {(zone, HERE) for zone in ("quarantine", "exempt", "any")} | {
        (zone, "127.0.9.1") for zone in ("quarantine", "exempt", "build")}  # fmt: skip
    assert set(found.values()) == {"live"}
