"""`dnswatch feed block` and `feed allow`: names by hand, with reason, owner and end.

What is written stands in ``conf.d/90-feeds.yaml``. Never: overrides a protection that was not named. Read next:
``part.py``, ``core/feeds/verdicts.py`` for what is stronger than what.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import click

from dnswatch.cli import config_path
from dnswatch.cli.part import add_entry, entry_end, remove_entries, tell_feeds, where
from dnswatch.cli.tables import print_table
from dnswatch.cli.world import note
from dnswatch.config.build import load_policy
from dnswatch.config.model import BlockEntry
from dnswatch.core import names
from dnswatch.core.clients.expectations import until_text
from dnswatch.core.clients.identity import Identity
from dnswatch.core.feeds.lint import lint

HEADINGS = ("#", "NAMES", "MATCH", "FOR", "BECAUSE", "OWNER", "UNTIL", "STATE", "WHERE")


@click.group()
def block() -> None:
    """Block names by hand, for everybody or for some groups."""


@click.group()
def allow() -> None:
    """Let names pass by hand: no zone blocks them, whatever the catalogue says."""


def _make(group: click.Group, key: str) -> None:
    """Give a group its three commands."""

    @group.command("add")
    @click.argument("given", metavar="NAME...", nargs=-1, required=True)
    @click.option("--because", required=True, metavar="TEXT", help="Why.")
    @click.option("--for-group", "audiences", multiple=True, metavar="GROUP",
                  help="Only for this group, or any for clients in none; may be repeated.")  # fmt: skip
    @click.option("--match", type=click.Choice(["exact", "subdomains", "domain"]), default="domain", show_default=True)
    @click.option("--owner", default="", metavar="NAME", help="Who answers for it.")
    @click.option("--until", metavar="DATE", help="Last day (UTC) or an RFC 3339 time.")
    @click.option("--for", "lasting", metavar="DURATION", help="How long from now, such as 12h or 7d.")
    @click.option("--override", multiple=True, type=click.Choice(["never-block", "expected"]), hidden=key == "allow",
                  help="Block although the name is protected, or expected; may be repeated.")  # fmt: skip
    @click.pass_context
    def add(
        ctx: click.Context, given: tuple[str, ...], because: str, audiences: tuple[str, ...], match: str, owner: str,
        until: str | None, lasting: str | None, override: tuple[str, ...],
    ) -> None:  # fmt: skip
        if override and key == "allow":
            raise click.UsageError("--override is for feed block")
        entry: dict[str, Any] = {"names": [_name(text) for text in given]}
        entry |= {"match": match} if match != "domain" else {}
        entry |= {"audiences": list(audiences)} if audiences else {}
        entry["because"] = because
        entry |= {"owner": owner} if owner else {}
        ending = entry_end(until, lasting)
        entry |= {"until": ending} if ending else {}
        entry |= {"override": list(override)} if override else {}
        config = add_entry(ctx, (key,), entry)
        whom = ", ".join(audiences) or "everybody"
        click.echo(f"{'Blocked' if key == 'block' else 'Allowed'} by hand for {whom}: {', '.join(entry['names'])}.")
        _warn(ctx, entry["names"])
        note(config, {"kind": f"feed {key} add", **entry})
        tell_feeds(ctx, config)

    @group.command("remove")
    @click.argument("what", metavar="NUMBER|NAME")
    @click.pass_context
    def remove(ctx: click.Context, what: str) -> None:
        index, name = None, "" if what.isdigit() else _name(what)
        if what.isdigit():
            entries = getattr(load_policy(Path(config_path(ctx))).config.feeds, key)
            if not 1 <= int(what) <= len(entries):
                raise click.UsageError(f"no entry number {what}: see `dnswatch feed {key} list`")
            file, index = where(ctx, ("feeds", key, int(what) - 1))
            if file.name != "90-feeds.yaml":
                raise click.UsageError(f"number {what} was written by hand, so edit it there: {file}")

        def left(i: int, entry: dict[str, Any]) -> dict[str, Any] | None:
            if index is not None:
                return None if i == index else entry
            listed = entry["names"] if isinstance(entry["names"], list) else [entry["names"]]
            others = [text for text in listed if _name(text) != name]
            return entry if len(others) == len(listed) else {**entry, "names": others} if others else None

        gone, config = remove_entries(ctx, (key,), left)
        if not gone:
            raise click.UsageError(f"no entry names {what} in conf.d/90-feeds.yaml: see `dnswatch feed {key} list`")
        click.echo(f"No longer {'blocked' if key == 'block' else 'allowed'} by hand: {what}.")
        for entry in gone:
            note(config, {"kind": f"feed {key} remove", **({"names": [name]} if name else entry)})
        tell_feeds(ctx, config)

    @group.command("list")
    @click.option("--json", "as_json", is_flag=True, help="Print JSON.")
    @click.pass_context
    def list_command(ctx: click.Context, as_json: bool) -> None:
        config, now = load_policy(Path(config_path(ctx))).config, time.time()
        entries = getattr(config.feeds, key)
        rows = [
            {"number": i + 1, "names": one.names, "match": one.match, "audiences": one.audiences,
             "because": one.because, "owner": one.owner,
             "until": until_text(one.until) if one.until is not None else None,
             "state": "valid" if one.until is None or one.until > now else "expired",
             **({"override": one.override} if isinstance(one, BlockEntry) else {}),
             "where": config.origin(("feeds", key, i))}
            for i, one in enumerate(entries)
        ]  # fmt: skip
        if as_json:
            click.echo(json.dumps(rows, indent=2, ensure_ascii=False))
        elif rows:
            print_table(HEADINGS, [
                (str(r["number"]), ", ".join(r["names"]), r["match"], ", ".join(r["audiences"]) or "everybody",
                 r["because"], r["owner"] or "-", r["until"] or "-", r["state"], r["where"]) for r in rows
            ])  # fmt: skip
        else:
            click.echo(f"Nothing is {'blocked' if key == 'block' else 'allowed'} by hand.", err=True)

    add.help = f"{'Block' if key == 'block' else 'Allow'} each NAME."
    remove.help = f"Remove an entry by its number in `feed {key} list`, or NAME from all of them."
    list_command.help = "List the entries: names, for whom, why, until when, and where that is written."


_make(block, "block")
_make(allow, "allow")


def _warn(ctx: click.Context, given: list[str]) -> None:
    """Say at once when an entry does less than it seems to."""
    policy = load_policy(Path(config_path(ctx))).policy
    for flaw in lint(policy, Identity(), time.time()):
        if flaw.subject in given and flaw.level == "warning":
            click.echo(f"note: {flaw.subject}: {flaw.text}", err=True)


def _name(text: str) -> str:
    try:
        return names.canonical(text)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="NAME") from None
