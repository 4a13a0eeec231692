"""Real logs that others have published: what an analyst would have been told, beside how little they hold.

They come from repositories under licences that do not let us pass them on. ``recorded.yaml`` says where each is found
and its checksum; whoever has them in a directory has them judged (``python -m evaluation --recorded DIR``). Never:
fetches anything, mixes what it finds with simulated results. Read next: ``recorded.yaml``.
"""

from __future__ import annotations

import gzip
import hashlib
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from evaluation import product

LOGS: dict[str, dict[str, Any]] = yaml.safe_load(Path(__file__).with_name("recorded.yaml").read_text("utf-8"))
_DNSMASQ = re.compile(rb"^(\w{3} +\d+ \d\d):.*: query\[\w+\] \S+ from (\S+)$")


@dataclass(frozen=True, slots=True)
class Recorded:
    """What one real log holds, and what it made the product say."""

    log: str
    about: str
    source: str
    lines: int
    clients: int
    client_hours: int  # hours of a client with a lookup: logs of minutes hold no days
    alerts: tuple[tuple[str, str, tuple[str, ...]], ...]  # severity, service, terms; each alert at its gravest


def run(directory: Path) -> list[Recorded]:
    """Judge those logs of the list that are in a directory. Raises ValueError for one that is not what was listed."""
    return [_judged(name, entry, directory / name) for name, entry in LOGS.items() if (directory / name).exists()]


def _judged(name: str, entry: dict[str, Any], path: Path) -> Recorded:
    files = sorted(one for one in path.rglob("*") if one.is_file()) if path.is_dir() else [path]
    found = digest(files, path)
    if found != entry["sha256"]:
        raise ValueError(
            f"{path}: SHA-256 is {found}, recorded.yaml wants {entry['sha256']}: take {entry['path']} of "
            f"{entry['repository']} at commit {entry['commit']}"
        )
    gravest: dict[str, product.Revision] = {}
    for one in product.bare_revisions(path, entry.get("year", product.YEAR)):
        if one.id not in gravest or one.grade > gravest[one.id].grade:
            gravest[one.id] = one
    asked = [met for file in files for met in _asked(file)]
    hours = {(client, hour) for client, hour in asked if client}
    alerts = [(product.GRADES[one.grade], one.service, one.terms) for one in gravest.values()]
    source = f"{entry['repository']}@{entry['commit'][:9]}: {entry['path']}"
    return Recorded(name, entry["about"], source, len(asked), len({client for client, _ in hours}), len(hours),
                    tuple(sorted(alerts)))  # fmt: skip


def digest(files: list[Path], root: Path) -> str:
    """Give the SHA-256 of a file, or of a directory's listing: ``SHA-256  path`` a line, in order of the paths."""
    if files == [root]:
        return hashlib.sha256(root.read_bytes()).hexdigest()
    listed = [f"{hashlib.sha256(one.read_bytes()).hexdigest()}  {one.relative_to(root).as_posix()}\n" for one in files]
    return hashlib.sha256("".join(listed).encode()).hexdigest()


def _asked(path: Path) -> Iterator[tuple[str, str]]:
    """Yield (client, hour) of each line, read without the product; ("", "") for lines that are no lookup."""
    data = path.read_bytes()
    if data[:2] == b"\x1f\x8b":
        data = gzip.decompress(data)
    columns: list[bytes] = []
    for line in data.splitlines():
        if line.startswith(b"#fields"):
            columns = line.split(b"\t")[1:]
        elif line.startswith(b"#"):
            continue
        elif columns:
            row = dict(zip(columns, line.split(b"\t"), strict=False))
            at = datetime.fromtimestamp(float(row[b"ts"]), UTC)
            yield row[b"id.orig_h"].decode(), f"{at:%Y-%m-%dT%H}"
        else:
            found = _DNSMASQ.match(line)
            yield (found[2].decode(), found[1].decode()) if found else ("", "")


def by_severity(alerts: tuple[tuple[str, str, tuple[str, ...]], ...]) -> str:
    """Write how many alerts there are of each severity, gravest first."""
    counted = Counter(severity for severity, _, _ in alerts)
    return ", ".join(f"{counted[one]} {one}" for one in reversed(product.GRADES) if counted[one]) or "none"
