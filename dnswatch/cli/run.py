"""`dnswatch run`: the daemon in the foreground, its own log on stderr.

Never: forks, writes pid files; a service manager does that better. Read next: ``dnswatch/daemon.py``.
"""

from __future__ import annotations

import asyncio
import gc
from pathlib import Path

import click

from dnswatch.cli import config_path


@click.command("run", short_help="Run the daemon in the foreground.")
@click.option("--verbose", is_flag=True, help="Log more.")
@click.pass_context
def command(ctx: click.Context, verbose: bool) -> None:
    """Watch the query logs, alert and publish blocklists, until SIGTERM or Ctrl-C.

    Logs to stderr. SIGHUP reloads the configuration: everything is validated first, and on an error the old one stays.
    """
    gc.disable()  # a tenth of the start: nothing of it is garbage, and each full search goes through all of it
    from dnswatch.daemon import Daemon
    from dnswatch.io.garbage import tend
    from dnswatch.io.log import log_to_stderr

    async def run() -> None:
        daemon.obey_signals()
        tending = asyncio.create_task(tend(daemon.is_ready))
        try:
            await daemon.run()
        finally:
            tending.cancel()

    log_to_stderr(verbose)
    daemon = Daemon(Path(config_path(ctx)))
    asyncio.run(run())
