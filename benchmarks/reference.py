"""The slow reference: what a log says, found line by line with nothing clever, and without a byte of the product.

    python -m benchmarks.reference bind query.log

It knows the field's rules as the documentation states them: a name matches on label boundaries and the longest one
wins; lookups of one name by one client within 5 s of the first are one attempt; an alert is one client and one
service; it is revised when its count reaches 10, 100, 1000 … The digest is over exactly that: one line
``client service count time qname`` per opened alert and per such count, sorted, and the total of attempts. Never:
imports the product, uses it to find anything. Read next: ``contenders.py``.
"""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from benchmarks.names import FEEDS, Watched, catalogue

ATTEMPT = timedelta(seconds=5)
YEAR = 2026

LINE = {
    "bind": re.compile(
        r"^(?P<stamp>\d\d-[A-Z][a-z][a-z]-\d{4} \d\d:\d\d:\d\d\.\d{3}) .*?client @\S+ (?P<client>[0-9a-f.:]+)#\d+ "
        r"\(\S+\): query: (?P<name>\S+) IN (?P<type>\S+) \S+ \(\S+\)$"
    ),
    "dnsmasq": re.compile(
        r"^(?P<stamp>[A-Z][a-z][a-z] [ \d]\d \d\d:\d\d:\d\d) dnsmasq\[\d+\]: \d+ (?P<client>[0-9a-f.:]+)/\d+ "
        r"query\[(?P<type>\S+)\] (?P<name>\S+) from \S+$"
    ),
}


class Truth(NamedTuple):
    """What there is to be found."""

    lines: int
    matching: int  # lines with a watched name of any role, queries or not: what grep prints
    queries: int  # query lines among them
    sightings: int  # query lines of api names
    attempts: int
    alerts: int
    digest: str

    @property
    def repeats(self) -> float:
        """Share of the sightings that open no attempt."""
        return 1 - self.attempts / self.sightings if self.sightings else 0.0


class Names:
    """Looks a name up, label by label."""

    def __init__(self, names: list[Watched]) -> None:
        self._names = names
        self._known: dict[str, tuple[bool, str]] = {}

    def find(self, name: str) -> tuple[bool, str]:
        """Say whether any watched name matches, and whose api name it is ("": nobody's)."""
        if name not in self._known:
            if len(self._known) > 500_000:
                self._known.clear()
            self._known[name] = self._find(name)
        return self._known[name]

    def _find(self, name: str) -> tuple[bool, str]:
        hits = []
        for watched in self._names:
            same, below = name == watched.name, name.endswith("." + watched.name)
            if (same and watched.match != "subdomains") or (below and watched.match != "exact"):
                hits.append(watched)
        api = [hit for hit in hits if hit.role == "api"]
        return bool(hits), max(api, key=lambda hit: len(hit.name)).service if api else ""


def read(path: Path, form: str) -> Truth:
    """Read a whole log."""
    names = Names(catalogue())
    suffixes = {".".join(watched.name.split(".")[-2:]) for watched in catalogue()}
    lines = matching = queries = sightings = attempts = 0
    opened: dict[tuple[str, str], datetime] = {}
    alerts: dict[tuple[str, str], tuple[int, str]] = {}
    said = []
    with path.open("r", encoding="ascii", newline="\n") as file:
        for line in file:
            lines += 1
            found = LINE[form].match(line.rstrip("\n"))
            if found is None:
                if form == "dnsmasq":  # what became of a query: grep finds these lines as well
                    word = line.rstrip("\n").split(" ")[-3].lower()
                    matching += names.find(word)[0] if ".".join(word.split(".")[-2:]) in suffixes else False
                continue
            name = found["name"].lower()
            if ".".join(name.split(".")[-2:]) not in suffixes:
                continue
            any_, service = names.find(name)
            matching += any_
            queries += any_
            if not service:
                continue
            sightings += 1
            at, client = _time(found["stamp"]), found["client"]
            if (client, name) in opened and at - opened[client, name] <= ATTEMPT:
                continue
            opened[client, name] = at
            attempts += 1
            count, first = alerts.get((client, service), (0, name))
            alerts[client, service] = (count + 1, first)
            if str(count + 1).strip("0") == "1":
                said.append(f"{client} {service} {count + 1} {_text(at)} {first}")
    return Truth(lines, matching, queries, sightings, attempts, len(alerts), digest(said, attempts))


def digest(said: list[str], attempts: int) -> str:
    """Give the digest that the product must give, too."""
    return hashlib.sha256("\n".join([*sorted(said), str(attempts)]).encode("ascii")).hexdigest()


def _time(stamp: str) -> datetime:
    if stamp[2] == "-":
        return datetime.strptime(stamp, "%d-%b-%Y %H:%M:%S.%f").replace(tzinfo=UTC)
    return datetime.strptime(f"{YEAR} {stamp}", "%Y %b %d %H:%M:%S").replace(tzinfo=UTC)


def _text(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%S.") + f"{at.microsecond // 1000:03}Z"


def ask(path: Path, form: str) -> Truth:
    """Read a log in a process of its own, so that the caller's memory stays small."""
    command = [sys.executable, "-m", "benchmarks.reference", form, str(path)]
    told = subprocess.run(command, stdout=subprocess.PIPE, check=True, cwd=FEEDS.parent).stdout
    return Truth(**json.loads(told))


if __name__ == "__main__":
    print(json.dumps(read(Path(sys.argv[2]), sys.argv[1])._asdict()))
