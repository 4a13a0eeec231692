"""Nothing is lost on the way to real collectors, whoever is killed, frozen or stopped, and repetitions can be told."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from dnswatch.config.model import SyslogSink as Settings
from dnswatch.io.courier import Courier
from dnswatch.io.deliver import Delivery
from dnswatch.io.sinks import SINKS
from dnswatch.io.store import FILE, Store
from tests.io.certificates import certificates
from tests.io.making import alert
from tests.live.collectors import KINDS, Collector, Got
from tests.live.packages import syslog_ng
from tests.live.sender import feed
from tests.live.servers import place
from tests.running import Running, bind_line, until

HOLD = "3s"
"""In the short runs; longer than any collector here is frozen or down."""
DEATHS = ("term", "kill", "freeze")


@pytest.fixture
def collector(request: pytest.FixtureRequest) -> Iterator[Collector]:
    """A running collector of the parameter's kind."""
    kind: str = request.param
    if kind.startswith("syslog-ng") and syslog_ng() is None:
        pytest.skip("syslog-ng is not unpacked")
    with place() as folder, Collector(kind, folder) as running:
        yield running


def settings(collector: Collector, **more: object) -> Settings:
    fields: dict[str, object] = {"address": collector.address, "hold": HOLD, "heartbeat": 0, **collector.settings}
    return Settings.model_validate({"type": "syslog", **fields, **more})


def complete(got: Got, alerts: int, rev: str = "1") -> None:
    """Check that every alert came, each always with the same number and revision, and that no number is missing."""
    missing = {alert(number).id for number in range(1, alerts + 1)} - set(got.copies)
    assert not missing, f"lost {len(missing)}: {sorted(missing)[:5]}"
    assert len(got.copies) == alerts
    assert all(len(names) == 1 for names in got.named.values())
    assert {found for names in got.named.values() for found, _ in names} == {rev}
    assert got.numbers == set(range(1, alerts + 1))
    assert got.order == sorted(got.order)


async def through_deaths(
    collector: Collector, tmp_path: Path, alerts: int, deaths: tuple[str, ...], per_s: float, hold: str = HOLD
) -> Got:
    """Send alerts at a rate while the collector dies so often in the stream, each time down for a while."""
    made = settings(collector, hold=hold)
    async with await Store.open(tmp_path / FILE) as store:
        courier = Courier(store, "siem", SINKS["syslog"](made, "ns1"))
        courier.task._most_s = 0.3
        await courier.start()
        feeding = asyncio.create_task(feed(store, courier, 1, alerts, per_s))
        for how in deaths:
            await asyncio.sleep(alerts / per_s / (len(deaths) + 1))
            await asyncio.to_thread(collector.die, how)
            await asyncio.sleep(0.5)
            await asyncio.to_thread(collector.start)
        await feeding
        async with asyncio.timeout(240):
            while courier.row()["cursor"] < alerts:  # noqa: ASYNC110 (confirmed after the hold)
                await asyncio.sleep(0.05)
        row = courier.row()
        assert (row["sent"], row["dropped"], row["dead"]) == (alerts, 0, 0)
        await courier.stop()
    got = await asyncio.to_thread(collector.wait_for, alerts, 20)
    copies = sum(got.copies.values())
    print(f"{collector.kind} {'+'.join(deaths)}: {alerts} alerts, {alerts - len(got.copies)} lost, "
          f"{copies - len(got.copies)} repeated, failures {row['failures']}")  # fmt: skip
    return got


@pytest.mark.parametrize("collector", KINDS, indirect=True)
async def test_deaths_of_the_collector_lose_nothing(collector: Collector, tmp_path: Path) -> None:
    """SIGTERM, kill -9, and freezing before it, in one stream of 2,000: each alert arrives, numbered without a gap."""
    complete(await through_deaths(collector, tmp_path, 2000, DEATHS, 1000), 2000)


@pytest.mark.torture
@pytest.mark.parametrize("death", DEATHS)
@pytest.mark.parametrize("collector", KINDS, indirect=True)
async def test_deaths_of_the_collector_lose_nothing_at_full_size(
    collector: Collector, tmp_path: Path, death: str
) -> None:
    """16,000 alerts at 2,000/s, three deaths of one kind, the hold that is shipped."""
    complete(await through_deaths(collector, tmp_path, 16_000, (death,) * 3, 2000, "10s"), 16_000)


def killed_sender(collector: Collector, tmp_path: Path, alerts: int, per_s: float, kills: int) -> Got:
    """Kill -9 the sender so often while it stores and sends, the collector too half of the times."""
    text = json.dumps({**settings(collector).model_dump(mode="json", exclude={"type"}, exclude_none=True)})
    command = [sys.executable, "-m", "tests.live.sender", str(tmp_path), text, str(alerts), str(per_s)]
    for kill in range(kills + 1):
        process = subprocess.Popen(command, stdout=subprocess.PIPE, cwd=Path(__file__).parents[2])
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        if kill < kills:
            time.sleep(alerts / per_s / (kills + 1))  # in mid-stream
            if kill % 2:
                collector.die("freeze")
            process.send_signal(signal.SIGKILL)
            if kill % 2:
                collector.start()
        code = process.wait(240)
        assert code == 0 or (kill < kills and code == -signal.SIGKILL)  # on a busy machine it may be through by then
        process.stdout.close()
    got = collector.wait_for(alerts, 20)
    print(f"{collector.kind}, sender killed {kills}×: {alerts - len(got.copies)} lost, "
          f"{sum(got.copies.values()) - len(got.copies)} repeated")  # fmt: skip
    return got


@pytest.mark.parametrize("collector", ["rsyslog-relp", "rsyslog-gtls", "syslog-ng-tcp"], indirect=True)
def test_kill_of_dnswatch_loses_nothing(collector: Collector, tmp_path: Path) -> None:
    """kill -9 of the sender, and of both at once: every stored alert arrives, repetitions under the same number."""
    complete(killed_sender(collector, tmp_path, 2000, 1000, 2), 2000)


@pytest.mark.torture
@pytest.mark.parametrize("collector", KINDS, indirect=True)
def test_kill_of_dnswatch_loses_nothing_at_full_size(collector: Collector, tmp_path: Path) -> None:
    """The same with 16,000 alerts and five kills, at every collector."""
    complete(killed_sender(collector, tmp_path, 16_000, 2000, 5), 16_000)


UNCONFIRMED = ("rsyslog-udp", "rsyslog-unix", "syslog-ng-udp", "syslog-ng-unix")


@pytest.mark.parametrize("collector", UNCONFIRMED, indirect=True)
async def test_datagrams_arrive_at_a_living_collector(collector: Collector) -> None:
    """Paced UDP and the local socket: all of them, in order, with their numbers."""
    count = 500
    sink = SINKS["syslog"](settings(collector, rate=2000), "ns1")
    assert sink.acknowledgement == "none"
    await sink.send([Delivery(number, alert(number), number, "f00d") for number in range(1, count + 1)])
    await sink.close()
    complete(await asyncio.to_thread(collector.wait_for, count, 10), count)


@pytest.mark.parametrize(
    "collector", ["rsyslog-gtls", "rsyslog-ossl", "rsyslog-relp+tls", "syslog-ng-tls"], indirect=True
)
@pytest.mark.parametrize("client", ["", "stranger"])
async def test_refusal_of_our_certificate_is_told_and_nothing_is_sent(collector: Collector, client: str) -> None:
    """Without a certificate, and with one of an unknown authority: an error, not silence and loss (TLS 1.3)."""
    made = certificates()
    tls: dict[str, object] = {"ca": str(made.ca)}
    if client:
        tls |= {"cert": str(made.cert(client)), "key": str(made.key(client))}
    sink = SINKS["syslog"](settings(collector, tls=tls), "ns1")
    with pytest.raises(OSError, match=r"refuses? our certificate"):
        await sink.send([Delivery(1, alert(1), 1, "f00d")])
    await sink.close()
    good = SINKS["syslog"](settings(collector), "ns1")
    await good.send([Delivery(2, alert(2), 2, "f00d")])
    await good.close()
    got = await asyncio.to_thread(collector.wait_for, 1, 10)
    assert set(got.copies) == {alert(2).id}


@pytest.mark.parametrize("collector", ["rsyslog-relp"], indirect=True)
async def test_heartbeats_prove_that_nothing_is_missing(collector: Collector, tmp_path: Path) -> None:
    """The counters of the last heartbeat are what the collector has: distinct numbers of this stream = sequence."""
    async with await Store.open(tmp_path / FILE) as store:
        courier = Courier(store, "siem", SINKS["syslog"](settings(collector, heartbeat="1s"), "ns1"))
        await courier.start()
        await feed(store, courier, 1, 60, 1000)
        beats = courier.beats
        async with asyncio.timeout(120):
            while courier.beats < beats + 2:  # noqa: ASYNC110 (time must pass)
                await asyncio.sleep(0.05)
        await courier.stop()
    got = await asyncio.to_thread(collector.wait_for, 60, 10)
    assert got.heartbeats[0]["sequence"] == "0"
    assert got.heartbeats[-1]["sequence"] == str(len(got.numbers)) == "60"
    assert len({beat["id"] for beat in got.heartbeats}) == 1


@pytest.mark.parametrize("collector", ["rsyslog-relp"], indirect=True)
def test_every_looked_up_name_reaches_the_collector_whoever_dies(collector: Collector, tmp_path: Path) -> None:
    """From the query log to the collector: `run` is killed three times, the collector frozen and killed once."""
    running = Running(tmp_path, "feeds: {mode: off}\n")
    text = running.config.read_text()
    sink = f"{{type: syslog, name: siem, address: '{collector.address}', heartbeat: 0}}"
    running.config.write_text(text.replace("sinks: [", f"sinks: [{sink}, "))
    running.log.touch()
    clients = [f"10.7.{number // 200}.{number % 200 + 1}" for number in range(300)]
    for turn in range(3):
        running.start()
        for client in clients[turn * 100 : turn * 100 + 100]:
            running.write(bind_line("api.telegram.org", client))
            time.sleep(0.002)
        if turn == 1:
            collector.die("freeze")
        running.stop(signal.SIGKILL)
        if turn == 1:
            collector.start()
    with running:
        until(lambda: {one["client_ip"] for one in running.alerts()} == set(clients), 20)
        ids = {one["id"] for one in running.alerts()}
        got = collector.wait_for(len(ids), 20)
        assert running.stop() == 0
    assert set(got.copies) == ids
    assert len(ids) == len(clients)
    named = {(found, rev): number for found, pairs in got.named.items() for rev, number in pairs}
    assert len(named) == sum(len(pairs) for pairs in got.named.values())  # one number for each revision
    assert got.numbers == set(range(1, max(got.numbers) + 1))
