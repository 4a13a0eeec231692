"""Every row of research rpz.md §5.1 and §5.2, injected at rule level, or as bytes where no rule can say it: refused.

Where each pitfall that rpz.md §5 names has its test:

| Pitfall | Test |
| --- | --- |
| §5.1 rows: refused by us | here, `RULES` and `FILES` |
| §5.1 rows: what each does to BIND and Unbound | `live/test_poison.py::test_one_bad_record_in_a_transfer` |
| §5.2 rows when a server starts | `live/test_poison.py::test_one_bad_line_in_a_file` |
| §5.2 rows on reload, PowerDNS too | `live/test_poison_reload.py` |
| §5.2 `named-checkzone` is a smoke test | `live/test_zones.py::test_named_checkzone_takes_every_zone` |
| §5.3.1 names validated on bytes, never repaired | `test_feeds_triggers.py`, `cli/test_feed_by_hand.py` |
| §5.3.2 no wildcard from a log; none above a registrable domain | `test_decisions.py`, `test_feeds_guard.py` |
| §5.3.3 protected names | `test_feeds_guard.py`, `tests/test_feeds.py::test_names_that_nobody_may_lose_are_protected` |
| §5.3.4 client rules: canonical, no prefix 0, no site, no resolver | `test_feeds_triggers.py`, `test_feeds_guard.py` |
| §5.3.5 one action an owner, subsumption, SOA and NS, TTL | here, `test_feeds_claims.py`, `test_feeds_formats.py` |
| §5.3.6 limits on change, last good version, alarm, expiry per entry | `io/test_publishing.py`, `io/test_publish.py` |
| §5.3.7 shadow | `live/test_consumers.py::test_shadow_is_measured_then_enforced` |
| §5.3 a bait name, many tenants, a line break in a name | `test_decisions.py`, `test_feeds_caps.py`, here |
| §5.3 a name below a wildcard hides its siblings | `test_feeds_claims.py`, `laws/test_feeds.py` |
| §5.3 forged source cuts a victim off | `live/test_quarantine.py` |
| §5.4 serial stored first, only grows, same bytes | `io/test_publish.py`, `test_feeds_publication.py` |
| §5.4 lower serial after a restore, new epoch | `live/test_resilience.py`, `cli/test_feed_by_hand.py` |
| §5.4 BIND passes everything after expiry | `live/test_resilience.py` |
"""

import pytest

from dnswatch.core.feeds import zonefile
from dnswatch.core.feeds.formats import FORMATS
from dnswatch.core.feeds.guard import faults
from dnswatch.core.model import Group, Rule, Snapshot, Zone
from tests.core.feed_worlds import AT, ZONE, policy, service

WORLD = policy([service("slack", ("hooks.slack.test", "exact"))], [Group("build", ("10.0.20.0/24",))])
GOOD = Rule("hooks.slack.test", "nxdomain")
ANY = f"any.{ZONE}"
CLIENT = ".rpz-client-ip"

RULES = {
    "exact duplicate": ("any", [GOOD, GOOD]),
    "duplicate by letter case": ("any", [Rule("Hooks.slack.test", "nxdomain"), GOOD]),
    "two CNAMEs at one owner": ("any", [Rule("hooks.slack.test", "nodata"), GOOD]),
    "same client-ip with two actions": (
        "quarantine",
        [Rule(f"32.3.2.1.10{CLIENT}", a) for a in ("nodata", "nxdomain")],
    ),
    "CNAME and A at one owner": ("any", [Rule("hooks.slack.test", "address", ("192.0.2.1",)), GOOD]),
    "CNAME at the apex": ("any", [Rule("", "nxdomain")]),
    "out-of-zone owner": ("any", [Rule("hooks.slack.test.", "nxdomain")]),
    "client-ip /33": ("quarantine", [Rule(f"33.3.2.1.10{CLIENT}", "nxdomain")]),
    "client-ip not a number": ("quarantine", [Rule(f"32.x.2.1.10{CLIENT}", "nxdomain")]),
    "client-ip without an octet": ("quarantine", [Rule(f"32.2.1.10{CLIENT}", "nxdomain")]),
    "client-ip wildcard": ("quarantine", [Rule(f"*{CLIENT}", "nxdomain")]),
    "client-ip with host bits": ("quarantine", [Rule(f"24.3.2.1.10{CLIENT}", "nxdomain")]),
    "client-ip prefix 0": ("quarantine", [Rule(f"0.zz{CLIENT}", "nxdomain")]),
    "owner of more than 255 octets": ("any", [Rule(".".join(["a" * 60] * 4) + ".slack.test", "nxdomain")]),
    "binary label": ("any", [Rule("a\xff.slack.test", "nxdomain")]),
    "mid-wildcard": ("any", [Rule("a.*.slack.test", "nxdomain")]),
    "rpz-unknown target": ("any", [Rule("hooks.slack.test", "unknown")]),  # type: ignore[arg-type]
    "DNAME": ("any", [Rule("hooks.slack.test", "dname")]),  # type: ignore[arg-type]
    "syntax error": ("any", [Rule('a"(.slack.test', "nxdomain")]),
    "line break": ("any", [Rule("a.slack.test\n$INCLUDE x", "nxdomain")]),
}


@pytest.mark.parametrize("row", RULES)
def test_a_rule_that_costs_a_resolver_its_zone_is_refused(row: str) -> None:
    """By the guard, before anything is written."""
    audience, rules = RULES[row]
    assert list(faults(Zone(f"{audience}.{ZONE}", audience, tuple(rules)), WORLD, AT))


def rendered() -> str:
    return FORMATS["rpz"].render(Snapshot(Zone(ANY, "any", (GOOD,)), 7, AT)).decode()


OWNER = f"x.slack.test.{ANY}. 60 IN"
FILES = {
    "no apex NS": lambda text: text.replace(f"{ANY}. 60 IN NS localhost.\n", ""),
    "extra SOA inside": lambda text: text + f"{OWNER} SOA localhost. a.localhost. 7 60 30 60 60\n",
    "second SOA": lambda text: text + f"{ANY}. 60 IN SOA localhost. a.localhost. 7 60 30 60 60\n",
    "TTL of 2^31": lambda text: text + f"x.slack.test.{ANY}. 2147483648 IN CNAME .\n",
    "unknown type": lambda text: text + f"{OWNER} TYPE65280 \\# 0\n",
    "DNAME": lambda text: text + f"{OWNER} DNAME y.test.\n",
    "CNAME and TXT at one owner": lambda text: text + f"{OWNER} CNAME .\n{OWNER} TXT x\n",
    "CNAME and A at one owner": lambda text: text + f"{OWNER} CNAME .\n{OWNER} A 192.0.2.1\n",
    "two CNAMEs at one owner": lambda text: text + f"{OWNER} CNAME .\n{OWNER} CNAME *.\n",
    "exact duplicate": lambda text: text + f"{OWNER} CNAME .\n{OWNER} CNAME .\n",
    "duplicate by letter case": lambda text: text + f"{OWNER} CNAME .\nX{OWNER[1:]} CNAME .\n",
    "CNAME at the apex": lambda text: text + f"{ANY}. 60 IN CNAME .\n",
    "out of zone": lambda text: text + "x.slack.test.other.invalid. 60 IN CNAME .\n",
    "passthru without its dot": lambda text: text + f"{OWNER} CNAME rpz-passthru\n",
    "rpz-unknown target": lambda text: text + f"{OWNER} CNAME rpz-unknown.\n",
    "syntax error": lambda text: text + "x.slack.test IN IN (\n",
    "$INCLUDE": lambda text: text + "$INCLUDE /etc/passwd\n",
    "cut within a line": lambda text: text[:-9],
    "empty file": lambda _: "",
    "other serial": lambda text: text.replace(" 7 60 30", " 8 60 30"),
    "raw UTF-8": lambda text: text + f"\xfc.slack.test.{ANY}. 60 IN CNAME .\n",
}


@pytest.mark.parametrize("row", FILES)
def test_a_file_that_costs_a_resolver_its_zone_is_refused(row: str) -> None:
    """Read back before it is written: PowerDNS drops the policy for one bad line, Unbound all lines after it."""
    text = rendered()
    assert not list(zonefile.faults(text.encode(), ANY, 7))
    assert list(zonefile.faults(FILES[row](text).encode("utf-8"), ANY, 7)), row


def test_what_is_written_of_every_action_passes() -> None:
    """Client addresses, canaries, addresses, wildcards."""
    rules = (Rule("*.slack.test", "passthru"), Rule("a.slack.test", "address", ("192.0.2.1", "2001:db8::1")), GOOD)
    text = FORMATS["rpz"].render(Snapshot(Zone(ANY, "any", rules), 7, AT))
    assert not list(zonefile.faults(text, ANY, 7))
    cut = (Rule(f"128.1.zz.db8.2001{CLIENT}", "nodata"), Rule(f"32.3.2.1.10{CLIENT}", "nxdomain"))
    text = FORMATS["rpz"].render(Snapshot(Zone(f"quarantine.{ZONE}", "quarantine", cut), 7, AT))
    assert not list(zonefile.faults(text, f"quarantine.{ZONE}", 7))
