"""`dnswatch status`: what the running daemon sees, from the rows that it writes when something changed.

Never: talks to the daemon, writes. Exit 0: it runs; 1: it does not (or, with --ready, is not ready); 4: it never ran.
Read next: ``dnswatch/daemon.py``.
"""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import click

from dnswatch.cli.state import state_dir
from dnswatch.cli.tables import amount, print_json, print_table, span, time_text
from dnswatch.core.health.kinds import KINDS
from dnswatch.errors import EXIT_FAILED, EXIT_OK, NeverRan
from dnswatch.io.lock import running_pid

DAY_S = 86400.0
STALE_S = 45.0
"""Rows are written each 30 s at least: older ones of a living process mean that its loop or its disk hangs."""

TITLES = {name: kind.title for name, kind in KINDS.items()}

Rows = dict[str, dict[str, Any]]


@click.command("status", short_help="Show what the running daemon sees.")
@click.option("--ready", is_flag=True, help="Exit 1 unless it runs and is ready (for health checks).")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def command(ctx: click.Context, ready: bool, as_json: bool) -> None:
    """Show what the running daemon sees: logs, checkpoints, sinks, feeds.

    Exit 0: it runs. 1: it does not, and the last known state is shown. 4: it has never run with this state_dir.
    """
    where = state_dir(ctx)
    from dnswatch.io.store import FILE

    if not (where / FILE).exists():
        raise NeverRan(f"dnswatch has not run with state_dir {where} yet: start it with `dnswatch run`")
    pid = running_pid(where)
    stored = asyncio.run(_stored(where / FILE))
    rows: Rows = {key: row for key, (_, row) in stored.items()}
    age_s = time.time() - max((at for at, _ in stored.values()), default=0.0)
    unready = list(rows.get("run", {}).get("unready", []))
    if pid is not None and age_s > STALE_S:
        unready.insert(0, f"it has not said anything for {span(age_s)}")
    if as_json:
        print_json({"running": pid is not None, "pid": pid, "age_s": round(age_s, 1), "unready": unready, "rows": rows})
    else:
        _print(rows, pid, age_s, unready)
    ctx.exit(EXIT_FAILED if pid is None or (ready and unready) else EXIT_OK)


async def _stored(path: Path) -> dict[str, tuple[float, dict[str, Any]]]:
    from dnswatch.io.store import Store

    async with await Store.open(path, readonly=True) as store:
        return await store.status()


def _print(rows: Rows, pid: int | None, age_s: float, unready: list[str]) -> None:
    run = rows.get("run", {})
    if pid is None:
        click.echo(f"Not running. What it said last, {span(age_s)} ago:" if run else "Not running.")
    else:
        since = time.time() - float(run.get("started_at") or time.time())
        state = "ready" if not unready else "not ready"
        click.echo(f"Running for {span(since)} (pid {pid}, version {run.get('version', '?')}), {state}.")
    for reason in unready:
        click.echo(f"  ! {reason}")
    if hooks := rows.get("hooks"):
        wait_s = max(float(hooks["retry_at"]) - time.time(), 0.0)
        click.echo(f"  ! feeds.on_change: {hooks['error']}; tried {hooks['tries']} times, again in {span(wait_s)}")
    for kind, subject in rows.get("health", {}).get("blind_spots", []):
        click.echo(f"  ! blind spot: {subject}: {TITLES.get(kind, kind)} (dnswatch alerts list --service {kind})")
    if run.get("reload_error"):
        click.echo(f"  ! the last reload was not taken: {run['reload_error']}")
    if not run:
        return
    click.echo(f"Feeds {run['feeds_mode']}, {run['checkpoints']} checkpoints, the last at "
               f"{time_text(run['checkpoint_at'])}, {run['revisions']} alert revisions.")  # fmt: skip
    _section("SOURCE", ["TYPE", "OFFSET", "BEHIND", "LINES/S", "PARSED", "LAST LINE", "NOTES"],
             {name: _source(row) for name, row in _of(rows, "source")})  # fmt: skip
    _section("SINK", ["CONFIRMED BY", "SENT", "WAITING", "SINCE", "DEAD", "ERROR"], {
        name: [row["acknowledgement"], str(row["sent"]), str(row["backlog"]),
               span(row["oldest_s"]) if row["backlog"] else "-", str(row["dead"]), row["error"]]
        for name, row in _of(rows, "sink")
    })  # fmt: skip
    _section("ZONE", ["SERIAL", "RULES", "MODE", "SINCE"], {
        name: [str(row["serial"]), str(row["rules"]), row["mode"], time_text(row["at"])]
        for name, row in _of(rows, "feed")
    })  # fmt: skip
    _section("CONSUMER", ["TYPE", "ADDRESS", "LIVE", "ASKED", "FETCHED", "NOTIFIED", "ERROR"], {
        name: [row["type"], row["address"], f"{row.get('live', 0)} of {len(row.get('copies', ()))}",
               time_text(row.get("asked_at")),
               time_text(row["fetched_at"]), time_text(row["notified_at"]), row["error"]]
        for name, row in _of(rows, "consumer")
    })  # fmt: skip
    copies = [[name, copy["zone"], copy["view"] or "-", str(copy["serial"]), _state(copy),
               copy["notify_error"] or time_text(copy["notified_at"])]
              for name, row in _of(rows, "consumer") for copy in row.get("copies", ())]  # fmt: skip
    if copies:
        click.echo()
        print_table(["CONSUMER", "ZONE", "VIEW", "SERIAL", "STATE", "NOTIFY"], copies)
    jobs = {name: [row["error"]] for name, row in _of(rows, "job") if row["error"]}
    _section("JOB", ["ERROR"], jobs)
    _engine(rows.get("engine", {}))


def _learning(row: dict[str, Any]) -> str:
    """Say how far learning is: until it ends, what is new here and rare cannot count."""
    began_at, days = row["began_at"], float(row["learning_s"]) / DAY_S
    if not days:
        return "Learning is off: whatever is new counts as new."
    if began_at is None:
        return f"Learning: no line yet; it takes {days:g} days of log."
    ends_at = float(began_at) + days * DAY_S
    if float(row["log_now"]) >= ends_at:
        return f"Learnt: {days:g} days from {time_text(began_at)}."
    day = int((float(row["log_now"]) - float(began_at)) // DAY_S) + 1
    return (f"Learning: day {day} of {days:g}, until {time_text(ends_at)}; till then first uses by a group or the "
            "network, rare services, missing apps and unknown tenants do not count.")  # fmt: skip


def _state(copy: dict[str, Any]) -> str:
    if copy["state"] in ("", "live"):
        return copy["state"] or "not asked yet"
    has = f" ({copy['has']})" if copy["has"] is not None else ""
    return f"{copy['state']}{has} since {time_text(copy['since'])}"


def _source(row: dict[str, Any]) -> list[str]:
    notes = [row["waiting"], row["wrong_format"]]
    notes += [f"{count} × {why}" for why, count in row["weird"].items()]
    notes += [f"{count} × lost: {why}" for why, count in row["lost"].items()]
    notes += [f"{row['lost_lines']} lines lost by the server"] if row["lost_lines"] else []
    notes += [f"{len(row['senders'])} sender{'s' * (len(row['senders']) != 1)}"] if row.get("senders") else []
    notes += [f"{count} × refused: {why}" for why, count in row.get("refused", {}).items()]
    notes += ["ended"] if row.get("ended") else []
    behind = f"{amount(row['lag_bytes'])}, {span(row['lag_s'])}" if row["lag_bytes"] else "-"
    parsed = "-" if row["parse_ratio"] is None else f"{row['parse_ratio']:.1%}"
    return [row["type"], str(row["offset"]), behind, f"{row['lines_per_s']:.0f}", parsed, time_text(row["last_at"]),
            "; ".join(note for note in notes if note)]  # fmt: skip


def _engine(row: dict[str, Any]) -> None:
    counters, sizes = row.get("counters", {}), row.get("sizes", {})
    if "learning_s" in row:  # a daemon of before says nothing of it
        click.echo(f"\n{_learning(row)}")
    if counters:
        click.echo("\nCounted: " + ", ".join(f"{count} {what}" for what, count in counters.items()))
    if any(sizes.values()):
        click.echo("Held: " + ", ".join(f"{size} {what}" for what, size in sizes.items() if size))


def _of(rows: Rows, kind: str) -> list[tuple[str, dict[str, Any]]]:
    return [(key.partition(":")[2], row) for key, row in rows.items() if key.startswith(kind + ":")]


def _section(name: str, headings: list[str], lines: dict[str, list[str]]) -> None:
    if lines:
        click.echo()
        print_table([name, *headings], [[key, *cells] for key, cells in lines.items()])
