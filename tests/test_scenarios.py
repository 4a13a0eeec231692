"""Every story under tests/scenarios/ ends as it says: configuration, parsers, digest and engine together."""

from __future__ import annotations

from pathlib import Path

import pytest

from dnswatch import scenarios

SCENARIOS = scenarios.files(Path(__file__).parent / "scenarios")
LINE = (
    "22-Nov-2026 19:18:19.281 client @0x7f 10.1.2.3#4711 (hooks.slack.com): query: hooks.slack.com IN A + (10.0.0.53)"
)
LOGS = f"logs: [{{name: ns1, type: bind, lines: '{LINE}'}}]\n"


@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.stem)
def test_scenario(path: Path) -> None:
    """The alerts are those that the file lists, no more and no fewer."""
    assert not scenarios.run(path).failures


def test_there_are_scenarios() -> None:
    """An empty folder proves nothing."""
    assert SCENARIOS


def failures(folder: Path, text: str) -> tuple[str, ...]:
    (folder / "story.yaml").write_text(text)
    return scenarios.run(folder / "story.yaml").failures


@pytest.mark.parametrize(("alerts", "words"), [
    ("[]", ["not listed: 10.1.2.3 slack-webhook: low, 10.1.2.3 (in no group) looked up hooks.slack.com"]),
    ("[{client: 10.1.2.3, service: slack-webhook}, {client: 10.1.2.4, service: slack-webhook}]",
     ["missing: 10.1.2.4 slack-webhook"]),
    ("[{client: 10.1.2.3, service: slack-webhook, severity: high, count: 2}]",
     ["10.1.2.3 slack-webhook: severity should be high, is low (base ", "10.1.2.3 slack-webhook: count should be 2"]),
    ("[{client: 10.1.2.3, service: slack-webhook, because: [role, unexpected], because_not: [base]}]",
     ["10.1.2.3 slack-webhook: because lacks 'role', has base, ",
      "10.1.2.3 slack-webhook: because must not have 'base': base"]),
])  # fmt: skip
def test_differences_are_told(tmp_path: Path, alerts: str, words: list[str]) -> None:
    """What is missing, what came unasked, what differs and why: each in a line of its own."""
    found = failures(tmp_path, f"{LOGS}alerts: {alerts}\n")
    assert [text.startswith(start) for text, start in zip(found, words, strict=True)] == [True] * len(words), found


def test_the_wrong_order_is_told(tmp_path: Path) -> None:
    """Alerts are listed by their first lookups."""
    lines = f"{LINE}\n\n{LINE.replace('10.1.2.3', '10.1.2.4').replace('19:18:19', '19:18:20')}"
    alerts = "[{client: 10.1.2.4, service: slack-webhook}, {client: 10.1.2.3, service: slack-webhook}]"
    (said,) = failures(tmp_path, f"{LOGS.replace(LINE, lines)}alerts: {alerts}\n")
    assert said == "another order, by first lookup: 10.1.2.3 slack-webhook, 10.1.2.4 slack-webhook"


@pytest.mark.parametrize(("text", "words"), [
    ("- 1", "a scenario is a mapping"),
    ("logs: []", "alerts: alerts must be a list ([]: none)"),
    (f"{LOGS}alerts: []\nconfik: {{}}", "3:1 confik: unknown key (did you mean 'config'?)"),
    (f"{LOGS}alerts: [{{client: 10.1.2.3, service: x, severty: low}}]", "severty: unknown key (did you mean 'severity"),
    (LOGS.replace("bind", "bin") + "alerts: []", "logs[0].type: unknown type 'bin'"),
    (LOGS.replace("bind", "dnsmasq") + "alerts: []", "logs[0].lines: none of these lines is one of dnsmasq"),
    (f"{LOGS}alerts: []\nuntil: soon", "3:8 until: "),
    (LOGS.replace("type:", "samples: some, type:") + "alerts: []", "samples is one of position, all"),
    (f"{LOGS}alerts: []\nconfig: {{expect: [{{who: [x y], services: [slak-webhook], because: x}}]}}",
     "config.expect[0]"),
    ("logs: [", "story.yaml:"),
])  # fmt: skip
def test_what_is_no_scenario(tmp_path: Path, text: str, words: str) -> None:
    """A mistake in the file is a failure that says where and what; it never passes as "no alerts"."""
    found = failures(tmp_path, text)
    assert any(words in said for said in found), found
