"""Where a syslog receiver listens: ``udp://HOST:PORT``, ``tcp://``, ``tls://``, ``relp://``, ``relp+tls://``,
``unix:///PATH``.

Never: checks what an operator wrote (``config/values.py`` does, and completes the port). Read next: ``transport.py``.
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

SCHEMES = ("relp", "relp+tls", "tcp", "tls", "udp", "unix")


@dataclass(frozen=True, slots=True)
class Address:
    """One receiver."""

    scheme: str
    host: str = ""
    port: int = 0
    path: str = ""

    def __str__(self) -> str:
        if self.scheme == "unix":
            return f"unix://{self.path}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"


def parse_address(text: str) -> Address:
    """Read an address that the configuration has checked; `ValueError` for any other."""
    parts = urlsplit(text)
    if parts.scheme == "unix":
        return Address("unix", path=parts.path)
    if parts.scheme not in SCHEMES or not parts.hostname or not parts.port:
        raise ValueError(f"{text!r} is not SCHEME://HOST:PORT or unix:///PATH; schemes: {', '.join(SCHEMES)}")
    return Address(parts.scheme, parts.hostname, parts.port)
