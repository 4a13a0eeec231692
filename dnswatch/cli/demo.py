"""`dnswatch demo`: see it work in under a minute, then know where to look and what to type.

Never: needs configuration, a network or root. Exit 0 when everything happened, 1 when something did not.
Read next: ``dnswatch/demo.py``.
"""

from __future__ import annotations

import asyncio
import os
import shlex
import shutil
import signal
import sys
import textwrap
from typing import Any

import click

from dnswatch.demo import QUIET_S, Demo, dnswatch_command
from dnswatch.errors import EXIT_FAILED, EXIT_OK

EXIT_INTERRUPTED = 130  # 128 + SIGINT, as shells have it
INDENT = " " * 9  # below the severity
COLOURS = {"critical": "red", "high": "red", "medium": "yellow", "low": "cyan", "info": "blue"}


@click.command("demo", short_help="See it work in a minute: recorded logs, real alerts, real zones.")
@click.option("--wait/--no-wait", default=None,
              help="Keep serving until Ctrl-C afterwards.  [default: on a terminal only]")  # fmt: skip
@click.pass_context
def command(ctx: click.Context, wait: bool | None) -> None:
    """Replay the recorded logs of a BIND and a dnsmasq through the real daemon, on this host only.

    Prints the alerts as they come, with their reasons; writes the blocklists; then says where to look. The whole takes
    about twenty seconds. Everything is kept in one new folder, whose name is printed.
    """
    stay = sys.stdout.isatty() and sys.stdin.isatty() if wait is None else wait
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # the daemon is stopped then as well
    demo = Demo()
    try:
        code = asyncio.run(_play(demo, stay))
    except KeyboardInterrupt:
        click.echo(f"\nStopped. {demo.folder} stays until you remove it.")
        code = EXIT_OK if demo.complete else EXIT_INTERRUPTED
    ctx.exit(code)


async def _play(demo: Demo, stay: bool) -> int:
    """Show everything; give the exit code."""
    seen: dict[str, dict[str, Any]] = {}
    demo.prepare()
    click.echo(f"The recorded logs of a BIND and a dnsmasq grow again in {demo.folder},")
    click.echo(f"{len(demo.lines)} lines in {demo.duration_s:.0f} seconds; `dnswatch run` follows them. The group "
               "build is\nexpected to use Slack webhooks; nobody else is expected to use anything.\n")  # fmt: skip
    async with demo.running():
        watching = asyncio.create_task(_print_alerts(demo, seen))
        await demo.grow()
        await asyncio.sleep(QUIET_S / demo.hurry if demo.hurry > 1 and seen else QUIET_S)
        metrics, _ = await demo.get("/metrics")
        faults = _faults(demo, seen, metrics)
        _summary(demo, seen, stay)
        for fault in faults:
            click.secho(f"failed: {fault}", err=True, **_style(fg="red"))
        demo.complete = not faults
        if stay and not faults:
            await watching  # until Ctrl-C, or the daemon ends
        watching.cancel()
    return EXIT_FAILED if faults else EXIT_OK


def _faults(demo: Demo, seen: dict[str, dict[str, Any]], metrics: int) -> list[str]:
    """Say what did not happen that should have."""
    faults = []
    if demo.daemon is None or demo.daemon.returncode is not None:
        faults.append(f"dnswatch run ended early:\n{demo.last_words()}")
    if not seen:
        faults.append(f"no alert came; see {demo.folder / 'dnswatch.log'}")
    if any(alert["client_group"] == "build" for alert in seen.values()):
        faults.append("a client of the group build was alerted on, though it is expected to use Slack webhooks")
    if not demo.zones():
        faults.append(f"no zone was written to {demo.folder / 'feeds'}")
    if metrics != 200:
        faults.append(f"{demo.url}/metrics answered {metrics or 'nothing'}")
    return faults


# ── Printing ──────────────────────────────────────────────────────────────────────────────────────────────────


async def _print_alerts(demo: Demo, seen: dict[str, dict[str, Any]]) -> None:
    async for alert in demo.follow():
        _print_alert(alert, seen.get(alert["id"]))
        seen[alert["id"]] = alert


def _print_alert(alert: dict[str, Any], before: dict[str, Any] | None) -> None:
    """Print one revision: a line that says everything, then why; a later revision says what is new only."""
    severity = alert["severity"]
    known = set(before["because"]) if before else set()
    name = f" {alert['client_name']}" if alert["client_name"] else ""
    who = f"{alert['client_ip']}{name} ({alert['client_group'] or 'no group'})"
    click.echo(alert["time"][11:19] + " ", nl=False)
    click.secho(f"{severity.upper():8}", nl=False, **_style(fg=COLOURS.get(severity, "white"), bold=True))
    click.echo(
        f" {who} asked for {alert['qname']}  [{alert['service']}]" + (f", revision {alert['rev']}" if before else "")
    )
    width = min(shutil.get_terminal_size().columns, 120) if sys.stdout.isatty() else 10_000
    for reason in alert["because"]:
        if reason not in known:
            click.echo(textwrap.fill(reason, width, initial_indent=INDENT, subsequent_indent=INDENT + "  "))
    if alert["outcome"] != "observed" and (before is None or before["outcome"] != alert["outcome"]):
        click.echo(f"{INDENT}outcome: {alert['outcome']}")


def _summary(demo: Demo, seen: dict[str, dict[str, Any]], stay: bool) -> None:
    """Say what happened, where it is, and what to type next."""
    call = f"{dnswatch_command()} --config {shlex.quote(str(demo.config))}"
    first = max(seen.values(), key=lambda alert: int(alert["score"]), default=None)
    click.echo(
        f"\n{demo.written} lines, {len(seen)} alerts. Expected lookups made none. Mode is shadow: nothing is blocked."
    )
    _head("Files")
    for path, what in ((demo.config, "the configuration"), (demo.alerts, "alerts, one JSON object a line"),
                       (demo.folder / "feeds", f"{len(demo.zones())} RPZ zones, one per group; and for dnsmasq"),
                       (demo.folder / "dnswatch.log", "what the daemon said")):  # fmt: skip
        click.echo(f"  {path!s:44} {what}")
    _head("What to type next")
    commands = [f"{call} alerts list"]
    if first is not None:
        commands += [f"{call} alerts show {first['id'][:10]}", f"{call} explain {first['id'][:10]}"]
    commands += [f"{call} feed show", f"{call} expect propose"]
    if stay:
        commands.append(f"curl {demo.url}/metrics")
    for line in commands:
        click.echo(f"  {line}")
    click.echo(f"  rm -r {shlex.quote(str(demo.folder))}    removes everything")
    if stay:
        click.echo("\nServing until Ctrl-C.")


def _head(text: str) -> None:
    click.secho(text, **_style(bold=True))


def _style(**style: Any) -> dict[str, Any]:
    """Colours on a terminal only, and not when NO_COLOR is set (no-color.org)."""
    return style if sys.stdout.isatty() and not os.environ.get("NO_COLOR") else {}
