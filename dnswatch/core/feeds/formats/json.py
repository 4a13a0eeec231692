"""Every name of the zones with where it comes from: service, category, for whom, why; for programs and reviews.

Never: clients (those of `exempt` and `quarantine` stay out), so it may be handed on. Read next:
``core/feeds/verdicts.py``, which says why a name is there.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from dnswatch.core.feeds.audiences import EVERYONE, PROBE, audiences, service_of
from dnswatch.core.feeds.verdicts import added, left_out
from dnswatch.core.model import Snapshot
from dnswatch.core.policy import Policy

FORMAT = 1
"""Grows when a reader of the last one would be wrong; new keys alone do not count."""


class Json:
    """One document over all zones."""

    name = "json"
    file_name = "feeds.json"

    def left_out(self, policy: Policy, snapshots: Sequence[Snapshot]) -> Mapping[str, str]:
        """Leave out nothing."""
        return {}

    def render(self, policy: Policy, snapshots: Sequence[Snapshot], at: float) -> bytes:
        """Write the document: one name a line, sorted."""
        wanted = {*audiences(policy), EVERYONE} if policy.feeds.mode != "off" else set()  # not those of groups gone
        zones = [one for one in snapshots if one.zone.audience in wanted]
        document: dict[str, Any] = {
            "format": FORMAT, "mode": policy.feeds.mode,
            "zones": [{"zone": one.zone.name, "audience": one.zone.audience, "serial": one.serial,
                       "left_out": [{"service": out.service, "name": out.name, "because": [w.text for w in out.because]}
                                    for out in left_out(policy, one.zone.audience, at)]} for one in zones],
        }  # fmt: skip
        head = json.dumps(document, separators=(", ", ": "))[:-1]
        names = ",\n".join(json.dumps(entry) for entry in _names(policy, zones, at))
        return f'{head}, "names": [\n{names}\n]}}\n'.encode("ascii")


def _names(policy: Policy, zones: Sequence[Snapshot], at: float) -> list[dict[str, Any]]:
    """Give one entry for each trigger and action."""
    by_hand = {one.zone.audience: added(policy, one.zone.audience, at) for one in zones}
    found: dict[tuple[str, str, tuple[str, ...]], dict[str, Any]] = {}
    for one in zones:
        for rule in one.zone.rules:
            name, below = rule.trigger.removeprefix("*."), rule.trigger.startswith("*.")
            key = (rule.trigger, rule.action, rule.addresses)
            if key not in found:
                service = policy.catalog.services.get(service_of(policy.catalog, f"{PROBE}.{name}" if below else name))
                found[key] = {
                    "name": name, "match": "subdomains" if below else "exact", "action": rule.action,
                    **({"addresses": list(rule.addresses)} if rule.addresses else {}),
                    "service": service.id if service else "", "category": service.category if service else "",
                    "audience": [], "because": [service.severity_reason] if service and service.severity_reason else [],
                }  # fmt: skip
            found[key]["audience"].append(one.zone.audience)
            reason = by_hand[one.zone.audience].get(name)
            if reason is not None and reason.text not in found[key]["because"]:
                found[key]["because"].append(reason.text)
    return [found[key] for key in sorted(found, key=lambda key: (key[0].removeprefix("*."), key))]
