"""Why: a line, a lookup or an alert told step by step, from the very values that the engine judges with.

    line → name → client → expectation → facts → score → outcome → feed

Never: a judgement of its own (``judgement.py`` makes them all), terminal colours, files. Read next: ``cli/explain.py``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from dnswatch.core.alerts.flat import BLIND_SPOT, reason, rfc3339, timeline
from dnswatch.core.clients.who import parse_address, parse_network
from dnswatch.core.detect import outcomes
from dnswatch.core.detect.engine import Engine
from dnswatch.core.detect.episodes import escape
from dnswatch.core.detect.judgement import Judgement
from dnswatch.core.feeds.claims import Lookup
from dnswatch.core.feeds.triggers import network_of
from dnswatch.core.feeds.zones import ANY, EXEMPT, compile_zones, left_out
from dnswatch.core.model import (
    Alert,
    Client,
    Event,
    Indicator,
    Lease,
    Name,
    Notice,
    Query,
    Reason,
    Rule,
    Service,
    Verdict,
    Weird,
    Zone,
)
from dnswatch.core.policy import Policy
from dnswatch.errors import FeedRefused


@dataclass(frozen=True, slots=True)
class Step:
    """One step of an explanation: labelled facts and the reasons for what was concluded."""

    title: str
    facts: tuple[tuple[str, str], ...] = ()
    because: tuple[Reason, ...] = ()


Explanation = tuple[Step, ...]
LIKE = {"server": "a server", "human": "a person's", "": "nothing certain"}


# ── What can be explained ─────────────────────────────────────────────────────────────────────────────────────


def line(format_name: str, raw: bytes, event: Event | None) -> Step:
    """Tell how a log line was read."""
    facts = [("text", escape(raw)), ("format", format_name or "no known format")]
    match event:
        case None:
            facts.append(("says", "nothing that dnswatch acts on" if format_name else "not readable"))
        case Weird():
            facts.append(("says", f"nothing that may be trusted: {event.why}"))
        case Query():
            facts += [("says", "a query"), ("time", rfc3339(event.at)), ("client", _end(event.client, event.port)),
                      ("name", event.qname), ("type", event.qtype), ("transport", event.transport),
                      ("asked at", event.server)]  # fmt: skip
        case Verdict():
            facts += [("says", f"what the resolver did: {event.kind} {event.action}".rstrip()),
                      ("time", rfc3339(event.at)), ("client", _end(event.client, event.port)), ("name", event.qname),
                      ("type", event.qtype), ("policy record", event.via), ("answer", ", ".join(event.data)),
                      ("applied", "no: the zone is set to `policy disabled`" if event.disabled else "")]  # fmt: skip
        case Lease():
            facts += [("says", "a lease"), ("time", rfc3339(event.at)), ("client", event.address),
                      ("host name", event.name), ("MAC", event.mac)]  # fmt: skip
        case Notice():
            facts += [("says", f"of the server itself: {event.kind}"), ("time", rfc3339(event.at))]
    return Step("line", _said(facts))


def lookup(engine: Engine, address: str, qname: Name, qtype: str, at: float, verdict: Verdict | None = None
           ) -> Explanation:  # fmt: skip
    """Tell what a client's lookup of a name means, with everything that the engine knows."""
    policy = engine.policy
    judged = engine.judge(address, qname, qtype, at)
    behaves = _behaves(engine, judged.client, at)
    steps = [_name(policy, qname, judged), _client(judged.client, behaves)]
    sighting = judged.sighting
    if sighting is None:
        text = f"{qname} is no name whose lookup is judged, so there is nothing to expect and no alert"
        return (*steps, Step("conclusion", (("alert", "no"),), (Reason("unwatched", text),)))
    steps.append(Step("expectation", (("expected", "yes" if sighting.expected else "no"),), sighting.because))
    if judged.score is not None:
        terms = tuple(term for finding in judged.findings for term in finding.because)
        facts = (("history", _history(engine)),) if terms else (("found", "no further fact"),)
        steps.append(Step("facts", facts, terms))
        known = {*terms, *sighting.because}
        rest = tuple(term for term in judged.score.because if term not in known)
        score = (("points", str(judged.score.points)), ("severity", judged.score.severity))
        steps.append(Step("score", score, rest))
    if verdict is not None and verdict.kind == "rewrite":
        steps.append(Step("outcome", (("this line means", outcomes.of_rewrite(verdict, policy)),)))
    return (*steps, feed(engine, judged.client, sighting.service, qname, at), _conclusion(engine, judged))


def alert(one: Alert, policy: Policy) -> Explanation:
    """Tell a stored alert: the reasons of its last revision, with the attempts the caller knows of."""
    if one.category == BLIND_SPOT:
        return _blind_spot(one)
    facts = [
        ("id", one.id), ("revision", f"{one.rev} ({one.cause}), decided {rfc3339(one.at)}"), ("state", one.state),
        ("severity", f"{one.severity}, {one.score} points"), ("names", ", ".join(one.qnames)),
        ("seen", f"{rfc3339(one.first_at)} to {rfc3339(one.last_at)}"), ("attempts", str(one.count)),
        ("outcome", one.outcome), ("answers", ", ".join(one.answers)), ("rule", one.rule_id),
        ("ATT&CK", " ".join(one.mitre)),
    ]  # fmt: skip
    steps = [Step("alert", _said([("summary", reason(one)), *facts])), _client(one.client)]
    service = policy.catalog.services.get(one.service)
    gone = Step("service", (("service", f"{one.service}: not in the catalogue any more"),))
    steps.append(_service(service) if service else gone)
    steps.append(Step("score", (("points", str(one.score)), ("severity", one.severity)), one.because))
    if one.timeline:
        steps.append(Step("timeline", tuple(("", text) for _, text in timeline(one))))
    lines = tuple((f"{line.path}:{line.offset}", line.line) for line in one.evidence)
    return (*steps, Step("evidence", lines))


def _blind_spot(one: Alert) -> Explanation:
    about, seen, means, act = (term.text for term in one.because[:4])
    facts = (
        ("id", one.id), ("revision", f"{one.rev} ({one.cause}), decided {rfc3339(one.at)}"), ("state", one.state),
        ("severity", f"{one.severity}, fixed for its kind"), ("kind", one.service), ("about", about), ("seen", seen),
        ("since", rfc3339(one.first_at)), ("times", str(one.count)), ("rule", one.rule_id),
    )  # fmt: skip
    return Step("blind spot", facts, one.because[4:]), Step("meaning", (("means", means), ("what to do", act)))


# ── Steps ─────────────────────────────────────────────────────────────────────────────────────────────────────


def _name(policy: Policy, qname: Name, judged: Judgement) -> Step:
    if judged.sighting is not None:
        step = _service(judged.sighting.service)
        return Step("name", (("asked", qname), ("meets", _pattern(judged.sighting.indicator)), *step.facts))
    if judged.indicators:
        meets = tuple(("meets", f"{_pattern(one)} as {one.role} name of {one.service}") for one in judged.indicators)
        return Step("name", (("asked", qname), *meets))
    unwatched = [one for one in policy.catalog.find(qname) if one.role == "api"]
    if unwatched:
        text = f"{unwatched[0].service} is known, but not watched: add it to watch.include"
        return Step("name", (("asked", qname), ("meets", _pattern(unwatched[0]))), (Reason("not-watched", text),))
    return Step("name", (("asked", qname),), (Reason("unknown", "no service of the catalogue has this name"),))


def _service(service: Service) -> Step:
    return Step("service", _said([
        ("service", f"{service.id}: {service.name}"), ("category", service.category),
        ("base severity", service.base_severity), ("ATT&CK", " ".join(service.attack)),
        ("shared", "yes: people look it up in normal use" if service.shared else ""), ("block", service.block_safety),
        ("references", " ".join(service.references)), ("defined in", service.origin),
    ]))  # fmt: skip


def _behaves(engine: Engine, client: Client, at: float) -> str:
    """Tell what a client's days before say of it; a role that its group has counts more."""
    behaviour = engine.history.behaviour(client.address, at)
    if not behaviour.habit.days:
        return ""
    like = "many clients" if behaviour.crowd else "a scanner" if behaviour.scanner else LIKE[behaviour.like]
    rule = " (the role of its group decides)" if client.role and behaviour.like else ""
    return f"{like}: {behaviour.habit}{rule}"


def _client(client: Client, behaves: str = "") -> Step:
    return Step("client", _said([
        ("address", client.address), ("group", client.group or "none (audience any)"), ("role", client.role),
        ("host name", client.name), ("MAC", client.mac), ("lease", _lease(client)), ("owner", client.owner),
        ("behaves like", behaves),
    ]))  # fmt: skip


def _lease(client: Client) -> str:
    if client.leased_at is None:
        return ""
    until = "" if client.leased_until is None else f" to {rfc3339(client.leased_until)}"
    return f"{rfc3339(client.leased_at)}{until}"


def feed(engine: Engine, client: Client, service: Service, qname: Name, at: float) -> Step:
    """Tell which published zone serves the client and what it does with the name."""
    policy = engine.policy
    facts: list[tuple[str, str]] = [("mode", policy.feeds.mode)]
    try:
        zones = {zone.audience: zone for zone in compile_zones(policy, engine.identity, at)}
    except FeedRefused as error:
        return Step("feed", tuple(facts), (Reason("refused", f"no zone can be compiled: {error}"),))
    if not zones:
        return Step("feed", tuple(facts))
    exempt = _exemption(zones[EXEMPT], client.address)
    if exempt is not None:
        why = Reason("exempt", f"{client.address} passes for every watched name, and is still alerted on")
        return Step("feed", (*facts, ("zone", zones[EXEMPT].name), ("rule", _rule(exempt))), (why,))
    audience = client.group or ANY
    zone = zones[audience]
    rule = Lookup(zone.rules).rule(qname)
    facts += [("zone", zone.name), ("rule", "none: the name passes" if rule is None else _rule(rule))]
    because = [why for left in left_out(policy, audience, at)
               if left.service == service.id and left.name in ("", qname) for why in left.because]  # fmt: skip
    if rule is not None and policy.feeds.mode == "shadow":
        because.append(Reason("shadow", "in mode shadow the rule only logs: nothing is blocked"))
    return Step("feed", tuple(facts), tuple(because))


def _conclusion(engine: Engine, judged: Judgement) -> Step:
    assert judged.sighting is not None
    if judged.score is None:
        return Step("conclusion", (("alert", "no: expected"),))
    known = engine.open_alert(judged.client.address, judged.sighting.service.id)
    if known is None:
        return Step("conclusion", (("alert", f"a new one, severity {judged.score.severity}"),))
    text = f"counted by {known.id}, open since {rfc3339(known.first_at)}, {known.count} attempts, {known.severity}"
    return Step("conclusion", (("alert", text),))


def _history(engine: Engine) -> str:
    began = engine.history.began_at
    return "none: every client looks new" if began is None else f"since {rfc3339(began)}"


def _exemption(zone: Zone, address: str) -> Rule | None:
    client = parse_address(address)
    for rule in zone.rules:
        network = network_of(rule.trigger)
        if client is not None and network is not None and client in parse_network(network):
            return rule
    return None


def _pattern(indicator: Indicator) -> str:
    return {"exact": "", "subdomains": "*.", "domain": "[*.]"}[indicator.match] + indicator.name


def _rule(rule: Rule) -> str:
    return f"{rule.trigger} -> {rule.action} {' '.join(rule.addresses)}".rstrip()


def _end(address: str, port: int) -> str:
    return f"{address} port {port}" if port else address


def _said(facts: list[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    return tuple((label, text) for label, text in facts if text)


# ── Forms ─────────────────────────────────────────────────────────────────────────────────────────────────────


def to_plain(explanation: Explanation) -> list[dict[str, Any]]:
    """Give an explanation as JSON values."""
    return [
        {
            "step": step.title,
            "facts": [{"label": label, "text": text} for label, text in step.facts],
            "because": [{"term": r.term, "text": r.text, "points": r.points} for r in step.because],
        }
        for step in explanation
    ]


def to_text(explanation: Explanation) -> str:
    """Give an explanation as indented text."""
    lines: list[str] = []
    for step in explanation:
        lines.append(step.title)
        width = max((len(label) for label, _ in step.facts), default=0)
        lines += [f"  {label:{width}}  {text}" for label, text in step.facts]
        lines += [f"  - {term}" for term in step.because]
    return "\n".join(lines)
