"""Matching names against the catalogue, and choosing services."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dnswatch.core.catalog import CATEGORIES, Catalog, Index, NeverBlock
from dnswatch.core.catalog import index as index_module
from dnswatch.core.model import Indicator, IndicatorRole, Match, Name, Service
from dnswatch.core.names import from_escaped, from_raw, to_labels


def indicator(name: Name, match: Match, service: str, role: IndicatorRole = "api") -> Indicator:
    return Indicator(name, match, role, service, ".".join(name.split(".")[-2:]))


def service(id_: str, *indicators: Indicator, category: str = "bot-api", profile: str = "core") -> Service:
    return Service(
        id=id_, name=id_.title(), category=category, profile=profile, indicators=indicators,  # type: ignore[arg-type]
        companion_effect="none", shared=False, multi_tenant=False, block_safety="safe", base_severity="medium",
        severity_reason="because", attack=("T1567.004",), references=("code:x",), confidence="high",
    )  # fmt: skip


def catalog(*services: Service, **rest: object) -> Catalog:
    return Catalog({s.id: s for s in services}, frozenset(s.id for s in services), **rest)  # type: ignore[arg-type]


TELEGRAM = service("telegram-bot", indicator("api.telegram.org", "exact", "telegram-bot"))
DISCORD = service(
    "discord",
    indicator("discord.com", "domain", "discord"),
    indicator("status.discord.com", "exact", "discord", "companion"),
    indicator("discord.media", "subdomains", "discord", "companion"),
    indicator("gateway.discord.gg", "exact", "discord", "ambiguous"),
)
NGROK = service("ngrok", indicator("ngrok.io", "subdomains", "ngrok"), category="tunnel-visit")
EXTRA = service("extra", indicator("extra.example", "exact", "extra"), profile="extended")


def services_of(found: tuple[Indicator, ...]) -> list[str]:
    return [i.service for i in found]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("api.telegram.org", ["telegram-bot"]),
        ("x.api.telegram.org", []),  # exact
        ("telegram.org", []),
        ("api.telegram.org.evil.test", []),
        ("evil-api.telegram.org", []),
        ("discord.com", ["discord"]),
        ("a.b.discord.com", ["discord"]),
        ("notdiscord.com", []),
        ("discord.com.evil.test", []),
        ("discord.co", []),
        ("ngrok.io", []),  # proper subdomains only
        ("tenant.ngrok.io", ["ngrok"]),
        ("a.tenant.ngrok.io", ["ngrok"]),
        ("xngrok.io", []),
        (".", []),
        ("com", []),
        ("evil\\.discord.com", []),  # the dot is inside a label: the name is not below discord.com
    ],
)
def test_matches_begin_and_end_on_label_boundaries(name: str, expected: list[str]) -> None:
    """exact, subdomains and domain mean whole labels; substrings never match."""
    assert services_of(catalog(TELEGRAM, DISCORD, NGROK).match(name)) == expected


@pytest.mark.parametrize("raw", [b"API.Telegram.Org", b"aPi.tElEgRaM.oRg.", b"\\097pi.telegram.org"])
def test_names_as_logged_match(raw: bytes) -> None:
    """0x20 case, a final dot and BIND's escapes reach the indicator."""
    name = from_escaped(raw)
    assert name is not None
    assert services_of(catalog(TELEGRAM).match(name)) == ["telegram-bot"]


def test_dnsmasq_names_match() -> None:
    """dnsmasq logs names without escapes."""
    name = from_raw(b"API.TELEGRAM.ORG")
    assert name is not None
    assert services_of(catalog(TELEGRAM).match(name)) == ["telegram-bot"]


def test_the_most_specific_api_indicator_wins() -> None:
    """An exact name beats the suffix above it, and there is one api indicator at most."""
    wide = service("wide", indicator("slack.com", "domain", "wide"))
    narrow = service("narrow", indicator("hooks.slack.com", "exact", "narrow"))
    both = catalog(wide, narrow)
    assert services_of(both.match("hooks.slack.com")) == ["narrow"]
    assert services_of(both.match("a.hooks.slack.com")) == ["wide"]
    assert services_of(both.match("slack.com")) == ["wide"]


def test_exact_and_subdomains_of_one_name_are_two_services() -> None:
    """The apex may belong to one service and what is below it to another."""
    both = catalog(service("agent", indicator("serveo.net", "exact", "agent")),
                   service("visit", indicator("serveo.net", "subdomains", "visit")))  # fmt: skip
    assert services_of(both.match("serveo.net")) == ["agent"]
    assert services_of(both.match("x.serveo.net")) == ["visit"]


def test_the_api_indicator_stands_first_and_others_follow() -> None:
    """A name can be an api name of one service and a companion of another."""
    channel = service("channel", indicator("t.me", "exact", "channel"))
    bot = service("bot", indicator("api.t.org", "exact", "bot"), indicator("t.me", "exact", "bot", "companion"))
    found = catalog(bot, channel).match("t.me")
    assert [(i.service, i.role) for i in found] == [("channel", "api"), ("bot", "companion")]


def test_a_lookup_does_not_exonerate_itself() -> None:
    """A companion wildcard over an api or ambiguous name of the same service does not count there."""
    zoom = service("zoom", indicator("api.zoom.us", "exact", "zoom"),
                   indicator("zoom.us", "subdomains", "zoom", "companion"),
                   indicator("bots.zoom.us", "exact", "zoom", "ambiguous"))  # fmt: skip
    found = catalog(zoom)
    assert [i.role for i in found.match("api.zoom.us")] == ["api"]
    assert [i.role for i in found.match("bots.zoom.us")] == ["ambiguous"]
    assert [i.role for i in found.match("us04web.zoom.us")] == ["companion"]


def test_services_that_are_not_watched_match_in_find_only() -> None:
    """`match` serves the engine, `find` the question what a name is."""
    chosen = catalog(TELEGRAM, EXTRA).select("core")
    assert chosen.match("extra.example") == ()
    assert services_of(chosen.find("extra.example")) == ["extra"]
    assert ("extra.example", "exact") not in set(chosen.names())


def test_recon_and_doh_names_match_beside_services() -> None:
    """The two lists belong to no service and are always watched."""
    recon = indicator("checkip.dyndns.org", "exact", "recon", "recon")
    doh = indicator("dns.google", "domain", "doh", "doh")
    found = catalog(TELEGRAM, recon=(recon,), doh=(doh,))
    assert found.match("checkip.dyndns.org") == (recon,)
    assert found.match("x.dns.google") == (doh,)
    assert set(found.names()) == {("api.telegram.org", "exact"), ("checkip.dyndns.org", "exact"),
                                  ("dns.google", "domain")}  # fmt: skip


def test_the_prescan_learns_every_name_once() -> None:
    """api, companion and ambiguous names of watched services are all searched for."""
    names = list(catalog(DISCORD, NGROK).names())
    assert names == sorted(set(names))
    assert ("gateway.discord.gg", "exact") in names
    assert ("discord.media", "subdomains") in names


# ── Choosing ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_profile_include_and_exclude_choose() -> None:
    """exclude has the last word; none watches only what is included."""
    known = catalog(TELEGRAM, NGROK, EXTRA)
    assert known.select("core").enabled == {"telegram-bot", "ngrok"}
    assert known.select("extended").enabled == {"telegram-bot", "ngrok", "extra"}
    assert known.select("core", ["extra"], ["category:tunnel-visit"]).enabled == {"telegram-bot", "extra"}
    assert known.select("none", ["category:tunnel-visit"]).enabled == {"ngrok"}
    assert known.select("core", ["all"], ["extra"]).enabled == {"telegram-bot", "ngrok"}
    with pytest.raises(ValueError, match="core, extended, none"):
        known.select("everything")  # type: ignore[arg-type]


def test_choosing_again_starts_from_all_services() -> None:
    """A selection is not narrowed by the one before; the IP-check list follows the profile."""
    core = indicator("checkip.dyndns.org", "exact", "recon", "recon")
    more = indicator("ifconfig.io", "exact", "recon", "recon")
    known = catalog(TELEGRAM, EXTRA, recon=(core, more), recon_extended=(more,))
    narrow = known.select("core")
    assert narrow.recon == (core,)
    assert narrow.find("ifconfig.io") == (more,)
    assert narrow.select("extended").recon == (core, more)
    assert narrow.select("extended").enabled == {"telegram-bot", "extra"}


@pytest.mark.parametrize(
    ("reference", "hint"),
    [
        ("telegram-bott", "did you mean 'telegram-bot'?"),
        ("tunnel-visit", "did you mean 'category:tunnel-visit'?"),
        ("category:tunel-visit", "did you mean 'category:tunnel-visit'?"),
        ("zzzz", "catalog list"),
    ],
)
def test_unknown_references_say_what_was_meant(reference: str, hint: str) -> None:
    """KeyError carries a sentence for the operator."""
    with pytest.raises(KeyError) as caught:
        catalog(TELEGRAM, NGROK).resolve(reference)
    assert hint in caught.value.args[0]


def test_categories_resolve_even_when_empty() -> None:
    """A category without services is nobody, not a mistake."""
    assert catalog(TELEGRAM).resolve("category:mail-api") == frozenset()
    assert list(CATEGORIES) == sorted(CATEGORIES)


# ── Never block ───────────────────────────────────────────────────────────────────────────────────────────────

PROTECTED = (
    NeverBlock("arpa", "domain", "DNS"),
    NeverBlock("slack.com", "exact", "people"),
    NeverBlock("cdn.example.com", "exact", "people"),
    NeverBlock("below.example.org", "subdomains", "people"),
)


@pytest.mark.parametrize(
    ("name", "match", "hit"),
    [
        ("slack.com", "exact", "slack.com"),
        ("slack.com", "domain", "slack.com"),
        ("slack.com", "subdomains", None),
        ("hooks.slack.com", "exact", None),
        ("10.in-addr.arpa", "exact", "arpa"),
        ("10.in-addr.arpa", "subdomains", "arpa"),
        ("arpa", "exact", "arpa"),
        ("example.com", "subdomains", "cdn.example.com"),
        ("example.com", "domain", "cdn.example.com"),
        ("example.com", "exact", None),
        ("com", "domain", "slack.com"),
        ("below.example.org", "exact", None),
        ("x.below.example.org", "exact", "below.example.org"),
        ("below.example.org", "subdomains", "below.example.org"),
        ("example.org", "subdomains", "below.example.org"),
        ("example.net", "domain", None),
    ],
)
def test_rules_that_would_hit_protected_names_are_found(name: str, match: Match, hit: str | None) -> None:
    """A rule hits a protected name by being it, by being below it, or by a wildcard above it."""
    found = Catalog(never_block=PROTECTED).protects(name, match)
    assert (found.name if found else None) == hit


def test_near_names_help_against_typing_errors() -> None:
    """Names of the same domain come first, then similar spellings."""
    known = catalog(TELEGRAM, DISCORD)
    assert known.near("api.telegramm.org") == (("api.telegram.org", "exact"),)
    assert known.near("bot.telegram.org") == (("api.telegram.org", "exact"),)
    assert known.near("nothing.example") == ()


# ── Laws ──────────────────────────────────────────────────────────────────────────────────────────────────────

LABELS = st.sampled_from(["a", "b", "api", "com", "x\\.y", "*", "-"])
NAMES = st.lists(LABELS, min_size=1, max_size=5).map(".".join)
ROLES: tuple[IndicatorRole, ...] = ("api", "companion", "ambiguous", "recon", "doh")
INDICATORS = st.builds(
    Indicator,
    name=st.lists(st.sampled_from(["a", "b", "api", "com"]), min_size=1, max_size=3).map(".".join),
    match=st.sampled_from(["exact", "subdomains", "domain"]),
    role=st.sampled_from(ROLES),
    service=st.sampled_from(["one", "two", "three"]),
    domain=st.just("com"),
)


def slow(indicators: list[Indicator], name: Name) -> set[Indicator]:
    """The definition: compare label lists, knowing nothing of tables."""
    labels = to_labels(name)
    hits = []
    for i in indicators:
        suffix = to_labels(i.name)
        depth = len(labels) - len(suffix)
        if depth >= 0 and labels[depth:] == suffix and (
            i.match == "domain" or (i.match == "exact") == (depth == 0)
        ):  # fmt: skip
            hits.append(i)
    return set(hits)


@settings(deadline=None, max_examples=300)
@given(st.lists(INDICATORS, max_size=12), NAMES)
def test_find_equals_a_slow_reference(indicators: list[Indicator], name: Name) -> None:
    """Every hit is a true one, nothing of a (service, role) is lost, and the winner is the most specific."""
    found = Index(indicators).find(name)
    hits = slow(indicators, name)
    assert set(found) <= hits
    api = [i for i in hits if i.role == "api"]
    assert [i.role for i in found].count("api") == (1 if api else 0)
    if api:
        assert found[0].role == "api"
        assert len(to_labels(found[0].name)) == max(len(to_labels(i.name)) for i in api)
    guilty = {i.service for i in hits if i.role in ("api", "ambiguous")}
    for role in ROLES[1:]:
        expected = {i.service for i in hits if i.role == role}
        if role == "companion":
            expected -= guilty
        assert sorted(i.service for i in found if i.role == role) == sorted(expected)


def test_the_cache_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A flood of distinct names empties the cache instead of growing it, and answers stay right."""
    monkeypatch.setattr(index_module, "CACHE_SIZE", 8)
    index = Index(NGROK.indicators)
    for n in range(100):
        assert index.find(f"t{n}.ngrok.io") == NGROK.indicators
        assert len(index._cache) <= 8
