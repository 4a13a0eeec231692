"""The primary under two publications at once, when it cannot listen where it did, and at the end."""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from dnswatch.config.load import load
from dnswatch.config.model import Config
from dnswatch.core.feeds.publication import plan
from dnswatch.core.model import Name, Snapshot
from dnswatch.errors import StateError
from dnswatch.io.primary import Primary
from tests.core.feed_worlds import AT, WORLDS
from tests.io.certificates import certificates, needs_openssl
from tests.running import Running

PUBLISHED = plan(WORLDS["one"], None, AT, {}).snapshots


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


class Slow:
    """A history that lets others run while it is read."""

    def __init__(self) -> None:
        self.first = True

    async def latest_snapshots(self) -> Mapping[Name, Snapshot]:
        return {}

    async def snapshots(self, zone: Name, most: int = 50) -> list[Snapshot]:
        if self.first:
            self.first = False
            await asyncio.sleep(0.05)
        return []


class Deaf:
    """Nobody to tell."""

    def report(self, kind: str, subject: str, text: str, at: float | None = None) -> None:
        pass

    def clear(self, kind: str, subject: str, text: str = "") -> None:
        pass


def configuration(place: Path, port: int) -> Config:
    path = place / "dnswatch.yaml"
    path.write_text(f"state_dir: {place}\ndns: {{listen: '127.0.0.1:{port}'}}\n")
    return load(path)


async def test_the_newer_of_two_publications_at_once_is_served(tmp_path: Path) -> None:
    """The first one waits for the store, the second does not, and the first one must not win in the end."""
    primary = Primary(Slow(), Deaf())
    await primary.configure(configuration(tmp_path, 0))
    newer = [replace(one, serial=one.serial + 1) for one in PUBLISHED]
    try:
        await asyncio.gather(primary.publish(PUBLISHED), primary.publish(newer))
        await primary.publish(PUBLISHED)  # one that comes late altogether
        assert set(primary.rows()["dns"]["zones"].values()) == {newer[0].serial}
    finally:
        await primary.stop()


async def test_a_server_that_cannot_come_back_is_started_by_the_next_reload(tmp_path: Path) -> None:
    """Neither the new address nor the old one is free: nothing is served, and a reload with the old settings tries."""
    primary = Primary(Slow(), Deaf())
    with socket.create_server(("127.0.0.1", 0)) as taken:
        busy = taken.getsockname()[1]
        await primary.configure(configuration(tmp_path, 0))
        assert primary.server is not None

        async def fails(*_: object) -> None:
            raise StateError("the port was taken meanwhile")

        primary.server.start = fails  # type: ignore[method-assign]
        with pytest.raises(StateError):
            await primary.configure(configuration(tmp_path, busy))
        assert primary.server is None
    try:
        await primary.configure(configuration(tmp_path, 0))
        assert primary.server is not None
        assert primary.server.addresses
    finally:
        await primary.stop()


async def test_a_consumer_that_has_what_was_published_meanwhile_is_not_ahead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Asking takes time; only what is newer than the version served afterwards was never published by this store."""
    primary = Primary(Slow(), Deaf())
    await primary.configure(configuration(tmp_path, 0))
    await primary.publish(PUBLISHED)
    zone = next(one for one in PUBLISHED if one.zone.audience == "any")
    shown: list[int] = []

    async def look(world: object) -> None:
        await primary.publish([replace(one, serial=one.serial + 5) for one in PUBLISHED])
        primary.canary.ahead = {zone.zone.name: zone.serial + shown[-1]}

    monkeypatch.setattr(primary.canary, "look", look)
    for has, ahead in ((5, {}), (6, {zone.zone.name: zone.serial + 6})):
        shown.append(has)
        await primary.look()
        assert primary.canary.ahead == ahead
    await primary.stop()


@needs_openssl
def test_the_end_waits_for_no_connection(tmp_path: Path) -> None:
    """Idle ones, handshakes that never begin or never end, half a request: SIGTERM ends the process all the same."""
    made, tls = certificates(), free_port()
    more = (f"dns: {{listen: '127.0.0.1:0', tls: {{listen: '127.0.0.1:{tls}', cert: {made.cert('server')}, "
            f"key: {made.key('server')}}}}}\n")  # fmt: skip
    running = Running(tmp_path, more)
    running.write("")
    with running, ExitStack() as open_:
        plain = int(re.findall(r"zones on 127\.0\.0\.1:(\d+) \(UDP", running.said())[0])
        context = ssl.create_default_context(cafile=str(made.ca))
        for port in (plain, tls):
            for sent in (b"", b"\x00\x40half", b"\x16\x03\x01\x02\x00\x01\x00"):  # the last: how a handshake begins
                one = open_.enter_context(socket.create_connection(("127.0.0.1", port)))
                one.sendall(sent)
        idle = open_.enter_context(socket.create_connection(("127.0.0.1", tls)))
        open_.enter_context(context.wrap_socket(idle, server_hostname="127.0.0.1"))
        begun = time.monotonic()
        assert running.stop() == 0, running.said()
        assert time.monotonic() - begun < 10
