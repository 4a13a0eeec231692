"""`dnswatch db`: look after the store: check it, copy it, bring it up to date, delete what is past its retention.

Never: writes while a daemon runs, which owns the store and prunes it by itself every night. Read next:
``io/store/care.py``.
"""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path

import click

from dnswatch.cli.state import state_dir
from dnswatch.errors import EXIT_FAILED, NeverRan
from dnswatch.io.housekeeping import ALERTS_DAYS, DAY_S, SIGHTINGS_DAYS, SNAPSHOTS
from dnswatch.io.lock import StateLock
from dnswatch.io.store import FILE, Store
from dnswatch.io.store.care import copy, faults, layout
from dnswatch.io.store.schema import VERSION
from dnswatch.io.store.upgrade import Upgraded, upgrade


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def command() -> None:
    """Check, copy, upgrade and prune the store."""


def _path(ctx: click.Context) -> Path:
    path = state_dir(ctx) / FILE
    if not path.exists():
        raise NeverRan(f"{path} does not exist: nothing has ever run with this state_dir")
    return path


@command.command("check")
@click.pass_context
def check(ctx: click.Context) -> None:
    """Read the whole store and say whether it is sound. Exit 1: it is not."""
    path = _path(ctx)
    found = faults(path)
    if not found and (known := layout(path)) is not None and known < VERSION:
        click.echo(
            f"{path} is sound, but of the older layout {known}; this version uses {VERSION}. Bring it up to date: "
            "dnswatch db upgrade (a backup is made first), or dnswatch run, which does so by itself."
        )
        ctx.exit(EXIT_FAILED)
    if not found:
        asyncio.run(_readable(path))
        click.echo(f"{path} is sound.")
        return
    for text in found:
        click.echo(f"{path}: {text}")
    click.echo(
        "Stop dnswatch, move the file away and put a backup in its place (dnswatch db backup makes them); "
        "without one a new store is made: sources are read from where `from` says, and learning starts again.",
        err=True,
    )
    ctx.exit(EXIT_FAILED)


async def _readable(path: Path) -> None:
    async with await Store.open(path, create=False, readonly=True):
        pass


@command.command("backup")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.pass_context
def backup(ctx: click.Context, file: Path) -> None:
    """Write a consistent copy of the store to FILE; the daemon may go on meanwhile."""
    size = copy(_path(ctx), file)
    click.echo(f"{file}: {size / 1024:.0f} KiB. To restore it: stop dnswatch, put it in place of {FILE}, delete "
               f"{FILE}-wal and {FILE}-shm, start.")  # fmt: skip


@command.command("upgrade")
@click.pass_context
def upgrade_command(ctx: click.Context) -> None:
    """Bring the store of an older dnswatch up to date, after a backup beside it; `dnswatch run` does so by itself."""
    path = _path(ctx)

    async def work() -> Upgraded | None:
        done = await upgrade(path)
        if done is None:
            await _readable(path)  # says what is wrong with it
        return done

    with StateLock(path.parent):
        done = asyncio.run(work())
    if done is None:
        click.echo(f"{path} is of layout {VERSION}: there is nothing to do.")
    else:
        click.echo(f"{path} was of layout {done.before} and is of layout {done.after} now. As it was: {done.backup}")


@command.command("prune")
@click.option("--alerts-days", type=click.IntRange(1), default=ALERTS_DAYS, show_default=True,
              help="Keep closed alerts last seen in so many days.")  # fmt: skip
@click.option("--sightings-days", type=click.IntRange(1), default=SIGHTINGS_DAYS, show_default=True,
              help="Keep attempts of so many days.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def prune(ctx: click.Context, alerts_days: int, sightings_days: int, as_json: bool) -> None:
    """Delete closed alerts and attempts that are older than their retention; a running daemon does so every night."""
    path = _path(ctx)

    async def work() -> dict[str, int]:
        async with await Store.open(path, create=False) as store:
            now = time.time()
            gone = await store.prune(now - alerts_days * DAY_S, now - sightings_days * DAY_S)
            await store.prune_snapshots(SNAPSHOTS)
            return gone

    with StateLock(path.parent):
        gone = asyncio.run(work())
    if as_json:
        click.echo(json.dumps(gone))
        return
    click.echo(
        "Removed " + (", ".join(f"{count} of {table}" for table, count in gone.items() if count) or "nothing") + "."
    )
