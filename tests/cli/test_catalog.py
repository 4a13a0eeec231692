"""`dnswatch catalog`, with and without a configuration."""

import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from dnswatch import cli
from dnswatch.cli import catalog

CONFIG = """\
watch:
  profile: none
  include: [slack-api, category:mail-api]
  services_dir: services.d
"""
OWN = """\
id: acme-hooks
name: Acme hooks
category: chat-webhook
names: [{name: acme.test, match: subdomains}]
multi_tenant: true
block_safety: collateral
base_severity: low
severity_reason: Ours.
"""


@pytest.fixture(autouse=True)
def no_default_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep a configuration of the machine that runs the tests out of them."""
    monkeypatch.setattr(catalog, "DEFAULT_CONFIG", str(tmp_path / "none.yaml"))
    monkeypatch.delenv("DNSWATCH_CONFIG", raising=False)


@pytest.fixture
def config(tmp_path: Path) -> str:
    (tmp_path / "services.d").mkdir()
    (tmp_path / "services.d" / "acme-hooks.yaml").write_text(OWN)
    path = tmp_path / "dnswatch.yaml"
    path.write_text(CONFIG)
    return str(path)


def run(*arguments: str, config: str | None = None) -> Result:
    return CliRunner().invoke(catalog.command, arguments, obj=config)


def parsed(*arguments: str, config: str | None = None) -> Any:
    return json.loads(run(*arguments, "--json", config=config).stdout)


# ── list ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_list_shows_what_is_watched() -> None:
    """Aligned plain text where there is no terminal; the sum goes to stderr."""
    result = run("list")
    lines = result.stdout.splitlines()
    assert result.exit_code == 0
    assert lines[0].split() == ["SERVICE", "CATEGORY", "PROFILE", "WATCHED", "SEVERITY", "BLOCK", "NAMES"]
    row = next(line for line in lines if line.startswith("slack-webhook "))
    assert row.split()[1:] == ["chat-webhook", "core", "yes", "medium", "safe", "hooks.slack.com",
                               "hooks.slack-gov.com"]  # fmt: skip
    column = lines[0].index("CATEGORY")
    assert all(line[column - 1] == " " != line[column] for line in lines)
    assert not any(line.startswith("slack-api ") for line in lines)
    assert f"{len(lines) - 1} of " in result.stderr
    assert "the core profile, no configuration" in result.stderr


def test_list_chooses() -> None:
    """By category, by profile, everything."""
    assert {s["id"] for s in parsed("list", "--category", "tunnel-agent")} >= {"ngrok-agent", "cloudflared"}
    assert {s["category"] for s in parsed("list", "--category", "category:tunnel-agent")} == {"tunnel-agent"}
    assert {s["profile"] for s in parsed("list", "--profile", "extended")} == {"extended"}
    everything = parsed("list", "--all")
    assert len(everything) > len(parsed("list")) > 50
    assert {s["watched"] for s in everything} == {True, False}
    result = run("list", "--category", "tunel-agent")
    assert result.exit_code == 2
    assert "did you mean 'tunnel-agent'?" in result.stderr


def test_list_uses_a_table_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal gets a table that fits; brackets in names are not taken for markup."""

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    screen = Terminal()
    monkeypatch.setattr(sys, "stdout", screen)
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("TERM", "dumb")
    view = catalog._view(catalog.command.make_context("catalog", ["list"]))
    service = view.catalog.services["webhook-site"]
    catalog._print_table(("SERVICE", "NAMES"), [(service.id, " ".join(catalog._patterns(service, "api")))])
    catalog._print_fields([("names", "[*.]webhook.site"), ("note", "x " * 90)])
    text = screen.getvalue()
    assert "[*.]webhook.site" in text
    assert max(map(len, text.splitlines())) <= 100


# ── show ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_show_prints_everything_that_is_known() -> None:
    """Names as people write them, severity and block safety with their meaning."""
    result = run("show", "teams-webhook")
    assert result.exit_code == 0
    assert "*.webhook.office.com" in result.stdout
    assert "medium: Suffix of connector webhooks only." in result.stdout
    assert "safe: a block breaks scripts and integrations only" in result.stdout
    assert "feeds/chat-webhook/teams-webhook.yaml" in result.stdout


def test_show_as_json_has_the_fields_of_the_file() -> None:
    """One object, in the words of feeds/."""
    shown = parsed("show", "telegram-bot")
    assert shown["names"] == [{"name": "api.telegram.org", "match": "exact", "domain": "telegram.org"}]
    assert (shown["watched"], shown["base_severity"], shown["confidence"]) == (True, "medium", "high")
    assert "maxpatrol:PT-CR-2186" in shown["references"]


@pytest.mark.parametrize(
    ("service", "hint"),
    [("slak-webhook", "did you mean 'slack-webhook'?"), ("category:bot-api", "names several services")],
)
def test_show_of_an_unknown_service_helps(service: str, hint: str) -> None:
    """Usage errors leave with 2 and say what would be right."""
    result = run("show", service)
    assert result.exit_code == 2
    assert hint in result.stderr


# ── match ─────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", ["api.telegram.org", "API.Telegram.Org.", "\\097pi.telegram.org"])
def test_match_reads_names_as_logged(name: str) -> None:
    """Case, the final dot and escapes do not matter."""
    result = run("match", name)
    assert result.exit_code == 0
    assert "telegram-bot (Telegram Bot API; bot-api)" in result.stdout
    assert "api.telegram.org, exactly" in result.stdout
    assert "yes (the core profile, no configuration)" in result.stdout


def test_match_as_json_says_how() -> None:
    """Service, indicator, tenant, safety, and whether it is watched."""
    found = parsed("match", "acme.webhook.office.com")
    assert found["watched"] is True
    assert found["never_block"] is None
    assert found["matches"] == [{
        "service": "teams-webhook", "service_name": "Microsoft Teams incoming webhook (O365 connector)",
        "category": "chat-webhook", "role": "api", "indicator": "webhook.office.com", "match": "subdomains",
        "domain": "office.com", "tenant": "acme", "watched": True, "base_severity": "medium", "block_safety": "safe",
    }]  # fmt: skip


def test_match_knows_services_that_are_not_watched() -> None:
    """The answer says why: the entry's profile."""
    result = run("match", "slack.com")
    assert result.exit_code == 0
    assert "no (the core profile, no configuration; the entry's profile is extended)" in result.stdout
    assert "collateral: a block also breaks what people use" in result.stdout
    assert "No feed ever contains slack.com" in result.stdout


def test_match_knows_the_other_lists() -> None:
    """Companions, IP-check and DoH names are answers too."""
    assert "companion: people's own clients" in run("match", "latency.discord.media").stdout
    assert "IP-check name" in run("match", "checkip.dyndns.org").stdout
    assert "DNS-over-HTTPS name" in run("match", "mozilla.cloudflare-dns.com").stdout


@pytest.mark.parametrize("name", ["api.telegram.org.evil.test", "notdiscord.com", "nothing.example"])
def test_match_of_nothing_leaves_with_1(name: str) -> None:
    """A lookalike is not a watched service."""
    result = run("match", name)
    assert result.exit_code == 1
    assert f"{name} matches no service of the catalogue." in result.stdout
    assert parsed("match", name)["matches"] == []


def test_match_names_what_is_near() -> None:
    """Typing errors and other names of the same domain."""
    assert "hooks.slack.com" in run("match", "hooks.slack.co").stdout
    assert "hooks.slack.com" in parsed("match", "hook.slack.com")["near"]


@pytest.mark.parametrize("name", ["a..b", "x" * 64 + ".test", "häuser.test", ""])
def test_match_refuses_what_is_no_name(name: str) -> None:
    """Not a name is a usage error, not a miss."""
    result = run("match", name)
    assert result.exit_code == 2
    assert "Error" in result.stderr


def test_hostile_names_are_printed_escaped() -> None:
    """A name from a log may hold terminal sequences."""
    result = run("match", "\x1b[31mred.webhook.site")
    assert result.exit_code == 0
    assert "\x1b" not in result.stdout
    assert "\\027[31mred.webhook.site" in result.stdout


# ── With a configuration ──────────────────────────────────────────────────────────────────────────────────────


def test_the_configured_choice_and_own_services_count(config: str) -> None:
    """profile, include and services_dir decide what is watched."""
    assert parsed("match", "slack.com", config=config)["watched"] is True
    assert parsed("match", "api.telegram.org", config=config)["watched"] is False
    assert parsed("match", "x.acme.test", config=config)["matches"][0]["tenant"] == "x"
    watched = {s["id"] for s in parsed("list", config=config)}
    assert watched == {"slack-api", "sendgrid", "mailgun", "resend"}
    assert f"the none profile of {config}" in run("match", "slack.com", config=config).stdout


def test_a_broken_configuration_is_told(config: str, capsys: pytest.CaptureFixture[str]) -> None:
    """It leaves with 3 and the place of the mistake."""
    Path(config).write_text(CONFIG.replace("slack-api", "slack-apy"))
    with pytest.raises(SystemExit) as left:
        cli.main(["--config", config, "catalog", "match", "slack.com"])
    assert left.value.code == 3
    assert f"{config}:3:" in capsys.readouterr().err


def test_main_leaves_with_the_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    """The whole command line, not only the group."""
    with pytest.raises(SystemExit) as left:
        cli.main(["catalog", "match", "notdiscord.com"])
    assert left.value.code == 1
    assert "matches no service" in capsys.readouterr().out


def test_catalog_starts_fast_and_stays_light() -> None:
    """Without a configuration neither pydantic nor aiohttp nor the database is imported."""
    script = (
        "import sys; from dnswatch import cli\n"
        "from dnswatch.cli import catalog; catalog.DEFAULT_CONFIG = '/nonexistent/dnswatch.yaml'\n"
        "try: cli.main(['catalog', 'match', 'hooks.slack.com'])\n"
        "except SystemExit: pass\n"
        "print([m for m in ('pydantic', 'aiohttp', 'sqlalchemy', 'rich', 'jinja2') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=240, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
