"""Alerts at a real rsyslogd: every field as it was sent, over UDP and TCP, and none lost when it is killed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from dnswatch.config.model import SyslogSink as Settings
from dnswatch.core.alerts.flat import flat
from dnswatch.io.courier import Courier
from dnswatch.io.deliver import Delivery
from dnswatch.io.sinks import SINKS
from dnswatch.io.store import FILE, Store
from tests.io.making import alert
from tests.live.rsyslog import Rsyslog
from tests.live.servers import place
from tests.running import Running, bind_line, until

HOSTILE = 'a"b]c\\d.exfil.example'


@pytest.fixture
def receiver() -> Iterator[Rsyslog]:
    with place() as folder, Rsyslog(folder) as running:
        yield running


@pytest.mark.parametrize("framing", ["octet", "lf"])
@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_fields_arrive_as_sent(receiver: Rsyslog, transport: str, framing: str) -> None:
    """rsyslog parses header, structured data and text; names that look like syntax come through exactly."""
    settings = Settings(type="syslog", address=f"{transport}://127.0.0.1:{receiver.port}", framing=framing)
    sink = SINKS["syslog"](settings, "ns1.example")
    sent = [alert(1), alert(2, qname=HOSTILE, severity="critical", client=alert().client)]
    await sink.send([Delivery(number, one, number) for number, one in enumerate(sent, 1)])
    await sink.close()
    messages = await asyncio.to_thread(receiver.received, 2)
    assert len(messages) == 2
    for number, (one, message) in enumerate(zip(sent, messages, strict=True), 1):
        assert (message["hostname"], message["programname"], message["msgid"]) == (
            "ns1.example",
            "dnswatch",
            one.rule_id,
        )
        assert message["syslogfacility"] == "16"  # local0
        assert message["syslogseverity"] == ("2" if one.severity == "critical" else "3")
        data = message["structured-data"]
        assert data.startswith("[dnswatch@32473 ")
        assert f'[meta sequenceId="{number}"]' in data
        assert f'id="{one.id}" rev="1"' in data
        assert "(telegram-bot, bot-api)" in message["msg"]
    assert 'qname="a\\"b\\]c\\\\d.exfil.example"' in messages[1]["structured-data"]


@pytest.mark.parametrize("form", ["json", "rfc3164"])
async def test_json_arrives_whole(receiver: Rsyslog, form: str) -> None:
    """The JSON forms parse as JSON after rsyslog has taken the header off, whatever the header is."""
    settings = Settings(type="syslog", address=f"tcp://127.0.0.1:{receiver.port}", format=form)
    sink = SINKS["syslog"](settings, "ns1")
    await sink.send([Delivery(1, alert(1, qname=HOSTILE))])
    await sink.close()
    (message,) = await asyncio.to_thread(receiver.received, 1)
    assert json.loads(message["msg"]) == flat(alert(1, qname=HOSTILE), "ns1")
    assert message["hostname"] == "ns1"


async def test_killed_receiver_loses_nothing(receiver: Rsyslog, tmp_path: Path) -> None:
    """kill -9 of rsyslogd in mid-stream, three times: over TCP every revision arrives, in order but for repetitions."""
    settings = Settings(type="syslog", address=f"tcp://127.0.0.1:{receiver.port}")
    async with await Store.open(tmp_path / FILE) as store:
        courier = Courier(store, settings.id, SINKS["syslog"](settings, "ns1"))
        courier.task._most_s = 0.2
        await courier.start()
        number = 0
        for _ in range(3):
            for _ in range(40):
                number += 1
                await store.checkpoint([], None, [alert(number)])
                courier.wake()
                await asyncio.sleep(0.002)
            receiver.kill()
            for _ in range(20):
                number += 1
                await store.checkpoint([], None, [alert(number)])
                courier.wake()
            await asyncio.to_thread(receiver.start)
        messages = await asyncio.to_thread(_all, receiver, number)
        await courier.stop()
    arrived = [alert_id for one in messages if (alert_id := one["structured-data"].split('id="')[1][:26])]
    assert len(set(arrived)) == number
    assert list(dict.fromkeys(arrived)) == [alert(n).id for n in range(1, number + 1)]


def _all(receiver: Rsyslog, number: int) -> list[dict[str, str]]:
    found: list[dict[str, str]] = []

    def complete() -> bool:
        found[:] = receiver.received(number, 0.5)
        return len({one["structured-data"].split('id="')[1][:26] for one in found}) >= number

    until(complete, 20)
    return found


def test_from_a_log_line_to_the_collector(receiver: Rsyslog, tmp_path: Path) -> None:
    """The whole way: a line in the query log, an alert at rsyslog, over TCP and UDP at once."""
    running = Running(tmp_path)
    running.log.touch()
    text = running.config.read_text()
    sinks = ", ".join(f"{{type: syslog, address: '{kind}://127.0.0.1:{receiver.port}'}}" for kind in ("tcp", "udp"))
    running.config.write_text(text.replace("sinks: [", f"sinks: [{sinks}, "))
    with running:
        running.write(bind_line("api.telegram.org", "10.0.10.7"), bind_line("hooks.slack.com", "10.0.10.8"))
        messages = receiver.received(4)
        assert sorted(one["structured-data"].split('client_ip="')[1].split('"')[0] for one in messages) == [
            "10.0.10.7", "10.0.10.7", "10.0.10.8", "10.0.10.8",
        ]  # fmt: skip
        assert {one["hostname"] for one in messages} == {"ns1"}
        assert running.stop() == 0
