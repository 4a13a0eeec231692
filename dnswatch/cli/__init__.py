"""The command line: one module per command group, imported only when it is asked for (`--help` stays fast).

Never: work of its own; commands call the composition roots. Every error a user can meet becomes one clear message and
the exit code of ``errors.py``. Read next: ``daemon.py``.
"""

from __future__ import annotations

import importlib
import os
import sys
from typing import Any

import click

from dnswatch import __version__
from dnswatch.errors import EXIT_FAILED, ConfigError, DnswatchError

DEFAULT_CONFIG = "/etc/dnswatch/dnswatch.yaml"

# command → (module, one-line help). The help stands here so that `dnswatch --help` imports nothing.
COMMANDS: dict[str, tuple[str, str]] = {
    "alerts": ("dnswatch.cli.alerts", "List, show, acknowledge, close and export alerts."),
    "catalog": ("dnswatch.cli.catalog", "List, show and match the watched services."),
    "check": ("dnswatch.cli.check", "Check configuration, catalogue, permissions and ports."),
    "config": ("dnswatch.cli.config", "Show the effective configuration or its JSON Schema."),
    "consumer-config": ("dnswatch.cli.consumer_config", "Write the configuration of a resolver that gets our zones."),
    "db": ("dnswatch.cli.db", "Check, copy and prune the store."),
    "demo": ("dnswatch.cli.demo", "See it work in a minute: recorded logs, real alerts, real zones."),
    "expect": ("dnswatch.cli.expect", "List, add, remove and propose expectations."),
    "explain": ("dnswatch.cli.explain", "Explain a log line, an alert, or what CLIENT asking for NAME would mean."),
    "export": ("dnswatch.cli.export", "Write watched names, policy and sightings for Sigma, STIX or MISP."),
    "feed": ("dnswatch.cli.feed", "Build, show, compare and promote the published zones."),
    "init": ("dnswatch.cli.init", "Find the query logs of this host and write a configuration."),
    "report": ("dnswatch.cli.report", "Write an incident report about a client or a stretch of time."),
    "run": ("dnswatch.cli.run", "Run the daemon in the foreground."),
    "scan": ("dnswatch.cli.scan", "Analyse log files, rotated and compressed ones too; needs no configuration."),
    "sink": ("dnswatch.cli.sink", "Show, test and repeat the delivery of alerts."),
    "status": ("dnswatch.cli.status", "Show what the running daemon sees."),
}


class LazyGroup(click.Group):
    """A group whose commands live in modules that are imported on use. Each exposes ``command``."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        found = importlib.import_module(COMMANDS[cmd_name][0]).command
        assert isinstance(found, click.Command)
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in sorted(COMMANDS.items())])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0] if args else ""
        if name and name not in COMMANDS and not name.startswith("-"):
            import difflib

            close = difflib.get_close_matches(name, COMMANDS, 1)
            hint = f" Did you mean {close[0]!r}?" if close else ""
            ctx.fail(f"No such command {name!r}.{hint}")
        return super().resolve_command(ctx, args)


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.option("--config", "config_path", metavar="FILE", envvar="DNSWATCH_CONFIG",
              help=f"Configuration file.  [default: $DNSWATCH_CONFIG, else {DEFAULT_CONFIG}]")  # fmt: skip
@click.version_option(__version__, message="dnswatch %(version)s")
@click.pass_context
def root(ctx: click.Context, config_path: str | None) -> None:
    """Watch DNS query logs for webhook and bot-API lookups by clients that are not expected to make them.

    \b
    dnswatch scan /var/log/named/        look into existing logs, without any configuration
    dnswatch init                        write a configuration for this host
    dnswatch --config FILE run           watch, alert and publish blocklists
    """
    ctx.obj = config_path


def config_path(ctx: click.Context) -> str:
    """Give the configuration file that the user chose, or the default one."""
    return ctx.obj or DEFAULT_CONFIG


def main(arguments: list[str] | None = None) -> Any:
    """Run the command line; leave with the exit code of ``errors.py``."""
    try:
        code = root.main(arguments, prog_name="dnswatch", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except click.Abort:
        sys.exit(130)
    except ConfigError as error:
        for problem in error.problems:
            print(problem, file=sys.stderr)
        sys.exit(error.exit_code)
    except DnswatchError as error:
        print(f"dnswatch: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except BrokenPipeError:
        # The reader of our output (head, less) has gone: not an error, and Python must not complain at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except PermissionError as error:
        from pathlib import Path

        from dnswatch.io.access import refused

        why = refused(Path(error.filename)) if isinstance(error.filename, str) else str(error)
        print(f"dnswatch: permission denied: {why}", file=sys.stderr)
        sys.exit(EXIT_FAILED)
    except OSError as error:
        print(f"dnswatch: {error}", file=sys.stderr)
        sys.exit(EXIT_FAILED)
    sys.exit(code if isinstance(code, int) else 0)
