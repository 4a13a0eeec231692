"""Where alerts go: one small file per kind of sink. A new kind is a file here and a line below.

Never: a sink retries, filters or keeps a queue; ``io/deliver.py`` and ``io/supervise.py`` do. Read next: ``file.py``.
"""

from __future__ import annotations

from typing import Any, Protocol

from dnswatch.core.alerts.triage import Triage
from dnswatch.io.deliver import Sink
from dnswatch.io.sinks import file, splunk_hec, stdout, syslog, webhook


class Build(Protocol):
    """Makes a sink from its settings (the model of this ``type`` in ``config/model/sinks.py``)."""

    def __call__(self, settings: Any, sensor: str, triage: Triage | None = None) -> Sink:
        """``sensor``: name of this dnswatch; ``triage``: the advice that its alerts carry."""


SINKS: dict[str, Build] = {
    "file": file.build,
    "splunk-hec": splunk_hec.build,
    "stdout": stdout.build,
    "syslog": syslog.build,
    "webhook": webhook.build,
}
"""``type`` in the configuration → how it is made, sorted."""
