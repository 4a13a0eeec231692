"""Claims become rules: pruned below wildcards, complete between them (rpz.md §2.1, §5)."""

from dnswatch.core.feeds.claims import Claim, Lookup, rules_of, weigh
from dnswatch.core.model import Match, Rule

BLOCK = Rule("", "nxdomain")


def rules(*claims: tuple[str, Match, bool]) -> dict[str, str]:
    """Give trigger → action for (name, match, blocked) claims."""
    return {rule.trigger: rule.action for rule in rules_of(weigh(Claim(*claim) for claim in claims), BLOCK)}


def test_owners_follow_the_catalogue() -> None:
    """exact → d, subdomains → *.d, domain → both."""
    assert rules(("a.test", "exact", True)) == {"a.test": "nxdomain"}
    assert rules(("a.test", "subdomains", True)) == {"*.a.test": "nxdomain"}
    assert rules(("a.test", "domain", True)) == {"a.test": "nxdomain", "*.a.test": "nxdomain"}


def test_what_passes_needs_no_rule() -> None:
    """Only an exception below a wildcard is written."""
    assert rules(("a.test", "domain", False), ("b.test", "exact", False)) == {}


def test_rules_below_a_wildcard_are_pruned() -> None:
    """A rule that repeats the wildcard above it would hide the wildcard from its neighbours."""
    found = rules(("p.test", "subdomains", True), ("x.p.test", "exact", True), ("y.ent.p.test", "domain", True))
    assert found == {"*.p.test": "nxdomain"}


def test_an_exact_rule_at_a_wildcard_parent_stays() -> None:
    """`serveo.net` and `*.serveo.net` may belong to two services; one can pass while the other is blocked."""
    assert rules(("p.test", "exact", True), ("p.test", "subdomains", True)) == {
        "p.test": "nxdomain", "*.p.test": "nxdomain",
    }  # fmt: skip
    assert rules(("p.test", "exact", False), ("p.test", "subdomains", True)) == {"*.p.test": "nxdomain"}


def test_an_exception_below_a_wildcard_speaks_for_itself_and_what_is_below_it() -> None:
    """`ok.p` alone would hide the wildcard from www.ok.p in BIND, and not in PowerDNS: both are written."""
    found = rules(("p.test", "subdomains", True), ("ok.p.test", "exact", False))
    assert found == {"*.p.test": "nxdomain", "ok.p.test": "passthru", "*.ok.p.test": "nxdomain"}
    found = rules(("p.test", "subdomains", True), ("ok.p.test", "domain", False))
    assert found == {"*.p.test": "nxdomain", "ok.p.test": "passthru", "*.ok.p.test": "passthru"}


def test_empty_nodes_between_repeat_the_wildcard() -> None:
    """`*.p` with `x.ent.p` lets ent.p and y.ent.p through in BIND unless they are written (rpz.md §2.1)."""
    found = rules(("p.test", "subdomains", True), ("x.ent.p.test", "domain", False))
    assert found == {
        "*.p.test": "nxdomain", "ent.p.test": "nxdomain", "*.ent.p.test": "nxdomain",
        "x.ent.p.test": "passthru", "*.x.ent.p.test": "passthru",
    }  # fmt: skip


def test_between_equal_claims_passing_wins() -> None:
    """A name that two services share passes when one of them may be used."""
    assert rules(("a.test", "exact", True), ("a.test", "exact", False)) == {}
    assert rules(("a.test", "domain", False), ("a.test", "exact", True)) == {}


def test_lookups_read_a_zone_as_each_kind_of_resolver_does() -> None:
    """The empty-node row of rpz.md §2.1: BIND lets ent.p pass, PowerDNS blocks it."""
    trap = (Rule("*.p.test", "nxdomain"), Rule("x.ent.p.test", "passthru"))
    bind, powerdns = Lookup(trap), Lookup(trap, "longest-wildcard")
    assert (bind.rule("ent.p.test"), bind.rule("y.ent.p.test")) == (None, None)
    assert powerdns.rule("ent.p.test") == powerdns.rule("y.ent.p.test") == trap[0]
    assert bind.rule("a.b.p.test") == trap[0]
    assert bind.rule("p.test") is None
    assert powerdns.rule("test") is None
