"""`dnswatch report`: an incident report about a client or a stretch of time, in one file that needs nothing else.

Never: fetches anything when it is opened (no script, no font, no image from elsewhere), prints what a client chose as
markup. Read next: ``core/report/incident.py``.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dnswatch import __version__
from dnswatch.cli import config_path
from dnswatch.cli.alert_page import lease_text
from dnswatch.cli.tables import counted, time_text
from dnswatch.config.values import duration, instant
from dnswatch.core.alerts.flat import reason, timeline
from dnswatch.core.alerts.text import printable
from dnswatch.errors import DnswatchError

if TYPE_CHECKING:
    from jinja2 import Environment

    from dnswatch.config.build import Loaded
    from dnswatch.core.report import Incident

FORMATS = {"html": "report.html.j2", "markdown": "report.md.j2"}
MOST_ALERTS = 500
_MARKS = re.compile(r"([\\`*_\[\]<>|#&!~])")


@click.command("report", short_help="Write an incident report about a client or a stretch of time.")
@click.option("--client", default="", metavar="WHO", help="Address, name or group.  [default: everybody]")
@click.option("--since", default="7d", metavar="TIME", help="24h, 7d, a date or an RFC 3339 time.  [default: 7d]")
@click.option("--until", metavar="TIME", help="As --since.  [default: now]")
@click.option(
    "--format", "form", type=click.Choice(list(FORMATS)), help="[default: as the name of --output, else html]"
)
@click.option("--output", "-o", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE",
              help="Write here instead of to stdout.")  # fmt: skip
@click.option("--navigator", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE",
              help="Also write an ATT&CK Navigator layer of the techniques.")  # fmt: skip
@click.pass_context
def command(
    ctx: click.Context, client: str, since: str, until: str | None, form: str | None, output: Path | None,
    navigator: Path | None,
) -> None:  # fmt: skip
    """Write what happened, why it was judged so and what to do, with a timeline.

    \b
    dnswatch report --client 10.0.10.7 --since 7d -o incident.html --navigator layer.json
    """
    from dnswatch.config.build import load_policy
    from dnswatch.core.report import layer

    loaded = load_policy(Path(config_path(ctx)))
    now = time.time()
    scope = (client, _instant(since, now, "--since"), _instant(until, now, "--until") if until else now)
    if scope[1] >= scope[2]:
        raise click.BadParameter("must be before --until", param_hint="--since")
    report = _incident(loaded, *scope)
    title = f"Incident report: {client}" if client else "Incident report"
    _write(output, _render(form or _form_of(output), report, loaded, title))
    if navigator is not None:
        _write(navigator, json.dumps(layer(report, title), indent=2) + "\n")
    if not report.alerts and not report.lookups:
        click.echo("Nothing watched was looked up in this time.", err=True)


def _incident(loaded: Loaded, client: str, since: float, until: float) -> Incident:
    """Read everything in scope from the store."""
    from dnswatch.config.triage import triage_of
    from dnswatch.core.report import Scope, incident
    from dnswatch.io.store import FILE, Store, Wanted

    async def read() -> Incident:
        async with await Store.open(loaded.config.state_dir / FILE, readonly=True) as store:
            alerts = await store.alerts(Wanted(since, client=client, limit=MOST_ALERTS))
            found = [(one, await store.revisions(one.id)) for one in alerts if one.first_at <= until]
            triage = triage_of(loaded.policy.catalog, loaded.config.lang)
            return incident(Scope(client, since, until), found, await store.sightings(since), triage)

    return asyncio.run(read())


def _render(form: str, report: Incident, loaded: Loaded, title: str) -> str:
    from dnswatch.config.triage import load_triage

    return (
        _environment()
        .get_template(FORMATS[form])
        .render(
            report=report,
            title=title,
            version=__version__,
            sensor=loaded.config.sensor,
            lang=loaded.config.lang,
            look_next=load_triage(loaded.config.lang).look_next,
        )
    )


def _environment() -> Environment:
    """Templates that escape for HTML by themselves; Markdown has a filter of its own."""
    from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

    made = Environment(
        loader=PackageLoader("dnswatch.cli"),
        autoescape=select_autoescape(["html.j2"]),
        undefined=StrictUndefined,
        trim_blocks=False,
    )
    made.filters.update(
        time=time_text,
        counted=counted,
        md=_markdown,
        safe_text=printable,
        lease=lease_text,
        timeline=timeline,
        reason=lambda alert: printable(reason(alert)),
    )
    return made


def _markdown(text: str) -> str:
    """Escape what Markdown would read: names come from clients."""
    return _MARKS.sub(r"\\\1", printable(str(text)))


def _form_of(output: Path | None) -> str:
    return "markdown" if output is not None and output.suffix.lower() in (".md", ".markdown") else "html"


def _instant(text: str, now: float, option: str) -> float:
    try:
        return now - duration(text)
    except ValueError:
        pass
    try:
        return instant(text)
    except ValueError as error:
        raise click.BadParameter(f"{error}, nor a duration like 24h or 7d", param_hint=option) from None


def _write(path: Path | None, text: str) -> None:
    if path is None:
        click.echo(text, nl=False)
        return
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise DnswatchError(f"{path} cannot be written: {error.strerror or error}") from None
    click.echo(f"Wrote {path}.", err=True)
