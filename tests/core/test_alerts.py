"""Alert formats: golden files, the flat fields, and that hostile text breaks none of them."""

from __future__ import annotations

import json
import os
import re
from dataclasses import replace
from datetime import timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dnswatch.config.triage import load_triage
from dnswatch.core.alerts import FORMATS, Context, flat, render
from dnswatch.core.alerts.flat import FIELDS, rfc3339
from dnswatch.core.alerts.plain import from_plain, to_plain
from dnswatch.core.alerts.rfc5424 import VALUE_CHARS
from dnswatch.core.alerts.triage import Triage
from dnswatch.core.model import Alert, Client, Evidence, Reason, Trace

GOLDEN = Path(__file__).parent.parent / "golden" / "alerts"
WRITE = os.environ.get("DNSWATCH_GOLDEN") == "write"
CONTEXT = Context(sensor="ns1.example", process_id="4711", version="1.2.3", sequence=7)

ALERT = Alert(
    id="RGRG2RDFYBQ3V5NMBM4NN7ZJ7A", rev=2, at=1_795_375_099.2814, state="open", severity="high", score=88,
    client=Client("10.0.10.7", "servers", "server", "db-2.corp.example", "10:20:30:40:50:59", "dba@corp.example",
                  1_795_370_000.0, 1_795_413_200.0), service="webhook-site",
    category="request-bin", rule_id="DNSW-request-bin", mitre=("T1567.004", "T1102"), qname="webhook.site", qtype="A",
    domain="webhook.site", qnames=("webhook.site", "a1b2.webhook.site"), first_at=1_795_375_098.0,
    last_at=1_795_375_099.281, count=12, outcome="would-block", answers=("192.0.2.1", "2001:db8::1"),
    because=(
        Reason("base", "base request-bin high: whoever owns the address reads everything", 73),
        Reason("unexpected", "no expectation lets 10.0.10.7 (group servers) use webhook-site; nobody is expected to"),
        Reason("first-seen-network", "webhook-site first seen on this network, in 21 days of log", 15),
    ),
    evidence=(Evidence("/var/log/named/query.log", 4711, "query: webhook.site IN A"),), cause="outcome",
    timeline=(
        Trace(1_795_375_090.5, 1_795_375_090.5, "api.ipify.org", "recon", "recon", "/var/log/named/query.log", 4200),
        Trace(1_795_375_098.0, 1_795_375_398.0, "webhook.site", "api", "webhook-site", "/var/log/query.log", 4711),
        Trace(1_795_375_099.0, 1_795_375_099.0, "web.telegram.org", "companion", "telegram-bot", "/var/log/q", 4800),
    ),
)  # fmt: skip
PLAIN = replace(
    ALERT, rev=1, severity="low", score=57, outcome="observed", client=Client("fd00:10::7"), qnames=("ntfy.sh",),
    qname="ntfy.sh", domain="ntfy.sh", service="ntfy", category="push-notification", rule_id="DNSW-push-notification",
    answers=(), count=1, mitre=(), because=(Reason("base", "base push-notification low", 21),), cause="opened",
    timeline=(),
)  # fmt: skip
HOSTILE = replace(
    ALERT, client=Client("10.1.0.9", "staff", "", 'a"b]c\\d\x1b[31m\r\n<1>1 - ]', "'; drop"),
    qname='\\"]x.webhook.site', qnames=('\\"]x.webhook.site', "\x00\x7f\u202e.webhook.site"),
    because=(Reason("expectation", "Бот отдела \u2028\udcff"),), left_out=3,
    timeline=(Trace(1_795_375_090.5, 1_795_375_099.0, '\\"]x.webhook.site | =\n', "api", "w", "/tmp/\x1b|=]", 1),),
)  # fmt: skip
SAMPLES = {"full": ALERT, "plain": PLAIN, "hostile": HOSTILE}


@pytest.mark.parametrize("sample", SAMPLES)
@pytest.mark.parametrize("name", FORMATS)
def test_golden_rendering(name: str, sample: str) -> None:
    """Every registered format renders three alerts exactly as reviewed (DNSWATCH_GOLDEN=write rewrites)."""
    file = GOLDEN / f"{sample}.{name}"
    context = replace(CONTEXT, triage=Triage(load_triage("en"), {})) if sample == "full" else CONTEXT
    rendered = render(name, SAMPLES[sample], context) + b"\n"
    if WRITE:
        file.write_bytes(rendered)
    assert rendered == file.read_bytes()


def test_registry_is_sorted() -> None:
    """The order of the registry is the order of help texts and tests."""
    assert list(FORMATS) == sorted(FORMATS)


def test_flat_fields_are_the_contract() -> None:
    """The flat JSON has exactly the fields of the documentation, in that order."""
    promised = (
        "id rev time state severity score client_ip client_name client_mac client_group qname qnames domain qtype "
        "service category mitre rule_id first_seen last_seen count reason because answers outcome sensor "
        "escalation questions steps containment block_note suppression_key evidence client_owner "
        "lease_start lease_end timeline"
    )
    assert list(flat(ALERT, "ns1")) == promised.split() == list(FIELDS)
    fields = json.loads(render("json", ALERT, CONTEXT))
    assert list(fields) == promised.split()
    assert fields["time"] == "2026-11-22T19:18:19.281Z"
    assert fields["because"][0].endswith("(+73)")


def test_flat_values_are_scalars_or_lists_of_scalars() -> None:
    """Wazuh reads no nested objects."""
    for value in flat(HOSTILE, "ns1").values():
        for one in value if isinstance(value, list) else [value]:
            assert isinstance(one, str | int)


def test_reason_says_who_what_and_why() -> None:
    """One sentence an analyst can act on."""
    assert flat(ALERT, "-")["reason"] == (
        "db-2.corp.example (10.0.10.7, group servers) looked up webhook.site and 1 more name 12 times (webhook-site, "
        "request-bin) and is not expected to; webhook-site first seen on this network, in 21 days of log; our zones "
        "would have blocked it"
    )
    ended = replace(PLAIN, because=(Reason("expired", "was allowed until yesterday"),))
    assert flat(ended, "-")["reason"] == (
        "fd00:10::7 (in no group) looked up ntfy.sh (ntfy, push-notification) after its permission ended"
    )


def test_a_deviation_does_not_call_an_expected_client_unexpected() -> None:
    """The sentence says that the client may, and which habit it left; the terms have no points there."""
    terms = (Reason("deviation", "an expected client of ntfy departs from its habits", 21),
             Reason("expectation", "group build may use ntfy: deploys"),
             Reason("burst", "burst: 10 in an hour"))  # fmt: skip
    assert flat(replace(PLAIN, because=terms), "-")["reason"] == (
        "fd00:10::7 (in no group) looked up ntfy.sh (ntfy, push-notification) as it may, but departs from its habits; "
        "burst: 10 in an hour"
    )


def test_times_are_rounded_to_milliseconds() -> None:
    """Rounding carries over into the next second instead of printing 1000."""
    assert rfc3339(1_795_375_099.9996) == "2026-11-22T19:18:20.000Z"


def test_rfc3164_stamp_is_local_and_padded_with_a_space() -> None:
    """The stamp follows the context's zone; a one-digit day keeps its column; without a pid the tag stands alone."""
    context = Context(zone=timezone(timedelta(hours=3)), app_name="dns watch", facility=10)
    rendered = render("rfc3164", replace(PLAIN, at=1_793_480_400.0), context)
    assert rendered.startswith(b"<85>Nov  1 00:00:00 dns_watch: {")


def test_rfc5424_sequence_wraps_and_header_is_clean() -> None:
    """sequenceId stays within 31 bits; what a header cannot hold is replaced and cut."""
    context = Context(sensor="n\u00e4s 1" * 100, app_name="x" * 60, sequence=2_147_483_648)
    header, _, rest = render("rfc5424", ALERT, context).decode().partition(" [")
    fields = header.split(" ")
    assert fields[0] == "<131>1"
    assert fields[1] == "2026-11-22T19:18:19.281Z"
    assert (len(fields[2]), len(fields[3]), fields[4], fields[5]) == (255, 48, "-", "DNSW-request-bin")
    assert '[meta sequenceId="1"]' in rest


def test_rfc5424_values_are_bounded() -> None:
    """Sixteen hostile names do not make a message that receivers cut in two."""
    long = replace(ALERT, qnames=tuple(f"{i}." + "\\001" * 60 + ".webhook.site" for i in range(16)))
    found = re.search(r'qnames="([^"]*)"', render("rfc5424", long, CONTEXT).decode())
    assert found is not None
    assert len(found[1].replace("\\\\", "\\")) == VALUE_CHARS


# ── Laws ──────────────────────────────────────────────────────────────────────────────────────────────────────

NASTY = st.text(alphabet=st.sampled_from('a"\\]=[ <>|\x00\x01\n\r\t\x1b\x7f\x85\u202e\u2028Ж\udcff{}'), max_size=30)


@st.composite
def hostile_alerts(draw: st.DrawFn) -> Alert:
    """An alert with rubbish in every text that comes from outside."""
    client = Client(draw(NASTY), draw(NASTY), "", draw(NASTY), draw(NASTY), draw(NASTY), 1.0, 2.0)
    trace = Trace(1.0, 2.0, draw(NASTY), "recon", draw(NASTY), draw(NASTY), 5)
    because = (Reason("base", draw(NASTY), 5), Reason("segment", draw(NASTY), 10))
    return replace(ALERT, client=client, qname=draw(NASTY), qnames=(draw(NASTY), draw(NASTY)), qtype=draw(NASTY),
                   domain=draw(NASTY), answers=(draw(NASTY),), because=because, timeline=(trace,),
                   left_out=2)  # fmt: skip


@settings(max_examples=100, deadline=None)
@given(alert=hostile_alerts(), name=st.sampled_from(sorted(FORMATS)))
def test_hostile_text_never_reaches_a_terminal(alert: Alert, name: str) -> None:
    """Every format is printable UTF-8; only the text format has line feeds, and each of them is its own."""
    text = render(name, alert, CONTEXT).decode("utf-8")
    if name == "leef":
        text = text.replace("\t", "")  # its separator; that values have none is in test_alerts_siem.py
    lines = text.split("\n")
    assert all(line.isprintable() for line in lines)
    assert len(lines) == (6 if name == "text" else 1)


@settings(max_examples=100, deadline=None)
@given(alert=hostile_alerts())
def test_hostile_text_survives_json(alert: Alert) -> None:
    """Reading the JSON back gives the very text."""
    fields = json.loads(render("json", alert, CONTEXT))
    assert (fields["qname"], fields["client_name"]) == (alert.qname, alert.client.name)


_PARAM = re.compile(r' ([A-Za-z_0-9]{1,32})="((?:[^"\\\]]|\\["\\\]])*)"')
_MESSAGE = re.compile(
    r"<\d{1,3}>1 \S+Z [!-~]{1,255} [!-~]{1,48} [!-~]{1,128} [!-~]{1,32} "
    rf'\[dnswatch@32473(?P<params>(?:{_PARAM.pattern})*)\]\[meta sequenceId="7"\] .*\Z'
)


@settings(max_examples=100, deadline=None)
@given(alert=hostile_alerts())
def test_hostile_text_cannot_break_structured_data(alert: Alert) -> None:
    """A strict reader of RFC 5424 §6 finds our element, its parameters and nothing else."""
    found = _MESSAGE.match(render("rfc5424", alert, CONTEXT).decode())
    assert found is not None
    params = {key: re.sub(r"\\(.)", r"\1", value) for key, value in _PARAM.findall(found["params"])}
    assert params["id"] == alert.id
    assert set(params) <= set(FIELDS)
    if alert.qname.isprintable() and alert.qname:
        assert params["qname"] == alert.qname


@settings(max_examples=50, deadline=None)
@given(alert=hostile_alerts())
def test_plain_form_loses_nothing(alert: Alert) -> None:
    """What the store writes it reads back, through JSON."""
    assert from_plain(json.loads(json.dumps(to_plain(alert)))) == alert
