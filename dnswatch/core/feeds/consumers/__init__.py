"""Resolvers that can subscribe to the zones: one file each, and one line here. Registering is what gets you tested.

Never: policy, zone content. A writer says only what `Subscription` says, so its files change when groups, their
networks or keys do, and not with expectations. Read next: ``../subscription.py``, ``bind.py``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from dnswatch.core.feeds.consumers.bind import Bind
from dnswatch.core.feeds.consumers.dnsdist import Dnsdist
from dnswatch.core.feeds.consumers.dnsmasq import Dnsmasq
from dnswatch.core.feeds.consumers.knot import Knot
from dnswatch.core.feeds.consumers.powerdns import PowerDNS
from dnswatch.core.feeds.consumers.unbound import Unbound
from dnswatch.core.feeds.subscription import File, Subscription


class Writer(Protocol):
    """How one kind of resolver is configured."""

    name: str
    checker: str  # the command that reads its configuration for mistakes, before the file's name; "" = it has none
    has_tls: bool  # fetches zones over TLS (RFC 9103)
    has_keys: bool  # signs transfers (TSIG)
    has_views: bool  # picks a view, and so a copy of every zone, by key
    reads_files: bool  # of `feeds.directory`, on this host, and fetches nothing
    tells_clients: bool  # apart

    def files(self, subscription: Subscription) -> Sequence[File]:
        """Write every file, complete; the same subscription gives the same bytes."""
        ...


CONSUMERS: dict[str, Writer] = {
    "bind": Bind(),
    "dnsdist": Dnsdist(),
    "dnsmasq": Dnsmasq(),
    "knot": Knot(),
    "powerdns": PowerDNS(),
    "unbound": Unbound(),
}
