"""What the `feed` commands look at: the configured policy, who the clients are, what was published last.

Also publishing from here, while no daemon does it. Never: prints results. Read next: ``cli/feed.py``.
"""

from __future__ import annotations

import asyncio
import getpass
import os
import stat
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from dnswatch.cli import config_path
from dnswatch.config.build import load_policy
from dnswatch.config.model import Config
from dnswatch.core.clients.identity import Identity
from dnswatch.core.detect.changes import SightingRow
from dnswatch.core.feeds.publication import plan
from dnswatch.core.feeds.zones import with_decisions
from dnswatch.core.model import Decision, Name, Snapshot
from dnswatch.core.policy import DAY_S, Policy
from dnswatch.errors import StateError
from dnswatch.io.leases import LeaseFiles
from dnswatch.io.lock import StateLock
from dnswatch.io.publish import Hook, Rebuilt, rebuild
from dnswatch.io.store import FILE, Store

IDENTITY = "identity"
"""Kind of the stored engine rows that keep who held which address (``Engine.changes``)."""


@dataclass(frozen=True, slots=True)
class World:
    """Policy as configured now, and what was published last."""

    config: Config
    policy: Policy
    identity: Identity
    latest: Mapping[Name, Snapshot]


def world(ctx: click.Context) -> World:
    """Read the configuration and, if there is a store, what was published and who the clients are."""
    loaded = load_policy(Path(config_path(ctx)))
    identity, latest, decisions = asyncio.run(_stored(loaded.config))
    return World(loaded.config, with_decisions(loaded.policy, decisions), identity, latest)


async def _stored(config: Config) -> tuple[Identity, dict[Name, Snapshot], list[Decision]]:
    path = config.state_dir / FILE
    if not path.exists():
        return await known_clients(None, config), {}, []
    async with await Store.open(path, create=False, readonly=True) as store:
        decisions = await store.decisions(time.time())
        return await known_clients(store, config), await store.latest_snapshots(), decisions


def seen(config: Config, days: float) -> list[SightingRow]:
    """Give the attempts of the last days that the store knows."""

    async def work() -> list[SightingRow]:
        async with await Store.open(path, create=False, readonly=True) as store:
            return list(await store.sightings(time.time() - days * DAY_S))

    path = config.state_dir / FILE
    return asyncio.run(work()) if path.exists() else []


def note(config: Config, what: dict[str, Any]) -> None:
    """Keep for ever what a person ordered, who and when (`feed log`). Without a store there is nobody to keep it."""

    async def work() -> None:
        async with await Store.open(path, create=False) as store:
            await store.record(what, who_asks())

    path = config.state_dir / FILE
    if not path.exists():
        return
    try:
        asyncio.run(work())
    except (StateError, OSError) as error:  # what was ordered is done, or fails by itself
        click.echo(f"`dnswatch feed log` will not show this: {error}", err=True)


def who_asks() -> str:
    """Name the person at the terminal."""
    return os.environ.get("SUDO_USER") or getpass.getuser()


async def known_clients(store: Store | None, config: Config) -> Identity:
    """Give who holds which address: what the daemon stored, and lease files as they are now."""
    identity = Identity()
    if store is not None:
        rows = (await store.load()).rows
        identity.restore({key: row for kind, key, row in rows if kind == IDENTITY})
    await LeaseFiles(config.clients.leases).refresh(identity, time.time())
    return identity


def build_here(config: Config, policy: Policy, *, forced: bool = False, new_epoch: bool = False) -> Rebuilt:
    """Compile, record and write as the daemon would, while none runs.

    ``forced``: limits and impact do not count; ``new_epoch``: serials begin anew.
    """

    async def work() -> Rebuilt:
        async with await Store.open(config.state_dir / FILE) as store:
            identity = await known_clients(store, config)
            now = time.time()  # after leases were read: who is known since then holds an address now
            whole = with_decisions(policy, await store.decisions(now))
            if new_epoch:
                plan(whole, identity, now, {})  # refused: nothing is forgotten
                await store.forget_snapshots()
            return await rebuild(
                whole, identity, now, store, config.feeds_directory, hooks(config), forced=forced or new_epoch
            )

    with StateLock(config.state_dir):
        rebuilt = asyncio.run(work())
    _hand_over(config, rebuilt)
    return rebuilt


def _hand_over(config: Config, rebuilt: Rebuilt) -> None:
    """Give what root made to the owner of its directory: the daemon, as its own user, must go on with it."""
    if os.geteuid() != 0:
        return
    for directory, made in ((config.state_dir, config.state_dir.glob("*")), (config.feeds_directory, rebuilt.written)):
        owner = directory.stat()
        for path in made:
            # The directory belongs to another user, who could have put a link there: only a plain file of one name.
            found = path.lstat()
            if stat.S_ISREG(found.st_mode) and found.st_nlink == 1 and found.st_uid == 0:
                os.chown(path, owner.st_uid, owner.st_gid, follow_symlinks=False)


def hooks(config: Config) -> list[Hook]:
    """Give what the configuration wants to be done after files changed."""
    return [Hook(tuple(entry.run or ()), entry.signal or "", entry.pidfile) for entry in config.feeds.on_change]


def warn(rebuilt: Rebuilt) -> None:
    """Say which hooks failed: the files are right, but a resolver may still serve the old ones."""
    for text in rebuilt.warnings:
        click.echo(f"warning: {text}", err=True)
