"""A STIX 2.1 bundle: an indicator for each service, the ATT&CK techniques it indicates, and what was seen.

Indicators are of type ``anomalous-activity``: the services are legitimate, their unexpected use is what counts. Never:
claims that a name is malicious. Read next: ``misp.py``.
"""

from __future__ import annotations

from typing import Any

from dnswatch.core.alerts.attack import technique
from dnswatch.core.alerts.flat import rfc3339
from dnswatch.core.exports.share import Share, derived, links, watched
from dnswatch.core.model import Indicator, Service

BEGAN = "2026-01-01T00:00:00.000Z"
"""``created`` and ``valid_from`` of everything that does not change from one export to the next."""


def documents(share: Share) -> list[dict[str, Any]]:
    """Give one bundle: identity, attack patterns, indicators, relationships, sightings."""
    modified = rfc3339(share.at)
    identity = _object("identity", "dnswatch", modified=BEGAN, name=share.sensor or "dnswatch",
                       identity_class="system")  # fmt: skip
    objects = [identity]
    for id_ in sorted({id_ for service in share.services for id_ in service.attack}):
        found = technique(id_)
        page = f"https://attack.mitre.org/techniques/{id_.replace('.', '/')}/"
        reference = {"source_name": "mitre-attack", "external_id": id_, "url": page}
        objects.append(_object("attack-pattern", id_, modified=BEGAN, name=found.name or id_,
                               external_references=[reference]))  # fmt: skip
    for service in share.services:
        objects += _of_service(service, share, identity["id"], modified)
    return [{"type": "bundle", "id": f"bundle--{derived('bundle', modified)}", "objects": objects}]


def _of_service(service: Service, share: Share, identity: str, modified: str) -> list[dict[str, Any]]:
    indicator = _object(
        "indicator", service.id, modified=modified, created_by_ref=identity, name=service.name,
        description=service.severity_reason or service.name, indicator_types=["anomalous-activity"],
        pattern=" OR ".join(_pattern(one) for one in watched(service)), pattern_type="stix", valid_from=BEGAN,
        labels=[service.category, f"block-{service.block_safety}"],
        confidence={"high": 85, "medium": 50, "low": 15}[service.confidence],
        external_references=[{"source_name": kind, "url": link} for kind, link in links(service)],
    )  # fmt: skip
    if not indicator["external_references"]:
        del indicator["external_references"]
    objects = [indicator]
    objects += [
        _object(
            "relationship", service.id, id_, modified=BEGAN, relationship_type="indicates",
            source_ref=indicator["id"], target_ref=f"attack-pattern--{derived('attack-pattern', id_)}",
        )
        for id_ in service.attack
    ]  # fmt: skip
    seen = share.seen.get(service.id)
    if seen is not None:
        sighting = _object(
            "sighting", service.id, rfc3339(seen.first_at), modified=modified, created_by_ref=identity,
            first_seen=rfc3339(seen.first_at), last_seen=rfc3339(seen.last_at), count=seen.count,
            sighting_of_ref=indicator["id"], where_sighted_refs=[identity],
        )  # fmt: skip
        if share.clients:
            sighting["description"] = f"Unexpected lookups by {', '.join(seen.clients)}"
        objects.append(sighting)
    return objects


def _object(kind: str, *parts: str, modified: str, **properties: Any) -> dict[str, Any]:
    """Give a STIX object whose id follows from what it stands for."""
    return {
        "type": kind, "spec_version": "2.1", "id": f"{kind}--{derived(kind, *parts)}", "created": BEGAN,
        "modified": modified, **properties,
    }  # fmt: skip


def _pattern(indicator: Indicator) -> str:
    """Write a name as a comparison. Catalogue names hold no quote and no backslash, ``_`` and ``%`` aside."""
    whole = f"domain-name:value = '{indicator.name}'"
    below = f"domain-name:value LIKE '%.{indicator.name}'"
    comparison = {"exact": whole, "subdomains": below, "domain": f"{whole} OR {below}"}[indicator.match]
    return f"[{comparison}]"
