"""`dnswatch expect propose`: the baseline that history suggests, from the store or from log files.

Never: applies anything without --apply, and then exactly what it prints. Read next: ``core/propose/``.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
from collections.abc import Sequence
from datetime import tzinfo
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import click

from dnswatch.cli import config_path
from dnswatch.cli.world import note
from dnswatch.config.build import load_policy
from dnswatch.config.edit import EXPECT_PART, EXPECT_WRITER, only_writer, part, read_part, render_part, write_part
from dnswatch.config.load import load
from dnswatch.config.values import duration, instant
from dnswatch.core import propose as baseline
from dnswatch.core.detect.changes import SightingRow
from dnswatch.core.model import Alert
from dnswatch.core.policy import Policy
from dnswatch.core.propose import Proposal, entry, to_plain, to_yaml
from dnswatch.errors import DnswatchError, NeverRan
from dnswatch.io.archive import discover
from dnswatch.io.discover import log_files
from dnswatch.io.population import active_clients
from dnswatch.io.store import FILE, Store
from dnswatch.scan import Options, Scan, bare_policy


@click.command("propose", short_help="Propose expectations from what clients do already.")
@click.argument("paths", nargs=-1, metavar="[PATH]...")
@click.option("--since", metavar="WHEN", help="Only attempts since a date, a time, or the last 14d of the history.")
@click.option("--apply", "apply_it", is_flag=True, help="Write them to conf.d/90-expect.yaml and reload.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def propose(ctx: click.Context, paths: tuple[str, ...], since: str | None, apply_it: bool, as_json: bool) -> None:
    """Propose expectations from what clients do already.

    Reads the daemon's store, or the log files, directories and globs given as PATH. A group is proposed when at least
    two thirds of its active clients use a service. Request bins, callback servers and tunnels are never proposed, nor a
    client with a serious alert of another category, nor a use with a high alert before its third day: those are printed
    as left out, with the reason. A longer use with a high alert is drafted as a comment, which --apply leaves out.
    """
    main = Path(config_path(ctx))
    proposal = from_logs(paths, main, since) if paths else from_store(main, since)
    if as_json:
        click.echo(json.dumps(to_plain(proposal), indent=2))
    else:
        click.echo(text(proposal), nl=False)
    if not apply_it:
        if proposal.clear and not as_json and sys.stdout.isatty():
            click.echo("Nothing is written yet: add --apply, or copy what you agree with.", err=True)
        return
    if proposal.clear:
        click.echo(f"Wrote {apply(proposal, main)}", err=True)
        reload(main)
    else:
        click.echo("Nothing is written.", err=True)


def text(proposal: Proposal) -> str:
    """Give the proposal as the user reads it: YAML whose comments are the evidence."""
    return to_yaml(proposal)


# ── Where history comes from ──────────────────────────────────────────────────────────────────────────────────


def from_store(main: Path, since: str | None = None) -> Proposal:
    """Propose from what the daemon has seen. Raises `NeverRan` when it has not run yet."""
    loaded = load_policy(main)
    path = loaded.config.state_dir / FILE
    if not path.exists():
        raise NeverRan(f"there is no store at {path}: dnswatch has not run with this state_dir yet. Name log files "
                       "to read instead: dnswatch expect propose /var/log/named/query.log")  # fmt: skip
    rows, alerts = asyncio.run(_stored(path))
    logs = [log for source in loaded.config.sources for log in log_files(source.path)]
    return _propose(rows, alerts, loaded.policy, since, logs)


async def _stored(path: Path) -> tuple[list[SightingRow], list[Alert]]:
    store = await Store.open(path, create=False, readonly=True)
    try:
        return await store.sightings(0.0), await store.alerts()
    finally:
        await store.close()


def from_logs(paths: Sequence[str], main: Path, since: str | None = None) -> Proposal:
    """Propose from log files and their rotated siblings, under the policy of the configuration where there is one.

    Raises `DnswatchError` when there is nothing that can be read; says on stderr what was left out.
    """
    policy, zone = _policy_for_logs(main)
    found = discover(paths, with_siblings=True)
    for path, why in found.skipped:
        click.echo(f"left out: {path}: {why}", err=True)
    if not found.families:
        raise DnswatchError(f"there is no log to read: {', '.join(paths)}")
    with tempfile.TemporaryDirectory(prefix="dnswatch-propose-") as folder:
        scan = Scan(policy, found.families, Options(zone=zone, state=Path(folder) / "state"))
        alerts = {alert.id: alert for alert in scan.revisions()}
        rows, _ = asyncio.run(_stored(Path(folder) / "state" / FILE))
    for path, why in scan.tally.skipped:
        click.echo(f"left out: {path}: {why}", err=True)
    if not scan.tally.formats:
        raise DnswatchError("none of these files holds lines of BIND or dnsmasq: see `dnswatch scan --help`")
    logs = [path for family in found.families for path in family.files]
    return _propose(rows, list(alerts.values()), policy, since, logs)


def size_of(paths: Sequence[str]) -> int:
    """Give the bytes that `from_logs` would read, as they lie there."""
    return sum(path.stat().st_size for family in discover(paths, with_siblings=True).families for path in family.files)


def _policy_for_logs(main: Path) -> tuple[Policy, tzinfo | None]:
    """Give policy and time zone of the configuration; without one the core catalogue, with nobody expected."""
    if not main.exists():
        click.echo(f"{main} does not exist: reading with the core catalogue, no groups and nobody expected", err=True)
        return bare_policy(), None
    loaded = load_policy(main)
    zones = {source.timezone for source in loaded.config.sources if source.timezone}
    return loaded.policy, ZoneInfo(zones.pop()) if len(zones) == 1 else None


def _propose(rows: Sequence[SightingRow], alerts: Sequence[Alert], policy: Policy, since: str | None,
             logs: Sequence[Path]) -> Proposal:  # fmt: skip
    begin = _since(since, max((row.last_at for row in rows), default=0.0))
    active: dict[str, set[str]] = {}
    for address in active_clients(logs):
        group = policy.groups.of(address)
        if group is not None:
            active.setdefault(group.name, set()).add(address)
    return baseline.propose(
        [row for row in rows if row.last_at >= begin],
        catalog=policy.catalog,
        groups=policy.groups,
        expectations=policy.expectations,
        alerts=alerts,
        active=active,
    )


def _since(value: str | None, last: float) -> float:
    """Read a date, a time, or a duration counted back from the last attempt known."""
    if value is None:
        return 0.0
    try:
        return last - duration(value)
    except ValueError:
        pass
    try:
        return instant(value)
    except ValueError:
        raise click.BadParameter(f"{value!r} is neither a duration (14d, 12h) nor a date (2026-11-01)",
                                 param_hint="--since") from None  # fmt: skip


# ── Writing ───────────────────────────────────────────────────────────────────────────────────────────────────


def apply(proposal: Proposal, main: Path) -> Path:
    """Append the proposal to the file that `expect add` keeps; the result is loaded first. Raises `ConfigError`."""

    if not main.exists():
        raise DnswatchError(f"{main} does not exist: write it first with `dnswatch init`, or name yours with --config")
    with only_writer(main):
        path = part(main, EXPECT_PART)
        data = read_part(path)
        known: list[Any] = data.get("expect") or []
        data["expect"] = [*known, *(entry(line) for line in proposal.clear)]
        written = render_part(data, EXPECT_WRITER)
        config = load_policy(main, overlay={path: written}).config
        write_part(main, path, written)
    for line in proposal.clear:
        note(config, {"kind": "expect propose", **entry(line)})
    return path


def reload(main: Path) -> None:
    """Ask a running daemon to read the change, and say what became of that."""
    from dnswatch.io.lock import request_reload

    state_dir = load(main).state_dir
    if request_reload(state_dir):
        click.echo("The running daemon was asked to reload.", err=True)
    else:
        click.echo(f"No daemon runs on {state_dir}: the change counts from its next start.", err=True)


command = propose
