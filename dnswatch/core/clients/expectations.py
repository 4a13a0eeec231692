"""Who is expected to use which service: the judgement that everything else rests on, with its reasons.

Never: scores (``detect/score.py``), blocks (``feeds/zones.py``). An expectation holds before its ``until``: alerts
start at that instant, while the feeds ask with a grace period on top. Read next: ``identity.py``.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from dnswatch.core.clients.who import parse_address, parse_network, same_host
from dnswatch.core.model import Client, Expectation, Reason, Who

SHOWN = 5
"""Members or reasons listed before the rest is only counted: an alert must stay readable."""


class Expectations:
    """Every expectation, indexed by service. Immutable."""

    __slots__ = ("_by_service", "all")

    def __init__(self, expectations: Iterable[Expectation] = ()) -> None:
        self.all = tuple(expectations)
        self._by_service: dict[str, list[Expectation]] = {}
        for expectation in self.all:
            for service in expectation.services:
                self._by_service.setdefault(service, []).append(expectation)

    def judge(self, client: Client, service: str, at: float) -> tuple[bool, tuple[Reason, ...]]:
        """Say whether the client is expected to use the service at that time, and why (terms: expectation, expired,
        unexpected)."""
        known = self._by_service.get(service, ())
        held: list[Reason] = []
        ended: list[Reason] = []
        for expectation in known:
            who = next((who for who in expectation.who if covers(who, client)), None)
            if who is None:
                continue
            if expectation.until is None or at < expectation.until:
                held.append(Reason("expectation", _held_text(expectation, who, service)))
            else:
                ended.append(Reason("expired", _ended_text(expectation, who, service)))
        if held:
            return True, tuple(held[:SHOWN])
        others = [expectation for expectation in known if expectation.until is None or at < expectation.until]
        return False, (*ended[:SHOWN], Reason("unexpected", _unexpected_text(client, service, others)))

    def hold(self, client: Client, service: str, at: float) -> bool:
        """Say whether the client is expected to, without the texts: a tenth of a lookup in a flood."""
        known = self._by_service.get(service)
        return known is not None and any(
            _holds(one, at, 0.0) and any(covers(who, client) for who in one.who) for one in known
        )

    def of_group(self, group: str, service: str, at: float, grace_s: float = 0.0) -> bool:
        """Say whether a whole group may use the service at that time (or could until ``grace_s`` ago)."""
        who = Who("group", group)
        return any(who in expectation.who for expectation in self.allowing(service, at, grace_s))

    def allowing(self, service: str, at: float, grace_s: float = 0.0) -> tuple[Expectation, ...]:
        """Give the expectations that let anybody use the service at that time (or did until ``grace_s`` ago)."""
        return tuple(e for e in self._by_service.get(service, ()) if _holds(e, at, grace_s))

    def individual(self, at: float, grace_s: float = 0.0) -> tuple[tuple[Who, frozenset[str]], ...]:
        """Give what members that are no groups (networks, addresses, names, MACs) may use, sorted by member."""
        allowed: dict[Who, frozenset[str]] = {}
        for expectation in self.all:
            if _holds(expectation, at, grace_s):
                for who in expectation.who:
                    if who.kind != "group":
                        allowed[who] = allowed.get(who, frozenset()) | expectation.services
        return tuple(sorted(allowed.items(), key=lambda item: (item[0].kind, item[0].value)))

    def expired(self, at: float) -> tuple[Expectation, ...]:
        """Give the expectations that no longer hold."""
        return tuple(e for e in self.all if not _holds(e, at, 0.0))


def covers(who: Who, client: Client) -> bool:
    """Say whether a member of a ``who`` list is this client."""
    match who.kind:
        case "group":
            return client.group == who.value
        case "address":
            return client.address == who.value
        case "name":
            return bool(client.name) and same_host(who.value, client.name)
        case "mac":
            return bool(client.mac) and client.mac == who.value
        case "network":
            address = parse_address(client.address)
            network = parse_network(who.value)
            return address is not None and address.version == network.version and address in network


def until_text(until: float) -> str:
    """Write an end as people mean it: the last whole day (UTC) it covers, or the instant."""
    if until % 86400 == 0:
        return datetime.fromtimestamp(until - 1, UTC).strftime("%Y-%m-%d")
    return datetime.fromtimestamp(until, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def describe(client: Client) -> str:
    """Write a client with what is known of it: ``10.1.2.3 (group staff, name laptop-7)``."""
    known = [f"group {client.group}" if client.group else "in no group"]
    if client.name:
        known.append(f"name {client.name}")
    if client.mac:
        known.append(f"mac {client.mac}")
    return f"{client.address} ({', '.join(known)})"


def _holds(expectation: Expectation, at: float, grace_s: float) -> bool:
    return expectation.until is None or at < expectation.until + grace_s


def _who_text(who: Who) -> str:
    words = {"group": "group ", "name": "the host named ", "mac": "the host with MAC ", "network": "network "}
    return words.get(who.kind, "") + who.value


def _on_whose_word(expectation: Expectation, ending: bool) -> str:
    """Write ``(owner platform, until 2027-06-30; conf.d/10-ci.yaml:4)`` with what there is."""
    said = [f"owner {expectation.owner}"] if expectation.owner else []
    if ending and expectation.until is not None:
        said.append(f"until {until_text(expectation.until)}")
    text = "; ".join(part for part in (", ".join(said), expectation.origin) if part)
    return f" ({text})" if text else ""


def _held_text(expectation: Expectation, who: Who, service: str) -> str:
    return f"{_who_text(who)} may use {service}: {expectation.because}{_on_whose_word(expectation, True)}"


def _ended_text(expectation: Expectation, who: Who, service: str) -> str:
    ended = until_text(expectation.until) if expectation.until is not None else "never"
    return (f"{_who_text(who)} was allowed to use {service} until {ended}: "
            f"{expectation.because}{_on_whose_word(expectation, False)}")  # fmt: skip


def _unexpected_text(client: Client, service: str, others: list[Expectation]) -> str:
    text = f"no expectation lets {describe(client)} use {service}"
    if not others:
        return f"{text}; nobody is expected to"
    named = sorted({str(who) for expectation in others for who in expectation.who})
    shown = ", ".join(named[:SHOWN]) + (f" and {len(named) - SHOWN} more" if len(named) > SHOWN else "")
    count = "1 expectation for it names" if len(others) == 1 else f"{len(others)} expectations for it name"
    return f"{text}; {count} others: {shown}"
