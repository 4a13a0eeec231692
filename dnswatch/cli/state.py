"""Where the state is, for commands that only look: also while the configuration is broken, when people look most.

Never: hides that it is broken; a note goes to stderr. Read next: ``status.py``.
"""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from dnswatch.cli import DEFAULT_CONFIG, config_path
from dnswatch.config.load import read
from dnswatch.config.model import Config
from dnswatch.errors import ConfigError


def called(ctx: click.Context) -> str:
    """Say how dnswatch is called for the same configuration, for commands that are printed to be copied."""
    chosen = config_path(ctx)
    return "dnswatch" if chosen == DEFAULT_CONFIG else f"dnswatch --config {shlex.quote(chosen)}"


def state_dir(ctx: click.Context) -> Path:
    """Give ``state_dir`` of the chosen configuration. Raises `ConfigError` when even that cannot be read."""
    path = Path(config_path(ctx))
    reading = read(path)
    if reading.config is not None:
        return reading.config.state_dir
    if not reading.tree.documents:
        raise ConfigError(reading.problems)
    found = reading.tree.data.get("state_dir", Config.model_fields["state_dir"].default)
    if not isinstance(found, str | Path):
        raise ConfigError(reading.problems)
    click.echo(f"note: {path} is not valid at present ({reading.problems[0]}); `dnswatch check` says more", err=True)
    return path.absolute().parent / found
