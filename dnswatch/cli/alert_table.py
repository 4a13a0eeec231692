"""The table of alerts at the end of a scan: a line an alert where there is room, two on a narrow terminal.

Never: prints what a client chose unescaped or as markup; cuts anything where the output is no terminal.
Read next: ``scan.py``.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from dnswatch.cli.tables import COLOURS, print_table, time_text
from dnswatch.core.model import SEVERITIES, Alert
from dnswatch.io.log import escaped

if TYPE_CHECKING:
    from rich.console import Console

SHOWN_ON_TERMINAL = 200
WHYS = 3
"""Score terms shown in the table, the heaviest first."""
HEADINGS = ("SEVERITY", "FIRST SEEN", "CLIENT", "SERVICE", "COUNT", "NAME", "OUTCOME", "WHY")
ELASTIC = {"WHY": 20, "NAME": 20, "OUTCOME": 8}
"""Columns that give way on a narrow terminal, in this order, and how far; narrower still, an alert takes two lines."""


def print_alerts(alerts: list[Alert]) -> None:
    """Print the alerts, the most severe first."""
    alerts.sort(key=lambda one: (-SEVERITIES.index(one.severity), -one.score, one.first_at, one.id))
    rows = [
        (one.severity, time_text(one.first_at), _client(one), one.service, str(one.count), _names(one), one.outcome,
         _why(one))
        for one in alerts
    ]  # fmt: skip
    if not sys.stdout.isatty():
        print_table(HEADINGS, rows)
        return
    from rich.console import Console

    console = Console()
    shown = [tuple(escaped(cell) for cell in row) for row in rows[:SHOWN_ON_TERMINAL]]
    widths = {name: max(map(len, column)) for name, *column in zip(HEADINGS, HEADINGS, *shown, strict=True)}
    narrow = {name: min(width, ELASTIC.get(name, width)) for name, width in widths.items()}
    gaps = 2 * (len(HEADINGS) - 1)
    if sum(narrow.values()) + gaps > console.width:
        _narrow(console, shown, widths)
    else:
        for name in ELASTIC:
            over = max(sum(widths.values()) + gaps - console.width, 0)
            widths[name] = max(widths[name] - over, narrow[name])
        _wide(console, shown, widths)
    if len(rows) > SHOWN_ON_TERMINAL:
        more = len(rows) - SHOWN_ON_TERMINAL
        click.echo(f"{more:,} less severe ones are not shown: redirect the output or use --format json.", err=True)


def _wide(console: Console, rows: list[tuple[str, ...]], widths: dict[str, int]) -> None:
    """Print an alert a line."""
    from rich.text import Text  # what a client chose is never read as markup

    for row in (HEADINGS, *rows):
        line = Text(style="bold" if row is HEADINGS else "")
        for cell, (name, width) in zip(row, widths.items(), strict=True):
            text = _cut(cell, width)
            line.append(
                text.rjust(width) if name == "COUNT" else text.ljust(width),
                style=COLOURS.get(cell, "") if name == "SEVERITY" else "",
            )
            line.append("  ")
        line.rstrip()
        console.print(line, no_wrap=True, overflow="ellipsis")


def _narrow(console: Console, rows: list[tuple[str, ...]], widths: dict[str, int]) -> None:
    """Print an alert in two lines: who and what, and below it, dim, name, outcome and why."""
    from rich.text import Text

    room = console.width - sum(widths[name] + 2 for name in ("SEVERITY", "SERVICE", "COUNT"))
    when = len("2026-11-22 19:18")
    dated = widths["CLIENT"] + 2 + when <= room  # beside an IPv6 address the time goes below
    client = min(widths["CLIENT"], max(room - (2 + when) * dated, len("CLIENT")))
    for row in (HEADINGS, *rows):
        severity, first_at, who, service, count, name, outcome, why = row
        heading = row is HEADINGS
        first_at = first_at if heading else first_at[:16].replace("T", " ")
        line = Text(style="bold" if heading else "")
        line.append(severity.ljust(widths["SEVERITY"]), style=COLOURS.get(severity, ""))
        line.append(f"  {_cut(who, client):{client}}  {service:{widths['SERVICE']}}  {count:>{widths['COUNT']}}")
        line.append(f"  {first_at}" if dated else "")
        console.print(line, no_wrap=True, overflow="ellipsis")
        if not heading:
            below = [name, outcome, why] if dated else [first_at, name, outcome, why]
            text = Text("  " + " · ".join(filter(None, below)), "dim")
            console.print(text, no_wrap=True, overflow="ellipsis")


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"


def _client(alert: Alert) -> str:
    client = alert.client
    return " ".join(filter(None, (client.address, client.name, client.group and f"({client.group})")))


def _names(alert: Alert) -> str:
    others = len(alert.qnames) - 1
    return f"{alert.qname} (+{others})" if others > 0 else alert.qname


def _why(alert: Alert) -> str:
    terms = sorted((term for term in alert.because if term.points), key=lambda term: -term.points)
    return ", ".join(f"{term.term} {term.points:+d}" for term in terms[:WHYS])  # sentences: --format text or json
