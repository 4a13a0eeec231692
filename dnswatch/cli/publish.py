"""`dnswatch feed publish`: publish now, if need be in spite of the limits, or with serials that begin anew.

Never: publishes a record that breaks a resolver, however it is forced. Read next: ``core/feeds/guard.py``.
"""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import click

from dnswatch.cli.world import build_here, note, warn, who_asks, world
from dnswatch.core.feeds.publication import plan
from dnswatch.errors import EXIT_FAILED, StateError
from dnswatch.io.lock import request_reload, running_pid
from dnswatch.io.store import FILE, Store


@click.command()
@click.option("--force", is_flag=True, help="In spite of limits on change and of impact; needs --because.")
@click.option("--new-epoch", is_flag=True, help="Begin serials anew after one from a wrong clock; needs --because.")
@click.option("--because", metavar="TEXT", help="Why, kept with your name and the time.")
@click.pass_context
def publish(ctx: click.Context, force: bool, new_epoch: bool, because: str | None) -> None:
    """Publish now what `feed diff` shows, or say why the guard refuses it.

    --force never lets through what breaks a resolver, a protected name or an expected one: those are settled in the
    policy. --new-epoch forgets all versions and serials, while dnswatch is stopped; every consumer must then be told to
    transfer anew, for it ignores a lower serial: BIND `rndc retransfer ZONE`, Unbound `unbound-control
    auth_zone_transfer ZONE`, PowerDNS by itself.
    """
    if (force or new_epoch) and not because:
        raise click.UsageError(f"{'--force' if force else '--new-epoch'} needs --because TEXT")
    now = world(ctx)
    config = now.config
    running = running_pid(config.state_dir) is not None
    if new_epoch and running:
        raise StateError(f"dnswatch runs on {config.state_dir} and serves the versions that would be forgotten: stop "
                         "it, then begin the new epoch, then start it")  # fmt: skip
    plan(now.policy, now.identity, time.time(), {} if new_epoch else now.latest, forced=force)  # raises FeedRefused
    if force or new_epoch:
        note(config, {"kind": "feed publish", "force": force, "new_epoch": new_epoch, "because": because})
    if running:
        if force:
            asyncio.run(_order({"force": True, "because": because, "by": who_asks()}, config.state_dir / FILE))
        request_reload(config.state_dir)
        click.echo("The running daemon was asked to publish.")
        return
    rebuilt = build_here(config, now.policy, forced=force, new_epoch=new_epoch)
    for one in rebuilt.publication.changed:
        click.echo(f"{one.zone.name} {one.serial}")
    click.echo(f"{len(rebuilt.publication.changed)} zones have a new version.", err=True)
    if new_epoch:
        click.echo("Serials begin anew. Tell every consumer to transfer each zone: rndc retransfer ZONE; "
                   "unbound-control auth_zone_transfer ZONE.", err=True)  # fmt: skip
    warn(rebuilt)
    if rebuilt.warnings:
        ctx.exit(EXIT_FAILED)


async def _order(what: dict[str, object], path: Path) -> None:
    async with await Store.open(path, create=False) as store:
        await store.order(what)
