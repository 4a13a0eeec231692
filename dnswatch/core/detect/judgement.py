"""One lookup judged: who asked, what was met, was it expected, what do the signals say.

The engine and ``explain`` both come here, so there is one "why". Never: remembers anything. Read next: ``engine.py``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from dnswatch.core.clients.identity import Identity
from dnswatch.core.clients.roles import HTTPS_TYPES
from dnswatch.core.detect.episodes import Episode
from dnswatch.core.detect.score import Score, base_reason, weigh
from dnswatch.core.detect.signal import Ask, Past, Signal
from dnswatch.core.model import Client, Finding, Indicator, Name, Sighting
from dnswatch.core.policy import Policy


@dataclass(frozen=True, slots=True)
class Judgement:
    """Everything that one lookup means, as if it were the first of its episode."""

    client: Client
    indicators: tuple[Indicator, ...]  # under the watched services
    sighting: Sighting | None = None  # None: no api name of a watched service
    findings: tuple[Finding, ...] = ()  # unexpected sightings only
    score: Score | None = None


def client_of(policy: Policy, identity: Identity, address: str, at: float) -> Client:
    """Give an address with what is known of it at that time."""
    group = policy.groups.of(address)
    if not identity.knows(address):
        return Client(address) if group is None else Client(address, group.name, group.role, "", "", group.owner)
    name, mac = identity.of(address, at)
    leased_at, leased_until = identity.lease(address, at) if name or mac else (None, None)
    if group is None:
        return Client(address, "", "", name, mac, "", leased_at, leased_until)
    return Client(address, group.name, group.role, name, mac, group.owner, leased_at, leased_until)


def api_indicator(indicators: tuple[Indicator, ...]) -> Indicator | None:
    """Give the api indicator of a match; the catalogue puts it first."""
    return indicators[0] if indicators and indicators[0].role == "api" else None


def sight(
    policy: Policy, pair: str, client: Client, indicator: Indicator, qname: Name, qtype: str, at: float, *,
    reasons: bool = True,
) -> Sighting:  # fmt: skip
    """Judge whether a client that meets an api indicator is expected to; why is not told where nobody reads it."""
    service = policy.catalog.services[indicator.service]
    if reasons:
        expected, because = policy.expectations.judge(client, service.id, at)
    else:
        expected, because = policy.expectations.hold(client, service.id, at), ()
    return Sighting(at, client, indicator, service, qname, qtype, expected, because, pair)


def sight_again(policy: Policy, episode: Episode, qtypes: Sequence[str]) -> Sighting | None:
    """Give an episode's first attempt again, of type HTTPS if that was among its types; None: service unknown now."""
    service = policy.catalog.services.get(episode.service)
    if service is None:
        return None
    indicator = api_indicator(policy.catalog.find(episode.qname)) or service.indicators[0]
    at, because = episode.first_at, episode.judged
    qtype = next((one for one in qtypes if one in HTTPS_TYPES), episode.qtype if qtypes else "")
    return Sighting(at, episode.client, indicator, service, episode.qname, qtype, False, because, episode.key)


def findings(signals: Iterable[Ask], sighting: Sighting, past: Past) -> list[Finding]:
    """Ask signals about a sighting that is not in history yet: what it means, or how it departs from habits."""
    found = []
    for ask in signals:
        finding = ask(sighting, past)
        if finding is not None:
            found.append(finding)
    return found


def judge(
    policy: Policy, identity: Identity, signals: Iterable[Signal], past: Past, address: str, qname: Name, qtype: str,
    at: float,
) -> Judgement:  # fmt: skip
    """Judge a lookup from beginning to end, remembering nothing."""
    client = client_of(policy, identity, address, at)
    indicators = policy.catalog.match(qname)
    api = api_indicator(indicators)
    if api is None:
        return Judgement(client, indicators)
    sighting = sight(policy, past.pair(address, api.service), client, api, qname, qtype, at)
    if sighting.expected:
        return Judgement(client, indicators, sighting)
    found = findings([signal.judge for signal in signals], sighting, past)
    score = weigh(base_reason(sighting.service), sighting.because, found)
    return Judgement(client, indicators, sighting, tuple(found), score)
