"""Ways to a syslog receiver, one small file per transport: messages go in, an acknowledgement comes back, or `OSError`.

`Transport.send` returns only when the receiver has confirmed the whole batch as well as that transport can tell; what
that is worth is its `acknowledgement`. Never: builds messages (``core/alerts``), retries or queues (``io/deliver.py``).
Read next: ``stream.py`` for what TCP, TLS and RELP share, then ``tcp.py``.
"""

from __future__ import annotations

from collections.abc import Callable

from dnswatch.io.syslog import relp, tcp, tls, udp, unix
from dnswatch.io.syslog.address import Address
from dnswatch.io.syslog.transport import Options, Transport

__all__ = ["TRANSPORTS", "Address", "Options", "Transport"]

TRANSPORTS: dict[str, Callable[[Address, Options], Transport]] = {
    "relp": relp.Relp,
    "relp+tls": relp.Relp,
    "tcp": tcp.Tcp,
    "tls": tls.Tls,
    "udp": udp.Udp,
    "unix": unix.Unix,
}
"""Scheme of an address → its transport, sorted. A new one is a file here, a line here and a port in
``config/values.py``."""
