"""Four simple detectors on the same logs, with the same list of names: what detection has to beat.

- ``list``: every watched name by anybody, as the public signature rules do (Sigma, ET).
- ``list+allowed``: the same without the clients that the policy expects.
- ``first-seen``: a client and a service that never met in the learning period, expected clients apart.
- ``regular``: RITA's ts_score ≥ 0.8 on ten lookups or more of one name by one client within a day, whoever it is.

The rules alert once a day for a client and service, as a SIEM would throttle them; first-seen once for ever. Never:
shares code with the product; the list is read from ``feeds/`` by ``benchmarks/names.py``. Read next: ``judge.py``.
"""

from __future__ import annotations

import re
from collections import defaultdict, deque
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import ip_address, ip_network
from itertools import pairwise
from pathlib import Path
from typing import Any

import yaml

from benchmarks.names import catalogue

QUIET_S = 86400.0
BIND = re.compile(r"^(\d\d)-(\w{3})-(\d{4}) (\d\d):(\d\d):([\d.]+) .* client \S+ ([0-9a-f.:]+)#\d+ \((\S+)\): query: ")
DNSMASQ = re.compile(r"^(\w{3}) +(\d+) (\d\d):(\d\d):(\d\d) .* query\[\S+\] (\S+) from (\S+)$")
NAMES = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
MONTHS = {name: n for n, name in enumerate(NAMES, 1)}


@dataclass(frozen=True, slots=True)
class Alarm:
    """One alert of a baseline."""

    at: float
    client: str
    service: str


class Names:
    """Which service a name belongs to; the same list that the product watches by default."""

    def __init__(self, root: Path) -> None:
        core = {
            data["id"]
            for path in (root / "feeds").glob("*/*.yaml")
            if path.parent.name != "triage"
            and (data := yaml.safe_load(path.read_text())).get("profile", "core") == "core"
        }
        self._exact: dict[str, str] = {}
        self._below: dict[str, str] = {}
        for one in catalogue(root / "feeds"):
            if one.role == "api" and one.service in core:
                if one.match in ("exact", "domain"):
                    self._exact[one.name] = one.service
                if one.match in ("subdomains", "domain"):
                    self._below[one.name] = one.service
        self._known: dict[str, str] = {}

    def service(self, qname: str) -> str:
        """Give the service or ""."""
        if qname not in self._known:
            if len(self._known) > 50_000:
                self._known.clear()
            name = qname.lower().rstrip(".")
            found, parts = self._exact.get(name, ""), name.split(".")
            for n in range(1, len(parts)):
                found = found or self._below.get(".".join(parts[n:]), "")
            self._known[qname] = found
        return self._known[qname]


def lookups(logs: Path, names: Names, year: int) -> Iterator[tuple[float, str, str]]:
    """Give (time, client, service) of every watched lookup, both logs of a day together in time order."""
    days = sorted({path.name.rpartition("-")[2] for path in logs.iterdir()})
    for day in days:
        found: list[tuple[float, str, str]] = []
        for path in logs.glob(f"*-{day}"):
            with path.open() as file:
                for line in file:
                    one = _bind(line, names) if path.name.startswith("query") else _dnsmasq(line, names, year)
                    if one is not None:
                        found.append(one)
        yield from sorted(found)


def _bind(line: str, names: Names) -> tuple[float, str, str] | None:
    start = line.find("): query: ")
    if start < 0 or not (service := names.service(line[line.find(" (") + 2 : start])):
        return None
    met = BIND.match(line)
    if met is None:
        return None
    day, month, year, hour, minute, second, client, _ = met.groups()
    at = datetime(int(year), MONTHS[month], int(day), int(hour), int(minute), tzinfo=UTC).timestamp()
    return at + float(second), client, service


def _dnsmasq(line: str, names: Names, year: int) -> tuple[float, str, str] | None:
    start = line.find(" query[")
    if start < 0 or not (service := names.service(line[line.find("] ", start) + 2 : line.rfind(" from ")])):
        return None
    met = DNSMASQ.match(line)
    if met is None:
        return None
    month, day, hour, minute, second, _, client = met.groups()
    return (
        datetime(year, MONTHS[month], int(day), int(hour), int(minute), int(second), tzinfo=UTC).timestamp(),
        client,
        service,
    )


class Allowed:
    """Who may use what, read from the policy by hand."""

    def __init__(self, policy: dict[str, Any]) -> None:
        groups = {
            name: [ip_network(net) for net in one["networks"]] for name, one in policy["clients"]["groups"].items()
        }
        self._rules = [(entry["who"], set(entry["services"])) for entry in policy["expect"]]
        self._groups = groups
        self._known: dict[tuple[str, str], bool] = {}
        self._callbacks = {path.stem for path in Path("feeds/oob-interaction").glob("*.yaml")}

    def __contains__(self, pair: tuple[str, str]) -> bool:
        if pair not in self._known:
            client, service = pair
            address = ip_address(client)
            self._known[pair] = any(
                (service in services or ("category:oob-interaction" in services and service in self._callbacks))
                and any(
                    who == client or (who.startswith("group:") and any(address in net for net in self._groups[who[6:]]))
                    for who in whos
                )
                for whos, services in self._rules
            )
        return self._known[pair]


def run(logs: Path, policy: Path, root: Path, year: int, learnt_at: float) -> dict[str, list[Alarm]]:
    """Give the alerts of each baseline."""
    allowed = Allowed(yaml.safe_load(policy.read_text()))
    alarms: dict[str, list[Alarm]] = {"list": [], "list+allowed": [], "first-seen": [], "regular": []}
    last: dict[tuple[str, str, str], float] = {}
    seen: set[tuple[str, str]] = set()
    series: dict[tuple[str, str], deque[float]] = defaultdict(lambda: deque(maxlen=100))

    def alert(kind: str, at: float, client: str, service: str) -> None:
        key = (kind, client, service)
        if at - last.get(key, -QUIET_S) >= QUIET_S:
            alarms[kind].append(Alarm(at, client, service))
            last[key] = at

    for at, client, service in lookups(logs, Names(root), year):
        alert("list", at, client, service)
        if (client, service) not in allowed:
            alert("list+allowed", at, client, service)
            if at > learnt_at and (client, service) not in seen:
                alert("first-seen", at, client, service)
        seen.add((client, service))
        times = series[client, service]
        if not times or at - times[-1] > 5:
            times.append(at)
            while times[0] < at - 86400:
                times.popleft()
            if len(times) >= 10 and (len(times) < 30 or len(times) % 10 == 0) and _rita(times) >= 0.8:
                alert("regular", at, client, service)
    return alarms


def _rita(times: deque[float]) -> float:
    """Give RITA v5's ts_score."""
    at = list(times)
    gaps = sorted(b - a for a, b in pairwise(at) if b > a)
    if len(gaps) < 3:
        return 0.0
    low, middle, high = (gaps[int(share * (len(gaps) - 1))] for share in (0.25, 0.5, 0.75))
    skew = 0.0 if high - low < 10 or middle in (low, high) else (low + high - 2 * middle) / (high - low)
    spread = sorted(abs(gap - middle) for gap in gaps)[len(gaps) // 2]
    mad = 1.0 if middle < 1 else max(0.0, (middle - spread) / middle)
    return (1 - abs(skew) + mad) / 2
