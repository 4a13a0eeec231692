"""How a query log comes in: which formats there are, where a source listens, who may send to it.

Each function takes what stands in the file and gives the value, or raises `ValueError` saying what would be right.
Never: opens anything. Read next: ``model.py`` (`Source`), then ``io/sources/``.
"""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import urlsplit

from dnswatch.config.values import close_to
from dnswatch.core.reading import formats

ALIASES = {"pihole": "dnsmasq", "pi-hole": "dnsmasq", "ftl": "dnsmasq", "named": "bind", "infoblox": "bind",
           "nios": "bind", "efficientip": "bind", "solidserver": "bind", "pdns": "powerdns",
           "pdns-recursor": "powerdns", "recursor": "powerdns", "eve": "suricata"}  # fmt: skip
SYSLOG_PORT = 514
"""RFC 5426 §3.3; what syslog daemons use on TCP too."""
STDIN = "-"


def check_format(value: str) -> str:
    """Check the format of a source; an unknown one is answered with the closest name."""
    known = formats()
    if value not in known:
        alias = ALIASES.get(value.lower())
        hint = f" (did you mean {alias!r}?)" if alias else close_to(value, known)
        raise ValueError(f"{value!r} is not a known format{hint or ': ' + ', '.join(known)}")
    return value


class Door(NamedTuple):
    """Where a source listens. ``path`` for unix, ``host`` and ``port`` else."""

    scheme: str  # udp, tcp, unix
    host: str
    port: int
    path: str


def split_door(value: str) -> Door:
    """Split ``udp://HOST:PORT``, ``tcp://HOST:PORT`` or ``unix:///PATH``."""
    example = "write udp://127.0.0.1:514, tcp://[::1]:514 or unix:///run/dnswatch/log"
    if "://" not in value:
        raise ValueError(f"{value!r} has no transport: {example}")
    try:
        parts = urlsplit(value)
        port = parts.port
    except ValueError:
        raise ValueError(f"{value!r} is not a place to listen at: {example}") from None
    if parts.scheme == "unix":
        if parts.netloc or not parts.path.startswith("/"):
            raise ValueError(f"{value!r}: write unix:///PATH, for example unix:///run/dnswatch/log")
        if len(parts.path.encode()) > 107:  # sun_path with its final NUL (unix(7))
            raise ValueError(f"{value!r}: the path of a socket has at most 107 octets")
        return Door("unix", "", 0, parts.path)
    if parts.scheme not in ("udp", "tcp"):
        raise ValueError(f"unknown transport {parts.scheme!r}: udp, tcp and unix are known"
                         f"{close_to(parts.scheme, ('udp', 'tcp', 'unix'))}")  # fmt: skip
    if not parts.hostname or parts.path not in ("", "/") or parts.query or parts.username is not None:
        raise ValueError(f"{value!r}: write {parts.scheme}://HOST:PORT (every address: {parts.scheme}://0.0.0.0:PORT)")
    return Door(parts.scheme, parts.hostname, SYSLOG_PORT if port is None else port, "")


def unit_name(value: str) -> str:
    """Complete the name of a systemd unit: ``named`` is ``named.service``."""
    return value if "." in value else f"{value}.service"


def check_door(value: str) -> str:
    """Check where a source listens and complete its port."""
    door = split_door(value)
    if door.scheme == "unix":
        return value
    host = f"[{door.host}]" if ":" in door.host else door.host
    return f"{door.scheme}://{host}:{door.port}"
