"""`dnswatch catalog`: list, show and match the watched services. Works without any configuration.

Never: changes anything. Read next: ``core/catalog/catalog.py``.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from dnswatch.cli import DEFAULT_CONFIG
from dnswatch.core.catalog import CATEGORIES, Catalog
from dnswatch.core.model import Indicator, Match, Name, Service
from dnswatch.core.names import from_escaped, to_labels
from dnswatch.errors import EXIT_FAILED

BLOCK = {
    "safe": "safe: a block breaks scripts and integrations only",
    "collateral": "collateral: a block also breaks what people use, so feeds take it only on the operator's word",
}
ROLES = {
    "api": "api: what scripts, bots and malware look up",
    "companion": "companion: people's own clients look it up too",
    "ambiguous": "ambiguous: people's clients and bots both look it up",
    "recon": "IP-check name: tells a client its public address",
    "doh": "DNS-over-HTTPS name: what follows may be invisible here",
}


@dataclass(frozen=True, slots=True)
class View:
    """The catalogue as the user sees it, and whose choice of services it shows."""

    catalog: Catalog
    under: str  # "the core profile, no configuration"


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def command() -> None:
    """List, show and match the watched services."""


@command.command("list")
@click.option("--category", metavar="CATEGORY", help="Only services of this category.")
@click.option("--profile", type=click.Choice(["core", "extended"]), help="Only services of this profile.")
@click.option("--all", "everything", is_flag=True, help="Also services that are not watched.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def list_command(
    ctx: click.Context, category: str | None, profile: str | None, everything: bool, as_json: bool
) -> None:
    """List the watched services, or all known ones."""
    view = _view(ctx)
    chosen = [s for s in view.catalog.services.values()
              if (category is None or s.category in _category(category))
              and (profile is None or s.profile == profile)
              and (everything or profile or s.id in view.catalog.enabled)]  # fmt: skip
    chosen.sort(key=lambda s: (s.category, s.id))
    if as_json:
        _print_json([_plain(s, view.catalog) for s in chosen])
        return
    rows = [(s.id, s.category, s.profile, "yes" if s.id in view.catalog.enabled else "no", s.base_severity,
             s.block_safety, " ".join(_patterns(s, "api"))) for s in chosen]  # fmt: skip
    _print_table(("SERVICE", "CATEGORY", "PROFILE", "WATCHED", "SEVERITY", "BLOCK", "NAMES"), rows)
    known = len(view.catalog.services)
    hint = "" if everything else "; --all shows the others"
    click.echo(f"{len(rows)} of {known} services, {len(view.catalog.enabled)} watched ({view.under}){hint}.", err=True)


@command.command("show")
@click.argument("service")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def show_command(ctx: click.Context, service: str, as_json: bool) -> None:
    """Show everything that is known of SERVICE (an id such as slack-webhook)."""
    view = _view(ctx)
    found = view.catalog.services.get(service)
    if found is None:
        try:
            view.catalog.resolve(service)
        except KeyError as error:
            raise click.UsageError(str(error.args[0])) from None
        raise click.UsageError(f"{service!r} names several services: see `dnswatch catalog list`")
    if as_json:
        _print_json(_plain(found, view.catalog))
        return
    watched = "yes" if found.id in view.catalog.enabled else "no"
    lines = [
        ("service", found.id),
        ("name", found.name + (f" ({found.region})" if found.region else "")),
        ("category", f"{found.category}: {CATEGORIES[found.category]}"),
        ("watched", f"{watched} ({view.under}; the entry's profile is {found.profile})"),
        ("names", "\n".join(_patterns(found, "api"))),
        ("tenant", "the label to the left of * names a tenant" if found.multi_tenant else ""),
        ("companions", "\n".join(_patterns(found, "companion"))),
        ("ambiguous", "\n".join(_patterns(found, "ambiguous"))),
        ("companion effect", found.companion_effect),
        ("shared", "yes: people look it up in normal use" if found.shared else "no: only programs look it up"),
        ("severity", f"{found.base_severity}: {found.severity_reason}"),
        ("block", BLOCK[found.block_safety]),
        ("ATT&CK", " ".join(found.attack)),
        ("references", "\n".join(found.references)),
        ("confidence", found.confidence),
        ("note", found.note),
        ("defined in", found.origin),
    ]
    _print_fields((title, text) for title, text in lines if text)


@command.command("match")
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def match_command(ctx: click.Context, name: str, as_json: bool) -> None:
    """Say which service the DNS name NAME belongs to, and how it matches. Exit 1: to none."""
    looked_up = _name(name)
    view = _view(ctx)
    # What is watched first; then what another choice of services would watch.
    found = tuple(dict.fromkeys((*view.catalog.match(looked_up), *view.catalog.find(looked_up))))
    near = () if found else view.catalog.near(looked_up)
    protected = view.catalog.protects(looked_up, "exact")
    if as_json:
        _print_json({
            "name": looked_up,
            "watched": bool(view.catalog.match(looked_up)),
            "matches": [_plain_match(looked_up, i, view.catalog) for i in found],
            "near": [pattern(*entry) for entry in near],
            "never_block": protected.reason if protected else None,
        })  # fmt: skip
    else:
        for indicator in found:
            _print_fields(_match_lines(looked_up, indicator, view))
            click.echo()
        if not found:
            click.echo(f"{looked_up} matches no service of the catalogue.")
        if near:
            click.echo("Known names that are near: " + ", ".join(pattern(*entry) for entry in near))
        if protected:
            click.echo(f"No feed ever contains {looked_up}: {protected.reason}.")
    if not found:
        ctx.exit(EXIT_FAILED)


def pattern(name: Name, match: Match) -> str:
    """Write an indicator's names as people do: ``hooks.slack.com``, ``*.ngrok.io``, ``[*.]webhook.site`` for both."""
    return {"exact": "", "subdomains": "*.", "domain": "[*.]"}[match] + name


def _view(ctx: click.Context) -> View:
    """Load the catalogue with the configured choice of services; without a configuration, the core profile."""
    from dnswatch.config.catalogue import load_catalogue

    chosen = ctx.obj or DEFAULT_CONFIG
    if not ctx.obj and not os.access(chosen, os.R_OK):
        if Path(chosen).exists():
            click.echo(f"{chosen} is not readable for you: showing the core profile.", err=True)
        return View(load_catalogue(), "the core profile, no configuration")

    from dnswatch.config.build import load_policy

    loaded = load_policy(Path(chosen))
    return View(loaded.policy.catalog, f"the {loaded.config.watch.profile} profile of {chosen}")


def _category(text: str) -> tuple[str, ...]:
    """Accept ``tunnel-visit`` and ``category:tunnel-visit``."""
    name = text.removeprefix("category:")
    if name not in CATEGORIES:
        import difflib

        close = difflib.get_close_matches(name, CATEGORIES, 1)
        hint = f"did you mean {close[0]!r}?" if close else f"one of {', '.join(CATEGORIES)}"
        raise click.UsageError(f"unknown category {name!r} ({hint})")
    return (name,)


def _name(text: str) -> Name:
    """Read a name as it stands in a log: any case, a final dot, BIND's escapes."""
    if not text.isascii():
        raise click.UsageError(f"{text!r} is not ASCII: write its A-label (xn--…), as it stands in a log")
    name = from_escaped(text.encode("ascii"))
    if name is None:
        raise click.UsageError(f"{text!r} is not a DNS name (labels of 1-63 octets, 253 in all)")
    return name


def _tenant(name: Name, indicator: Indicator, service: Service) -> str:
    """Give the label that names the tenant: the one just below a ``subdomains`` suffix."""
    if not service.multi_tenant or indicator.role != "api" or indicator.match != "subdomains":
        return ""
    labels = to_labels(name)
    return labels[-len(to_labels(indicator.name)) - 1].decode("ascii", "backslashreplace")


def _match_lines(name: Name, indicator: Indicator, view: View) -> list[tuple[str, str]]:
    how = "exactly" if name == indicator.name else f"as a name below {indicator.name}"
    lines = [("name", name), ("matches", f"{pattern(indicator.name, indicator.match)}, {how}"),
             ("role", ROLES[indicator.role])]  # fmt: skip
    service = view.catalog.services.get(indicator.service)
    watched = indicator in view.catalog.match(name)
    verdict = f"{'yes' if watched else 'no'} ({view.under})"
    if service is None:
        return [*lines, ("watched", verdict)]
    lines.insert(1, ("service", f"{service.id} ({service.name}; {service.category})"))
    lines.append(("watched", verdict if watched else f"no ({view.under}; the entry's profile is {service.profile})"))
    if indicator.role != "api":
        return lines
    tenant = _tenant(name, indicator, service)
    lines += [("tenant", tenant)] if tenant else []
    return [*lines, ("severity", f"{service.base_severity}: {service.severity_reason}"),
            ("block", BLOCK[service.block_safety])]  # fmt: skip


def _patterns(service: Service, role: str) -> list[str]:
    return [pattern(i.name, i.match) for i in service.indicators if i.role == role]


# ── Output ────────────────────────────────────────────────────────────────────────────────────────────────────


def _plain(service: Service, catalog: Catalog) -> dict[str, Any]:
    """Give a service in the field names of its file, plus whether it is watched."""
    names: dict[str, list[dict[str, str]]] = {"api": [], "companion": [], "ambiguous": []}
    for indicator in service.indicators:
        names[indicator.role].append({"name": indicator.name, "match": indicator.match, "domain": indicator.domain})
    return {
        "id": service.id, "name": service.name, "category": service.category, "profile": service.profile,
        "watched": service.id in catalog.enabled, "region": service.region, "names": names["api"],
        "companions": names["companion"], "ambiguous": names["ambiguous"],
        "companion_effect": service.companion_effect, "shared": service.shared, "multi_tenant": service.multi_tenant,
        "block_safety": service.block_safety, "base_severity": service.base_severity,
        "severity_reason": service.severity_reason, "attack": list(service.attack),
        "references": list(service.references), "confidence": service.confidence, "note": service.note,
        "origin": service.origin,
    }  # fmt: skip


def _plain_match(name: Name, indicator: Indicator, catalog: Catalog) -> dict[str, Any]:
    service = catalog.services.get(indicator.service)
    return {
        "service": indicator.service,
        "service_name": service.name if service else "",
        "category": service.category if service else "",
        "role": indicator.role,
        "indicator": indicator.name,
        "match": indicator.match,
        "domain": indicator.domain,
        "tenant": _tenant(name, indicator, service) if service else "",
        "watched": indicator in catalog.match(name),
        "base_severity": service.base_severity if service and indicator.role == "api" else None,
        "block_safety": service.block_safety if service and indicator.role == "api" else None,
    }


def _print_json(value: object) -> None:
    click.echo(json.dumps(value, ensure_ascii=False, indent=2))


def _print_table(header: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
    """Print a table; the last column takes what room is left."""
    if sys.stdout.isatty():
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text

        table = Table(*header[:-1], box=None, pad_edge=False, header_style="bold")
        table.add_column(header[-1], ratio=1)
        for row in rows:
            table.add_row(*(Text(cell, no_wrap=i < len(row) - 1) for i, cell in enumerate(row)))
        Console().print(table)
        return
    widths = [max(len(row[i]) for row in (header, *rows)) for i in range(len(header) - 1)]
    for row in (header, *rows):
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
        click.echo("  ".join((*cells, row[-1])).rstrip())


def _print_fields(fields: Iterable[tuple[str, str]]) -> None:
    """Print titled fields; on a terminal, long text wraps behind its title."""
    listed = list(fields)
    width = max(len(title) for title, _ in listed)
    if sys.stdout.isatty():
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text

        table = Table.grid(padding=(0, 2))
        table.add_column(style="bold", no_wrap=True, min_width=width)
        table.add_column(ratio=1)
        for title, text in listed:
            table.add_row(Text(title), Text(text))
        Console().print(table)
        return
    for title, text in listed:
        first, *others = text.split("\n")
        click.echo(f"{title.ljust(width)}  {first}")
        for other in others:
            click.echo(" " * (width + 2) + other)
