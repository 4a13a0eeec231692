"""The daemon: a line becomes an alert, a reload loses nothing, the end is clean, a crash counts once."""

import asyncio
import json
import logging
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterable
from pathlib import Path

import pytest

from dnswatch import daemon as daemon_module
from dnswatch.errors import StateError
from dnswatch.io.publishing import Publishing
from dnswatch.io.web.app import Web
from tests.running import PATIENCE, InLoop, Running, bind_line, soon, until

EXPECT = "expect: [{who: [10.0.10.7], services: [telegram-bot], because: ops bot, owner: ops}]\n"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


def get(port: int, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=60) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_a_line_becomes_an_alert_and_the_end_is_clean(tmp_path: Path) -> None:
    """A written line is in the file sink within tens of milliseconds; feeds and metrics are served; SIGTERM ends it."""
    port = free_port()
    running = Running(tmp_path, f'http: {{listen: "127.0.0.1:{port}"}}\n')
    running.write(bind_line("api.telegram.org", "10.0.10.1"))  # before the start: `from: end` leaves it out
    with running:
        took = []
        for number in range(2, 7):
            begun = time.monotonic()
            running.write(bind_line("www.example.org"), bind_line("api.telegram.org", f"10.0.10.{number}"))
            until(lambda count=number - 1: len(running.alerts()) >= count, 2)
            took.append(time.monotonic() - begun)
        assert min(took) < 0.5
        assert [one["client_ip"] for one in running.alerts()] == [f"10.0.10.{number}" for number in range(2, 7)]
        assert {(one["rev"], one["service"], one["sensor"]) for one in running.alerts()} == {(1, "telegram-bot", "ns1")}
        assert until(lambda: get(port, "/readyz")[0] == 200)
        status, metrics = get(port, "/metrics")
        assert (status, 'dnswatch_alerts_total{category="bot-api"' in metrics) == (200, True)
        assert "api.telegram.org" not in metrics
        assert "10.0.10" not in metrics
        assert "any.rpz.dnswatch.internal" in get(port, "/feeds/")[1]
        begun = time.monotonic()
        assert running.stop() == 0
        assert time.monotonic() - begun < 5 * PATIENCE
    assert "Traceback" not in running.said()
    assert running.said().rstrip().endswith("stopped")


async def test_restart_goes_on_where_it_stopped(tmp_path: Path) -> None:
    """Lines written while it was down are read at the next start; nothing is told twice; counts go on."""
    running = InLoop(tmp_path)
    running.log.touch()
    async with running:
        running.write(bind_line("api.telegram.org"))
        await soon(running.alerts)
    later = time.time() + 60
    running.write(*(bind_line("api.telegram.org", at=later + 10 * n) for n in range(9)))
    async with running:
        await soon(lambda: len(running.alerts()) == 2)
    first, second = running.alerts()
    assert (second["id"], second["rev"], second["count"]) == (first["id"], 2, 10)


def test_killed_at_any_moment_counts_once(tmp_path: Path) -> None:
    """kill -9 while lines come in: after the restart every attempt is counted once and every revision is there."""
    running = Running(tmp_path)
    running.log.touch()
    at = time.time()
    clients = [f"10.0.11.{number}" for number in range(1, 31)]
    for part in range(3):
        running.start()
        for n, client in enumerate(clients[part * 10 : part * 10 + 10]):
            running.write(
                bind_line("api.telegram.org", client, at + n), bind_line("api.telegram.org", client, at + n + 30)
            )
            time.sleep(0.004)
        running.stop(signal.SIGKILL)
    with running:
        until(lambda: {one["client_ip"] for one in running.alerts()} == set(clients))
        running.stop()
    shown = running.run("alerts", "list", "--json")
    assert sorted((one["client_ip"], one["count"]) for one in json.loads(shown.stdout)) == sorted(
        (c, 2) for c in clients
    )
    # The sink may have been handed a revision twice (at least once), but never two different ones under one number.
    told = {(one["id"], one["rev"]): one for one in running.alerts()}
    assert all(told[one["id"], one["rev"]] == one for one in running.alerts())
    assert len({identity for identity, _ in told}) == len(clients)


async def test_reload_takes_a_new_expectation_without_losing_a_line(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """After a reload the client is expected; every line before, during and after counts; a bad file changes nothing."""
    running = InLoop(tmp_path)
    running.log.touch()
    async with running:
        running.write(bind_line("api.telegram.org", "10.0.10.8"))
        await soon(running.alerts)
        running.configure(EXPECT)
        reload = asyncio.create_task(running.reload())
        running.write(bind_line("api.telegram.org", "10.0.10.9"))
        assert await reload == ""
        running.write(bind_line("api.telegram.org", "10.0.10.7"), bind_line("api.telegram.org", "10.0.10.10"))
        await soon(lambda: len(running.alerts()) == 3)
        assert [one["client_ip"] for one in running.alerts()] == ["10.0.10.8", "10.0.10.9", "10.0.10.10"]

        running.configure("sinkz: []\nexpect: [{who: [nobody], services: [no-such], because: x}]\n")
        assert "sinkz" in await running.reload()
        told = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
        assert any("the old one stays" in text for text in told)
        assert any("no-such" in text for text in told)
        running.write(bind_line("api.telegram.org", "10.0.10.7"), bind_line("api.telegram.org", "10.0.10.11"))
        await soon(lambda: len(running.alerts()) == 4)
        assert "sinkz" in running.daemon.rows()["run"]["reload_error"]


async def test_reload_swaps_sources_sinks_and_http(tmp_path: Path) -> None:
    """A reload adds and removes logs, sinks and the HTTP address; what stays goes on where it was."""
    other, spare = tmp_path / "other.log", tmp_path / "spare.jsonl"
    other.touch()
    running = InLoop(tmp_path, 'http: {listen: "127.0.0.1:0"}\n')
    running.log.touch()
    async with running:
        assert running.daemon.web
        ((_, first),) = running.daemon.web.addresses()
        running.write(bind_line("api.telegram.org", "10.0.10.1"))
        await soon(running.alerts)
        running.sources = f"sources: [{{type: bind, path: {other}, timezone: UTC}}]"
        second = free_port()
        running.configure(f'http: {{listen: "127.0.0.1:{second}"}}\n')
        text = running.config.read_text().replace("sinks: [", f"sinks: [{{type: file, path: {spare}}}, ")
        running.config.write_text(text)
        assert await running.reload() == ""
        assert (await asyncio.to_thread(get, second, "/healthz"))[0] == 200
        with pytest.raises(urllib.error.URLError):
            await asyncio.to_thread(get, first, "/healthz")
        running.write(bind_line("api.telegram.org", "10.0.10.2"))
        with other.open("a") as log:
            log.write(bind_line("api.telegram.org", "10.0.10.3"))
        await soon(lambda: len(running.alerts()) == 2)
        assert running.alerts()[-1]["client_ip"] == "10.0.10.3"
        await soon(lambda: spare.exists() and spare.read_text().count("\n") == 1)

        running.sources = f"sources: [{{type: bind, path: {running.log}, timezone: UTC}}]"
        running.configure()
        assert await running.reload() == ""
        assert running.daemon.web is None
        await soon(lambda: len(running.alerts()) == 3)  # what came while the log was not followed
        assert running.alerts()[-1]["client_ip"] == "10.0.10.2"


async def test_http_and_zones_move_between_addresses_of_one_port(tmp_path: Path) -> None:
    """From loopback to every address and back: the old socket goes first, and comes back when the new one cannot be."""
    web, zones = free_port(), free_port()
    running = InLoop(tmp_path, f'http: {{listen: "127.0.0.1:{web}"}}\ndns: {{listen: "127.0.0.1:{zones}"}}\n')
    running.write("")
    async with running:
        for host in ("0.0.0.0", "127.0.0.1"):
            running.configure(f'http: {{listen: "{host}:{web}"}}\ndns: {{listen: "{host}:{zones}"}}\n')
            assert await running.reload() == ""
            assert running.daemon.web
            assert running.daemon.web.addresses() == [(host, web)]
            assert running.daemon.rows()["dns"]["listen"] == [f"{host}:{zones}/dns"]
        for wrong in (f'http: {{listen: "192.0.2.1:{web}"}}\ndns: {{listen: "127.0.0.1:{zones}"}}\n',
                      f'http: {{listen: "0.0.0.0:{web}"}}\ndns: {{listen: "192.0.2.1:{zones}"}}\n'):  # fmt: skip
            running.configure(wrong)
            assert await running.reload() != ""
            assert running.daemon.web.addresses() == [("127.0.0.1", web)]
            assert running.daemon.rows()["dns"]["listen"] == [f"127.0.0.1:{zones}/dns"]


async def test_refused_reload_leaves_http_where_it_was(tmp_path: Path) -> None:
    """One address that cannot be had refuses the whole reload: what it would have moved stays, and can move later."""
    first, second = free_port(), free_port()
    running = InLoop(tmp_path, f'http: {{listen: "127.0.0.1:{first}"}}\n')
    running.log.touch()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        zones = f'dns: {{listen: "127.0.0.1:{taken.getsockname()[1]}"}}\n'
        async with running:
            running.configure(f'http: {{listen: "127.0.0.1:{second}"}}\n{zones}')
            assert "another program listens there" in await running.reload()
            assert (await asyncio.to_thread(get, first, "/healthz"))[0] == 200
            with pytest.raises(urllib.error.URLError):
                await asyncio.to_thread(get, second, "/healthz")
            running.configure(f'http: {{listen: "127.0.0.1:{second}"}}\n')
            assert await running.reload() == ""
            assert (await asyncio.to_thread(get, second, "/healthz"))[0] == 200


async def test_the_end_does_not_wait_for_a_reload_that_reads_ahead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A catalogue may take a minute to read: the child ends, the reload is left off, and all ends in order."""
    begun, ended = asyncio.Event(), asyncio.Event()

    async def read(*_: object) -> None:
        begun.set()
        try:
            await asyncio.sleep(600)
        finally:
            ended.set()

    monkeypatch.setattr(daemon_module, "read_ahead", read)
    running = InLoop(tmp_path)
    running.log.touch()
    async with running:
        running.daemon.reload()
        await begun.wait()
    assert ended.is_set()
    assert running.daemon.reloads.done == 0


async def test_http_is_served_only_when_the_lists_of_before_are_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A consumer that gets 404 for a list while we start may take it for one without names."""
    running, web = InLoop(tmp_path, f'http: {{listen: "127.0.0.1:{free_port()}"}}\n'), []
    begin = Publishing.begin

    async def note(publishing: Publishing) -> None:
        web.append(running.daemon.web)
        await begin(publishing)

    monkeypatch.setattr(Publishing, "begin", note)
    running.log.touch()
    async with running:
        assert running.daemon.web is not None
    assert web == [None]


async def test_store_that_fails_before_a_reload_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the zone server cannot read from the store delays the reload; it does not end the daemon."""
    monkeypatch.setattr(daemon_module, "RELOAD_AGAIN_S", 0.05)
    running = InLoop(tmp_path)
    running.log.touch()
    async with running:
        real, failures = running.daemon.store.latest_snapshots, 0

        async def locked() -> object:
            nonlocal failures
            failures += 1
            if failures < 3:
                raise OSError(16, "another process has kept the store locked")
            return await real()

        await soon(lambda: running.daemon.upkeep.feed_rows)
        monkeypatch.setattr(running.daemon.store, "latest_snapshots", locked)
        running.configure(f'dns: {{listen: "127.0.0.1:{free_port()}"}}\n')
        assert "locked" in await running.reload()
        await soon(lambda: running.daemon.reloads.error == "")
        assert running.daemon.primary.server is not None


def test_second_run_names_the_first(tmp_path: Path) -> None:
    """A second daemon on one state_dir exits 1 and names the pid."""
    running = Running(tmp_path)
    running.log.touch()
    with running:
        assert running.process
        refused = running.run("run")
        assert refused.returncode == 1
        assert f"pid {running.process.pid}" in refused.stderr
        assert "Traceback" not in refused.stderr
        running.stop()


async def test_taken_port_ends_it_only_where_it_was_asked_for(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A configured address that is taken is an error; the default one is told, and watching goes on without it."""
    running = InLoop(tmp_path, "http: {}\n")
    running.log.touch()

    async def taken(web: Web, listen: str) -> None:
        raise StateError(f"cannot serve HTTP on {listen}: another program listens there")

    monkeypatch.setattr(Web, "start", taken)
    async with running:
        running.write(bind_line("api.telegram.org"))
        await soon(running.alerts)
    assert "127.0.0.1:8053: another program listens there. Going on without HTTP" in caplog.text
    running.configure('http: {listen: "127.0.0.1:8053"}\n')
    with pytest.raises(StateError, match="another program listens there"):
        await running.start()


async def test_missing_log_is_waited_for(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A log that does not exist yet is said once, makes it unready, and is read from its start when it comes."""
    caplog.set_level(logging.INFO, "dnswatch")
    running = InLoop(tmp_path)
    async with running:
        assert any(str(running.log) in reason for reason in running.daemon.unready())
        await soon(lambda: "no such file" in caplog.text)
        running.write(bind_line("api.telegram.org"))
        await soon(running.alerts)
        await soon(lambda: not running.daemon.unready())
    assert caplog.text.count("no such file") == 1


async def test_wrong_format_and_missing_zone_are_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A log of another server is said so, with what it looks like; stamps without a zone are told once."""
    line = "Nov 22 10:00:00 dnsmasq[1]: query[A] api.telegram.org from 10.0.10.7\n"
    other = tmp_path / "zoneless.log"
    sources = f"sources: [{{type: bind, path: {tmp_path}/query.log}}, {{type: bind, path: {other}}}]"
    running = InLoop(tmp_path, sources=sources)
    running.log.touch()
    other.touch()
    async with running:
        running.write(*[line] * 4000)
        other.write_text(bind_line("api.telegram.org") * 50)
        await soon(lambda: "it looks like dnsmasq" in caplog.text)
        await soon(lambda: "stamps carry no zone" in caplog.text)
        row = running.daemon.rows()[f"source:{running.log}"]
        assert row["wrong_format"]
    assert caplog.text.count("it looks like dnsmasq") == 1
    assert caplog.text.count("stamps carry no zone") == 1


async def test_pattern_follows_new_files(tmp_path: Path) -> None:
    """A pattern means every log that matches; their rotated siblings are their past, read once."""
    (tmp_path / "a.log").write_text(bind_line("api.telegram.org", "10.0.10.1"))
    (tmp_path / "a.log.1").write_text(bind_line("api.telegram.org", "10.0.10.2"))
    source = f"sources: [{{type: bind, path: '{tmp_path}/*.log*', timezone: UTC, from: start}}]"
    async with InLoop(tmp_path, sources=source) as running:
        await soon(lambda: len(running.alerts()) == 2)
        (tmp_path / "b.log").write_text(bind_line("api.telegram.org", "10.0.10.3"))
        running.daemon.jobs.now("new logs")
        await soon(lambda: len(running.alerts()) == 3)
        assert [one["client_ip"] for one in running.alerts()] == ["10.0.10.2", "10.0.10.1", "10.0.10.3"]


async def test_look_for_new_files_during_the_end_begins_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its job may be due while the last checkpoint is written; a log that was begun again then would never end."""
    async with InLoop(tmp_path) as running:
        running.write("")
        following, commit = running.daemon.following, running.daemon.ledger.commit

        async def with_a_look(final: bool = False) -> None:
            if final:
                await following.look()
            await commit(final)

        monkeypatch.setattr(running.daemon.ledger, "commit", with_a_look)


def test_end_that_hangs_is_cut_off_and_says_what_hung(tmp_path: Path) -> None:
    """The service manager's SIGKILL would name nothing."""
    running = Running(tmp_path)
    running.write("")
    code = ("import asyncio, dnswatch.daemon as m, dnswatch.cli; m.LEAVE_S = 0.3\n"
            "async def hang(self, ticks): await asyncio.sleep(60)\n"
            f"m.Daemon._stop = hang; dnswatch.cli.main(['--config', {str(running.config)!r}, 'run'])")  # fmt: skip
    with running.stderr.open("ab") as errors:
        running.process = subprocess.Popen([sys.executable, "-c", code], stderr=errors, stdout=subprocess.PIPE)
    until(lambda: " ready\n" in running.said(), 20)
    assert running.stop() == 1
    assert "leaving at once" in running.said()
    assert "hang" in running.said() or "Daemon" in running.said()


async def test_columns_are_known_where_reading_begins_at_the_end(tmp_path: Path) -> None:
    """`from: end` on a log whose head names its columns (Zeek): the head is read, and that of the next file, too."""
    log = tmp_path / "dns.log"
    head = "#separator \\x09\n#path\tdns\n#fields\tts\t{}\n"
    log.write_text(head.format("note\tid.orig_h\tquery") + f"{time.time():.6f}\tx\t10.0.10.1\tapi.telegram.org\n")
    async with InLoop(tmp_path, sources=f"sources: [{{type: zeek, path: {log}}}]") as running:
        with log.open("a") as file:
            file.write(f"{time.time():.6f}\tx\t10.0.10.2\tapi.telegram.org\n")
        await soon(lambda: len(running.alerts()) == 1)
        log.rename(tmp_path / "dns-2026-11-22-19-00-00.log")
        log.write_text(head.format("query\tid.orig_h") + f"{time.time():.6f}\tapi.telegram.org\t10.0.10.3\n")
        await soon(lambda: len(running.alerts()) == 2)
        assert [one["client_ip"] for one in running.alerts()] == ["10.0.10.2", "10.0.10.3"]


async def test_leases_and_exempt_clients_reach_alerts_and_feeds(tmp_path: Path) -> None:
    """A lease names the client in its alert, and an expectation by name exempts its address in the feeds."""
    leases = tmp_path / "dnsmasq.leases"
    leases.write_text(f"{time.time() + 9999:.0f} 10:20:30:40:50:59 10.0.10.7 printer-3 *\n")
    more = (f"clients: {{leases: [{leases}]}}\n"
            "expect: [{who: ['name:printer-3'], services: [slack-webhook], because: jobs}]\n")  # fmt: skip
    running = InLoop(tmp_path, more)
    running.log.touch()
    async with running:
        running.write(bind_line("hooks.slack.com"), bind_line("api.telegram.org"))
        await soon(running.alerts)
        (told,) = running.alerts()
        assert (told["client_name"], told["client_mac"]) == ("printer-3", "10:20:30:40:50:59")
        zone = tmp_path / "state" / "feeds" / "exempt.rpz.dnswatch.internal.zone"
        await soon(lambda: zone.exists() and "32.7.10.0.10.rpz-client-ip" in zone.read_text())
        leases.write_text("")
        leases.write_text(f"{time.time() + 9999:.0f} 10:20:30:40:50:59 10.0.10.8 printer-3 *\n")
        running.daemon.jobs.now("leases")
        await soon(lambda: "32.8.10.0.10.rpz-client-ip" in zone.read_text())


async def test_full_disk_at_a_reload_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the store cannot take a reload the daemon goes on, says so, and does it again by itself."""
    monkeypatch.setattr(daemon_module, "RELOAD_AGAIN_S", 0.05)
    running = InLoop(tmp_path)
    running.log.touch()
    async with running:
        real, failures = running.daemon.store.cursors, 0

        async def full(sinks: Iterable[str]) -> dict[str, int]:
            nonlocal failures
            failures += 1
            if failures < 3:
                raise OSError(28, "no space left for the store")
            return await real(sinks)

        monkeypatch.setattr(running.daemon.store, "cursors", full)
        text = running.config.read_text()
        running.config.write_text(text.replace("sinks: [", f"sinks: [{{type: file, path: {tmp_path}/more.jsonl}}, "))
        assert "no space left" in await running.reload()
        await soon(lambda: running.daemon.reloads.error == "")
        running.write(bind_line("api.telegram.org"))
        await soon(lambda: (tmp_path / "more.jsonl").exists() and running.alerts())


def test_no_sources_is_a_configuration_error(tmp_path: Path) -> None:
    """Without sources there is nothing to run: exit 3 with an example."""
    running = Running(tmp_path, sources="sources: []")
    refused = running.run("run")
    assert refused.returncode == 3
    assert "no sources" in refused.stderr
