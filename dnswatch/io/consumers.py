"""The resolvers that fetch zones: what each may have, whom to tell of which zone, and what its configuration must say.

Never: opens a socket. Read next: ``primary.py``, ``canary.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from ipaddress import ip_address, ip_network

from dnswatch.config.model import Config, Consumer, Dns
from dnswatch.config.values import split_listen
from dnswatch.core.clients.groups import Groups
from dnswatch.core.clients.who import parse_address
from dnswatch.core.feeds.access import Access, Grant
from dnswatch.core.feeds.subscription import PRIVATE, SHARED, Audience, Origin, Subscription, audience_networks
from dnswatch.core.feeds.tsig import Key
from dnswatch.core.feeds.zones import ANY
from dnswatch.core.model import Name
from dnswatch.errors import ConfigError, Problem
from dnswatch.io.publish.notify import Target


class Consumers:
    """The consumers of one configuration; ``parent`` is the parent of all zones."""

    def __init__(self, settings: Dns, parent: Name) -> None:
        self.settings = settings
        self._parent = parent
        self._keys = tsig_keys(settings)
        usual = [ip_network(text) for one in settings.consumers for text in (one.address, *one.networks)]
        self.access = Access(self._keys.values(), self._grants(), usual)

    def _grants(self) -> Iterator[Grant]:
        """Yield who may have which zones."""
        for one in self.settings.consumers:
            networks = tuple(ip_network(network) for network in one.networks)
            zones = frozenset(map(self._zone, (*one.zones, *SHARED))) if one.zones else None
            for audience, key in one.views.items():
                yield Grant(one.name, key, networks, frozenset(map(self._zone, (audience, *SHARED))))
            if one.key:
                yield Grant(one.name, one.key, networks, zones)
            elif not one.views:
                yield Grant(one.name, "", (ip_network(one.address), *networks), zones)

    def targets(self, zone: Name, source: Callable[[str], str]) -> Iterator[Target]:
        """Yield whom to tell of a new version. ``source`` gives our address for one of a consumer."""
        for one in self.settings.consumers:
            if one.notify:
                for key in self.copies(one, zone):
                    yield Target(one.name, one.address, one.port, zone, key, source(one.address))

    def copies(self, consumer: Consumer, zone: Name) -> list[Key | None]:
        """Give the keys that open the consumer's copies of a zone (None: no key is needed); none: it has no copy.

        BIND hands a NOTIFY, and a question, to the view that its key opens; each view has the zones of `SHARED`.
        """
        shared = zone in map(self._zone, SHARED)
        if consumer.zones and not shared and zone not in map(self._zone, consumer.zones):
            return []
        if consumer.views:
            names = [key for audience, key in consumer.views.items() if shared or zone == self._zone(audience)]
            return [self._keys[name] for name in dict.fromkeys(names)]
        return [self._keys[consumer.key] if consumer.key else None]

    def _zone(self, audience: str) -> Name:
        return f"{audience}.{self._parent}"


def tsig_keys(settings: Dns) -> dict[Name, Key]:
    """Give the keys of the configuration by name."""
    return {name: Key(name, key.algorithm, key.octets) for name, key in settings.keys.items()}


def reachable(ours: Iterable[str], theirs: str) -> list[str]:
    """Give the addresses of ours that a consumer at ``theirs`` can reach, of its family: it knows us by them."""
    wanted = ip_address(theirs)
    known = (parse_address("127.0.0.1" if one == "localhost" else one) for one in ours)
    found = [one for one in known if one and one.version == wanted.version and not one.is_unspecified]
    near = [one for one in found if one.is_loopback == wanted.is_loopback]
    if not near and wanted.is_loopback:  # it is on this host, so it reaches every address of ours
        near = found
    return [str(one) for one in near]


# ── What its configuration must say ───────────────────────────────────────────────────────────────────────────


def subscribe(
    config: Config, groups: Groups, consumer: Consumer, *,
    views: bool, tls: bool, primaries: Sequence[Origin] = (), others: Sequence[str] = (),
) -> Subscription:  # fmt: skip
    """Say what the configuration of a consumer must say.

    ``views``: it needs a view, and a key, for every group; ``tls``: it shall fetch over TLS; ``primaries``: where it
    reaches us, if not at ``dns.listen``; ``others``: the networks of clients in no group, if not `PRIVATE`. Raises
    `ConfigError` with everything that is missing, and what to write.
    """
    settings = config.dns
    assert settings is not None
    i = settings.consumers.index(consumer)
    path = ("dns", "consumers", i)
    problems: list[Problem] = []
    keys = tsig_keys(settings)
    served = [name for name in (*(group.name for group in groups.all), ANY)
              if not consumer.zones or name in consumer.zones]  # fmt: skip
    if views and len(served) > 1:
        missing = [name for name in served if name not in consumer.views]
        if missing:
            wanted = ", ".join(f"{name}: k-{name}" for name in missing)
            text = (f"each group is a view with a key of its own: add `views: {{{wanted}}}` (and the keys to dns.keys: "
                    f"`tsig-keygen k-{missing[0]}`), or name the groups that it serves with `zones`")  # fmt: skip
            problems.append(config.problem(path, text))
        shared = [name for name in served
                  if list(consumer.views.values()).count(consumer.views.get(name, "")) > 1]  # fmt: skip
        if not missing and shared:
            problems.append(config.problem((*path, "views"), f"{' and '.join(shared)} have one key: the key picks the "
                                                             "view, so each needs its own"))  # fmt: skip
    origins = list(primaries) or _origins(config, consumer, tls, problems)
    if tls and settings.tls is not None and not settings.tls.name:
        text = "has no name: write the name in the certificate (`name: feed.example`), so that consumers can check it"
        problems.append(config.problem(("dns", "tls"), text))
    authority = _authority(config, problems) if tls else ""
    if problems:
        raise ConfigError(problems)
    name = settings.tls.name if tls and settings.tls else ""
    sources = [source.path for source in config.sources if source.type == consumer.type]
    return Subscription(
        consumer=consumer.name, address=consumer.address, port=consumer.port, parent=config.feeds.zone,
        origins=tuple(Origin(one.address, one.port, name) for one in origins),
        key=keys[consumer.key] if consumer.key else None,
        audiences=tuple(Audience(one, keys.get(consumer.views.get(one, ""))) for one in served),
        clients=audience_networks(groups, others or PRIVATE),
        log=sources[0] if len(sources) == 1 and "*" not in sources[0] else "",
        authority=authority,
    )  # fmt: skip


def reader(config: Config, groups: Groups, kind: str, others: Sequence[str] = ()) -> Subscription:
    """Say what the configuration of a resolver on this host must say that reads the files of `feeds.directory`.

    Its port is that of `feeds.resolvers`, where there is one of its type; ``others`` as for `subscribe`.
    """
    known = [one for one in config.feeds.resolvers if one.type == kind]
    sources = [source.path for source in config.sources if source.type == kind]
    return Subscription(
        consumer=known[0].name if known else kind, address="127.0.0.1", port=known[0].port if known else 53,
        parent=config.feeds.zone, origins=(), key=None,
        audiences=tuple(Audience(name) for name in (*(group.name for group in groups.all), ANY)),
        clients=audience_networks(groups, others or PRIVATE),
        log=sources[0] if len(sources) == 1 and "*" not in sources[0] else "",
        directory=str(config.feeds_directory),
    )  # fmt: skip


def _origins(config: Config, consumer: Consumer, tls: bool, problems: list[Problem]) -> list[Origin]:
    """Give where the consumer reaches us, or add to the problems."""
    assert config.dns is not None
    settings = config.dns
    key = ("dns", "tls", "listen") if tls else ("dns", "listen")
    listen = list(map(split_listen, [settings.tls.listen] if tls and settings.tls else settings.listen))
    near = reachable((one.host for one in listen), consumer.address)
    if not near:
        text = (f"has no address that consumer {consumer.name} ({consumer.address}) can reach: name one of this host's "
                "addresses there, or say with --primary ADDRESS:PORT where it reaches this server")  # fmt: skip
        problems.append(config.problem(key, text))
    return [Origin(address, one.port) for one in listen for address in reachable([one.host], consumer.address)
            if address in near]  # fmt: skip


def _authority(config: Config, problems: list[Problem]) -> str:
    """Give the certificates that vouch for ours as PEM text, "" = the system's, or add to the problems."""
    assert config.dns is not None
    ca = config.dns.tls.ca if config.dns.tls else None
    try:
        text = ca.read_text("ascii") if ca else ""
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not a PEM file"
        problems.append(config.problem(("dns", "tls", "ca"), f"cannot read {ca}: {why}"))
        return ""
    if ca and "-----BEGIN CERTIFICATE-----" not in text:
        problems.append(config.problem(("dns", "tls", "ca"), f"{ca} has no certificate in PEM form"))
    return text
