"""The demonstration: its recordings, its replay, and the whole of it."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from dnswatch.cli.demo import _faults, _play
from dnswatch.config.load import load
from dnswatch.core.logs.parsers import PARSERS
from dnswatch.core.logs.timestamps import Stamps
from dnswatch.core.model import Query
from dnswatch.demo import Demo, Line, recorded
from dnswatch.errors import DnswatchError


def test_the_recordings_are_in_time_order_and_short() -> None:
    """Both servers are in it; the replay takes 10 to 20 seconds."""
    lines = recorded()
    assert [line.second for line in lines] == sorted(line.second for line in lines)
    assert {line.kind for line in lines} == {"bind", "dnsmasq"}
    assert 10 <= lines[-1].second <= 20


@pytest.mark.parametrize("kind", ["bind", "dnsmasq"])
def test_replayed_lines_are_stamped_now(kind: str) -> None:
    """The real parser reads the new stamp, in each format's own resolution."""
    at = datetime(2027, 2, 3, 4, 5, 6, 789_000, tzinfo=UTC)
    line = next(line for line in recorded() if line.kind == kind and b"query" in line.rest)
    parser = PARSERS[kind](Stamps(UTC, at.timestamp()))
    event = parser.parse(line.stamped(at), 0)
    assert isinstance(event, Query)
    assert event.at == pytest.approx(at.timestamp(), abs=1.0 if kind == "dnsmasq" else 0.001)


def test_single_digit_days_are_padded_as_dnsmasq_does() -> None:
    """``Feb  3``, not ``Feb 03``."""
    at = datetime(2027, 2, 3, tzinfo=UTC)
    assert Line(0.0, "dnsmasq", b" dnsmasq[1]: x").stamped(at) == b"Feb  3 00:00:00 dnsmasq[1]: x"


def test_a_missing_recording_is_said(tmp_path: Path) -> None:
    """An incomplete installation names the file."""
    with pytest.raises(DnswatchError, match=r"query\.log cannot be read"):
        recorded(tmp_path)


def test_the_generated_configuration_is_valid(tmp_path: Path) -> None:
    """It loads without a warning and follows the two growing logs."""
    demo = Demo(tmp_path)
    demo.prepare()
    config = load(demo.config)
    assert [source.type for source in config.sources] == ["bind", "dnsmasq"]
    assert not config.warnings


def test_a_demonstration_that_shows_nothing_has_failed(tmp_path: Path) -> None:
    """No alert, no zone, no metrics: each is named."""
    demo = Demo(tmp_path)
    demo.prepare()
    (tmp_path / "dnswatch.log").write_text("last words")
    faults = "\n".join(_faults(demo, {}, 0))
    for words in ("ended early", "last words", "no alert", "no zone", "/metrics answered nothing"):
        assert words in faults


async def test_the_whole_demonstration(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The real daemon alerts on the stealer, the server and the printer, not on the build group; zones are written."""
    demo = Demo(tmp_path, hurry=10)
    assert await _play(demo, stay=False) == 0
    out = capsys.readouterr().out
    alerts = [json.loads(line) for line in demo.alerts.read_text().splitlines()]
    met = {(alert["client_ip"], alert["service"]) for alert in alerts}
    assert {("10.1.4.23", "telegram-bot"), ("10.0.10.7", "webhook-site"), ("10.3.0.9", "slack-webhook")} <= met
    assert not any(alert["client_group"] == "build" for alert in alerts)
    assert any("10.1.4.23" in line and "api.telegram.org" in line for line in out.splitlines())
    assert "\x1b" not in out
    assert f"--config {demo.config} alerts list" in out
    assert {path.name.partition(".rpz")[0] for path in demo.zones()} >= {"build", "staff", "any"}
    assert demo.daemon is not None
    assert demo.daemon.returncode == 0
