"""Reads a configuration in a child process first, so that reading it here takes a fraction: of a long catalogue every
file is parsed (50 files with 45,000 names: 4.8 s of CPU), and what comes of it is kept (``config/kept.py``; 0.9 s).

Never: says whether the configuration is right; who reads it next does. Read next: ``daemon.py``.
"""

from __future__ import annotations

import asyncio
import sys
from contextlib import suppress
from pathlib import Path

from dnswatch.config.kept import cache_folder
from dnswatch.core.policy import Policy

LARGE = 5_000
"""From so many names on: fewer are read in half a second."""
PATIENCE_S = 60.0
"""Then it is read here: a million names take longer."""
_BOOT = (
    "import os, sys; sys.path[:] = sys.argv[2:]; from pathlib import Path; from contextlib import suppress\n"
    "with suppress(OSError): os.nice(5)\n"
    "from dnswatch.config.build import load_policy; load_policy(Path(sys.argv[1]))"
)


async def read_ahead(path: Path, policy: Policy) -> None:
    """Have what ``path`` names read, where the ``policy`` until now lets expect that it is long."""
    count = sum(len(service.indicators) for service in policy.catalog.services.values())
    if count < LARGE or cache_folder() is None:
        return
    with suppress(OSError):  # no process left: then without
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-S", "-c", _BOOT, str(path), *sys.path, stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        try:
            await asyncio.wait_for(process.wait(), PATIENCE_S)
        finally:
            with suppress(ProcessLookupError):
                process.kill()
