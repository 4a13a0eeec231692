"""Alerts over HTTP: signed, confirmed by what the receiver really says, refused where it never will take them."""

from __future__ import annotations

import json

import pytest

from dnswatch.io.deliver import Delivery, Refused, Sink
from dnswatch.io.sinks import SINKS, splunk_hec
from tests.io.certificates import certificates, needs_openssl
from tests.io.http_receivers import SECRET, TOKEN, Collector, Hook, collector, hook, serving
from tests.io.making import alert
from tests.io.test_sinks import batch, settings


@pytest.fixture(autouse=True)
def secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the configuration finds them."""
    monkeypatch.setenv("HOOK_SECRET", SECRET)
    monkeypatch.setenv("HEC_TOKEN", TOKEN)
    monkeypatch.setattr(splunk_hec, "POLL_S", 0.01)


def webhook(url: str, **more: object) -> Sink:
    return SINKS["webhook"](settings(type="webhook", url=url, secret="env:HOOK_SECRET", **more), "ns1")


def hec(to: Collector, **more: object) -> Sink:
    return SINKS["splunk-hec"](settings(type="splunk-hec", url=to.url, token="env:HEC_TOKEN", **more), "ns1")


# ── Webhook ───────────────────────────────────────────────────────────────────────────────────────────────────


async def test_each_alert_is_one_signed_request() -> None:
    """The receiver checks the signature itself; the id is that of the revision."""
    async with hook() as receiver:
        sink = webhook(receiver.url)
        await sink.send(batch(1, 3))
        await sink.close()
    assert receiver.ids == [f"{alert(number).id}-1" for number in (1, 2, 3)]
    assert [json.loads(body)["id"] for body in receiver.bodies] == [alert(number).id for number in (1, 2, 3)]


@pytest.mark.parametrize("status", [401, 403, 404, 429, 500, 503, 302])
async def test_what_may_pass_is_tried_again(status: int) -> None:
    """A receiver that is down, busy or wrongly set up: an OSError that repeats its words, no dead letter."""
    async with hook() as receiver:
        receiver.answers = [(status, "come back\nlater")]
        sink = webhook(receiver.url)
        with pytest.raises(OSError, match=f"it answers {status} .*: come back later") as failed:
            await sink.send(batch(1, 1))
        assert not isinstance(failed.value, Refused)
        await sink.send(batch(1, 1))
        await sink.close()
    assert len(receiver.bodies) == 1


@pytest.mark.parametrize("status", [400, 413, 422])
async def test_what_is_wrong_with_the_alert_is_refused(status: int) -> None:
    """So that the courier puts it aside instead of blocking the rest."""
    async with hook() as receiver:
        receiver.answers = [(status, "no such field")]
        sink = webhook(receiver.url)
        with pytest.raises(Refused, match="no such field"):
            await sink.send(batch(1, 1))
        await sink.close()


async def test_nobody_there_and_no_http() -> None:
    """Each failure says what it is."""
    async with hook() as receiver:
        gone = receiver.url
    sink = webhook(gone)
    with pytest.raises(OSError, match="Connection refused"):
        await sink.send(batch(1, 1))
    await sink.close()


@needs_openssl
async def test_https_trusts_whom_it_is_told_to() -> None:
    """A CA or a fingerprint; without either the certificate is not trusted, and the error says so."""
    made = certificates()
    receiver, pinned = Hook(), made.fingerprint("server")
    async with serving("/alerts", receiver.take, security=made.server_context()) as address:
        url = f"{address}/alerts"
        for tls in ({"ca": str(made.ca)}, {"fingerprint": pinned}, {"ca": str(made.ca), "server_name": "localhost"}):
            sink = webhook(url, tls=tls)
            await sink.send(batch(1, 1))
            await sink.close()
        wrong: list[tuple[dict[str, str], str]] = [
            ({}, "not trusted"), ({"fingerprint": "0" * 64}, f"has fingerprint {pinned}"),
            ({"ca": str(made.ca), "server_name": "siem.example"}, r"not trusted: .*siem\.example"),
        ]  # fmt: skip
        for tls, why in wrong:
            sink = webhook(url, tls=tls)
            with pytest.raises(OSError, match=why):
                await sink.send(batch(1, 1))
            await sink.close()
    assert len(receiver.bodies) == 3


# ── Splunk ────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_batch_is_confirmed_by_the_indexer() -> None:
    """The collector's 200 is not enough: the sink asks on its channel until the indexer has it."""
    async with collector() as splunk:
        sink = hec(splunk)
        assert sink.acknowledgement == "stored"
        await sink.send(batch(1, 5))
        await sink.close()
    assert splunk.asked == 2, "the first time it was not stored yet"
    assert [event["event"]["id"] for event in splunk.events] == [alert(number).id for number in range(1, 6)]
    assert {event["sourcetype"] for event in splunk.events} == {"dnswatch:alert"}
    assert splunk.events[0]["time"] == alert(1).at
    assert len(splunk.channels) == 1


async def test_no_indexer_no_confirmation(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was not stored in time is sent again."""
    monkeypatch.setattr(splunk_hec, "ACK_S", 0.1)
    async with collector() as splunk:
        splunk.indexed = False
        sink = hec(splunk)
        with pytest.raises(OSError, match="no indexer acknowledged"):
            await sink.send(batch(1, 1))
        await sink.close()


async def test_a_token_without_acknowledgement_is_told() -> None:
    """With ``ack: false`` the collector's word is enough, and the class says so."""
    async with collector() as splunk:
        splunk.acks = False
        sink = hec(splunk)
        with pytest.raises(OSError, match="write ack: false"):
            await sink.send(batch(1, 1))
        await sink.close()
        sink = hec(splunk, ack=False, index="dns")
        assert sink.acknowledgement == "received"
        await sink.send(batch(2, 2))
        await sink.close()
    assert splunk.events[-1]["index"] == "dns"


async def test_a_wrong_token_is_no_poison(monkeypatch: pytest.MonkeyPatch) -> None:
    """A token can be mended, an event that is no event cannot."""
    monkeypatch.setenv("HEC_TOKEN", "wrong")
    async with collector() as splunk:
        sink = hec(splunk)
        with pytest.raises(OSError, match="Invalid token") as failed:
            await sink.send(batch(1, 1))
        assert not isinstance(failed.value, Refused)
        await sink.close()
    monkeypatch.setenv("HEC_TOKEN", TOKEN)
    async with collector() as splunk:
        sink = hec(splunk)
        with pytest.raises(Refused, match="Invalid data format"):
            await sink.send([Delivery(1, alert(1, service="poison"))])
        await sink.close()
