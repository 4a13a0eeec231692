"""`dnswatch scan --detect-overrides`: weights tried on history, beside those in force."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from dnswatch import cli
from dnswatch.config.overrides import overridden
from dnswatch.core.policy import Detection
from dnswatch.errors import ConfigError

LINES = """\
22-Nov-2026 10:00:00.000 client @0x7f 10.0.20.5#4711 (checkip.dyndns.org): query: checkip.dyndns.org IN A + (10.0.0.53)
22-Nov-2026 10:00:09.000 client @0x7f 10.0.20.5#4711 (api.telegram.org): query: api.telegram.org IN A + (10.0.0.53)
22-Nov-2026 11:00:00.000 client @0x7f 10.0.20.6#4711 (hooks.slack.com): query: hooks.slack.com IN A + (10.0.0.53)
"""


def scan(tmp_path: Path, overrides: str, *arguments: str) -> tuple[int, str]:
    (tmp_path / "query.log").write_text(LINES)
    (tmp_path / "try.yaml").write_text(overrides)
    given = ["scan", str(tmp_path / "query.log"), "--detect-overrides", str(tmp_path / "try.yaml"), *arguments]
    done = CliRunner().invoke(cli.root, given)
    return done.exit_code, done.output


def test_only_alerts_of_another_severity_are_shown(tmp_path: Path) -> None:
    """An IP check nine seconds away is no longer close: the bot falls, the hook is not named."""
    code, said = scan(tmp_path, "detect: {points: {sequence: 0}, signals: {sequence: {close: 1s, before: 1s}}}")
    table = said[said.index("Alerts:") :]
    assert code == 0
    assert "high → low" in table
    assert "10.0.20.6" not in table
    assert "1 alert would be of another severity: 1 from high to low" in said


def test_nothing_changes_is_said(tmp_path: Path) -> None:
    """The weights in force, tried, change nothing."""
    assert "changes the severity of no alert" in scan(tmp_path, "detect: {points: {sequence: 25}}")[1]


def test_json_stays_json(tmp_path: Path) -> None:
    """The stream of alerts is those of the weights in force; no table in it."""
    _, said = scan(tmp_path, "detect: {points: {sequence: 0}, signals: {sequence: {before: 1s}}}", "--format", "json")
    assert "SEVERITY" not in said
    assert '"severity":"high"' in said


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ("detect: {pionts: {burst: 1}}", "did you mean 'points'"),
        ("detect: {points: {brust: 1}}", "did you mean 'burst'"),
        ("expect: []", "only detect: can be tried"),
        ("- a", "a mapping is wanted"),
    ],
)
def test_a_mistake_is_named_with_its_place(tmp_path: Path, overrides: str, message: str) -> None:
    """As in the configuration: file, line, column, and what was meant."""
    (tmp_path / "try.yaml").write_text(overrides)
    with pytest.raises(ConfigError) as raised:
        overridden(Detection(), tmp_path / "try.yaml")
    assert message in str(raised.value)
    assert "try.yaml:" in str(raised.value)
