"""`dnswatch feed lint`: proves that nobody who is expected is blocked, and finds what says less than it seems to.

Never: changes anything. Read next: ``core/feeds/lint.py``.
"""

from __future__ import annotations

import json
import time
from dataclasses import asdict

import click

from dnswatch.cli.tables import print_table
from dnswatch.cli.world import world
from dnswatch.core.feeds.lint import lint as examine
from dnswatch.core.feeds.proof import cells
from dnswatch.core.feeds.resolvers import CONSUMERS
from dnswatch.core.feeds.zones import compile_zones, with_mode
from dnswatch.errors import EXIT_FAILED


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def lint(ctx: click.Context, as_json: bool) -> None:
    """Prove that no expected client is blocked, as each resolver reads the zones; exit 1 with findings.

    Notes say what was ordered although it is unusual; they are no findings.
    """
    now, at = world(ctx), time.time()
    found = examine(now.policy, now.identity, at, now.latest.values())
    if as_json:
        click.echo(json.dumps([asdict(one) for one in found], indent=2, ensure_ascii=False))
    elif found:
        print_table(("LEVEL", "WHAT", "SUBJECT", "TEXT", "WHERE"),
                    [(one.level, one.kind, one.subject, one.text, one.where or "-") for one in found])  # fmt: skip
    errors = sum(one.level == "error" for one in found)
    warnings = sum(one.level == "warning" for one in found)
    if not as_json:
        enforced = with_mode(now.policy, "enforce")
        count = sum(1 for _ in cells(enforced, now.identity, at, compile_zones(enforced, now.identity, at)))
        proof = "not proven" if errors else "proven"
        readers = ", ".join([*CONSUMERS, "dnsmasq"])
        click.echo(f"{proof} for {count} kinds of clients, {len(now.policy.catalog.enabled)} services and {readers}: "
                   f"{errors} errors, {warnings} warnings.", err=True)  # fmt: skip
    if errors or warnings:
        ctx.exit(EXIT_FAILED)
