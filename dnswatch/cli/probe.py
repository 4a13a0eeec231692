"""`dnswatch feed probe`: does a resolver answer from the zones that were published last?

Never: changes anything. Read next: ``io/publish/probe.py``.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

import click

from dnswatch.cli.world import world
from dnswatch.config.values import split_listen
from dnswatch.core.feeds.triggers import CANARY_ADDRESS, canaries
from dnswatch.core.model import Snapshot
from dnswatch.errors import EXIT_FAILED, EXIT_OK, Unreachable
from dnswatch.io.publish.probe import ask

MEANING = {
    "live": "answers from this serial",
    "old": "answers from another serial: it has not loaded the last one",
    "none": "does not answer from this zone to this source address",
}


@click.command()
@click.argument("resolver", metavar="ADDRESS[:PORT]")
@click.option("--source", default="", metavar="ADDRESS", help="Ask from this local address: views are chosen by it.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def probe(ctx: click.Context, resolver: str, source: str, as_json: bool) -> None:
    """Ask a resolver whether the published zones are live there.

    A resolver serves each client its group's zone and `exempt`; the others say none. Exit 0: at least one zone is live
    and none is old, 1: not so, 4: the resolver does not answer.
    """
    try:
        host, port = split_listen(resolver if ":" in resolver.rpartition("]")[2] else f"{resolver}:53")
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="ADDRESS[:PORT]") from None
    published = sorted(world(ctx).latest.values(), key=lambda one: one.zone.name)
    if not published:
        click.echo("Nothing has been published yet: `dnswatch feed build`, or `run`, does.", err=True)
        ctx.exit(EXIT_FAILED)
    try:
        states = asyncio.run(_states(host, port, source, published))
    except OSError as error:
        raise Unreachable(str(error) or f"{resolver} does not answer") from None
    if as_json:
        rows: list[dict[str, Any]] = [
            {"zone": one.zone.name, "serial": one.serial, "state": state}
            for one, state in zip(published, states, strict=True)
        ]
        click.echo(json.dumps(rows, indent=2))
    else:
        for one, state in zip(published, states, strict=True):
            click.echo(f"{state:5} {one.zone.name} {one.serial}: {MEANING[state]}")
    ctx.exit(EXIT_OK if "live" in states and "old" not in states else EXIT_FAILED)


async def _states(host: str, port: int, source: str, published: list[Snapshot]) -> list[str]:
    return [await _state(host, port, source, one) for one in published]


async def _state(host: str, port: int, source: str, one: Snapshot) -> str:
    exact, stable = (rule.trigger for rule in canaries(one.zone.audience, one.serial))
    if CANARY_ADDRESS in await ask(host, port, exact, source):
        return "live"
    return "old" if CANARY_ADDRESS in await ask(host, port, stable, source) else "none"
