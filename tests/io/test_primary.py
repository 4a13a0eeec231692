"""The primary under two publications at once, and when it cannot listen where it did."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Mapping
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

PUBLISHED = plan(WORLDS["one"], None, AT, {}).snapshots


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
