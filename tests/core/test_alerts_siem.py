"""The formats of SIEMs: each is read back by a strict reader of its own rules, hostile text included."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from functools import cache
from typing import Any, get_args

import jsonschema
import pytest
from hypothesis import given, settings
from ocsf_json_schema import OcsfJsonSchemaEmbedded, get_ocsf_schema

from dnswatch.config.model import AlertFormat
from dnswatch.config.triage import load_triage
from dnswatch.core.alerts import FORMATS, render
from dnswatch.core.alerts.attack import TECHNIQUES, technique
from dnswatch.core.alerts.triage import Triage
from dnswatch.core.model import Alert, Client
from tests.core.test_alerts import ALERT, CONTEXT, HOSTILE, PLAIN, hostile_alerts

BLIND = replace(
    PLAIN, client=Client(""), qname="", qnames=(), domain="", qtype="", category="blind-spot", service="source-silent",
    rule_id="DNSW-blind-spot", because=PLAIN.because * 4,
)  # fmt: skip
SAMPLES = (ALERT, PLAIN, HOSTILE, BLIND, replace(ALERT, state="closed", rev=9), replace(ALERT, state="snoozed"))
OCSF = {"ocsf": "1.8.0", "ocsf-1.5": "1.5.0"}

# ── CEF ───────────────────────────────────────────────────────────────────────────────────────────────────────

_HEADER = re.compile(r"CEF:0" + r"\|((?:[^|\\]|\\[|\\])*)" * 6 + r"\|")
_KEY = re.compile(r"(?:^| )([A-Za-z0-9_]+)=")


def read_cef(line: str) -> tuple[list[str], dict[str, str]]:
    """Read an event as ArcSight's implementation standard says; fail on anything it does not allow."""
    head = _HEADER.match(line)
    assert head is not None, line
    pairs: dict[str, str] = {}
    rest = line[head.end() :]
    # A key is what stands before an "=" that no backslash escapes.
    starts = list(_KEY.finditer(rest))
    for found, following in zip(starts, [*starts[1:], None], strict=True):
        raw = rest[found.end() : following.start() if following else len(rest)]
        assert re.fullmatch(r"(?:[^\\=]|\\[\\=rn])*", raw), raw
        assert found[1] not in pairs, "a key stands once"
        pairs[found[1]] = re.sub(r"\\([\\=])", r"\1", raw)
    return [re.sub(r"\\([|\\])", r"\1", field) for field in head.groups()], pairs


def test_cef_says_what_the_alert_says() -> None:
    """Client, name, severity and reason stand under the keys that receivers know."""
    header, pairs = read_cef(render("cef", ALERT, CONTEXT).decode())
    assert header[:2] + header[3:] == ["dnswatch", "dnswatch", "DNSW-request-bin", "webhook-site (request-bin)", "8"]
    assert (pairs["src"], pairs["shost"], pairs["smac"]) == ("10.0.10.7", "db-2.corp.example", "10:20:30:40:50:59")
    assert (pairs["dhost"], pairs["destinationDnsDomain"], pairs["dst"]) == (
        "webhook.site",
        "webhook.site",
        "192.0.2.1",
    )
    assert (pairs["cs1"], pairs["cs1Label"], pairs["cn1"], pairs["cnt"]) == ("webhook-site", "service", "88", "12")
    assert pairs["rt"] == "1795375099281"
    assert "looked up webhook.site" in pairs["msg"]


def test_cef_puts_an_ipv6_client_where_parsers_take_it() -> None:
    """``src`` is IPv4 in CEF:0; an IPv6 address has a labelled field of its own."""
    _, pairs = read_cef(render("cef", PLAIN, CONTEXT).decode())
    assert "src" not in pairs
    assert (pairs["c6a2"], pairs["c6a2Label"]) == ("fd00:10::7", "Source IPv6 Address")


@settings(max_examples=150, deadline=None)
@given(alert=hostile_alerts())
def test_hostile_text_cannot_add_a_cef_key(alert: Alert) -> None:
    """Whatever a name contains, the keys are ours and the strict reader takes every value."""
    header, pairs = read_cef(render("cef", alert, CONTEXT).decode())
    assert header[3] == ALERT.rule_id
    _, known = read_cef(render("cef", ALERT, CONTEXT).decode())
    assert set(pairs) <= {*known, "c6a2", "c6a2Label"}
    assert pairs["externalId"] == alert.id


# ── LEEF ──────────────────────────────────────────────────────────────────────────────────────────────────────


def read_leef(line: str) -> tuple[list[str], dict[str, str]]:
    """Read a LEEF 2.0 event: five header fields and the delimiter, then pairs."""
    *header, attributes = line.split("|", 6)
    assert (header[0], header[5]) == ("LEEF:2.0", "x09")
    pairs: dict[str, str] = {}
    for pair in attributes.split("\t"):
        key, equals, value = pair.partition("=")
        assert equals
        assert re.fullmatch(r"[A-Za-z0-9]+", key)
        assert key not in pairs
        pairs[key] = value
    return header[1:5], pairs


def test_leef_says_what_the_alert_says() -> None:
    """QRadar's own keys carry time, source, host and severity."""
    header, pairs = read_leef(render("leef", ALERT, CONTEXT).decode())
    assert (header[0], header[3]) == ("dnswatch", "DNSW-request-bin")
    assert (pairs["devTime"], pairs["src"], pairs["identHostName"], pairs["sev"]) == (
        "1795375099281", "10.0.10.7", "db-2.corp.example", "8",
    )  # fmt: skip
    assert (pairs["qname"], pairs["mitre"], pairs["eventCount"]) == ("webhook.site", "T1567.004,T1102", "12")


@settings(max_examples=150, deadline=None)
@given(alert=hostile_alerts())
def test_hostile_text_cannot_add_a_leef_attribute(alert: Alert) -> None:
    """Tabs and line breaks in names are written out, so the attributes are ours."""
    _, pairs = read_leef(render("leef", alert, CONTEXT).decode())
    _, known = read_leef(render("leef", ALERT, CONTEXT).decode())
    assert set(pairs) <= set(known)
    assert pairs["alertId"] == alert.id


# ── ECS ───────────────────────────────────────────────────────────────────────────────────────────────────────

ECS_FIELDS = frozenset(
    """@timestamp message tags ecs.version
    event.id event.kind event.module event.provider event.dataset event.category event.type event.action event.severity
    event.risk_score event.start event.end event.created event.reason rule.id rule.name rule.category rule.ruleset
    client.ip client.address client.domain client.mac source.ip source.address source.domain source.mac related.ip
    related.hosts dns.type dns.resolved_ip dns.question.name dns.question.type dns.question.registered_domain
    threat.framework threat.tactic.id threat.tactic.name threat.technique.id threat.technique.name
    threat.technique.subtechnique.id threat.technique.subtechnique.name threat.indicator.type threat.indicator.name
    threat.indicator.provider threat.indicator.first_seen threat.indicator.last_seen threat.indicator.sightings
    observer.name observer.type observer.product observer.vendor observer.version""".split()  # noqa: SIM905
)
"""Fields of ECS 9.4 that an alert may use, by the schema's field reference."""
ECS_ENUMS = {
    "event.kind": {"alert"}, "event.category": {"intrusion_detection", "network"}, "event.type": {"info", "denied"},
    "dns.type": {"query"}, "threat.indicator.type": {"domain-name"},
}  # fmt: skip


def leaves(value: Any, path: str = "") -> dict[str, Any]:
    """Give every value of a document by its dotted name."""
    if not isinstance(value, dict):
        return {path: value}
    return {
        name: leaf for key, each in value.items() for name, leaf in leaves(each, f"{path}.{key}".strip(".")).items()
    }


@pytest.mark.parametrize("alert", SAMPLES)
def test_ecs_uses_only_fields_of_the_schema(alert: Alert) -> None:
    """Nothing but ECS fields and ``labels``; nothing empty; closed sets keep to their values."""
    found = leaves(json.loads(render("ecs", alert, CONTEXT)))
    assert {name for name in found if not name.startswith("labels.dnswatch_")} <= ECS_FIELDS
    assert all(isinstance(value, str) for name, value in found.items() if name.startswith("labels."))
    assert not [name for name, value in found.items() if value in ("", [], None)]
    for name, allowed in ECS_ENUMS.items():
        value = found.get(name, [])
        assert set([value] if isinstance(value, str) else value) <= allowed


def test_ecs_says_what_the_alert_says() -> None:
    """The fields that Elastic's security views show."""
    found = leaves(json.loads(render("ecs", ALERT, CONTEXT)))
    assert (found["event.id"], found["event.severity"], found["event.risk_score"]) == (ALERT.id, 73, 88)
    assert (found["client.ip"], found["client.domain"], found["client.mac"]) == (
        "10.0.10.7", "db-2.corp.example", "10-20-30-40-50-59",
    )  # fmt: skip
    assert found["threat.technique.id"] == ["T1567", "T1102"]
    assert found["threat.technique.name"] == ["Exfiltration Over Web Service", "Web Service"]
    assert found["threat.technique.subtechnique.id"] == ["T1567.004"]
    assert found["threat.tactic.name"] == ["Exfiltration", "Command and Control"]
    assert found["related.hosts"] == ["db-2.corp.example", "webhook.site", "a1b2.webhook.site"]


# ── OCSF ──────────────────────────────────────────────────────────────────────────────────────────────────────


@cache
def detection_finding(version: str) -> jsonschema.Draft202012Validator:
    """Give a validator of the class with every object of that version of the schema."""
    schema = OcsfJsonSchemaEmbedded(get_ocsf_schema(version=version)).get_class_schema("detection_finding", profiles=[])
    return jsonschema.Draft202012Validator(schema)


@pytest.mark.parametrize("alert", SAMPLES)
@pytest.mark.parametrize("name", OCSF)
def test_ocsf_is_valid(name: str, alert: Alert) -> None:
    """Every sample passes the schema's own validation, unknown fields included."""
    event = json.loads(render(name, alert, replace(CONTEXT, triage=Triage(load_triage("en"), {}))))
    assert [error.message for error in detection_finding(OCSF[name]).iter_errors(event)] == []
    assert event["metadata"]["version"] == OCSF[name]


@settings(max_examples=20, deadline=None)
@given(alert=hostile_alerts())
def test_hostile_text_keeps_ocsf_valid(alert: Alert) -> None:
    """Rubbish in names changes values, not the shape."""
    event = json.loads(render("ocsf", alert, CONTEXT))
    shape = [error for error in detection_finding("1.8.0").iter_errors(event) if error.validator != "pattern"]
    assert shape == []


def test_ocsf_creates_updates_and_closes_one_finding() -> None:
    """The finding keeps its uid; the activity follows the revisions and the state."""
    events = [json.loads(render("ocsf", alert, CONTEXT)) for alert in (
        replace(ALERT, rev=1), ALERT, replace(ALERT, rev=3, state="closed"))]  # fmt: skip
    assert [event["activity_id"] for event in events] == [1, 2, 3]
    assert [event["type_uid"] for event in events] == [200401, 200402, 200403]
    assert {event["finding_info"]["uid"] for event in events} == {ALERT.id}
    assert [event["status_id"] for event in events] == [1, 1, 4]
    attack = events[0]["finding_info"]["attacks"][0]
    assert (attack["tactic"]["uid"], attack["technique"]["uid"], attack["sub_technique"]["name"]) == (
        "TA0010", "T1567", "Exfiltration Over Webhook",
    )  # fmt: skip


def test_every_technique_of_the_catalogue_has_a_name(catalog_techniques: set[str]) -> None:
    """A technique that a service names, and the one above it, is in the table."""
    assert {part for id_ in catalog_techniques for part in (id_, technique(id_).parent)} <= set(TECHNIQUES)


@pytest.fixture(scope="module")
def catalog_techniques() -> set[str]:
    """Every ATT&CK id of the shipped catalogue."""
    from dnswatch.config.catalogue import load_catalogue

    return {id_ for service in load_catalogue(()).services.values() for id_ in service.attack}


def test_every_format_can_be_configured() -> None:
    """The configuration writes the registry out; both must have the same names."""
    assert get_args(AlertFormat) == tuple(FORMATS)
