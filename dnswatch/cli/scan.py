"""`dnswatch scan`: analyse log files. Alerts on stdout, everything about the run on stderr.

Never: reads ``sources`` of a configuration, touches the daemon's store or a sink. Read next: ``dnswatch/scan.py``.
"""

from __future__ import annotations

import gc
import sys
import time
import zoneinfo
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dnswatch import __version__
from dnswatch.cli import DEFAULT_CONFIG
from dnswatch.cli.tables import amount, counted, print_table, span, time_text
from dnswatch.core.alerts import Context, render
from dnswatch.core.model import SEVERITIES
from dnswatch.core.reading import formats
from dnswatch.errors import EXIT_FAILED, EXIT_OK
from dnswatch.io.archive import Family, discover
from dnswatch.io.log import escaped
from dnswatch.io.replay import STDIN, Tally, size_of, standard_input

if TYPE_CHECKING:
    from dnswatch.core.policy import Policy
    from dnswatch.scan import Scan

SENSOR = "scan"
"""The ``sensor`` field of alerts: there is no sensor, only somebody looking at files."""
PROGRESS_FROM = 20_000_000
"""Bytes on disk from which a progress bar is more than a flash."""


@click.command("scan", short_help="Analyse log files, rotated and compressed ones too; needs no configuration.")
@click.argument("paths", nargs=-1, metavar="[PATH]...")
@click.option(
    "--config", "own_config", metavar="FILE", help="Take the policy (never the sources) of this configuration."
)
@click.option("--type", "kind", type=click.Choice(formats()), help="Format of the logs.  [default: found out]")
@click.option("--timezone", metavar="ZONE", help="Zone of stamps that do not name one.  [default: UTC]")
@click.option("--year", type=click.IntRange(1970, 2200), help="Year of stamps without one (dnsmasq, syslog).  "
              "[default: the file's last change tells]")  # fmt: skip
@click.option("--format", "form", type=click.Choice(("table", "json", "text")), default="table", show_default=True,
              help="A table at the end; or every revision of an alert as it is decided, json one a line.")  # fmt: skip
@click.option("--fail-on", type=click.Choice(SEVERITIES), help="Exit 1 if an alert is at least this severe.")
@click.option("--detect-overrides", "overrides", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE",
              help="Try the weights of a file (detect: …) on these logs as well; show what would change.")  # fmt: skip
@click.option("--state", type=click.Path(path_type=Path, file_okay=False), metavar="DIR",
              help="Keep the state (history, alerts) in this new directory.")  # fmt: skip
@click.option("--from-state", type=click.Path(path_type=Path, file_okay=False), metavar="DIR",
              help="Begin with the state in this directory, which is only read.")  # fmt: skip
@click.pass_context
def command(
    ctx: click.Context, paths: tuple[str, ...], own_config: str | None, kind: str | None, timezone: str | None,
    year: int | None, form: str, fail_on: str | None, overrides: Path | None, state: Path | None,
    from_state: Path | None,
) -> None:  # fmt: skip
    """Analyse DNS query logs: files, patterns, whole directories; plain or compressed; in time order; - is stdin.

    \b
    dnswatch scan /var/log/named/
    dnswatch scan 'dnsmasq.log*' --timezone Europe/Berlin --format json
    """
    from dnswatch.scan import Options, Scan

    started = time.monotonic()
    _spare_collector()
    families, given = _families(paths)
    policy, lang = _policy(own_config or ctx.obj)
    context = _context(policy, lang) if form != "table" else None
    tried = _tried(policy, overrides)
    collect = form == "table" or tried is not None
    options = Options(kind, _zone(timezone), year, state, from_state, tried, collect)
    with _progress(size_of(families)) as advance:
        scan = Scan(policy, families, options, advance)
        scan.tally.skipped += given.skipped
        scan.tally.failed += given.failed
        for alert in scan.revisions():
            if context is not None:
                sys.stdout.buffer.write(render(form, alert, context) + b"\n")
        sys.stdout.flush()
    if form == "table" and scan.alerts:
        from dnswatch.cli.alert_table import print_alerts

        print_alerts(list(scan.alerts.values()))
    _summary(scan, time.monotonic() - started, timezone)
    if overrides is not None:
        _differences(scan, overrides, table=form == "table")
    severe = SEVERITIES[SEVERITIES.index(fail_on) :] if fail_on else ()
    found = any(severity in severe for severity in scan.severities.values())
    ctx.exit(EXIT_FAILED if found or scan.tally.failed else EXIT_OK)


# ── What is asked ─────────────────────────────────────────────────────────────────────────────────────────────


def _families(paths: tuple[str, ...]) -> tuple[list[Family], Tally]:
    """Find the logs that were named; what cannot be used is in the tally."""
    if not paths:
        if sys.stdin is None or sys.stdin.isatty():
            raise click.UsageError("name log files or directories (for example /var/log/named/), or - for stdin")
        paths = (STDIN,)
    found = discover(path for path in paths if path != STDIN)
    tally = Tally(skipped=list(found.skipped))
    named = {str(Path(path)) for path in paths} | set(paths)
    tally.failed = sum(path in named for path, _ in found.skipped)
    if found.beside:
        more = f" and {len(found.beside) - 1} more" if len(found.beside) > 1 else ""
        _say(f"Rotated files lie beside: {found.beside[-1]}{more}. To read them too, name the directory or 'FILE*'.")
    return [*found.families, *([standard_input()] if STDIN in paths else [])], tally


def _policy(config: str | None) -> tuple[Policy, str]:
    """Give the policy to judge by and the language to tell it in, and say so when the policy is nobody's."""
    if config is not None:
        from dnswatch.config.build import load_policy

        loaded = load_policy(Path(config))
        return loaded.policy, loaded.config.lang
    from dnswatch.scan import bare_policy

    policy = bare_policy()
    known = (
        f" ({DEFAULT_CONFIG} exists: --config {DEFAULT_CONFIG} judges by it)" if Path(DEFAULT_CONFIG).exists() else ""
    )
    _say(f"No configuration: {len(policy.catalog.enabled)} services of the core catalogue are watched, "
         f"and no client is expected to use any of them{known}.")  # fmt: skip
    return policy, "en"


def _context(policy: Policy, lang: str) -> Context:
    """Give what revisions are printed with; a table needs no texts, and reading YAML takes a tenth of a short scan."""
    from dnswatch.config.triage import triage_of

    return Context(SENSOR, version=__version__, triage=triage_of(policy.catalog, lang))


def _tried(policy: Policy, overrides: Path | None) -> Policy | None:
    """Give the policy with the weights to try."""
    if overrides is None:
        return None
    from dataclasses import replace

    from dnswatch.config.overrides import overridden

    return replace(policy, detection=overridden(policy.detection, overrides))


def _spare_collector() -> None:
    """Let Python look for reference cycles 300 times as rarely: a scan makes none, and looking took a third of it.

    Memory stays the same (measured on 500 000 watched lookups, with the collector switched off as well).
    """
    gc.freeze()
    gc.set_threshold(200_000, 50, 100)


def _zone(name: str | None) -> zoneinfo.ZoneInfo | None:
    if name is None:
        return None
    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        raise click.BadParameter(
            f"no time zone {name!r}; write it as Europe/Berlin or UTC", param_hint="--timezone"
        ) from None


@contextmanager
def _progress(total: int) -> Iterator[Callable[[int], None]]:
    """Show a progress bar on a terminal while much is read; else nothing."""
    if not sys.stderr.isatty() or total < PROGRESS_FROM:
        yield lambda _bytes: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn, TransferSpeedColumn

    columns = (BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True, refresh_per_second=5) as progress:
        task = progress.add_task("scan", total=total)
        yield lambda count: progress.advance(task, count)


# ── What is told ──────────────────────────────────────────────────────────────────────────────────────────────


def _say(text: str) -> None:
    click.echo(escaped(text), err=True)


def _summary(scan: Scan, took_s: float, timezone: str | None) -> None:
    """Tell what was read and found; if nothing was found, why."""
    tally = scan.tally
    for path, why in tally.skipped:
        _say(f"skipped {path}: {why}")
    for note in tally.notes:
        _say(f"note: {note}")
    if tally.zoneless and timezone is None:
        _say("note: stamps carry no zone and are read as UTC; --timezone (for example Europe/Berlin) says otherwise")
    formats = ", ".join(f"{count} {kind}" for kind, count in sorted(tally.formats.items()))
    files = counted(tally.files, "file") + (f" ({formats})" if formats else "")
    lines = counted(tally.lines, "line") if tally.exact else f"about {counted(tally.lines, 'line')}"
    tier = f" with the {scan.tier} tier" if scan.tier else ""
    _say(f"Read {files}, {amount(tally.bytes)}, {lines}, in {span(took_s)}{tier}.")
    sampled = tally.samples_good + tally.samples_bad
    if sampled:
        parsed = f"{100 * tally.samples_good / sampled:.1f} % of {counted(sampled, 'sampled line')} parsed"
        when = f"From {time_text(tally.first_at)} to {time_text(tally.last_at)}; " if tally.last_at else ""
        _say(f"{when}{parsed}.")
    _counted("Weird", tally.weird)
    _counted("The servers say", tally.notices)
    attempts = scan.expected + scan.unexpected
    by_severity = scan.by_severity()
    counts = ", ".join(f"{by_severity[each]} {each}" for each in reversed(SEVERITIES) if by_severity[each])
    _say(f"Watched lookups: {attempts:,}, {scan.expected:,} of them expected. Alerts: {counts or 'none'}.")
    if not scan.severities:
        _say(f"No alert, because {_reason(scan)}.")


def _differences(scan: Scan, overrides: Path, *, table: bool) -> None:
    """Say which alerts would be of another severity; the table only where stdout is for people."""
    from collections import Counter

    apart = scan.differences()
    if not apart:
        _say(f"{overrides} changes the severity of no alert here.")
        return
    rows, moved = [], Counter[tuple[str, str]]()
    for now, then in apart:
        one = then or now
        assert one is not None  # a pair holds one at least
        before, after = now.severity if now else "none", then.severity if then else "none"
        moved[before, after] += 1
        scores = f"{now.score if now else 0} → {then.score if then else 0}"
        rows.append((f"{before} → {after}", scores, time_text(one.first_at), one.client.address, one.service,
                     str(one.count)))  # fmt: skip
    if table:
        click.echo()
        print_table(("SEVERITY", "SCORE", "FIRST SEEN", "CLIENT", "SERVICE", "COUNT"), rows)
    moves = ", ".join(f"{count} from {before} to {after}" for (before, after), count in sorted(moved.items()))
    _say(f"With {overrides}, {counted(len(apart), 'alert')} would be of another severity: {moves}.")


def _counted(title: str, counts: dict[str, int]) -> None:
    if counts:
        _say(f"{title}: " + ", ".join(f"{count} × {why}" for why, count in sorted(counts.items())) + ".")


def _reason(scan: Scan) -> str:
    """Say why there is no alert."""
    tally = scan.tally
    if not tally.bytes:
        if tally.weird:
            return "the only line is not finished: a log line ends with a newline"
        return "no file has a DNS log in it" if tally.skipped else "there are no files"
    kinds = " or ".join(tally.formats)
    if not tally.samples_good and not tally.candidates:
        typed = "is --type right, and " if scan.options.kind else ""
        if tally.samples_bad:
            return f"none of the sampled lines could be read as {kinds}: {typed}is the query log among the files"
        return f"the sampled lines of {kinds} are no queries: {typed}is the query log among the files"
    if not scan.expected + scan.unexpected:
        return "no client looked up a watched name"
    if not scan.unexpected:
        return "every watched lookup was expected"
    return "what was found belongs to alerts of the state it began with"
