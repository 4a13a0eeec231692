"""Attacks S1–S20 with labels: who, which service, from when to when. The product never sees a label.

One `Incident` is one client and one service (or one group of services) in one scenario. Never: knows how the product
decides. Read next: ``simulator.py``.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from evaluation import services as names
from evaluation.habits import HOUR, Ask, hours
from evaluation.services import Target
from evaluation.world import Client, World

OUTSIDE_SHARE = 0.2
"""Share of S1–S5 on services that no list holds: it shows the ceiling and is reported apart."""


@dataclass(slots=True, eq=False)
class Incident:
    """A label."""

    scenario: str
    client: Client
    services: list[str]
    planned_at: float
    outside: bool = False
    at: list[float] = field(default_factory=list)  # of its lookups that the log shows

    def label(self, number: int) -> dict[str, object]:
        """Give the plain form."""
        seen = self.client.seen_as()
        return {
            "id": number,
            "scenario": self.scenario,
            "client": seen.address,
            "services": self.services,
            "victim": self.client.kind,
            "mac": self.client.mac,
            "outside": self.outside,
            "doh": self.client.doh,
            "path": self.client.path,
            "begin": self.at[0] if self.at else self.planned_at,
            "end": self.at[-1] if self.at else self.planned_at,
            "lookups": len(self.at),
            "first_hour": sum(at <= self.at[0] + HOUR for at in self.at) if self.at else 0,
        }


class NobodyLeftError(Exception):
    """Every client of the kind was hit already; of S15 (few forwarders) there are then fewer."""


class Planner:
    """Picks victims: never the same client and service twice, never one that honestly uses the service."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.planned: list[Incident] = []
        self._used: set[tuple[Client, str]] = set()
        self._busy = {one for group in world.special.values() for one in group}

    def free(self, client: Client, service: str) -> bool:
        """Say whether nothing happens to this client on this service yet."""
        return client.front is None and (client, service) not in self._used

    def take(self, client: Client, service: str) -> bool:
        """Choose this client and service; False when something happens to them already."""
        free = self.free(client, service)
        self._used.add((client, service))
        return free

    def incident(
        self,
        scenario: str,
        rng: random.Random,
        kinds: dict[str, float],
        targets: tuple[Target, ...],
        *,
        leased: bool = False,
        behind: bool = False,
        outside: bool = True,
        client: Client | None = None,
    ) -> tuple[Incident, Target]:
        """Draw a victim, a service and a moment after learning."""
        world = self.world
        known = tuple(one for one in targets if world.unseen or not one.unseen)
        for _ in range(1000):
            target = rng.choice(known)
            if outside and rng.random() < OUTSIDE_SHARE:
                target = rng.choice(names.OUTSIDE)
            victim = client or rng.choice(world.of(rng.choices(list(kinds), list(kinds.values()))[0]))
            if client is None and (victim in self._busy or (victim.front is not None) != behind):
                continue
            if victim.kind == "guest" or (leased and victim.resolver != "dnsmasq"):
                continue
            if target.human and target.human in victim.apps and scenario != "S10":
                continue
            if (victim.kind == "ci" and target.service in ("slack-webhook", "teams-webhook", "discord")) or (
                victim.kind == "server" and target.service == "teams-webhook"
            ):
                continue
            if victim.kind == "dev" and target.service in ("webhook-site", "pipedream", "ngrok-agent", "devtunnels"):
                continue
            if (victim.seen_as(), target.service) in self._used:
                continue
            self._used.add((victim.seen_as(), target.service))
            incident = Incident(scenario, victim, [target.service], self.moment(rng, victim), target in names.OUTSIDE)
            self.planned.append(incident)
            return incident, target
        raise NobodyLeftError(f"no victim left for {scenario}: fewer attacks or more clients")

    def moment(self, rng: random.Random, victim: Client) -> float:
        """Draw when it begins: people's machines are on in working hours, the others always."""
        world = self.world
        while True:
            day = rng.randrange(world.learning, world.days - 1)
            if victim.kind in ("pc", "dev"):
                if not world.works(day) and rng.random() < 0.9:
                    continue
                begin, end = hours(world, victim, day)
                return rng.uniform(begin, end - HOUR)
            return rng.uniform(world.midnight(day), world.midnight(day) + 86400)


PEOPLE = {"pc": 0.75, "dev": 0.1, "server": 0.1, "iot": 0.05}
MACHINES = {"server": 0.6, "iot": 0.2, "pc": 0.2}
Plan = Callable[[Planner, random.Random], Iterator[Ask]]


def _one_shot(incident: Incident, target: Target, rng: random.Random) -> Iterator[Ask]:
    name = target.draw(rng)
    yield Ask(incident.planned_at, incident.client, name, incident=incident)
    if rng.random() < 0.4:  # a second post
        yield Ask(incident.planned_at + rng.uniform(2, 400), incident.client, name, incident=incident)


def _checks(incident: Incident, rng: random.Random, up_to: float = 60.0) -> Iterator[Ask]:
    at = incident.planned_at - rng.uniform(0.2, up_to)
    for name in rng.sample(names.IP_CHECKS, rng.choice((1, 1, 2))):
        for _ in range(rng.choice((1, 1, 1, 4))):
            if at < incident.planned_at:
                yield Ask(at, incident.client, name)
            at += rng.uniform(0.5, 12)


def s1(plan: Planner, rng: random.Random) -> Iterator[Ask]:
    """A stealer: IP check 0–60 s before, then one report."""
    incident, target = plan.incident("S1", rng, PEOPLE, names.BOTS)
    yield from _checks(incident, rng)
    yield from _one_shot(incident, target, rng)


def s2(plan: Planner, rng: random.Random) -> Iterator[Ask]:
    """The same without the check, on a service that this client never met."""
    incident, target = plan.incident("S2", rng, PEOPLE, names.BOTS)
    yield from _one_shot(incident, target, rng)


def s3(plan: Planner, rng: random.Random) -> Iterator[Ask]:
    """A bot polls every 1–30 s for hours: what the log shows is the answer's time to live, or every connection."""
    incident, target = plan.incident("S3", rng, PEOPLE, names.BOTS)
    yield from _poll(incident, target, rng)


def s3k(plan: Planner, rng: random.Random) -> Iterator[Ask]:
    """The same bot with a connection that is kept: one lookup whenever it breaks."""
    incident, target = plan.incident("S3-keep-alive", rng, PEOPLE, names.BOTS)
    at, end = incident.planned_at, incident.planned_at + rng.uniform(3, 10) * HOUR
    name = target.draw(rng)
    while at < end:
        yield Ask(at, incident.client, name, incident=incident)
        at += rng.expovariate(1 / 1800)


def _poll(incident: Incident, target: Target, rng: random.Random) -> Iterator[Ask]:
    name, every = target.draw(rng), rng.uniform(5, 30)
    at, end = incident.planned_at, incident.planned_at + rng.uniform(2, 5) * HOUR
    while at < end:
        yield Ask(at, incident.client, name, incident=incident)
        at += every * rng.uniform(0.9, 1.1)


def _beacon(incident: Incident, name: str, rng: random.Random, period: float, jitter: float) -> Iterator[Ask]:
    at, end = incident.planned_at, incident.planned_at + 26 * HOUR
    while at < end:
        yield Ask(at, incident.client, name, incident=incident)
        at += period * (1 + rng.uniform(-jitter, jitter))


def s4(plan: Planner, rng: random.Random) -> Iterator[Ask]:
    """A slow beacon, 15–60 min with 0, 20 or 50 % of jitter, for a day."""
    incident, target = plan.incident("S4", rng, MACHINES, names.BOTS)
    jitter = rng.choice((0.1, 0.3, 0.4) if plan.world.unseen else (0.0, 0.2, 0.5))
    yield from _beacon(incident, target.draw(rng), rng, rng.uniform(900, 3600), jitter)


def s5(plan: Planner, rng: random.Random) -> Iterator[Ask]:
    """A beacon about as slow as the answer may be cached: one gap or two."""
    incident, target = plan.incident("S5", rng, MACHINES, names.BOTS)
    name = target.draw(rng)
    ttl = plan.world.telegram_ttl if name == "api.telegram.org" else names.TTL.get(name, 300)
    yield from _beacon(incident, name, rng, ttl * rng.uniform(0.85, 1.3), 0.2)


def s6(plan: Planner, rng: random.Random) -> Iterator[Ask]:
    """A burst: 20–500 posts in ten minutes."""
    incident, target = plan.incident("S6", rng, PEOPLE, names.BOTS, outside=False)
    name, count = target.draw(rng), rng.randint(20, 500)
    for at in sorted(rng.uniform(0, 600) for _ in range(count)):
        yield Ask(incident.planned_at + at, incident.client, name, incident=incident)


def s7(plan: Planner, rng: random.Random) -> Iterator[Ask]:
    """Low and slow: once a day, office hours, any minute."""
    incident, target = plan.incident("S7", rng, {"pc": 1.0}, names.BOTS, outside=False)
    name, at = target.draw(rng), incident.planned_at
    while at < plan.world.start + plan.world.days * 86400:
        yield Ask(at, incident.client, name, incident=incident)
        at += 86400 + rng.uniform(-3, 3) * HOUR


def s8(plan: Planner, rng: random.Random) -> Iterator[Ask]:
    """A build machine that may post to Slack posts to a request bin."""
    incident, target = plan.incident("S8", rng, {"ci": 1.0}, names.BINS, outside=False)
    yield from _one_shot(incident, target, rng)


def s9(plan: Planner, rng: random.Random) -> Iterator[Ask]:
    """An allowed client uses its service five times as much, for a day: what it does anyway, four times again."""
    world = plan.world
    name, service, posts = rng.choice(
        (
            ("hooks.slack.com", "slack-webhook", 12.0),
            ("api.telegram.org", "telegram-bot", 30.0),
            ("", "", 10.0),  # a build machine: which service it may use is its own
        )
    )
    clients = {"slack-webhook": world.special["slack-servers"][1:], "telegram-bot": world.special["telegram-servers"]}
    client = rng.choice(clients.get(service) or world.of("ci"))
    if not service:
        name, service = names.BUILD_POSTS[client.n % 3]
    if not plan.take(client, service):
        raise NobodyLeftError("no allowed client left for S9")
    incident = Incident("S9", client, [service], plan.moment(rng, client))
    plan.planned.append(incident)
    for _ in range(round(4 * posts)):
        yield Ask(incident.planned_at + rng.uniform(0, 86400), client, name, incident=incident)


def s10(plan: Planner, rng: random.Random) -> Iterator[Ask]:
    """The machine of a real Discord user, with an IP check in half of the cases."""
    users = [one for one in plan.world.of("pc", "dev") if "discord" in one.apps and plan.free(one, "discord")]
    if not users:
        return
    target = Target("discord", "discord.com", human="discord")
    incident, target = plan.incident("S10", rng, {}, (target,), outside=False, client=rng.choice(users))
    if rng.random() < 0.5:
        yield from _checks(incident, rng)
    yield from _one_shot(incident, target, rng)


def s11(plan: Planner, rng: random.Random) -> Iterator[Ask]:
    """A callback, or data in labels, from a server."""
    incident, target = plan.incident("S11", rng, {"server": 0.9, "ci": 0.1}, names.CALLBACKS, outside=False)
    for n in range(rng.choice((1, 1, 8))):
        yield Ask(incident.planned_at + n * 3, incident.client, target.draw(rng), incident=incident)


def s12(plan: Planner, rng: random.Random) -> Iterator[Ask]:
    """A tunnel agent starts."""
    incident, target = plan.incident("S12", rng, {"server": 0.6, "pc": 0.4}, names.TUNNELS, outside=False)
    yield from _one_shot(incident, target, rng)


def s13(plan: Planner, rng: random.Random) -> Iterator[Ask]:
    """A beacon that takes another service each time, 3–10 of them."""
    incident, target = plan.incident("S13", rng, MACHINES, names.BOTS, outside=False)
    others: dict[str, Target] = {target.service: target}
    for _ in range(40):
        other = rng.choice([one for one in (*names.BOTS, *names.BINS) if not one.human])
        machine = incident.client.kind == "server" and other.service == "teams-webhook"
        if not machine and len(others) < rng.randint(3, 10):
            others.setdefault(other.service, other)
    incident.services = list(others)
    at, period = incident.planned_at, rng.uniform(300, 1200)
    while at < incident.planned_at + 26 * HOUR:
        yield Ask(at, incident.client, rng.choice(list(others.values())).draw(rng), incident=incident)
        at += period * rng.uniform(0.9, 1.1)


def s14(plan: Planner, rng: random.Random) -> Iterator[Ask]:
    """By DNS over HTTPS, a fixed address or a proxy: nothing to see but perhaps the DoH server's name."""
    incident, _ = plan.incident("S14", rng, PEOPLE, names.BOTS, outside=False)
    if rng.random() < 0.5:
        yield Ask(incident.planned_at, incident.client, rng.choice(names.DOH))


def s15(plan: Planner, rng: random.Random) -> Iterator[Ask]:
    """A stealer behind a branch's forwarder: the log names the forwarder."""
    incident, target = plan.incident("S15", rng, {"pc": 1.0}, names.BOTS, behind=True, outside=False)
    yield from _checks(incident, rng)
    yield from _one_shot(incident, target, rng)


def s16(plan: Planner, rng: random.Random) -> Iterator[Ask]:
    """A stealer on a machine whose address another one gets minutes later (``simulator.py`` writes the leases)."""
    incident, target = plan.incident("S16", rng, {"pc": 1.0}, names.BOTS, leased=True, outside=False)
    yield from _checks(incident, rng)
    yield Ask(incident.planned_at, incident.client, target.draw(rng), incident=incident)


def s17(plan: Planner, rng: random.Random) -> Iterator[Ask]:
    """Infected before the log begins: a beacon all through learning."""
    incident, target = plan.incident("S17", rng, MACHINES, names.BOTS[:3], outside=False)
    incident.planned_at = plan.world.start + rng.uniform(0, 86400)
    name, at, period = target.draw(rng), incident.planned_at, rng.uniform(1200, 5400)
    while at < plan.world.start + plan.world.days * 86400:
        yield Ask(at, incident.client, name, incident=incident)
        at += period * rng.uniform(0.8, 1.2)


def s18(plan: Planner, rng: random.Random) -> Iterator[Ask]:
    """A domain of the attacker's own that leads to the service."""
    incident, _ = plan.incident("S18", rng, PEOPLE, names.BOTS, outside=False)
    incident.outside = True
    yield from _one_shot(incident, Target("own", "chat.own-domain.example"), rng)


def wanted(plan: Planner, rng: random.Random) -> Iterator[Ask]:
    """B7 unannounced: testers whom nobody told of. An alert is what one wants; it counts neither way."""
    incident, _ = plan.incident("unannounced-test", rng, {"dev": 1.0}, names.CALLBACKS[:1], outside=False)
    for n in range(20):
        yield Ask(incident.planned_at + n * 200, incident.client, f"t{n}.oast.fun", incident=incident)


PLANS: dict[str, Plan] = {
    "S1": s1,
    "S2": s2,
    "S3": s3,
    "S3-keep-alive": s3k,
    "S4": s4,
    "S5": s5,
    "S6": s6,
    "S7": s7,
    "S8": s8,
    "S9": s9,
    "S10": s10,
    "S11": s11,
    "S12": s12,
    "S13": s13,
    "S14": s14,
    "S15": s15,
    "S16": s16,
    "S17": s17,
    "S18": s18,
    "unannounced-test": wanted,
}
"""S19 (broken logs) and S20 (hostile names) are no incidents but part of every run: ``simulator.py``."""


def schedule(world: World, each: int, only: tuple[str, ...] = ()) -> tuple[list[Incident], list[Ask]]:
    """Plan ``each`` incidents of every scenario; give labels and lookups."""
    planner = Planner(world)
    asks: list[Ask] = []
    for scenario, plan in PLANS.items():
        if only and scenario not in only:
            continue
        few = scenario in ("unannounced-test", "S17")
        for n in range(min(each, 1) if few else each):
            try:
                asks += plan(planner, world.rng("attack", scenario, n))
            except NobodyLeftError:
                if scenario == "S9":  # the next one may draw another kind of client
                    continue
                break
    return planner.planned, asks
