"""How commands print: aligned columns, JSON, times and ages. Colour on a terminal only, never with NO_COLOR.

Never: raw names; whatever comes from logs is printed escaped. Read next: ``status.py``.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import click

from dnswatch.io.log import escaped

COLOURS = {"critical": "red", "high": "red", "medium": "yellow", "low": "cyan", "info": "blue"}

INDENT = "    "
"""Before what continues a row on a narrow terminal."""
LEAST = 24
"""Characters of the last column that a terminal must have room for, else it goes below."""


def print_json(value: Any) -> None:
    """Print JSON that people can read too."""
    click.echo(json.dumps(value, indent=2))


def print_table(headings: Sequence[str], rows: Sequence[Sequence[str]], severity: int | None = None) -> None:
    """Print aligned columns; a terminal too narrow for them gets the rest of each row on lines below it.

    ``severity``: the column that decides a row's colour.
    """
    cells = [[escaped(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(headings, *cells, strict=True)]
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    lines = [range(len(widths))] if width is None else _folded(widths, width)
    for row in [list(headings), *cells]:
        colour = COLOURS.get(row[severity]) if severity is not None and not os.environ.get("NO_COLOR") else None
        for number, columns in enumerate(lines):
            line = INDENT * bool(number) + "  ".join(row[column].ljust(widths[column]) for column in columns).rstrip()
            if number and not line.strip():
                continue
            line = line if width is None or len(line) <= width else line[: width - 1] + "…"
            click.echo(click.style(line, fg=colour) if colour else line)


def _folded(widths: Sequence[int], width: int) -> list[range]:
    """Share columns out over lines of a terminal; one that must be cut still shows `LEAST` characters."""
    lines, begin, used = [], 0, 0
    for column, size in enumerate(widths):
        least = min(size, LEAST) if column == len(widths) - 1 else size
        if column > begin and used + least > width:
            lines.append(range(begin, column))
            begin, used = column, len(INDENT)
        used += size + 2
    return [*lines, range(begin, len(widths))]


def time_text(at: float | None) -> str:
    """Write a time in UTC to the second; ``-`` for none."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if at else "-"


def counted(number: float, noun: str) -> str:
    """Write a number of things: 1 line, 2,340 lines."""
    return f"{number:,.0f} {noun}{'' if round(number) == 1 else 's'}"


def span(seconds: float) -> str:
    """Write a duration roughly: 45 s, 12 min, 3 h, 5 d."""
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"


def amount(size: float) -> str:
    """Write a number of bytes: 512 B, 1.5 MiB."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024 or unit == "GiB":
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    raise AssertionError
