"""The daemon as a process: a line becomes an alert, a reload loses nothing, the end is clean, a crash counts once."""

import json
import signal
import socket
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from tests.running import Running, bind_line, until

EXPECT = "expect: [{who: [10.0.10.7], services: [telegram-bot], because: ops bot, owner: ops}]\n"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


def get(port: int, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
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
        assert time.monotonic() - begun < 5
    assert "Traceback" not in running.said()
    assert running.said().rstrip().endswith("stopped")


def test_restart_goes_on_where_it_stopped(tmp_path: Path) -> None:
    """Lines written while it was down are read at the next start; nothing is told twice; counts go on."""
    running = Running(tmp_path)
    running.log.touch()
    with running:
        running.write(bind_line("api.telegram.org"))
        until(running.alerts)
        assert running.stop(signal.SIGINT) == 0
    later = time.time() + 60
    running.write(*(bind_line("api.telegram.org", at=later + 10 * n) for n in range(9)))
    with running:
        until(lambda: len(running.alerts()) == 2)
        running.stop()
    first, second = running.alerts()
    assert (second["id"], second["rev"], second["count"]) == (first["id"], 2, 10)


def test_killed_at_any_moment_counts_once(tmp_path: Path) -> None:
    """kill -9 while lines come in: after the restart every attempt is counted once and every revision is there."""
    running = Running(tmp_path)
    running.log.touch()
    at = time.time()
    clients = [f"10.0.11.{number}" for number in range(1, 41)]
    for part in range(4):
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


def test_reload_takes_a_new_expectation_without_losing_a_line(tmp_path: Path) -> None:
    """After SIGHUP the client is expected; every line before, during and after counts; a bad file changes nothing."""
    running = Running(tmp_path)
    running.log.touch()
    with running:
        running.write(bind_line("api.telegram.org", "10.0.10.8"))
        until(running.alerts)
        running.configure(EXPECT)
        running.send(signal.SIGHUP)
        running.write(bind_line("api.telegram.org", "10.0.10.9"))
        until(lambda: "reloaded" in running.said())
        running.write(bind_line("api.telegram.org", "10.0.10.7"), bind_line("api.telegram.org", "10.0.10.10"))
        until(lambda: len(running.alerts()) == 3)
        assert [one["client_ip"] for one in running.alerts()] == ["10.0.10.8", "10.0.10.9", "10.0.10.10"]

        running.configure("sinkz: []\nexpect: [{who: [nobody], services: [no-such], because: x}]\n")
        running.send(signal.SIGHUP)
        until(lambda: "the old one stays" in running.said())
        assert "sinkz" in running.said()
        assert "dnswatch.yaml:" in running.said()
        running.write(bind_line("api.telegram.org", "10.0.10.7"), bind_line("api.telegram.org", "10.0.10.11"))
        until(lambda: len(running.alerts()) == 4)
        until(lambda: "the last reload was not taken" in running.run("status").stdout)
        assert running.stop() == 0
    assert "Traceback" not in running.said()


def test_reload_swaps_sources_sinks_and_http(tmp_path: Path) -> None:
    """A reload adds and removes logs, sinks and the HTTP address; what stays goes on where it was."""
    first, second = free_port(), free_port()
    other, spare = tmp_path / "other.log", tmp_path / "spare.jsonl"
    other.touch()
    running = Running(tmp_path, f'http: {{listen: "127.0.0.1:{first}"}}\n')
    running.log.touch()
    with running:
        running.write(bind_line("api.telegram.org", "10.0.10.1"))
        until(running.alerts)
        running.sources = f"sources: [{{type: bind, path: {other}, timezone: UTC}}]"
        running.configure(f'http: {{listen: "127.0.0.1:{second}"}}\n')
        text = running.config.read_text().replace("sinks: [", f"sinks: [{{type: file, path: {spare}}}, ")
        running.config.write_text(text)
        running.send(signal.SIGHUP)
        until(lambda: "reloaded" in running.said())
        assert get(second, "/healthz")[0] == 200
        with pytest.raises(urllib.error.URLError):
            get(first, "/healthz")
        running.write(bind_line("api.telegram.org", "10.0.10.2"))
        with other.open("a") as log:
            log.write(bind_line("api.telegram.org", "10.0.10.3"))
        until(lambda: len(running.alerts()) == 2)
        assert running.alerts()[-1]["client_ip"] == "10.0.10.3"
        until(lambda: spare.exists() and spare.read_text().count("\n") == 1)

        running.sources = f"sources: [{{type: bind, path: {running.log}, timezone: UTC}}]"
        running.configure()
        running.send(signal.SIGHUP)
        until(lambda: running.said().count("reloaded") == 2)
        until(lambda: len(running.alerts()) == 3)  # what came while the log was not followed
        assert running.alerts()[-1]["client_ip"] == "10.0.10.2"
        assert running.stop() == 0


def test_second_run_names_the_first(tmp_path: Path) -> None:
    """A second daemon on one state_dir exits 1 and names the pid; a taken port exits 1 and names the port."""
    running = Running(tmp_path, f'http: {{listen: "127.0.0.1:{free_port()}"}}\n')
    running.log.touch()
    with running:
        assert running.process
        refused = running.run("run")
        assert refused.returncode == 1
        assert f"pid {running.process.pid}" in refused.stderr
        assert "Traceback" not in refused.stderr
        text = running.config.read_text()
        running.config.write_text(text.replace(f"{tmp_path}/state", f"{tmp_path}/state2"))
        refused = running.run("run")
        assert refused.returncode == 1
        assert "another program listens there" in refused.stderr
        assert "Traceback" not in refused.stderr
        running.stop()


def test_missing_log_is_waited_for(tmp_path: Path) -> None:
    """A log that does not exist yet is said once, makes it unready, and is read from its start when it comes."""
    port = free_port()
    running = Running(tmp_path, f'http: {{listen: "127.0.0.1:{port}"}}\n')
    with running:
        found = until(lambda: (found := get(port, "/readyz"))[0] == 503 and found)
        assert str(running.log) in found[1]
        until(lambda: "no such file" in running.said())
        running.write(bind_line("api.telegram.org"))
        until(running.alerts)
        assert until(lambda: get(port, "/readyz")[0] == 200)
        running.stop()
    assert running.said().count("no such file") == 1


def test_wrong_format_is_told(tmp_path: Path) -> None:
    """A log of another server is said so, with what it looks like."""
    line = "Nov 22 10:00:00 dnsmasq[1]: query[A] api.telegram.org from 10.0.10.7\n"
    running = Running(tmp_path)
    running.log.touch()
    with running:
        running.write(*[line] * 4000)
        until(lambda: "it looks like dnsmasq" in running.said())
        running.stop()
    assert running.said().count("it looks like dnsmasq") == 1


def test_pattern_follows_new_files(tmp_path: Path) -> None:
    """A pattern means every log that matches; their rotated siblings are their past, read once."""
    (tmp_path / "a.log").write_text(bind_line("api.telegram.org", "10.0.10.1"))
    (tmp_path / "a.log.1").write_text(bind_line("api.telegram.org", "10.0.10.2"))
    source = f"sources: [{{type: bind, path: '{tmp_path}/*.log*', timezone: UTC, from: start}}]"
    with Running(tmp_path, sources=source) as running:
        until(lambda: len(running.alerts()) == 2)
        (tmp_path / "b.log").write_text(bind_line("api.telegram.org", "10.0.10.3"))
        until(lambda: len(running.alerts()) == 3, 15)
        assert [one["client_ip"] for one in running.alerts()] == ["10.0.10.2", "10.0.10.1", "10.0.10.3"]
        running.stop()


def test_no_sources_is_a_configuration_error(tmp_path: Path) -> None:
    """Without sources there is nothing to run: exit 3 with an example."""
    running = Running(tmp_path, sources="sources: []")
    refused = running.run("run")
    assert refused.returncode == 3
    assert "no sources" in refused.stderr
