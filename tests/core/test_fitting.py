"""Messages of a bounded length: whole fields go, in the stated order, and what is left can still be read."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dnswatch.config.triage import load_triage
from dnswatch.core.alerts import FORMATS, cef, ecs, leef, ocsf, render
from dnswatch.core.alerts.fitting import SPARE, fitted, present, without
from dnswatch.core.alerts.flat import FIELDS
from dnswatch.core.alerts.triage import Triage
from dnswatch.core.model import Alert
from tests.core.test_alerts import ALERT, CONTEXT, hostile_alerts
from tests.core.test_alerts_siem import SAMPLES, detection_finding, leaves, read_cef, read_leef

ADVISED = replace(CONTEXT, triage=Triage(load_triage("en"), {}))


def test_the_order_names_fields_that_exist() -> None:
    """A renamed field would never be left out."""
    assert set(SPARE) < set(FIELDS)
    assert set(cef.SPARE) <= set(read_cef(render("cef", ALERT, ADVISED).decode())[1])
    assert set(leef.SPARE) <= set(read_leef(render("leef", ALERT, ADVISED).decode())[1])
    assert set(ecs.SPARE) <= set(present(json.loads(render("ecs", ALERT, ADVISED)), ecs.SPARE))
    assert set(ocsf.SPARE) <= set(present(json.loads(render("ocsf", ALERT, ADVISED)), ocsf.SPARE))


@pytest.mark.parametrize("form", sorted(FORMATS))
@pytest.mark.parametrize("alert", SAMPLES)
def test_what_fits_is_not_touched_and_shorter_is_always_shorter(form: str, alert: Alert) -> None:
    """From byte to byte: at the length itself nothing goes; below it the message fits until nothing is left to go."""
    whole = render(form, alert, ADVISED)
    assert render(form, alert, replace(ADVISED, most_bytes=len(whole))) == whole
    least = len(render(form, alert, replace(ADVISED, most_bytes=1)))
    assert least < 2048 - 256  # room for a syslog header in the smallest datagram that all receivers take
    for most in range(least, len(whole), 97):
        assert len(render(form, alert, replace(ADVISED, most_bytes=most))) <= most


def test_json_says_what_is_missing() -> None:
    """Exactly the named fields are gone."""
    told = json.loads(render("json", ALERT, replace(ADVISED, most_bytes=1500)))
    assert set(FIELDS) - set(told) == set(told["left_out"])
    assert told["left_out"][:5] == ["steps", "questions", "containment", "block_note", "timeline"]
    local = render("rfc3164", ALERT, replace(ADVISED, most_bytes=1500, stream="f00d"))
    assert len(local) <= 1500
    assert json.loads(local.partition(b": ")[2])["sequence"] == 7


@settings(max_examples=40, deadline=None)
@given(alert=hostile_alerts(), most=st.integers(1, 3000))
def test_what_is_left_is_valid(alert: Alert, most: int) -> None:
    """Each strict reader takes the shortened message, and finds the alert's id in it."""
    context = replace(ADVISED, most_bytes=most)
    assert read_cef(render("cef", alert, context).decode())[1]["externalId"] == alert.id
    assert read_leef(render("leef", alert, context).decode())[1]["alertId"] == alert.id
    assert json.loads(render("json", alert, context))["qname"] == alert.qname
    document = leaves(json.loads(render("ecs", alert, context)))
    assert document["event.id"] == alert.id
    assert not [name for name, value in document.items() if value in ("", [], {}, None)]


@pytest.mark.parametrize("alert", SAMPLES[:4])
@pytest.mark.parametrize("most", [1, 2500, 5000])
def test_a_shortened_event_is_valid(alert: Alert, most: int) -> None:
    """What OCSF requires stays; what was left out is named where the schema allows it."""
    event = json.loads(render("ocsf", alert, replace(ADVISED, most_bytes=most)))
    assert [error.message for error in detection_finding("1.8.0").iter_errors(event)] == []
    assert ("left_out" in event["unmapped"]) == (len(render("ocsf", alert, ADVISED)) > most)


def test_the_first_that_fits() -> None:
    """No more goes than must; without a bound nothing does."""

    def write(out: Sequence[str]) -> bytes:
        return b"x" * (10 - 2 * len(out))

    assert [len(fitted(write, "abc", most)) for most in (0, 10, 9, 7, 1)] == [10, 10, 8, 6, 4]
    assert without({"a": {"b": 1, "c": 2}, "d": [{"e": 1, "f": 2}]}, ["a.b", "d.e", "x.y"]) == {
        "a": {"c": 2}, "d": [{"f": 2}],
    }  # fmt: skip
