"""`dnswatch export`: what is written where, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import yaml
from click.testing import CliRunner

from dnswatch.cli import root


def test_a_bundle_goes_where_it_is_asked_to(tmp_path: Path) -> None:
    """A configuration without a store: its policy, nothing seen; the file is one JSON document."""
    config = tmp_path / "dnswatch.yaml"
    config.write_text(f"state_dir: {tmp_path / 'state'}\nsensor: ns1\nsources: []\n")
    out = tmp_path / "bundle.json"
    result = CliRunner().invoke(root, ["--config", str(config), "export", "stix", "-o", str(out)])
    assert result.exit_code == 0, result.output
    assert json.loads(out.read_text())["type"] == "bundle"
    assert "0 of them seen" in result.stderr


def test_one_service_as_a_rule() -> None:
    """Without a configuration the shipped catalogue; --service picks."""
    result = CliRunner().invoke(root, ["export", "sigma", "--service", "telegram-bot"])
    assert result.exit_code == 0
    (rule,) = yaml.safe_load_all(result.stdout)
    assert rule["detection"]["selection"] == [{"query": ["api.telegram.org"]}]


def test_a_misspelt_service_is_told() -> None:
    """With the nearest one."""
    result = CliRunner().invoke(root, ["export", "misp", "--service", "telegram-bt"])
    assert result.exit_code == 2
    assert "did you mean 'telegram-bot'?" in result.stderr
