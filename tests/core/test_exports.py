"""Exports: each is read back by the field's own library, and says what catalogue, policy and sightings say."""

from __future__ import annotations

import json
from typing import Any

import pytest
import stix2
import yaml
from sigma.collection import SigmaCollection

from dnswatch.config.catalogue import load_catalogue
from dnswatch.core.clients.expectations import Expectations
from dnswatch.core.clients.groups import Groups
from dnswatch.core.detect.changes import SightingRow
from dnswatch.core.exports import EXPORTS, Share
from dnswatch.core.exports.share import total
from dnswatch.core.model import Expectation, Group, Who

AT = 1_795_375_099.0
CATALOG = load_catalogue()


def row(hour: int, client: str, expected: bool) -> SightingRow:
    at = 3600.0 * hour
    return SightingRow(3600 * hour, client, "api.telegram.org", "A", "telegram-bot", expected, at, at + 9, 2)


ROWS = [row(498_000, "10.1.0.9", False), row(498_001, "10.1.0.7", False), row(498_001, "10.0.20.1", True)]
POLICY = Expectations((
    Expectation((Who("group", "build"), Who("address", "10.0.10.7"), Who("name", "printer-3")),
                frozenset({"slack-webhook", "telegram-bot"}), "deploys"),
    Expectation((Who("network", "10.9.0.0/16"),), frozenset({"telegram-bot"}), "ended", until=AT - 1),
))  # fmt: skip


def share(**changes: Any) -> Share:
    services = tuple(service for _, service in sorted(CATALOG.services.items()))
    groups = Groups((Group("build", ("10.0.20.0/24", "fd00:20::/64"), "ci"),))
    return Share(**{"services": services, "expectations": POLICY, "groups": groups, "at": AT, "seen": total(ROWS),
                    "sensor": "ns1", **changes})  # fmt: skip


@pytest.mark.parametrize("name", EXPORTS)
def test_the_same_twice(name: str) -> None:
    """Ids follow from what they stand for: a second export updates the first instead of doubling it."""
    assert EXPORTS[name](share()) == EXPORTS[name](share())


@pytest.mark.parametrize("name", EXPORTS)
def test_clients_stay_at_home_unless_asked_for(name: str) -> None:
    """Addresses of clients that were seen are told only with ``clients``."""
    assert "10.1.0.9" not in json.dumps(EXPORTS[name](share()))
    if name != "sigma":
        assert "10.1.0.9" in json.dumps(EXPORTS[name](share(clients=True)))


# ── Sigma ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_sigma_reads_every_rule() -> None:
    """The field's own parser takes every rule of the catalogue, without an error and without a double id."""
    text = yaml.safe_dump_all(EXPORTS["sigma"](share()), sort_keys=False)
    rules = SigmaCollection.from_yaml(text)
    assert len(rules.rules) == len(CATALOG.services)
    assert [error for rule in rules for error in rule.errors] == []
    assert len({rule.id for rule in rules}) == len(rules.rules)


def test_sigma_says_who_may() -> None:
    """Networks and addresses of expectations that hold are the filter; names stand among the false positives."""
    rules = {rule["title"]: rule for rule in EXPORTS["sigma"](share())}
    rule = next(rule for title, rule in rules.items() if "Telegram" in title and "Bot" in title)
    assert rule["detection"]["selection"] == [{"query": ["api.telegram.org"]}]
    assert rule["detection"]["filter_main_expected"] == {
        "src_ip|cidr": ["10.0.10.7/32", "10.0.20.0/24", "fd00:20::/64"]
    }
    assert rule["falsepositives"] == ["name:printer-3 (deploys)"]
    assert "attack.t1102.002" in rule["tags"]
    assert "attack.command-and-control" in rule["tags"]


def test_sigma_keeps_to_label_boundaries() -> None:
    """Names below a domain match with their dot, so that somebody else's domain does not."""
    for rule in EXPORTS["sigma"](share()):
        for choice in rule["detection"]["selection"]:
            assert all(name.startswith(".") for name in choice.get("query|endswith", []))
            assert not any(name.startswith(".") for name in choice.get("query", []))


# ── STIX ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_stix_is_read_back_by_its_library() -> None:
    """Every object passes the library's own checks, patterns included, and every reference leads somewhere."""
    (bundle,) = EXPORTS["stix"](share())
    read = stix2.parse(json.dumps(bundle), allow_custom=False)
    ids = {one.id for one in read.objects}
    assert len(ids) == len(read.objects)
    for one in read.objects:
        for reference in ("source_ref", "target_ref", "created_by_ref", "sighting_of_ref"):
            assert one.get(reference, one.id) in ids


def test_stix_tells_sightings() -> None:
    """Unexpected lookups only, added up."""
    (bundle,) = EXPORTS["stix"](share())
    (sighting,) = [one for one in bundle["objects"] if one["type"] == "sighting"]
    assert sighting["count"] == 4
    assert (sighting["first_seen"], sighting["last_seen"]) == ("2026-10-24T00:00:00.000Z", "2026-10-24T01:00:09.000Z")
    assert "description" not in sighting


# ── MISP ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_misp_flags_only_what_is_safe_to_block() -> None:
    """``to_ids`` follows the catalogue; every watched name is an attribute once."""
    (document,) = EXPORTS["misp"](share())
    attributes = document["Event"]["Attribute"]
    safe = {one.name for service in CATALOG.services.values() if service.block_safety == "safe"
            for one in service.indicators if one.role == "api"}  # fmt: skip
    assert {one["value"] for one in attributes if one["to_ids"]} == safe
    assert len({one["uuid"] for one in attributes}) == len(attributes)
    (seen,) = [one for one in attributes if "Sighting" in one]
    assert seen["value"] == "api.telegram.org"
    assert seen["Sighting"][0]["source"] == "dnswatch ns1: 4 unexpected lookups"
