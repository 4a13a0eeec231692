"""Which host held an address at a given time: names and MACs by lease, so that nobody is blamed for the last holder.

A lease counts from its start to its end, or until somebody else takes the address. An operator's hosts file outlives
leases and its name wins over the one that a client gave itself. Never: reads files (``leases.py`` parses their bytes),
trusts a client's words unseen. Read next: ``leases.py``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from dnswatch.core.clients.who import clean_mac, clean_name, parse_address, same_host
from dnswatch.core.model import Lease, Who

MOST_ADDRESSES = 65_536
"""Addresses known at once (about 30 MB); beyond that the one not heard of for longest is forgotten, and counted."""
MOST_HOLDERS = 4
"""Holders remembered per address: late lines reach back minutes, leases last longer."""
UNENDING_S = 86400.0
"""A DHCP log line does not tell how long the lease is. Servers default to 1 h (dnsmasq) … 12 h (ISC) and clients renew
at half of it, so one that was not heard of for a day no longer holds. (A file that says "infinite" gives an end.)"""


class Holder(NamedTuple):
    """Somebody who holds an address from ``at`` until ``until``."""

    at: float
    until: float
    name: str
    mac: str
    ends_at: float | None = None  # what a server said of the end; ``until`` may be our guess


class Identity:
    """The table of addresses and their holders. Mutable; owned by the engine."""

    def __init__(self, most: int = MOST_ADDRESSES) -> None:
        self.evicted = 0  # addresses forgotten because the table was full
        self.refused = 0  # leases without a usable address, name or MAC
        self.generation = 0  # grows when a holder changes: compiled zones are then out of date
        self._most = most
        self._held: dict[str, list[Holder]] = {}  # oldest news first; holders by start
        self._news: dict[str, int] = {}  # which news was the last of an address: a store keeps rows in another order
        self._newest = 0
        self._static: dict[str, tuple[str, str]] = {}
        self._changed: set[str] = set()

    def copy(self) -> Identity:
        """Give the table as it is now: for a thread that reads it while leases come in."""
        copied = Identity(self._most)
        copied.generation = self.generation
        copied._held = {address: list(holders) for address, holders in self._held.items()}
        copied._news, copied._newest = dict(self._news), self._newest
        copied._static = dict(self._static)
        return copied

    def learn(self, lease: Lease) -> bool:
        """Take in a lease; True when it says something new (a renewal does not).

        A lease with ``at`` 0 and no end is static: it comes from a hosts file (see `replace_static`).
        """
        address = parse_address(lease.address)
        name, mac = clean_name(lease.name) if lease.name else "", clean_mac(lease.mac) if lease.mac else ""
        if address is None or not (name or mac):
            self.refused += 1
            return False
        key = str(address)
        if lease.until is None and lease.at == 0.0:
            if self._static.get(key) == (name, mac) or (key not in self._static and len(self._static) >= self._most):
                return False
            self._static[key] = (name, mac)
            self.generation += 1
            return True
        until = lease.at + UNENDING_S if lease.until is None else lease.until
        if until <= lease.at:
            return False
        holders = self._held.pop(key, [])
        new = _take(holders, Holder(lease.at, until, name, mac, lease.until))
        del holders[:-MOST_HOLDERS]
        self._held[key] = holders  # again at the end: the freshest news
        self._newest += 1
        self._news[key] = self._newest
        self._changed.add(key)
        if len(self._held) > self._most:
            self._changed.add(self._evict())
        self.generation += new
        return new

    def replace_static(self, leases: Sequence[Lease]) -> None:
        """Forget what hosts files said before and take in what they say now; the first line of an address wins."""
        before, self._static = self._static, {}
        generation = self.generation
        for lease in leases:
            address = parse_address(lease.address)
            if address is not None and str(address) not in self._static:
                self.learn(lease._replace(at=0.0, until=None))
        self.generation = generation + (before != self._static)

    def knows(self, address: str) -> bool:
        """Say whether anything was ever told of an address; of most there never was."""
        return address in self._held or address in self._static

    def of(self, address: str, at: float) -> tuple[str, str]:
        """Give the name and MAC of who held the address at that time, each "" when unknown."""
        static = self._static.get(address)
        holder = self._holder(address, at)
        name, mac = (holder.name, holder.mac) if holder is not None else ("", "")
        if static is None or (mac and static[1] and mac != static[1]):
            return name, mac
        return static[0] or name, mac or static[1]

    def until(self, address: str, at: float) -> float:
        """Give how long `of` says of an address what it says at that time, while `generation` stays as it is."""
        until = math.inf
        for holder in reversed(self._held.get(address, ())):
            if holder.at <= at:
                return min(until, holder.until) if at < holder.until else until
            until = holder.at
        return until

    def lease(self, address: str, at: float) -> tuple[float | None, float | None]:
        """Say since when who held the address at that time has had it, and when that ends; each None when untold."""
        holder = self._holder(address, at)
        if holder is None:
            return None, None
        return holder.at, holder.ends_at if holder.ends_at is not None and holder.ends_at > at else None

    def taken_over(self, address: str) -> bool:
        """Say whether the newest holder of an address is another machine than the one before, as their MACs tell."""
        macs = [holder.mac for holder in self._held.get(address, ())[-2:]]
        return len(macs) == 2 and "" not in macs and macs[0] != macs[1]

    def _holder(self, address: str, at: float) -> Holder | None:
        for holder in reversed(self._held.get(address, ())):
            if holder.at <= at:
                return holder if at < holder.until else None
        return None

    def addresses(self, who: Who, at: float) -> tuple[str, ...]:
        """Give the addresses that a host (name or MAC) holds at that time, sorted; of an address: itself."""
        if who.kind == "address":
            return (who.value,)
        if who.kind not in ("name", "mac"):
            return ()
        found = []
        for address in {**self._held, **self._static}:
            name, mac = self.of(address, at)
            if (mac == who.value) if who.kind == "mac" else bool(name) and same_host(who.value, name):
                found.append(address)
        return tuple(sorted(found))

    def __len__(self) -> int:
        return len(self._held) + len(self._static)

    def state(self) -> dict[str, dict[str, Any]]:
        """Give everything learned from leases as JSON-able data, address by address (hosts files are read again)."""
        return {address: self._row(address) for address in self._held}

    def changes(self) -> dict[str, dict[str, Any] | None]:
        """Give the addresses changed since the last call, as in `state`; None for one that was forgotten."""
        changed = {key: self._row(key) if key in self._held else None for key in sorted(self._changed)}
        self._changed.clear()
        return changed

    def restore(self, state: Mapping[str, Mapping[str, Any]]) -> None:
        """Take in what `state` (or collected `changes`, in any order) gave."""
        for address, row in sorted(state.items(), key=lambda one: one[1].get("news", 0)):
            self._held[address] = [
                Holder(float(h[0]), float(h[1]), str(h[2]), str(h[3]), *h[4:]) for h in row["holders"]
            ]
            self._news[address] = self._newest = row.get("news", 0)
        while len(self._held) > self._most:
            self._changed.add(self._evict())
        self.generation += 1

    def _row(self, address: str) -> dict[str, Any]:
        return {"holders": [list(holder) for holder in self._held[address]], "news": self._news[address]}

    def _evict(self) -> str:
        """Forget the address not heard of for longest; give it."""
        oldest = next(iter(self._held))
        del self._held[oldest], self._news[oldest]
        self.evicted += 1
        return oldest


def _take(holders: list[Holder], new: Holder) -> bool:
    """Put a holder in its place in time, ending the one before; False when it only renews that one."""
    i = len(holders)
    while i and holders[i - 1].at > new.at:
        i -= 1
    if i and _same(holders[i - 1], new) and new.at <= holders[i - 1].until:
        last = holders[i - 1]
        until = max(last.until, new.until)
        if i < len(holders):
            until = min(until, holders[i].at)
        ends_at = last.ends_at if new.ends_at is None else max(new.ends_at, last.ends_at or 0.0)
        holders[i - 1] = Holder(last.at, until, new.name or last.name, new.mac or last.mac, ends_at)
        return bool(new.name and not last.name) or bool(new.mac and not last.mac)
    if i < len(holders):
        following = holders[i]
        if _same(following, new) and new.until >= following.at:  # an earlier start of a lease that is known
            del holders[i]
            new = Holder(
                new.at,
                following.until,
                following.name or new.name,
                following.mac or new.mac,
                following.ends_at or new.ends_at,
            )
        else:
            new = new._replace(until=min(new.until, following.at))
    if i:
        if holders[i - 1].at == new.at:  # two words on one instant: the later one counts
            holders[i - 1] = new
            return True
        if holders[i - 1].until > new.at:
            holders[i - 1] = holders[i - 1]._replace(until=new.at)
    holders.insert(i, new)
    return True


def _same(known: Holder, new: Holder) -> bool:
    """Say whether two leases are one host's: its MAC decides; without one, its name."""
    if known.mac and new.mac:
        return known.mac == new.mac and (not new.name or not known.name or new.name == known.name)
    return bool(known.name) and known.name == new.name
