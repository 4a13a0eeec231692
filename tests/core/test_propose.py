"""What history suggests, and what it never suggests."""

import dataclasses
import json

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from dnswatch.core.catalog import Catalog
from dnswatch.core.clients.expectations import Expectations
from dnswatch.core.clients.groups import Groups
from dnswatch.core.detect.changes import SightingRow
from dnswatch.core.model import Alert, Client, Expectation, Group, Indicator, Service, Severity, Who
from dnswatch.core.propose import NEVER, LeftOut, Proposal, propose, to_plain, to_yaml

START = 1_795_305_600.0  # 2026-11-22 00:00 UTC
DAY = 86400.0


def service(id_: str, name: str, category: str) -> Service:
    indicator = Indicator(name, "exact", "api", id_, name)
    return Service(id_, id_, category, "core", (indicator,), "none", False, False, "safe", "medium", "because", (),
                   ("https://example.test/",), "high")  # fmt: skip


SERVICES = {
    "slack-webhook": service("slack-webhook", "hooks.slack.com", "chat-webhook"),
    "telegram-bot": service("telegram-bot", "api.telegram.org", "bot-api"),
    **{f"x-{category}": service(f"x-{category}", f"{category}.example", category) for category in NEVER},
}
CATALOG = Catalog(services=SERVICES, enabled=frozenset(SERVICES))
GROUPS = Groups([Group("build", ("10.0.20.0/24",), "ci"), Group("staff", ("10.1.0.0/16",), "workstation")])


def row(
    client: str, service_id: str = "slack-webhook", day: int = 0, count: int = 1, expected: bool = False
) -> SightingRow:
    at = START + day * DAY + 60
    name = SERVICES[service_id].indicators[0].name
    return SightingRow(int(at) // 3600 * 3600, client, name, "A", service_id, expected, at, at + 30, count)


def alert(client: Client, service_id: str, severity: Severity) -> Alert:
    entry = SERVICES[service_id]
    name = entry.indicators[0].name
    return Alert("A" * 26, 1, START, "open", severity, 50, client, service_id, entry.category, "DNSW-x", (), name, "A",
                 name, (name,), START, START, 1, "observed", (), (), (), "opened")  # fmt: skip


def ask(rows: list[SightingRow], *alerts: Alert, active: dict[str, set[str]] | None = None,
        expected: tuple[Expectation, ...] = ()) -> Proposal:  # fmt: skip
    return propose(rows, catalog=CATALOG, groups=GROUPS, expectations=Expectations(expected), alerts=alerts,
                   active=active)  # fmt: skip


def who(proposal: Proposal) -> list[str]:
    return [str(member) for line in proposal.lines for member in line.who]


def test_a_client_becomes_a_line_with_its_numbers() -> None:
    """Lookups, days, first and last seen stand above the line."""
    proposal = ask([row("10.9.9.9", day=day, count=2) for day in range(3)])
    assert to_yaml(proposal) == (
        "expect:\n"
        "  # hooks.slack.com: 6 lookups on 3 days, 2026-11-22 00:01 to 2026-11-24 00:01 UTC\n"
        "  # confidence: medium\n"
        '  - {who: ["10.9.9.9"], services: [slack-webhook], because: "seen on 3 days from 2026-11-22 to 2026-11-24"}\n'
    )


@pytest.mark.parametrize(("active", "expected"), [(3, ["group:build"]), (4, ["10.0.20.1", "10.0.20.2"])])
def test_two_thirds_of_the_active_clients_make_a_group(active: int, expected: list[str]) -> None:
    """2 of 3 propose the group, 2 of 4 the two clients."""
    there = {"build": {f"10.0.20.{i + 1}" for i in range(active)}}
    assert who(ask([row("10.0.20.1"), row("10.0.20.2")], active=there)) == expected


def test_one_client_is_no_group() -> None:
    """A single member is proposed by its address, even when it is the only active one."""
    assert who(ask([row("10.0.20.1")])) == ["10.0.20.1"]


@pytest.mark.parametrize("category", NEVER)
def test_exfiltration_services_are_never_proposed(category: str) -> None:
    """Request bins, callback servers and tunnels are left out whatever history says, and the reason is told."""
    proposal = ask([row("10.0.20.1", f"x-{category}", day=day, count=100) for day in range(30)])
    assert not proposal.lines
    assert f"{category} is never proposed" in proposal.left_out[0].why


@pytest.mark.parametrize(("severity", "proposed"), [("low", True), ("medium", False), ("critical", False)])
def test_a_client_with_a_serious_alert_elsewhere_is_left_out(severity: Severity, proposed: bool) -> None:
    """From medium on, an alert of another category takes its client out."""
    proposal = ask([row("10.1.0.5")], alert(Client("10.1.0.5"), "telegram-bot", severity))
    assert bool(proposal.lines) is proposed


def test_an_alert_of_the_same_category_is_shown_not_decisive() -> None:
    """What is proposed has an alert by nature; the line says where to look."""
    proposal = ask([row("10.1.0.5", "telegram-bot")], alert(Client("10.1.0.5"), "telegram-bot", "medium"))
    assert any("dnswatch explain AAAA" in text for text in proposal.lines[0].evidence)


@pytest.mark.parametrize(("days", "severity", "proposed"), [
    (1, "high", False), (2, "critical", False), (3, "critical", True), (1, "medium", True),
])  # fmt: skip
def test_what_was_judged_grave_must_be_a_habit(days: int, severity: Severity, proposed: bool) -> None:
    """A stealer's evening is not offered as an expectation of its host; a daily job with a high alert is."""
    rows = [row("10.1.0.5", "telegram-bot", day=day) for day in range(days)]
    proposal = ask(rows, alert(Client("10.1.0.5"), "telegram-bot", severity))
    assert bool(proposal.lines) is proposed
    if not proposed:
        assert "seen on fewer than 3 days" in proposal.left_out[0].why
        assert severity in proposal.left_out[0].evidence


@pytest.mark.parametrize(("clients", "days", "severity", "confidence"), [
    (3, 5, "low", "high"), (3, 4, "low", "medium"), (3, 5, "medium", "medium"), (1, 9, "low", "medium"),
    (1, 2, "low", "low"), (3, 9, "high", "low"),
])  # fmt: skip
def test_confidence_is_a_group_s_habit_without_alerts(
    clients: int, days: int, severity: Severity, confidence: str
) -> None:
    """A working week of a group that nothing speaks against; a few days or a grave alert are little."""
    rows = [row(f"10.0.20.{i}", "telegram-bot", day=day) for i in range(clients) for day in range(days)]
    (line,) = ask(rows, alert(Client("10.0.20.0"), "telegram-bot", severity)).lines
    assert line.confidence == confidence
    assert f"# confidence: {confidence}" in to_yaml(Proposal((line,)))


def test_a_habit_with_a_grave_alert_is_left_to_the_operator() -> None:
    """Whoever was infected before the log began has habits, too: the line is a comment, and says so."""
    rows = [row("10.1.0.5", "telegram-bot", day=day) for day in range(9)] + [row("10.0.20.1", day=d) for d in range(4)]
    proposal = ask(rows, alert(Client("10.1.0.5"), "telegram-bot", "high"))
    assert [line.service for line in proposal.clear] == ["slack-webhook"]
    told = to_yaml(proposal).splitlines()
    place = next(n for n, one in enumerate(told) if "in doubt" in one)
    assert "  # already there when the log begins, as an infection from before it would be" in told[place:]
    assert told[-1].startswith('  # - {who: ["10.1.0.5"], services: [telegram-bot]')
    assert [one["services"] for one in yaml.safe_load(to_yaml(proposal))["expect"]] == [["slack-webhook"]]
    alone = Proposal(tuple(line for line in proposal.lines if line.doubtful))
    assert yaml.safe_load(to_yaml(alone)) is None


def test_a_suspect_member_keeps_its_group_out() -> None:
    """An expectation for the group would cover the suspect too."""
    rows = [row(f"10.0.20.{i}") for i in range(1, 6)]
    proposal = ask(rows, alert(Client("10.0.20.5"), "telegram-bot", "high"))
    assert who(proposal) == [f"10.0.20.{i}" for i in range(1, 5)]
    assert [item.client for item in proposal.left_out] == ["10.0.20.5"]


def test_what_is_expected_already_is_not_proposed_again() -> None:
    """Neither rows judged expected then, nor ones that an expectation covers now."""
    now = (Expectation((Who("group", "build"),), frozenset({"slack-webhook"}), "deploys"),)
    assert ask([row("10.1.0.5", expected=True), row("10.0.20.1")], expected=now) == Proposal()


def test_a_leased_client_is_known_by_its_mac() -> None:
    """An address from DHCP moves; the line says under which address it was seen."""
    client = Client("10.1.0.5", mac="10:20:30:40:50:59")
    proposal = ask([row("10.1.0.5")], alert(client, "slack-webhook", "low"))
    assert who(proposal) == ["mac:10:20:30:40:50:59"]
    assert "seen as 10.1.0.5" in proposal.lines[0].evidence


def test_thin_evidence_says_so() -> None:
    """A single lookup is proposed with a warning."""
    assert "seen once only: ask before you accept it" in ask([row("10.1.0.5")]).lines[0].evidence


def test_nothing_to_propose() -> None:
    """An empty history is a comment, so that the output stays loadable."""
    assert to_yaml(Proposal()) == "# nothing to propose\n"


def test_json_carries_the_same_evidence() -> None:
    """The plain form is JSON and holds what the YAML holds."""
    plain = json.loads(json.dumps(to_plain(ask([row("10.9.9.9"), row("10.9.9.9", "x-request-bin")]))))
    assert plain["expect"][0]["first_seen"] == "2026-11-22T00:01:00.000Z"
    assert plain["left_out"][0]["service"] == "x-request-bin"


def test_what_is_left_out_is_told_by_reason_and_service() -> None:
    """Forty clients of one request bin are one line; every use stays in the plain form."""
    rows = [row(f"10.9.0.{i}", "x-request-bin", count=50 - i) for i in range(1, 41)]
    rows += [row("10.1.0.5", "telegram-bot"), row("10.9.9.9", "x-tunnel-agent")]
    proposal = ask(rows, alert(Client("10.1.0.5"), "x-request-bin", "high"))
    assert to_yaml(proposal).splitlines() == [
        "# nothing to propose",
        "# left out:",
        "#   request-bin is never proposed; write it by hand if it is meant",
        "#     x-request-bin, 1180 lookups by 10.9.0.1, 10.9.0.2, 10.9.0.3 and 37 more",
        "#   its client has a serious alert of another category",
        "#     telegram-bot, 1 lookup by 10.1.0.5 (high alert for x-request-bin, AAAAAAAAAAAAAAAAAAAAAAAAAA)",
        "#   tunnel-agent is never proposed; write it by hand if it is meant",
        "#     x-tunnel-agent, 1 lookup by 10.9.9.9",
    ]
    assert len(to_plain(proposal)["left_out"]) == 42  # type: ignore[arg-type]


def test_many_services_left_out_are_capped() -> None:
    """The comment names a dozen services, and says how many more there are."""
    items = tuple(LeftOut("10.0.0.1", f"bin-{i:02}", 1, "why") for i in range(30))
    lines = to_yaml(Proposal(left_out=items)).splitlines()
    assert len(lines) == 2 + 1 + 12 + 1
    assert lines[-1] == "#   and 18 more services: --json lists everything"


ADDRESSES = st.sampled_from(["10.0.20.1", "10.0.20.2", "10.0.20.3", "10.1.0.1", "10.9.9.9"])
ROWS = st.lists(
    st.builds(row, ADDRESSES, st.sampled_from(sorted(SERVICES)), st.integers(0, 3), st.integers(1, 5)), max_size=12
)


@settings(deadline=None, max_examples=60)
@given(ROWS, st.randoms(use_true_random=False))
def test_every_use_is_proposed_once_or_left_out_with_a_reason(rows: list[SightingRow], random) -> None:
    """No pair is lost, none is proposed twice, and the order of the rows does not matter."""
    proposal = ask(rows)
    proposed = [(line.service, client) for line in proposal.lines for client in line.clients]
    left_out = [(item.service, item.client) for item in proposal.left_out]
    assert sorted(proposed + left_out) == sorted({(r.service, r.client) for r in rows})
    shuffled = list(rows)
    random.shuffle(shuffled)
    assert dataclasses.astuple(ask(shuffled)) == dataclasses.astuple(proposal)
