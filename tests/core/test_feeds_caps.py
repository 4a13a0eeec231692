"""Bounds on cutting off and on tenants: the one that is reached is told, by its key."""

from __future__ import annotations

from dataclasses import replace

from dnswatch.core.clients.identity import Identity
from dnswatch.core.clients.who import parse_who
from dnswatch.core.feeds.caps import caps
from dnswatch.core.feeds.clients import CUT_OFF
from dnswatch.core.feeds.lint import lint
from dnswatch.core.feeds.verdicts import TENANT
from dnswatch.core.model import Decision
from dnswatch.core.policy import Automatic, FeedPolicy, Isolation, Tenants
from tests.core.feed_worlds import AT, policy, service

FEEDS = FeedPolicy(
    mode="enforce",
    quarantine=(Isolation(parse_who("10.0.0.1"), "stealer"),),
    most_quarantined=3,
    automatic=Automatic(most=2),
    tenants=Tenants(most=1),
)
WORLD = replace(policy([service("slack", ("hooks.slack.test", "exact"))]), feeds=FEEDS)


def reached(mode: str = "enforce", *decided: tuple[str, str, float]) -> list[str]:
    decisions = tuple(Decision(what, action, "", "test", end) for what, action, end in decided)
    return [setting for setting, _ in caps(replace(WORLD, feeds=replace(FEEDS, mode=mode, decisions=decisions)),
                                           Identity(), AT)]  # fmt: skip


TWO = (("10.0.0.2", CUT_OFF, AT + 9), ("10.0.0.3", CUT_OFF, AT + 9))


def test_each_bound_is_told_by_its_key_when_it_is_reached() -> None:
    """One below is nothing; what has ended does not count; no bound is reached where nothing is published."""
    assert reached() == []
    assert reached("enforce", TWO[0], ("10.0.0.3", CUT_OFF, AT - 9)) == []
    assert reached("enforce", *TWO) == ["feeds.quarantine.most", "feeds.quarantine.automatic.most"]
    assert reached("enforce", ("a.tunnel.test", TENANT, AT + 9)) == ["feeds.tenants.most"]
    assert reached("shadow", *TWO) == ["feeds.quarantine.automatic.most"]
    assert reached("off", *TWO) == []


def test_lint_says_it_too() -> None:
    """With the words that the alert has."""
    world = replace(WORLD, feeds=replace(FEEDS, decisions=tuple(Decision(w, a, "", "t", e) for w, a, e in TWO)))
    said = {one.subject: one.text for one in lint(world, Identity(), AT) if one.kind == "capped"}
    assert said["feeds.quarantine.most"] == (
        "3 clients are cut off, as many as feeds.quarantine.most allows: further ones are not"
    )
    assert "dnswatch has cut 2 clients off" in said["feeds.quarantine.automatic.most"]
