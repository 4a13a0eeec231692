"""RPZ zone text: the records that BIND, Unbound, PowerDNS and Knot all read alike (research rpz.md §5.1, §5.2).

Never: relative owners, in-zone name servers, more than one type of record at an owner beside addresses. Every owner is
absolute and carries its TTL, so the file means the same under any ``$ORIGIN``; Knot needs the line all the same.
Read next: ``core/feeds/guard.py``, which decides what may reach this.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from ipaddress import ip_address

from dnswatch.core.feeds.triggers import canaries
from dnswatch.core.feeds.zones import EVERYONE
from dnswatch.core.model import Rule, Snapshot

TTL = 60
"""Seconds that stubs may keep a rewritten answer: the time until a promotion or a new expectation reaches them."""
REFRESH, RETRY, EXPIRE, MINIMUM = 60, 30, 30 * 86400, 60
"""SOA timers of rpz.md §5.4: PowerDNS and Unbound poll by refresh; BIND fails open at expiry, so that is a month."""

_TARGETS = {"nxdomain": ".", "nodata": "*.", "passthru": "rpz-passthru."}


class Rpz:
    """A zone file for `type primary`, or for Unbound's and Knot's RPZ file options."""

    name = "rpz"

    def accepts(self, snapshot: Snapshot) -> bool:
        """Take the zone of every audience; the one for everybody at once is for outputs without audiences."""
        return snapshot.zone.audience != EVERYONE

    def file_name(self, snapshot: Snapshot) -> str:
        """Name the file after its zone."""
        return f"{snapshot.zone.name}.zone"

    def left_out(self, snapshot: Snapshot) -> dict[str, str]:
        """Leave out nothing."""
        return {}

    def render(self, snapshot: Snapshot) -> bytes:
        """Write the zone, canaries included."""
        lines = [*_header(snapshot), *_apex(snapshot)]
        for rule in sorted((*snapshot.zone.rules, *canaries(snapshot.zone.audience, snapshot.serial))):
            lines.extend(_records(rule, snapshot.zone.name))
        return "".join(line + "\n" for line in lines).encode("ascii")


def _header(snapshot: Snapshot) -> Iterator[str]:
    zone = snapshot.zone
    actions = [rule.action for rule in zone.rules]
    counts = ", ".join(f"{actions.count(action)} {action}" for action in sorted(set(actions)))
    made = datetime.fromtimestamp(int(snapshot.at), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    yield f"; {zone.name}: written by dnswatch from its catalogue and the operator's expectations."
    yield f"; audience {zone.audience}, serial {snapshot.serial}, made {made}, rules: {counts or 'none'}."
    yield "; Changes made here are lost. `dnswatch feed show` says what is left out and why."


def _apex(snapshot: Snapshot) -> Iterator[str]:
    origin = snapshot.zone.name + "."
    yield f"$ORIGIN {origin}"
    yield f"$TTL {TTL}"
    timers = f"{REFRESH} {RETRY} {EXPIRE} {MINIMUM}"
    yield f"{origin} {TTL} IN SOA localhost. hostmaster.localhost. {snapshot.serial} {timers}"
    yield f"{origin} {TTL} IN NS localhost."


def _records(rule: Rule, zone: str) -> Iterator[str]:
    owner = f"{rule.trigger}.{zone}."
    if rule.action != "address":
        yield f"{owner} {TTL} IN CNAME {_TARGETS[rule.action]}"
        return
    for address in rule.addresses:
        kind = "A" if ip_address(address).version == 4 else "AAAA"
        yield f"{owner} {TTL} IN {kind} {address}"
