"""`dnswatch check --scenarios DIR`: does the policy do what its owners wrote down that it must?

Never: looks at this host (logs, directories, ports): it runs wherever the configuration is kept, for instance before a
change of it is merged. Read next: ``dnswatch/scenarios.py``.
"""

from __future__ import annotations

import json
from pathlib import Path

import click

from dnswatch.cli import DEFAULT_CONFIG
from dnswatch.errors import EXIT_FAILED, EXIT_OK


def check_scenarios(config: str | None, directory: Path, as_json: bool) -> int:
    """Run every scenario of a directory and print what became of it; give the exit code."""
    from dnswatch.config.build import load_policy
    from dnswatch.scenarios import files, run

    paths = files(directory)
    if not paths:
        raise click.BadParameter(f"{directory} holds no *.yaml", param_hint="--scenarios")
    base = None
    if config is not None or Path(DEFAULT_CONFIG).exists():
        base = load_policy(Path(config or DEFAULT_CONFIG)).policy
    else:
        click.echo(f"{DEFAULT_CONFIG} does not exist: scenarios without `config` see the core catalogue, with nobody "
                   "expected", err=True)  # fmt: skip
    results = [run(path, base) for path in paths]
    failed = sum(not result.ok for result in results)
    if as_json:
        scenarios = [{"file": str(result.file), "title": result.title, "ok": result.ok,
                      "failures": list(result.failures)} for result in results]  # fmt: skip
        click.echo(json.dumps({"ok": not failed, "scenarios": scenarios}, indent=2, ensure_ascii=False))
    else:
        from dnswatch.core.alerts.text import printable

        for result in results:
            click.echo(printable(f"{'ok' if result.ok else 'failed':7} {result.file.name}: {result.title}"))
            for text in result.failures:
                click.echo(printable(f"          {text}"))
        click.echo(f"{len(results)} scenario{'s'[: len(results) != 1]}, {failed} failed.", err=True)
    return EXIT_FAILED if failed else EXIT_OK
