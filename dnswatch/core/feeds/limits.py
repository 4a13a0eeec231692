"""How much one sender may ask: token buckets by network, bounded in number.

Addresses of UDP packets are forged at will, so replies that cost nothing to provoke are rationed. Never: a clock.
Read next: ``io/publish/dns.py``.
"""

from __future__ import annotations

from ipaddress import IPv4Address

from dnswatch.core.clients.who import parse_address


class Buckets:
    """One bucket per network (IPv4 /24, IPv6 /56: what one sender can have many of) that fills at ``rate`` a second."""

    def __init__(self, rate: float, burst: float, most: int = 4096) -> None:
        self.refused = 0
        self._rate, self._burst, self._most = rate, burst, most
        self._buckets: dict[int, tuple[float, float]] = {}  # network → tokens left, at which time

    def __len__(self) -> int:
        return len(self._buckets)

    def take(self, address: str, now: float) -> bool:
        """Take one token; False when there is none. ``now``: seconds of a clock that never goes back."""
        network = _network(address)
        left, at = self._buckets.pop(network, (self._burst, now))
        left = min(self._burst, left + (now - at) * self._rate)
        allowed = left >= 1
        if len(self._buckets) >= self._most:  # the one that was asked least recently is the fullest
            del self._buckets[next(iter(self._buckets))]
        self._buckets[network] = (left - 1 if allowed else left, now)
        self.refused += not allowed
        return allowed


def _network(address: str) -> int:
    parsed = parse_address(address)
    if parsed is None:
        return 0
    return int(parsed) >> 8 if isinstance(parsed, IPv4Address) else -(int(parsed) >> 72)
