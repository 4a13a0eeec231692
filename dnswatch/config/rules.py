"""What only shows when two places of the configuration are seen together: problems, and warnings.

Every rule reads the merged tree tolerantly (what is malformed is the model's complaint), so that all problems come at
once. Never: reads other files, asks the clock. Read next: ``load.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

from dnswatch.config import ways
from dnswatch.config.merge import Tree
from dnswatch.config.model import DOCUMENTATION_PEN, Config, SyslogSink
from dnswatch.config.suffixes import Suffixes
from dnswatch.config.values import close_to, is_loopback, split_listen
from dnswatch.config.yaml import Step
from dnswatch.core.catalog import Catalog
from dnswatch.core.clients.expectations import until_text
from dnswatch.core.clients.who import canonical_network, parse_who
from dnswatch.core.feeds.triggers import name_fault, owner_fault
from dnswatch.core.logs.follow import own_path
from dnswatch.core.names import canonical
from dnswatch.core.policy import FeedPolicy
from dnswatch.errors import Problem

TLS_SCHEMES = ("tls://", "relp+tls://")
LATER_KEYS = {
    "store": "not available yet: another store than the embedded one in state_dir (PostgreSQL comes with the fleet)",
    "database": "not available yet: another store than the embedded one in state_dir (PostgreSQL comes with the fleet)",
}


def check_rules(tree: Tree) -> list[Problem]:
    """Give every problem between places of the tree."""
    data = tree.data
    return [problem for rule in _RULES for problem in rule(tree, data)]


def check_references(tree: Tree, data: dict[str, Any], catalog: Catalog) -> list[Problem]:
    """Give a problem for each reference in ``data`` to a service that the catalogue does not know."""
    problems: list[Problem] = []
    for path, entry in _items(data, "expect"):
        problems += _unknown(tree, (*path, "services"), entry.get("services"), catalog)
    watch = data.get("watch")
    if isinstance(watch, dict):
        for key in ("include", "exclude"):
            problems += _unknown(tree, ("watch", key), watch.get(key), catalog)
    feeds = data.get("feeds")
    if isinstance(feeds, dict):
        problems += _unknown(tree, ("feeds", "collateral"), feeds.get("collateral"), catalog)
    return problems


def warnings(config: Config, now: float) -> list[Problem]:
    """Give what is legal but probably not meant."""
    found: list[Problem] = []
    for i, entry in enumerate(config.expect):
        if entry.until is not None and entry.until <= now:
            text = (f"ended {until_text(entry.until)}: alerts are raised again; extend it or remove it "
                    f"({', '.join(entry.who)}: {entry.because})")  # fmt: skip
            found.append(config.problem(("expect", i, "until"), text))
    for i, source in enumerate(config.sources):
        if source.type == "dnsmasq" and source.timezone is None and not source.journald:
            text = "no timezone: stamps of dnsmasq carry none and are read as UTC; set timezone: to the server's zone"
            found.append(config.problem(("sources", i), text))
    if not config.sinks:
        found.append(config.problem((), "no sinks: alerts stay in the store (`dnswatch alerts list`)"))
    for i, sink in enumerate(config.sinks):
        if isinstance(sink, SyslogSink) and sink.format == "rfc5424" and sink.enterprise_id == DOCUMENTATION_PEN:
            text = (f"enterprise_id is {DOCUMENTATION_PEN}, reserved for examples (RFC 5612): fine between your own "
                    "systems; set your own private enterprise number if you have one")  # fmt: skip
            found.append(config.problem(("sinks", i), text))
        if isinstance(sink, SyslogSink) and sink.tls is not None and not sink.tls.verify and not sink.tls.fingerprint:
            text = "verify is off: whoever answers at this address gets the alerts; name a ca or a fingerprint"
            found.append(config.problem(("sinks", i, "tls", "verify"), text))
    if config.http.listen is not None and not is_loopback(split_listen(config.http.listen).host):
        text = "reachable from other hosts, without authentication: 127.0.0.1 or a firewall is safer"
        found.append(config.problem(("http", "listen"), text))
    found += _transfer_warnings(config)
    return found


def _transfer_warnings(config: Config) -> Iterator[Problem]:
    if config.dns is None:
        return
    for i, text in enumerate(config.dns.listen):
        if split_listen(text).host in ("0.0.0.0", "::"):
            message = "every address: replies over UDP may leave from another one than was asked; name addresses"
            yield config.problem(("dns", "listen", i), message)
    for i, consumer in enumerate(config.dns.consumers):
        if not consumer.key and not consumer.views and not is_loopback(consumer.address):
            message = f"has no key: whoever sends from {consumer.address} may read the zones"
            yield config.problem(("dns", "consumers", i), message)


def _later_keys(tree: Tree, data: dict[str, Any]) -> Iterator[Problem]:
    for key, message in LATER_KEYS.items():
        if key in data:
            yield tree.problem((key,), message, key=True)
    state_dir = data.get("state_dir")
    if isinstance(state_dir, str) and "://" in state_dir:
        yield tree.problem(("state_dir",), f"{LATER_KEYS['store']}; state_dir names a directory")


def _one_prefix_one_group(tree: Tree, data: dict[str, Any]) -> Iterator[Problem]:
    seen: dict[str, tuple[str, tuple[Step, ...]]] = {}
    for name, path, text in _networks(data):
        try:
            network = canonical_network(text)
        except ValueError:
            continue
        other = seen.setdefault(network, (name, path))
        if other[0] != name:
            message = f"{network} is already in group {other[0]!r} ({tree.origin(other[1])}): a prefix has one group"
            yield tree.problem(path, message)


def _networks(data: dict[str, Any]) -> Iterator[tuple[str, tuple[Step, ...], str]]:
    for name, group in _groups(data).items():
        networks = group.get("networks") if isinstance(group, dict) else None
        base = ("clients", "groups", name, "networks")
        if isinstance(networks, str):
            yield name, base, networks
        elif isinstance(networks, list):
            yield from ((name, (*base, i), text) for i, text in enumerate(networks) if isinstance(text, str))


def _known_groups(tree: Tree, data: dict[str, Any]) -> Iterator[Problem]:
    groups = _groups(data)
    for path, entry in _items(data, "expect"):
        for at, text in _texts((*path, "who"), entry.get("who")):
            try:
                who = parse_who(text)
            except ValueError:
                continue
            if who.kind == "group" and who.value not in groups:
                hint = close_to(who.value, groups) or (f": known are {', '.join(groups)}" if groups else
                                                       ": no groups are configured (clients.groups)")  # fmt: skip
                yield tree.problem(at, f"unknown group {who.value!r}{hint}")


def _one_reader_per_log(tree: Tree, data: dict[str, Any]) -> Iterator[Problem]:
    seen: dict[str, tuple[Step, ...]] = {}
    for path, entry in _items(data, "sources"):
        key, log = _way_in(entry)
        if log:
            other = seen.setdefault(log, path)
            if other != path:
                yield tree.problem((*path, key), f"{log} is already read by another source ({tree.origin(other)})")
    for log, path in seen.items():
        own = own_path(log)
        if own != log and own in seen:
            text = (f"{log} is a rotated file of {own} ({tree.origin(seen[own])}), and read with it: leave this source "
                    "out, or every line counts twice")  # fmt: skip
            yield tree.problem((*path, "path"), text)


def _way_in(entry: dict[str, Any]) -> tuple[str, str]:
    """Give where a source comes from: the key, and a text that is equal for equal places; empty for none."""
    if isinstance(path := entry.get("path"), str):
        return "path", path
    if isinstance(door := entry.get("listen"), str):
        with suppress(ValueError):
            door = ways.check_door(door)
        return "listen", door
    journal = entry.get("journald")
    journal = {"unit": journal} if isinstance(journal, str) else journal
    if not isinstance(journal, dict):
        return "", ""
    parts = {key: ways.unit_name(value) if key == "unit" and isinstance(value, str) else value
             for key, value in journal.items()}  # fmt: skip
    return "journald", "journald " + ", ".join(f"{key} {value}" for key, value in sorted(parts.items()))


def _sinks_apart(tree: Tree, data: dict[str, Any]) -> Iterator[Problem]:
    logs = {entry.get("path") for _, entry in _items(data, "sources")}
    seen: dict[str, tuple[Step, ...]] = {}
    for path, entry in _items(data, "sinks"):
        kind, target = entry.get("type"), entry.get("address", entry.get("path", ""))
        if kind == "file" and target in logs:
            yield tree.problem((*path, "path"), f"{target} is a source: alerts would be read as queries")
        id_ = str(entry.get("name") or f"{kind} {target}")
        other = seen.setdefault(id_, path)
        if other != path:
            text = f"a second sink {id_!r} (first at {tree.origin(other)}): give each its own name"
            yield tree.problem(path, text)
        more = entry.get("fallback")
        targets = [str(target), *(map(str, more) if isinstance(more, list) else [str(more)] if more else [])]
        if kind == "syslog" and "tls" in entry and not any(one.startswith(TLS_SCHEMES) for one in targets):
            hint = " (did you mean relp+tls://?)" if targets[0].startswith("relp:") else ""
            text = f"tls is for tls:// and relp+tls:// addresses, and this one is {target}{hint}"
            yield tree.problem((*path, "tls"), text, key=True)


def _zone_names_fit(tree: Tree, data: dict[str, Any]) -> Iterator[Problem]:
    feeds = data.get("feeds")
    zone = feeds.get("zone") if isinstance(feeds, dict) else None
    if not isinstance(zone, str):
        return
    for name in _groups(data):
        # The longest owner that a zone must hold: a watched name (up to 100 octets in the catalogue) below the zone.
        if len(name) + 1 + len(zone) > 150:
            text = f"{name}.{zone} is too long for a zone: watched names below it would exceed 253 octets"
            yield tree.problem(("feeds", "zone"), text)


def _feed_entries_make_sense(tree: Tree, data: dict[str, Any]) -> Iterator[Problem]:
    feeds = data.get("feeds")
    feeds = feeds if isinstance(feeds, dict) else {}
    audiences = [*_groups(data), "any"]
    zone = str(feeds.get("zone", FeedPolicy().zone)).removesuffix(".").lower()
    suffixes: Suffixes | None = None
    for key in ("block", "allow"):
        for path, entry in _items(feeds, key):
            path = ("feeds", *path)
            for at, audience in _texts((*path, "audiences"), entry.get("audiences")):
                if audience not in audiences:
                    hint = close_to(audience, audiences) or f": known are {', '.join(audiences)}"
                    yield tree.problem(at, f"unknown group {audience!r}{hint}")
            for at, text in _texts((*path, "names"), entry.get("names")):
                with suppress(ValueError):
                    name = canonical(text)
                    suffixes = suffixes or Suffixes()
                    owners = (owner_fault(name, f"{audience}.{zone}") for audience in audiences)
                    if fault := name_fault(name) or next(filter(None, owners), None):
                        yield tree.problem(at, f"{text!r} {fault}")
                    elif key == "block" and suffixes.registrable(name) is None:
                        yield tree.problem(at, f"{text!r} is a public suffix: it belongs to everybody who has a name "
                                               "below it")  # fmt: skip


def _consumers_have_keys(tree: Tree, data: dict[str, Any]) -> Iterator[Problem]:
    dns = data.get("dns")
    dns = dns if isinstance(dns, dict) else {}
    known = dns.get("keys")
    keys = [str(name).removesuffix(".").lower() for name in known] if isinstance(known, dict) else []
    audiences = [*_groups(data), "any", "exempt", "quarantine"]
    seen: dict[str, tuple[Step, ...]] = {}
    feeds = data.get("feeds")
    for path, reader in _items(feeds if isinstance(feeds, dict) else {}, "resolvers"):
        name = str(reader.get("name"))
        other = seen.setdefault(name, ("feeds", *path))
        if other != ("feeds", *path):
            text = f"a second resolver {name!r} (first at {tree.origin(other)})"
            yield tree.problem(("feeds", *path, "name"), text)
    for path, consumer in _items(dns, "consumers"):
        path = ("dns", *path)
        name = str(consumer.get("name"))
        other = seen.setdefault(name, path)
        if other != path:
            yield tree.problem((*path, "name"), f"a second consumer {name!r} (first at {tree.origin(other)})")
        views = consumer.get("views")
        views = views if isinstance(views, dict) else {}
        used = [((*path, "key"), consumer.get("key")), *(((*path, "views", view), key) for view, key in views.items())]
        for at, key in used:
            if isinstance(key, str) and key and key.removesuffix(".").lower() not in keys:
                hint = close_to(key, keys) or (f": known are {', '.join(keys)}" if keys else ": dns.keys is empty")
                yield tree.problem(at, f"unknown key {key!r}{hint}")
        for at, audience in [*(((*path, "views", view), view) for view in views),
                             *_texts((*path, "zones"), consumer.get("zones"))]:  # fmt: skip
            if audience not in audiences:
                hint = close_to(audience, audiences) or f": known are {', '.join(audiences)}"
                yield tree.problem(at, f"unknown group {audience!r}{hint}")
        if views and consumer.get("key"):
            text = "key and views: BIND picks the view by the key, so each view has its own, and no other is needed"
            yield tree.problem((*path, "key"), text, key=True)
        if consumer.get("type") == "unbound" and (views or consumer.get("key")):
            place = (*path, "key" if consumer.get("key") else "views")
            text = "Unbound has no TSIG: leave this out (it is known by its address), and use dns.tls over networks"
            yield tree.problem(place, text, key=True)


_RULES: tuple[Callable[[Tree, dict[str, Any]], Iterator[Problem]], ...] = (
    _later_keys,
    _one_prefix_one_group,
    _known_groups,
    _one_reader_per_log,
    _sinks_apart,
    _zone_names_fit,
    _feed_entries_make_sense,
    _consumers_have_keys,
)


def _unknown(tree: Tree, path: tuple[Step, ...], given: Any, catalog: Catalog) -> Iterator[Problem]:
    for at, reference in _texts(path, given):
        try:
            catalog.resolve(reference)
        except KeyError as error:
            yield tree.problem(at, str(error.args[0]))


def _groups(data: dict[str, Any]) -> dict[str, Any]:
    clients = data.get("clients")
    groups = clients.get("groups") if isinstance(clients, dict) else None
    return groups if isinstance(groups, dict) else {}


def _items(data: dict[str, Any], key: str) -> Iterator[tuple[tuple[Step, ...], dict[str, Any]]]:
    entries = data.get(key)
    if isinstance(entries, list):
        for i, entry in enumerate(entries):
            if isinstance(entry, dict):
                yield (key, i), entry


def _texts(path: tuple[Step, ...], given: Any) -> Iterator[tuple[tuple[Step, ...], str]]:
    if isinstance(given, str):
        yield path, given
    elif isinstance(given, list):
        yield from (((*path, i), text) for i, text in enumerate(given) if isinstance(text, str))
