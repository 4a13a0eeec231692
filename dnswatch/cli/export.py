"""`dnswatch export`: catalogue, policy and sightings for other tools, on stdout or into a file.

Never: tells addresses of clients unless ``--clients`` asks for it, needs a store (without one nothing was seen).
Read next: ``core/exports/__init__.py``.
"""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dnswatch.cli import DEFAULT_CONFIG, config_path
from dnswatch.cli.tables import counted
from dnswatch.config.values import duration
from dnswatch.errors import DnswatchError

if TYPE_CHECKING:
    from dnswatch.core.detect.changes import SightingRow
    from dnswatch.core.exports import Share
    from dnswatch.core.policy import Policy

DAYS = "30d"


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def command() -> None:
    """Give other tools what dnswatch knows: watched names, who may use them, what was seen."""


def _exporter(name: str, tool: str, more: str) -> None:
    """Add one sub-command; all of them take the same options."""

    @command.command(name, short_help=tool)
    @click.option("--output", "-o", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE",
                  help="Write here instead of to stdout.")  # fmt: skip
    @click.option("--service", "chosen", multiple=True, metavar="REF",
                  help="Only this service or category:NAME; repeatable.  [default: all watched]")  # fmt: skip
    @click.option("--since", default=DAYS, metavar="DURATION", help=f"Sightings of so long ago.  [default: {DAYS}]")
    @click.option("--clients", is_flag=True, help="Tell the addresses of clients too.")
    @click.pass_context
    def export(ctx: click.Context, output: Path | None, chosen: tuple[str, ...], since: str, clients: bool) -> None:
        text = _written(name, _share(ctx, chosen, _since(since), clients))
        if output is None:
            click.echo(text, nl=False)
        else:
            try:
                output.write_text(text, encoding="utf-8")
            except OSError as error:
                raise DnswatchError(f"{output} cannot be written: {error.strerror or error}") from None
            click.echo(f"{output}: {len(text.encode()):,} bytes.", err=True)

    export.help = f"{tool}\n\n{more}"


_exporter("misp", "Write a MISP event.",
          "Only names that are safe to block are flagged to_ids; sightings are unexpected lookups.")  # fmt: skip
_exporter("sigma", "Write Sigma rules.",
          "One stateless rule a service, category dns; the networks of expectations are its filter.")  # fmt: skip
_exporter("stix", "Write a STIX 2.1 bundle.",
          "Indicators of anomalous activity, ATT&CK techniques, sightings.")  # fmt: skip


def _written(name: str, share: Share) -> str:
    """Write the documents: Sigma as YAML, everything else as JSON."""
    from dnswatch.core.exports import EXPORTS

    documents = EXPORTS[name](share)
    if name == "sigma":
        import yaml

        return yaml.safe_dump_all(documents, sort_keys=False, allow_unicode=True, width=120)
    return "".join(json.dumps(document, indent=2) + "\n" for document in documents)


def _share(ctx: click.Context, chosen: tuple[str, ...], since_s: float, clients: bool) -> Share:
    from dnswatch.core.exports.share import Share, total

    policy, rows, sensor = _known(ctx, since_s)
    catalog = policy.catalog
    wanted = set(catalog.enabled)
    if chosen:
        try:
            wanted = set().union(*(catalog.resolve(reference) for reference in chosen))
        except KeyError as error:
            raise click.BadParameter(str(error.args[0]), param_hint="--service") from None
    services = tuple(catalog.services[id_] for id_ in sorted(wanted))
    seen = total(rows)
    met = sum(one in wanted for one in seen)
    click.echo(f"{counted(len(services), 'service')}, {met} of them seen without being expected.", err=True)
    return Share(services, policy.expectations, policy.groups, time.time(), seen, sensor, clients)


def _known(ctx: click.Context, since_s: float) -> tuple[Policy, list[SightingRow], str]:
    """Give policy, sightings and the sensor's name; without a configuration the shipped catalogue and nothing seen."""
    path = Path(config_path(ctx))
    if not path.exists() and str(path) == DEFAULT_CONFIG:
        from dnswatch.scan import bare_policy

        click.echo("No configuration: the core catalogue, nobody expected, nothing seen.", err=True)
        return bare_policy(), [], ""
    from dnswatch.config.build import load_policy
    from dnswatch.io.store import FILE, Store

    loaded = load_policy(path)
    store_path = loaded.config.state_dir / FILE

    async def rows() -> list[Any]:
        async with await Store.open(store_path, readonly=True) as store:
            return await store.sightings(time.time() - since_s)

    seen = asyncio.run(rows()) if store_path.exists() else []
    return loaded.policy, seen, loaded.config.sensor


def _since(text: str) -> float:
    try:
        return duration(text)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--since") from None
