"""The daemon as a primary: serves its zones by DNS, follows reloads, and never serves what is not stored."""

from __future__ import annotations

import base64
import re
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path

import dns.asyncquery
import dns.message
import dns.name
import dns.tsig
import pytest

from dnswatch.config.build import load_policy
from dnswatch.core.detect.changes import SightingRow
from dnswatch.core.feeds.consumers import CONSUMERS
from dnswatch.core.model import Name, Snapshot
from dnswatch.errors import FeedRefused, StateError
from dnswatch.io import publish
from dnswatch.io.consumers import Consumers, subscribe
from tests.core.feed_worlds import AT, WORLDS
from tests.running import InLoop, soon

ANY = "any.rpz.dnswatch.internal"
HERE = "127.0.0.1"


def free_port() -> int:
    with socket.create_server((HERE, 0)) as taken:
        return int(taken.getsockname()[1])


def section(place: InLoop, port: int, more: str = "", secret: bytes = b"1" * 32) -> str:
    """Write a key file and give a configuration that serves zones."""
    (place.folder / "k1").write_text(base64.b64encode(secret).decode())
    consumer = f"{{name: ns1, address: {HERE}, port: 9, type: bind, key: k1, notify: false}}"
    return (f'{more}dns: {{listen: "{HERE}:{port}", keys: {{k1: {{secret: "file:{place.folder}/k1"}}}}, '
            f"consumers: [{consumer}]}}\n")  # fmt: skip


async def ask(port: int, kind: str = "SOA", secret: bytes = b"1" * 32, zone: str = ANY) -> dns.message.Message:
    message = dns.message.make_query(zone, kind)
    message.use_tsig({dns.name.from_text("k1"): dns.tsig.Key("k1", secret)})
    return await dns.asyncquery.tcp(message, HERE, timeout=60, port=port)


async def serial(port: int, secret: bytes = b"1" * 32) -> int:
    reply = await ask(port, secret=secret)
    return int(reply.answer[0][0].serial) if reply.answer else 0


async def test_zones_are_served_and_follow_reloads(tmp_path: Path) -> None:
    """A changed policy is a new serial, a changed key counts at once, a removed section ends it; in that order."""
    port = free_port()
    place = InLoop(tmp_path)
    place.configure(section(place, port))
    place.write("")
    async with place:
        await soon(lambda: place.daemon.upkeep.feed_rows)
        first = await serial(port)
        assert f"everyone.{ANY.partition('.')[2]}" not in place.daemon.rows()["dns"]["zones"]
        assert first == place.daemon.rows()[f"feed:{ANY}"]["serial"]
        place.configure(section(place, port, "watch: {exclude: [slack-webhook]}\n"))
        assert await place.reload() == ""
        await soon(lambda: place.daemon.rows()[f"feed:{ANY}"]["serial"] > first)
        assert await serial(port) > first
        place.configure(section(place, port, secret=b"2" * 32))
        assert await place.reload() == ""
        with pytest.raises(dns.tsig.PeerBadSignature):
            await ask(port)
        assert await serial(port, b"2" * 32) > first
        row = place.daemon.rows()["dns"]
        assert row["listen"] == [f"{HERE}:{port}/dns"]
        assert row["replies"]["soa"] == 3
        place.configure()
        assert await place.reload() == ""
        with pytest.raises(OSError, match=r"."):
            await serial(port)
        assert "dns" not in place.daemon.rows()


async def test_a_port_that_is_taken_stops_the_start_and_not_a_reload(tmp_path: Path) -> None:
    """With the address and the setting; after a refused reload the old port is still served."""
    with socket.create_server((HERE, 0)) as taken:
        busy, port = int(taken.getsockname()[1]), free_port()
        place = InLoop(tmp_path)
        place.configure(section(place, busy))
        place.write("")
        with pytest.raises(StateError, match=rf"{HERE}:{busy}: another program listens there.*dns\.listen"):
            await place.start()
        place.configure(section(place, port))
        async with place:
            await soon(lambda: place.daemon.upkeep.feed_rows)
            before = await serial(port)
            place.configure(section(place, busy))
            assert "another program listens there" in await place.reload()
            assert await serial(port) == before


async def test_the_last_good_version_is_served_when_the_guard_refuses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also after a restart: the store has it, and it is served before anything new is made."""
    port = free_port()
    place = InLoop(tmp_path)
    place.configure(section(place, port))
    place.write("")
    async with place:
        await soon(lambda: place.daemon.upkeep.feed_rows)
        good = await serial(port)

    def refuse(*_: object) -> None:
        raise FeedRefused("zone is not published: a test says so")

    monkeypatch.setattr(publish, "plan", refuse)
    async with place:
        await soon(lambda: "feeds" in place.daemon.jobs.errors)
        assert await serial(port) == good


async def test_an_upkeep_of_files_that_fails_does_not_hold_transfers_back(tmp_path: Path) -> None:
    """A full or forbidden directory of files is one thing, the zones by DNS another."""
    port = free_port()
    place = InLoop(tmp_path)
    (tmp_path / "file").write_text("not a directory")
    place.configure(section(place, port, f"feeds: {{directory: {tmp_path}/file/feeds}}\n"))
    place.write("")
    async with place:
        await soon(lambda: "feeds" in place.daemon.jobs.errors)
        assert await serial(port) > 0


class Noting:
    """A history that notes when something was stored."""

    def __init__(self) -> None:
        self.kept: dict[Name, Snapshot] = {}

    async def latest_snapshots(self) -> Mapping[Name, Snapshot]:
        return dict(self.kept)

    async def save_snapshots(self, snapshots: Sequence[Snapshot]) -> None:
        self.kept.update((one.zone.name, one) for one in snapshots)

    async def sightings(self, since: float = 0.0) -> Sequence[SightingRow]:
        return []


async def test_a_serial_is_stored_before_it_is_served(tmp_path: Path) -> None:
    """Whoever fetches it right then gets what a restart would serve too; serials grow with the clock set back."""
    history, served = Noting(), []

    async def serve(snapshots: Sequence[Snapshot]) -> None:
        assert all(history.kept[one.zone.name] == one for one in snapshots)
        assert not list(tmp_path.iterdir())  # files and hooks come later
        served.append({one.zone.name: one.serial for one in snapshots})

    await publish.rebuild(WORLDS["one"], None, AT, history, tmp_path, [], serve)
    for path in tmp_path.iterdir():
        path.unlink()
    await publish.rebuild(WORLDS["wildcard"], None, AT - 86400, history, tmp_path, [], serve)
    assert all(served[1][name] == old + 1 for name, old in served[0].items() if name.startswith(("any", "build")))


async def test_history_is_read_so_that_ixfr_survives_a_restart(tmp_path: Path) -> None:
    """A consumer that has the version before the restart gets the difference after it."""
    port = free_port()
    place = InLoop(tmp_path)
    place.configure(section(place, port))
    place.write("")
    async with place:
        await soon(lambda: place.daemon.upkeep.feed_rows)
        old = await serial(port)
    place.configure(section(place, port, "watch: {exclude: [slack-webhook]}\n"))
    async with place:
        await soon(lambda: place.daemon.rows().get(f"feed:{ANY}", {}).get("serial", 0) > old)
        server = place.daemon.primary.server
        assert server
        served = server.responder.zones[ANY]
        assert served.serial > old
        changes = served.ixfr(old)
        assert changes is not None
        assert len(changes) < 20


def test_the_section_of_the_readme_is_a_configuration(tmp_path: Path) -> None:
    """With keys as `tsig-keygen` writes them; each consumer of a known type can be configured from it."""
    readme = (Path(__file__).parent.parent / "README.md").read_text()
    (text,) = re.findall(r"^```yml\n(dns:\n.*?)^```$", readme, re.MULTILINE | re.DOTALL)
    for name in ("k-servers", "k-any"):
        secret = base64.b64encode(b"s" * 32).decode()
        (tmp_path / name).write_text(f'key "{name}" {{\n\talgorithm hmac-sha256;\n\tsecret "{secret}";\n}};\n')
    path = tmp_path / "dnswatch.yaml"
    groups = "clients: {groups: {servers: {networks: [10.0.10.0/24]}}}\n"
    path.write_text(groups + text.replace("/etc/dnswatch", str(tmp_path)))
    loaded = load_policy(path)
    settings = loaded.config.dns
    assert settings
    for consumer in settings.consumers:
        writer = CONSUMERS.get(consumer.type)
        if writer:
            found = subscribe(loaded.config, loaded.policy.groups, consumer, views=writer.has_views, tls=writer.has_tls)
            assert writer.files(found)
    assert Consumers(settings, "rpz.dnswatch.internal").access.keys.keys() == {"k-servers", "k-any"}
