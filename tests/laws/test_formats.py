"""The law of lists: each format, read as its consumers read it, blocks nothing that must pass, and what it can say.

Random worlds as in ``test_feeds.py``. Readers differ (Technitium takes a hosts line for everything below, too), so each
format is read in every way that one of its consumers has.
"""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dnswatch.core.feeds.claims import Lookup
from dnswatch.core.feeds.formats import FORMATS, OVERVIEWS
from dnswatch.core.feeds.publication import plan
from dnswatch.core.feeds.resolvers import Resolver
from dnswatch.core.feeds.zones import EVERYONE
from dnswatch.core.model import Rule
from dnswatch.core.names import parents, within
from dnswatch.core.policy import Policy
from tests.core.feed_worlds import AT, NAMES
from tests.laws.test_feeds import CLIENTS, GRACE_S, _covers, asked, leases, worlds

Reader = Callable[[str, str], bool]  # (file, name) → blocked


def exactly(file: str, name: str) -> bool:
    return name in {line.split()[-1].strip("|^") for line in file.splitlines() if line[0] not in "#!"}


def with_below(file: str, name: str) -> bool:
    return any(exactly(file, parent) for parent in parents(name))


def by_local_zone(file: str, name: str) -> bool:
    """Read it as Unbound does: the most specific zone decides; a transparent one has data of its own name only."""
    kinds = {
        line.split('"')[1].rstrip("."): line.split()[-1] for line in file.splitlines() if line[:10] == "local-zone"
    }
    data = {line.split('"')[1].split()[0].rstrip(".") for line in file.splitlines() if line.startswith("local-data")}
    kind = next((kinds[parent] for parent in parents(name) if parent in kinds), "")
    if kind == "transparent":
        return name in data
    return kind.startswith("always_nx")


READERS: dict[str, list[Reader]] = {
    "adblock": [with_below],
    "domains": [exactly, with_below],
    "hosts": [exactly, with_below],
    "unbound": [by_local_zone],
}


@pytest.mark.parametrize("form", sorted(READERS))
@given(world=worlds(), name=NAMES)
@settings(deadline=None, max_examples=60)
def test_a_list_blocks_only_what_nobody_may_use(form: str, world: Policy, name: str) -> None:
    """No name that anybody is expected to use, that is protected, or that must not be blocked."""
    everyone = next(one for one in plan(world, leases(), AT, {}).snapshots if one.zone.audience == EVERYONE)
    file = FORMATS[form].render(everyone).decode()
    lookup = Lookup(everyone.zone.rules)
    left_out = FORMATS[form].left_out(everyone)
    for qname in asked(name):
        met = world.catalog.match(qname)
        allowed = bool(met) and (
            bool(world.expectations.allowing(met[0].service, AT, GRACE_S))
            or world.catalog.services[met[0].service].block_safety != "safe"
        )
        protected = any(_covers(entry, qname) for entry in world.catalog.never_block)
        rule = lookup.rule(qname)
        for reader in READERS[form]:
            assert not ((allowed or protected) and reader(file, qname)), (qname, file)
        if rule and rule.action != "passthru" and rule.trigger == qname and qname not in left_out:
            assert all(reader(file, qname) for reader in READERS[form]), (qname, file)
        if form == "unbound":
            told = rule is not None and rule.action != "passthru" and rule.trigger not in left_out
            assert by_local_zone(file, qname) == told, (qname, rule, file)


def by_adguard(file: str, address: str, name: str) -> bool:
    """Read it as AdGuard Home documents it: an important block, then an exception, then a block."""
    found = {"important": False, "@@": False, "": False}
    for line in file.splitlines():
        if line.startswith("!"):
            continue
        exception, line = line.startswith("@@"), line.removeprefix("@@")
        pattern, _, modifiers = line.partition("$client=")
        who, _, important = modifiers.partition(",")
        entries = who.split("|") if who else []
        spared = [one[1:] for one in entries if one[0] == "~"]
        chosen = [one for one in entries if one[0] != "~"]
        if any(_in(address, one) for one in spared) or (chosen and not any(_in(address, one) for one in chosen)):
            continue
        found[important or "@@" * exception] |= _matches(pattern, name)
    return found["important"] or (found[""] and not found["@@"])


def _in(address: str, network: str) -> bool:
    return ip_address(address) in ip_network(network)


def _matches(pattern: str, name: str) -> bool:
    name_in = pattern.strip("|^")
    if name_in == "*":
        return True
    if name_in.startswith("*."):
        return name != name_in[2:] and within(name, name_in[2:])
    return name == name_in if not pattern.startswith("||") else within(name, name_in)


@given(world=worlds(), address=st.sampled_from([*CLIENTS, "10.2.0.10"]), name=NAMES)
@settings(deadline=None, max_examples=120)
def test_adguard_home_tells_clients_apart(world: Policy, address: str, name: str) -> None:
    """A client gets what its zones would give it in BIND; what an exception undoes is left out, and said."""
    snapshots = plan(world, leases(), AT, {}).snapshots
    file = OVERVIEWS["adguard"].render(world, snapshots, AT).decode()
    left_out = OVERVIEWS["adguard"].left_out(world, snapshots)
    resolver = Resolver([one.zone for one in snapshots], "bind")
    group = world.groups.of(address)
    for qname in asked(name):
        rule: Rule | None = resolver.rule(address, group.name if group else "any", qname)
        blocked = rule is not None and rule.action != "passthru"
        if blocked and rule and rule.trigger in left_out:
            continue
        assert by_adguard(file, address, qname) == blocked, (qname, rule, file)


@given(world=worlds())
@settings(deadline=None, max_examples=20)
def test_overviews_depend_on_their_arguments_alone(world: Policy) -> None:
    """The same policy and snapshots give the same ASCII bytes, ending with a newline."""
    snapshots = plan(world, leases(), AT, {}).snapshots
    for form in OVERVIEWS.values():
        content = form.render(world, snapshots, AT)
        assert content == form.render(world, tuple(snapshots), AT)
        assert content.isascii()
        assert content.endswith(b"\n")
