"""A folder with a log of every registered format: each is recognised, and each gives its alerts."""

import gzip
import json
import os
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from dnswatch import scan as scan_module
from dnswatch.cli import root
from dnswatch.config.catalogue import load_catalogue
from dnswatch.core.logs.parsers import PARSERS

CLIENT, NAME, WATCHED = b"192.0.2.7", b"www.example.test", b"api.telegram.org"
WRITTEN_AT = 1795380000.0
RUNNER = CliRunner(env={"DNSWATCH_CONFIG": ""})
CATALOG = load_catalogue()
CLIENTS = {kind: b"192.0.2.1%02d" % number for number, kind in enumerate(PARSERS)}


@pytest.fixture(autouse=True)
def _loaded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading the catalogue for every invocation would be most of this module's time."""
    monkeypatch.setattr(scan_module, "kept_catalogue", lambda: CATALOG)


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    """One log per format, each with a client of its own that makes one watched lookup; every third is compressed."""
    for number, kind in enumerate(PARSERS):
        line = PARSERS[kind].example.replace(CLIENT, CLIENTS[kind])
        assert CLIENTS[kind] in line
        lines = [line] * 30 + [line.replace(NAME, WATCHED)] + [line] * 3
        folder = tmp_path / f"server{number % 2}"
        folder.mkdir(exist_ok=True)
        data = b"\n".join(lines) + b"\n"
        path = folder / (f"{kind}.log" if number % 3 else f"{kind}.log.gz")
        path.write_bytes(data if number % 3 else gzip.compress(data))
        os.utime(path, (WRITTEN_AT, WRITTEN_AT))  # dates what has no year, or no stamp at all
    (tmp_path / "notes.txt").write_bytes(b"nothing of a name server, though it mentions api.telegram.org\n" * 40)
    return tmp_path


def test_a_mixed_folder_gives_the_alerts_of_each_format(mixed: Path) -> None:
    """Formats are found out file by file; a line that tells lookup and answer counts as one lookup."""
    done = RUNNER.invoke(root, ["scan", "--format", "json", str(mixed)])
    assert done.exit_code == 0
    alerts = [json.loads(line) for line in done.stdout.splitlines()]
    assert {alert["client_ip"].encode() for alert in alerts} == set(CLIENTS.values())
    assert {(alert["qname"], alert["count"], alert["service"]) for alert in alerts} == {
        ("api.telegram.org", 1, "telegram-bot")
    }
    said = done.stderr
    assert all(f"1 {kind}" in said for kind in PARSERS)
    assert "skipped" in said
    assert said.count("skipped") == 1
    assert "100.0 %" in said


@pytest.mark.parametrize("kind", PARSERS)
def test_a_format_can_be_named(mixed: Path, kind: str) -> None:
    """--type reads a file as that format."""
    (path,) = mixed.rglob(f"{kind}.log*")
    done = RUNNER.invoke(root, ["scan", "--type", kind, "--format", "json", str(path)])
    assert [json.loads(line)["client_ip"].encode() for line in done.stdout.splitlines()] == [CLIENTS[kind]]


@pytest.mark.parametrize("kind", PARSERS)
def test_explain_reads_a_line_of_each_format(kind: str) -> None:
    """A line is recognised by itself, and its client, name and service are told."""
    line = PARSERS[kind].example.replace(NAME, WATCHED).decode()
    done = RUNNER.invoke(root, ["explain", line])
    assert done.exit_code == 0, done.output
    assert re.search(rf"^  format +{kind}$", done.stdout, re.MULTILINE)
    assert "192.0.2.7" in done.stdout
    assert "telegram-bot" in done.stdout


SAME_LOOKUP = {
    "suricata": [
        '{"timestamp":"2026-11-22T19:18:19.0+0000","event_type":"dns","src_ip":"192.0.2.7","src_port":4,"dest_ip":"192.0.2.53",'
        '"dest_port":53,"proto":"UDP","dns":{"type":"query","id":7,"rrname":"api.telegram.org","rrtype":"A","tx_id":0}}',
        '{"timestamp":"2026-11-22T19:18:20.0+0000","event_type":"dns","src_ip":"192.0.2.7","src_port":4,"dest_ip":"192.0.2.53",'
        '"dest_port":53,"proto":"UDP","dns":{"type":"query","id":7,"rrname":"api.telegram.org","rrtype":"A","tx_id":1}}',
        '{"timestamp":"2026-11-22T19:18:20.1+0000","event_type":"dns","src_ip":"192.0.2.53","src_port":53,"dest_ip":"192.0.2.7",'
        '"dest_port":4,"proto":"UDP","dns":{"type":"answer","id":7,"rcode":"NOERROR","rrname":"api.telegram.org",'
        '"rrtype":"A","ttl":60,"rdata":"149.154.167.220"}}',
        '{"timestamp":"2026-11-22T19:18:20.1+0000","event_type":"tls","src_ip":"192.0.2.7","tls":{"sni":"api.telegram.org"}}',
    ],
    "zeek": [
        '{"ts":1795375091.0,"id.orig_h":"192.0.2.7","id.orig_p":4,"query":"api.telegram.org","qtype_name":"A","rejected":false}',
        '{"ts":1795375092.0,"id.orig_h":"192.0.2.7","id.orig_p":4,"query":"api.telegram.org","qtype_name":"A","rejected":false,'
        '"rcode_name":"NOERROR","answers":["149.154.167.220"]}',
        '{"ts":1795375091.5,"id.orig_h":"192.0.2.7","id.orig_p":5,"query":"api.telegram.org","qtype_name":"AAAA",'
        '"rejected":false,"rcode_name":"NOERROR"}',
    ],
}  # fmt: skip


@pytest.mark.parametrize("kind", SAME_LOOKUP)
def test_a_lookup_told_by_several_lines_counts_once(tmp_path: Path, kind: str) -> None:
    """Requests, a retry, responses, other events that mention the name: one attempt, with its answer."""
    path = tmp_path / "sensor.log"
    again = [line.replace("19:18", "19:19").replace("17953750", "17953751") for line in SAME_LOOKUP[kind]]
    path.write_text("\n".join([*SAME_LOOKUP[kind], *again]) + "\n")
    done = RUNNER.invoke(root, ["scan", "--type", kind, "--state", str(tmp_path / "state"), str(path)])
    row = done.stdout.splitlines()[1].split()
    assert row[2:5] == ["192.0.2.7", "telegram-bot", "2"], done.output
    shown = RUNNER.invoke(root, ["scan", "--type", kind, "--format", "json", str(path)])
    assert [json.loads(line)["count"] for line in shown.stdout.splitlines()] == [1]
