"""`dnswatch config`: the configuration as it counts, and its JSON Schema for editors.

Never: shows a secret (only where it stands), writes anything. Read next: ``config/model``.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from dnswatch.cli import config_path
from dnswatch.config.model import Config


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def command() -> None:
    """Show the effective configuration or its JSON Schema."""


@command.command("show")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def show(ctx: click.Context, as_json: bool) -> None:
    """Show the effective configuration: conf.d merged, defaults filled in, secrets hidden.

    Comment lines name the files it was read from; warnings go to stderr.
    """
    from dnswatch.config.load import load

    config = load(Path(config_path(ctx)))
    for warning in config.warnings:
        click.echo(f"warning: {warning}", err=True)
    if as_json:
        click.echo(json.dumps(effective(config), indent=2, ensure_ascii=False))
        return
    import yaml

    for file in config.files:
        click.echo(f"# {file}")
    click.echo(yaml.safe_dump(effective(config), sort_keys=False, allow_unicode=True, width=110), nl=False)


@command.command("schema")
def schema() -> None:
    """Print the JSON Schema of the configuration, for editors and other tools."""
    described = Config.model_json_schema(by_alias=True)
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "dnswatch configuration"}
    click.echo(json.dumps({**head, **{k: v for k, v in described.items() if k != "title"}}, indent=2))


def effective(config: Config) -> dict[str, Any]:
    """Give a configuration as plain data that would configure the same, but for its secrets."""
    data: dict[str, Any] = config.model_dump(mode="json", by_alias=True)
    data["feeds"]["directory"] = str(config.feeds_directory)
    return _without_nothing(data)


def _without_nothing(data: dict[str, Any]) -> dict[str, Any]:
    """Drop keys that are not set: a null would say the same."""
    return {key: _plain(value) for key, value in data.items() if value is not None}


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return _without_nothing(value)
    return [_plain(item) for item in value] if isinstance(value, list) else value
