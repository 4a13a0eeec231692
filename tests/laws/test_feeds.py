"""The law of feeds: what a client may not use is blocked for it, and nothing else, in every reading of a zone.

Random worlds (overlapping names, nested groups, single clients, leases, expiry, protected names) are compiled; then for
a client and a name the verdict of its zones is compared with the judgement that an alert would rest on.
"""

from collections.abc import Mapping
from dataclasses import replace
from ipaddress import ip_network

from hypothesis import given, settings
from hypothesis import strategies as st

from dnswatch.core.catalog import NeverBlock
from dnswatch.core.clients.identity import Identity
from dnswatch.core.feeds.audiences import audiences
from dnswatch.core.feeds.claims import Lookup, Semantics, rules_of
from dnswatch.core.feeds.formats import FORMATS
from dnswatch.core.feeds.guard import faults
from dnswatch.core.feeds.plain import Plain
from dnswatch.core.feeds.publication import plan
from dnswatch.core.feeds.triggers import client_trigger
from dnswatch.core.feeds.verdicts import TENANT, verdicts_of
from dnswatch.core.feeds.zones import EVERYONE
from dnswatch.core.model import Client, Decision, Group, Lease, Rule, Snapshot
from dnswatch.core.names import parents, within
from dnswatch.core.policy import Entry, Policy, Tenants
from tests.core.feed_worlds import AT, MATCHES, NAMES, policy, service

GROUPS = [
    Group("site", ("10.0.0.0/8",)), Group("staff", ("10.1.0.0/16",)), Group("desk", ("10.1.7.0/24", "fd00:7::/64")),
]  # fmt: skip
CLIENTS = ["10.1.7.9", "10.1.8.9", "10.2.0.9", "192.0.2.9", "fd00:7::9", "2001:db8::9"]
WHO = ["group:site", "group:staff", "group:desk", "10.1.7.9", "10.1.8.0/24", "192.0.2.9", "2001:db8::/32",
       "name:printer", "mac:10:20:30:40:50:59"]  # fmt: skip
SERVICES = ["s0", "s1", "s2", "s3"]
GRACE_S = 7 * 86400.0
READINGS: tuple[Semantics, ...] = ("closest-encloser", "longest-wildcard")


@st.composite
def worlds(draw: st.DrawFn) -> Policy:
    """Give a world in which no two services claim the same name, as the catalogue's schema demands."""
    names = draw(st.lists(NAMES, min_size=4, max_size=9, unique=True))
    safe = draw(st.lists(st.booleans(), min_size=4, max_size=4))
    services = [
        service(one, *((name, draw(MATCHES)) for name in names[i::4]), safe=safe[i]) for i, one in enumerate(SERVICES)
    ]
    ends = st.sampled_from([None, AT - 30 * 86400, AT - 86400, AT + 86400])
    expect = draw(st.lists(st.tuples(st.sampled_from(WHO), st.sampled_from(SERVICES), ends), max_size=5))
    protected = draw(st.lists(st.builds(NeverBlock, NAMES, MATCHES, st.just("ours")), max_size=2))
    entries = [(who, what) if end is None else (who, what, end) for who, what, end in expect]
    return policy(services, draw(st.sampled_from([GROUPS, GROUPS[1:], []])), entries, protected)


def leases() -> Identity:
    identity = Identity()
    identity.learn(Lease(AT - 60, "10.2.0.9", "printer", "", None))
    identity.learn(Lease(AT - 60, "2001:db8::9", "", "10:20:30:40:50:59", None))
    return identity


def asked(name: str) -> list[str]:
    """Give names around one of the catalogue: itself, below it, its parents and siblings."""
    around = [f"{label}.{parent}" for parent in parents(name) if "." in parent for label in ("a", "x", "new")]
    return [name, f"deep.down.{name}", *parents(name), *around]


@given(worlds(), st.sampled_from(CLIENTS), NAMES)
@settings(deadline=None, max_examples=150)
def test_a_name_is_blocked_for_a_client_exactly_when_it_would_be_unexpected(
    world: Policy, address: str, name: str
) -> None:
    """Expected passes, grace included; unexpected and safe to block is blocked; protected and collateral pass."""
    identity = leases()
    published = {one.zone.audience: one for one in plan(world, identity, AT, {}).snapshots}
    group = world.groups.of(address)
    host, mac = identity.of(address, AT)
    client = Client(address, group.name if group else "", "", host, mac)
    exempt = _is_exempt(published, address)
    for qname in asked(name):
        met = world.catalog.match(qname)
        protected = any(_covers(entry, qname) for entry in world.catalog.never_block)
        allowed = not met or any(
            world.expectations.judge(client, met[0].service, at)[0] for at in (AT, AT - GRACE_S + 1, AT - 86400)
        )
        unsafe = bool(met) and world.catalog.services[met[0].service].block_safety != "safe"
        for reading in READINGS:
            rule = Lookup(published[client.group or "any"].zone.rules, reading).rule(qname)
            blocked = rule is not None and rule.action != "passthru" and not exempt
            if allowed or unsafe or protected:
                assert not blocked, (qname, rule, reading)
            else:
                assert blocked or exempt, (qname, met, reading)


@given(worlds(), NAMES)
@settings(deadline=None, max_examples=150)
def test_outputs_without_audiences_block_only_what_nobody_may_use(world: Policy, name: str) -> None:
    """dnsmasq's file, read as dnsmasq reads it: longest suffix, whole labels, `*.` for what is below."""
    everyone = next(one for one in plan(world, leases(), AT, {}).snapshots if one.zone.audience == EVERYONE)
    blocks = [
        line[8:-1] for line in FORMATS["dnsmasq"].render(everyone).decode().splitlines() if line[:8] == "server=/"
    ]
    for qname in asked(name):
        met = world.catalog.match(qname)
        if not met or not any(_dnsmasq_blocks(entry, qname) for entry in blocks):
            continue
        assert not any(_covers(entry, qname) for entry in world.catalog.never_block)
        assert world.catalog.services[met[0].service].block_safety == "safe"
        assert not world.expectations.allowing(met[0].service, AT, GRACE_S)


@given(worlds(), worlds())
@settings(deadline=None, max_examples=30)
def test_whatever_follows_whatever_no_zone_has_a_fault_and_no_serial_falls(first: Policy, second: Policy) -> None:
    """Any policy may follow any other: every zone passes the guard, serials grow exactly where content changed."""
    identity = leases()
    before = {one.zone.name: one for one in plan(first, identity, AT, {}).snapshots}
    after = plan(second, identity, AT - 999, before)  # the clock was set back
    for one in after.snapshots:
        assert list(faults(one.zone, second, AT)) == [] or one.zone.name in after.retired
        old = before.get(one.zone.name)
        if old:
            assert (one.serial > old.serial) == (one.zone != old.zone)


@given(worlds(), st.lists(st.builds(Entry, NAMES, MATCHES, st.just("ours")), max_size=2), st.lists(NAMES, max_size=2))
@settings(deadline=None, max_examples=150)
def test_what_is_said_of_plain_names_at_once_is_what_weighing_says(
    world: Policy, entries: list[Entry], tenants: list[str]
) -> None:
    """The short way is the long way, for every audience: same verdict on every name, same rules."""
    block = Rule("", "nxdomain")
    decisions = tuple(Decision(name, TENANT, "", "ours", None) for name in tenants)
    world = replace(world, feeds=replace(world.feeds, block=tuple(entries[:1]), allow=tuple(entries[1:]),
                                         tenants=Tenants(), decisions=decisions))  # fmt: skip
    plain = Plain(world)
    for audience in (*audiences(world), EVERYONE):
        long, short = verdicts_of(world, audience, AT), verdicts_of(world, audience, AT, plain)
        assert short.nodes == long.nodes
        quick = [rule for service in short.blocked_services for rule in plain.rules(service, block)]
        assert tuple(sorted([*rules_of(short, block), *quick])) == rules_of(long, block)


def _is_exempt(published: Mapping[str, Snapshot], address: str) -> bool:
    prefixes = range(1, 129 if ":" in address else 33)
    wanted = {client_trigger(_network(address, prefix)) for prefix in prefixes}
    return any(rule.trigger in wanted for rule in published["exempt"].zone.rules)


def _network(address: str, prefix: int) -> str:
    return str(ip_network(f"{address}/{prefix}", strict=False))


def _covers(entry: NeverBlock, name: str) -> bool:
    if name == entry.name:
        return entry.match != "subdomains"
    return entry.match != "exact" and within(name, entry.name)


def _dnsmasq_blocks(entry: str, name: str) -> bool:
    if entry.startswith("*."):
        return name != entry[2:] and within(name, entry[2:])
    return within(name, entry)
