"""An incident report: alerts, watched lookups and advice about one client or one stretch of time, as plain values.

Never: renders (``cli/report.py`` fills a template), names anything that was not watched. Read next: ``incident.py``.
"""

from dnswatch.core.report.incident import Incident, Scope, incident
from dnswatch.core.report.navigator import layer

__all__ = ["Incident", "Scope", "incident", "layer"]
