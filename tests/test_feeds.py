"""The shipped catalogue: every entry is whole, and it answers for what the product promises to watch."""

import re
from pathlib import Path

import pytest

from dnswatch.config.catalogue import load_catalogue
from dnswatch.config.data import data_path
from dnswatch.config.yaml import load_marked
from dnswatch.core.catalog import CATEGORIES
from dnswatch.core.model import Service

FEEDS = data_path("feeds")
CATALOG = load_catalogue()
SERVICES = list(CATALOG.services.values())
README = (FEEDS / "README.md").read_text(encoding="utf-8")


def files(service: Service) -> Path:
    return FEEDS.parent / service.origin


def test_the_catalogue_is_whole() -> None:
    """Every file became a service, each category has some, and core is the smaller part that is watched."""
    assert len(SERVICES) == len([path for path in FEEDS.glob("*/*.yaml") if path.parent.name in CATEGORIES]) >= 160
    assert {s.category for s in SERVICES} == set(CATEGORIES)
    assert CATALOG.enabled == {s.id for s in SERVICES if s.profile == "core"}
    assert len(CATALOG.recon) >= 20
    assert len(CATALOG.recon_extended) >= 40
    assert len(CATALOG.doh) >= 12
    assert len(CATALOG.never_block) >= 100


@pytest.mark.parametrize("service", SERVICES, ids=lambda s: s.id)
def test_entries_say_everything(service: Service) -> None:
    """A shipped entry has evidence, techniques, a stated confidence and an own reason, in a file that reads well."""
    path = files(service)
    assert path.relative_to(FEEDS).as_posix() == f"{service.category}/{service.id}.yaml"
    marked = load_marked(path)
    assert set(marked.data) >= {"profile", "attack", "references", "confidence", "shared", "multi_tenant",
                                "companion_effect"}  # fmt: skip
    assert "category" not in marked.data
    assert service.attack
    assert service.references
    assert re.match(r"[A-Z`].{10,}[.?]$", service.severity_reason)
    assert all(set(entry) == {"name", "match"} for entry in marked.data["names"])
    assert max(map(len, path.read_text(encoding="utf-8").splitlines())) <= 120


@pytest.mark.parametrize("service", SERVICES, ids=lambda s: s.id)
def test_safe_names_are_not_protected(service: Service) -> None:
    """A service that feeds block by default must not hit a name that no feed may contain."""
    if service.block_safety == "safe":
        for i in service.indicators:
            assert i.role != "api" or CATALOG.protects(i.name, i.match) is None, i


def test_what_people_use_above_a_blocked_name_is_protected() -> None:
    """hooks.slack.com may be blocked, slack.com never; the same for every exact name of a safe service."""
    open_parents = {
        i.domain for s in SERVICES if s.block_safety == "safe" and s.shared is False
        for i in s.indicators if i.role == "api" and i.match == "exact" and i.name != i.domain
        and CATALOG.protects(i.domain, "exact") is None
        and not any(hit.role == "api" for hit in CATALOG.find(i.domain))
    }  # fmt: skip
    assert open_parents == {"ngrok-agent.com"}  # used by agents alone


@pytest.mark.parametrize("name", ["arpa", "slack.com", "googleapis.com", "github.com", "office.com", "telegram.org",
                                  "pool.ntp.org", "ocsp.digicert.com", "r11.o.lencr.org",
                                  "ctldl.windowsupdate.com", "www.msftconnecttest.com",
                                  "a.root-servers.net"])  # fmt: skip
def test_names_that_nobody_may_lose_are_protected(name: str) -> None:
    """DNS, time, updates, certificates, connectivity checks and the catalogue's own parents."""
    assert CATALOG.protects(name, "exact") is not None


# Every service and host that the documents behind the product name, and the role in which it must be found.
PROMISED = {
    "discord.com": ("discord", "api"),
    "discordapp.com": ("discord", "api"),
    "hooks.slack.com": ("slack-webhook", "api"),
    "slack.com": ("slack-api", "api"),
    "api.slack.com": ("slack-developer-portal", "api"),
    "webhook.site": ("webhook-site", "api"),
    "6f1f9e1c.webhook.site": ("webhook-site", "api"),
    "api.telegram.org": ("telegram-bot", "api"),
    "api.github.com": ("github-api", "api"),
    "github.com": ("github-api", "companion"),
    "webhook-forwarder.github.com": ("github-webhook-forwarder", "api"),
    "acme.atlassian.net": ("jira-cloud", "api"),
    "automation.atlassian.com": ("atlassian-automation", "api"),
    "api.trello.com": ("trello-api", "api"),
    "trello.com": ("trello-api", "companion"),
    "chat.googleapis.com": ("google-chat", "api"),
    "script.google.com": ("google-apps-script", "api"),
    "sheets.googleapis.com": ("google-workspace-api", "api"),
    "docs.google.com": ("google-workspace-api", "companion"),
    "api.twitter.com": ("x-api", "api"),
    "api.x.com": ("x-api", "api"),
    "twitter.com": ("x-api", "companion"),
    "x.com": ("x-api", "companion"),
    "acme.webhook.office.com": ("teams-webhook", "api"),
    "outlook.office.com": ("office365-connector-legacy", "api"),
    "prod-01.westeurope.logic.azure.com": ("power-automate", "api"),
    "graph.microsoft.com": ("ms-graph", "api"),
    "oauth.reddit.com": ("reddit-api", "api"),
}


@pytest.mark.parametrize(("name", "expected"), PROMISED.items(), ids=PROMISED)
def test_promised_services_are_known(name: str, expected: tuple[str, str]) -> None:
    """Discord, Slack, webhook.site, Telegram, GitHub, Jira, Trello, Google, X and Office 365 have an answer."""
    assert expected in {(i.service, i.role) for i in CATALOG.find(name)}


def test_triage_names_are_watched_by_default() -> None:
    """What the SOC table and the SIEM rules name needs no configuration."""
    for name in ("webhook.site", "api.slack.com", "hooks.slack.com", "discord.com", "api.telegram.org"):
        assert CATALOG.match(name)[0].role == "api"


@pytest.mark.parametrize("name", ["api.telegram.org.evil.test", "notdiscord.com", "webhook.site.test", "xngrok.io",
                                  "hooks.slack.com.test", "fakewebhook.site", "slack.co", "example.com"])  # fmt: skip
def test_lookalikes_match_nothing(name: str) -> None:
    """A name that only contains a watched one is somebody else's."""
    assert CATALOG.find(name) == ()


def test_regions_make_and_ngrok_are_enumerated() -> None:
    """Zones of Make and ngrok are names, not patterns."""
    for name in ("hook.eu1.make.com", "hook.us2.make.com", "tunnel.eu.ngrok.com", "korgn.su.lennut.com"):
        assert CATALOG.match(name), name
    assert CATALOG.match("www.make.com") == ()
    assert CATALOG.match("ngrok.com") == ()


def test_severities_follow_their_category() -> None:
    """Bins, callbacks and agents are serious from the first lookup; extended bulk platforms never are."""
    for service in SERVICES:
        if service.profile == "core" and service.category in ("oob-interaction", "tunnel-agent"):
            assert service.base_severity in ("medium", "high"), service.id
        if service.shared:
            assert service.base_severity in ("info", "low", "medium"), service.id
    assert CATALOG.services["canarytokens"].block_safety == "collateral"  # a block would silence the tripwire


def test_references_name_known_sources() -> None:
    """Each prefix is explained in the README, and nothing there is unused."""
    used = {reference.partition(":")[0] for s in SERVICES for reference in s.references}
    explained = set(re.findall(r"^\| `([A-Za-z0-9]+):` \|", README, re.MULTILINE))
    assert used == explained


def test_the_readme_entry_is_a_valid_one(tmp_path: Path) -> None:
    """The example in the README loads as it stands."""
    (example,) = [block for block in re.findall(r"```yaml\n(.*?)```", README, re.DOTALL) if block.startswith("id:")]
    folder = tmp_path / "chat-webhook"
    folder.mkdir()
    (folder / "acme-hooks.yaml").write_text(example, encoding="utf-8")
    found = load_catalogue([tmp_path])
    assert found.match("hooks.acme.example")[0].service == "acme-hooks"
