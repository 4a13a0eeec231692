"""What ships for receivers is whole: fields exist, severities map, processors do what they say."""

from __future__ import annotations

import configparser
import json
import re
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from typing import Any

import pytest

from dnswatch.config.data import data_path
from dnswatch.core.alerts import render
from dnswatch.core.alerts.flat import FIELDS
from dnswatch.core.model import SEVERITIES
from tests.core.test_alerts import ALERT, CONTEXT, PLAIN
from tests.core.test_alerts_siem import BLIND, ECS_FIELDS, leaves

SIEM = data_path("examples") / "siem"
FOLDERS = sorted(path.name for path in SIEM.iterdir() if path.is_dir())


def test_every_folder_is_in_the_table() -> None:
    """The README says what each is for and how far it was proven."""
    told = re.findall(r"^\| `([\w-]+)/` \|", (SIEM / "README.md").read_text(), re.MULTILINE)
    assert sorted(told) == FOLDERS


def test_wazuh_rules_read_fields_that_alerts_have() -> None:
    """Well-formed, ids once, a level for each severity that rises with it, every field of the flat alert."""
    rules = ElementTree.fromstring((SIEM / "wazuh" / "dnswatch_rules.xml").read_text()).findall("rule")
    ids = [rule.get("id") for rule in rules]
    assert len(set(ids)) == len(ids)
    for rule in rules:
        assert {field.get("name") for field in rule.findall("field")} <= set(FIELDS)
        assert set(re.findall(r"\$\((\w+)\)", rule.findtext("description") or "")) <= set(FIELDS)
        above = (rule.findtext("if_sid") or "").split(",")
        assert set(above) <= {"", *map(str, ids)}
    levels = {}
    for rule in rules:
        for field in rule.findall("field"):
            if field.get("name") == "severity":
                levels[(field.text or "").strip("^$")] = int(rule.get("level") or 0)
    assert list(levels) == list(SEVERITIES[1:])
    assert sorted(levels.values()) == list(levels.values())


def test_splunk_aliases_name_fields_of_alerts() -> None:
    """Stanzas parse, aliases begin at fields that exist, tags belong to event types that exist."""

    def read(name: str) -> configparser.ConfigParser:
        parser = configparser.ConfigParser(interpolation=None, strict=True, delimiters=("=",))
        parser.optionxform = str  # type: ignore[assignment,method-assign]
        parser.read(SIEM / "splunk" / name)
        return parser

    props = read("props.conf")["dnswatch:alert"]
    aliases = [value.split(" AS ") for key, value in props.items() if key.startswith("FIELDALIAS-")]
    assert {source for source, _ in aliases} <= set(FIELDS)
    types = read("eventtypes.conf").sections()
    assert read("tags.conf").sections() == [f"eventtype={name}" for name in types]
    assert "dnswatch:alert" in read("inputs.conf")["monitor:///var/log/dnswatch/alerts.jsonl"]["sourcetype"]


@pytest.mark.parametrize("alert", [ALERT, PLAIN, BLIND])
def test_elastic_pipeline_gives_ecs(alert: Any) -> None:
    """Its processors, run here in their order, leave ECS fields and ``dnswatch.*``, and nothing of the flat names."""
    document = run_pipeline(json.loads(render("json", alert, CONTEXT)))
    found = leaves(document)
    ours = {name for name in found if name.startswith("dnswatch.") or name == "_id"}
    empty = {"client_ip", "client_name"}  # what is empty keeps its place: a rename needs a value
    assert set(found) - ours - empty <= ECS_FIELDS
    assert found["_id"] == f"{alert.id}-{alert.rev}"
    assert found["event.severity"] == {"high": 73, "low": 21}[alert.severity]


def test_elastic_pipeline_stores_no_empty_dates() -> None:
    """The first lease makes the field a date; an empty one after it would have the whole document refused."""
    leased = run_pipeline(json.loads(render("json", ALERT, CONTEXT)))["dnswatch"]
    assert (leased["lease_start"], leased["client_owner"]) == ("2026-11-22T17:53:20.000Z", "dba@corp.example")
    document = run_pipeline(json.loads(render("json", PLAIN, CONTEXT)))
    assert not {"lease_start", "lease_end"} & (set(document) | set(document["dnswatch"]))


@pytest.mark.parametrize("alert", [ALERT, PLAIN, BLIND])
def test_elastic_pipeline_takes_shortened_alerts(alert: Any) -> None:
    """Over syslog a long alert leaves fields out: no processor fails for want of one."""
    short = run_pipeline(json.loads(render("json", alert, replace(CONTEXT, most_bytes=1))))
    assert short["_id"] == f"{alert.id}-{alert.rev}"
    assert "reason" in short["dnswatch"]["left_out"]


def run_pipeline(document: dict[str, Any]) -> dict[str, Any]:
    """Do what an ingest node does with the processors used here; fail on any other."""
    pipeline = json.loads((SIEM / "elastic" / "ingest-pipeline.json").read_text())
    for processor in pipeline["processors"]:
        ((kind, options),) = processor.items()
        condition = options.get("if")
        if condition:
            field, operator, value = re.fullmatch(r"ctx\.(\w+) (==|!=) '(\w*)'", condition).groups()  # type: ignore[union-attr]
            if (document.get(field) == value) != (operator == "=="):
                continue
        if kind == "set":
            value = get(document, options["copy_from"]) if "copy_from" in options else options["value"]
            if value == "" and options.get("ignore_empty_value"):
                continue
            if isinstance(value, str):
                value = re.sub(r"{{{([\w.]+)}}}", lambda found: str(get(document, found[1])), value)
            put(document, options["field"], value)
        elif kind == "append":
            put(document, options["field"], list(options["value"]))
        elif kind == "rename":
            if options["field"] in document or not options.get("ignore_missing"):
                put(document, options["target_field"], document.pop(options["field"]))
        elif kind == "date":
            put(document, options["target_field"], document[options["field"]])
        else:
            assert kind == "remove"
            for name in options["field"]:
                document.pop(name, None)
    return document


def get(document: dict[str, Any], path: str) -> Any:
    for name in path.split("."):
        document = document[name]
    return document


def put(document: dict[str, Any], path: str, value: Any) -> None:
    *above, last = path.split(".")
    for name in above:
        document = document.setdefault(name, {})
    document[last] = value


def test_maxpatrol_formula_reads_fields_that_alerts_have() -> None:
    """Every ``$name`` is a field of the flat alert; every severity has an importance."""
    text = (SIEM / "maxpatrol" / "formula.xp").read_text()
    assert set(re.findall(r"\$(\w+)", text)) <= set(FIELDS)
    assert set(re.findall(r'case "(\w+)"', text)) == set(SEVERITIES)
