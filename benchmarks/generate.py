"""Makes query logs: seeded, so that the same arguments give the same bytes everywhere.

    python -m benchmarks.generate bind --rate 0.01 --lines 1000000 --seed 1 query.log

What the data is like (all of it arguments or constants below, and printed with the results):

- 200 000 ordinary names, Zipf 1.0; 5 000 clients, one in ten IPv6, Zipf 0.7; 20 000 queries a second of log time.
- ``rate``: share of *lines* that any watched name matches. Of the watched lookups 60 % are api names, 25 % companions
  and ambiguous names, 15 % IP checks and DoH.
- ``repeats``: share of the api lookups that belong to 400 habitual (client, name) pairs, Zipf 0.7; the rest is a
  random client and a random name, which mostly opens a new alert.
- Three in ten lookups are followed by the AAAA lookup of the same name.
- 5 % of the names are spelled in mixed case (0x20). One line in a thousand is a decoy: a watched name that stands off
  its label boundary, or in front of somebody else's domain.
- dnsmasq (``log-queries=extra``): each query with what became of it; four in ten are forwarded and answered, six come
  from the cache. 42 % of the lines are queries.

Never: imports the product. Read next: ``reference.py``.
"""

from __future__ import annotations

import argparse
import hashlib
import random
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import accumulate
from pathlib import Path

from benchmarks.names import Watched, catalogue

START = 1_795_200_000  # 20 November 2026, 18:40 UTC
ORDINARY, CLIENTS, HABITS = 200_000, 5_000, 400
MIX = {"api": 0.60, "companion": 0.25, "recon": 0.15}
PAIRED, MIXED_CASE, DECOYS, CACHED = 0.3, 0.05, 0.001, 0.6
BATCH = 20_000
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

Lookup = tuple[str, str, str]  # client, name, type


class Network:
    """Who asks for what."""

    def __init__(self, rate: float, repeats: float, seed: int, names: list[Watched]) -> None:
        self.random = random.Random(seed)  # not for secrets
        self.rate, self.repeats = rate, repeats
        self.clients = [self._client(i) for i in range(CLIENTS)]
        self.ordinary = [self._name(i) for i in range(ORDINARY)]
        self._of_clients = _zipf(CLIENTS, 0.7)
        self._of_ordinary = _zipf(ORDINARY, 1.0)
        self._of_habits = _zipf(HABITS, 0.7)
        roles = {"api": ("api",), "companion": ("companion", "ambiguous"), "recon": ("recon", "doh")}
        self.watched = {kind: [n for n in names if n.role in roles[kind]] for kind in MIX}
        self._every = names
        self._api = [(self.random.choice(self.clients), self._spelled(self.random.choice(self.watched["api"])))
                     for _ in range(HABITS)]  # fmt: skip

    def lookups(self, count: int) -> Iterator[Lookup]:
        """Give the next lookups, about ``count`` of them, in order."""
        rng = self.random
        clients = rng.choices(self.clients, cum_weights=self._of_clients, k=count)
        ordinary = rng.choices(self.ordinary, cum_weights=self._of_ordinary, k=count)
        for client, name in zip(clients, ordinary, strict=True):
            draw = rng.random()
            if draw < self.rate:
                client, name = self._watched(client)
            elif draw < self.rate + DECOYS:
                name = self._decoy()
            if rng.random() < MIXED_CASE:
                name = "".join(c.upper() if rng.random() < 0.5 else c for c in name)
            yield client, name, "A"
            if rng.random() < PAIRED:
                yield client, name, "AAAA"

    def _watched(self, client: str) -> tuple[str, str]:
        rng = self.random
        kind = rng.choices(list(MIX), list(MIX.values()))[0]
        if kind == "api" and rng.random() < self.repeats:
            return rng.choices(self._api, cum_weights=self._of_habits)[0]
        return client, self._spelled(rng.choice(self.watched[kind]))

    def _spelled(self, watched: Watched) -> str:
        below = watched.match == "subdomains" or (watched.match == "domain" and self.random.random() < 0.5)
        return f"t{self.random.randrange(1000)}.{watched.name}" if below else watched.name

    def _decoy(self) -> str:
        name = self.random.choice(self._every).name
        return self.random.choice(("{}.evil.net", "not{}.evil.net", "my{}", "{}x", "x-{}-y.com")).format(name)

    def _client(self, i: int) -> str:
        if i % 10 == 9:
            return f"2001:db8::{i + 1:x}"
        return f"10.{i >> 10}.{i >> 5 & 0x1F}.{i & 0x1F}"

    def _name(self, i: int) -> str:
        rng = self.random
        words = ["".join(rng.choices("abcdefghijklmnopqrstuvwxyz", k=rng.randint(3, 12))) for _ in range(2)]
        host = rng.choice(("www", "api", "cdn", "img", "static", f"e{i % 977}", "login", ""))
        return f"{host}.{'-'.join(words)}.{rng.choice(('com', 'net', 'org', 'io', 'de', 'co.uk'))}".lstrip(".")


def bind(network: Network, lines: int, qps: int) -> Iterator[list[str]]:
    """Give batches of lines as BIND 9.18 writes them with ``print-time yes; print-category; print-severity``."""
    made = 0
    second, stamp = -1, ""
    while made < lines:
        batch = []
        for client, name, qtype in network.lookups(BATCH):
            ms = made * 1000 // qps
            if ms // 1000 != second:
                second = ms // 1000
                t = datetime.fromtimestamp(START + second, UTC)
                stamp = f"{t.day:02}-{MONTHS[t.month - 1]}-{t.year} {t:%H:%M:%S}"
            port = 1024 + made * 7919 % 64000
            batch.append(f"{stamp}.{ms % 1000:03} queries: info: client @0x7fa4{port:08x} {client}#{port} ({name}): "
                         f"query: {name} IN {qtype} +E(0)K (10.0.0.53)\n")  # fmt: skip
            made += 1
            if made == lines:
                break
        yield batch


def dnsmasq(network: Network, lines: int, qps: int) -> Iterator[list[str]]:
    """Give batches of lines as dnsmasq 2.90 writes them with ``log-queries=extra``."""
    made = serial = 0
    second, stamp = -1, ""
    rng = network.random
    while made < lines:
        batch = []
        for client, name, qtype in network.lookups(BATCH):
            if serial // qps != second:
                second = serial // qps
                t = datetime.fromtimestamp(START + second, UTC)
                stamp = f"{MONTHS[t.month - 1]} {t.day:2} {t:%H:%M:%S}"
            port = 1024 + serial * 7919 % 64000
            serial += 1
            start = f"{stamp} dnsmasq[7607]: {serial} {client}/{port} "
            batch.append(f"{start}query[{qtype}] {name} from {client}\n")
            answer = f"192.0.2.{serial % 250 + 1}" if qtype == "A" else f"2001:db8::{serial % 9999 + 1:x}"
            if rng.random() < CACHED:
                batch.append(f"{start}cached {name} is {answer}\n")
            else:
                batch += (f"{start}forwarded {name} to 9.9.9.9\n", f"{start}reply {name} is {answer}\n")
            if made + len(batch) >= lines:
                break
        made += len(batch)
        yield batch


FORMATS = {"bind": bind, "dnsmasq": dnsmasq}


def write(
    path: Path, form: str, rate: float, lines: int, seed: int = 1, repeats: float = 0.95, qps: int = 20_000
) -> str:
    """Write a log; give its SHA-256."""
    network = Network(rate, repeats, seed, catalogue())
    digest = hashlib.sha256()
    with path.open("wb") as file:
        for batch in FORMATS[form](network, lines, qps):
            data = "".join(batch).encode("ascii")
            digest.update(data)
            file.write(data)
    return digest.hexdigest()


def _zipf(count: int, exponent: float) -> list[float]:
    return list(accumulate(1 / rank**exponent for rank in range(1, count + 1)))


def main() -> None:
    """Write one file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("format", choices=sorted(FORMATS))
    parser.add_argument("path", type=Path)
    parser.add_argument("--rate", type=float, default=0.01, help="share of lines that a watched name matches [0.01]")
    parser.add_argument("--lines", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--repeats", type=float, default=0.95, help="share of api lookups by habitual pairs [0.95]")
    parser.add_argument("--qps", type=int, default=20_000, help="queries per second of log time [20000]")
    given = parser.parse_args()
    print(write(given.path, given.format, given.rate, given.lines, given.seed, given.repeats, given.qps), given.path)


if __name__ == "__main__":
    main()
