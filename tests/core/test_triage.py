"""Triage: the decision to escalate, the questions and their answers, and that every language says all of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from string import Formatter
from typing import Any

import pytest
import yaml

from dnswatch.config.catalogue import load_catalogue
from dnswatch.config.data import data_path
from dnswatch.config.triage import load_triage
from dnswatch.core.alerts import Context
from dnswatch.core.alerts.json import line
from dnswatch.core.alerts.json import render as json_render
from dnswatch.core.alerts.triage import Advice, Triage
from dnswatch.core.catalog import CATEGORIES
from dnswatch.core.detect.score import POINTS
from dnswatch.core.model import Alert, Client, Reason
from tests.core.test_alerts import ALERT, PLAIN

LANGUAGES = ("en", "ru")


@pytest.fixture(scope="module")
def triage() -> Triage:
    """English texts and the shipped catalogue."""
    return Triage(load_triage("en"), load_catalogue(()).services)


def advice(triage: Triage, alert: Alert) -> Advice:
    given = triage.of(alert)
    assert given is not None
    return given


def test_an_unverified_endpoint_goes_to_tier_2(triage: Triage) -> None:
    """Anybody makes a request bin: the table's first reason; the second is what the network never saw."""
    given = advice(triage, ALERT)
    assert given.tier2
    assert given.escalation == ("Tier 2: the endpoint is unknown or unverified; the client is in a sensitive segment.")
    assert advice(triage, replace(ALERT, outcome="leaked")).escalation.endswith("blocked and was answered.")


@pytest.mark.parametrize(
    ("severity", "because", "client", "tier2"),
    [
        ("medium", ("burst",), Client("10.1.0.9"), True),
        ("medium", (), Client("10.1.0.9"), False),
        ("medium", (), Client("10.1.0.9", "servers", "server"), True),
        ("low", ("burst", "first-seen-network"), Client("10.1.0.9", "servers", "server"), False),
        ("high", (), Client("10.1.0.9"), True),
    ],
)
def test_escalation_follows_the_table(
    triage: Triage, severity: Any, because: tuple[str, ...], client: Client, tier2: bool
) -> None:
    """A reason of the table and at least medium, or high alone; a low lookup stands alone whatever else holds."""
    terms = (Reason("base", "base", 21), *(Reason(term, term, POINTS[term]) for term in because))
    alert = replace(PLAIN, severity=severity, because=terms, client=client, service="slack-webhook",
                    category="chat-webhook")  # fmt: skip
    assert advice(triage, alert).tier2 is tier2


def test_points_taken_away_are_no_reason(triage: Triage) -> None:
    """A service that half the network uses, or a known companion, does not escalate."""
    terms = (
        Reason("base", "base", 47),
        Reason("companion-known", "uses the app", -25),
        Reason("prevalence-low", "", 0),
    )
    alert = replace(PLAIN, severity="medium", because=terms, service="slack-webhook", category="chat-webhook")
    assert not advice(triage, alert).tier2


def test_questions_are_answered_where_dns_can(triage: Triage) -> None:
    """How often and since when is known, sizes are not, and the answers of the resolver are given."""
    questions = dict(advice(triage, ALERT).questions)
    assert any("12×" in answer and "no sizes" in answer for answer in questions.values())
    assert questions["Where did it lead?"] == "The resolver answered 192.0.2.1, 2001:db8::1."
    assert "Everyone who knows its address" in " ".join(questions)
    assert "no answer" in dict(advice(triage, PLAIN).questions)["Where did it lead?"]
    expired = replace(PLAIN, because=(Reason("expired", "was allowed"),))
    assert "permission has ended" in advice(triage, expired).questions[0][1]


def test_block_note_follows_the_catalogue(triage: Triage) -> None:
    """Safe, with collateral, or unknown for a service that is no longer there."""
    safe = next(one for one in triage.services.values() if one.block_safety == "safe")
    collateral = next(one for one in triage.services.values() if one.block_safety == "collateral")
    notes = [advice(triage, replace(PLAIN, service=name)).block for name in (safe.id, collateral.id, "gone")]
    assert notes[0].startswith("Blocking is safe")
    assert "collateral" in notes[1]
    assert notes[2].startswith("Nothing is known")


def test_a_blind_spot_needs_no_triage(triage: Triage) -> None:
    """It says itself what it means and what to do."""
    assert triage.of(replace(PLAIN, category="blind-spot")) is None


def test_names_from_logs_are_inserted_not_read(triage: Triage) -> None:
    """Braces in a name or host name do not become fields of a text."""
    alert = replace(ALERT, qname="{who}.webhook.site", client=ALERT.client._replace(name="{service.__class__}"))
    given = advice(triage, alert)
    assert any("{who}.webhook.site" in step for step in given.t2)
    assert any("{service.__class__}" in step for step in given.l1)


# ── Every language ────────────────────────────────────────────────────────────────────────────────────────────


def texts(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Give every text of a file by its place."""
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, list):
        for number, each in enumerate(value):
            yield from texts(each, f"{path}[{number}]")
    else:
        for key, each in value.items():
            yield from texts(each, f"{path}.{key}")


@pytest.mark.parametrize("lang", LANGUAGES)
def test_every_language_says_the_same_things(lang: str) -> None:
    """Same keys, same number of steps, same fields to fill in, no empty text; every category has its own."""
    shown = {name: dict(texts(yaml.safe_load((data_path("feeds") / "triage" / f"{name}.yaml").read_text())))
             for name in ("en", lang)}  # fmt: skip
    fields = {
        name: {place: sorted({field for _, field, _, _ in Formatter().parse(text) if field})
               for place, text in found.items()}
        for name, found in shown.items()
    }  # fmt: skip
    assert fields[lang] == fields["en"]
    assert all(text.strip() for text in shown[lang].values())
    assert load_triage(lang).lang == lang
    assert set(load_triage(lang).categories) == set(CATEGORIES)


def test_every_language_of_the_configuration_has_its_file() -> None:
    """What ``lang`` accepts is what ships."""
    files = sorted(path.stem for path in (data_path("feeds") / "triage").glob("*.yaml"))
    assert tuple(files) == LANGUAGES


@pytest.mark.parametrize("lang", LANGUAGES)
def test_json_of_a_draft_is_json_of_the_advice(lang: str) -> None:
    """Texts that were encoded before, with the values of another alert of the sort put in, are what encoding gives."""
    context = Context("ns1", triage=Triage(load_triage(lang), load_catalogue(()).services))
    odd = Client("2001:db8::1", name='%s "{who}" \\ue000 ü\x7f\\')
    alerts = [PLAIN, ALERT, replace(PLAIN, client=odd, count=1000, qname="a\\032%(qname)s{}.t.me"),
              replace(ALERT, answers=("192.0.2.1", "%%", "é"), first_at=0.5, service="slack-webhook"),
              replace(ALERT, answers=(), outcome="leaked")]  # fmt: skip
    for alert in (*alerts, *reversed(alerts)):
        assert json_render(alert, context) == line(alert, context, 0, {})
