"""`dnswatch feed promote`: from shadow to enforce (or back), after showing what that does to whom.

The measure is twofold: alerts whose rewrites were read back from the resolver's log, and our own zones replayed over
the attempts that were seen. Never: changes a file that a person wrote; the mode stands in a part of its own,
``conf.d/90-feeds-mode.yaml``. Read next: ``core/feeds/impact.py``.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from dnswatch.cli import config_path
from dnswatch.cli.world import World, build_here, note, warn, world
from dnswatch.config.build import load_policy
from dnswatch.config.edit import only_writer, part, render_part, write_part
from dnswatch.config.values import time_text
from dnswatch.core.clients.expectations import describe
from dnswatch.core.detect.changes import SightingRow
from dnswatch.core.feeds.impact import Hit, replay
from dnswatch.core.feeds.zones import compile_everyone, with_mode
from dnswatch.core.model import Alert
from dnswatch.errors import EXIT_FAILED, FeedRefused
from dnswatch.io.lock import request_reload
from dnswatch.io.store import FILE, Store
from dnswatch.io.store.book import Wanted

PART = "90-feeds-mode.yaml"
WRITER = "dnswatch feed promote"
DAY_S = 86400.0
SHOWN = 20
"""Rows of a table that a person reads before deciding; the rest is counted, and in --json."""


@dataclass(frozen=True, slots=True)
class Measured:
    """What the store knows about the effect of enforcing."""

    alerts: tuple[Alert, ...]  # whose rewrite in shadow mode was read back from the resolver's log
    hits: tuple[Hit, ...]  # attempts that the zones of now would have blocked
    attempts: int  # that were looked at


@click.command("promote")
@click.option("--to", "mode", type=click.Choice(["enforce", "shadow"]), default="enforce", show_default=True)
@click.option("--days", type=click.IntRange(1, 366), default=30, show_default=True, help="How far to look back.")
@click.option("--dry-run", is_flag=True, help="Show the effect and change nothing.")
@click.option("--force", is_flag=True, help="Promote although an expected client would be blocked; needs --because.")
@click.option("--because", metavar="TEXT", help="Why, kept beside the setting.")
@click.option("--json", "as_json", is_flag=True, help="Print the effect as JSON.")
@click.pass_context
def promote(
    ctx: click.Context, mode: str, days: int, dry_run: bool, force: bool, because: str | None, as_json: bool
) -> None:
    """Show what enforcing would block for whom, then switch the feeds' mode and publish."""
    if force and not because:
        raise click.UsageError("--force needs --because TEXT: say why an expected client may be blocked")
    now = world(ctx)
    if mode == "enforce":
        measured = asyncio.run(_measure(now, days))
        click.echo(json.dumps(_plain(now, measured, days), indent=2)) if as_json else _show(now, measured, days)
        expected = [hit for hit in measured.hits if hit.expected and not hit.ordered]
        if expected and not force:
            raise FeedRefused(f"not promoted: {_count(len(expected), 'expected client')} would be blocked, see above. "
                              "Expect them by group or address, or use --force --because TEXT")  # fmt: skip
    if dry_run:
        return
    if now.policy.feeds.mode == mode:
        click.echo(f"feeds.mode is {mode} already.", err=as_json)
        return
    main, before = Path(config_path(ctx)), now.policy.feeds.mode
    with only_writer(main):
        path = part(main, PART)
        text = _text(mode, before, because)
        loaded = load_policy(main, overlay={path: text})
        if loaded.policy.feeds.mode != mode:
            raise click.UsageError(f"a later file of conf.d than {PART} sets feeds.mode: {loaded.policy.feeds.mode}")
        write_part(main, path, text)
    click.echo(f"feeds.mode: {before} -> {mode} ({path}).", err=as_json)
    order = {"kind": "feed promote", "what": mode, "before": before, "force": force, "because": because or ""}
    note(loaded.config, order)
    if request_reload(loaded.config.state_dir):
        click.echo("The running daemon was asked to reload: it publishes the zones with new serials.", err=as_json)
        return
    rebuilt = build_here(loaded.config, loaded.policy)
    click.echo(f"No daemon runs on {loaded.config.state_dir}: {_count(len(rebuilt.written), 'file')} written now.",
               err=as_json)  # fmt: skip
    warn(rebuilt)
    if rebuilt.warnings:
        ctx.exit(EXIT_FAILED)


def _text(mode: str, before: str, because: str | None) -> str:
    """Write the part, and who said so why."""
    when = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    why = f": {' '.join(because.split())}" if because else ""
    return render_part({"feeds": {"mode": mode}}, WRITER) + f"# {when} {before} -> {mode}{why}\n"


async def _measure(now: World, days: int) -> Measured:
    path = now.config.state_dir / FILE
    if not path.exists():
        return Measured((), (), 0)
    at = time.time()
    async with await Store.open(path, create=False, readonly=True) as store:
        alerts = await store.alerts(Wanted(since=at - days * DAY_S))
        rows: Sequence[SightingRow] = await store.sightings(at - days * DAY_S)
    shadowed = tuple(alert for alert in alerts if alert.outcome == "would-block")
    hits = replay(now.policy, now.identity, at, rows)
    return Measured(shadowed, hits, sum(row.count for row in rows))


def _show(now: World, measured: Measured, days: int) -> None:
    if not measured.attempts:
        click.echo(f"Nothing was measured: no attempt was seen in the last {days} days.")
    else:
        click.echo(f"Last {days} days: {_count(measured.attempts, 'attempt')} seen; enforcing would have blocked "
                   f"{_count(sum(hit.count for hit in measured.hits), 'attempt')} of "
                   f"{_count(len({hit.client.address for hit in measured.hits}), 'client')}; the resolver's own log "
                   f"confirms {_count(len(measured.alerts), 'alert')} as would-block.")  # fmt: skip
    for hit in measured.hits[:SHOWN]:
        mark = "unexpected" if not hit.expected else "as ordered" if hit.ordered else "EXPECTED"
        click.echo(f"  {mark:10}  {describe(hit.client)}  {hit.service}  {_count(hit.count, 'attempt')}, "
                   f"last {time_text(int(hit.last_at))}: {', '.join(hit.names[:3])}")  # fmt: skip
    if len(measured.hits) > SHOWN:
        click.echo(f"  … and {len(measured.hits) - SHOWN} more (--json lists all)")
    for text in _unmeasured(now):
        click.echo(text)


def _unmeasured(now: World) -> list[str]:
    """Say of which consumers no log tells what they would have blocked."""
    listed = compile_everyone(with_mode(now.policy, "enforce"), time.time())
    blocked = sum(rule.action != "passthru" for rule in listed.rules)
    found = [f"dnsmasq, where it is used: {_count(blocked, 'rule')} for every client alike. It cannot log what it "
             "would block, so nothing was measured there."]  # fmt: skip
    consumers = now.config.dns.consumers if now.config.dns is not None else []
    if "powerdns" in {*(one.type for one in now.config.sources), *(one.type for one in consumers)}:
        found.append("PowerDNS logs no policy hit by itself: measured there only with the Lua hook of docs/sources.md.")
    others = [one.name for one in consumers if one.type == "other"]
    others += [one.name for one in now.config.feeds.resolvers if one.type in ("knot", "dnsdist")]
    if others:
        found.append(f"{', '.join(others)}: no log tells what such a resolver (Knot, dnsdist) would have blocked, so "
                     "nothing was measured there.")  # fmt: skip
    return found


def _count(number: int, what: str) -> str:
    return f"{number} {what}" + ("" if number == 1 else "s")


def _plain(now: World, measured: Measured, days: int) -> dict[str, Any]:
    return {
        "days": days,
        "attempts": measured.attempts,
        "would_block_alerts": [
            {"id": a.id, "client_ip": a.client.address, "client_group": a.client.group, "service": a.service,
             "count": a.count, "last_seen": time_text(a.last_at)}
            for a in measured.alerts
        ],
        "would_block": [
            {"client_ip": h.client.address, "client_name": h.client.name, "client_group": h.client.group,
             "service": h.service, "qnames": list(h.names), "count": h.count, "last_seen": time_text(h.last_at),
             "expected": h.expected, "ordered": h.ordered}
            for h in measured.hits
        ],
        "unmeasured": _unmeasured(now),
    }  # fmt: skip
