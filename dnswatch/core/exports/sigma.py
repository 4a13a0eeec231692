"""Sigma rules, one a service: who asks for its names and is not expected to, for any backend with DNS logs.

A rule is stateless: it knows the list and the networks that may, and nothing of roles, history or habits; its level is
the base severity. Host names and MACs of expectations cannot be said in Sigma's ``dns`` category: the rule names them
among its false positives. Never: writes YAML (the caller does). Read next: ``stix.py``.
"""

from __future__ import annotations

from typing import Any

from dnswatch.core.alerts.attack import technique
from dnswatch.core.exports.share import Share, date, derived, links, watched
from dnswatch.core.model import Service, Who

LEVEL = {"info": "informational"}
"""Severity of ours → Sigma's level, where they differ in name."""


def documents(share: Share) -> list[dict[str, Any]]:
    """Give one rule a service, in order of their ids."""
    return [_rule(service, share) for service in share.services]


def _rule(service: Service, share: Share) -> dict[str, Any]:
    networks, others = _allowed(service, share)
    rule: dict[str, Any] = {
        "title": f"Unexpected DNS Lookup of {service.name}",
        "id": derived("sigma", service.id),
        "status": "experimental",
        "description": f"{service.severity_reason or service.name} Watched by dnswatch as {service.id} "
        f"({service.category}).",
        "references": [link for _, link in links(service)],
        "author": "dnswatch",
        "date": date(share.at),
        "tags": _tags(service),
        "logsource": {"category": "dns"},
        "detection": {"selection": _selection(service), "condition": "selection"},
        "falsepositives": others or ["Integrations that nobody wrote down yet"],
        "level": LEVEL.get(service.base_severity, service.base_severity),
    }
    if networks:
        rule["detection"]["filter_main_expected"] = {"src_ip|cidr": networks}
        rule["detection"]["condition"] = "selection and not 1 of filter_main_*"
    if not rule["references"]:
        del rule["references"]
    return rule


def _selection(service: Service) -> list[dict[str, Any]]:
    """Give what matches: whole names, and endings with the dot that keeps other people's domains out."""
    indicators = watched(service)
    whole = [one.name for one in indicators if one.match in ("exact", "domain")]
    below = [f".{one.name}" for one in indicators if one.match in ("subdomains", "domain")]
    return [*([{"query": whole}] if whole else []), *([{"query|endswith": below}] if below else [])]


def _allowed(service: Service, share: Share) -> tuple[list[str], list[str]]:
    """Give the networks that may use it, and the others as text."""
    networks: set[str] = set()
    others: list[str] = []
    for expectation in share.expectations.allowing(service.id, share.at):
        for who in expectation.who:
            found = _networks(who, share)
            networks.update(found)
            if not found:
                others.append(f"{who} ({expectation.because})")
    return sorted(networks), others


def _networks(who: Who, share: Share) -> tuple[str, ...]:
    if who.kind == "group":
        return next((group.networks for group in share.groups.all if group.name == who.value), ())
    if who.kind == "network":
        return (who.value,)
    if who.kind == "address":
        return (f"{who.value}/{128 if ':' in who.value else 32}",)
    return ()


def _tags(service: Service) -> list[str]:
    known = [technique(id_) for id_ in service.attack]
    tactics = dict.fromkeys(found.tactic.lower().replace(" ", "-") for found in known if found.tactic)
    return [*(f"attack.{tactic}" for tactic in tactics), *(f"attack.{found.id.lower()}" for found in known)]
