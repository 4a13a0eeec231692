"""Where alerts go: one small file per kind of sink. A new kind is a file here and a line below.

Never: a sink retries, filters or keeps a queue; ``io/deliver.py`` and ``io/supervise.py`` do. Read next: ``file.py``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dnswatch.io.deliver import Sink
from dnswatch.io.sinks import file, stdout, syslog

Build = Callable[[Any, str], Sink]
"""Makes a sink from its settings (the model of this ``type`` in ``config/model.py``) and the sensor's name."""

SINKS: dict[str, Build] = {
    "file": file.build,
    "stdout": stdout.build,
    "syslog": syslog.build,
}
"""``type`` in the configuration → how it is made, sorted."""
