"""`dnswatch feed`: build, show, compare and promote the published zones.

Never: compiles policy by itself (``core/feeds/publication.py`` does), writes while a daemon owns the directory: then it
asks the daemon. Read next: ``cli/promote.py``.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import click

from dnswatch.cli.tables import print_table
from dnswatch.cli.world import World, build_here, warn, world
from dnswatch.config.catalogue import load_catalogue
from dnswatch.config.model import Config
from dnswatch.config.values import time_text
from dnswatch.core.clients.expectations import Expectations
from dnswatch.core.clients.groups import Groups
from dnswatch.core.feeds.clients import isolated, kept_out
from dnswatch.core.feeds.formats import FORMATS, OVERVIEWS
from dnswatch.core.feeds.history import diff
from dnswatch.core.feeds.publication import Publication, actions, plan
from dnswatch.core.feeds.triggers import client_trigger
from dnswatch.core.feeds.verdicts import added
from dnswatch.core.feeds.zones import BY_CLIENT, QUARANTINE, LeftOut, left_out
from dnswatch.core.model import Delta, Rule, Snapshot
from dnswatch.core.policy import FeedPolicy, Policy
from dnswatch.io.lock import request_reload, running_pid
from dnswatch.io.publish import files
from dnswatch.io.store import FILE, Store


class WithMore(click.Group):
    """The group and the commands that live in modules of their own, imported on use."""

    MORE: ClassVar = {
        "allow": "names", "block": "names", "impact": "impact", "lint": "lint", "log": "orders", "probe": "probe",
        "promote": "promote", "publish": "publish", "quarantine": "quarantine",
    }  # fmt: skip
    """Command → module of ``cli/`` that has it under its own name."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted({*super().list_commands(ctx), *self.MORE})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in self.MORE:
            found = getattr(importlib.import_module(f"dnswatch.cli.{self.MORE[cmd_name]}"), cmd_name)
            assert isinstance(found, click.Command)
            return found
        return super().get_command(ctx, cmd_name)


@click.group(cls=WithMore, context_settings={"help_option_names": ["-h", "--help"]})
def command() -> None:
    """Build, show, prove, measure, publish, promote and probe the zones; block, allow and cut off by hand."""


# ── build ─────────────────────────────────────────────────────────────────────────────────────────────────────


@command.command("build")
@click.option(
    "--catalogue", is_flag=True, help="From the catalogue alone, like a public list: no configuration is read."
)
@click.option("--profile", type=click.Choice(["core", "extended"]), default="core", show_default=True,
              help="With --catalogue: which services.")  # fmt: skip
@click.option("--output", type=click.Path(file_okay=False, path_type=Path), metavar="DIR",
              help="Write there, record no serials and run no hooks.  [default: feeds.directory]")  # fmt: skip
@click.pass_context
def build(ctx: click.Context, catalogue: bool, profile: str, output: Path | None) -> None:
    """Compile the zones and write their files, in every format."""
    if catalogue:
        policy = Policy(
            load_catalogue([]).select("core" if profile == "core" else "extended"),
            Groups(), Expectations(), feeds=FeedPolicy(mode="enforce"),
        )  # fmt: skip
        _report(*_copy(plan(policy, None, time.time(), {}), output or Path("dnswatch-feeds")))
        return
    now = world(ctx)
    if output is not None:
        _report(*_copy(plan(now.policy, now.identity, time.time(), now.latest), output))
        return
    if running_pid(now.config.state_dir) is not None:
        request_reload(now.config.state_dir)
        click.echo(f"dnswatch runs on {now.config.state_dir} and owns its feeds: it was asked to rebuild them.")
        return
    rebuilt = build_here(now.config, now.policy)
    _report(rebuilt.publication, rebuilt.written)
    warn(rebuilt)


def _copy(publication: Publication, output: Path) -> tuple[Publication, tuple[Path, ...]]:
    return publication, tuple(files.write(output, publication.files()))


def _report(publication: Publication, written: Sequence[Path]) -> None:
    if not publication.snapshots:
        click.echo("feeds.mode is off: nothing is published.", err=True)
    for path in written:
        click.echo(str(path))
    count = sum(1 for _ in publication.files())
    click.echo(f"{len(written)} of {count} files written, {count - len(written)} were up to date.", err=True)


# ── show ──────────────────────────────────────────────────────────────────────────────────────────────────────


@command.command("show")
@click.argument("zone", required=False)
@click.option("--format", "form", type=click.Choice(sorted([*FORMATS, *OVERVIEWS])),
              help="Print the zone's file in this format; adguard and json hold all zones.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def show(ctx: click.Context, zone: str | None, form: str | None, as_json: bool) -> None:
    """Show the zones as they would be published now, what they leave out and why; or one ZONE (name or audience)."""
    now = world(ctx)
    publication = plan(now.policy, now.identity, time.time(), now.latest)
    chosen = [one for one in publication.snapshots if zone in (None, one.zone.name, one.zone.audience)]
    if zone and not chosen:
        known = ", ".join(one.zone.audience for one in publication.snapshots) or "none: feeds.mode is off"
        raise click.UsageError(f"no zone {zone!r} (there are {known})")
    if form in OVERVIEWS:
        if zone:
            raise click.UsageError(f"{form} is one file over all zones: leave out {zone}")
        click.echo(OVERVIEWS[form].render(now.policy, publication.snapshots, publication.at), nl=False)
        return
    if form:
        taken = [one for one in chosen if FORMATS[form].accepts(one)]
        if not taken:
            raise click.UsageError(f"{form} does not carry {zone}; it is written in "
                                   + ", ".join(f for f in FORMATS if any(map(FORMATS[f].accepts, chosen))))  # fmt: skip
        for one in taken:
            click.echo(FORMATS[form].render(one), nl=False)
        return
    if as_json:
        click.echo(json.dumps([_plain(now, one, publication, zone is not None) for one in chosen], indent=2))
    elif zone:
        _show_zone(now, chosen[0], publication)
    else:
        _show_zones(now, publication)


def _show_zones(now: World, publication: Publication) -> None:
    rows = [
        (one.zone.audience, one.zone.name, _mode(now, one, publication), str(one.serial), _published(now, one),
         _counts(one), str(len(_left_out(now, one, publication))))
        for one in publication.snapshots
    ]  # fmt: skip
    print_table(("AUDIENCE", "ZONE", "MODE", "SERIAL", "PUBLISHED", "RULES", "LEFT OUT"), rows)
    reasons: dict[tuple[str, str], list[str]] = {}
    for one in publication.snapshots:
        for entry in _left_out(now, one, publication):
            what = f"{entry.service} ({entry.name})" if entry.service and entry.name else entry.service or entry.name
            reasons.setdefault((what, entry.because[0].text), []).append(one.zone.audience)
    everywhere = len([one for one in publication.snapshots if one.zone.audience not in BY_CLIENT])
    if reasons:
        click.echo()
        print_table(("LEFT OUT", "OF", "BECAUSE"), [
            (what, "every zone" if len(of) == everywhere else ", ".join(of), why)
            for (what, why), of in sorted(reasons.items())
        ])  # fmt: skip
    formats = [(name, str(len(cannot)), next(iter(cannot.values()))) for name, cannot in sorted(_by_format(publication))
               if cannot]  # fmt: skip
    if formats:
        click.echo()
        print_table(("FORMAT", "LEAVES OUT", "BECAUSE, FOR EXAMPLE, IT"), formats)
    if not publication.snapshots:
        click.echo("feeds.mode is off: nothing is published.", err=True)
    if publication.changed:
        count = len(publication.changed)
        click.echo(f"{count} zone{'s are' if count != 1 else ' is'} not published like this yet: see "
                   "`dnswatch feed diff`, then `dnswatch feed build`.", err=True)  # fmt: skip


def _show_zone(now: World, one: Snapshot, publication: Publication) -> None:
    click.echo(f"{one.zone.name}: audience {one.zone.audience}, mode {_mode(now, one, publication)}, "
               f"serial {one.serial} ({_published(now, one)}), {_counts(one)}")  # fmt: skip
    why = _why(now, one)
    for rule in one.zone.rules:
        because = why.get(rule.trigger.removeprefix("*."))
        click.echo(f"  {rule_text(rule)}" + (f"  ({because})" if because else ""))
    for entry in _left_out(now, one, publication):
        click.echo(f"  left out: {entry.name or entry.service}: {entry.because[0].text}")
    for name, form in sorted(FORMATS.items()):
        for trigger, cannot in form.left_out(one).items() if form.accepts(one) else ():
            click.echo(f"  {name} leaves out {trigger}: {cannot}")


def _by_format(publication: Publication) -> Iterator[tuple[str, Mapping[str, str]]]:
    """Yield (format, what it cannot say and why) for what is published."""
    for name, form in FORMATS.items():
        yield name, {trigger: why for one in filter(form.accepts, publication.snapshots)
                     for trigger, why in form.left_out(one).items()}  # fmt: skip
    for name, overview in OVERVIEWS.items():
        yield name, overview.left_out(publication.policy, publication.snapshots)


def _mode(now: World, one: Snapshot, publication: Publication) -> str:
    return "retired" if one.zone.name in publication.retired else now.policy.feeds.mode


def _published(now: World, one: Snapshot) -> str:
    return time_text(int(one.at)) if now.latest.get(one.zone.name) == one else "not yet"


def _counts(one: Snapshot) -> str:
    return ", ".join(f"{count} {action}" for action, count in sorted(actions(one.zone).items())) or "none"


def _left_out(now: World, one: Snapshot, publication: Publication) -> tuple[LeftOut, ...]:
    if one.zone.name in publication.retired:
        return ()
    if one.zone.audience == QUARANTINE:
        return kept_out(now.policy, now.identity, time.time())
    return left_out(now.policy, one.zone.audience, time.time())


def _why(now: World, one: Snapshot) -> dict[str, str]:
    """Give why names and clients are in a zone that no catalogue put there."""
    at = time.time()
    if one.zone.audience == QUARANTINE:
        return {client_trigger(str(entry.network)): entry.because.text
                for entry in isolated(now.policy, now.identity, at) if entry.kept is None}  # fmt: skip
    return {name: why.text for name, why in added(now.policy, one.zone.audience, at).items()}


def rule_text(rule: Rule) -> str:
    """Write a rule as one line."""
    return " ".join((rule.trigger, rule.action, *rule.addresses))


def _plain(now: World, one: Snapshot, publication: Publication, rules: bool) -> dict[str, Any]:
    plain: dict[str, Any] = {
        "zone": one.zone.name, "audience": one.zone.audience, "mode": _mode(now, one, publication),
        "serial": one.serial, "published": now.latest.get(one.zone.name) == one, "at": time_text(one.at),
        "rules": dict(actions(one.zone)),
        "left_out": [{"service": e.service, "name": e.name, "because": [str(why) for why in e.because]}
                     for e in _left_out(now, one, publication)],
    }  # fmt: skip
    if rules:
        plain["formats"] = [{"format": name, "triggers": dict(form.left_out(one))}
                            for name, form in sorted(FORMATS.items()) if form.accepts(one)]  # fmt: skip
        why = _why(now, one)
        plain["triggers"] = [{"trigger": rule.trigger, "action": rule.action, "addresses": list(rule.addresses),
                              "because": why.get(rule.trigger.removeprefix("*."))}
                             for rule in one.zone.rules]  # fmt: skip
    return plain


# ── diff ──────────────────────────────────────────────────────────────────────────────────────────────────────


@command.command("diff")
@click.argument("serials", nargs=-1, type=int, metavar="[SERIAL [SERIAL]]")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def diff_command(ctx: click.Context, serials: tuple[int, ...], as_json: bool) -> None:
    """Show what publishing now would change; or changes since SERIAL, or between two of them."""
    if len(serials) > 2:
        raise click.UsageError("give at most two serials")
    now = world(ctx)
    if serials:
        kept = asyncio.run(_between(now.config, serials))
        deltas = [delta for delta in kept if delta.removed or delta.added]
        if not kept:
            raise click.UsageError(f"no zone has a version {serials[0]} that is still kept: see `dnswatch feed show`")
    else:
        publication = plan(now.policy, now.identity, time.time(), now.latest)
        empty = {one.zone.name: Snapshot(type(one.zone)(one.zone.name, one.zone.audience, ()), 0, 0.0)
                 for one in publication.changed}  # fmt: skip
        deltas = [diff(now.latest.get(one.zone.name, empty[one.zone.name]), one) for one in publication.changed]
    if as_json:
        click.echo(json.dumps([_plain_delta(delta) for delta in deltas], indent=2))
        return
    for delta in deltas:
        _print_delta(delta)
    if not deltas:
        click.echo("Nothing changed." if serials else "Nothing would change.", err=True)


async def _between(config: Config, serials: Sequence[int]) -> list[Delta]:
    async with await Store.open(config.state_dir / FILE, create=False, readonly=True) as store:
        deltas = []
        for zone, newest in sorted((await store.latest_snapshots()).items()):
            old = await store.snapshot(zone, serials[0])
            new = await store.snapshot(zone, serials[1]) if len(serials) > 1 else newest
            if old and new:
                deltas.append(diff(old, new))
        return deltas


def _print_delta(delta: Delta) -> None:
    since = f"serial {delta.from_serial}" if delta.from_serial else "nothing published"
    added, removed = set(delta.added), set(delta.removed)
    click.echo(f"{delta.zone}: {since} -> {delta.to_serial}: {len(removed)} removed, {len(added)} added")
    for rule in sorted(removed | added):
        if rule in removed:
            click.echo(f"- {rule_text(rule)}")
        if rule in added:
            click.echo(f"+ {rule_text(rule)}")


def _plain_delta(delta: Delta) -> dict[str, Any]:
    return {
        "zone": delta.zone, "from_serial": delta.from_serial or None, "to_serial": delta.to_serial,
        "removed": [rule_text(rule) for rule in delta.removed], "added": [rule_text(rule) for rule in delta.added],
    }  # fmt: skip
