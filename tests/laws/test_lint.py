"""The law of policy: every (client, name) gets the verdict of the policy table, in every resolver's reading.

Random worlds (nested groups, single clients, leases, expiry, quarantine, entries by hand, tenants) are compiled; the
table is written down here a second time, name by name, as an operator would read it, and compared with what each
resolver makes of the zones. `lint` must call no such world an error.
"""

from dataclasses import replace
from ipaddress import ip_address, ip_network

from hypothesis import given, settings
from hypothesis import strategies as st

from dnswatch.core.clients.expectations import covers as is_member
from dnswatch.core.clients.identity import Identity
from dnswatch.core.clients.who import parse_who
from dnswatch.core.feeds.audiences import service_of
from dnswatch.core.feeds.clients import CUT_OFF
from dnswatch.core.feeds.formats import FORMATS
from dnswatch.core.feeds.lint import lint
from dnswatch.core.feeds.publication import plan
from dnswatch.core.feeds.resolvers import CONSUMERS, Dnsmasq, Resolver
from dnswatch.core.feeds.verdicts import TENANT, covers
from dnswatch.core.model import Client, Decision
from dnswatch.core.names import within
from dnswatch.core.policy import Automatic, Entry, Isolation, Policy, Tenants
from tests.core.feed_worlds import AT, MATCHES, NAMES
from tests.laws.test_feeds import CLIENTS, GRACE_S, SERVICES, asked, leases, worlds

AUDIENCES = st.sets(st.sampled_from(["site", "staff", "desk", "any"]), max_size=2).map(frozenset)
ENDS = st.sampled_from([None, AT - 60, AT + 86400])
OVERRIDES = st.sets(st.sampled_from(["never-block", "expected"]), max_size=2).map(frozenset)
ISOLATED = st.sampled_from(["10.1.7.9", "10.1.8.0/24", "192.0.2.9", "name:printer", "127.0.0.1", "2001:db8::/64"])
NEVER = ("127.0.0.1/32", "::1/128", "192.0.2.0/24")


@st.composite
def manual_worlds(draw: st.DrawFn) -> Policy:
    """Give a world with everything that people and the engine add to a catalogue."""
    world = draw(worlds())
    entry = st.builds(Entry, NAMES, MATCHES, st.just("test"), AUDIENCES, st.just(""), ENDS)
    block = st.builds(Entry, NAMES, MATCHES, st.just("test"), AUDIENCES, st.just(""), ENDS, OVERRIDES)
    cut = st.builds(Isolation, ISOLATED.map(parse_who), st.just("test"), st.just(""), ENDS)
    tenant = st.builds(Decision, NAMES, st.just(TENANT), st.just(""), st.just("test"), ENDS)
    quarantined = st.builds(Decision, st.sampled_from(CLIENTS), st.just(CUT_OFF), st.just(""), st.just("test"), ENDS)
    services = {name: replace(one, multi_tenant=draw(st.booleans())) for name, one in world.catalog.services.items()}
    feeds = replace(
        world.feeds,
        block=tuple(draw(st.lists(block, max_size=4))),
        allow=tuple(draw(st.lists(entry, max_size=2))),
        collateral=draw(st.sets(st.sampled_from(SERVICES), max_size=2).map(frozenset)),
        quarantine=tuple(draw(st.lists(cut, max_size=2))),
        never_quarantine=NEVER,
        automatic=draw(st.sampled_from([None, Automatic()])),
        tenants=draw(st.sampled_from([None, Tenants()])),
        decisions=tuple(draw(st.lists(st.one_of(tenant, quarantined), max_size=4))),
    )
    return replace(world, feeds=feeds, catalog=replace(world.catalog, services=services))


def expected(world: Policy, client: Client, service: str) -> bool:
    """Say whether the client may use the service, grace included."""
    return any(is_member(who, client) for one in world.expectations.all for who in one.who
               if service in one.services and (one.until is None or one.until + GRACE_S > AT))  # fmt: skip


def table(world: Policy, client: Client, name: str) -> bool:
    """Say whether policy blocks the name for the client: the table of ``verdicts.py``, for one name at a time."""
    audience = client.group or "any"
    blocks = [one for one in world.feeds.block if one.holds(AT) and one.is_for(audience)]
    blocks = [one for one in blocks if covers(one.name, one.match, name)]
    allows = [one for one in world.feeds.allow if one.holds(AT) and one.is_for(audience)]
    allows = [one for one in allows if covers(one.name, one.match, name)]
    service = service_of(world.catalog, name)
    if any(covers(one.name, one.match, name) for one in world.catalog.never_block):
        blocks = [one for one in blocks if "never-block" in one.override]
        if not blocks:
            return False
    depth = max((len(one.name) for one in blocks), default=0)
    if allows and max(len(one.name) for one in allows) >= depth:
        return False
    if service and expected(world, client, service):
        return any("expected" in one.override for one in blocks)
    if blocks:
        return True
    indicator = world.catalog.match(name)[0] if service else None
    if indicator is None:
        return False
    found = world.catalog.services[service]
    if found.block_safety == "safe" or service in world.feeds.collateral:
        return True
    return world.feeds.tenants is not None and found.multi_tenant and any(
        one.action == TENANT and (one.expires_at is None or one.expires_at > AT) and within(name, one.trigger)
        and indicator.match != "exact" and len(indicator.name) < len(one.trigger)
        and service_of(world.catalog, one.trigger) == service
        for one in world.feeds.decisions
    )  # fmt: skip


def is_cut_off(world: Policy, client: Client) -> bool:
    """Say whether the client is in quarantine."""
    address = ip_address(client.address)
    if any(address in ip_network(net) for net in NEVER):
        return False
    by_hand = any(
        is_member(one.who, client) for one in world.feeds.quarantine
        if (one.until is None or one.until > AT) and str(one.who) != "2001:db8::/32"
    )  # fmt: skip
    decided = world.feeds.automatic is not None and any(
        one.action == CUT_OFF and one.trigger == client.address and (one.expires_at is None or one.expires_at > AT)
        for one in world.feeds.decisions
    )
    return by_hand or decided


@given(manual_worlds(), st.sampled_from(CLIENTS), NAMES)
@settings(deadline=None, max_examples=120)
def test_every_verdict_is_that_of_the_policy_table(world: Policy, address: str, name: str) -> None:
    """In BIND, Unbound and PowerDNS: cut off is cut off, expected passes, the table decides on the rest."""
    identity = leases()
    zones = [one.zone for one in plan(world, identity, AT, {}).snapshots if one.zone.audience != "everyone"]
    client = client_of(world, identity, address)
    single = any(is_member(who, client) and services for who, services in world.expectations.individual(AT, GRACE_S))
    names = {*asked(name)}
    for one in (*world.feeds.block, *world.feeds.allow):
        names |= {one.name, f"x.{one.name}", f"deep.down.{one.name}"}
    for consumer in CONSUMERS:
        resolver = Resolver(zones, consumer)
        for qname in sorted(names):
            blocked = resolver.blocks(address, client.group or "any", qname)
            if is_cut_off(world, client):
                assert blocked
            elif single:  # exempt, if anything that it is expected to use would be blocked: then it passes for all
                assert not blocked or table(world, client, qname), (consumer, qname)
            else:
                assert blocked == table(world, client, qname), (consumer, qname)


@given(manual_worlds(), NAMES)
@settings(deadline=None, max_examples=60)
def test_dnsmasq_blocks_only_what_the_table_blocks_for_everybody(world: Policy, name: str) -> None:
    """Every client of every audience would have been blocked; or the name is below an exact one that would have been,
    which dnsmasq cannot tell apart, and nobody may use it."""
    identity = leases()
    everyone = next(one for one in plan(world, identity, AT, {}).snapshots if one.zone.audience == "everyone")
    dnsmasq = Dnsmasq(FORMATS["dnsmasq"].render(everyone))
    services = [one for service in world.catalog.services.values() for one in service.indicators]
    exact = {one.name for one in (*services, *world.feeds.block) if one.match == "exact"}
    for qname in asked(name):
        if dnsmasq.blocks(qname):
            for address in CLIENTS:
                client = client_of(world, identity, address)
                above = [one for one in exact if qname.endswith(f".{one}") and table(world, client, one)]
                spoken_of = service_of(world.catalog, qname) or any(
                    covers(one.name, one.match, qname) for one in (*world.feeds.allow, *world.catalog.never_block)
                )
                assert table(world, client, qname) or (above and not spoken_of), (address, qname)


@given(manual_worlds())
@settings(deadline=None, max_examples=30)
def test_lint_finds_no_error_in_what_policy_compiles(world: Policy) -> None:
    """Warnings there may be: contradictions are legal, and solved as the table says."""
    assert not [one for one in lint(world, leases(), AT) if one.level == "error"]


def client_of(world: Policy, identity: Identity, address: str) -> Client:
    """Give the client as the engine would know it."""
    group = world.groups.of(address)
    name, mac = identity.of(address, AT)
    return Client(address, group.name if group else "", "", name, mac)
