"""`dnswatch check`: would `run` work here, as this user? Configuration, catalogue, logs, directories, ports.

Never: changes anything (a free port is bound for a moment), talks to other hosts. Read next: ``cli/config.py``.
"""

from __future__ import annotations

import json
import os
import pwd
import time
from dataclasses import asdict
from pathlib import Path

import click

from dnswatch.cli import config_path
from dnswatch.cli.scenarios import check_scenarios
from dnswatch.config.build import load_policy
from dnswatch.config.catalogue import load_catalogue
from dnswatch.errors import EXIT_CONFIG, EXIT_FAILED, EXIT_OK, ConfigError
from dnswatch.io.inspection import Finding, Level, counted, examine, finding_of


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--user", metavar="NAME", help="Check as this user; needs root.")
@click.option(
    "--scenarios",
    metavar="DIR",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Instead of this host check that the alerts come which the files in DIR ask for.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def command(ctx: click.Context, user: str | None, scenarios: Path | None, as_json: bool) -> None:
    """Check configuration, catalogue, permissions and ports.

    Exit 0: `run` would work (there may be warnings), 1: something is in its way, 3: the configuration is not valid.
    """
    if scenarios is not None:
        ctx.exit(check_scenarios(ctx.obj, scenarios, as_json))
    path, now = Path(config_path(ctx)), time.time()
    if user is not None:
        # Once as ourselves, for the modules that this imports: the other user may not be able to read Python's own.
        load_catalogue()  # `look` may take a kept one
        look(path, now)
        become(user)
    findings, invalid = look(path, now)
    failed = any(finding.level == "error" for finding in findings)
    if as_json:
        click.echo(json.dumps({"ok": not failed, "findings": [asdict(f) for f in findings]}, indent=2))
    else:
        for finding in findings:
            click.echo(f"{_mark(finding.level)} {finding.what} {finding.where}: {finding.message}")
        counts = {level: sum(f.level == level for f in findings) for level in ("error", "warning", "ok")}
        failures = f"{counted(counts['error'], 'error')}, {counted(counts['warning'], 'warning')}"
        click.echo(f"{failures}, {counts['ok']} ok.", err=True)
    ctx.exit(EXIT_CONFIG if invalid else EXIT_FAILED if failed else EXIT_OK)


def look(path: Path, now: float) -> tuple[list[Finding], bool]:
    """Give everything there is to say; True: the configuration is not valid, and nothing else was looked at."""
    try:
        loaded = load_policy(path)
    except ConfigError as error:
        return [finding_of("error", problem) for problem in error.problems], True
    return list(examine(loaded, now)), False


def become(name: str) -> None:
    """Take on the identity of another user with all of their groups, for good."""
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        raise click.BadParameter(f"there is no user {name!r}", param_hint="--user") from None
    if os.geteuid() == entry.pw_uid:
        return
    if os.geteuid() != 0:
        raise click.UsageError("--user needs root")
    os.initgroups(name, entry.pw_gid)
    os.setgid(entry.pw_gid)
    os.setuid(entry.pw_uid)


def _mark(level: Level) -> str:
    """Colour the level on a terminal; click strips it elsewhere, and we obey NO_COLOR."""
    colour = {"ok": "green", "warning": "yellow", "error": "red"}[level]
    return f"{level:7}" if os.environ.get("NO_COLOR") else click.style(f"{level:7}", fg=colour, bold=level == "error")
