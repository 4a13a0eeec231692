"""`dnswatch feed log`: what people ordered of the feeds and of expectations, who did, when and why.

The commands that change policy or force a publication keep it in the store (`world.note`), for ever; what a person
edits in a file, no command sees. Never: changes anything. Read next: ``world.py``.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import click

from dnswatch.cli import config_path
from dnswatch.cli.tables import print_json, print_table
from dnswatch.config.load import load
from dnswatch.config.values import time_text
from dnswatch.core.policy import DAY_S
from dnswatch.io.store import FILE, Store
from dnswatch.io.store.book import Asked

WORDS = ("feed ", "expect ", "lift")
"""What the kinds of these actions begin with; the others are about alerts and stand with them."""
TOLD = ("who", "names", "services", "alert", "what")
"""What an order is about."""
APART = ("kind", "because", "note", *TOLD)


@click.command()
@click.option("--days", type=click.IntRange(1), default=None, metavar="N", help="Only the last N days.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def log(ctx: click.Context, days: int | None, as_json: bool) -> None:
    """List what people ordered by command: forced publications, quarantine, blocks, expectations, promotions.

    The newest is first. Entries that a person wrote into a file are in `feed block list` and `expect list`, not here.
    """
    config = load(Path(config_path(ctx)))
    since = 0.0 if days is None else time.time() - days * DAY_S
    path = config.state_dir / FILE
    found = asyncio.run(_stored(path, since)) if path.exists() else []
    if as_json:
        print_json([_plain(one) for one in found])
    elif found:
        print_table(("TIME", "BY", "ORDER", "BECAUSE", "RESULT"), [_cells(one) for one in found])
    else:
        within = "" if days is None else f" in the last {days} day{'s'[: days != 1]}"
        click.echo(f"Nothing was ordered by command{within}.", err=True)


async def _stored(path: Path, since: float) -> list[Asked]:
    async with await Store.open(path, create=False, readonly=True) as store:
        every = await store.orders(since)
    return [one for one in reversed(every) if str(one.data.get("kind", "")).startswith(WORDS)]


def _cells(one: Asked) -> tuple[str, ...]:
    plain = _plain(one)
    details = ", ".join(f"{key} {_text(value)}" for key, value in plain["details"].items())
    order = " ".join(filter(None, (plain["order"], plain["about"], f"({details})" if details else "")))
    return plain["time"], one.by, order, plain["because"] or "-", plain["result"]


def _plain(one: Asked) -> dict[str, Any]:
    data = one.data
    lifted = data.get("kind") == "lift"
    return {
        "time": time_text(int(one.at)),
        "by": one.by,
        "order": "feed quarantine lift" if lifted else data.get("kind", ""),
        "about": " ".join(_text(data[key]) for key in TOLD if key in data).removeprefix("quarantine "),
        "because": str(data.get("because") or data.get("note") or ""),
        "details": {key: value for key, value in data.items() if key not in APART and value not in (False, "", None)},
        "result": one.result or ("waits for dnswatch to run" if one.applied_at is None else "done"),
    }


def _text(value: Any) -> str:
    if value is True:
        return "yes"
    if isinstance(value, Mapping):
        return " ".join(f"{key} {_text(part)}" for key, part in value.items())
    if isinstance(value, Iterable) and not isinstance(value, str):
        return ", ".join(_text(part) for part in value)
    return str(value)
