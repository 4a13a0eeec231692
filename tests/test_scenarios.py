"""Every story under tests/scenarios/ ends as it says: configuration, parsers, digest and engine together."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import yaml

from dnswatch.config.build import load_policy
from dnswatch.core.detect.engine import Engine
from dnswatch.core.logs.digest import Digest
from dnswatch.core.logs.parsers import PARSERS
from dnswatch.core.logs.prescan import build_prescan
from dnswatch.core.logs.timestamps import Stamps
from dnswatch.core.model import Alert, Effect, Position
from dnswatch.core.policy import Policy

SCENARIOS = sorted((Path(__file__).parent / "scenarios").glob("*.yaml"))
KEYS = {"title", "config", "logs", "until", "alerts"}
LOG_KEYS = {"name", "type", "timezone", "year", "forwarders", "lines"}
COMPARED = {"severity", "count", "outcome", "state", "rev"}
ALERT_KEYS = {"client", "service", "because", "because_not"} | COMPARED


@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.stem)
def test_scenario(path: Path, tmp_path: Path) -> None:
    """The alerts are those that the file lists, no more and no fewer."""
    scenario = yaml.safe_load(path.read_text())
    assert set(scenario) <= KEYS
    policy = policy_of(scenario, tmp_path)
    engine = Engine(policy)
    effects: list[Effect] = []
    digests: dict[str, tuple[Digest, int]] = {}
    for log in scenario["logs"]:
        assert set(log) <= LOG_KEYS
        data, source = log["lines"].encode(), log["name"]
        digest, offset = digests.get(source) or (digest_of(log, policy), 0)
        digested = digest.block(data, offset)
        assert digested.consumed == len(data)
        digests[source] = digest, offset + len(data)
        effects += engine.receive(source, digested, Position(source, f"{source}.log", offset + len(data)))
    if "until" in scenario:
        effects += engine.advance(scenario["until"].timestamp(), 0.0)
    compare(scenario["alerts"], latest(effects))


def policy_of(scenario: dict[str, Any], folder: Path) -> Policy:
    """Read the scenario's configuration as the daemon reads its own."""
    logs = {log["name"]: log for log in scenario["logs"]}.values()
    sources = [{"type": log["type"], "path": f"/{log['name']}.log", "forwarders": log.get("forwarders", [])}
               for log in logs]  # fmt: skip
    (folder / "dnswatch.yaml").write_text(yaml.safe_dump({**scenario.get("config", {}), "sources": sources}))
    policy = load_policy(folder / "dnswatch.yaml").policy
    named = {path.removeprefix("/").removesuffix(".log"): who for path, who in policy.detection.forwarders.items()}
    policy.detection.forwarders.clear()
    policy.detection.forwarders.update(named)
    return policy


def digest_of(log: dict[str, Any], policy: Policy) -> Digest:
    anchor = datetime(log.get("year", 2026), 12, 31, tzinfo=UTC).timestamp()
    parser = PARSERS[log["type"]](Stamps(ZoneInfo(log.get("timezone", "UTC")), anchor))
    return Digest(parser, build_prescan(policy.catalog.names(), parser.literals, "pure"))


def latest(effects: list[Effect]) -> list[Alert]:
    """The last revision of every alert, in the order of their first lookups."""
    last = {effect.id: effect for effect in effects if isinstance(effect, Alert)}
    return sorted(last.values(), key=lambda alert: alert.first_at)


def compare(expected: list[dict[str, Any]], made: list[Alert]) -> None:
    said = [(alert.client.address, alert.service) for alert in made]
    assert said == [(one["client"], one["service"]) for one in expected]
    for one, alert in zip(expected, made, strict=True):
        assert set(one) <= ALERT_KEYS, f"unknown keys {set(one) - ALERT_KEYS}"
        wanted = {key: one[key] for key in one if key in COMPARED}
        assert {key: getattr(alert, key) for key in wanted} == wanted
        terms = {reason.term for reason in alert.because}
        assert set(one.get("because", ())) <= terms
        assert not set(one.get("because_not", ())) & terms


def test_there_are_scenarios() -> None:
    """An empty folder proves nothing."""
    assert SCENARIOS
