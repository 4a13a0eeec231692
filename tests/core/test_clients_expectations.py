"""Expectations: who may use what, until when, and the sentences that say so."""

import pytest

from dnswatch.core.clients.expectations import Expectations, covers, until_text
from dnswatch.core.clients.who import parse_who
from dnswatch.core.model import Client, Expectation, Who

END = 1_814_400_000.0  # 2027-07-01T00:00:00Z: "until 2027-06-30"
NOW = 1_795_375_535.0


def expectation(*who: str, service: str = "slack-webhook", because: str = "deploy notifications", owner: str = "",
                until: float | None = None, origin: str = "") -> Expectation:  # fmt: skip
    return Expectation(tuple(parse_who(text) for text in who), frozenset({service}), because, owner, until, origin)


BUILD = expectation("group:build", owner="platform", until=END, origin="conf.d/10-ci.yaml:4")


@pytest.mark.parametrize(("who", "client"), [
    ("group:build", Client("10.0.20.9", "build")),
    ("10.0.20.9", Client("10.0.20.9")),
    ("10.0.20.0/24", Client("10.0.20.9", "other")),
    ("fd00::/8", Client("fd00::9")),
    ("name:printer-3", Client("10.0.0.1", name="printer-3")),
    ("name:printer-3", Client("10.0.0.1", name="printer-3.lan")),
    ("name:printer-3.lan", Client("10.0.0.1", name="printer-3.lan")),
    ("mac:10-20-30-40-50-59", Client("10.0.0.1", mac="10:20:30:40:50:59")),
])  # fmt: skip
def test_a_member_covers_its_client(who: str, client: Client) -> None:
    """By group, address, network, name or MAC."""
    assert covers(parse_who(who), client)


@pytest.mark.parametrize(("who", "client"), [
    ("group:build", Client("10.0.20.9")),
    ("10.0.20.9", Client("10.0.20.90")),
    ("10.0.20.0/24", Client("10.0.21.9")),
    ("0.0.0.0/0", Client("fd00::9")),
    ("10.0.0.0/8", Client("unknown")),
    ("name:printer-3", Client("10.0.0.1", name="printer-30")),
    ("name:printer-3.lan", Client("10.0.0.1", name="printer-3")),
    ("name:printer-3", Client("10.0.0.1")),
    ("mac:10:20:30:40:50:59", Client("10.0.0.1")),
])  # fmt: skip
def test_a_member_covers_nobody_else(who: str, client: Client) -> None:
    """A prefix of a name, another network or what is not known is no match."""
    assert not covers(parse_who(who), client)


def test_an_expected_client_is_told_why() -> None:
    """The sentence names the member, the service, the reason, the owner, the end and the place."""
    expected, because = Expectations([BUILD]).judge(Client("10.0.20.9", "build"), "slack-webhook", NOW)
    assert expected
    assert [(reason.term, str(reason)) for reason in because] == [
        ("expectation", "group build may use slack-webhook: deploy notifications "
                        "(owner platform, until 2027-06-30; conf.d/10-ci.yaml:4)")]  # fmt: skip


def test_an_unexpected_client_is_told_who_else_is_expected() -> None:
    """Or that nobody is."""
    book = Expectations([expectation("group:build"), expectation("10.0.10.7"), expectation("mac:10:20:30:40:50:59",
                         service="telegram-bot")])  # fmt: skip
    expected, because = book.judge(Client("10.1.2.3", "staff", name="laptop-7"), "slack-webhook", NOW)
    assert not expected
    assert [(reason.term, reason.text) for reason in because] == [
        ("unexpected", "no expectation lets 10.1.2.3 (group staff, name laptop-7) use slack-webhook; "
                       "2 expectations for it name others: 10.0.10.7, group:build")]  # fmt: skip
    _, because = book.judge(Client("10.1.2.3"), "telegram-bot", NOW)
    assert because[0].text == ("no expectation lets 10.1.2.3 (in no group) use telegram-bot; "
                               "1 expectation for it names others: mac:10:20:30:40:50:59")  # fmt: skip
    _, because = book.judge(Client("10.1.2.3"), "discord", NOW)
    assert because[0].text == "no expectation lets 10.1.2.3 (in no group) use discord; nobody is expected to"


def test_long_lists_are_cut() -> None:
    """An alert stays readable however many are named."""
    book = Expectations([expectation(*(f"10.0.10.{i}" for i in range(10, 30)))])
    assert book.judge(Client("10.1.2.3"), "slack-webhook", NOW)[1][0].text.endswith("10.0.10.14 and 15 more")


def test_an_expectation_ends_at_its_instant() -> None:
    """It holds before ``until``; from then on alerts say what has ended, while feeds may add a grace period."""
    book, client = Expectations([BUILD]), Client("10.0.20.9", "build")
    assert book.judge(client, "slack-webhook", END - 0.001)[0]
    expected, because = book.judge(client, "slack-webhook", END)
    assert not expected
    assert [(reason.term, reason.text) for reason in because] == [
        ("expired", "group build was allowed to use slack-webhook until 2027-06-30: deploy notifications "
                    "(owner platform; conf.d/10-ci.yaml:4)"),
        ("unexpected", "no expectation lets 10.0.20.9 (group build) use slack-webhook; nobody is expected to"),
    ]  # fmt: skip
    assert not book.of_group("build", "slack-webhook", END)
    assert book.of_group("build", "slack-webhook", END + 86399, grace_s=86400)
    assert not book.of_group("build", "slack-webhook", END + 86400, grace_s=86400)
    assert not book.of_group("staff", "slack-webhook", NOW)
    assert book.expired(END) == (BUILD,)
    assert book.expired(NOW) == ()


def test_one_that_still_holds_wins_over_one_that_ended() -> None:
    """A renewed expectation needs no removal of the old one."""
    book = Expectations([expectation("group:build", until=NOW - 1), expectation("10.0.20.9", because="renewed")])
    expected, because = book.judge(Client("10.0.20.9", "build"), "slack-webhook", NOW)
    assert expected
    assert [reason.text for reason in because] == ["10.0.20.9 may use slack-webhook: renewed"]


def test_who_is_expected_is_the_same_without_the_texts() -> None:
    """In a flood nobody reads why."""
    ended = Expectation((Who("name", "laptop-7"),), frozenset({"slack-webhook"}), "", "", END, "")
    book = Expectations([BUILD, ended])
    said = set()
    for client in (Client("10.0.20.9", "build"), Client("10.1.2.3", name="laptop-7"), Client("10.1.2.4", "staff")):
        for service in ("slack-webhook", "discord"):
            for at in (NOW, END - 1, END, END + 1):
                said.add(expected := book.hold(client, service, at))
                assert expected == book.judge(client, service, at)[0]
    assert said == {True, False}


def test_members_that_are_no_groups_are_listed() -> None:
    """Sorted, their services joined, ended ones only within the grace period."""
    book = Expectations([
        expectation("group:build", "10.0.0.9", "name:p"),
        expectation("10.0.0.9", service="telegram-bot"),
        expectation("10.0.0.0/24", service="telegram-bot", until=NOW),
    ])  # fmt: skip
    both = frozenset({"slack-webhook", "telegram-bot"})
    assert book.individual(NOW) == (
        (Who("address", "10.0.0.9"), both),
        (Who("name", "p"), frozenset({"slack-webhook"})),
    )
    assert (Who("network", "10.0.0.0/24"), frozenset({"telegram-bot"})) in book.individual(NOW + 5, grace_s=10)
    assert len(book.allowing("slack-webhook", NOW)) == 1
    assert book.allowing("discord", NOW) == ()


def test_ends_are_written_as_people_mean_them() -> None:
    """Midnight is the day before; anything else is a time."""
    assert until_text(END) == "2027-06-30"
    assert until_text(END + 3600) == "2027-07-01T01:00:00Z"
