"""Everybody who is held back in a flood, as one alert: how many lookups and clients, which services and networks.

It is an alert of the engine, by log time, so a scan tells it like a daemon. It is graver than what any one of those
lookups would be without a further fact, and says that a real client may be among them: whoever floods to hide is told
of. It opens with the first lookup that is held back, is revised at 10, 100, 1000 …, and closes when none came for
`QUIET_S`. Never: decides who is held back (``flood.py``), grows without bound. Read next: ``engine.py``.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable
from hashlib import blake2b
from typing import Any

from dnswatch.core.alerts.flat import BLIND_SPOT
from dnswatch.core.detect.changes import Row
from dnswatch.core.detect.episodes import EDGE_LINES, REMARKS, Line, alert_id, escape
from dnswatch.core.detect.score import BASE
from dnswatch.core.health.kinds import KINDS
from dnswatch.core.model import Alert, Client, Evidence, Reason, Sighting

KIND = "client-flood"
SUBJECT = "unknown clients"
QUIET_S = KINDS[KIND].settle_s
MUTED_S = 86_400.0
"""What an operator closed although it lasts is told again after this long, as of any blind spot."""
COUNTED = 64
"""Services, networks and groups that are counted apart; further ones take the place of the one met least."""
NAMED = 8
"""Of these the text names the first so many."""


class Most:
    """Counts of what is met most often, in bounded space (Metwally et al. 2005, space-saving): never too low."""

    __slots__ = ("counts",)

    def __init__(self, counts: dict[str, int] | None = None) -> None:
        self.counts = counts or {}

    def add(self, name: str) -> None:
        """Count one; a new one takes over the count of the least when there is no room."""
        counts = self.counts
        if name in counts or len(counts) < COUNTED:
            counts[name] = counts.get(name, 0) + 1
            return
        least = min(counts, key=counts.__getitem__)  # of equal ones the first: the same after a restart
        counts[name] = counts.pop(least) + 1

    def __str__(self) -> str:
        first = sorted(self.counts.items(), key=lambda one: (-one[1], one[0]))
        more = f", and {len(first) - NAMED} more" if len(first) > NAMED else ""
        return ", ".join(f"{name} {count}" for name, count in first[:NAMED]) + more


class Distinct:
    """How many different addresses there were, within some 3 % (HyperLogLog, Flajolet et al. 2007, 1024 registers)."""

    __slots__ = ("registers",)
    SIZE = 1024

    def __init__(self, registers: bytes = b"") -> None:
        self.registers = bytearray(registers or self.SIZE)

    def add(self, name: str) -> None:
        """Take one."""
        found = int.from_bytes(blake2b(name.encode("ascii", "backslashreplace"), digest_size=8).digest(), "big")
        register, rank = found % self.SIZE, 55 - (found // self.SIZE).bit_length()
        if rank > self.registers[register]:
            self.registers[register] = rank

    def estimate(self) -> int:
        """Give the number, rounded to three digits."""
        size, zeros = self.SIZE, self.registers.count(0)
        about = 0.7213 / (1 + 1.079 / size) * size * size / math.fsum(1 / (1 << rank) for rank in self.registers)
        if zeros and about <= 2.5 * size:
            about = size * math.log(size / zeros)
        return int(float(f"{about:.3g}"))


class Strangers:
    """The one alert, while a flood lasts."""

    def __init__(self) -> None:
        self._changed = False
        self._begin(0.0)
        self.lasts = False

    def _begin(self, at: float) -> None:
        self.lasts = True
        self.began_at = self.last_at = at
        self.id = alert_id("", f"{BLIND_SPOT}/{KIND}", at, SUBJECT)
        self.rev = self.count = self.expected = 0
        self.next_count = 10
        self.state: Any = "open"
        self.closed_at = 0.0  # by an operator, while it lasts
        self.snoozed_until: float | None = None
        self.remarks: tuple[Reason, ...] = ()
        self.services, self.networks, self.groups = Most(), Most(), Most()
        self.clients = Distinct()
        self.first_lines: list[Line] = []
        self.last_lines: deque[Line] = deque(maxlen=EDGE_LINES)

    # ── What happens ──────────────────────────────────────────────────────────────────────────────────────────

    def add(self, sighting: Sighting, path: str, offset: int, line: bytes) -> str:
        """Count a lookup that is held back; give what makes it worth a revision, or ""."""
        at, client = sighting.at, sighting.client
        if not self.lasts or (self.state == "closed" and at >= self.closed_at + MUTED_S):
            self._begin(at)
        self._changed = True
        self.last_at = max(self.last_at, at)
        self.count += 1
        self.expected += sighting.expected
        self.services.add(sighting.service.id)
        self.networks.add(network(client.address))
        if client.group:
            self.groups.add(client.group)
        self.clients.add(client.address)
        if len(self.first_lines) < EDGE_LINES:
            self.first_lines.append((path, offset, line))
        else:
            self.last_lines.append((path, offset, line))
        if self.count == 1:
            return "opened"
        if self.count < self.next_count:
            return ""
        self.next_count *= 10
        return "" if self.state == "closed" else "count"

    def due_at(self) -> float | None:
        """Give when `due` wants to be asked next; None: there is nothing to wait for."""
        if not self.lasts:
            return None
        return min(self.last_at + QUIET_S, math.inf if self.snoozed_until is None else self.snoozed_until)

    def due(self, at: float) -> str:
        """Let it end, or wake what was snoozed; give the cause of a revision, or ""."""
        if not self.lasts:
            return ""
        self._changed = True
        if at >= self.last_at + QUIET_S:
            self.lasts = False
            was, self.state = self.state, "closed"
            return "" if was == "closed" else "ended"
        if self.snoozed_until is not None and at >= self.snoozed_until:
            self.state, self.snoozed_until = "open", None
            return "snooze-ended"
        return ""

    def act(self, kind: str, at: float, until: float | None, remark: Reason) -> None:
        """Apply what an operator asks."""
        self.remarks = (*self.remarks, remark)[-REMARKS:]
        if kind != "comment":
            self.state = {"ack": "acknowledged", "close": "closed", "snooze": "snoozed"}.get(kind, "open")
            self.snoozed_until = until if kind == "snooze" else None
        if kind == "close":
            self.closed_at = at

    def about(self, alert_id: str) -> bool:
        """Say whether an id is that of the alert that is open."""
        return self.lasts and self.state != "closed" and alert_id == self.id

    # ── As an alert ───────────────────────────────────────────────────────────────────────────────────────────

    def revise(self, at: float, cause: str) -> Alert:
        """Make the next revision."""
        self.rev += 1
        self._changed = True
        return self.snapshot(at, cause)

    def snapshot(self, at: float, cause: str) -> Alert:
        """Give it as it stands."""
        kind = KINDS[KIND]
        lines = [*self.first_lines, *self.last_lines]
        return Alert(
            id=self.id, rev=self.rev, at=at, state=self.state, severity=kind.severity, score=BASE[kind.severity],
            client=Client(""), service=KIND, category=BLIND_SPOT, rule_id=f"DNSW-{BLIND_SPOT}", mitre=(), qname="",
            qtype="", domain="", qnames=(), first_at=self.began_at, last_at=self.last_at, count=self.count,
            outcome="observed", answers=(), because=(*self._because(), *self.remarks),
            evidence=tuple(Evidence(path, offset, escape(line)) for path, offset, line in lines), cause=cause,
        )  # fmt: skip

    def _because(self) -> Iterable[Reason]:
        kind, clients = KINDS[KIND], self.clients.estimate()
        lookups = f"{self.count} lookup{'s' * (self.count != 1)}"
        expected = f" ({self.expected} of them expected)" if self.expected else ""
        text = f"{lookups}{expected} by some {clients} client{'s' * (clients != 1)}"
        yield Reason(BLIND_SPOT, SUBJECT, BASE[kind.severity])
        yield Reason("seen", f"{kind.title}: {text}; services: {self.services}; networks: {self.networks}")
        yield Reason("means", kind.means)
        yield Reason("act", kind.act)
        if self.groups.counts:
            yield Reason("groups", f"groups: {self.groups}")

    # ── State ─────────────────────────────────────────────────────────────────────────────────────────────────

    def take_changes(self, into: dict[tuple[str, str], Row | None]) -> None:
        """Write the row if it changed since the last call; None = it is over."""
        if self._changed:
            into["strangers", ""] = self._row() if self.lasts else None
            self._changed = False

    def _row(self) -> Row:
        row: Row = {name: getattr(self, name) for name in _PLAIN}
        row |= {name: dict(getattr(self, name).counts) for name in _COUNTS}
        row["clients"] = self.clients.registers.hex()
        row["remarks"] = [one.text for one in self.remarks]
        for name in ("first_lines", "last_lines"):
            row[name] = [(path, offset, line.decode("latin-1")) for path, offset, line in getattr(self, name)]
        return row

    def restore(self, rows: list[tuple[str, Row]]) -> None:
        """Take the stored row."""
        for _, row in rows:
            for name in _PLAIN:
                setattr(self, name, row[name])
            for name in _COUNTS:
                setattr(self, name, Most(dict(row[name])))
            self.clients = Distinct(bytes.fromhex(row["clients"]))
            self.remarks = tuple(Reason("operator", text) for text in row["remarks"])
            for name in ("first_lines", "last_lines"):
                kept: Any = getattr(self, name)
                kept.extend((path, offset, line.encode("latin-1")) for path, offset, line in row[name])
            self.lasts = True


_PLAIN = ("began_at", "last_at", "id", "rev", "count", "expected", "next_count", "state", "closed_at", "snoozed_until")
_COUNTS = ("services", "networks", "groups")


def network(address: str) -> str:
    """Give the network that an address is counted in: /16 of IPv4, /48 (a site, RFC 6177) of IPv6."""
    if ":" not in address:
        first, _, rest = address.partition(".")
        return f"{first}.{rest.partition('.')[0]}.0.0/16"
    groups = [*address.partition("::")[0].split(":"), "0", "0", "0"][:3]
    return f"{':'.join(group or '0' for group in groups)}::/48"
