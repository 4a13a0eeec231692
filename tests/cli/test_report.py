"""`dnswatch report`: one file that shows an incident, whatever clients chose as their names."""

from __future__ import annotations

import json
import re
import time
from html.parser import HTMLParser
from pathlib import Path

import pytest
from click.testing import CliRunner

from dnswatch.cli import root
from dnswatch.io.archive import discover
from dnswatch.scan import Options, Scan, bare_policy

LINE = "{stamp} queries: info: client @0x7f 10.0.10.7#40000 ({name}): query: {name} IN A +E(0)K (10.0.0.53)\n"


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with two alerts, made by a scan, and a configuration that points at it."""
    folder = tmp_path_factory.mktemp("report")
    log = folder / "query.log"
    stamp = time.strftime("%d-%b-%Y %H:%M:%S.000", time.gmtime(time.time() - 3600))
    log.write_text("".join(LINE.format(stamp=stamp, name=name) for name in ("webhook.site", "<b>.webhook.site")))
    scan = Scan(bare_policy(), discover([str(log)]).families, Options(state=folder / "state"))
    assert list(scan.revisions())
    path = folder / "dnswatch.yaml"
    path.write_text(f"state_dir: {folder / 'state'}\nsensor: ns1\nsources: [{{type: bind, path: {log}}}]\n")
    return path


def run(config: Path, *arguments: str) -> str:
    result = CliRunner().invoke(root, ["--config", str(config), "report", *arguments])
    assert result.exit_code == 0, result.output
    return result.stdout


class Reader(HTMLParser):
    """Notes the tags, and what would be fetched."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.fetched: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.fetched += [str(value) for name, value in attrs if name in ("src", "srcset") or
                         (name == "href" and not str(value).startswith("#"))]  # fmt: skip


def test_html_needs_nothing_else_and_shows_everything(config: Path) -> None:
    """One file: summary, timeline, triage; no script, nothing from elsewhere, no markup out of a log."""
    page = run(config, "--client", "10.0.10.7")
    reader = Reader()
    reader.feed(page)
    assert reader.fetched == []
    assert not reader.tags & {"script", "img", "link", "iframe", "b"}
    assert {"svg", "circle", "rect", "article"} <= reader.tags
    for text in ("webhook.site", "Tier 2: the endpoint is unknown or unverified", "Containment", "on ns1"):
        assert text in page


def test_markdown_by_the_name_of_the_file(config: Path, tmp_path: Path) -> None:
    """-o incident.md; a name with markup stays text; the layer stands beside it."""
    out, navigator = tmp_path / "incident.md", tmp_path / "layer.json"
    run(config, "-o", str(out), "--navigator", str(navigator))
    text = out.read_text()
    assert text.startswith("# Incident report\n")
    assert not re.search(r"(?<!\\)<b", text.split("Lines:")[0])
    assert "| 10.0.10.7 | webhook.site | A | webhook-site | no | 1 |" in text
    assert {one["techniqueID"] for one in json.loads(navigator.read_text())["techniques"]} >= {"T1567.004"}


def test_times_the_wrong_way_round_are_refused(config: Path) -> None:
    """With the option that is meant."""
    result = CliRunner().invoke(root, ["--config", str(config), "report", "--since", "1h", "--until", "2h"])
    assert result.exit_code == 2
    assert "must be before --until" in result.stderr
