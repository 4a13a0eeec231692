"""One list of ``conf.d/90-feeds.yaml``: entries added and taken out by command, each checked before it is written.

Never: touches a file that a person wrote, writes what would not load. Read next: ``names.py``, ``quarantine.py``.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from dnswatch.cli import config_path
from dnswatch.cli.expect import only_writer_or_explain, tell_daemon
from dnswatch.config.build import Loaded, load_policy
from dnswatch.config.edit import FEEDS_PART, FEEDS_WRITER, part, read_part, render_part, write_part
from dnswatch.config.load import load
from dnswatch.config.model import Config
from dnswatch.config.values import duration, end, time_text
from dnswatch.config.yaml import Step
from dnswatch.errors import ConfigError

Check = Callable[[Loaded], None]


def add_entry(ctx: click.Context, path: Sequence[str], entry: dict[str, Any], check: Check | None = None) -> Config:
    """Append an entry to the list at ``path`` (keys below ``feeds``). ``check`` raises when policy is against it."""
    main = Path(config_path(ctx))
    with only_writer_or_explain(main):
        file = part(main, FEEDS_PART)
        data = read_part(file)
        entries = _list(data, path)
        entries.append(entry)
        text = render_part(data, FEEDS_WRITER)
        try:
            loaded = load_policy(main, overlay={file: text})
        except ConfigError as error:
            raise _as_usage(error, file, path, len(entries) - 1) from None
        if check is not None:
            check(loaded)
        write_part(main, file, text)
    return loaded.config


def remove_entries(
    ctx: click.Context, path: Sequence[str], chosen: Callable[[int, dict[str, Any]], dict[str, Any] | None]
) -> tuple[list[dict[str, Any]], Config]:
    """Rewrite the list at ``path``: ``chosen`` gives what is left of an entry, None for nothing. Gives what changed."""
    main = Path(config_path(ctx))
    with only_writer_or_explain(main):
        file = part(main, FEEDS_PART)
        data = read_part(file)
        entries = _list(data, path)
        kept = [chosen(i, entry) for i, entry in enumerate(entries)]
        gone = [entry for entry, left in zip(entries, kept, strict=True) if left != entry]
        entries[:] = [left for left in kept if left is not None]
        text = render_part(data, FEEDS_WRITER)
        config = load_policy(main, overlay={file: text}).config
        if gone:
            write_part(main, file, text)
    return gone, config


def entry_end(until: str | None, lasting: str | None) -> str | None:
    """Give the end of an entry as it is written down, from ``--until`` or ``--for``."""
    if until is not None and lasting is not None:
        raise click.UsageError("--until or --for, not both")
    try:
        if lasting is not None:
            return time_text(int(time.time() + duration(lasting)))
        if until is not None and end(until) <= time.time():
            raise ValueError(f"{until} has passed")
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--until" if lasting is None else "--for") from None
    return until


def where(ctx: click.Context, path: Sequence[Step]) -> tuple[Path, int]:
    """Give the file that holds the entry at ``path`` of the merged configuration, and its place in that file."""
    leaf, _ = load(Path(config_path(ctx))).tree.find(path)
    assert leaf is not None
    return Path(leaf.document.file), int(leaf.path[-1])


def tell_feeds(ctx: click.Context, config: Config) -> None:
    """Have the zones follow the change."""
    tell_daemon(ctx, config, "`dnswatch feed build` publishes it now")


def _list(data: dict[str, Any], path: Sequence[str]) -> list[dict[str, Any]]:
    place = data.setdefault("feeds", {})
    for key in path[:-1]:
        place = place.setdefault(key, {})
    found = place.setdefault(path[-1], [])
    assert isinstance(found, list)
    return found


def _as_usage(error: ConfigError, file: Path, path: Sequence[str], index: int) -> Exception:
    """Blame the command line for problems of the entry that it would have added, the files for all others."""
    start = f"feeds.{'.'.join(path)}[{index}]"
    own = [one for one in error.problems if one.file == str(file) and one.path.startswith(start)]
    others = [one for one in error.problems if one not in own]
    return ConfigError(others) if others else click.UsageError("; ".join(one.message for one in own))
