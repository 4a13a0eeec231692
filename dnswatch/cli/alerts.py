"""`dnswatch alerts`: list, export, show one with everything that is known, acknowledge and close.

Never: changes an alert itself; `ack` and `close` leave an action that the daemon applies at its next checkpoint (or
when it starts). Read next: ``alert_page.py``.
"""

from __future__ import annotations

import asyncio
import getpass
import os
import socket
import sys
import time
from collections.abc import Callable, Coroutine
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from dnswatch import __version__
from dnswatch.cli import config_path
from dnswatch.cli.alert_page import SHORT_ID, Page, plain, what, who_in_short
from dnswatch.cli.state import called, state_dir
from dnswatch.cli.tables import counted, print_json, print_table, time_text
from dnswatch.config.load import read
from dnswatch.config.values import duration, instant
from dnswatch.core.alerts import FORMATS, Context, render
from dnswatch.core.alerts.flat import BLIND_SPOT, who
from dnswatch.core.model import SEVERITIES, Alert
from dnswatch.errors import EXIT_FAILED, ConfigError, DnswatchError
from dnswatch.io.around import Around, read_around
from dnswatch.io.lock import running_pid
from dnswatch.io.log import escaped

if TYPE_CHECKING:
    from dnswatch.core.alerts.triage import Triage
    from dnswatch.core.catalog import Catalog
    from dnswatch.io.store import Asked, Store

STATES = ("open", "acknowledged", "snoozed", "closed")
APPLIED_S = 5.0
"""The daemon applies an action within a second; it is busy when that takes longer."""

OTHERS = 5
"""Other alerts of the client that its page names: what came before and after says most about an incident."""

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])


def _filters(function: F) -> F:
    """Add the options that say which alerts are meant."""
    for option in (
        click.option("--state", "states", multiple=True, type=click.Choice(STATES), help="Only this; repeatable."),
        click.option("--service", default="", metavar="SERVICE", help="Service or category."),
        click.option("--client", default="", metavar="WHO", help="Address, name or group."),
        click.option("--severity", type=click.Choice(SEVERITIES), default="info", help="At least this severity."),
        click.option("--since", metavar="TIME", help="Last seen since: 24h, 7d, a date or an RFC 3339 time."),
    ):
        function = option(function)
    return function


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def command() -> None:
    """List and show alerts, acknowledge and close them. An id may be cut, as long as it is unique."""


@command.command("list")
@_filters
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="At most N, the last seen ones.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def list_command(
    ctx: click.Context, since: str | None, severity: Any, client: str, service: str, states: tuple[str, ...],
    limit: int | None, as_json: bool,
) -> None:  # fmt: skip
    """List alerts, the last seen first."""
    from dnswatch.io.store import Wanted

    wanted = Wanted(_since(since), severity, client, service, states, limit)
    alerts = _ask(ctx, lambda store: store.alerts(wanted))
    if as_json:
        print_json([plain(one) for one in alerts])
        return
    rows = [
        (one.id[:SHORT_ID], time_text(one.last_at), one.severity, str(one.score), who_in_short(one),
         one.client.group or "-", one.service, str(one.count), one.state, one.outcome, what(one))
        for one in alerts
    ]  # fmt: skip
    print_table(("ID", "LAST SEEN", "SEVERITY", "SCORE", "CLIENT", "GROUP", "SERVICE", "COUNT", "STATE", "OUTCOME",
                 "NAME"), rows, severity=2)  # fmt: skip
    click.echo(f"{counted(len(rows), 'alert')}.", err=True)


@command.command("export")
@_filters
@click.option("--format", "form", type=click.Choice(list(FORMATS)), default="json", help="[default: json]")
@click.option("--revisions", is_flag=True, help="Every revision instead of the last one of each alert.")
@click.pass_context
def export(
    ctx: click.Context, since: str | None, severity: Any, client: str, service: str, states: tuple[str, ...],
    form: str, revisions: bool,
) -> None:  # fmt: skip
    """Write alerts as a sink would, oldest first, one a line: to fill a SIEM, to hand over a case."""
    from dnswatch.io.store import Wanted

    wanted = Wanted(_since(since), severity, client, service, states)

    async def found(store: Store) -> list[Alert]:
        last = (await store.alerts(wanted))[::-1]
        if not revisions:
            return last
        every = [one for alert in last for one in await store.revisions(alert.id)]
        return sorted(every, key=lambda one: (one.at, one.id, one.rev))

    alerts = _ask(ctx, found)
    config = read(Path(config_path(ctx))).config
    sensor = (config.sensor if config is not None else "") or socket.gethostname()
    context = Context(sensor, host=sensor, version=__version__, triage=_texts(ctx)[1])
    for number, one in enumerate(alerts, 1):
        sys.stdout.buffer.write(render(form, one, replace(context, sequence=number)) + b"\n")
    sys.stdout.flush()
    click.echo(f"{counted(len(alerts), 'alert')}.", err=True)


@command.command("show")
@click.argument("alert_id", metavar="ID")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def show(ctx: click.Context, alert_id: str, as_json: bool) -> None:
    """Show everything about one alert: who, what, why, the lines, its history, what to do next."""
    from dnswatch.io.store import Wanted

    async def found(store: Store) -> tuple[Alert, list[Alert], list[Alert], Around | None]:
        last, revisions = await _find(store, alert_id)
        kept = Wanted(client=last.client.address, service="" if last.client.address else BLIND_SPOT, limit=OTHERS + 1)
        others = await store.alerts(kept)
        return (
            last, revisions, [one for one in others if one.id != last.id][:OTHERS],
            await store.surroundings(last.id),
        )  # fmt: skip

    last, revisions, others, kept = _ask(ctx, found)
    catalog, triage = _texts(ctx)
    advice = triage.of(last)
    around = None if last.category == BLIND_SPOT else read_around(last)
    if around is not None and not around.lookups and kept is not None and kept.lookups:
        around = kept  # the log is gone, what was read from it is not
    page = Page(last, revisions, others, advice, around, catalog)
    if as_json:
        print_json(page.plain())
        return
    for line in page.lines(called(ctx)):
        click.echo(escaped(line))


@command.command("ack")
@click.argument("alert_id", metavar="ID")
@click.option("--note", default="", help="Why, for those who come after you.")
@click.pass_context
def ack(ctx: click.Context, alert_id: str, note: str) -> None:
    """Acknowledge: somebody is looking into it."""
    _act(ctx, "ack", alert_id, note)


@command.command("close")
@click.argument("alert_id", metavar="ID")
@click.option("--note", default="", help="Why, for those who come after you.")
@click.pass_context
def close(ctx: click.Context, alert_id: str, note: str) -> None:
    """Close: the episode is over. The next unexpected lookup opens a new alert."""
    _act(ctx, "close", alert_id, note)


# ── Asking the store ──────────────────────────────────────────────────────────────────────────────────────────


def _ask(ctx: click.Context, question: Any) -> Any:
    """Open the store for reading and answer one question."""
    from dnswatch.io.store import FILE, Store

    where = state_dir(ctx)

    async def answer() -> Any:
        async with await Store.open(where / FILE, readonly=True) as store:
            return await question(store)

    return asyncio.run(answer())


def _texts(ctx: click.Context) -> tuple[Catalog, Triage]:
    """Give catalogue and advice in the configured language; in English while the configuration is broken."""
    from dnswatch.config.catalogue import load_catalogue
    from dnswatch.config.triage import triage_of

    config = read(Path(config_path(ctx))).config
    folder = config.watch.services_dir if config is not None else None
    try:
        catalog = load_catalogue([folder] if folder is not None else [])
    except ConfigError:
        catalog = load_catalogue()
    return catalog, triage_of(catalog, config.lang if config is not None else "en")


async def _find(store: Store, prefix: str) -> tuple[Alert, list[Alert]]:
    """Give the one alert whose id begins so, as it stands, and its revisions."""
    found = await store.alert_ids(prefix)
    if not found:
        raise DnswatchError(f"there is no alert {prefix!r}: `dnswatch alerts list` shows them")
    if len(found) > 1:
        raise DnswatchError(f"{prefix!r} is the beginning of several ids: {', '.join(found[:5])} … write more of it")
    revisions = await store.revisions(found[0])
    return await store.alert(found[0]) or revisions[-1], revisions


def _act(ctx: click.Context, kind: str, prefix: str, note: str) -> None:
    """Leave an action and, where a daemon runs, wait for what becomes of it."""
    from dnswatch.io.store import FILE, Store

    where = state_dir(ctx)
    pid = running_pid(where)

    async def leave() -> tuple[Alert, Asked | None]:
        async with await Store.open(where / FILE, create=False) as store:
            last, _ = await _find(store, prefix)
            if last.state == "closed":
                raise DnswatchError(f"{last.id} is closed already")
            number = await store.ask({"kind": kind, "alert": last.id, "note": note}, _user())
            return last, await _outcome(store, number) if pid is not None else None

    last, asked = _run(leave())
    if asked is None:
        when = "when dnswatch runs again" if pid is None else "as soon as the running daemon comes to it"
        click.echo(f"Noted: {kind} {last.id} takes effect {when}.")
    elif asked.result == "done":
        click.echo(f"Done: {last.id} ({last.client.address or who(last)}, {last.service}) is "
                   f"{'acknowledged' if kind == 'ack' else 'closed'}.")  # fmt: skip
    else:
        click.echo(f"{last.id}: {asked.result}", err=True)
        ctx.exit(EXIT_FAILED)


async def _outcome(store: Store, number: int) -> Asked | None:
    """Wait for the daemon to apply an action; None when it does not in time."""
    until = time.monotonic() + APPLIED_S
    while time.monotonic() < until:
        found = await store.outcome(number)
        if found is not None and found.applied_at is not None:
            return found
        await asyncio.sleep(0.05)
    return None


def _run(work: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(work)


def _user() -> str:
    """Name who asks, also behind sudo."""
    return os.environ.get("SUDO_USER") or getpass.getuser()


def _since(text: str | None) -> float:
    if not text:
        return 0.0
    try:
        return time.time() - duration(text)
    except ValueError:
        pass
    try:
        return instant(text)
    except ValueError as error:
        raise click.BadParameter(f"{error}, nor a duration like 24h or 7d", param_hint="--since") from None
