"""`dnswatch sink`: where alerts go: how each sink does, whether one can be reached, and sending again.

Never: sends alerts by itself; `requeue` leaves a wish in the store, which a running daemon grants within seconds. Read
next: ``io/courier.py``.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dnswatch.cli import config_path
from dnswatch.cli.state import state_dir
from dnswatch.cli.tables import counted, print_json, print_table, span, time_text
from dnswatch.errors import EXIT_FAILED, EXIT_UNREACHABLE, DnswatchError, NeverRan
from dnswatch.io.lock import running_pid

if TYPE_CHECKING:
    from dnswatch.io.deliver import Sink
    from dnswatch.io.store import DeadLetter

Rows = dict[str, dict[str, Any]]


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def command() -> None:
    """Show, test and repeat the delivery of alerts."""


# ── list ──────────────────────────────────────────────────────────────────────────────────────────────────────


@command.command("list", short_help="Show how each sink does.")
@click.option("--dead", is_flag=True, help="Show the dead letters instead: what a receiver refuses for good.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def list_(ctx: click.Context, dead: bool, as_json: bool) -> None:
    """Show each sink: what its word is worth, how far it is, what waits, what went wrong."""
    where = state_dir(ctx)
    rows, letters = asyncio.run(_stored(where))
    if dead:
        _print_dead(letters, as_json)
        return
    running = running_pid(where) is not None
    if as_json:
        print_json({"running": running, "sinks": rows, "dead_letters": [one._asdict() for one in letters]})
        return
    if not rows:
        click.echo("No sink has ever run with this state_dir: dnswatch run begins with those of the configuration.")
        return
    print_table(
        ["SINK", "STATE", "CONFIRMED BY", "CURSOR", "WAITING", "SINCE", "DEAD", "DROPPED", "LAST ERROR"],
        [
            [name, _state(row, running), row.get("acknowledgement", "-"), str(row["cursor"]), str(row["backlog"]),
             span(row["oldest_s"]) if row["backlog"] else "-", str(row["dead"]), str(row["dropped"]),
             row.get("error", "") or "-"]
            for name, row in rows.items()
        ],
    )  # fmt: skip
    for name, row in rows.items():
        if row.get("route") and row["route"] != name and _state(row, running) == "ok":
            click.echo(f"{name} goes to {row['route']} at present.")
    if letters:
        click.echo(f"{counted(len(letters), 'dead letter')}: dnswatch sink list --dead")


def _state(row: dict[str, Any], running: bool) -> str:
    if "acknowledgement" not in row:
        return "not configured"
    return "not running" if not running else "failing" if row["error"] else "ok"


async def _stored(where: Path) -> tuple[Rows, list[DeadLetter]]:
    """Give what the store and the last status of the daemon say of each sink."""
    from dnswatch.io.store import FILE, Store

    if not (where / FILE).exists():
        raise NeverRan(f"dnswatch has not run with state_dir {where} yet: start it with `dnswatch run`")
    async with await Store.open(where / FILE, create=False, readonly=True) as store:
        status = await store.status()
        backlog, numbering = await store.backlog(), await store.numberings()
        letters = await store.dead_letters()
    rows: Rows = {}
    for name, waits in sorted(backlog.items()):
        seq, stream = numbering[name]
        oldest_s = round(time.time() - waits.oldest_at, 1) if waits.oldest_at else 0.0
        rows[name] = {
            **status.get(f"sink:{name}", (0.0, {}))[1],
            "cursor": seq, "number": stream.place.number, "stream": stream.name, "dropped": stream.dropped,
            "backlog": waits.rows, "oldest_s": oldest_s, "dead": waits.dead,
        }  # fmt: skip
    return rows, letters


def _print_dead(letters: Sequence[DeadLetter], as_json: bool) -> None:
    if as_json:
        print_json([one._asdict() for one in letters])
        return
    if not letters:
        click.echo("No dead letters.")
        return
    print_table(
        ["ID", "SINK", "ALERT", "REV", "SINCE", "STATE", "WHY"],
        [[str(one.id), one.sink, one.alert_id, str(one.rev), time_text(one.at),
          "requeued" if one.requeued_at else "put aside", one.why] for one in letters],
    )  # fmt: skip


# ── test ──────────────────────────────────────────────────────────────────────────────────────────────────────


@command.command("test", short_help="Send a marked test alert and say who confirmed it.")
@click.argument("names", nargs=-1)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def test(ctx: click.Context, names: Sequence[str], as_json: bool) -> None:
    """Send a marked test alert (rule_id DNSW-test) to each sink, or to those NAMED, and say who confirmed it.

    It goes the way of every alert: same settings, same transport, same wait for the receiver's word. It is not numbered
    among the alerts. Exit 4: a sink cannot be reached.
    """
    from dnswatch.config.catalogue import load_catalogue
    from dnswatch.config.load import load
    from dnswatch.config.triage import triage_of
    from dnswatch.io.sinks import SINKS

    config = load(Path(config_path(ctx)))
    known = {settings.id: settings for settings in config.sinks}
    for name in names:
        _known(name, known)
    if not known:
        raise DnswatchError(
            "no sinks are configured: add one, e.g. sinks: [{type: syslog, address: relp://siem.example}]"
        )
    sensor = config.sensor or socket.gethostname()
    triage = triage_of(load_catalogue(), config.lang)

    async def try_all() -> list[dict[str, Any]]:
        chosen = names or list(known)
        return [await _try(name, SINKS[known[name].type](known[name], sensor, triage), not as_json) for name in chosen]

    results = asyncio.run(try_all())
    if as_json:
        print_json(results)
    if any(one["error"] for one in results):
        ctx.exit(EXIT_UNREACHABLE)


async def _try(name: str, sink: Sink, aloud: bool) -> dict[str, Any]:
    """Send one test alert, over the fallbacks where the first receiver fails."""
    from dnswatch.core.alerts.trial import STREAM, trial
    from dnswatch.io.deliver import MEANING, Delivery, HoldingSink, RoutedSink
    from dnswatch.io.supervise import describe

    alert = trial(name, time.time())
    result: dict[str, Any] = {"sink": name, "alert": alert.id, "route": "", "acknowledgement": "", "error": ""}
    begun = time.monotonic()
    failed: dict[str, str] = {}
    try:
        while not result["acknowledgement"]:
            route = sink.route if isinstance(sink, RoutedSink) else name
            if route in failed:
                break
            try:
                await sink.send([Delivery(0, alert, 1, STREAM)])
                result["acknowledgement"] = sink.acknowledgement
            except OSError as error:
                failed[route] = describe(error)
        took_s = time.monotonic() - begun
        result |= {
            "route": route if isinstance(sink, RoutedSink) else "",
            "took_s": round(took_s, 3),
            "error": "" if result["acknowledgement"] else failed[route],
        }
        for place, why in failed.items():
            _say(aloud, f"{name}: FAILED: {why}" if place == name else f"{name}: FAILED at {place}: {why}")
        if result["error"]:
            return result
        by = sink.confirmed_by if isinstance(sink, RoutedSink) else MEANING[sink.acknowledgement]
        over = "" if route == name else f" over {route}"
        _say(aloud, f"{name}: {sink.acknowledgement}{over} in {took_s * 1000:.0f} ms: {by} (alert {alert.id})")
        if isinstance(sink, HoldingSink) and sink.hold_s:
            _say(aloud, f"{name}: waiting for the hold of {span(sink.hold_s)} ...")
            try:
                async with asyncio.timeout(sink.hold_s):
                    await sink.lost()
            except TimeoutError:
                _say(aloud, f"{name}: the receiver lived on; the alert counts as delivered")
            except OSError as error:
                result["error"] = describe(error)
                _say(aloud, f"{name}: FAILED within the hold, `run` would send it again: {result['error']}")
    finally:
        await sink.close()
    return result


def _say(aloud: bool, text: str) -> None:
    if aloud:
        click.echo(text)


# ── requeue ───────────────────────────────────────────────────────────────────────────────────────────────────


@command.command("requeue", short_help="Send again: dead letters, or everything since a time.")
@click.argument("name")
@click.option("--dead", "ids", type=int, multiple=True, metavar="ID", help="Only this dead letter; may be repeated.")
@click.option("--since", metavar="TIME", help="Send everything again that was stored since then: 2026-11-23T06:00:00Z, "
              "or 2h for two hours ago.")  # fmt: skip
@click.option("--from", "from_seq", type=click.IntRange(1), metavar="SEQ", help="Send everything again from this "
              "number of the outbox on (CURSOR of `sink list`).")  # fmt: skip
@click.pass_context
def requeue(ctx: click.Context, name: str, ids: Sequence[int], since: str | None, from_seq: int | None) -> None:
    """Send again what sink NAME could not deliver: its dead letters, or everything from a time or number on.

    Receivers tell repetitions by id and rev. Delivered alerts stay in the outbox for 7 days.
    """
    from dnswatch.io.store import FILE, Store

    if sum((bool(ids), since is not None, from_seq is not None)) > 1:
        raise click.UsageError("--dead, --since and --from exclude each other")
    where = state_dir(ctx)
    at = None if since is None else _instant(since)

    async def ask() -> int:
        async with await Store.open(where / FILE, create=False) as store:
            _known(name, await store.backlog())
            if at is None and from_seq is None:
                return await store.ask_again(name, ids or None)
            seq, count = await store.seq_before(at) if at is not None else ((from_seq or 1) - 1, -1)
            count = await store.count_after(seq) if count < 0 else count
            if count:
                await store.ask_rewind(name, seq)
            return count

    count = asyncio.run(ask())
    if not count:
        what = "dead letter" if at is None and from_seq is None else "alert of that time or number in the outbox"
        click.echo(f"{name}: there is no {what}{' with this id' if ids else ''}.", err=True)
        ctx.exit(EXIT_FAILED)
    when = "within seconds" if running_pid(where) is not None else "when dnswatch runs again"
    click.echo(f"{name}: {counted(count, 'alert')} will be sent again {when}.")


def _instant(text: str) -> float:
    """Read a time, or a duration before now."""
    from dnswatch.config import values

    try:
        return time.time() - values.duration(text)
    except ValueError:
        try:
            return values.instant(text)
        except ValueError as error:
            raise click.BadParameter(f"{error}, nor a duration such as 2h", param_hint="--since") from None


def _known(name: str, known: dict[str, Any]) -> None:
    from dnswatch.config.values import close_to

    if name not in known:
        hint = close_to(name, known) or (f": known are {', '.join(known)}" if known else "")
        raise DnswatchError(f"there is no sink {name!r}{hint}")
