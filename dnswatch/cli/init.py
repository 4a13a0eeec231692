"""`dnswatch init`: look at this host, say what was found and why, write a commented configuration.

Never: overwrites a file without --force, changes a server's configuration, applies proposed expectations unasked.
Read next: ``core/host/findings.py``, ``core/host/draft.py``.
"""

from __future__ import annotations

import os
import shlex
import sys
import tempfile
from pathlib import Path

import click

from dnswatch.cli import DEFAULT_CONFIG, config_path
from dnswatch.core.host.draft import configuration
from dnswatch.core.host.findings import TAIL, discover, look_into, zone_shown
from dnswatch.core.host.tree import Findings, LogSource, Note
from dnswatch.core.logs.follow import own_path
from dnswatch.core.logs.parsers import PARSERS
from dnswatch.errors import ConfigError, DnswatchError
from dnswatch.io.host import HostTree

SCANNED_AT_ONCE = 2 * 1024**3  # bytes of existing logs that init reads for proposals: seconds, not minutes


@click.command("init", short_help="Find the query logs of this host and write a configuration.")
@click.argument("logs", nargs=-1, metavar="[LOG]...", type=click.Path(path_type=Path))
@click.option("--output", "-o", metavar="FILE", help="Where to write; - for standard output.  [default: --config FILE]")
@click.option("--root", metavar="DIR", type=click.Path(path_type=Path, exists=True, file_okay=False), default=Path("/"),
              help="Look below DIR instead of / (a mounted disk, a test).")  # fmt: skip
@click.option("--yes", "-y", is_flag=True, help="Write without asking.")
@click.option("--force", is_flag=True, help="Replace an existing configuration.")
@click.option("--no-propose", is_flag=True, help="Do not read existing logs for a proposed baseline.")
@click.pass_context
def command(ctx: click.Context, logs: tuple[Path, ...], output: str | None, root: Path, yes: bool, force: bool,
            no_propose: bool) -> None:  # fmt: skip
    """Find the query logs and lease files of this host and write a configuration for them.

    BIND, dnsmasq, Pi-hole, Unbound, PowerDNS Recursor and CoreDNS are found through their own configuration and in
    the usual places. LOG names further query logs. Where query logging is off, the lines that switch it on are printed;
    where BIND or Unbound sends dnstap instead, that is taken.
    Run it as root to see everything.
    """
    if logs and root != Path("/"):
        raise click.UsageError("LOG and --root exclude each other: name the logs in the configuration")
    target = output or config_path(ctx)
    quiet = target == "-"
    tree = HostTree(root)
    found = _with_logs(discover(tree), HostTree(), logs)
    prefix = "" if root == Path("/") else str(root.resolve())
    _show(found, err=quiet)
    if not found.sources:
        raise DnswatchError("no query log found, nothing written; name one: dnswatch init /path/to/query.log")
    call = _call(target)
    text = configuration(found, state_dir=_state_dir(target), prefix=prefix, command=call)
    if quiet:
        click.echo(text, nl=False)
        return
    path = Path(target).absolute()
    _refuse_existing(path, force)
    if not yes and sys.stdin.isatty() and sys.stdout.isatty():
        click.confirm(f"Write {path}?", default=True, abort=True)
    _write(path, text)
    click.echo(f"Wrote {path}")
    if not no_propose:
        _propose(path, found, prefix, call, ask=not yes)
    _show_next(found, call)


def _with_logs(found: Findings, tree: HostTree, logs: tuple[Path, ...]) -> Findings:
    """Add the logs that the user named; their format is read from their content."""
    sources = list(found.sources)
    known = {source.path for source in sources} | {str(log.absolute()) for log in logs}
    for log in logs:
        path = str(log.absolute())
        if own_path(path) != path and own_path(path) in known:
            click.echo(f"{_safe(path)} is a rotated file of {_safe(own_path(path))}, and read with it", err=True)
            continue
        if tree.state(path) == "absent":
            raise click.BadParameter(f"{log} is not a file", param_hint="LOG")
        if tree.state(path) == "unreadable":
            raise click.BadParameter(f"{log} may not be read by this user ({tree.access(path)})", param_hint="LOG")
        seen = look_into(tree, path)
        if not seen:
            raise click.BadParameter(f"the end of {log} holds no query line of a known format: "
                                     f"{', '.join(PARSERS)}", param_hint="LOG")  # fmt: skip
        kind = max(seen, key=lambda name: seen[name])
        zone = "" if zone_shown(kind, tree.tail(path, TAIL)) else tree.zone()
        source = LogSource(kind, path, f"named on the command line; {seen[kind]} {kind} query lines at its end", zone,
                           access=tree.access(path))  # fmt: skip
        sources = [item for item in sources if item.path != path] + [source]
    # A finding that nothing is there no longer holds once the user has named a log.
    notes = found.notes if not logs or found.sources else tuple(n for n in found.notes if n.kind != "advice")
    return Findings(tuple(sources), found.leases, notes)


# ── What is printed ───────────────────────────────────────────────────────────────────────────────────────────


def _show(found: Findings, *, err: bool) -> None:
    """Print the findings with their reasons, then what is to do, then what could not be seen."""
    if found.sources or found.leases:
        _head("Found", err)
    for source in found.sources:
        click.echo(f"  {source.type:8} {_safe(source.place)}", err=err)
        click.echo(f"           {_safe(source.because)}", err=err)
    for lease in found.leases:
        click.echo(f"  {'leases':8} {_safe(lease.path)}", err=err)
        click.echo(f"           {_safe(lease.because)}", err=err)
    for note in (note for note in found.notes if note.kind == "found"):
        _show_note(note, err)
    for title, kinds in (("To do", ("off", "advice")), ("Could not be read", ("unreadable",))):
        notes = [note for note in found.notes if note.kind in kinds]
        if notes:
            _head(title, err)
        for note in notes:
            _show_note(note, err)


def _show_note(note: Note, err: bool) -> None:
    click.echo(f"  {'' if note.kind == 'found' else '- '}{_safe(note.text)}", err=err)
    for line in note.stanza.split("\n") if note.stanza else ():
        click.echo(f"      {_safe(line)}".rstrip(), err=err)


def _head(text: str, err: bool) -> None:
    colour = (sys.stderr if err else sys.stdout).isatty() and "NO_COLOR" not in os.environ
    click.secho(text, bold=True, err=err, color=colour)


def _safe(text: str) -> str:
    """File names and configuration text are other people's: no control character reaches the terminal."""
    return "".join(char if char.isprintable() else "?" for char in text)


def _call(target: str) -> str:
    """Say how dnswatch is called with this configuration."""
    return "dnswatch" if target in ("-", DEFAULT_CONFIG) else f"dnswatch --config {shlex.quote(target)}"


def _show_next(found: Findings, call: str) -> None:
    _head("Next", False)
    groups = {source.access.partition(":")[2].split(" ")[0]: source.path for source in found.sources if source.access}
    for group, path in groups.items():
        if group not in ("", "root"):
            click.echo(f"  the user that runs dnswatch must read {_safe(path)}: usermod -aG {_safe(group)} USER")
    if any(source.journald for source in found.sources):
        click.echo("  the user that runs dnswatch must read the journal: usermod -aG systemd-journal USER")
    click.echo(f"  {call} check")
    click.echo(f"  {call} run")


# ── What is written ───────────────────────────────────────────────────────────────────────────────────────────


def _state_dir(target: str) -> str:
    """Use the system's place for a system's configuration, and a folder beside a private one."""
    if target in ("-", DEFAULT_CONFIG) or (os.geteuid() == 0 and str(Path(target).absolute()).startswith("/etc/")):
        return "/var/lib/dnswatch"
    return str(Path(target).absolute().parent / "dnswatch-state")


def _refuse_existing(path: Path, force: bool) -> None:
    if path.is_dir():
        raise DnswatchError(f"{path} is a directory: name a file, for example {path / 'dnswatch.yaml'}")
    if path.exists() and not force:
        raise DnswatchError(f"{path} exists and stays as it is: write elsewhere with --output FILE, compare with "
                            "--output -, or replace it with --force")  # fmt: skip


def _write(path: Path, text: str) -> None:
    """Write the file completely or not at all."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        new = Path(file.name)
        new.chmod(0o644)
        new.replace(path)
    except PermissionError as error:
        raise DnswatchError(f"{path} may not be written by this user: run init as root, or choose another place: "
                            "dnswatch init --output dnswatch.yaml") from error  # fmt: skip
    except OSError as error:
        raise DnswatchError(f"{path} cannot be written: {error.strerror or error}") from error


# ── What the existing logs suggest ────────────────────────────────────────────────────────────────────────────


def _propose(path: Path, found: Findings, prefix: str, call: str, *, ask: bool) -> None:
    """Read the logs that are there already and print the expectations that they suggest."""
    from dnswatch.cli.propose import apply, from_logs, size_of, text

    logs = [prefix + source.path for source in found.sources if source.path and source.state == "file"]
    if not logs:
        return
    again = f"{call} expect propose --apply"
    size = size_of(logs)
    if size > SCANNED_AT_ONCE:
        click.echo(f"The existing logs hold {size / 1024**3:.1f} GiB; to see what they suggest: {call} expect propose "
                   f"{shlex.join(logs)}")  # fmt: skip
        return
    try:
        proposal = from_logs(logs, path)
    except ConfigError:
        raise
    except DnswatchError as error:  # the configuration is written; an empty log is no failure of init
        click.echo(f"The existing logs suggest nothing: {error}")
        return
    if not proposal.lines:
        click.echo("The existing logs suggest no expectations.")
        return
    count = len(proposal.clear)
    _head(f"The existing logs suggest {count} expectation{'s'[: count != 1]}", False)
    click.echo(text(proposal))
    if not count:
        return
    command = f"{again} {shlex.join(logs)}"
    if ask and sys.stdin.isatty() and sys.stdout.isatty() and click.confirm("Accept them all?", default=False):
        click.echo(f"Wrote {apply(proposal, path)}")
    else:
        click.echo(f"To accept them: {command}")
