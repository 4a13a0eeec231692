"""Scenarios: a policy, log lines and the alerts that must come of them, written by those who own the policy.

The third composition root, for tests: configuration loader, parsers, digest and engine work as in the daemon, on lines
that stand in the file. Never: opens a log, a store or a socket; looks at the clock. What a scenario may hold is in
``tests/scenarios/README.md``. Read next: ``cli/scenarios.py``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from dnswatch.config.build import load_policy
from dnswatch.config.catalogue import load_catalogue
from dnswatch.config.values import close_to, instant, timezone
from dnswatch.config.yaml import Marked, Step, load_marked
from dnswatch.core.alerts.flat import reason
from dnswatch.core.clients.expectations import Expectations
from dnswatch.core.clients.groups import Groups
from dnswatch.core.detect.engine import Engine
from dnswatch.core.logs.digest import Digest
from dnswatch.core.logs.parsers import PARSERS
from dnswatch.core.logs.prescan import build_prescan
from dnswatch.core.logs.timestamps import Stamps
from dnswatch.core.model import Alert, Effect, Position
from dnswatch.core.policy import Policy
from dnswatch.errors import ConfigError

KEYS = ("title", "config", "logs", "until", "alerts")
LOG_KEYS = ("name", "type", "timezone", "year", "forwarders", "samples", "lines")
SAMPLINGS = ("position", "all")
COMPARED = ("severity", "count", "outcome", "state", "rev")
ALERT_KEYS = ("client", "service", *COMPARED, "because", "because_not")
YEAR = 2026
"""Year of stamps without one, where the scenario does not say: a test must not change with the calendar."""


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one scenario."""

    file: Path
    title: str
    failures: tuple[str, ...]  # what is not as it says; empty: all is

    @property
    def ok(self) -> bool:
        return not self.failures


class Malformed(Exception):
    """The file is no scenario; ``args`` are the reasons, each with its place."""


def files(directory: Path) -> list[Path]:
    """List the scenarios of a directory."""
    return sorted(path for path in directory.iterdir() if path.suffix in (".yaml", ".yml") and path.is_file())


def run(path: Path, base: Policy | None = None) -> Result:
    """Run one scenario; ``base`` is the policy of a scenario without ``config``. Raises `OSError` for its file only."""
    document = load_marked(path, path.name)
    title = str(document.data.get("title", "")) if isinstance(document.data, dict) else ""
    try:
        _demand(document)
        scenario: dict[str, Any] = document.data
        alerts = _play(document, _policy(scenario, path, base))
        return Result(path, title, tuple(_differences(scenario["alerts"], alerts)))
    except Malformed as error:
        return Result(path, title, error.args)


# ── Reading ───────────────────────────────────────────────────────────────────────────────────────────────────


def _demand(document: Marked) -> None:
    """Raise `Malformed` with everything that makes the document no scenario."""
    faults = [str(problem) for problem in document.problems]
    if not faults:
        faults = [str(document.problem(path, text, key=key)) for path, text, key in _faults(document.data)]
    if faults:
        raise Malformed(*faults)


Fault = tuple[tuple[Step, ...], str, bool]


def _faults(data: Any) -> Iterator[Fault]:
    if not isinstance(data, dict):
        yield (), "a scenario is a mapping with logs and alerts", False
        return
    yield from _unknown((), data, KEYS)
    for key in ("logs", "alerts"):
        if not isinstance(data.get(key), list):
            yield (key,), f"{key} must be a list{' ([]: none)' if key == 'alerts' else ''}", False
    if not isinstance(data.get("config", {}), dict):
        yield ("config",), "a configuration is a mapping (key: value)", False
    if "until" in data:
        yield from _value(("until",), data["until"], instant)
    for i, log in enumerate(_list(data.get("logs"))):
        yield from _log_faults(("logs", i), log)
    for i, alert in enumerate(_list(data.get("alerts"))):
        yield from _alert_faults(("alerts", i), alert)


def _log_faults(path: tuple[Step, ...], log: Any) -> Iterator[Fault]:
    if not isinstance(log, dict):
        yield path, "a log is a mapping with name, type and lines", False
        return
    yield from _unknown(path, log, LOG_KEYS)
    for key in ("name", "type", "lines"):
        if not isinstance(log.get(key), str):
            yield (*path, key), f"{key} must be text", False
    kind = log.get("type")
    if isinstance(kind, str) and kind not in PARSERS:
        yield (*path, "type"), f"unknown type {kind!r}{close_to(kind, PARSERS)} (one of {', '.join(PARSERS)})", False
    elif isinstance(kind, str) and isinstance(log.get("lines"), str):
        lines = [line for line in log["lines"].split("\n") if line.strip()]
        if lines and not any(PARSERS[kind].probe(line.encode()) for line in lines):
            yield (*path, "lines"), f"none of these lines is one of {kind}", False
    if "timezone" in log:
        yield from _value((*path, "timezone"), log["timezone"], timezone)
    if not isinstance(log.get("year", YEAR), int):
        yield (*path, "year"), "year must be a number", False
    if log.get("samples", "position") not in SAMPLINGS:
        yield (*path, "samples"), f"samples is one of {', '.join(SAMPLINGS)}", False


def _alert_faults(path: tuple[Step, ...], alert: Any) -> Iterator[Fault]:
    if not isinstance(alert, dict):
        yield path, "an alert is a mapping with client and service", False
        return
    yield from _unknown(path, alert, ALERT_KEYS)
    for key in ("client", "service"):
        if not isinstance(alert.get(key), str):
            yield (*path, key), f"{key} must be text", False


def _unknown(path: tuple[Step, ...], data: Mapping[str, Any], known: Sequence[str]) -> Iterator[Fault]:
    for key in data:
        if key not in known:
            yield (*path, key), f"unknown key{close_to(key, known) or ': known are ' + ', '.join(known)}", True


def _value(path: tuple[Step, ...], value: Any, read: Any) -> Iterator[Fault]:
    try:
        read(value)
    except (ValueError, TypeError) as error:
        yield path, str(error), False


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _policy(scenario: Mapping[str, Any], path: Path, base: Policy | None) -> Policy:
    """Give the scenario's own policy where it has one; its sources are its logs in any case."""
    if "config" in scenario:
        # Beside the scenario, so that paths in it mean what they say. The name is one that nobody has.
        place = path.absolute().with_name(f".{path.name}.config")
        try:
            policy = load_policy(place, now=0.0, overlay={place: json.dumps(scenario["config"] or {})}).policy
        except ConfigError as error:
            raise Malformed(*(f"config.{problem.path}: {problem.message}" for problem in error.problems)) from None
    else:
        policy = base or Policy(load_catalogue(), Groups(()), Expectations(()))
    forwarders = {log["name"]: frozenset(log["forwarders"]) for log in scenario["logs"] if log.get("forwarders")}
    return replace(policy, detection=replace(policy.detection, forwarders=forwarders))


# ── Playing ───────────────────────────────────────────────────────────────────────────────────────────────────


def _play(document: Marked, policy: Policy) -> list[Alert]:
    """Read the logs one after the other; give the last revision of every alert, by first lookup."""
    scenario, engine = document.data, Engine(policy)
    effects: list[Effect] = []
    digests: dict[str, tuple[Digest, int]] = {}
    for log in scenario["logs"]:
        source, text = log["name"], log["lines"]
        data = (text if text.endswith("\n") else text + "\n").encode()
        digest, offset = digests.get(source) or (_digest(log, policy), 0)
        digested = digest.block(data, offset)
        digests[source] = digest, offset + len(data)
        effects += engine.receive(source, digested, Position(source, f"{source}.log", offset + len(data)))
    if "until" in scenario:
        effects += engine.advance(instant(scenario["until"]), 0.0)
    last = {effect.id: effect for effect in effects if isinstance(effect, Alert)}
    return sorted(last.values(), key=lambda alert: alert.first_at)


def _digest(log: Mapping[str, Any], policy: Policy) -> Digest:
    anchor = datetime(log.get("year", YEAR), 12, 31, tzinfo=UTC).timestamp()
    parser = PARSERS[log["type"]](Stamps(ZoneInfo(log.get("timezone", "UTC")), anchor))
    prescan = build_prescan(policy.catalog.names(), parser.literals, "pure")
    return Digest(parser, prescan, log.get("samples", "position"))


# ── Comparing ─────────────────────────────────────────────────────────────────────────────────────────────────


def _differences(expected: Sequence[Mapping[str, Any]], made: Sequence[Alert]) -> Iterator[str]:
    """Say what is not as expected: which alerts are missing or too many, then what differs within each."""
    left = list(made)
    pairs: list[tuple[Mapping[str, Any], Alert]] = []
    for one in expected:
        found = next((alert for alert in left if (alert.client.address, alert.service) == _key(one)), None)
        if found is None:
            yield f"missing: {' '.join(_key(one))}"
        else:
            left.remove(found)
            pairs.append((one, found))
    for alert in left:
        yield f"not listed: {alert.client.address} {alert.service}: {alert.severity}, {reason(alert)}"
    order = [alert for _, alert in pairs]
    if order != [alert for alert in made if alert not in left]:
        came = ", ".join(f"{alert.client.address} {alert.service}" for alert in made)
        yield f"another order, by first lookup: {came}"
    for one, alert in pairs:
        yield from (f"{' '.join(_key(one))}: {text}" for text in _within(one, alert))


def _key(one: Mapping[str, Any]) -> tuple[str, str]:
    return one["client"], one["service"]


def _within(one: Mapping[str, Any], alert: Alert) -> Iterator[str]:
    why = "; ".join(str(term) for term in alert.because)
    for key in COMPARED:
        was = getattr(alert, key)
        if key in one and one[key] != was:
            yield f"{key} should be {one[key]}, is {was}" + (f" ({why})" if key == "severity" else "")
    terms = list(dict.fromkeys(term.term for term in alert.because))
    for term in _texts(one.get("because")):
        if term not in terms:
            yield f"because lacks {term!r}, has {', '.join(terms)}"
    for term in _texts(one.get("because_not")):
        if term in terms:
            text = next(str(reason) for reason in alert.because if reason.term == term)
            yield f"because must not have {term!r}: {text}"


def _texts(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else [str(text) for text in _list(value)]
