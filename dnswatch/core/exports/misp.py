"""A MISP event: the watched names as attributes with ATT&CK tags, and what was seen as sightings.

Never: sets ``to_ids`` on a name whose blocking has collateral: other sites block what is flagged so. Read next:
``share.py``.
"""

from __future__ import annotations

from typing import Any

from dnswatch.core.alerts.attack import technique
from dnswatch.core.exports.share import Seen, Share, date, derived, watched
from dnswatch.core.model import Indicator, Service

SIGHTED = "0"  # MISP: sighting; 1 would be a false positive
LOW_THREAT = "3"
COMPLETED = "2"
OWN_ORGANISATION = "0"


def documents(share: Share) -> list[dict[str, Any]]:
    """Give one event."""
    attributes = [_attribute(service, indicator, share) for service in share.services for indicator in watched(service)]
    event = {
        "uuid": derived("misp-event", share.sensor), "info": "Webhook and bot-API services watched by dnswatch",
        "date": date(share.at), "timestamp": str(int(share.at)), "threat_level_id": LOW_THREAT,
        "analysis": COMPLETED, "distribution": OWN_ORGANISATION, "published": False,
        "Tag": [{"name": "tlp:amber"}, {"name": "type:OSINT"}], "Attribute": attributes,
    }  # fmt: skip
    return [{"Event": event}]


def _attribute(service: Service, indicator: Indicator, share: Share) -> dict[str, Any]:
    only = {"exact": "this name only", "subdomains": "names below it only", "domain": "it and names below it"}
    attribute: dict[str, Any] = {
        "uuid": derived("misp-attribute", service.id, indicator.name, indicator.match),
        "type": "hostname" if indicator.match == "exact" else "domain", "category": "Network activity",
        "value": indicator.name, "to_ids": service.block_safety == "safe", "distribution": "5",
        "timestamp": str(int(share.at)), "comment": f"{service.name} ({service.category}); {only[indicator.match]}",
        "Tag": [{"name": _galaxy(id_)} for id_ in service.attack],
    }  # fmt: skip
    seen = share.seen.get(service.id)
    if seen is not None and indicator == watched(service)[0]:  # once a service: rows say the service, not the pattern
        attribute["Sighting"] = [_sighting(service, seen, share)]
    return attribute


def _sighting(service: Service, seen: Seen, share: Share) -> dict[str, str]:
    source = f"dnswatch {share.sensor}".strip() + f": {seen.count} unexpected lookups"
    if share.clients:
        source += f" by {', '.join(seen.clients)}"
    return {
        "uuid": derived("misp-sighting", service.id, str(int(seen.last_at))), "type": SIGHTED,
        "date_sighting": str(int(seen.last_at)), "source": source,
    }  # fmt: skip


def _galaxy(id_: str) -> str:
    found = technique(id_)
    return f'misp-galaxy:mitre-attack-pattern="{found.name} - {id_}"' if found.name else f"mitre-attack:{id_}"
