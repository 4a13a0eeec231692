"""Writes the logs of a simulated network, day by day, and its labels beside them.

    python -m evaluation.simulator --seed 3 --clients 200 --days 16 --learning 10 DIR

``DIR/logs`` holds daily files of a BIND and a dnsmasq, ``DIR/policy.yaml`` what the operator would have configured,
``DIR/truth.jsonl`` the labels. What is like a real log here: stub caches and the time to live of answers, clients
without a cache, forwarders, proxies; A, AAAA and HTTPS; retries and duplicates; names in mixed case (0x20); leases that
change hands; late and repeated lines, a gap (S19) and a flood of hostile names (S20).

Memory is one hour of lines and one day of lookups. Never: imports the product. Read next: ``judge.py``.
"""

from __future__ import annotations

import argparse
import json
import math
import random
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

import yaml

from evaluation import attacks, habits
from evaluation.attacks import Incident
from evaluation.habits import HOUR, Ask
from evaluation.services import LETTERS, TTL
from evaluation.world import RATES, Client, World, build, welcome

MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
RETRIES = 0.03
"""Share of lookups that are sent again after 1 or 5 s."""
LATE = 0.002
"""Share of lines that stand up to 3 s after their place (S19)."""
FLOOD = 3000
"""Hostile names of the flood (S20), in one minute."""

Line = tuple[float, str]


class Simulator:
    """One run."""

    def __init__(self, world: World, each: int, noise: float, only: tuple[str, ...] = ()) -> None:
        self.world, self.noise = world, noise
        self.rng = world.rng("lines")
        self.incidents, self._planned = attacks.schedule(world, each, only)
        self._planned.extend(habits.rollout(world))
        self._planned.sort(key=lambda ask: ask.at)
        self._leases: dict[int, list[tuple[float, str]]] = defaultdict(list)
        self._serial = 0
        self._stamps: dict[int, tuple[str, str]] = {}
        self._ttl: dict[str, float] = {"api.telegram.org": world.telegram_ttl, **TTL}

    def add(self, incident: Incident, asks: list[Ask]) -> None:
        """Play something that was not drawn."""
        self.incidents.append(incident)
        self._planned = sorted([*self._planned, *asks], key=lambda ask: ask.at)

    def write(self, directory: Path) -> None:
        """Write logs, policy and labels."""
        logs = directory / "logs"
        logs.mkdir(parents=True, exist_ok=True)
        (directory / "policy.yaml").write_text(yaml.safe_dump(self.world.policy(), sort_keys=False))
        self._plan_leases()
        for number in range(self.world.days):
            stamp = datetime.fromtimestamp(self.world.start + number * 86400, UTC).strftime("%Y%m%d")
            with (
                (logs / f"query.log-{stamp}").open("w") as bind,
                (logs / f"dnsmasq.log-{stamp}").open("w") as dnsmasq,
            ):
                self._day(number, {"bind": bind, "dnsmasq": dnsmasq})
        with (directory / "truth.jsonl").open("w") as truth:
            for n, incident in enumerate(self.incidents):
                truth.write(json.dumps(incident.label(n)) + "\n")

    # ── A day ─────────────────────────────────────────────────────────────────────────────────────────────────

    def _day(self, number: int, files: dict[str, IO[str]]) -> None:
        """Write one day (UTC); what a local day leaves over comes with the next."""
        begin = self.world.start + number * 86400
        asks: list[Ask] = []
        while self._planned and self._planned[0].at < begin + 86400:
            asks.append(self._planned.pop(0))
        for client in self.world.clients:
            if client.kind == "guest":
                welcome(self.world, client, number)
                self._lease(begin + client.n % 3600, client.address, client.mac, client.host)
            asks.extend(habits.day(self.world, client, number))
        over = [ask for ask in asks if ask.at >= begin + 86400]
        self._planned = sorted([*self._planned, *over], key=lambda ask: ask.at)
        buckets: dict[str, list[list[Line]]] = {kind: [[] for _ in range(25)] for kind in files}
        for ask in sorted((ask for ask in asks if begin <= ask.at < begin + 86400), key=lambda ask: ask.at):
            resolver = ask.client.resolver
            for line in self._resolve(ask):
                buckets[resolver][min(24, int((line[0] - begin) // HOUR))].append(line)
        for at, text in self._leases.pop(number, ()):
            buckets["dnsmasq"][int((at - begin) // HOUR)].append((at, text))
        ordinary = [(client, self._active(client, number)) for client in self.world.clients if client.path != "proxy"]
        for hour in range(25):
            lines = {kind: buckets[kind][hour] for kind in files}
            if hour < 24:
                for client, active in ordinary:
                    self._ordinary(client, begin + hour * HOUR, active, lines[client.resolver])
                if number == self.world.days - 2 and hour == 12:
                    lines["bind"] += self._flood(begin + 12 * HOUR)
            for kind, file in files.items():
                lines[kind].sort(key=lambda line: line[0])
                file.writelines(text for _, text in self._broken(lines[kind], number, hour))
        self._stamps.clear()

    def _resolve(self, ask: Ask) -> Iterator[Line]:
        """Give the lines that a lookup leaves, if it leaves any."""
        client, at = ask.client, ask.at
        if client.path == "proxy" or (ask.browser and client.doh and self.rng.random() < 0.9):
            return
        cache = client.front.cache if client.front is not None else client.cache
        if client.path != "uncached":
            if cache.get(ask.name, 0.0) > at:
                return
            cache[ask.name] = at + self._time_to_live(ask.name)
        if ask.incident is not None:
            ask.incident.at.append(at)
        yield from self._lines(client, ask.name, at, ask.browser)

    def _time_to_live(self, name: str) -> float:
        if name not in self._ttl:
            if len(self._ttl) > 5000:
                self._ttl = {"api.telegram.org": self.world.telegram_ttl, **TTL}
            self._ttl[name] = random.Random(name).choice((60, 300, 300, 2400))
        return self._ttl[name]

    def _active(self, client: Client, number: int) -> tuple[float, float]:
        """Give when a client is at work that day."""
        begin = self.world.start + number * 86400
        if client.kind not in ("pc", "dev", "guest") or client.always_on:
            return begin, begin + 86400
        if not habits.attends(self.world, client, number, self.world.rng("habits", client.address, number)):
            return begin, begin
        return habits.hours(self.world, client, number)

    # ── Lines ─────────────────────────────────────────────────────────────────────────────────────────────────

    def _ordinary(self, client: Client, begin: float, active: tuple[float, float], lines: list[Line]) -> None:
        """Add an hour's lookups of names that nobody watches."""
        if active[1] <= begin or active[0] >= begin + HOUR:
            return
        rate = RATES.get(client.kind, 30.0) * self.noise * (0.5 if client.doh else 1.0)
        rng = self.rng
        for _ in range(_poisson(rng, rate)):
            lines.extend(self._lines(client, rng.choice(client.favourites), begin + rng.random() * HOUR, True))

    def _lines(self, client: Client, name: str, at: float, browser: bool) -> Iterator[Line]:
        """Give A, AAAA, HTTPS, and what is sent again."""
        rng = self.rng
        if rng.random() < 0.05 and client.n % 20 == 3:
            name = "".join(one.upper() if rng.random() < 0.5 else one for one in name)
        address = client.seen_as().address
        if browser and client.https:
            yield self._line(client.resolver, at, address, name, "HTTPS")
        yield self._line(client.resolver, at + 0.001, address, name, "A")
        if client.n % 6:
            yield self._line(client.resolver, at + 0.002, address, name, "AAAA")
        if rng.random() < RETRIES:
            yield self._line(client.resolver, at + rng.choice((1.0, 5.0)), address, name, "A")

    def _line(self, resolver: str, at: float, address: str, name: str, qtype: str) -> Line:
        second = int(at)
        stamps = self._stamps.get(second)
        if stamps is None:
            t = datetime.fromtimestamp(second, UTC)
            stamps = (
                f"{t.day:02}-{MONTHS[t.month - 1]}-{t.year} {t:%H:%M:%S}",
                f"{MONTHS[t.month - 1]} {t.day:2} {t:%H:%M:%S}",
            )
            self._stamps[second] = stamps
        self._serial += 1
        port = 1024 + self._serial * 7919 % 64000
        if resolver == "bind":
            ms = int((at - second) * 1000)
            return at, (
                f"{stamps[0]}.{ms:03} queries: info: client @0x7fa4{port:08x} {address}#{port} ({name}): "
                f"query: {name} IN {qtype} + (10.0.0.53)\n"
            )
        start = f"{stamps[1]} dnsmasq[611]: {self._serial} {address}/{port}"
        answer = "192.0.2.7" if qtype == "A" else "NODATA"
        return at, f"{start} query[{qtype}] {name} from {address}\n{start} cached {name} is {answer}\n"

    def _broken(self, lines: list[Line], number: int, hour: int) -> Iterator[Line]:
        """S19: some lines come late, some twice, and one day has a gap."""
        gap = number == self.world.days - 5 and hour == 3
        rng, held = self.rng, list[tuple[float, Line]]()
        for line in lines:
            if gap and line[0] % HOUR < 600:
                continue
            while held and held[0][0] <= line[0]:
                yield held.pop(0)[1]
            if rng.random() < LATE:
                held.append((line[0] + rng.uniform(0.5, 3), line))
                held.sort()
                continue
            yield line
            if rng.random() < LATE:
                yield line
        yield from (line for _, line in held)

    def _flood(self, begin: float) -> Iterator[Line]:
        """S20: names that nobody honest asks for, in a hurry, from an office machine."""
        rng = self.world.rng("flood")
        client = rng.choice([one for one in self.world.of("pc") if one.resolver == "bind"])
        shapes = (
            "\\009{}.api.telegram.org.evil.example",
            "{}.webhook.site\\010Mar",
            "{0}{0}{0}{0}.x.example",
            '\\\\{}\\"\\;.example',
            "{}.random.example",
        )
        for _ in range(FLOOD):
            label = "".join(rng.choices(LETTERS, k=rng.choice((8, 30, 60))))
            name = rng.choice(shapes).format(label)
            yield self._line("bind", begin + rng.random() * 60, client.address, name[:250], "A")

    # ── Leases ────────────────────────────────────────────────────────────────────────────────────────────────

    def _plan_leases(self) -> None:
        """Write who holds which address; S16: another machine takes the victim's a quarter of an hour later."""
        for client in self.world.clients:
            if client.resolver == "dnsmasq" and client.front is None and client.kind != "guest":
                for number in range(0, self.world.days, 3):
                    self._lease(
                        self.world.start + number * 86400 + client.n % 3600, client.address, client.mac, client.host
                    )
        for n, incident in enumerate(self.incidents):
            if incident.scenario == "S16":
                at = incident.planned_at
                self._lease(at - 600, incident.client.address, incident.client.mac, incident.client.host)
                self._lease(at + 900, incident.client.address, f"00:16:3e:00:00:{n % 256:02x}", f"newcomer-{n}")

    def _lease(self, at: float, address: str, mac: str, host: str) -> None:
        number = int((at - self.world.start) // 86400)
        stamp = datetime.fromtimestamp(at, UTC)
        self._leases[number].append(
            (
                at,
                f"{MONTHS[stamp.month - 1]} {stamp.day:2} {stamp:%H:%M:%S} dnsmasq-dhcp[611]: "
                f"DHCPACK(eth0) {address} {mac} {host}\n",
            )
        )


def _poisson(rng: random.Random, mean: float) -> int:
    """Draw a Poisson count (Knuth; means here are small)."""
    limit, count, product = math.exp(-mean), 0, rng.random()
    while product > limit:
        count += 1
        product *= rng.random()
    return count


def simulate(
    directory: Path,
    seed: int,
    clients: int,
    days: int,
    learning: int,
    each: int,
    noise: float,
    only: tuple[str, ...] = (),
) -> list[Incident]:
    """Make one network's logs."""
    simulator = Simulator(build(seed, clients, days, learning), each, noise, only)
    simulator.write(directory)
    return simulator.incidents


def main() -> None:
    """Write one run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--clients", type=int, default=1000)
    parser.add_argument("--days", type=int, default=28)
    parser.add_argument("--learning", type=int, default=14)
    parser.add_argument("--each", type=int, default=20, help="incidents of each scenario [20]")
    parser.add_argument("--noise", type=float, default=1.0, help="times the ordinary lookups [1.0]")
    given = parser.parse_args()
    simulate(given.directory, given.seed, given.clients, given.days, given.learning, given.each, given.noise)


if __name__ == "__main__":
    main()
