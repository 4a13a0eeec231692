"""`dnswatch feed quarantine`: cut single clients off from every name, let them back, see who is cut off and why.

By hand it stands in ``conf.d/90-feeds.yaml``; what dnswatch decided by itself is in its store, and `remove` lifts it.
Never: cuts off forwarders, resolvers, this host. Read next: ``core/feeds/clients.py``.
"""

from __future__ import annotations

import asyncio
import json
import time
from ipaddress import ip_network
from typing import Any

import click

from dnswatch.cli.part import add_entry, entry_end, remove_entries, tell_feeds
from dnswatch.cli.tables import print_table
from dnswatch.cli.world import note, who_asks, world
from dnswatch.config.build import Loaded
from dnswatch.config.model import Config
from dnswatch.core.clients.expectations import until_text
from dnswatch.core.clients.who import parse_who
from dnswatch.core.feeds.clients import CUT_OFF, isolated, never_cut_off
from dnswatch.io.lock import running_pid
from dnswatch.io.store import FILE, Store


@click.group()
def quarantine() -> None:
    """Cut clients off from every name: the first zone of every resolver, before all exemptions."""


@quarantine.command("add")
@click.argument("who", nargs=-1, required=True)
@click.option("--because", required=True, metavar="TEXT", help="Why.")
@click.option("--owner", default="", metavar="NAME", help="Who answers for it.")
@click.option("--until", metavar="DATE", help="Last day (UTC) or an RFC 3339 time.")
@click.option("--for", "lasting", metavar="DURATION", help="How long from now, such as 12h or 7d.")
@click.pass_context
def add(
    ctx: click.Context, who: tuple[str, ...], because: str, owner: str, until: str | None, lasting: str | None
) -> None:
    """Cut off each WHO (address, small network, name:HOST, mac:ADDRESS)."""
    members = [_who(text) for text in who]
    entry: dict[str, Any] = {"who": members, "because": because}
    entry |= {"owner": owner} if owner else {}
    ending = entry_end(until, lasting)
    entry |= {"until": ending} if ending else {}

    def check(loaded: Loaded) -> None:
        for text in members:
            member = parse_who(text)
            why = (
                never_cut_off(loaded.policy, ip_network(member.value))
                if member.kind in ("address", "network")
                else None
            )
            if why is not None:
                raise click.UsageError(f"{text} is not cut off: {why.text}")

    config = add_entry(ctx, ("quarantine", "clients"), entry, check)
    click.echo(f"Cut off{f' until {ending}' if ending else ''}: {', '.join(members)}.")
    if config.feeds.mode == "shadow":
        click.echo("note: feeds.mode is shadow, where nobody is cut off: it counts from `dnswatch feed promote` on.",
                   err=True)  # fmt: skip
    note(config, {"kind": "feed quarantine add", **entry})
    tell_feeds(ctx, config)


@quarantine.command("remove")
@click.argument("who")
@click.option("--because", default="", metavar="TEXT", help="Why, for the record.")
@click.pass_context
def remove(ctx: click.Context, who: str, because: str) -> None:
    """Let WHO back: take it out of every entry written by command, and lift what dnswatch decided."""
    member = _who(who)

    def left(_: int, entry: dict[str, Any]) -> dict[str, Any] | None:
        listed = entry["who"] if isinstance(entry["who"], list) else [entry["who"]]
        others = [text for text in listed if _who(text) != member]
        return entry if len(others) == len(listed) else {**entry, "who": others} if others else None

    gone, config = remove_entries(ctx, ("quarantine", "clients"), left)
    decided = asyncio.run(_lift(config, member, because))
    if not gone and not decided:
        raise click.UsageError(f"{member} is cut off by no command and no decision: see `feed quarantine list`; what a "
                               "person wrote into a file is edited there")  # fmt: skip
    click.echo(f"No longer cut off: {member}.")
    note(config, {"kind": "feed quarantine remove", "who": member, "because": because})
    if gone:
        tell_feeds(ctx, config)
    if decided and running_pid(config.state_dir) is None:
        click.echo("What dnswatch decided is lifted when it runs again.")


@quarantine.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def list_command(ctx: click.Context, as_json: bool) -> None:
    """List who is cut off, why and until when, and who is not in spite of an entry."""
    now = world(ctx)
    shadow = now.policy.feeds.mode != "enforce"
    rows = [
        {"network": str(one.network), "who": one.by or None, "by": "hand" if one.by else "dnswatch",
         "because": one.because.text, "until": until_text(one.until) if one.until is not None else None,
         "cut_off": one.kept is None and not shadow,
         "kept": one.kept.text if one.kept else f"feeds.mode is {now.policy.feeds.mode}" if shadow else None}
        for one in isolated(now.policy, now.identity, time.time())
    ]  # fmt: skip
    if as_json:
        click.echo(json.dumps(rows, indent=2, ensure_ascii=False))
    elif rows:
        print_table(("CLIENT", "BY", "BECAUSE", "UNTIL", "STATE"), [
            (str(r["network"]), str(r["by"]), str(r["because"]), str(r["until"] or "-"),
             "cut off" if r["cut_off"] else f"not cut off: {r['kept']}") for r in rows
        ])  # fmt: skip
    else:
        click.echo("Nobody is cut off.", err=True)


async def _lift(config: Config, member: str, because: str) -> bool:
    """Ask the engine to end its decision on the client; False when there is none."""
    path = config.state_dir / FILE
    if not path.exists():
        return False
    async with await Store.open(path, create=False) as store:
        known = await store.decisions(time.time())
        if not any(one.action == CUT_OFF and one.trigger == member for one in known):
            return False
        await store.ask({"kind": "lift", "alert": f"{CUT_OFF} {member}", "note": because}, who_asks())
        return True


def _who(text: str) -> str:
    try:
        found = parse_who(text)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="WHO") from None
    if found.kind == "group":
        raise click.BadParameter(f"{text} is a group: a quarantine is for single clients", param_hint="WHO")
    return str(found)
