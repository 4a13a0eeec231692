"""`dnswatch expect`: list, add and remove expectations. What it writes stands in ``conf.d/90-expect.yaml``.

Never: touches a file that a person wrote, writes what would not load. Read next: ``config/edit.py``.
"""

from __future__ import annotations

import json
import time
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from dnswatch.cli import config_path
from dnswatch.cli.tables import print_table
from dnswatch.config.build import load_policy
from dnswatch.config.edit import EXPECT_PART, EXPECT_WRITER, only_writer, part, read_part, render_part, write_part
from dnswatch.config.load import load
from dnswatch.config.model import Config, Expect
from dnswatch.config.values import end
from dnswatch.core.clients.expectations import until_text
from dnswatch.core.clients.who import parse_who
from dnswatch.errors import EXIT_FAILED, ConfigError, StateError

DAY_S = 86400.0
HEADINGS = ("#", "WHO", "SERVICES", "BECAUSE", "OWNER", "UNTIL", "STATE", "WHERE")
SOON_S = 14 * DAY_S
"""An end within this time is shown as such: two weeks leave room to ask the owner."""


@dataclass(frozen=True, slots=True)
class Row:
    """One expectation as the user sees it."""

    number: int  # in the order of the merged configuration, from 1
    entry: Expect
    file: Path
    index: int  # within its file
    where: str  # "conf.d/90-expect.yaml:3"

    def state(self, now: float) -> str:
        """Say in a word or two whether it holds."""
        until = self.entry.until
        if until is None:
            return "valid"
        if until <= now:
            return "expired"
        return f"ends in {int((until - now) // DAY_S)} d" if until - now < SOON_S else "valid"


class WithPropose(click.Group):
    """The group and `propose`, whose module needs much that the others do not: it is imported on use."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted({*super().list_commands(ctx), "propose"})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name == "propose":
            from dnswatch.cli.propose import propose

            return propose
        return super().get_command(ctx, cmd_name)


@click.group(cls=WithPropose, context_settings={"help_option_names": ["-h", "--help"]})
def command() -> None:
    """List, add, remove and propose expectations: who may use which service."""


@command.command("list")
@click.option("--expired", is_flag=True, help="Only those that have ended.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def list_command(ctx: click.Context, expired: bool, as_json: bool) -> None:
    """List who is expected to use what, until when, and where that is written."""
    config, now = load(Path(config_path(ctx))), time.time()
    every = rows(config)
    ended = sum(row.state(now) == "expired" for row in every)
    shown = [row for row in every if not expired or row.state(now) == "expired"]
    if as_json:
        click.echo(json.dumps([_plain(row, now) for row in shown], indent=2, ensure_ascii=False))
        return
    if shown:
        print_table(HEADINGS, [_cells(row, now) for row in shown])
    valid = len(every) - ended
    click.echo(f"{len(every)} expectation{'s'[: len(every) != 1]}: {valid} valid, {ended} expired.", err=True)


@command.command("add")
@click.argument("who", nargs=-1, required=True)
@click.option("--service", "services", multiple=True, required=True, metavar="SERVICE",
              help="Service id or category:NAME; may be repeated.")  # fmt: skip
@click.option("--because", required=True, metavar="TEXT", help="Why they may.")
@click.option("--owner", default="", metavar="NAME", help="Who answers for it.")
@click.option("--until", metavar="DATE", help="Last day (UTC) or an RFC 3339 time.")
@click.pass_context
def add(
    ctx: click.Context, who: tuple[str, ...], services: tuple[str, ...], because: str, owner: str, until: str | None
) -> None:
    """Expect each WHO (group:NAME, address, network, name:HOST, mac:ADDRESS) to use the services."""
    main = Path(config_path(ctx))
    members = list(dict.fromkeys(_who(text) for text in who))
    entry: dict[str, Any] = {"who": members, "services": list(dict.fromkeys(services)), "because": because}
    entry |= {"owner": owner} if owner else {}
    if until is not None:
        if _end(until) <= time.time():
            raise click.BadParameter(f"{until} has passed", param_hint="--until")
        entry["until"] = until
    with only_writer_or_explain(main):
        before = load(main)
        _refuse_double(before, entry)
        path = part(main, EXPECT_PART)
        data = read_part(path)
        data["expect"] = [*(data.get("expect") or []), entry]
        text = render_part(data, EXPECT_WRITER)
        try:
            after = load_policy(main, overlay={path: text}).config
        except ConfigError as error:
            raise _as_usage(error, path, len(data["expect"]) - 1) from None
        write_part(main, path, text)
    click.echo(f"Expected from now on: {', '.join(members)} may use {', '.join(entry['services'])} "
               f"({after.origin(('expect', _position(after, path, len(data['expect']) - 1)))}).")  # fmt: skip
    _note(after, {"kind": "expect add", **entry})
    tell_daemon(ctx, after)


@command.command("remove")
@click.argument("what", metavar="NUMBER|WHO")
@click.option("--service", metavar="SERVICE", help="With WHO: only this service.")
@click.pass_context
def remove(ctx: click.Context, what: str, service: str | None) -> None:
    """Remove an expectation by its number in `expect list`, or what WHO may use, wherever `expect add` wrote it."""
    main = Path(config_path(ctx))
    with only_writer_or_explain(main):
        config, path = load(main), part(main, EXPECT_PART)
        if what.isdigit():
            if service is not None:
                raise click.UsageError("--service goes with WHO: a number names a whole entry")
            chosen = [row for row in rows(config) if row.number == int(what)]
        else:
            who = _who(what)
            chosen = [row for row in rows(config)
                      if who in row.entry.who and (service is None or service in row.entry.services)]  # fmt: skip
        if not chosen:
            raise click.UsageError(f"no expectation {_selection(what, service)}: see `dnswatch expect list`")
        ours = [row for row in chosen if row.file == path]
        for row in chosen:
            if row.file != path:
                what_it_says = f"{', '.join(row.entry.who)} may use {', '.join(row.entry.services)}"
                click.echo(f"{row.where}: written by hand, so edit it there ({what_it_says})", err=True)
        if not ours:
            ctx.exit(EXIT_FAILED)
        data = read_part(path)
        entries: list[Any] = []
        indexes = {row.index: row.entry for row in ours}
        for i, raw in enumerate(data["expect"]):
            if i not in indexes:
                entries.append(raw)
            elif not what.isdigit():
                entries += _without(raw, indexes[i], _who(what), service)
        data["expect"] = entries
        text = render_part(data, EXPECT_WRITER)
        after = load_policy(main, overlay={path: text}).config
        write_part(main, path, text)
    for row in ours:
        entry = row.entry
        gone = what if not what.isdigit() else ", ".join(entry.who)
        click.echo(f"No longer expected: {gone} using {service or ', '.join(entry.services)} ({entry.because}).")
        _note(after, {"kind": "expect remove", "who": gone, "services": service or entry.services})
    tell_daemon(ctx, after)
    if len(ours) < len(chosen):
        ctx.exit(EXIT_FAILED)


def rows(config: Config) -> list[Row]:
    """Give every expectation with its number and its place."""
    found = []
    for i, entry in enumerate(config.expect):
        leaf, _ = config.tree.find(("expect", i))
        assert leaf is not None
        found.append(Row(i + 1, entry, Path(leaf.document.file), int(leaf.path[-1]), config.origin(("expect", i))))
    return found


def only_writer_or_explain(main: Path) -> AbstractContextManager[None]:
    """Hold the right to write, or say which directory is missing in the words of `load`."""
    if not main.absolute().parent.is_dir():
        load(main)  # raises ConfigError: no such file, with what would help
    return only_writer(main)


def _without(raw: dict[str, Any], entry: Expect, who: str, service: str | None) -> list[dict[str, Any]]:
    """Give what is left of an entry when one member loses one service (None: all of them)."""
    others = [text for text in _many(raw["who"]) if _who(text) != who]
    left = [text for text in _many(raw["services"]) if service is not None and text != service]
    kept = [{**raw, "who": others}] if others else []
    return [*kept, {**raw, "who": [who], "services": left}] if left else kept


def _many(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else list(value)


def _who(text: str) -> str:
    try:
        return str(parse_who(text))
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="WHO") from None


def _end(text: str) -> float:
    try:
        return end(text)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--until") from None


def _as_usage(error: ConfigError, path: Path, index: int) -> Exception:
    """Blame the command line for problems of the entry it would have added, the files for all others."""
    own = [p for p in error.problems if p.file == str(path) and p.path.startswith(f"expect[{index}]")]
    others = [p for p in error.problems if p not in own]
    return ConfigError(others) if others else click.UsageError("; ".join(p.message for p in own))


def _refuse_double(config: Config, entry: dict[str, Any]) -> None:
    """Refuse what is expected already, at least as long."""
    until = _end(entry["until"]) if "until" in entry else None
    for row in rows(config):
        known = row.entry
        lasts = known.until is None or (until is not None and known.until >= until)
        if lasts and set(entry["who"]) <= set(known.who) and set(entry["services"]) <= set(known.services):
            raise click.UsageError(f"already expected: number {row.number}, {row.where} ({known.because})")


def _position(config: Config, path: Path, index: int) -> int:
    """Give the place in the merged list of an entry of one file."""
    return next(row.number - 1 for row in rows(config) if row.file == path and row.index == index)


def _selection(what: str, service: str | None) -> str:
    if what.isdigit():
        return f"number {what}"
    return f"names {what}" + (f" with {service}" if service else "")


def _note(config: Config, what: dict[str, Any]) -> None:
    from dnswatch.cli.world import note  # the store takes half a second to import

    note(config, what)


def tell_daemon(ctx: click.Context, config: Config, without: str = "the change counts from its next start") -> None:
    """Ask a running daemon to read the change, which is made in any case; ``without`` one, say what comes of it."""
    from dnswatch.io.lock import request_reload

    try:
        asked = request_reload(config.state_dir)
    except (StateError, OSError) as error:
        click.echo(f"The change is written, but {error}", err=True)
        ctx.exit(EXIT_FAILED)
    if asked:
        click.echo("The running daemon was asked to reload.")
    else:
        click.echo(f"No daemon runs on {config.state_dir}: {without}.")


def _plain(row: Row, now: float) -> dict[str, Any]:
    entry = row.entry
    state = "valid" if entry.until is None or entry.until > now else "expired"
    return {"number": row.number, "who": entry.who, "services": entry.services, "because": entry.because,
            "owner": entry.owner, "until": None if entry.until is None else until_text(entry.until),
            "state": state, "where": row.where}  # fmt: skip


def _cells(row: Row, now: float) -> tuple[str, ...]:
    entry = row.entry
    until = until_text(entry.until) if entry.until is not None else "-"
    return (str(row.number), ", ".join(entry.who), ", ".join(entry.services), entry.because, entry.owner or "-", until,
            row.state(now), row.where)  # fmt: skip
