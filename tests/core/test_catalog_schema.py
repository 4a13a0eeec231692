"""What a catalogue entry may say: every fault is found, with its place in the data."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dnswatch.core.catalog import schema
from dnswatch.core.catalog.fields import covers
from dnswatch.core.model import Match, Service

SOURCE = schema.Source("acme-hooks", "chat-webhook", "feeds/chat-webhook/acme-hooks.yaml")


def registrable(name: str) -> str | None:
    """The last two labels; single labels are suffixes."""
    return ".".join(name.split(".")[-2:]) if "." in name else None


def entry(**changes: Any) -> dict[str, Any]:
    whole = {
        "id": "acme-hooks",
        "name": "Acme hooks",
        "names": [{"name": "hooks.acme.test", "match": "exact"}],
        "block_safety": "safe",
        "base_severity": "medium",
        "severity_reason": "Takes hooks only.",
    }
    whole.update(changes)
    return {key: value for key, value in whole.items() if value is not ...}


def faults(data: object, source: schema.Source = SOURCE) -> list[str]:
    service, found = schema.read_service(data, source, registrable)
    assert (service is None) == bool(found)
    return [f"{'.'.join(map(str, fault.path))}: {fault.message}" for fault in found]


def test_a_short_entry_is_whole() -> None:
    """Six fields are enough; the others have safe defaults."""
    service, found = schema.read_service(entry(), SOURCE, registrable)
    assert found == []
    assert service is not None
    assert (service.category, service.profile, service.companion_effect) == ("chat-webhook", "core", "none")
    assert (service.shared, service.multi_tenant, service.attack) == (False, False, ())
    assert service.indicators[0].domain == "acme.test"
    assert service.origin == SOURCE.origin


def test_every_field_is_read() -> None:
    """Roles keep their order: api names first."""
    service, found = schema.read_service(
        entry(
            category="chat-webhook", profile="extended", companions=["app.acme.test"], region="EU", note="x",
            ambiguous=[{"name": "cdn.acme.test", "match": "domain"}], companion_effect="weak", shared=True,
            names=[{"name": "Tenant.Acme.TEST.", "match": "subdomains"}], multi_tenant=True, attack=["T1567.004"],
            references=["ET:1", "https://acme.test/hooks"], confidence="low", override=True,
        ), SOURCE, registrable)  # fmt: skip
    assert found == []
    assert service is not None
    assert [(i.name, i.match, i.role) for i in service.indicators] == [
        ("tenant.acme.test", "subdomains", "api"), ("app.acme.test", "exact", "companion"),
        ("cdn.acme.test", "domain", "ambiguous"),
    ]  # fmt: skip


NAMES = {
    "no host name": ("hooks acme", "not a host name"),
    "a wildcard": ("*.acme.test", "match: subdomains"),
    "not ASCII": ("häuser.test", "A-label"),
    "an address": ("192.0.2.1", "is an address"),
    "a public suffix": ("test", "public suffix"),
    "too long": ("a." * 130 + "test", "longer than 253"),
}


@pytest.mark.parametrize(("text", "message"), NAMES.values(), ids=NAMES.keys())
def test_bad_names_are_refused(text: str, message: str) -> None:
    """Names are canonical host names below a public suffix."""
    (fault,) = faults(entry(names=[{"name": text, "match": "domain"}]))
    assert fault.startswith("names.0.name: ")
    assert message in fault


CASES: dict[str, tuple[dict[str, Any], str]] = {
    "unknown field": ({"name_s": []}, "name_s: unknown field (did you mean 'names'?)"),
    "unknown field, nothing near": ({"zzz": 1}, "zzz: unknown field (known: ambiguous,"),
    "missing field": ({"severity_reason": ...}, ": severity_reason is missing"),
    "empty field": ({"severity_reason": None}, "severity_reason: severity_reason is missing"),
    "number for text": ({"name": 5}, "name: expected text, found the number 5: quote it"),
    "control character": ({"name": "a\x1b[0m"}, "name: expected one line of printable text"),
    "text for flag": ({"shared": "yes"}, "shared: expected true or false, found text"),
    "unknown severity": ({"base_severity": "hgih"}, "unknown base severity 'hgih' (did you mean 'high'?)"),
    "critical is earned": ({"base_severity": "critical"}, "unknown base severity 'critical' (one of info, low,"),
    "unknown match": ({"names": [{"name": "a.b.test", "match": "suffix"}]}, "names.0.match: unknown match 'suffix'"),
    "unknown name field": (
        {"names": [{"name": "a.b.test", "match": "exact", "sub": 1}]},
        "names.0.sub: unknown field (known: match, name)",
    ),
    "names is a mapping": ({"names": {"a": 1}}, "names: expected a list, found a mapping"),
    "names is empty": ({"names": []}, "names: names is empty: name at least one"),
    "same name twice": ({"names": ["a.b.test", "A.b.test"]}, "a.b.test (exact) and a.b.test (exact) overlap"),
    "wider after narrower": (
        {"names": ["x.a.b.test", {"name": "b.test", "match": "subdomains"}]},
        "names.1: b.test (subdomains) and x.a.b.test (exact) overlap: keep the wider one",
    ),
    "narrower after wider": (
        {"names": [{"name": "b.test", "match": "domain"}, "b.test"]},
        "names.1: b.test (exact) and b.test (domain) overlap: keep the wider one",
    ),
    "companion is an api name": ({"companions": ["hooks.acme.test"]}, "companions: hooks.acme.test is already one of"),
    "ambiguous is an api name": ({"ambiguous": ["hooks.acme.test"]}, "ambiguous: hooks.acme.test is already one of"),
    "companion is ambiguous": (
        {"companions": ["a.b.test"], "ambiguous": ["a.b.test"]},
        "companions: a.b.test is ambiguous: it cannot be a companion too",
    ),
    "effect of nobody": ({"companion_effect": "weak"}, "companion_effect: 'weak' needs companions"),
    "tenant of nothing": ({"multi_tenant": True}, "multi_tenant: needs a name with match: subdomains"),
    "no technique": ({"attack": ["1567"]}, "attack.0: '1567' is not an ATT&CK technique"),
    "reference twice": ({"references": ["ET:1", "ET:1"]}, "references.1: 'ET:1' stands here twice"),
    "no reference": ({"references": ["somewhere"]}, "references.0: 'somewhere' is not a reference"),
    "id is not the file": ({"id": "acme-hook"}, "id: 'acme-hook' stands in a file called 'acme-hooks'"),
    "id is no id": ({"id": "Acme Hooks"}, "id: 'Acme Hooks' is not an id"),
    "other folder": ({"category": "bot-api"}, "category: 'bot-api' stands in the folder 'chat-webhook'"),
    "unknown category": ({"category": "bot-apis"}, "category: unknown category 'bot-apis' (did you mean 'bot-api'?)"),
}  # fmt: skip


@pytest.mark.parametrize(("change", "message"), CASES.values(), ids=CASES.keys())
def test_faults_say_where_and_what_would_be_right(change: dict[str, Any], message: str) -> None:
    """One wrong field gives one fault."""
    (fault,) = faults(entry(**change))
    assert fault.startswith(message) or message in fault


def test_all_faults_are_found_at_once() -> None:
    """A reader repairs a file in one go."""
    found = faults(entry(names=["-bad-", "com"], shared=1, attack="T1", zzz=1, block_safety=...))
    assert len(found) == 6


@pytest.mark.parametrize("data", [None, [], "text", 7])
def test_anything_but_a_mapping_is_one_fault(data: object) -> None:
    """A file that is no entry does not drown in missing fields."""
    assert len(faults(data)) == 1


def test_ids_that_mean_something_else_are_refused() -> None:
    """`services: [all]` must stay unambiguous."""
    (fault,) = faults(entry(id="all"), schema.Source("all", "chat-webhook", ""))
    assert "another meaning" in fault


def test_a_file_in_no_folder_says_its_category() -> None:
    """An operator's folder may be flat."""
    flat = schema.Source("acme-hooks", "", "x")
    assert faults(entry(category="bot-api"), flat) == []
    (fault,) = faults(entry(), flat)
    assert fault.startswith(": category is missing: one of automation-hook")


# ── Between services ──────────────────────────────────────────────────────────────────────────────────────────


def made(id_: str, name: str, match: Match) -> Service:
    service, found = schema.read_service(
        entry(id=id_, names=[{"name": name, "match": match}]), schema.Source(id_, "bot-api", f"{id_}.yaml"), registrable
    )
    assert service is not None, found
    return service


@pytest.mark.parametrize(
    ("one", "other", "conflict"),
    [
        (("a.test", "exact"), ("a.test", "exact"), True),
        (("a.test", "exact"), ("a.test", "domain"), True),
        (("a.test", "subdomains"), ("a.test", "domain"), True),
        (("a.test", "exact"), ("a.test", "subdomains"), False),
        (("a.test", "domain"), ("b.a.test", "exact"), False),
    ],
)
def test_two_services_may_not_claim_one_name(one: tuple[str, Match], other: tuple[str, Match], conflict: bool) -> None:
    """The more specific name wins, so only equal names that meet are a fault."""
    services = {"one": made("one", *one), "two": made("two", *other)}
    found = schema.conflicts(services)
    assert [id_ for id_, _ in found] == (["two"] if conflict else [])
    if conflict:
        assert found[0][1].message == "a.test is already a name of one (one.yaml)"


# ── Lists ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_lists_are_read() -> None:
    """Bare text in a list of names means exact."""
    core, extended, found = schema.read_recon(
        {"core": ["ip.test.example"], "extended": [{"name": "ident.example", "match": "domain"}]}, registrable
    )
    assert found == []
    assert [(i.name, i.match, i.role, i.service) for i in (*core, *extended)] == [
        ("ip.test.example", "exact", "recon", "recon"), ("ident.example", "domain", "recon", "recon")]  # fmt: skip
    names, found = schema.read_doh({"names": ["dns.example"], "reason": "x"}, registrable)
    assert (names[0].role, found) == ("doh", [])
    protected, found = schema.read_never_block({"groups": [{"reason": "DNS", "names": ["arpa"]}]}, "f")
    assert ([(p.name, p.match, p.reason, p.origin) for p in protected], found) == ([("arpa", "exact", "DNS", "f")], [])


@pytest.mark.parametrize(
    ("read", "data", "message"),
    [
        (lambda d: schema.read_recon(d, registrable)[2], {"core": ["a.b"], "extended": ["a.b"]}, "already in core"),
        (lambda d: schema.read_recon(d, registrable)[2], {"cores": []}, "did you mean 'core'?"),
        (lambda d: schema.read_doh(d, registrable)[1], {"names": ["com"]}, "public suffix"),
        (lambda d: schema.read_never_block(d, "f")[1], {"groups": [{"names": ["a.b"]}]}, "reason is missing"),
        (lambda d: schema.read_never_block(d, "f")[1], {"groups": [{"reason": "x"}]}, "names is missing"),
        (lambda d: schema.read_never_block(d, "f")[1], {}, "groups is missing"),
    ],
)
def test_lists_have_faults_too(read: Callable[[object], list[schema.Fault]], data: object, message: str) -> None:
    """The same reader, the same care."""
    assert any(message in fault.message for fault in read(data))


# ── Laws ──────────────────────────────────────────────────────────────────────────────────────────────────────

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(schema.SERVICE_FIELDS), inner),
    max_leaves=12,
)


@settings(deadline=None, max_examples=100)
@given(st.dictionaries(st.sampled_from(schema.SERVICE_FIELDS), PLAIN))
def test_reading_never_raises(change: dict[str, Any]) -> None:
    """Any data gives a service or faults."""
    faults(entry(**change))


ENTRIES = st.tuples(
    st.lists(st.sampled_from(["a", "b", "c"]), min_size=2, max_size=4).map(".".join),
    st.sampled_from(["exact", "subdomains", "domain"]),
)


@settings(deadline=None, max_examples=100)
@given(st.lists(ENTRIES, min_size=1, max_size=6))
def test_names_without_faults_never_overlap(entries: list[tuple[str, Match]]) -> None:
    """What the list reader lets pass has no entry that another one covers, and what it refuses has one."""
    found = faults(entry(names=[{"name": name, "match": match} for name, match in entries]))
    overlap = any(covers(one, other) for i, one in enumerate(entries) for j, other in enumerate(entries) if i != j)
    assert bool(found) == overlap
