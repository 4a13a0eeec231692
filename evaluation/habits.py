"""What honest people and programs look up: the populations B1–B15 of the evaluation plan.

Every function yields lookups ``Ask`` of one client on one day. Rates are arguments of nothing and constants of this
file, taken from the logs that were measured where the comment says so, else deliberately generous to trouble.
Never: labels anything (``attacks.py`` does). Read next: ``attacks.py``.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, NamedTuple

from evaluation import services as names
from evaluation.world import Client, World

if TYPE_CHECKING:
    from evaluation.attacks import Incident

HOUR = 3600.0


class Ask(NamedTuple):
    """A program wants a name resolved; whether the log shows it depends on the client."""

    at: float
    client: Client
    name: str
    browser: bool = False  # the browser asks: hidden by DNS over HTTPS, with type HTTPS where the client does that
    incident: Incident | None = None


Habit = Callable[[World, Client, int, random.Random], Iterator[Ask]]


def day(world: World, client: Client, number: int) -> Iterator[Ask]:
    """Give everything but ordinary names that one client looks up on one day."""
    rng = world.rng("habits", client.address, number)
    if client.kind in ("pc", "dev", "guest"):
        if not client.always_on and not attends(world, client, number, rng):
            return
        for habit in PEOPLE:
            yield from habit(world, client, number, rng)
    elif client.kind == "ci":
        yield from _build_posts(world, client, number, rng)
    for special, habit in SPECIAL:
        if client in world.special[special]:
            yield from habit(world, client, number, rng)


def attends(world: World, client: Client, number: int, rng: random.Random) -> bool:
    """Say whether the person is there that day."""
    return rng.random() < (0.93 if world.works(number) else 0.06)


def hours(world: World, client: Client, number: int) -> tuple[float, float]:
    """Give when somebody's working day begins and ends."""
    rng = world.rng("hours", client.address, number)
    begin = world.midnight(number) + rng.gauss(8.6, 0.9) * HOUR
    return begin, begin + max(2.0, rng.gauss(8.8, 1.1)) * HOUR


# ── People ────────────────────────────────────────────────────────────────────────────────────────────────────


def _start(client: Client, at: float, names_at: tuple[tuple[float, str], ...], browser: bool = False) -> Iterator[Ask]:
    for after, name in names_at:
        yield Ask(at + after, client, name, browser)


def _now_and_then(rng: random.Random, begin: float, end: float, mean: float) -> Iterator[float]:
    at = begin + rng.expovariate(1 / mean)
    while at < end:
        yield at
        at += rng.expovariate(1 / mean)


def _browser(world: World, client: Client, number: int, rng: random.Random) -> Iterator[Ask]:
    """B3: a browser with DNS over HTTPS asks for its server's name, and then for nothing more that shows."""
    if client.doh:
        begin, end = hours(world, client, number)
        server = names.DOH[client.n % 3]
        yield Ask(begin + 20, client, server)
        for at in _now_and_then(rng, begin, end, 2 * HOUR):
            yield Ask(at, client, server)


def _discord(world: World, client: Client, number: int, rng: random.Random) -> Iterator[Ask]:
    """B2: the app starts once, then asks for the interface alone for hours or days; or it is a browser tab."""
    if "discord" not in client.apps:
        return
    begin, end = hours(world, client, number)
    if "discord-web" in client.apps:
        for at in _now_and_then(rng, begin, end, 4 * HOUR):
            yield from _start(client, at, names.DISCORD_WEB, browser=True)
        return
    if client.always_on:
        begin, end = world.midnight(number), world.midnight(number) + 86400
        if number % 6 == client.n % 6:
            yield from _start(client, begin + 9 * HOUR, names.DISCORD_START)
    else:
        yield from _start(client, begin + rng.uniform(5, 600), names.DISCORD_START)
    for at in _now_and_then(rng, begin + 1200, end, 0.7 * HOUR):
        yield Ask(at, client, rng.choice(("discord.com", "discord.com", "gateway.discord.gg", "cdn.discordapp.com")))
    if not client.always_on:
        for at in _now_and_then(rng, begin, end, 3 * HOUR):
            yield Ask(at, client, "media.discordapp.net")


def _office_apps(world: World, client: Client, number: int, rng: random.Random) -> Iterator[Ask]:
    begin, end = hours(world, client, number)
    if "slack" in client.apps:  # per hour: slack.com 4.7, edgeapi 4.2, app 2.5 (measured)
        yield from _start(client, begin + rng.uniform(5, 400), names.SLACK_START)
        for name, mean in (("slack.com", 0.21), ("edgeapi.slack.com", 0.24), ("app.slack.com", 0.4)):
            for at in _now_and_then(rng, begin, end, mean * HOUR):
                yield Ask(at, client, name)
    if "teams" in client.apps:
        yield from _start(client, begin + rng.uniform(5, 400), names.TEAMS_START)
    if "telegram" in client.apps:
        yield from _start(client, begin + rng.uniform(5, 400), names.TELEGRAM_APP)


def _new_hire(world: World, client: Client, number: int, rng: random.Random) -> Iterator[Ask]:
    """B1: somebody installs Discord or Slack on a day of theirs."""
    if "discord" in client.apps or world.rng("hire", client.address).random() > 0.02:
        return
    first = world.rng("hired", client.address).randrange(world.days)
    if number < first:
        return
    begin, end = hours(world, client, number)
    if number == first:
        yield from _start(client, begin + HOUR, names.DISCORD_WEB, browser=True)
        yield Ask(begin + HOUR + 40, client, "dl.discordapp.net", browser=True)
        yield from _start(client, begin + HOUR + 90, names.DISCORD_START)
    else:
        yield from _start(client, begin + rng.uniform(5, 400), names.DISCORD_START)
    for at in _now_and_then(rng, begin + 2 * HOUR, end, HOUR):
        yield Ask(at, client, "discord.com")


def _shared_names(world: World, client: Client, number: int, rng: random.Random) -> Iterator[Ask]:
    """Interfaces that browsers and office add-ins use for people who never heard of webhooks."""
    begin, end = hours(world, client, number)
    habits = world.rng("shared", client.address)
    for name, share, mean in (
        ("script.google.com", 0.04, 5.0),
        ("script.googleusercontent.com", 0.03, 6.0),
        ("api.vk.com", 0.03, 1.5),
        ("prod-17.westeurope.logic.azure.com", 0.05, 12.0),
        ("api.line.me", 0.01, 2.0),
        ("app.n8n.cloud", 0.004, 8.0),
        ("api.pushbullet.com", 0.006, 1.0),
        ("oapi.dingtalk.com", 0.004, 2.0),
    ):
        if habits.random() < share:
            for at in _now_and_then(rng, begin, end, mean * HOUR):
                yield Ask(at, client, name, browser=True)
    if client.kind == "dev" and habits.random() < 0.3:
        for at in _now_and_then(rng, begin, end, 20 * HOUR):
            yield Ask(at, client, "api.slack.com", browser=True)


def _links(world: World, client: Client, number: int, rng: random.Random) -> Iterator[Ask]:
    """B9: a browser resolves the links of a page ahead (1 in 100 a day); an invitation is opened once (1 in 250)."""
    begin, end = hours(world, client, number)
    if rng.random() < 0.01:
        at, found = (
            rng.uniform(begin, end),
            rng.choices(*zip(*names.LINKED, strict=True), k=rng.choice((1, 1, 1, 2, 4))),
        )
        for name in set(found):
            yield Ask(at + rng.uniform(0, 0.8), client, name, browser=True)
    if rng.random() < 0.004:
        yield from _start(client, rng.uniform(begin, end), names.DISCORD_INVITE, browser=True)


def _curious(world: World, client: Client, number: int, rng: random.Random) -> Iterator[Ask]:
    """B5: somebody looks up the own address; now and then Discord is next."""
    begin, end = hours(world, client, number)
    if rng.random() < 0.01:
        at = rng.uniform(begin, end)
        yield Ask(at, client, rng.choice(names.PERSON_IP_CHECKS), browser=True)
        if "discord" in client.apps or rng.random() < 0.03:
            yield from _start(client, at + rng.uniform(10, 280), names.DISCORD_WEB, browser=True)


def _antivirus(world: World, client: Client, number: int, rng: random.Random) -> Iterator[Ask]:
    """B15: cloud look-ups that carry a watched name in front of another domain."""
    if client.n % 5 < 2 and rng.random() < 0.2:
        begin, end = hours(world, client, number)
        name = rng.choice(("api.telegram.org", "webhook.site", "discord.com", "x1.oast.fun"))
        yield Ask(rng.uniform(begin, end), client, rng.choice(names.ODD_SUFFIXES).format(name))


def _developer(world: World, client: Client, number: int, rng: random.Random) -> Iterator[Ask]:
    """B6: developers try hooks and tunnels, with an expectation; scripts of theirs ask for the own address."""
    if client.kind != "dev":
        return
    begin, end = hours(world, client, number)
    if rng.random() < 0.06:
        at = rng.uniform(begin, end)
        for after in range(rng.randint(1, 30)):
            yield Ask(at + after * rng.uniform(20, 300), client, "webhook.site", browser=True)
    if rng.random() < 0.04:
        for at in _now_and_then(rng, begin, end, HOUR):
            yield Ask(at, client, "connect.ngrok-agent.com")
            yield Ask(at + 4, client, f"{client.host}.ngrok.app", browser=True)
    if rng.random() < 0.03:
        yield Ask(rng.uniform(begin, end), client, "eo12ab34cd.m.pipedream.net")
    if client.n % 7 == 0:
        for at in _now_and_then(rng, begin, end, 4 * HOUR):
            yield Ask(at, client, "icanhazip.com")


PEOPLE: tuple[Habit, ...] = (
    _browser,
    _discord,
    _office_apps,
    _new_hire,
    _shared_names,
    _links,
    _curious,
    _antivirus,
    _developer,
)


# ── Machines ──────────────────────────────────────────────────────────────────────────────────────────────────


def _build_posts(world: World, client: Client, number: int, rng: random.Random) -> Iterator[Ask]:
    """A build machine tells the team."""
    begin = world.midnight(number)
    name, _ = names.BUILD_POSTS[client.n % 3]
    for at in _now_and_then(rng, begin + 7 * HOUR, begin + 19 * HOUR, 1.2 * HOUR if world.works(number) else 6 * HOUR):
        yield Ask(at, client, name)


def _slack_posts(world: World, client: Client, number: int, rng: random.Random) -> Iterator[Ask]:
    """An allowed server posts; B10: once, an outage makes it post 500 times."""
    begin = world.midnight(number)
    for at in _now_and_then(rng, begin, begin + 86400, 2 * HOUR):
        yield Ask(at, client, "hooks.slack.com")
    if number == world.days - 4 and client is world.special["slack-servers"][0]:
        for n in range(500):
            yield Ask(begin + 14 * HOUR + n * 7.1, client, "hooks.slack.com")


def _telegram_bot(world: World, client: Client, number: int, rng: random.Random) -> Iterator[Ask]:
    """A bot polls, allowed or not: one lookup whenever the connection breaks."""
    begin = world.midnight(number)
    for at in _now_and_then(rng, begin, begin + 86400, 0.8 * HOUR):
        yield Ask(at, client, "api.telegram.org")


def _robot(world: World, client: Client, number: int, rng: random.Random) -> Iterator[Ask]:
    """A vacuum cleaner reports to its owner's bot."""
    begin = world.midnight(number)
    for hour in (9, 10, 11, 15):
        yield Ask(begin + hour * HOUR + rng.uniform(0, 900), client, "api.telegram.org")


def _ddns(world: World, client: Client, number: int, rng: random.Random) -> Iterator[Ask]:
    """B4: a dynamic DNS updater checks its address every five minutes."""
    begin = world.midnight(number) + client.n % 300
    for n in range(288):
        yield Ask(begin + n * 300 + rng.uniform(0, 2), client, "checkip.dyndns.org")


def _monitor(world: World, client: Client, number: int, rng: random.Random) -> Iterator[Ask]:
    """A monitoring box checks its address every hour and nothing else."""
    begin = world.midnight(number)
    for hour in range(24):
        yield Ask(begin + hour * HOUR + 17, client, "api.ipify.org")


def _backup(world: World, client: Client, number: int, rng: random.Random) -> Iterator[Ask]:
    """B14: a backup server uses push services, and nobody wrote it down."""
    begin = world.midnight(number)
    yield Ask(begin + 2.5 * HOUR + rng.uniform(0, 1800), client, "ntfy.sh")
    if number % 7 == 6:
        yield Ask(begin + 4 * HOUR, client, "api.pushover.net")


def _scanner(world: World, client: Client, number: int, rng: random.Random) -> Iterator[Ask]:
    """B8: mail gateway, sandbox, enrichment: they resolve whatever mail and logs contain."""
    begin = world.midnight(number)
    busy = rng.randint(40, 90) if world.works(number) else rng.randint(10, 30)
    for _ in range(busy):
        yield Ask(begin + rng.uniform(0, 86400), client, rng.choice(names.MAILED))
    for _ in range(3):
        yield Ask(begin + rng.uniform(0, 86400), client, rng.choice(names.IP_CHECKS))


def _announced_test(world: World, client: Client, number: int, rng: random.Random) -> Iterator[Ask]:
    """B7: a week of testing with callbacks, announced."""
    if world.days - 6 <= number < world.days - 1:
        begin, end = hours(world, client, number)
        for at in _now_and_then(rng, begin, end, HOUR):
            yield Ask(at, client, f"c{rng.randrange(1 << 40):x}.oast.fun")


def _canary(world: World, client: Client, number: int, rng: random.Random) -> Iterator[Ask]:
    """B13: the owner of a canary token tries whether it sings."""
    if number == world.days - 2:
        yield Ask(world.midnight(number) + 11 * HOUR, client, "canarytokens.org", browser=True)
        yield Ask(world.midnight(number) + 11 * HOUR + 60, client, "q7k2m9.canarytokens.com")


def rollout(world: World) -> Iterator[Ask]:
    """B11: one day near the end an allowed bot reaches every second server within an hour."""
    rng, number = world.rng("rollout"), world.days - 3
    begin = world.midnight(number) + 13 * HOUR
    servers = [one for one in world.of("server") if not any(one in group for group in world.special.values())]
    for client in servers[: max(2, len(servers) // 2)]:
        at = begin + rng.uniform(0, HOUR)
        while at < begin + 6 * HOUR:
            yield Ask(at, client, "acme.webhook.office.com")
            at += rng.uniform(1200, 4000)


SPECIAL: tuple[tuple[str, Habit], ...] = (
    ("slack-servers", _slack_posts),
    ("telegram-servers", _telegram_bot),
    ("shadow-bots", _telegram_bot),
    ("robots", _robot),
    ("ddns", _ddns),
    ("monitors", _monitor),
    ("backup", _backup),
    ("gateway", _scanner),
    ("sandbox", _scanner),
    ("enrichment", _scanner),
    ("tester", _announced_test),
    ("canary-owner", _canary),
)
