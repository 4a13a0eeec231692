"""`dnswatch feed impact`: whom the zones would have hit in the last days, by audience and service.

Never: changes anything. Read next: ``core/feeds/impact.py``.
"""

from __future__ import annotations

import json
import time
from dataclasses import asdict

import click

from dnswatch.cli.tables import print_table
from dnswatch.cli.world import seen, world
from dnswatch.config.values import time_text
from dnswatch.core.clients.expectations import describe
from dnswatch.core.feeds.impact import DAYS, effects, replay
from dnswatch.errors import EXIT_FAILED


@click.command()
@click.option("--days", type=click.IntRange(1, 366), default=DAYS, show_default=True, help="How far to look back.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def impact(ctx: click.Context, days: int, as_json: bool) -> None:
    """Replay the zones, enforced, over what was seen: which expected clients they hit, and how many others.

    Exit 1: an expected client would be hit.
    """
    now = world(ctx)
    rows = seen(now.config, days)
    hits = replay(now.policy, now.identity, time.time(), rows)
    broken = [hit for hit in hits if hit.expected and not hit.ordered]
    if as_json:
        click.echo(json.dumps({
            "days": days, "attempts": sum(row.count for row in rows),
            "effects": [{**asdict(one), "last_at": time_text(one.last_at)} for one in effects(hits)],
            "expected": [
                {"client_ip": hit.client.address, "client_name": hit.client.name, "client_group": hit.client.group,
                 "service": hit.service, "qnames": list(hit.names), "count": hit.count, "audience": hit.audience,
                 "ordered": hit.ordered, "last_seen": time_text(hit.last_at)}
                for hit in hits if hit.expected
            ],
        }, indent=2))  # fmt: skip
    else:
        if hits:
            print_table(("AUDIENCE", "SERVICE", "EXPECTED", "OTHERS", "ATTEMPTS", "LAST"), [
                (one.audience, one.service, str(one.expected), str(one.others), str(one.count),
                 time_text(int(one.last_at))) for one in effects(hits)
            ])  # fmt: skip
        for hit in hits:
            if hit.expected:
                word = "expected, blocked as ordered" if hit.ordered else "EXPECTED"
                click.echo(f"{word}: {describe(hit.client)} {hit.service}, {hit.count} attempts: "
                           f"{', '.join(hit.names[:3])}")  # fmt: skip
        attempts = sum(row.count for row in rows)
        click.echo(f"Last {days} days: {attempts} attempts seen, {sum(hit.count for hit in hits)} would be blocked, "
                   f"{len(broken)} of them uses of expected clients.", err=True)  # fmt: skip
    if broken:
        ctx.exit(EXIT_FAILED)
