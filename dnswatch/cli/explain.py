"""`dnswatch explain`: why a log line, an alert, or a client's lookup of a name is judged as it is.

Never: judges (``core/detect/explain.py`` tells what the engine says), changes anything. Works without configuration:
then nobody is expected to use anything, and it says so. Read next: ``core/detect/explain.py``.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import click

from dnswatch.cli import DEFAULT_CONFIG
from dnswatch.core.clients.who import parse_address
from dnswatch.core.names import from_escaped
from dnswatch.errors import DnswatchError, StateError

if TYPE_CHECKING:
    from dnswatch.config.model import Config
    from dnswatch.core.detect.engine import Engine
    from dnswatch.core.detect.explain import Explanation
    from dnswatch.core.model import Alert

_ALERT_ID = re.compile(r"[A-Za-z2-7]{6,26}\Z")
"""An alert id or the beginning of one: base32. Six characters are one of a thousand million."""


@dataclass(frozen=True, slots=True)
class World:
    """What explanations rest on: an engine with policy and history, and where alerts are stored."""

    engine: Engine
    store: Path | None


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("what", nargs=-1, required=True, metavar="LINE | ALERT | CLIENT NAME")
@click.option("--type", "format_name", metavar="FORMAT", help="Format of the log line (default: detected).")
@click.option("--timezone", metavar="ZONE", default="UTC", show_default=True, help="Zone of stamps without one.")
@click.option("--qtype", metavar="TYPE", default="A", show_default=True, help="Query type, for CLIENT NAME.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def command(
    ctx: click.Context, what: tuple[str, ...], format_name: str | None, timezone: str, qtype: str, as_json: bool
) -> None:
    """Explain a log line, an alert, or what CLIENT asking for NAME would mean.

    \b
    dnswatch explain 'client @0x7f 10.1.2.3#4711 (api.telegram.org): query: api.telegram.org IN A + (10.0.0.53)'
    dnswatch explain RGRG2RDFYB            an alert id, or its beginning
    dnswatch explain 10.1.2.3 api.telegram.org
    dnswatch explain - < line.txt
    """
    from dnswatch.core.detect import explain

    world = _world(ctx)
    explanation = _explain(world, what, format_name, timezone, qtype)
    if as_json:
        click.echo(json.dumps(explain.to_plain(explanation), indent=2))
        return
    from dnswatch.core.alerts.text import printable

    for line in explain.to_text(explanation).split("\n"):
        click.echo(printable(line))


def _explain(world: World, what: tuple[str, ...], format_name: str | None, zone: str, qtype: str) -> Explanation:
    """Find out what is asked about."""
    if len(what) == 2 and parse_address(what[0]) is not None:
        return _lookup(world, what[0], what[1], qtype)
    if len(what) == 1 and _ALERT_ID.match(what[0]):
        return _alert(world, what[0].upper())
    if what == ("-",):
        return _line(world, sys.stdin.buffer.readline().rstrip(b"\r\n"), format_name, zone)
    return _line(world, os.fsencode(" ".join(what)), format_name, zone)


def _lookup(world: World, address: str, name: str, qtype: str) -> Explanation:
    from dnswatch.core.detect import explain

    client, qname = parse_address(address), from_escaped(os.fsencode(name.removesuffix(".") or "."))
    if qname is None:
        raise click.UsageError(f"{name!r} is not a DNS name")
    return explain.lookup(world.engine, str(client), qname, qtype.upper(), time.time())


def _line(world: World, raw: bytes, format_name: str | None, zone: str) -> Explanation:
    """Parse a line as the daemon would, and explain what it says."""
    from dnswatch.core.detect import explain
    from dnswatch.core.logs.formats import detect
    from dnswatch.core.logs.parsers import PARSERS, Answering
    from dnswatch.core.logs.timestamps import Stamps
    from dnswatch.core.model import Query, Verdict

    found = format_name or detect(raw)
    if found is None:
        known = ", ".join(PARSERS)
        raise DnswatchError(f"this is no line of a known format ({known}), no alert id, and no CLIENT NAME pair; "
                            "--type reads it as one format and says what is wrong")  # fmt: skip
    if found not in PARSERS:
        raise click.UsageError(f"unknown format {found!r} (one of {', '.join(PARSERS)})")
    try:
        stamps = Stamps(ZoneInfo(zone), time.time())
    except (ZoneInfoNotFoundError, ValueError):
        raise click.UsageError(f"unknown time zone {zone!r} (write it like Europe/Berlin)") from None
    parser = PARSERS[found](stamps)
    event = parser.parse(raw, 0)
    step = explain.line(found, raw, event)
    if not isinstance(event, Query | Verdict) or not event.client:
        return (step,)
    verdict = event if isinstance(event, Verdict) else None
    if isinstance(event, Query) and isinstance(parser, Answering):
        verdict = parser.verdict(event)
    return (step, *explain.lookup(world.engine, event.client, event.qname, event.qtype, event.at, verdict))


def _alert(world: World, prefix: str) -> Explanation:
    from dnswatch.core.detect import explain

    if world.store is None:
        raise StateError(f"{prefix} looks like an alert id, but there is no store of a daemon that you may read; "
                         "another configuration is named with --config FILE")  # fmt: skip
    found = asyncio.run(_stored_alert(world.store, prefix))
    return explain.alert(found, world.engine.policy)


async def _stored_alert(path: Path, prefix: str) -> Alert:
    from dnswatch.io.store import Store

    store = await Store.open(path, create=False, readonly=True)
    try:
        ids = await store.alert_ids(prefix)
        if not ids:
            raise DnswatchError(f"no alert has an id that begins with {prefix}: see `dnswatch alerts list`")
        if len(ids) > 1:
            raise DnswatchError(f"several alerts begin with {prefix}: {', '.join(ids)}")
        found = await store.alert(ids[0])
        assert found is not None  # its id was there in the same store a moment ago, and `prune` only comes with age
        return found
    finally:
        await store.close()


# ── What is known ─────────────────────────────────────────────────────────────────────────────────────────────


def _world(ctx: click.Context) -> World:
    """Load policy and history; without a configuration the core catalogue, with nobody expected."""
    from dnswatch.core.detect.engine import Engine

    chosen = Path(ctx.obj or DEFAULT_CONFIG)
    if not ctx.obj and not os.access(chosen, os.R_OK):
        from dnswatch.config.catalogue import load_catalogue
        from dnswatch.core.clients.expectations import Expectations
        from dnswatch.core.clients.groups import Groups
        from dnswatch.core.policy import Policy

        why = "is not readable for you" if chosen.exists() else "does not exist"
        click.echo(f"{chosen} {why}: the core catalogue is watched and nobody is expected to use it", err=True)
        return World(Engine(Policy(load_catalogue().select("core"), Groups(), Expectations())), None)

    from dnswatch.config.build import load_policy

    loaded = load_policy(chosen)
    engine = Engine(loaded.policy)
    store = _readable_store(loaded.config.state_dir)
    if store is not None:
        engine.restore(asyncio.run(_rows(store)))
    _learn_leases(engine, loaded.config)
    return World(engine, store)


def _learn_leases(engine: Engine, config: Config) -> None:
    from dnswatch.io.leases import LeaseFiles

    asyncio.run(LeaseFiles(config.clients.leases).refresh(engine.identity, time.time()))


def _readable_store(state_dir: Path) -> Path | None:
    """Give the daemon's store when there is one that this user may read."""
    from dnswatch.io.store import FILE

    path = state_dir / FILE
    if os.access(path, os.R_OK):
        return path
    try:
        why = "is not readable for you" if path.exists() else "does not exist yet"
    except PermissionError:  # of the directory
        why = "is not readable for you"
    click.echo(f"{path} {why}: explaining without history", err=True)
    return None


async def _rows(path: Path) -> list[tuple[str, str, dict[str, Any]]]:
    from dnswatch.io.store import Store

    store = await Store.open(path, create=False, readonly=True)
    try:
        return (await store.load()).rows
    finally:
        await store.close()
