"""The simulated network: who is in it, how each client resolves names, and what its operator would have configured.

Never: knows anything of the product but the shape of its configuration file. Read next: ``habits.py``.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

END = datetime(2026, 4, 1, tzinfo=UTC)
"""Last day: 31 March. The daylight saving shift of 29 March and the end of a month are in every run."""
DST = datetime(2026, 3, 29, 1, tzinfo=UTC)
HOLIDAY = datetime(2026, 3, 24, tzinfo=UTC)

SHARES = {"pc": 0.60, "dev": 0.08, "server": 0.12, "ci": 0.04, "iot": 0.10, "guest": 0.06}
RATES = {"pc": 40.0, "dev": 50.0, "server": 6.0, "ci": 10.0, "iot": 2.0, "guest": 30.0}
"""Ordinary lookups per active hour, before stub caches answer the rest."""


@dataclass(slots=True, eq=False)
class Client:
    """One machine."""

    kind: str
    n: int
    address: str
    mac: str
    host: str
    path: str  # stub | uncached | forwarder | proxy
    resolver: str  # bind | dnsmasq
    https: bool  # sends type HTTPS
    doh: bool  # its browser resolves by HTTPS
    apps: frozenset[str] = frozenset()
    front: Client | None = None  # the forwarder that asks for it
    always_on: bool = False
    favourites: list[str] = field(default_factory=list)
    cache: dict[str, float] = field(default_factory=dict)

    def seen_as(self) -> Client:
        """Give whom the log shows."""
        return self.front or self


@dataclass(slots=True)
class World:
    """Everything that stays the same during a run."""

    seed: int
    days: int
    learning: int
    unseen: bool  # test seeds: services and parameters that no tuning has met
    clients: list[Client] = field(default_factory=list)
    fronts: list[Client] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    telegram_ttl: int = 60
    special: dict[str, list[Client]] = field(default_factory=dict)  # who has which hand-placed habit

    @property
    def start(self) -> float:
        """The first moment."""
        return (END - timedelta(days=self.days)).timestamp()

    def of(self, *kinds: str) -> list[Client]:
        """Give the clients of some kinds."""
        return [one for one in self.clients if one.kind in kinds]

    def rng(self, *what: object) -> random.Random:
        """Give a generator of its own for a purpose: changing one habit leaves the others as they were."""
        return random.Random("/".join(map(str, (self.seed, *what))))  # not for secrets

    def midnight(self, day: int) -> float:
        """Give local midnight (Central Europe) of a day as Unix time."""
        at = self.start + day * 86400
        return at - (7200 if at >= DST.timestamp() else 3600)

    def works(self, day: int) -> bool:
        """Say whether offices are open."""
        date = datetime.fromtimestamp(self.start, UTC) + timedelta(days=day)
        return date.weekday() < 5 and date.date() != HOLIDAY.date()

    def policy(self) -> dict[str, object]:
        """Give the configuration that the operator of this network would keep."""
        special = self.special

        def addresses(name: str) -> list[str]:
            return [one.address for one in special[name]]

        return {
            "state_dir": "/nonexistent",
            "sources": [{"type": "bind", "path": "/nonexistent/query.log"}],
            "clients": {
                "groups": {
                    "staff": {"networks": ["10.1.0.0/16"], "role": "workstation"},
                    "developers": {"networks": ["10.2.0.0/16"], "role": "workstation"},
                    "servers": {"networks": ["10.3.0.0/16"], "role": "server"},
                    "build": {"networks": ["10.4.0.0/16"], "role": "ci"},
                    "devices": {"networks": ["10.5.0.0/16"], "role": "iot"},
                    "guests": {"networks": ["10.6.0.0/16"], "role": "guest"},
                    "branches": {"networks": ["10.7.0.0/16"]},
                    "mail": {"networks": ["10.8.0.0/16"], "role": "scanner"},
                }
            },
            "expect": [
                {"who": addresses("slack-servers"), "services": ["slack-webhook"], "because": "monitoring"},
                {"who": addresses("telegram-servers"), "services": ["telegram-bot"], "because": "ops bots"},
                {"who": ["group:servers"], "services": ["teams-webhook"], "because": "roll-out of the new agent"},
                {
                    "who": ["group:build"],
                    "services": ["slack-webhook", "teams-webhook", "discord"],
                    "because": "build notifications",
                },
                {
                    "who": ["group:developers"],
                    "because": "developers test hooks and tunnels",
                    "services": [
                        "webhook-site",
                        "pipedream",
                        "ngrok-url",
                        "ngrok-agent",
                        "smee",
                        "postman-mock",
                        "devtunnels",
                        "slack-developer-portal",
                    ],
                },
                {"who": addresses("tester"), "services": ["category:oob-interaction"], "because": "announced test"},
            ],
            "detect": {"learning": {"days": self.learning}},
        }


def build(seed: int, clients: int, days: int, learning: int) -> World:
    """Make a network."""
    world = World(seed, days, learning, unseen=seed >= 100)
    rng = world.rng("world")
    world.telegram_ttl = rng.choice((45, 120, 600) if world.unseen else (30, 60, 300))
    world.names = [_name(rng) for _ in range(3000)]
    weights = [1 / (rank + 5) for rank in range(len(world.names))]
    for n, kind in enumerate(SHARES):
        for i in range(max(3, round(clients * SHARES[kind]))):
            one = _client(rng, kind, n + 1, i)
            one.favourites = rng.choices(world.names, weights, k=25 if kind in ("server", "iot", "ci") else 120)
            world.clients.append(one)
    _fronts(world, rng)
    _specials(world, rng)
    return world


def draw_apps(rng: random.Random, kind: str) -> frozenset[str]:
    """Give the apps of a person."""
    apps = set()
    for app, share in (("slack", 0.3), ("teams", 0.2), ("discord", 0.1), ("telegram", 0.05)):
        if rng.random() < share * (2 if app == "discord" and kind in ("dev", "guest") else 1):
            apps.add(app)
    if "discord" in apps and rng.random() < 0.3:
        apps.add("discord-web")
    return frozenset(apps)


def welcome(world: World, guest: Client, day: int) -> None:
    """Give a guest's address to somebody else: a machine that was never here, with a random MAC."""
    rng = world.rng("guest", guest.n, day)
    guest.mac = "de:ad:" + ":".join(f"{rng.randrange(256):02x}" for _ in range(4))
    guest.host, guest.apps = f"guest-{day}-{guest.n}", draw_apps(rng, "guest")
    guest.doh, guest.https = rng.random() < 0.25, rng.random() < 0.6
    guest.cache.clear()


def _client(rng: random.Random, kind: str, net: int, i: int) -> Client:
    path = rng.choices(("stub", "uncached", "proxy"), (0.78, 0.17, 0.05))[0]
    if kind in ("server", "ci", "iot"):
        path = rng.choice(("stub", "uncached"))
    people = kind in ("pc", "dev", "guest")
    apps = draw_apps(rng, kind) if people else frozenset()
    resolver = "dnsmasq" if kind == "guest" or (kind == "pc" and i % 2) else "bind"
    mac = "3c:2a:f4:" + ":".join(f"{rng.randrange(256):02x}" for _ in range(3))
    return Client(
        kind,
        i,
        f"10.{net}.{i // 250}.{i % 250 + 1}",
        mac,
        f"{kind}-{i}",
        path,
        resolver,
        https=people and rng.random() < 0.6,
        doh=people and rng.random() < 0.25,
        apps=apps,
        always_on=not people or rng.random() < 0.15,
    )


def _fronts(world: World, rng: random.Random) -> None:
    """Put one office client in ten behind a branch's forwarder, 10 to 40 each."""
    behind = [one for one in world.of("pc") if one.path != "proxy" and rng.random() < 0.12]
    size = rng.randint(10, 40)
    for i, client in enumerate(behind):
        if i % size == 0:
            n = len(world.fronts)
            world.fronts.append(
                Client("front", n, f"10.7.0.{n + 1}", "", f"branch-{n}", "stub", "dnsmasq", False, False)
            )
        client.path, client.front, client.resolver = "forwarder", world.fronts[-1], "dnsmasq"


def _specials(world: World, rng: random.Random) -> None:
    """Give some machines the habits that B4 … B14 are about; never two of them to one."""
    pools = {kind: rng.sample(world.of(kind), len(world.of(kind))) for kind in SHARES}

    def take(kind: str, count: int) -> list[Client]:
        taken, pools[kind] = pools[kind][:count], pools[kind][count:]
        for one in taken:
            one.apps = frozenset()
        return taken

    size = len(world.clients)
    world.special = {
        "slack-servers": take("server", max(2, size * 8 // 1000)),
        "telegram-servers": take("server", max(1, size * 3 // 1000)),
        "shadow-bots": take("server", max(1, size * 2 // 1000)),
        "backup": take("server", 1),
        "enrichment": take("server", 1),
        "sandbox": take("server", 1),
        "robots": take("iot", max(1, size * 2 // 1000)),
        "ddns": take("iot", max(1, size * 5 // 1000)),
        "monitors": take("server", 1),
        "tester": take("dev", 1),
        "canary-owner": take("dev", 1),
    }
    gateway = Client("mail", 0, "10.8.0.1", "", "mail-gw", "uncached", "bind", False, False, always_on=True)
    gateway.favourites = world.names[:60]
    world.clients.append(gateway)
    world.special["gateway"] = [gateway]


def _name(rng: random.Random) -> str:
    word = "".join(rng.choices("abcdefghijklmnopqrstuvwxyz", k=rng.randint(4, 11)))
    host = rng.choice(("www", "api", "cdn", "img", "static", "login", f"e{rng.randrange(900)}"))
    return f"{host}.{word}.{rng.choice(('com', 'net', 'org', 'io', 'de', 'co.uk'))}"
